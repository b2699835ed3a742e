//! The chunks that an answer draws on, and the text or the document of the selected one.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    super::{
        app::App,
        entry::Entry,
        format::{bytes, count, location, origin, thousands},
        panes::Focus,
        reader::Place,
        shelf::{self, DocumentState, ITEM_ROWS, OpenDocument, Source},
        text::{Piece, Row, fit, width, wrap},
        theme::Role,
    },
    draw_rows, draw_selection,
};
use crate::engine::{CacheOrigin, ChunkReason};

/// Tokens and cache are listed where the place of the chunk keeps this many cells.
const PLACE_CELLS: usize = 26;

pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let sources = app.shelf_sources();
    let columns = usize::from(area.width);
    let Some(selected) = sources.get(app.shelf.selected).or(sources.last()) else {
        return draw_rows(&nothing(app, columns), &app.theme, area, buffer);
    };
    let facts = app.source_facts(selected, columns);
    let places = shelf::places(area, sources.len(), facts.len(), app.shelf.document.is_some());
    draw_rows(&[title(app, sources.len(), columns)], &app.theme, places.title, buffer);
    draw_list(app, &sources, places.list, buffer);
    draw_rows(&facts, &app.theme, places.facts, buffer);
    let (more, rows) = text(app, selected, places.text);
    draw_rows(&[rule_row(app, selected, &more, columns)], &app.theme, places.rule, buffer);
    draw_rows(&rows, &app.theme, places.text, buffer);
}

fn nothing(app: &App, columns: usize) -> Vec<Row> {
    let entry = app.shelf.entry.and_then(|entry| app.transcript.entries().get(entry));
    let text = match entry {
        Some(Entry::Turn(turn)) if turn.is_running() => "Looking for chunks …",
        Some(_) => "No chunk holds a word of the question.",
        None => "The chunks that an answer draws on appear here.",
    };
    let mut rows = vec![Row::new(vec![Piece::new("Sources", Role::Title)]), Row::blank()];
    rows.extend(wrap(&[Piece::new(text, Role::Muted)], columns, 0));
    rows
}

fn title(app: &App, count: usize, columns: usize) -> Row {
    let entry = app.shelf.entry.and_then(|index| app.transcript.entries().get(index));
    let of = match entry {
        Some(Entry::Turn(turn)) => turn.question.as_str(),
        Some(Entry::Note(note)) => note.text.as_str(),
        Some(Entry::Divider(_)) | None => "",
    };
    let number = format!(" {}/{count}", app.shelf.selected.min(count - 1) + 1);
    let of = fit(of, columns.saturating_sub("Sources".len() + width(&number) + 2));
    Row::new(vec![
        Piece::new("Sources", Role::Title),
        Piece::new(number, Role::Muted),
        Piece::new(format!("  {of}"), Role::Muted),
    ])
}

