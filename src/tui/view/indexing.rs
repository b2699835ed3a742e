//! The indexing: what is indexed, the run under way or the last one, and what the view asks.

mod run;

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    text::Line,
    widgets::{Paragraph, Widget},
};

use super::{
    super::{
        app::App,
        format::{bytes, count, thousands},
        gauge,
        indexing::Prompt,
        panes::Panes,
        path_field::PathField,
        text::{Piece, Row, fit_end, flow, width, wrap},
        theme::Role,
    },
    draw_rows,
    header::other_process,
    hint_at_rows_below, rounded,
};
use crate::engine::{IndexedRoot, Status};

/// From this width on the run stands beside what is indexed, below it over it.
const TWO_COLUMNS: u16 = 110;
/// The widest bar.
const WIDEST_BAR: usize = 40;
/// Cells of a row's name.
const NAME: usize = 8;
/// Most rows of folders that a path may become.
const CANDIDATE_ROWS: usize = 3;

/// The view's rows, as they are laid out on the screen of the app's size.
struct Layout {
    /// What is indexed, where it has a column of its own.
    beside: Option<(Rect, Vec<Row>)>,
    /// What scrolls.
    area: Rect,
    rows: Vec<Row>,
    /// The row of the selected root: of `beside`, where there is that, else of `rows`.
    selected: Option<usize>,
    prompt: Rect,
}

/// Draws the view; returns where the cursor is, while a path is being typed.
pub fn draw(app: &App, buffer: &mut Buffer) -> Option<Position> {
    let Layout { beside, area, rows, selected, prompt } = layout(app);
    if let Some((place, indexed)) = beside {
        draw_rows(&indexed[first_beside(place, selected)..], &app.theme, place, buffer);
        let line = Rect { x: place.right() + 1, width: 1, ..place };
        let bars = vec![Line::styled("│", app.theme.style(Role::Border)); line.height.into()];
        Paragraph::new(bars).render(line, buffer);
    }
    let overflow = rows.len().saturating_sub(area.height.into());
    let top = app.indexing_view.top.min(overflow);
    draw_rows(&rows[top..], &app.theme, area, buffer);
    if top < overflow {
        hint_at_rows_below(&app.theme, area, buffer);
    }
    draw_prompt(app, prompt, buffer)
}

/// The first visible row of what stands beside the run: the selected root is always in sight.
fn first_beside(place: Rect, selected: Option<usize>) -> usize {
    selected.map_or(0, |row| (row + 1).saturating_sub(place.height.into()))
}

/// The number of the root that is drawn at `position`.
pub fn root_at(app: &App, position: Position) -> Option<usize> {
    let Layout { beside, area, rows, selected, .. } = layout(app);
    let (place, top) = match &beside {
        Some((place, _)) => (*place, first_beside(*place, selected)),
        None => (area, app.indexing_view.top.min(rows.len().saturating_sub(area.height.into()))),
    };
    if !place.contains(position) {
        return None;
    }
    let first_root = selected?.checked_sub(app.indexing_view.selected)?;
    let root = (top + usize::from(position.y - place.y)).checked_sub(first_root)?;
    (root < app.indexing_view.roots.as_ref()?.len()).then_some(root)
}

/// Rows of what scrolls that are not shown at once, and rows that are.
pub fn overflow(app: &App) -> (usize, usize) {
    let Layout { area, rows, .. } = layout(app);
    (rows.len().saturating_sub(area.height.into()), area.height.into())
}

/// The first visible row with which the selected root is seen, as near as can be to the present one.
pub fn reveal(app: &App) -> usize {
    let Layout { beside, area, selected, .. } = layout(app);
    let top = app.indexing_view.top;
    match selected.filter(|_| beside.is_none()) {
        Some(row) => top.min(row).max((row + 1).saturating_sub(area.height.into())),
        None => top,
    }
}

