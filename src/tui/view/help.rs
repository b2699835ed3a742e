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
/// The widest that the card gets.
const WIDEST: u16 = 76;

/// From this height on, the card leaves header and question alone.
const ROOMY: u16 = 24;

pub fn draw(app: &App, top: usize, screen: Rect, buffer: &mut Buffer) {
    let rows = rows();
    let card = card(Size { width: screen.width, height: screen.height });
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
pub fn overflow(size: Size) -> usize {
    rows().len().saturating_sub(inside(card(size)).height.into())
}

/// Rows by which a screenful scrolls the help.
pub fn page(size: Size) -> usize {
    usize::from(inside(card(size)).height).saturating_sub(1).max(1)
}

/// The card, in the middle of what is above the footer and, where there is room, between header and question.
fn card(screen: Size) -> Rect {
    let (above, below) = if screen.height >= ROOMY { (2, 5) } else { (0, 1) };
    let free = screen.height.saturating_sub(above + below);
    let height = (rows().len() as u16 + 2).min(free);
    let width = WIDEST.min(screen.width);
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

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for first in SECTIONS {
        let title = first.title();
        rows.push(Row::new(vec![Piece::new(title, Role::Title)]));
        for binding in bindings().filter(|binding| binding.context.title() == title) {
            let keys: Vec<_> = binding.chords.iter().map(|chord| chord.name()).collect();
            rows.push(entry(&keys.join(", "), binding.description));
        }
        rows.push(Row::blank());
    }
    rows.push(Row::new(vec![Piece::new("Commands, in the place of a question", Role::Title)]));
    rows.extend(COMMANDS.iter().map(|command| entry(&command.usage(), command.description)));
    rows
}

fn entry(key: &str, what: &str) -> Row {
    let gap = " ".repeat(KEY_COLUMN.saturating_sub(width(key)).max(2));
    Row::new(vec![Piece::new(key, Role::Key), Piece::new(format!("{gap}{what}"), Role::Base)])
}
