//! The help: every key and slash command, from their tables, as far as they have the words that are typed.

use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{AtomKind, CaseMatching, Normalization, Pattern},
};
use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    text::Line,
    widgets::{Clear, Widget},
};
use unicode_segmentation::UnicodeSegmentation;

use super::{
    super::{
        app::App,
        keys::{Context, bindings},
        overlay::{Help, Overlay},
        slash::COMMANDS,
        text::{Piece, Row, width, wrap},
        theme::Role,
    },
    chooser, draw_rows, rounded,
};

/// Cells of the column with the keys.
const KEY_COLUMN: usize = 20;
/// The least cells that a description has beside a key; with fewer it stands under it.
const LEAST_DESCRIPTION: usize = 20;
/// A context of each section, in their order.
const SECTIONS: [Context; 11] = [
    Context::Input,
    Context::Conversation,
    Context::Sources,
    Context::Timings,
    Context::Comparison,
    Context::Indexing,
    Context::Chats,
    Context::Log,
    Context::Anywhere,
    Context::Palette,
    Context::Help,
];
/// What the mouse does while its events come here.
const MOUSE: [(&str, &str); 5] = [
    ("Wheel", "Scrolls what is under the pointer"),
    ("Click", "Chooses a pane, a view, a source, a citation, a row of a list"),
    ("Click again", "On what is chosen: does what Enter does there"),
    ("Shift-drag", "Selects text, as the terminal does"),
    ("/mouse", "Gives the mouse to the terminal, or takes it back"),
];
/// The widest that the card gets.
const WIDEST: u16 = 100;
/// Cells from which on the names of the bindings stand beside them, for the configuration.
const NAMES_FROM: usize = 90;
/// From this height on, the card leaves header and question alone.
const ROOMY: u16 = 24;
/// Rows of the card beside the text: its frame, the field and the line under it.
const AROUND: u16 = 4;

/// A key or a command and what it does.
struct Entry {
    key: String,
    description: &'static str,
    /// As the configuration calls it; empty for what it does not know.
    name: &'static str,
}

/// Entries under one title.
struct Section {
    title: &'static str,
    entries: Vec<Entry>,
}

/// Where everything is.
struct Places {
    card: Rect,
    field: Rect,
    text: Rect,
}

/// Draws the help over the screen; returns where the cursor is.
pub fn draw(app: &App, help: &Help, buffer: &mut Buffer) -> Position {
    let Places { card, field, text } = places(app);
    Clear.render(card, buffer);
    buffer.set_style(card, app.theme.style(Role::Base));
    let rows = rows(app, help.field.text(), text.width.into());
    let most = rows.len().saturating_sub(text.height.into());
    let title = Line::styled(" Help ", app.theme.style(Role::Title));
    let mut frame = rounded(app.theme.style(Role::BorderFocus)).title(title);
    if help.top < most {
        frame = frame.title_bottom(Line::styled(" ↓ more ", app.theme.style(Role::Muted)).right_aligned());
    }
    frame.render(card, buffer);
    let placeholder = "A key, or words of what it does";
    let cursor = chooser::draw_field(&help.field, placeholder, field, &app.theme, buffer);
    chooser::draw_rule(Rect { y: field.bottom(), ..field }.intersection(card), &app.theme, buffer);
    draw_rows(&rows[help.top.min(most)..], &app.theme, text, buffer);
    cursor
}

/// Rows of the help that this screen does not show at once.
pub fn overflow(app: &App) -> usize {
    let text = places(app).text;
    let typed = match &app.overlay {
        Some(Overlay::Help(help)) => help.field.text(),
        _ => "",
    };
    rows(app, typed, text.width.into()).len().saturating_sub(text.height.into())
}

/// Where the help is while it is open.
pub fn place(app: &App) -> Rect {
    places(app).card
}

/// Rows by which a screenful scrolls the help.
pub fn page(app: &App) -> usize {
    usize::from(places(app).text.height).saturating_sub(1).max(1)
}

