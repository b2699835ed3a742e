//! What the last answers took, phase by phase.

use ratatui::{buffer::Buffer, layout::Rect, text::Line, widgets::Widget};

use super::super::{app::App, theme::Role};

pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    Line::styled("Timings", app.theme.style(Role::Title)).render(area, buffer);
}
