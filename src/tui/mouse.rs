//! The mouse. What is where is asked of the same functions that the picture is drawn with.

use crossterm::event::{KeyCode, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::{
    app::{App, Effect, View},
    completion,
    entry::Note,
    keys::{Action, Context, bindings},
    overlay::Overlay,
    panes::{Focus, Panes},
    shelf::{self, ITEM_ROWS},
    view,
};

/// Rows by which one notch of the wheel scrolls.
const WHEEL_ROWS: isize = 3;

impl App {
    pub(super) fn on_mouse(&mut self, event: MouseEvent) -> Vec<Effect> {
        let position = Position { x: event.column, y: event.row };
        match event.kind {
            MouseEventKind::ScrollUp => self.wheel(position, -1),
            MouseEventKind::ScrollDown => self.wheel(position, 1),
            MouseEventKind::Down(MouseButton::Left) => self.click(position),
            _ => Vec::new(),
        }
    }

    /// Leaves the mouse to the terminal, or takes it back, and says what that means.
    pub(super) fn toggle_mouse(&mut self) -> Vec<Effect> {
        self.mouse = !self.mouse;
        let key = self.keymap.key(Action::ToggleMouse).unwrap_or_else(|| "/mouse".to_owned());
        self.note(Note::info(match self.mouse {
            true => {
                format!("The mouse scrolls and selects here; Shift-drag selects text, {key} gives it back.")
            }
            false => format!("The mouse is the terminal's: drag selects text. {key} takes it back."),
        }));
        vec![Effect::CaptureMouse(self.mouse)]
    }

    /// Scrolls what is under the pointer; the keyboard stays where it is.
    fn wheel(&mut self, position: Position, notches: isize) -> Vec<Effect> {
        if let Some(overlay) = &mut self.overlay {
            match overlay.chooser() {
                Some(chooser) => chooser.step(notches),
                None => self.step_overlay(notches * WHEEL_ROWS),
            }
            return Vec::new();
        }
        let Some(panes) = self.panes() else { return Vec::new() };
        if self.view != View::Chat {
            let context = match self.view {
                View::Comparison => Context::Comparison,
                View::Indexing => Context::Indexing,
                View::Chats => Context::Chats,
                View::Log | View::Chat => Context::Log,
            };
            return self.step_context(context, notches * WHEEL_ROWS);
        }
        let is_in = |pane: Option<Rect>| pane.is_some_and(|pane| widened(pane).contains(position));
        if !self.completions().is_empty() && self.completion_card(&panes).contains(position) {
            self.step_completion(notches);
        } else if is_in(panes.conversation) {
            self.transcript.scroll(notches * WHEEL_ROWS);
        } else if is_in(panes.timings) {
            self.scroll_timings_by(notches * WHEEL_ROWS);
        } else if is_in(panes.sources) {
            return match self.source_list().is_some_and(|list| widened(list).contains(position)) {
                true => self.step_context(Context::Sources, notches),
                false => {
                    self.scroll_source_by(notches * WHEEL_ROWS);
                    Vec::new()
                }
            };
        }
        Vec::new()
    }

    /// Does what the arrow key does in this context, as often as `steps` says.
    fn step_context(&mut self, context: Context, steps: isize) -> Vec<Effect> {
        let arrow = if steps < 0 { KeyCode::Up } else { KeyCode::Down };
        let bound = bindings().find(|binding| {
            binding.context == context && binding.chords.iter().any(|chord| chord.code == arrow)
        });
        let Some(action) = bound.map(|binding| binding.action) else { return Vec::new() };
        (0..steps.unsigned_abs()).flat_map(|_| self.perform(action)).collect()
    }

    fn click(&mut self, position: Position) -> Vec<Effect> {
        if self.overlay.is_some() {
            return self.click_overlay(position);
        }
        let Some(panes) = self.panes() else { return Vec::new() };
        if let Some(view) = hit(view::view_tabs(self, panes.header), position) {
            return self.open(view);
        }
        match self.view {
            View::Chat => self.click_chat(&panes, position),
            View::Comparison | View::Indexing | View::Chats | View::Log => Vec::new(),
        }
    }

    /// Takes the row that was clicked; a click beside the card closes it.
    fn click_overlay(&mut self, position: Position) -> Vec<Effect> {
        let size = self.size;
        let help = view::help_card(self);
        let (card, row) = match &mut self.overlay {
            Some(Overlay::Help { .. }) | None => (help, None),
            Some(other) => match other.chooser() {
                Some(chooser) => (chooser.places(size).card, chooser.at(position, size)),
                None => return Vec::new(),
            },
        };
        if !card.contains(position) {
            return self.perform_overlay(super::keys::OverlayAction::Close);
        }
        let Some(row) = row else { return Vec::new() };
        if let Some(chooser) = self.overlay.as_mut().and_then(Overlay::chooser) {
            chooser.select(row);
        }
        self.perform_overlay(super::keys::OverlayAction::Choose)
    }

    fn click_chat(&mut self, panes: &Panes, position: Position) -> Vec<Effect> {
        if !self.completions().is_empty() && self.completion_card(panes).contains(position) {
            if let Some(index) = completion::at(self, panes, position) {
                self.completion = index;
                self.complete();
            }
            return Vec::new();
        }
        if let Some(tabs) = panes.tabs
            && let Some(focus) = hit(view::pane_tabs(self, tabs), position)
        {
            self.focus_on(focus);
            return Vec::new();
        }
        let is_in = |pane: Option<Rect>| pane.filter(|pane| widened(*pane).contains(position));
        if panes.input.contains(position) {
            self.focus_on(Focus::Input);
        } else if let Some(pane) = is_in(panes.conversation) {
            self.click_conversation(pane, position);
        } else if let Some(pane) = is_in(panes.sources) {
            return self.click_sources(pane, position);
        } else if is_in(panes.timings).is_some() {
            self.focus_on(Focus::Timings);
        }
        Vec::new()
    }

    /// Follows a citation, jumps to the newest text, or gives the conversation the keyboard.
    fn click_conversation(&mut self, pane: Rect, position: Position) {
        if view::newer_text_hint(self, pane).is_some_and(|hint| hint.contains(position)) {
            return self.transcript.show_newest();
        }
        let row = usize::from(position.y - pane.y);
        let column = position.x.checked_sub(pane.x).map(usize::from);
        let target = column.and_then(|column| self.transcript.target_at(row, column));
        let Some((entry, citation)) = target else {
            if !self.transcript.is_empty() {
                self.focus_on(Focus::Conversation);
            }
            return;
        };
        self.transcript.choose(Some((entry, citation)));
        if self.shelf.entry != Some(entry) {
            self.shelf.show(entry);
        }
        self.shelf.document = None;
        let place = self.shelf_sources().iter().position(|source| source.chunk.rank == citation.rank);
        if let Some(place) = place {
            let count = self.shelf_sources().len();
            let step = place as isize - self.shelf.selected as isize;
            self.shelf.select(step, count);
        }
        self.focus_on(Focus::Sources);
    }

    /// Selects the source that was clicked and gives the sources the keyboard.
    fn click_sources(&mut self, _pane: Rect, position: Position) -> Vec<Effect> {
        self.focus_on(Focus::Sources);
        let Some(list) = self.source_list().filter(|list| widened(*list).contains(position)) else {
            return Vec::new();
        };
        let shown = usize::from(list.height) / ITEM_ROWS;
        let first = (self.shelf.selected + 1).saturating_sub(shown);
        let index = first + usize::from(position.y - list.y) / ITEM_ROWS;
        let step = index as isize - self.shelf.selected as isize;
        match index < self.shelf_sources().len() && step != 0 {
            true => self.step_context(Context::Sources, step),
            false => Vec::new(),
        }
    }

    /// Where the list of sources is.
    fn source_list(&self) -> Option<Rect> {
        let pane = self.panes()?.sources?;
        let sources = self.shelf_sources();
        let selected = sources.get(self.shelf.selected).or(sources.last())?;
        let facts = self.source_facts(selected, pane.width.into()).len();
        Some(shelf::places(pane, sources.len(), facts, self.shelf.document.is_some()).list)
    }

    fn completion_card(&self, panes: &Panes) -> Rect {
        completion::place(self.completions().len(), panes, self.size)
    }
}

/// With the margins on both sides, which belong to the pane.
fn widened(pane: Rect) -> Rect {
    let left = pane.x.saturating_sub(1);
    Rect { x: left, width: pane.right() + 1 - left, ..pane }
}

fn hit<T>(places: Vec<(Rect, T)>, position: Position) -> Option<T> {
    places.into_iter().find(|(place, _)| place.contains(position)).map(|(_, what)| what)
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyModifiers;
    use proptest::prelude::*;
    use ratatui::{buffer::Buffer, layout::Size};

    use super::{
        super::{
            app::What,
            scenes::{self, Stage},
            theme::Theme,
        },
        *,
    };

    const SIZES: [(u16, u16); 5] = [(160, 48), (100, 30), (60, 20), (40, 10), (30, 8)];

    fn stage(scene: &str, (width, height): (u16, u16)) -> Stage {
        let theme = Theme::load("mono").expect("built in");
        scenes::named(scene).expect(scene).stage(theme, Size { width, height })
    }

    fn mouse(stage: &mut Stage, kind: MouseEventKind, column: u16, row: u16) -> Vec<Effect> {
        stage.tell(What::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
    }

    fn click(stage: &mut Stage, (column, row): (u16, u16)) -> Vec<Effect> {
        mouse(stage, MouseEventKind::Down(MouseButton::Left), column, row)
    }

    /// The cell where `needle` begins.
    fn find(picture: &Buffer, needle: &str) -> (u16, u16) {
        for y in 0..picture.area.height {
            let row: String = (0..picture.area.width).map(|x| picture[(x, y)].symbol()).collect();
            if let Some(index) = row.find(needle) {
                return (row[..index].chars().count() as u16, y);
            }
        }
        panic!("`{needle}` is not on the screen");
    }

    fn click_on(stage: &mut Stage, needle: &str) -> Vec<Effect> {
        let place = find(&stage.picture(), needle);
        click(stage, place)
    }

    #[test]
    fn tabs_open_views_and_panes() {
        let mut wide = stage("answered", (160, 48));
        click_on(&mut wide, "F6 Log");
        assert_eq!(wide.app().view, View::Log);
        click_on(&mut wide, "F2 Chat");
        assert_eq!(wide.app().view, View::Chat);
        let mut narrow = stage("answered", (60, 20));
        click_on(&mut narrow, "Sources 5");
        assert_eq!(narrow.app().focus, Focus::Sources);
        click_on(&mut narrow, "Timings");
        assert_eq!(narrow.app().focus, Focus::Timings);
    }

    #[test]
    fn a_citation_leads_to_its_source() {
        let mut stage = stage("answered", (160, 48));
        let (x, y) = find(&stage.picture(), "[1][2]");
        click(&mut stage, (x + 4, y));
        assert_eq!((stage.app().focus, stage.app().shelf.selected), (Focus::Sources, 1));
        click(&mut stage, (x + 1, y));
        assert_eq!(stage.app().shelf.selected, 0);
    }

    #[test]
    fn clicks_choose_sources_and_rows_of_lists() {
        let mut sources = stage("answered", (160, 48));
        let place = find(&sources.picture(), "weather.md § Limits  ");
        click(&mut sources, place);
        assert_eq!((sources.app().focus, sources.app().shelf.selected), (Focus::Sources, 1));
        let mut palette = stage("palette", (160, 48));
        palette.type_text("comparison");
        click_on(&mut palette, "The comparison of strategies");
        assert_eq!((palette.app().view, palette.app().overlay.is_none()), (View::Comparison, true));
        let mut help = stage("help", (160, 48));
        click(&mut help, (0, 5));
        assert!(help.app().overlay.is_none(), "a click beside it closes it");
        let mut typing = stage("slash_completion", (100, 30));
        click_on(&mut typing, "/strategy");
        assert_eq!(typing.app().input.text(), "/strategy ");
    }

    #[test]
    fn the_wheel_scrolls_what_is_under_it_and_leaves_the_keyboard() {
        let mut stage = stage("answered", (60, 20));
        let end = stage.app().transcript.position().0;
        mouse(&mut stage, MouseEventKind::ScrollUp, 10, 8);
        assert_eq!(stage.app().transcript.position().0, end - WHEEL_ROWS as usize);
        assert_eq!(stage.app().focus, Focus::Input);
        click_on(&mut stage, "more ·");
        assert_eq!(stage.app().transcript.rows_below(), 0);
    }

    #[test]
    fn clicking_everywhere_in_every_state_never_fails() {
        for scene in scenes::all() {
            for (width, height) in SIZES {
                let mut stage = stage(scene.name, (width, height));
                for row in (0..height).step_by(2) {
                    for column in (row % 7..width).step_by(13) {
                        click(&mut stage, (column, row));
                        mouse(&mut stage, MouseEventKind::ScrollUp, column, row);
                        mouse(&mut stage, MouseEventKind::ScrollDown, column, row);
                    }
                }
                stage.picture();
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn no_event_fails_at_any_size(
            width in 0u16..200, height in 0u16..60,
            events in prop::collection::vec((0u16..220, 0u16..70, 0usize..3), 1..20),
        ) {
            let mut stage = stage("answered", (100, 30));
            stage.resize(Size { width, height });
            for (column, row, kind) in events {
                let kinds = [
                    MouseEventKind::Down(MouseButton::Left),
                    MouseEventKind::ScrollUp,
                    MouseEventKind::ScrollDown,
                ];
                mouse(&mut stage, kinds[kind], column, row);
                stage.picture();
            }
        }
    }
}
