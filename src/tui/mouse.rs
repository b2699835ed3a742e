//! The mouse. What is where is asked of the same functions that the picture is drawn with.

use crossterm::event::{KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::{
    app::{App, Effect, View},
    completion,
    keys::{Action, Chord, Context, bindings},
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
        // Whatever view is shown.
        self.flash(match self.mouse {
            true => format!("The mouse scrolls and selects here; {key} gives it to the terminal"),
            false => format!("The mouse is the terminal's: drag selects text; {key} takes it back"),
        });
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
        let Some(action) = bound(context, arrow) else { return Vec::new() };
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
            View::Chats => match view::chat_at(self, position) {
                Some(chat) => self.click_row(Context::Chats, chat, self.chats.selected),
                None => Vec::new(),
            },
            View::Indexing => match view::indexing_root_at(self, position) {
                Some(root) => self.click_row(Context::Indexing, root, self.indexing_view.selected),
                None => Vec::new(),
            },
            View::Comparison => match view::comparison_key_at(self, position) {
                Some(code) => self.press_in(Context::Comparison, code),
                None => Vec::new(),
            },
            View::Log => Vec::new(),
        }
    }

    /// Takes the row that was clicked; a click beside the card closes it.
    fn click_overlay(&mut self, position: Position) -> Vec<Effect> {
        let size = self.size;
        let help = view::help_card(self);
        let (card, row) = match &mut self.overlay {
            Some(Overlay::Help(_)) | None => (help, None),
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
        } else if is_in(panes.sources).is_some() {
            return self.click_sources(position);
        } else if let Some(pane) = is_in(panes.timings) {
            return self.click_timings(pane, position);
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
        match target {
            Some((entry, citation)) => {
                self.transcript.choose(Some((entry, citation)));
                self.open_source(entry, citation.rank);
            }
            None if !self.transcript.is_empty() => self.focus_on(Focus::Conversation),
            None => {}
        }
    }

    /// Gives the sources the keyboard and selects the one that was clicked; shows the document of one that was
    /// selected there before.
    fn click_sources(&mut self, position: Position) -> Vec<Effect> {
        let had_keyboard = self.focus == Focus::Sources;
        self.focus_on(Focus::Sources);
        let list = self.source_list().filter(|list| widened(*list).contains(position));
        let Some(list) = list else { return Vec::new() };
        let index =
            shelf::first_listed(list, self.shelf.selected) + usize::from(position.y - list.y) / ITEM_ROWS;
        let is_listed = index < self.shelf_sources().len();
        match is_listed && (had_keyboard || index != self.shelf.selected) {
            true => self.click_row(Context::Sources, index, self.shelf.selected),
            false => Vec::new(),
        }
    }

    /// Gives the timings the keyboard and selects the answer that was clicked.
    fn click_timings(&mut self, pane: Rect, position: Position) -> Vec<Effect> {
        self.focus_on(Focus::Timings);
        let shown = self.timed_answer().map(|(index, _)| index);
        let selected = self.listed_answers().position(|(index, _)| Some(index) == shown);
        match (view::timed_answer_at(self, pane, position), selected) {
            (Some(clicked), Some(selected)) => self.click_row(Context::Timings, clicked, selected),
            _ => Vec::new(),
        }
    }

    /// Selects the row that was clicked; does what Enter does, where it was selected before.
    fn click_row(&mut self, context: Context, clicked: usize, selected: usize) -> Vec<Effect> {
        if !self.contexts().contains(&context) {
            return Vec::new();
        }
        match clicked as isize - selected as isize {
            0 => self.press_in(context, KeyCode::Enter),
            step => self.step_context(context, step),
        }
    }

    /// Does what a key does in this context.
    fn press_in(&mut self, context: Context, code: KeyCode) -> Vec<Effect> {
        bound(context, code).map_or_else(Vec::new, |action| self.perform(action))
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

/// What a key does in this context by the tables, whatever the configuration has made of it.
fn bound(context: Context, code: KeyCode) -> Option<Action> {
    let chord = Chord { code, modifiers: KeyModifiers::NONE };
    let bound = bindings().find(|binding| binding.context == context && binding.chords.contains(&chord));
    bound.map(|binding| binding.action)
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
mod tests;
