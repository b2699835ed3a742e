//! The first row: what answers, and what there is to answer from. Under it, on a narrow screen, the panes' names.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::Widget,
};

use super::{
    super::{
        app::{App, Indexing, View},
        format::{bytes, count, index_phase, strategy, thousands, unit},
        keys::{Action, Context},
        panes::Focus,
        text::{fit, width},
        theme::Role,
    },
    spinner,
};
use crate::engine::{Activity, Hold, IndexerStatus, Progress, Status};

/// Cells of the bar of background work.
const PROGRESS_CELLS: usize = 12;
/// Kept free for what stands on the right.
const LEAST_RIGHT: usize = 10;
/// The views, as their tabs call them.
const VIEWS: [(&str, View); 5] = [
    ("Chat", View::Chat),
    ("Compare", View::Comparison),
    ("Index", View::Indexing),
    ("Chats", View::Chats),
    ("Log", View::Log),
];
/// Cells from which on the names of the views are shown, and from which on with their keys.
const TABS_FROM: usize = 90;
const TAB_KEYS_FROM: usize = 130;
/// Between what stands on the left and what stands on the right.
const GAP: usize = 3;

pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let columns = usize::from(area.width);
    let tabs = view_tab_names(app, columns);
    let tabs_width = tabs.iter().map(|(name, _)| width(name)).sum::<usize>();
    let left = who(app, columns.saturating_sub(LEAST_RIGHT + GAP + tabs_width));
    let used = left.width() + tabs_width + if tabs.is_empty() { 0 } else { GAP };
    left.render(area, buffer);
    draw_view_tabs(app, area, buffer);
    if let Some(right) = what(app, columns.saturating_sub(used + GAP)) {
        right.right_aligned().render(area, buffer);
    }
}

/// The names of the views, each with its key where there is room for it; none where there is no room for them.
fn view_tab_names(app: &App, columns: usize) -> Vec<(String, View)> {
    let names = VIEWS.map(|(name, view)| (format!(" {name} "), view)).to_vec();
    if columns < TABS_FROM {
        return Vec::new();
    }
    if columns < TAB_KEYS_FROM {
        return names;
    }
    let with_key = |(name, view): (&str, View)| match app.keymap.key_in(Context::AnyView, Action::Open(view))
    {
        Some(key) => (format!(" {key} {name} "), view),
        None => (format!(" {name} "), view),
    };
    VIEWS.map(with_key).to_vec()
}

/// Where the name of each view is.
pub fn view_tabs(app: &App, area: Rect) -> Vec<(Rect, View)> {
    let columns = usize::from(area.width).saturating_sub(2);
    let names = view_tab_names(app, columns);
    let tabs_width = names.iter().map(|(name, _)| width(name)).sum::<usize>();
    let left = who(app, columns.saturating_sub(LEAST_RIGHT + GAP + tabs_width)).width();
    row_of(area.x + 1 + (left + GAP) as u16, area, names)
}

fn draw_view_tabs(app: &App, area: Rect, buffer: &mut Buffer) {
    let whole = Rect { x: area.x - 1, width: area.width + 2, ..area };
    let names = view_tab_names(app, area.width.into());
    for ((place, view), (name, _)) in view_tabs(app, whole).into_iter().zip(names) {
        let role = if view == app.view { Role::Selection } else { Role::Muted };
        Line::styled(name, app.theme.style(role)).render(place, buffer);
    }
}

