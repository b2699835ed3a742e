//! The indexing as the screen shows it.

use ratatui::{buffer::Buffer, layout::Rect, text::Line, widgets::Widget};

use super::super::{app::App, theme::Role};

pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    Line::styled("Indexing", app.theme.style(Role::Title)).render(area, buffer);
}
