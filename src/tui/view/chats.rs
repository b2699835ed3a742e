//! The chats that were kept: the words looked for, the list, and beside it the selected chat.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect, Size},
    text::Line,
    widgets::{Paragraph, Widget},
};

use super::{
    super::{
        app::App,
        chats::Mode,
        format::{ago, count, thousands},
        keys::{Action, ChatsAction},
        panes::Panes,
        text::{Piece, Row, fit, width, wrap},
        theme::Role,
    },
    draw_rows, draw_selection,
};
use crate::engine::ChatSummary;

/// From this width on there is room for the preview.
const PREVIEW_WIDTH: u16 = 88;
/// Rows of a chat in the list: its title, and when it was.
const ITEM_ROWS: u16 = 2;
/// Rows before the list: title, words, a blank.
const HEAD_ROWS: u16 = 3;
const PROMPT: &str = "❯ ";

/// The list, and the preview where there is room for it.
fn places(area: Rect) -> (Rect, Option<Rect>) {
    if area.width < PREVIEW_WIDTH {
        return (area, None);
    }
    let left = Rect { width: area.width * 2 / 5, ..area };
    let right = Rect { x: left.right() + 3, width: area.width - left.width - 3, ..area };
    (left, Some(right))
}

/// Where the chats are listed.
fn list(left: Rect) -> Rect {
    Rect { y: left.y + HEAD_ROWS, height: left.height.saturating_sub(HEAD_ROWS), ..left }.intersection(left)
}

/// The number of the first chat that is visible in a list of this place, where the selected one is.
fn first_listed(app: &App, list: Rect) -> usize {
    let shown = usize::from(list.height / ITEM_ROWS).max(1);
    (app.chats.selected + 1).saturating_sub(shown)
}

/// The number of the chat that is drawn at `position`.
pub fn chat_at(app: &App, position: Position) -> Option<usize> {
    let list = list(places(Panes::body(app.size)).0);
    let count = app.chats.chats.as_ref().map_or(0, Vec::len);
    let index = first_listed(app, list) + usize::from(position.y.checked_sub(list.y)? / ITEM_ROWS);
    (list.contains(position) && index < count && notice(app).is_none()).then_some(index)
}

/// Columns of the preview on a screen of this size; `None` where there is no room for it.
pub fn preview_width(screen: Size) -> Option<usize> {
    places(Panes::body(screen)).1.map(|preview| preview.width.into())
}

/// Draws the view; returns where the cursor is.
pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let (left, preview) = places(area);
    let columns = usize::from(left.width);
    draw_rows(&[title(app, columns)], &app.theme, left, buffer);
    let words = Rect { y: left.y + 1, height: 1, ..left }.intersection(left);
    let mut cursor = draw_words(app, words, buffer);
    let list = list(left);
    match notice(app) {
        Some((text, role)) => {
            draw_rows(&wrap(&[Piece::new(text, role)], columns, 0), &app.theme, list, buffer);
        }
        None => cursor = draw_list(app, list, buffer).or(cursor),
    }
    if let Some(preview) = preview {
        draw_preview(app, preview, buffer);
    }
    cursor
}

fn title(app: &App, columns: usize) -> Row {
    let found = match &app.chats.chats {
        Some(chats) if app.chats.field.is_empty() => format!("  {}", thousands(chats.len())),
        Some(chats) => format!("  {} found", thousands(chats.len())),
        None => String::new(),
    };
    let state = if app.chats.is_searching() { "  searching …" } else { "" };
    Row::new(vec![
        Piece::new("Chats", Role::Title),
        Piece::new(fit(&format!("{found}{state}"), columns.saturating_sub(5)), Role::Muted),
    ])
}

fn draw_words(app: &App, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let columns = usize::from(area.width).saturating_sub(PROMPT.len());
    let prompt = Piece::new(PROMPT, Role::Accent);
    let (row, column) = app.chats.field.row(columns);
    let row = match app.chats.field.is_empty() {
        true => Row::new(vec![prompt, Piece::new(fit("Words to look for …", columns), Role::Muted)]),
        false => Row::new([vec![prompt], row.pieces].concat()),
    };
    draw_rows(&[row], &app.theme, area, buffer);
    let free = app.chats.mode == Mode::List && area.height > 0;
    free.then(|| Position { x: area.x + (width(PROMPT) + column) as u16, y: area.y })
}