/// The card is in the middle of what is above the footer and, where there is room, between header and question. It is
/// as high as all of the help, so that it does not jump while one types.
fn places(app: &App) -> Places {
    let screen = app.size;
    let (above, below) = if screen.height >= ROOMY { (2, 5) } else { (0, 1) };
    let free = screen.height.saturating_sub(above + below);
    let width = WIDEST.min(screen.width);
    let columns = width.saturating_sub(4);
    let height = (rows(app, "", columns.into()).len() as u16).saturating_add(AROUND).min(free);
    let top = above + free.saturating_sub(height) / 2;
    let card = Rect { x: (screen.width - width) / 2, y: top, width, height };
    let inside = Rect { x: card.x + 2.min(width), y: card.y + 1.min(height), width: columns, height: 1 };
    Places {
        card,
        field: inside.intersection(card),
        text: Rect { y: inside.y + 2, height: height.saturating_sub(AROUND), ..inside }.intersection(card),
    }
}

/// The sections with what has every word that is typed, each entry with the letters of it that were typed marked.
fn rows(app: &App, typed: &str, columns: usize) -> Vec<Row> {
    let mut search = Search::new(typed);
    let mut rows = Vec::new();
    for Section { title, entries } in sections(app) {
        let found: Vec<Row> =
            entries.iter().filter_map(|entry| search.find(title, entry, columns)).flatten().collect();
        if !found.is_empty() {
            if !rows.is_empty() {
                rows.push(Row::blank());
            }
            rows.push(Row::new(vec![Piece::new(title, Role::Title)]));
            rows.extend(found);
        }
    }
    if rows.is_empty() {
        rows.push(Row::new(vec![Piece::new("Nothing has these words.", Role::Muted)]));
    }
    rows
}

fn sections(app: &App) -> Vec<Section> {
    let key_section = |context: Context| {
        let title = context.title();
        let mut own: Vec<_> = bindings().filter(|binding| binding.context.title() == title).collect();
        // What always works first, then what does so now and then.
        own.sort_by_key(|binding| binding.context != context);
        let keyed = own.into_iter().map(|binding| {
            let keys: Vec<_> = app.keymap.chords(binding).iter().map(|chord| chord.name()).collect();
            Entry { key: keys.join(", "), description: binding.description, name: binding.name }
        });
        Section { title, entries: keyed.filter(|entry| !entry.key.is_empty()).collect() }
    };
    let mut sections: Vec<Section> = SECTIONS.into_iter().map(key_section).collect();
    let entry = |key: String, description| Entry { key, description, name: "" };
    sections.push(Section {
        title: "Commands, in the place of a question",
        entries: COMMANDS.iter().map(|command| entry(command.usage(), command.description)).collect(),
    });
    sections.push(Section {
        title: "Mouse",
        entries: MOUSE.iter().map(|(what, does)| entry((*what).to_owned(), does)).collect(),
    });
    sections
}

/// Looks for what was typed.
struct Search {
    pattern: Pattern,
    matcher: Matcher,
    characters: Vec<char>,
}

impl Search {
    fn new(typed: &str) -> Self {
        let pattern = Pattern::new(typed, CaseMatching::Ignore, Normalization::Smart, AtomKind::Substring);
        Self { pattern, matcher: Matcher::new(Config::DEFAULT), characters: Vec::new() }
    }

    /// The rows of an entry that has every word, be it in its section's title; `None` where it lacks one.
    fn find(&mut self, title: &str, entry: &Entry, columns: usize) -> Option<Vec<Row>> {
        let parts = [entry.key.as_str(), entry.description, entry.name];
        let text = format!("{}\n{title}", parts.join("\n"));
        let mut letters = Vec::new();
        let haystack = Utf32Str::new(&text, &mut self.characters);
        self.pattern.indices(haystack, &mut self.matcher, &mut letters)?;
        letters.sort_unstable();
        letters.dedup();
        let mut start = 0;
        let [key, description, name] = parts.map(|part| {
            let length = part.graphemes(true).count() as u32;
            let inside = letters.iter().filter(|letter| (start..start + length).contains(*letter));
            let inside: Vec<u32> = inside.map(|letter| letter - start).collect();
            start += length + 1;
            inside
        });
        Some(entry.rows([&key, &description, &name], columns))
    }
}