/// The list, scrolled so that the selected source is in it.
fn draw_list(app: &App, sources: &[Source<'_>], area: Rect, buffer: &mut Buffer) {
    let shown = usize::from(area.height) / ITEM_ROWS;
    let selected = app.shelf.selected.min(sources.len() - 1);
    let first = shelf::first_listed(area, selected);
    let measures = Measures::of(sources);
    for (slot, (index, source)) in sources.iter().enumerate().skip(first).take(shown).enumerate() {
        let place = Rect { y: area.y + (slot * ITEM_ROWS) as u16, height: ITEM_ROWS as u16, ..area };
        let chosen = index == selected;
        let rows = item_rows(source, &measures, chosen, area.width.into());
        if chosen && app.focus == Focus::Sources {
            draw_selection(&rows, &app.theme, place, buffer);
        } else {
            draw_rows(&rows, &app.theme, place, buffer);
        }
    }
}

/// The widths of the columns of the list, so that they are aligned.
struct Measures {
    score: usize,
    tokens: usize,
    cache: usize,
    mark: usize,
}

impl Measures {
    fn of(sources: &[Source<'_>]) -> Self {
        let widest = |text: fn(&Source<'_>) -> String| {
            sources.iter().map(|source| width(&text(source))).max().unwrap_or_default()
        };
        Self {
            score: widest(score),
            tokens: widest(tokens),
            cache: widest(cache),
            mark: widest(|source| cache_mark(source).0),
        }
    }
}

fn score(source: &Source<'_>) -> String {
    if source.chunk.score > 0.0 { format!("{:.2}", source.chunk.score) } else { String::new() }
}

fn tokens(source: &Source<'_>) -> String {
    if source.chunk.tokens > 0 { count(source.chunk.tokens, "token") } else { String::new() }
}

fn cache(source: &Source<'_>) -> String {
    if source.chunk.cache_bytes > 0 { bytes(source.chunk.cache_bytes) } else { String::new() }
}

/// Rank, label and score; under them where the chunk stands, its tokens and cache, and where its cache came from.
fn item_rows(source: &Source<'_>, measures: &Measures, chosen: bool, columns: usize) -> [Row; ITEM_ROWS] {
    let marker = if chosen { "▸" } else { " " };
    let rank = if source.dropped { "–".to_owned() } else { source.chunk.rank.to_string() };
    let role = if source.dropped { Role::Muted } else { Role::Base };
    // Marker, rank, why it is there, and the gaps; then the score.
    let label_columns = columns.saturating_sub(5 + 2 + measures.score);
    let label = fit(&source.chunk.label, label_columns);
    let gap = " ".repeat(label_columns - width(&label) + 2);
    let first = Row::new(vec![
        Piece::new(marker, Role::Accent),
        Piece::new(" ".repeat(2usize.saturating_sub(rank.to_string().len())), Role::Base),
        Piece::new(rank.to_string(), Role::Citation),
        Piece::new(reason_mark(source), Role::Accent),
        Piece::new(format!(" {label}"), role),
        Piece::new(format!("{gap}{:>1$}", score(source), measures.score), Role::Muted),
    ]);
    let (mark, mark_role) = cache_mark(source);
    let mark = padded(&mark, measures.mark);
    let mut free = columns.saturating_sub(5 + 2 + measures.mark);
    let mut numbers = String::new();
    for (text, cells) in [(tokens(source), measures.tokens), (cache(source), measures.cache)] {
        if cells > 0 && free >= PLACE_CELLS + cells + 2 {
            free -= cells + 2;
            numbers.push_str(&format!("  {text:>cells$}"));
        }
    }
    let place = padded(&location(source.chunk, free), free);
    let second = Row::new(vec![
        Piece::new(format!("     {place}{numbers}  "), Role::Muted),
        Piece::new(mark, mark_role),
    ]);
    [first, second]
}

fn padded(text: &str, cells: usize) -> String {
    format!("{text}{}", " ".repeat(cells.saturating_sub(width(text))))
}

/// A mark for what the search alone would not have brought.
fn reason_mark(source: &Source<'_>) -> &'static str {
    match source.chunk.reason {
        _ if source.pinned => "+",
        ChunkReason::Pinned => "+",
        ChunkReason::Carried => "←",
        ChunkReason::Found => " ",
    }
}

/// Where the chunk's cache came from, or, before it is loaded, whether there is one.
fn cache_mark(source: &Source<'_>) -> (String, Role) {
    if source.dropped {
        return ("– dropped".to_owned(), Role::Muted);
    }
    match source.origin {
        Some(from) => {
            let (mark, word) = origin(from);
            let role = match from {
                CacheOrigin::Memory | CacheOrigin::Disk => Role::Success,
                CacheOrigin::Encoded => Role::Encode,
                CacheOrigin::Repaired => Role::Warning,
                CacheOrigin::Unused => Role::Muted,
            };
            (format!("{mark} {word}"), role)
        }
        None if source.chunk.cached => ("● cached".to_owned(), Role::Success),
        None => ("○ not cached".to_owned(), Role::Muted),
    }
}

/// The visible rows of the document or of the chunk, and a word on where in it they are.
fn text(app: &App, source: &Source<'_>, area: Rect) -> (String, Vec<Row>) {
    let (columns, height) = (usize::from(area.width), usize::from(area.height));
    match app.shelf.document.as_ref().map(|document| &document.state) {
        Some(DocumentState::Asked(_)) => {
            let words = "Reading the document …";
            (String::new(), wrap(&[Piece::new(words, Role::Muted)], columns, 0))
        }
        Some(DocumentState::Failed(failure)) => {
            let mut rows = wrap(&[Piece::new(failure.message.as_str(), Role::Error)], columns, 0);
            if let Some(hint) = &failure.hint {
                rows.extend(wrap(&[Piece::new(hint.as_str(), Role::Muted)], columns, 0));
            }
            (String::new(), rows)
        }
        Some(DocumentState::Shown { reader, place, is_whole, .. }) => {
            let place = (*place).min(reader.last(columns, height));
            let line = thousands(reader.line_number(place) as usize);
            let of = if *is_whole { format!("of {} ", thousands(reader.lines())) } else { String::new() };
            (format!(" line {line} {of}"), reader.rows(place, columns, height))
        }
        None => {
            let reader = shelf::chunk_reader(source.chunk);
            let place = app.shelf.place.min(reader.last(columns, height));
            let all = reader.rows(Place::default(), columns, usize::MAX).len();
            let rows = reader.rows(place, columns, height);
            if all <= height {
                return (String::new(), rows);
            }
            let below = reader.rows(place, columns, usize::MAX).len();
            let first = all - below + 1;
            (format!(" {first}-{} of {all} ", first + rows.len() - 1), rows)
        }
    }
}

/// The line between list and text: whose text it is, and how much of it is above and below.
fn rule_row(app: &App, source: &Source<'_>, more: &str, columns: usize) -> Row {
    let free = columns.saturating_sub(6 + width(more));
    let place = match &app.shelf.document {
        Some(OpenDocument { path, .. }) => {
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
            fit(&name, free)
        }
        None => location(source.chunk, free),
    };
    let fill = columns.saturating_sub(4 + width(&place) + width(more) + 1);
    Row::new(vec![
        Piece::new("── ", Role::Border),
        Piece::new(place, Role::Title),
        Piece::new(format!(" {}", "─".repeat(fill)), Role::Border),
        Piece::new(more, Role::Muted),
        Piece::new("─", Role::Border),
    ])
}
