//! The conversation before the first question: what to do next.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    super::{
        app::App,
        first_run::Fetch,
        format::{bytes, count, thousands},
        keys::Action,
        text::{Piece, Row, wrap},
        theme::Role,
    },
    draw_rows, spinner,
};
use crate::{
    config::ModelSource,
    engine::{Status, admin::DEFAULT_MODEL_BYTES},
};

/// Cells of the bar of what has been fetched.
const BAR_CELLS: usize = 20;

/// The widest that the text gets.
const WIDEST: u16 = 72;

pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let width = area.width.min(WIDEST);
    let mut rows = rows(app, width.into());
    // Where there is no room for all of it, the commands stay.
    let height = usize::from(area.height);
    if rows.len() > height {
        rows.retain(|row| !row.pieces.is_empty());
    }
    if rows.len() > height {
        rows.retain(|row| row.pieces.iter().any(|piece| piece.role == Role::Key));
    }
    let free = area.height.saturating_sub(rows.len() as u16);
    let left = (area.width - width) / 2;
    let place = Rect { x: area.x + left.min(6), y: area.y + free / 3, width, height: area.height - free / 3 };
    draw_rows(&rows, &app.theme, place, buffer);
}

fn rows(app: &App, width: usize) -> Vec<Row> {
    match &app.status {
        None => vec![Row::new(vec![Piece::new("Starting …", Role::Muted)])],
        Some(status) if status.model.is_none() || status.chunks == 0 => first_steps(app, status, width),
        Some(status) => ready(status, width),
    }
}

fn first_steps(app: &App, status: &Status, width: usize) -> Vec<Row> {
    let has_model = status.model.is_some();
    let has_documents = status.chunks > 0;
    let next = key(app, Action::NextStep);
    let mut rows = vec![heading("Welcome to Gibbon"), Row::blank()];
    rows.extend(plain("Chat with your own files. Two things are needed first:", width));
    rows.push(Row::blank());
    rows.push(step(has_model, "A language model", "is there"));
    if !has_model {
        rows.extend(model_rows(app, &next, width));
    }
    rows.push(Row::blank());
    rows.push(step(has_documents, "Your documents", "are there"));
    if !has_documents && app.indexing.is_some() {
        rows.extend(indented("are being indexed; the header says how far that is", Role::Muted, width));
    } else if !has_documents && has_model {
        rows.push(command(&next, "add a folder", width));
        rows.push(command(&key(app, Action::IndexSamples), "or begin with the sample documents", width));
    } else if !has_documents {
        rows.extend(indented("come next: a folder of yours, or the samples", Role::Muted, width));
    }
    rows
}

/// How the model is fetched, how far that is, or why it failed.
fn model_rows(app: &App, next: &str, width: usize) -> Vec<Row> {
    let model = match &app.first_run.model {
        ModelSource::Default => {
            format!("SmolLM2-135M-Instruct ({}, Apache-2.0)", bytes(DEFAULT_MODEL_BYTES))
        }
        other => other.to_string(),
    };
    match &app.first_run.fetch {
        Fetch::Idle => {
            let mut rows = vec![command(next, "fetch it", width)];
            rows.extend(indented(&format!("{model}, from the Hugging Face Hub"), Role::Muted, width));
            rows
        }
        Fetch::Running { source, done, total, checking, warnings } => {
            let mut rows = indented(&format!("fetching {model}"), Role::Base, width);
            if !source.is_empty() {
                rows.extend(indented(&format!("from {source}"), Role::Muted, width));
            }
            let amount = match (checking, total) {
                (true, _) => "checking size and hash".to_owned(),
                (false, 0) => "waiting for an answer".to_owned(),
                (false, total) => format!("{} of {}", bytes(*done), bytes(*total)),
            };
            let mut row = Row::new(vec![Piece::new(format!("    {} {amount}", spinner(app)), Role::Accent)]);
            if *total > 0 && !checking {
                let full = (*done).min(*total) as usize * BAR_CELLS / (*total).max(1) as usize;
                row.pieces.push(Piece::new(format!("  {}", "━".repeat(full)), Role::Accent));
                row.pieces.push(Piece::new("─".repeat(BAR_CELLS - full), Role::Border));
            }
            rows.push(row);
            for warning in warnings {
                rows.extend(indented(warning, Role::Warning, width));
            }
            rows
        }
        Fetch::Fetched => indented("fetched; it is being loaded", Role::Muted, width),
        Fetch::Failed(failure) => {
            let mut rows = indented(&failure.message, Role::Error, width);
            if let Some(hint) = &failure.hint {
                rows.extend(indented(hint, Role::Base, width));
            }
            rows.push(command(next, "try again", width));
            rows
        }
    }
}

fn key(app: &App, action: Action) -> String {
    app.keymap.key(action).unwrap_or_default()
}

fn indented(text: &str, role: Role, width: usize) -> Vec<Row> {
    let mut rows = wrap(&[Piece::new(text, role)], width.saturating_sub(4), 0);
    for row in &mut rows {
        row.pieces.insert(0, Piece::new("    ", Role::Base));
    }
    rows
}

fn ready(status: &Status, width: usize) -> Vec<Row> {
    let mut rows = vec![heading("Ask about your files"), Row::blank()];
    let (files, chunks) = (count(status.files, "file"), count(status.chunks, "chunk"));
    let cached = thousands(status.cached_chunks);
    let there = format!("{files} in {chunks}, {cached} of them cached ({}).", bytes(status.cache_bytes));
    rows.extend(plain(&there, width));
    rows.push(Row::blank());
    rows.extend(
        plain(
            "What you ask is answered from the chunks that match it; their numbers stand in the answer.",
            width,
        )
        .into_iter()
        .map(muted),
    );
    rows
}

fn heading(text: &str) -> Row {
    Row::new(vec![Piece::new(text, Role::Title)])
}

fn plain(text: &str, width: usize) -> Vec<Row> {
    wrap(&[Piece::new(text, Role::Base)], width, 0)
}

fn muted(mut row: Row) -> Row {
    for piece in &mut row.pieces {
        piece.role = Role::Muted;
    }
    row
}

fn step(done: bool, what: &str, there: &str) -> Row {
    let (mark, role) = if done { ("✓ ", Role::Success) } else { ("○ ", Role::Accent) };
    let state = if done { format!(" {there}") } else { String::new() };
    Row::new(vec![Piece::new(mark, role), Piece::new(what, Role::Base), Piece::new(state, Role::Muted)])
}

/// A key to press; what it does is left out where there is no room for it.
fn command(command: &str, what: &str, width: usize) -> Row {
    let mut pieces = vec![Piece::new(format!("    {command:<8}"), Role::Key)];
    if 12 + what.len() <= width {
        pieces.push(Piece::new(what, Role::Muted));
    }
    Row::new(pieces)
}
