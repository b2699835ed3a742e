//! Text as rows of cells: cleaned, measured as the terminal shows it, and wrapped.
//!
//! Widths are those that ratatui draws with, so that what is aligned here is aligned on the screen.

use std::borrow::Cow;

use ratatui::buffer::CellWidth;
use unicode_segmentation::UnicodeSegmentation;

use super::{citations::Citation, theme::Role};

/// Columns from one tab stop to the next.
const TAB: usize = 4;
/// More code points than any emoji is made of; what has more is a flood of combining marks and is cut.
const MAX_CODE_POINTS: usize = 16;
/// Characters that may not begin a row, although text may be broken between wide characters.
const NEVER_FIRST: &str = "、。，．：；？！）」』】〉》";

/// A stretch of text in one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub text: String,
    pub role: Role,
    /// The citation that this is the number of.
    pub citation: Option<Citation>,
}

/// One row of the screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    pub pieces: Vec<Piece>,
    /// Where the row begins in what was wrapped, in bytes: the same place at every width.
    pub at: usize,
}

impl Piece {
    pub fn new(text: impl Into<String>, role: Role) -> Self {
        Self { text: text.into(), role, citation: None }
    }

    /// The number that stands for a citation.
    pub fn citation(citation: Citation) -> Self {
        Self { text: format!("[{}]", citation.rank), role: Role::Citation, citation: Some(citation) }
    }
}

impl Row {
    pub fn new(pieces: Vec<Piece>) -> Self {
        Self { pieces, at: 0 }
    }

    /// A row with nothing on it.
    pub fn blank() -> Self {
        Self::default()
    }

    /// Cells the row takes.
    pub fn width(&self) -> usize {
        self.pieces.iter().map(|piece| width(&piece.text)).sum()
    }

    /// The row's text without its roles.
    pub fn text(&self) -> String {
        self.pieces.iter().map(|piece| piece.text.as_str()).collect()
    }

    /// The piece at this cell.
    pub fn piece_at(&self, column: usize) -> Option<&Piece> {
        let mut end = 0;
        self.pieces.iter().find(|piece| {
            end += width(&piece.text);
            column < end
        })
    }

    fn push(&mut self, text: &str, role: Role, citation: Option<Citation>) {
        match self.pieces.last_mut() {
            Some(last) if last.role == role && last.citation == citation => last.text.push_str(text),
            _ => self.pieces.push(Piece { text: text.to_owned(), role, citation }),
        }
    }
}

/// Cells that `text` takes; control characters take none.
pub fn width(text: &str) -> usize {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.len();
    }
    text.graphemes(true).filter(|grapheme| !grapheme.contains(char::is_control)).map(grapheme_width).sum()
}

fn grapheme_width(grapheme: &str) -> usize {
    usize::from(grapheme.cell_width())
}

/// `text` on one line and in at most `cells` cells; what is cut at the end is marked by `…`.
pub fn fit(text: &str, cells: usize) -> String {
    let whole = clean(text);
    if width(&whole) <= cells {
        return whole;
    }
    let mut out = String::new();
    let mut used = 1;
    for grapheme in whole.graphemes(true) {
        used += grapheme_width(grapheme);
        if used > cells {
            break;
        }
        out.push_str(grapheme);
    }
    if cells > 0 {
        out.push('…');
    }
    out
}

/// Like [`fit`], but cut at the beginning: for paths, whose end says most.
pub fn fit_end(text: &str, cells: usize) -> String {
    let whole = clean(text);
    if width(&whole) <= cells {
        return whole;
    }
    let mut kept = Vec::new();
    let mut used = 1;
    for grapheme in whole.graphemes(true).rev() {
        used += grapheme_width(grapheme);
        if used > cells {
            break;
        }
        kept.push(grapheme);
    }
    let ellipsis = if cells > 0 { "…" } else { "" };
    std::iter::once(ellipsis).chain(kept.into_iter().rev()).collect()
}

/// `text` on one line, with nothing in it that takes no cell or more than it shows.
fn clean(text: &str) -> String {
    cells(&[Piece::new(text, Role::Base)]).iter().map(|cell| cell.text.as_ref()).collect()
}