/// The places of names that stand side by side from column `x` of `area` on.
fn row_of<T>(mut x: u16, area: Rect, names: Vec<(String, T)>) -> Vec<(Rect, T)> {
    let mut places = Vec::new();
    for (name, what) in names {
        let width = (width(&name) as u16).min(area.right().saturating_sub(x));
        places.push((Rect { x, width, height: area.height.min(1), ..area }, what));
        x += width;
    }
    places
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
    if let Some(status) = app.elsewhere.as_ref().filter(|status| app.indexing.is_none() && is_busy(status)) {
        // Which process it is stands in the indexing view, too.
        let whole = other_process(status);
        let text = if width(&whole) <= columns { whole } else { fit(&doing(status), columns) };
        return Some(Line::from(Span::styled(text, style(Role::Muted))));
    }
    if let Some(indexing) = app.indexing {
        let mark = match indexing.progress.and_then(|progress| progress.hold) {
            Some(_) => Span::styled("‖ ", style(Role::Warning)),
            None => Span::styled(format!("{} ", spinner(app)), style(Role::Accent)),
        };
        let (text, bar) = progress(&indexing, columns.saturating_sub(2));
        let bar_width = bar.as_ref().map_or(0, |(done, left)| 1 + width(done) + width(left));
        let mut spans = vec![mark];
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

/// What a process in the background is at: `process 4711: encode 22 %`.
pub fn other_process(status: &IndexerStatus) -> String {
    format!("process {}: {}", status.process, doing(status))
}

/// It does more than watch: what is indexed is about to change.
fn is_busy(status: &IndexerStatus) -> bool {
    status.activity != Activity::Watching
}

fn doing(status: &IndexerStatus) -> String {
    let doing = match (status.activity, status.progress) {
        (Activity::Stopping, _) => "stopping".to_owned(),
        (Activity::Watching, _) => "watches for changes".to_owned(),
        (Activity::Indexing, None) => "starts indexing".to_owned(),
        (Activity::Indexing, Some(progress)) => {
            let phase = index_phase(progress.phase);
            match progress.done.saturating_mul(100).checked_div(progress.total) {
                Some(percent) => format!("{phase} {percent} %"),
                None => phase.to_owned(),
            }
        }
    };
    let hold = match status.progress.and_then(|progress| progress.hold) {
        Some(Hold::Paused) => ", paused",
        Some(Hold::Question) => ", gives way",
        Some(Hold::Battery) => ", on battery",
        None => "",
    };
    format!("{doing}{hold}")
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

/// What is being done, the longest that there is room for, and a bar where its end is known.
fn progress(indexing: &Indexing, columns: usize) -> (String, Option<(String, String)>) {
    let Some(Progress { phase, done, total, unit: counted, hold, .. }) = indexing.progress else {
        return ("indexing".to_owned(), None);
    };
    let (hold, short) = match hold {
        None => ("", None),
        Some(Hold::Paused) => ("paused · ", Some("paused")),
        Some(Hold::Question) => ("gives way to the question · ", Some("gives way")),
        Some(Hold::Battery) => ("on battery · ", Some("on battery")),
    };
    let (phase, counted) = (index_phase(phase), unit(counted));
    let done_count = thousands(done as usize);
    let mut texts = match done.saturating_mul(100).checked_div(total) {
        None => vec![format!("{hold}{phase} · {}", count(done as usize, counted)), format!("{hold}{phase}")],
        Some(percent) => vec![
            format!("{hold}{phase} {done_count} of {}", count(total as usize, counted)),
            format!("{hold}{phase} {percent} %"),
        ],
    };
    let shortest = short.into_iter().flat_map(|hold| [format!("{hold} · {phase}"), hold.to_owned()]);
    texts.extend(shortest.chain([phase.to_owned(), "…".to_owned()]));
    let text = texts.into_iter().find(|text| width(text) <= columns).unwrap_or_default();
    let full = (done.min(total) as usize * PROGRESS_CELLS).checked_div(total as usize);
    (text, full.map(|full| ("━".repeat(full), "─".repeat(PROGRESS_CELLS - full))))
}

/// The names of the panes, the shown one marked.
pub fn draw_tabs(app: &App, area: Rect, buffer: &mut Buffer) {
    let shown = if app.focus == Focus::Input { Focus::Conversation } else { app.focus };
    for ((place, focus), (name, _)) in pane_tabs(app, area).into_iter().zip(pane_tab_names(app)) {
        let role = if focus == shown { Role::Selection } else { Role::Muted };
        Line::styled(name, app.theme.style(role)).render(place, buffer);
    }
}

/// Where the name of each pane is.
pub fn pane_tabs(app: &App, area: Rect) -> Vec<(Rect, Focus)> {
    row_of(area.x, area, pane_tab_names(app))
}

fn pane_tab_names(app: &App) -> Vec<(String, Focus)> {
    let sources = match app.sources().len() {
        0 => " Sources ".to_owned(),
        number => format!(" Sources {number} "),
    };
    vec![
        (" Chat ".to_owned(), Focus::Conversation),
        (sources, Focus::Sources),
        (" Timings ".to_owned(), Focus::Timings),
    ]
}
