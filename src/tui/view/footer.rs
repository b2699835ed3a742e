//! The last row: the keys that work now.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::Widget,
};

use super::super::{
    app::App,
    keys::{Action, IndexingAction},
    text::{fit, width},
    theme::Role,
};

pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let area = Rect { x: area.x + 2, width: area.width.saturating_sub(4), ..area };
    if app.interrupted.is_some() {
        let key = app.keymap.key(Action::Interrupt).unwrap_or_default();
        return Line::styled(format!("Press {key} again to quit"), app.theme.style(Role::Warning))
            .render(area, buffer);
    }
    if let Some((text, _)) = &app.flash {
        let text = fit(text, area.width.into());
        return Line::styled(text, app.theme.style(Role::Success)).render(area, buffer);
    }
    let mut spans = Vec::new();
    let mut used = 0;
    for (keys, words) in hints(app) {
        let gap = if spans.is_empty() { 0 } else { 3 };
        let cells = gap + width(&keys) + 1 + width(words);
        if used + cells > area.width.into() {
            continue;
        }
        used += cells;
        spans.push(Span::raw(" ".repeat(gap)));
        spans.push(Span::styled(keys, app.theme.style(Role::Key)));
        spans.push(Span::styled(format!(" {words}"), app.theme.style(Role::Muted)));
    }
    Line::from(spans).render(area, buffer);
}

/// The keys that work now and what they do; keys that follow each other with the same word share it.
fn hints(app: &App) -> Vec<(String, &'static str)> {
    let mut hints: Vec<(String, &'static str)> = Vec::new();
    for (chord, binding) in app.keymap.hints(&app.contexts()) {
        let key = chord.name();
        let words = match binding.action {
            Action::Indexing(IndexingAction::Pause) if app.indexing_is_paused() => "go on",
            _ => binding.hint.unwrap_or_default(),
        };
        match hints.last_mut() {
            Some((keys, last)) if *last == words => *keys = format!("{keys} {key}"),
            _ => hints.push((key, words)),
        }
    }
    hints
}