/// Wraps one paragraph (no line break in it) to rows of at most `width` cells, at spaces where there are any, between
/// wide characters, and inside a word that is longer than a row. Rows after the first begin with `hang` spaces.
/// There is always at least one row.
pub fn wrap(pieces: &[Piece], width: usize, hang: usize) -> Vec<Row> {
    let cells = cells(pieces);
    let width = width.max(2);
    let hang = if hang + 2 > width { 0 } else { hang };
    let mut rows = Vec::new();
    let mut start = 0;
    while start < cells.len() {
        let indent = if rows.is_empty() { 0 } else { hang };
        let end = row_end(&cells, start, width - indent);
        rows.push(row(&cells[start..end], indent));
        start = end;
        while end < cells.len() && start < cells.len() && cells[start].is_space() {
            start += 1;
        }
    }
    if rows.is_empty() {
        rows.push(Row::blank());
    }
    rows
}

/// A grapheme as it is drawn.
struct Cell<'a> {
    text: Cow<'a, str>,
    width: usize,
    role: Role,
    citation: Option<Citation>,
    at: usize,
}

impl Cell<'_> {
    fn is_space(&self) -> bool {
        self.text == " "
    }
}

fn cells(pieces: &[Piece]) -> Vec<Cell<'_>> {
    let mut cells: Vec<Cell<'_>> = Vec::new();
    let mut column = 0;
    let mut offset = 0;
    for Piece { text, role, citation } in pieces {
        let cell = |text, width, at| Cell { text, width, role: *role, citation: *citation, at };
        for (index, grapheme) in graphemes(text) {
            let at = offset + index;
            if is_plain(grapheme) {
                cells.push(cell(grapheme.into(), 1, at));
                column += 1;
                continue;
            }
            if grapheme == "\t" || grapheme == "\n" || grapheme == "\r\n" {
                let spaces = if grapheme == "\t" { TAB - column % TAB } else { 1 };
                cells.extend((0..spaces).map(|_| cell(" ".into(), 1, at)));
                column += spaces;
                continue;
            }
            let text = drawable(grapheme);
            let width = grapheme_width(&text);
            if width > 0 {
                cells.push(cell(text, width, at));
                column += width;
            }
        }
        offset += text.len();
    }
    cells
}

/// The graphemes of `text` with their places. Finding them takes time, which most text can do without.
fn graphemes(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        let bytes = rest.as_bytes();
        // A plain character is one by itself, unless something follows that may combine with it.
        let plain = matches!(bytes.first()?, b' '..=b'~') && bytes.get(1).is_none_or(u8::is_ascii);
        let grapheme = if plain { &rest[..1] } else { rest.graphemes(true).next()? };
        at += grapheme.len();
        Some((at - grapheme.len(), grapheme))
    })
}

fn is_plain(grapheme: &str) -> bool {
    matches!(grapheme.as_bytes(), [b' '..=b'~'])
}

/// The grapheme without anything that a terminal acts on, and without floods of combining marks.
fn drawable(grapheme: &str) -> Cow<'_, str> {
    if grapheme.contains(char::is_control) {
        return "\u{fffd}".into();
    }
    match grapheme.char_indices().nth(MAX_CODE_POINTS) {
        Some((end, _)) => grapheme[..end].into(),
        None => grapheme.into(),
    }
}