/// What there is to say in the place of a list.
fn notice(app: &App) -> Option<(String, Role)> {
    if let Some(failure) = &app.chats.failure {
        return Some((failure.clone(), Role::Error));
    }
    match &app.chats.chats {
        None => Some(("Looking for the chats …".to_owned(), Role::Muted)),
        Some(chats) if !chats.is_empty() => None,
        Some(_) if app.chats.field.is_empty() => Some((
            "No chat has been kept yet. Every answered question is: ask one, and it is found here."
                .to_owned(),
            Role::Muted,
        )),
        Some(_) => Some(("No chat has all of these words.".to_owned(), Role::Muted)),
    }
}

/// The list, scrolled so that the selected chat is in it; returns where the cursor of a title being typed is.
fn draw_list(app: &App, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let chats = app.chats.chats.as_deref().unwrap_or_default();
    let shown = usize::from(area.height / ITEM_ROWS).max(1);
    let first = first_listed(app, area);
    let mut cursor = None;
    for (slot, (index, chat)) in chats.iter().enumerate().skip(first).take(shown).enumerate() {
        let y = area.y + slot as u16 * ITEM_ROWS;
        let place = Rect { y, height: ITEM_ROWS, ..area }.intersection(area);
        match index == app.chats.selected {
            true => cursor = draw_selected(app, chat, place, buffer),
            false => draw_rows(&item_rows(app, chat, area.width.into()), &app.theme, place, buffer),
        }
    }
    cursor
}

/// The selected chat: highlighted, or with its title being typed, or with what is asked about it.
fn draw_selected(app: &App, chat: &ChatSummary, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let columns = usize::from(area.width);
    let [first, second] = item_rows(app, chat, columns);
    let below = Rect { y: area.y + 1, ..area }.intersection(area);
    let question = match &app.chats.mode {
        Mode::Renaming(field) => {
            let (row, column) = field.row(columns.saturating_sub(2));
            let row = Row::new([vec![Piece::new("▸ ", Role::Accent)], row.pieces].concat());
            draw_rows(&[row], &app.theme, area, buffer);
            draw_rows(&[second], &app.theme, below, buffer);
            return Some(Position { x: area.x + 2 + column as u16, y: area.y });
        }
        Mode::List => None,
        Mode::Deleting => Some(confirmation(app, "Delete this chat for good?")),
        Mode::Leaving => Some(confirmation(app, "Cancel the answer under way?")),
    };
    let first = Row::new(vec![Piece::new(first.text().replacen(' ', "▸", 1), Role::Base)]);
    match question {
        None => draw_selection(&[first, second], &app.theme, area, buffer),
        Some(question) => {
            draw_selection(&[first], &app.theme, Rect { height: 1, ..area }.intersection(area), buffer);
            let question = format!("  {}", fit(&question, columns.saturating_sub(2)));
            draw_rows(&[Row::new(vec![Piece::new(question, Role::Warning)])], &app.theme, below, buffer);
        }
    }
    None
}

/// What is asked, with the keys that answer it.
fn confirmation(app: &App, question: &str) -> String {
    let key = |action| app.keymap.key(Action::Chats(action));
    match (key(ChatsAction::Yes), key(ChatsAction::No)) {
        (Some(yes), Some(no)) => format!("{question} {yes} / {no}"),
        _ => question.to_owned(),
    }
}

fn item_rows(app: &App, chat: &ChatSummary, columns: usize) -> [Row; 2] {
    let title = fit(&chat.title, columns.saturating_sub(2));
    let when = ago(app.unix_now() - chat.used);
    // A question and its answer are a turn.
    let turns = count(chat.messages.div_ceil(2), "turn");
    let here = if app.chat.is_some_and(|current| current.0 == chat.id) { " · open" } else { "" };
    let facts = fit(&format!("{when} · {turns}{here}"), columns.saturating_sub(2));
    [
        Row::new(vec![Piece::new(format!("  {title}"), Role::Base)]),
        Row::new(vec![Piece::new(format!("  {facts}"), Role::Muted)]),
    ]
}

/// The selected chat's questions and answers, with a line between it and the list.
fn draw_preview(app: &App, area: Rect, buffer: &mut Buffer) {
    let bars = vec![Line::styled("│", app.theme.style(Role::Border)); area.height.into()];
    Paragraph::new(bars).render(Rect { x: area.x - 2, width: 1, ..area }, buffer);
    let Some(chat) = app.chats.selected_chat() else { return };
    match app.chats.preview(area.height.into()) {
        Some(rows) => draw_rows(rows, &app.theme, area, buffer),
        None => {
            let text = fit(&format!("Reading “{}” …", chat.title), area.width.into());
            draw_rows(&[Row::new(vec![Piece::new(text, Role::Muted)])], &app.theme, area, buffer);
        }
    }
}
