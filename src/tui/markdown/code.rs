//! Blocks of code.

use std::ops::Range;

use super::{
    super::{
        text::{Piece, Row, wrap},
        theme::Role,
    },
    Highlights,
    split::{Section, closes, opened},
};

/// The code of a section that is a block of code, without its fences.
pub fn body(text: &str, section: &Section) -> Option<Range<usize>> {
    let source = &text[section.start..section.end];
    let (fence, start) = match section.inside {
        Some(fence) => (fence, section.start),
        None => {
            let line = source.split_inclusive('\n').next()?;
            let fence = opened(line, section.start).filter(|fence| fence.is_own())?;
            (fence, section.start + line.len())
        }
    };
    let last =
        text[start..section.end].trim_end_matches('\n').rfind('\n').map_or(start, |end| start + end + 1);
    let closed = closes(fence, &text[last..section.end]);
    let end = if closed { last } else { section.end };
    Some(start..end.max(start))
}

/// The name of the language; empty where the fence has none.
pub fn language<'a>(text: &'a str, section: &Section) -> &'a str {
    let first = text[section.start..section.end].split_inclusive('\n').next().unwrap_or_default();
    let fence = section.inside.or_else(|| opened(first, section.start));
    let info = fence.map_or("", |fence| &text[fence.info.0..fence.info.1]);
    info.split([' ', ',', '{']).next().unwrap_or_default()
}

/// The lines of a block, with a bar before them. A line without roles of its own is in one.
pub fn rows(code: &str, highlights: Option<&Highlights>, width: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut at = 0;
    let code = code.strip_suffix('\n').unwrap_or(code);
    for (number, line) in code.split('\n').enumerate() {
        let spans = highlights.and_then(|lines| lines.get(number)).map_or(&[][..], Vec::as_slice);
        for mut row in wrap(&pieces(line, spans), width.saturating_sub(2), 0) {
            row.pieces.insert(0, Piece::new("│ ", Role::Border));
            row.at += at;
            rows.push(row);
        }
        at += line.len() + 1;
    }
    rows
}

fn pieces(line: &str, spans: &[(usize, Role)]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = 0;
    for (bytes, role) in spans {
        // The roles are of another text where they do not fit this one.
        let Some(text) = line.get(at..at + bytes) else { break };
        pieces.push(Piece::new(text, *role));
        at += bytes;
    }
    match at == line.len() {
        true => pieces,
        false => vec![Piece::new(line, Role::Code)],
    }
}