/// The end of the row that begins at `start`: always after it.
fn row_end(cells: &[Cell<'_>], start: usize, width: usize) -> usize {
    let mut used = 0;
    let mut last_break = None;
    for (index, cell) in cells.iter().enumerate().skip(start) {
        if index > start && may_break(&cells[index - 1], cell) {
            last_break = Some(index);
        }
        used += cell.width;
        if used > width {
            let end = if cell.is_space() { index } else { last_break.unwrap_or(index) };
            return end.max(start + 1);
        }
    }
    cells.len()
}

fn may_break(before: &Cell<'_>, after: &Cell<'_>) -> bool {
    if before.is_space() {
        return !after.is_space();
    }
    let wide = before.width > 1 || after.width > 1;
    wide && !NEVER_FIRST.contains(after.text.as_ref()) && !after.is_space()
}

fn row(cells: &[Cell<'_>], indent: usize) -> Row {
    let visible = cells.iter().rposition(|cell| !cell.is_space()).map_or(0, |last| last + 1);
    let mut row = Row { pieces: Vec::new(), at: cells.first().map_or(0, |cell| cell.at) };
    if indent > 0 {
        row.push(&" ".repeat(indent), Role::Base, None);
    }
    for cell in &cells[..visible] {
        row.push(&cell.text, cell.role, cell.citation);
    }
    row
}

/// Lays `items` out one after the other with `gap` spaces between them, on as many rows as it takes; an item is never
/// split, unless it is wider than a row.
pub fn flow(items: &[Vec<Piece>], width: usize, gap: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut used = 0;
    for item in items {
        let item = Row::new(item.clone());
        let item_width = item.width();
        match rows.last_mut() {
            Some(row) if used + gap + item_width <= width => {
                row.push(&" ".repeat(gap), Role::Base, None);
                row.pieces.extend(item.pieces);
                used += gap + item_width;
            }
            _ if item_width > width => {
                rows.extend(wrap(&item.pieces, width, 2));
                used = rows.last().map_or(0, Row::width);
            }
            _ => {
                rows.push(item);
                used = item_width;
            }
        }
    }
    rows
}

/// A row of at most `cells` cells.
pub fn cut(row: Row, cells: usize) -> Row {
    let mut left = cells;
    let mut pieces = Vec::new();
    for piece in row.pieces {
        if left == 0 {
            break;
        }
        let text = fit(&piece.text, left);
        left -= width(&text).min(left);
        pieces.push(Piece { text, ..piece });
    }
    Row { pieces, at: row.at }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(text: &str, width: usize) -> Vec<String> {
        wrap(&[Piece::new(text, Role::Base)], width, 0).iter().map(Row::text).collect()
    }

    #[test]
    fn breaks_at_spaces_and_inside_long_words() {
        assert_eq!(wrapped("close the dome now", 9), ["close the", "dome now"]);
        assert_eq!(wrapped("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrapped("", 4), [""]);
        assert_eq!(wrapped("   ", 2), ["", ""][..1]);
    }

    #[test]
    fn wide_characters_never_stick_out() {
        let text = "日本語の文書、ドーム 👩‍🚀👩‍🚀👩‍🚀 e\u{301}e\u{301} 한국어";
        for width in 2..30 {
            for row in wrap(&[Piece::new(text, Role::Base)], width, 0) {
                assert!(row.width() <= width, "{width}: {row:?}");
            }
        }
        assert_eq!(wrapped("日本語、日本", 7), ["日本", "語、日", "本"]);
    }

    #[test]
    fn what_takes_no_cell_and_what_a_terminal_acts_on_is_not_drawn() {
        assert_eq!(wrapped("a\u{1b}[31m\u{202e}b\u{200b}c", 40), ["a\u{fffd}[31mbc"]);
        let flood = format!("e{}", "\u{301}".repeat(10_000));
        assert!(wrapped(&flood, 10)[0].len() < 50);
        assert_eq!(wrapped("a\tb\t\tc", 40), ["a   b       c"]);
    }

    #[test]
    fn rows_know_where_they_begin_and_hang() {
        let rows = wrap(&[Piece::new("- one two three", Role::Base)], 9, 2);
        assert_eq!(rows.iter().map(Row::text).collect::<Vec<_>>(), ["- one two", "  three"]);
        assert_eq!(rows.iter().map(|row| row.at).collect::<Vec<_>>(), [0, 10]);
    }

    #[test]
    fn roles_survive_wrapping() {
        let rows = wrap(&[Piece::new("shut it ", Role::Base), Piece::new("[1]", Role::Citation)], 9, 0);
        assert_eq!(rows[1].pieces, [Piece::new("[1]", Role::Citation)]);
    }

    #[test]
    fn fitting_counts_cells() {
        assert_eq!(fit("日本語", 6), "日本語");
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(fit_end("docs/ops/dome.md", 9), "…/dome.md");
        assert_eq!(fit("abc", 0), "");
        assert_eq!(fit("two\nlines", 20), "two lines");
    }

    #[test]
    fn flowing_keeps_items_whole() {
        let items: Vec<_> =
            ["[1] one", "[2] two", "[3] three"].map(|text| vec![Piece::new(text, Role::Base)]).to_vec();
        let text = |width| flow(&items, width, 2).iter().map(Row::text).collect::<Vec<_>>();
        assert_eq!(text(18), ["[1] one  [2] two", "[3] three"]);
        assert_eq!(text(7), ["[1] one", "[2] two", "[3]", "  three"]);
    }
}
