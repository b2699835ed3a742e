//! The last row: the keys that work now.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::Widget,
};

use super::super::{app::App, keys, panes::Focus, text::width, theme::Role};

pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let area = Rect { x: area.x + 2, width: area.width.saturating_sub(4), ..area };
    if app.interrupted.is_some() {
        return Line::styled("Press Ctrl-C again to quit", app.theme.style(Role::Warning)).render(area, buffer);
    }
    let contexts = app.contexts();
    let mut spans = Vec::new();
    let mut used = 0;
    for binding in keys::hints(&contexts) {
        let key = binding.chords[0].name();
        let mut words = binding.hint.unwrap_or_default();
        if binding.action == keys::Action::SwitchPane && app.focus == Focus::Sources {
            words = "question";
        }
        let gap = if spans.is_empty() { 0 } else { 3 };
        let cells = gap + width(&key) + 1 + width(words);
        if used + cells > area.width.into() {
            continue;
        }
        used += cells;
        spans.push(Span::raw(" ".repeat(gap)));
        spans.push(Span::styled(key, app.theme.style(Role::Key)));
        spans.push(Span::styled(format!(" {words}"), app.theme.style(Role::Muted)));
    }
    Line::from(spans).render(area, buffer);
}