impl Entry {
    /// Keys, what they do, and, where there is room, the name under which the configuration has them; of each the
    /// numbers of the letters that are marked.
    fn rows(&self, [key, description, name]: [&[u32]; 3], columns: usize) -> Vec<Row> {
        let gap = KEY_COLUMN.saturating_sub(width(&self.key)).max(2);
        let name_cells = match columns >= NAMES_FROM && !self.name.is_empty() {
            true => width(self.name) + 2,
            false => 0,
        };
        let keys = chooser::marked(&self.key, key, Role::Key);
        let description = chooser::marked(self.description, description, Role::Base);
        let free = columns.saturating_sub(width(&self.key) + gap + name_cells);
        if free < LEAST_DESCRIPTION {
            let mut rows = wrap(&keys, columns, 2);
            let below = wrap(&description, columns.saturating_sub(KEY_COLUMN), 0);
            rows.extend(below.into_iter().map(|row| indented(row, KEY_COLUMN)));
            return rows;
        }
        let mut rows: Vec<Row> = wrap(&description, free, 0)
            .into_iter()
            .map(|row| indented(row, width(&self.key) + gap))
            .collect();
        if let Some(first) = rows.first_mut() {
            first.pieces[0] = Piece::new(" ".repeat(gap), Role::Base);
            first.pieces.splice(0..0, keys);
            if name_cells > 0 {
                let gap = " ".repeat((columns - width(self.name)).saturating_sub(first.width()));
                first.pieces.push(Piece::new(gap, Role::Base));
                first.pieces.extend(chooser::marked(self.name, name, Role::Muted));
            }
        }
        rows
    }
}

fn indented(mut row: Row, cells: usize) -> Row {
    row.pieces.insert(0, Piece::new(" ".repeat(cells), Role::Base));
    row
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Size;

    use super::*;
    use crate::{config::Strategy, tui::theme::Theme};

    fn found(typed: &str, columns: usize) -> Vec<String> {
        let theme = Theme::load("mono").expect("built in");
        let app = App::new(theme, Strategy::Ape, Size { width: 120, height: 40 });
        rows(&app, typed, columns).iter().map(Row::text).collect()
    }

    #[test]
    fn every_word_is_looked_for_in_keys_descriptions_names_and_titles() {
        let themes = found("theme choose", 96);
        assert!(themes.iter().any(|row| row.starts_with("F7 ")), "{themes:#?}");
        assert!(found("ctrl-p", 96).iter().any(|row| row.ends_with("palette.open")));
        assert!(found("palette.open", 96).iter().any(|row| row.starts_with("Ctrl-P")));
        let sources = found("sources", 96);
        assert!(sources.contains(&"Sources".to_owned()) && sources.iter().any(|row| row.contains("Pin the")));
        assert_eq!(found("no such words at all", 96), ["Nothing has these words."]);
    }

    #[test]
    fn long_descriptions_are_wrapped_and_keep_the_name_of_the_binding() {
        for columns in [36, 56, 96] {
            let rows = found("", columns);
            assert!(rows.iter().all(|row| width(row) <= columns), "{columns}");
            assert!(rows.iter().all(|row| !row.contains('…')), "{columns}");
        }
        let named = bindings().filter(|binding| !binding.chords.is_empty()).map(|binding| binding.name);
        let rows = found("", 96);
        for name in named {
            assert!(rows.iter().any(|row| row.ends_with(&format!(" {name}"))), "{name}");
        }
    }

    #[test]
    fn what_was_typed_is_marked() {
        let theme = Theme::load("mono").expect("built in");
        let app = App::new(theme, Strategy::Ape, Size { width: 120, height: 40 });
        let rows = rows(&app, "Ctrl-P actio", 96);
        let marked = rows.iter().flat_map(|row| &row.pieces).filter(|piece| piece.role == Role::Match);
        let marked: Vec<_> = marked.map(|piece| piece.text.as_str()).collect();
        assert_eq!(marked, ["Ctrl-P", "actio"]);
    }
}
