//! The chats that were kept, as the screen lists them.

use ratatui::{buffer::Buffer, layout::Rect, text::Line, widgets::Widget};

use super::super::{app::App, theme::Role};

pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    Line::styled("Chats", app.theme.style(Role::Title)).render(area, buffer);
}
