//! The conversation before the first question: what to do next.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    super::{
        app::App,
        format::{bytes, count, thousands},
        text::{Piece, Row, wrap},
        theme::Role,
    },
    draw_rows,
};
use crate::engine::Status;

/// The widest that the text gets.
const WIDEST: u16 = 72;

pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let width = area.width.min(WIDEST);
    let mut rows = rows(app.status.as_ref(), width.into());
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

fn rows(status: Option<&Status>, width: usize) -> Vec<Row> {
    match status {
        None => vec![Row::new(vec![Piece::new("Starting …", Role::Muted)])],
        Some(status) if status.model.is_none() || status.chunks == 0 => first_steps(status, width),
        Some(status) => ready(status, width),
    }
}

fn first_steps(status: &Status, width: usize) -> Vec<Row> {
    let has_model = status.model.is_some();
    let has_documents = status.chunks > 0;
    let mut rows = vec![heading("Welcome to Gibbon"), Row::blank()];
    rows.extend(plain("Chat with your own files. Two things are needed first:", width));
    rows.push(Row::blank());
    rows.push(step(has_model, "A language model", "is there"));
    if !has_model {
        rows.push(command("gibbon model pull", "fetches the small default one", width));
    }
    rows.push(Row::blank());
    rows.push(step(has_documents, "Your documents", "are there"));
    if !has_documents {
        rows.push(command("gibbon index FOLDER", "reads and caches them", width));
        if has_model {
            rows.push(command("/index FOLDER", "does it here", width));
        }
    }
    rows.push(Row::blank());
    rows.extend(plain("Or see it work first, with sample documents:", width));
    rows.push(command("gibbon demo", "does all of it", width));
    rows.push(Row::blank());
    let then = plain("Quit with Ctrl-C twice, run a command, start Gibbon again.", width);
    rows.extend(then.into_iter().map(muted));
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

/// A command to type; what it does is left out where there is no room for it.
fn command(command: &str, what: &str, width: usize) -> Row {
    let mut pieces = vec![Piece::new(format!("    {command:<21}"), Role::Key)];
    if 27 + what.len() <= width {
        pieces.push(Piece::new(what, Role::Muted));
    }
    Row::new(pieces)
}