fn layout(app: &App) -> Layout {
    let body = Panes::body(app.size);
    let below = prompt_rows(app, body.width).min(body.height);
    let prompt = Rect { y: body.bottom() - below, height: below, ..body };
    let area = Rect { height: body.height - below, ..body };
    if body.width < TWO_COLUMNS {
        let columns = usize::from(body.width);
        // What moves comes first.
        let mut rows = if app.indexing_view.run.is_some() { run::rows(app, columns) } else { Vec::new() };
        let before = rows.len();
        let (indexed, selected) = indexed(app, columns);
        rows.extend(indexed);
        rows.extend(run::left_out(app, columns));
        return Layout { beside: None, area, rows, selected: selected.map(|row| row + before), prompt };
    }
    let left = Rect { width: body.width * 2 / 5, ..area };
    let right = Rect { x: left.right() + 3, width: body.width - left.width - 3, ..area };
    let (indexed, selected) = indexed(app, left.width.into());
    let mut rows = run::rows(app, right.width.into());
    rows.extend(run::left_out(app, right.width.into()));
    Layout { beside: Some((left, indexed)), area: right, rows, selected, prompt }
}

/// A line with the name of what follows.
fn rule(name: &str, columns: usize) -> Row {
    let name = super::super::text::fit(name, columns.saturating_sub(6));
    let fill = "─".repeat(columns.saturating_sub(4 + width(&name)));
    Row::new(vec![
        Piece::new("── ", Role::Border),
        Piece::new(name, Role::Title),
        Piece::new(format!(" {fill}"), Role::Border),
    ])
}

fn said(text: impl Into<String>, role: Role, columns: usize) -> Vec<Row> {
    wrap(&[Piece::new(text, role)], columns, 0)
}

/// What is indexed, and the row of the selected root.
fn indexed(app: &App, columns: usize) -> (Vec<Row>, Option<usize>) {
    let mut rows = vec![rule("Indexed", columns)];
    match &app.status {
        Some(status) => rows.extend(summary(app, status, columns)),
        None => rows.extend(said("The engine is starting.", Role::Muted, columns)),
    }
    rows.push(Row::blank());
    rows.push(rule("Folders", columns));
    let mut selected = None;
    match app.indexing_view.roots.as_deref() {
        None => rows.extend(said("Asking the catalogue …", Role::Muted, columns)),
        Some([]) => rows.extend(said("None yet: add the first one.", Role::Muted, columns)),
        Some(roots) => {
            selected = Some(rows.len() + app.indexing_view.selected);
            let root = |(index, root)| root_row(root, index == app.indexing_view.selected, columns);
            rows.extend(roots.iter().enumerate().map(root));
        }
    }
    rows.push(Row::blank());
    (rows, selected)
}

/// Files, chunks, model; how many chunks have a cache, and the caches' bytes against the budget.
fn summary(app: &App, status: &Status, columns: usize) -> Vec<Row> {
    let model = status.model.as_ref().map_or("no model", |model| model.name.as_str());
    let item = |text: String| vec![Piece::new(text, Role::Base)];
    let items =
        [item(count(status.files, "file")), item(count(status.chunks, "chunk")), item(model.to_owned())];
    let mut rows = flow(&items, columns, 2);
    let chunks = format!("{} of {} cached", thousands(status.cached_chunks), thousands(status.chunks));
    rows.push(meter("Chunks", status.cached_chunks as u64, status.chunks as u64, &chunks, columns));
    let run = app.indexing_view.run.as_ref().filter(|run| run.is_running());
    let used = run.and_then(|run| run.cache_bytes()).unwrap_or(status.cache_bytes);
    let budget = format!("{} of {}", bytes(used), bytes(status.cache_budget_bytes));
    let elsewhere = app.elsewhere.as_ref().filter(|_| run.is_none());
    rows.extend(elsewhere.map(|status| Row::new(vec![Piece::new(other_process(status), Role::Accent)])));
    rows.push(meter("Cache", used, status.cache_budget_bytes, &budget, columns));
    rows
}

/// A name, a bar, and what the bar says in numbers.
fn meter(name: &str, done: u64, total: u64, numbers: &str, columns: usize) -> Row {
    let cells = columns.saturating_sub(NAME + 2 + width(numbers)).min(WIDEST_BAR);
    let (full, open) = gauge::progress(done, total, cells);
    Row::new(vec![
        Piece::new(format!("{name:<NAME$}"), Role::Muted),
        Piece::new(full, Role::Accent),
        Piece::new(open, Role::Border),
        Piece::new(format!("  {numbers}"), Role::Base),
    ])
}

