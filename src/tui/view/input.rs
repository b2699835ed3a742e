//! The box in which the question is typed.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    text::{Line, Span},
    widgets::Widget,
};

use super::{
    super::{
        app::App,
        panes::{Focus, Panes},
        theme::Role,
    },
    draw_rows, rounded,
};

/// Border, margin and prompt before the text.
const LEFT: u16 = 4;

/// Draws the box; returns where the cursor is, while the box has the keyboard.
pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let focused = app.focus == Focus::Input;
    let border = if focused { Role::BorderFocus } else { Role::Border };
    let prompt = if focused { Role::Accent } else { Role::Muted };
    rounded(app.theme.style(border)).render(area, buffer);
    let columns = Panes::input_columns(app.size);
    let text = Rect {
        x: area.x + LEFT,
        y: area.y + 1,
        width: columns as u16,
        height: area.height.saturating_sub(2),
    };
    Line::styled("❯", app.theme.style(prompt)).render(Rect { x: area.x + 2, width: 1, ..text }, buffer);
    let (rows, (row, column)) = app.input.rows(columns);
    let first = (row + 1).saturating_sub(text.height.into());
    if app.input.is_empty() {
        let words =
            if app.running().is_some() { "The next question …" } else { "Ask about your files …" };
        Line::from(Span::styled(words, app.theme.style(Role::Muted))).render(text, buffer);
    } else {
        draw_rows(&rows[first..], &app.theme, text, buffer);
    }
    focused.then(|| Position { x: text.x + column as u16, y: text.y + (row - first) as u16 })
}
