//! The chunks that an answer draws on, and the text of the selected one.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    super::{
        app::App,
        entry::Entry,
        format::{location, origin},
        panes::Focus,
        shelf::{ITEM_ROWS, split, text_rows},
        text::{Piece, Row, fit, width, wrap},
        theme::Role,
    },
    draw_rows, line,
};
use crate::engine::{CacheOrigin, RetrievedChunk};

pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let sources = app.sources();
    let columns = usize::from(area.width);
    if sources.is_empty() {
        return draw_rows(&nothing(app, columns), &app.theme, area, buffer);
    }
    draw_rows(&[title(app, columns)], &app.theme, area, buffer);
    let (list_rows, text_height) = split(area.height.into(), sources.len());
    let list = Rect { y: area.y + 2, height: list_rows as u16, ..area }.intersection(area);
    draw_list(app, list, buffer);
    let rule = Rect { y: list.bottom() + 1, height: 1, ..area }.intersection(area);
    let Some(chunk) = sources.get(app.shelf.selected) else { return };
    let rows = text_rows(chunk, columns);
    let top = app.shelf.scroll.min(rows.len().saturating_sub(text_height));
    draw_rows(&[rule_row(chunk, rows.len(), top, text_height, columns)], &app.theme, rule, buffer);
    let text = Rect { y: rule.bottom(), height: text_height as u16, ..area }.intersection(area);
    draw_rows(&rows[top..], &app.theme, text, buffer);
}

fn nothing(app: &App, columns: usize) -> Vec<Row> {
    let text = match app.shelf.entry {
        Some(_) => "No chunk holds a word of the question.",
        None => "The chunks that an answer draws on appear here.",
    };
    let mut rows = vec![Row::new(vec![Piece::new("Sources", Role::Title)]), Row::blank()];
    rows.extend(wrap(&[Piece::new(text, Role::Muted)], columns, 0));
    rows
}

fn title(app: &App, columns: usize) -> Row {
    let entry = app.shelf.entry.and_then(|index| app.transcript.entries().get(index));
    let of = match entry {
        Some(Entry::Turn(turn)) => turn.question.as_str(),
        Some(Entry::Note(note)) => note.text.as_str(),
        Some(Entry::Divider(_)) | None => "",
    };
    let of = fit(of, columns.saturating_sub("Sources  ".len()));
    Row::new(vec![Piece::new("Sources", Role::Title), Piece::new(format!("  {of}"), Role::Muted)])
}

/// The list, scrolled so that the selected source is in it.
fn draw_list(app: &App, area: Rect, buffer: &mut Buffer) {
    let shown = usize::from(area.height) / ITEM_ROWS;
    let selected = app.shelf.selected;
    let first = (selected + 1).saturating_sub(shown);
    for (slot, (index, chunk)) in app.sources().iter().enumerate().skip(first).take(shown).enumerate() {
        let place = Rect { y: area.y + (slot * ITEM_ROWS) as u16, height: ITEM_ROWS as u16, ..area };
        let chosen = index == selected;
        let rows = item_rows(app, index, chunk, chosen, area.width.into());
        if chosen && app.focus == Focus::Sources {
            // The selection's style covers the whole line, whatever its parts would look like.
            let plain = Row::new(vec![Piece::new(rows[0].text(), Role::Base)]);
            buffer.set_style(Rect { height: 1, ..place }, app.theme.style(Role::Selection));
            ratatui::widgets::Widget::render(
                line(&plain, &app.theme).style(Style::new()),
                Rect { height: 1, ..place },
                buffer,
            );
            draw_rows(&rows[1..], &app.theme, Rect { y: place.y + 1, height: 1, ..place }, buffer);
        } else {
            draw_rows(&rows, &app.theme, place, buffer);
        }
    }
}

/// Rank, label and score; under them where the chunk stands, its tokens, and where its cache came from.
fn item_rows(
    app: &App,
    index: usize,
    chunk: &RetrievedChunk,
    chosen: bool,
    columns: usize,
) -> [Row; ITEM_ROWS] {
    let marker = if chosen { "▸" } else { " " };
    let rank = format!("{:>2}", chunk.rank);
    let score = format!("{:.2}", chunk.score);
    // Marker, rank, the gaps between, and the score.
    let label_columns = columns.saturating_sub(1 + rank.len() + 2 + 2 + score.len());
    let label = fit(&chunk.label, label_columns);
    let gap = " ".repeat(label_columns - width(&label) + 2);
    let first = Row::new(vec![
        Piece::new(marker, Role::Accent),
        Piece::new(rank, Role::Citation),
        Piece::new(format!("  {label}"), Role::Base),
        Piece::new(format!("{gap}{score}"), Role::Muted),
    ]);
    let (mark, word, role) = cache_mark(app, index, chunk);
    let right = format!("{mark} {word}");
    let free = columns.saturating_sub(5 + width(&right) + 2);
    let place = location(chunk, free);
    let tokens = format!(" · {} tokens", chunk.tokens);
    let left = match chunk.tokens > 0 && width(&place) + width(&tokens) <= free {
        true => place + &tokens,
        false => place,
    };
    let gap = " ".repeat(free - width(&left) + 2);
    let second =
        Row::new(vec![Piece::new(format!("     {left}{gap}"), Role::Muted), Piece::new(right, role)]);
    [first, second]
}

/// Where the chunk's cache came from, or, before it is loaded, whether there is one.
fn cache_mark(app: &App, index: usize, chunk: &RetrievedChunk) -> (&'static str, &'static str, Role) {
    let entry = app.shelf.entry.and_then(|entry| app.transcript.entries().get(entry));
    let known = match entry {
        Some(Entry::Turn(turn)) => turn.origins.get(index).copied(),
        _ => None,
    };
    match known {
        Some(from) => {
            let (mark, word) = origin(from);
            let role = match from {
                CacheOrigin::Memory | CacheOrigin::Disk => Role::Success,
                CacheOrigin::Encoded => Role::Encode,
                CacheOrigin::Repaired => Role::Warning,
                CacheOrigin::Unused => Role::Muted,
            };
            (mark, word, role)
        }
        None if chunk.cached => ("●", "cached", Role::Success),
        None => ("○", "not cached", Role::Muted),
    }
}

/// The line between list and text: whose text it is, and how much of it is above and below.
fn rule_row(chunk: &RetrievedChunk, rows: usize, top: usize, height: usize, columns: usize) -> Row {
    let more = if rows > height {
        format!(" {}-{} of {rows} ", top + 1, (top + height).min(rows))
    } else {
        String::new()
    };
    let place = location(chunk, columns.saturating_sub(6 + width(&more)));
    let fill = columns.saturating_sub(4 + width(&place) + width(&more) + 1);
    Row::new(vec![
        Piece::new("── ", Role::Border),
        Piece::new(place, Role::Title),
        Piece::new(format!(" {}", "─".repeat(fill)), Role::Border),
        Piece::new(more, Role::Muted),
        Piece::new("─", Role::Border),
    ])
}
