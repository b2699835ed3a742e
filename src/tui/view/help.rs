//! The help: every key and slash command, from their tables.

use ratatui::{
    buffer::Buffer,
    layout::{Rect, Size},
    text::Line,
    widgets::{Clear, Widget},
};

use super::{
    super::{
        app::App,
        keys::{Context, bindings},
        slash::COMMANDS,
        text::{Piece, Row, cut, width},
        theme::Role,
    },
    draw_rows, rounded,
};

/// Cells of the column with the keys.
const KEY_COLUMN: usize = 20;
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
const MOUSE: [(&str, &str); 4] = [
    ("Wheel", "Scrolls what is under the pointer"),
    ("Click", "Chooses a pane, a view, a source, a citation, a row of a list"),
    ("Shift-drag", "Selects text, as the terminal does"),
    ("/mouse", "Gives the mouse to the terminal, or takes it back"),
];
/// The widest that the card gets.
const WIDEST: u16 = 100;
/// Cells from which on the names of the bindings stand beside them, for the configuration.
const NAMES_FROM: usize = 90;

/// From this height on, the card leaves header and question alone.
const ROOMY: u16 = 24;

pub fn draw(app: &App, top: usize, screen: Rect, buffer: &mut Buffer) {
    let card = card(Size { width: screen.width, height: screen.height }, app);
    let rows = rows(app, inside(card).width.into());
    Clear.render(card, buffer);
    buffer.set_style(card, app.theme.style(Role::Base));
    let text = inside(card);
    let most = rows.len().saturating_sub(text.height.into());
    let title = Line::styled(" Help ", app.theme.style(Role::Title));
    let mut frame = rounded(app.theme.style(Role::BorderFocus)).title(title);
    if top < most {
        frame = frame.title_bottom(Line::styled(" ↓ more ", app.theme.style(Role::Muted)).right_aligned());
    }
    frame.render(card, buffer);
    let visible = rows.into_iter().skip(top.min(most));
    let visible: Vec<_> = visible.map(|row| cut(row, text.width.into())).collect();
    draw_rows(&visible, &app.theme, text, buffer);
}

/// Rows of the help that a screen of this size does not show at once.
pub fn overflow(app: &App) -> usize {
    let text = inside(card(app.size, app));
    rows(app, text.width.into()).len().saturating_sub(text.height.into())
}

/// Where the help is while it is open.
pub fn place(app: &App) -> Rect {
    card(app.size, app)
}

/// Rows by which a screenful scrolls the help.
pub fn page(app: &App) -> usize {
    usize::from(inside(card(app.size, app)).height).saturating_sub(1).max(1)
}

/// The card, in the middle of what is above the footer and, where there is room, between header and question.
fn card(screen: Size, app: &App) -> Rect {
    let (above, below) = if screen.height >= ROOMY { (2, 5) } else { (0, 1) };
    let free = screen.height.saturating_sub(above + below);
    let width = WIDEST.min(screen.width);
    let height = (rows(app, width.into()).len() as u16 + 2).min(free);
    Rect { x: (screen.width - width) / 2, y: above + free.saturating_sub(height) / 2, width, height }
}

fn inside(card: Rect) -> Rect {
    Rect {
        x: card.x + 2,
        y: card.y + 1,
        width: card.width.saturating_sub(4),
        height: card.height.saturating_sub(2),
    }
}

fn rows(app: &App, columns: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    for first in SECTIONS {
        let title = first.title();
        let mut entries = Vec::new();
        for binding in bindings().filter(|binding| binding.context.title() == title) {
            let keys: Vec<_> = app.keymap.chords(binding).iter().map(|chord| chord.name()).collect();
            if !keys.is_empty() {
                entries.push(entry(&keys.join(", "), binding.description, binding.name, columns));
            }
        }
        if !entries.is_empty() {
            rows.push(Row::new(vec![Piece::new(title, Role::Title)]));
            rows.append(&mut entries);
            rows.push(Row::blank());
        }
    }
    rows.push(Row::new(vec![Piece::new("Commands, in the place of a question", Role::Title)]));
    let commands = COMMANDS.iter();
    rows.extend(commands.map(|command| entry(&command.usage(), command.description, "", columns)));
    rows.push(Row::blank());
    rows.push(Row::new(vec![Piece::new("Mouse", Role::Title)]));
    rows.extend(MOUSE.iter().map(|(what, does)| entry(what, does, "", columns)));
    rows
}

/// Keys, what they do, and, where there is room, the name under which the configuration has them.
fn entry(key: &str, what: &str, name: &str, columns: usize) -> Row {
    let gap = " ".repeat(KEY_COLUMN.saturating_sub(width(key)).max(2));
    let mut row = Row::new(vec![Piece::new(key, Role::Key), Piece::new(format!("{gap}{what}"), Role::Base)]);
    let used = row.width() + 2 + width(name);
    if columns >= NAMES_FROM && used <= columns && !name.is_empty() {
        row.pieces.push(Piece::new(format!("{}{name}", " ".repeat(columns - used + 2)), Role::Muted));
    }
    row
}
