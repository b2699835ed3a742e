//! The first row: what answers, and what there is to answer from. Under it, on a narrow screen, the panes' names.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::Widget,
};

use super::{
    super::{
        app::{App, Indexing},
        format::{bytes, count, index_phase, strategy, thousands, unit},
        panes::Focus,
        text::{fit, width},
        theme::Role,
    },
    spinner,
};
use crate::engine::{Progress, Status};

/// Cells of the bar of background work.
const PROGRESS_CELLS: usize = 12;
/// Kept free for what stands on the right.
const LEAST_RIGHT: usize = 10;
/// Between what stands on the left and what stands on the right.
const GAP: usize = 3;

pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let columns = usize::from(area.width);
    let left = who(app, columns.saturating_sub(LEAST_RIGHT + GAP));
    let left_width = left.width();
    left.render(area, buffer);
    if let Some(right) = what(app, columns.saturating_sub(left_width + GAP)) {
        right.right_aligned().render(area, buffer);
    }
}

/// The program, the model and the strategy.
fn who(app: &App, columns: usize) -> Line<'static> {
    let style = |role| app.theme.style(role);
    let dot = || Span::styled(" · ", style(Role::Muted));
    let name = match &app.status {
        None if app.engine_gone => "not running".to_owned(),
        None => "starting".to_owned(),
        Some(Status { model: None, .. }) => "no model".to_owned(),
        Some(Status { model: Some(model), .. }) => model.name.clone(),
    };
    let strategy = strategy(app.strategy);
    let name = fit(&name, columns.saturating_sub(strategy.len() + 12));
    let model_style = match &app.status {
        Some(Status { model: None, .. }) => style(Role::Warning),
        None if app.engine_gone => style(Role::Error),
        _ => style(Role::Base),
    };
    Line::from(vec![
        Span::styled("gibbon", style(Role::Accent)),
        dot(),
        Span::styled(name, model_style),
        dot(),
        Span::styled(strategy, style(Role::Key)),
    ])
}

/// Background work while there is some, else what is indexed: as much of it as fits.
fn what(app: &App, columns: usize) -> Option<Line<'static>> {
    let style = |role| app.theme.style(role);
    if let Some(indexing) = app.indexing {
        let spinner = Span::styled(format!("{} ", spinner(app)), style(Role::Accent));
        let (text, bar) = progress(&indexing);
        let bar_width = bar.as_ref().map_or(0, |(done, left)| 1 + width(done) + width(left));
        let mut spans = vec![spinner];
        if let Some((done, left)) = bar.filter(|_| columns >= 2 + width(&text) + bar_width) {
            spans.push(Span::styled(text, style(Role::Base)));
            spans.push(Span::styled(format!(" {done}"), style(Role::Accent)));
            spans.push(Span::styled(left, style(Role::Border)));
        } else {
            spans.push(Span::styled(fit(&text, columns.saturating_sub(2)), style(Role::Base)));
        }
        return Some(Line::from(spans));
    }
    let status = app.status.as_ref()?;
    let parts = parts(status);
    let mut shown = String::new();
    for part in parts {
        let longer = if shown.is_empty() { part } else { format!("{shown} · {part}") };
        if width(&longer) > columns {
            break;
        }
        shown = longer;
    }
    Some(Line::from(Span::styled(shown, style(Role::Muted))))
}

/// What is indexed, the most important first.
fn parts(status: &Status) -> Vec<String> {
    if status.chunks == 0 {
        return vec!["nothing indexed".to_owned()];
    }
    vec![
        count(status.files, "file"),
        count(status.chunks, "chunk"),
        format!("{} cached", thousands(status.cached_chunks)),
        bytes(status.cache_bytes),
    ]
}

/// What is being done, and a bar where its end is known.
fn progress(indexing: &Indexing) -> (String, Option<(String, String)>) {
    let Some(Progress { phase, done, total, unit: counted, .. }) = indexing.progress else {
        return ("indexing".to_owned(), None);
    };
    let (phase, counted) = (index_phase(phase), unit(counted));
    if total == 0 {
        return (format!("{phase} · {}", count(done as usize, counted)), None);
    }
    let text = format!("{phase} {} of {}", thousands(done as usize), count(total as usize, counted));
    let full = (done.min(total) as usize * PROGRESS_CELLS) / total as usize;
    (text, Some(("━".repeat(full), "─".repeat(PROGRESS_CELLS - full))))
}

/// The names of the panes, the shown one marked.
pub fn draw_tabs(app: &App, area: Rect, buffer: &mut Buffer) {
    let sources = match app.sources().len() {
        0 => " Sources ".to_owned(),
        number => format!(" Sources {number} "),
    };
    let shown = if app.focus == Focus::Input { Focus::Conversation } else { app.focus };
    let tabs = [
        (" Chat ".to_owned(), Focus::Conversation),
        (sources, Focus::Sources),
        (" Timings ".to_owned(), Focus::Timings),
    ];
    let spans = tabs.into_iter().flat_map(|(name, focus)| {
        let role = if focus == shown { Role::Selection } else { Role::Muted };
        [Span::styled(name, app.theme.style(role)), Span::raw(" ")]
    });
    Line::from_iter(spans).render(area, buffer);
}
