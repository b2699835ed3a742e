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
        format::count,
        panes::{Focus, Panes},
        text::fit,
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
    draw_what_goes_along(app, area, buffer);
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

/// On the border: how much of the conversation goes along with the question, and whether it takes another's place.
fn draw_what_goes_along(app: &App, area: Rect, buffer: &mut Buffer) {
    let replaced = app.editing.as_ref().map(|editing| editing.turn);
    let earlier = app.earlier_turns(replaced).len();
    let along = (earlier > 0).then(|| format!("with {}", count(earlier, "earlier turn")));
    let editing = replaced.map(|_| "editing an earlier question".to_owned());
    let parts: Vec<_> = editing.into_iter().chain(along).collect();
    if parts.is_empty() {
        return;
    }
    let text = fit(&parts.join(" · "), usize::from(area.width).saturating_sub(6));
    let line = Line::styled(format!(" {text} "), app.theme.style(Role::Muted));
    let width = (line.width() as u16).min(area.width.saturating_sub(4));
    let x = area.right().saturating_sub(width + 2);
    line.render(Rect { x, width, height: 1, ..area }, buffer);
}