fn root_row(root: &IndexedRoot, selected: bool, columns: usize) -> Row {
    let numbers = format!("{}, {}", count(root.files, "file"), count(root.chunks, "chunk"));
    let free = columns.saturating_sub(2 + 2 + width(&numbers));
    let path = fit_end(&root.path.to_string_lossy(), free);
    let gap = " ".repeat(2 + free.saturating_sub(width(&path)));
    let (marker, role) = if selected { ("▸ ", Role::Selection) } else { ("  ", Role::Base) };
    let numbers_role = if selected { role } else { Role::Muted };
    Row::new(vec![Piece::new(format!("{marker}{path}{gap}"), role), Piece::new(numbers, numbers_role)])
}

/// Rows at the bottom for what the view asks or refuses.
fn prompt_rows(app: &App, columns: u16) -> u16 {
    let below = below_prompt(app, columns.into()).len() as u16;
    match app.indexing_view.prompt {
        Some(Prompt::Add(_)) => 3 + below,
        Some(Prompt::Forget(_)) | None => below,
    }
}

/// The question whether to forget, the folders that the path may become, or why something was not done.
fn below_prompt(app: &App, columns: usize) -> Vec<Row> {
    let mut rows = match &app.indexing_view.prompt {
        Some(Prompt::Add(path)) => candidates(path, columns),
        Some(Prompt::Forget(root)) => {
            let (files, chunks) = (count(root.files, "file"), count(root.chunks, "chunk"));
            let path = root.path.to_string_lossy();
            let text = format!(
                "Take {path} out of the index, with {files}, {chunks} and their caches? The files stay."
            );
            said(text, Role::Warning, columns)
        }
        None => Vec::new(),
    };
    if let Some(notice) = &app.indexing_view.notice {
        rows.extend(said(notice, Role::Warning, columns));
    }
    rows
}

fn candidates(path: &PathField, columns: usize) -> Vec<Row> {
    if path.nothing_found {
        return said("No folder begins so.", Role::Muted, columns);
    }
    let item = |(index, candidate): (usize, &String)| {
        let role = if path.chosen == Some(index) { Role::Selection } else { Role::Muted };
        // The last part says which it is; the others are in the field.
        let name = candidate.trim_end_matches('/').rsplit('/').next().unwrap_or(candidate);
        vec![Piece::new(fit_end(name, columns.min(40)), role), Piece::new("/", Role::Muted)]
    };
    let items: Vec<_> = path.candidates.iter().enumerate().map(item).collect();
    let rows = flow(&items, columns, 2);
    // The rows with the one that is in the field.
    let chosen = rows.iter().position(|row| row.pieces.iter().any(|piece| piece.role == Role::Selection));
    let first = (chosen.unwrap_or(0) + 1).saturating_sub(CANDIDATE_ROWS);
    let left = rows.len().saturating_sub(first + CANDIDATE_ROWS);
    let mut shown: Vec<Row> = rows.into_iter().skip(first).take(CANDIDATE_ROWS).collect();
    if left > 0 {
        shown.push(Row::new(vec![Piece::new("…", Role::Muted)]));
    }
    shown
}

fn draw_prompt(app: &App, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let below = below_prompt(app, area.width.into());
    let Some(Prompt::Add(path)) = &app.indexing_view.prompt else {
        draw_rows(&below, &app.theme, area, buffer);
        return None;
    };
    let field = Rect { height: area.height.min(3), ..area };
    let title = Line::styled(" Add a folder or a file ", app.theme.style(Role::Title));
    let frame = rounded(app.theme.style(Role::BorderFocus)).title(title);
    frame.render(field, buffer);
    let text = Rect {
        x: field.x + 2,
        y: field.y + 1,
        width: field.width.saturating_sub(4),
        height: field.height.saturating_sub(2),
    };
    let (row, cursor) = path.field.row(text.width.into());
    draw_rows([&row], &app.theme, text, buffer);
    let rest = Rect { y: field.bottom(), height: area.height - field.height, ..area };
    draw_rows(&below, &app.theme, rest, buffer);
    Some(Position { x: text.x + cursor as u16, y: text.y })
}
