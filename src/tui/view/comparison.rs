//! The comparison of strategies as the screen shows it.

use crossterm::event::KeyCode;
use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    text::Line,
};

use super::{
    super::{
        app::App,
        comparison::header_rows,
        panes::Panes,
        text::{Row, width},
        theme::Role,
    },
    draw_over, draw_rows, spinner,
};

pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let view = &app.comparison;
    let header = header_rows(view, spinner(app), area.width.into());
    draw_rows(&header, &app.theme, area, buffer);
    let page = page(area, &header);
    let top = view.top.min(view.page.rows.len());
    draw_rows(&view.page.rows[top..], &app.theme, page, buffer);
    // The names of the answers stay over them.
    if let Some(heading) = view.page.heading.filter(|heading| *heading < top) {
        clear(Rect { height: 1, ..page }, buffer);
        draw_rows([&view.page.rows[heading]], &app.theme, Rect { height: 1, ..page }, buffer);
    }
    let below = view.page.rows.len().saturating_sub(top + usize::from(page.height));
    if below > 0 {
        hint_at_more(app, below, page, buffer);
    }
}

/// What is under the header.
fn page(area: Rect, header: &[Row]) -> Rect {
    let rows = header.len() as u16;
    Rect { y: area.y + rows, height: area.height.saturating_sub(rows), ..area }.intersection(area)
}

/// The key whose name is drawn at `position`, or whose only key's name stands before the words there.
pub fn key_at(app: &App, position: Position) -> Option<KeyCode> {
    let area = Panes::body(app.size);
    let header = header_rows(&app.comparison, spinner(app), area.width.into());
    let page = page(area, &header);
    let column = usize::from(position.x.checked_sub(area.x)?);
    let row = match page.contains(position) {
        true => app.comparison.page.rows.get(app.comparison.top + usize::from(position.y - page.y)),
        false => header.get(usize::from(position.y.checked_sub(area.y)?)),
    };
    key_of(row?, column)
}

fn key_of(row: &Row, column: usize) -> Option<KeyCode> {
    let mut end = 0;
    let index = row.pieces.iter().position(|piece| {
        end += width(&piece.text);
        column < end
    })?;
    let piece = &row.pieces[index];
    if piece.role == Role::Key {
        let inside = column + width(&piece.text) - end;
        return code(&piece.text.chars().skip(inside).take(1).collect::<String>());
    }
    let before = row.pieces[..index].last().filter(|before| before.role == Role::Key)?;
    code(before.text.trim())
}

/// The key of this name, of those that the view names.
fn code(name: &str) -> Option<KeyCode> {
    let mut characters = name.chars();
    match (characters.next()?, characters.next()) {
        ('←', None) => Some(KeyCode::Left),
        ('→', None) => Some(KeyCode::Right),
        (' ', None) | (_, Some(_)) => None,
        (character, None) => Some(KeyCode::Char(character)),
    }
}

fn clear(area: Rect, buffer: &mut Buffer) {
    for x in area.left()..area.right() {
        if let Some(cell) = buffer.cell_mut((x, area.y)) {
            cell.set_symbol(" ");
        }
    }
}

fn hint_at_more(app: &App, below: usize, area: Rect, buffer: &mut Buffer) {
    let text = format!(" ↓ {below} more ");
    let cells = (width(&text) as u16).min(area.width);
    let place = Rect { x: area.right() - cells, y: area.bottom().saturating_sub(1), width: cells, height: 1 };
    let hint = Line::styled(text, app.theme.style(Role::Selection));
    draw_over(hint, &app.theme, place.intersection(area), buffer);
}
