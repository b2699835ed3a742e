//! A text of any length, of which a few rows are shown: cut into parts at once, laid out where it is looked at.
//!
//! The file's own line breaks and numbers stay. A line that is wider than the pane goes on in rows that are marked as
//! such in the place of a number.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::{
    text::{Piece, Row, width, wrap},
    theme::Role,
};

/// Longer lines are laid out in parts of about this many bytes, so that a line of a megabyte costs no more than
/// what is seen of it.
const PART_BYTES: usize = 2048;
/// A part ends up to this many bytes sooner where there is a better place for it.
const CUT_WINDOW: usize = 256;
/// Stands in the place of the line's number where a row goes on with the line above it.
const CONTINUED: &str = "┊";
/// Stands beside the rows of the marked range.
const MARKED: &str = "▌";

/// A text, where it is cut, and what stands out in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reader {
    text: String,
    parts: Vec<Part>,
    /// The number of the first line; `None` where lines mean nothing.
    first_line: Option<u32>,
    /// Bytes that are highlighted, in order, not overlapping.
    highlights: Vec<Range<usize>>,
    /// Bytes of which the lines are marked.
    marked: Option<Range<usize>>,
}

/// A line, or a piece of a long one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    /// Where it begins in the text, in bytes.
    start: u32,
    /// The line it belongs to, from 0.
    line: u32,
}

/// A row of a text: the part that it belongs to, and which of the part's rows it is. The row changes its meaning with
/// the width, the part does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    part: usize,
    row: usize,
}

impl Reader {
    /// A reader of `text`, whose first line has the number `first_line`. Of `highlights`, bytes from and to, what is
    /// no stretch of the text is left out.
    pub fn new(text: String, first_line: Option<u32>, highlights: &[(usize, usize)]) -> Self {
        let parts = cut(&text);
        Self { highlights: ordered(highlights, text.len()), text, parts, first_line, marked: None }
    }

    /// The same with the lines of these bytes marked, and highlights in them instead of those before.
    pub fn mark(&mut self, marked: Option<Range<usize>>, highlights: &[(usize, usize)]) {
        self.marked = marked.map(|range| range.start.min(self.text.len())..range.end.min(self.text.len()));
        self.highlights = ordered(highlights, self.text.len());
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The byte at which the line with this number begins; the end of the text where it has fewer lines.
    pub fn line_start(&self, number: u32) -> usize {
        let line = number.saturating_sub(self.first_line.unwrap_or(1));
        let part = self.parts.partition_point(|part| part.line < line);
        self.parts.get(part).map_or(self.text.len(), |part| part.start as usize)
    }

    /// How many lines the text has.
    pub fn lines(&self) -> usize {
        self.parts.last().map_or(0, |part| part.line as usize + 1)
    }

    /// The number of the line at `place`, from 1 where lines have no numbers of their own.
    pub fn line_number(&self, place: Place) -> u32 {
        let line = self.parts.get(place.part).map_or(0, |part| part.line);
        self.first_line.unwrap_or(1).saturating_add(line)
    }

    /// The place of the line with the byte `at`, a few lines further up so that it is seen in what surrounds it.
    pub fn place_of(&self, at: usize, lines_above: usize) -> Place {
        let part = self.parts.partition_point(|part| part.start as usize <= at).saturating_sub(1);
        Place { part: part.saturating_sub(lines_above), row: 0 }
    }

    /// The place `step` rows further on, at most so far that the last row is at the bottom of `height` rows.
    pub fn moved(&self, place: Place, step: isize, columns: usize, height: usize) -> Place {
        let moved = if step < 0 {
            self.back(place, step.unsigned_abs(), columns)
        } else {
            self.on(place, step.unsigned_abs(), columns)
        };
        moved.min(self.last(columns, height))
    }

    /// The place from which the last `height` rows are seen.
    pub fn last(&self, columns: usize, height: usize) -> Place {
        let part = self.parts.len().saturating_sub(1);
        let row = self.rows_of(part, columns).len().saturating_sub(1);
        self.back(Place { part, row }, height.saturating_sub(1), columns)
    }

    /// At most `height` rows from `place` on.
    pub fn rows(&self, place: Place, columns: usize, height: usize) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut skip = place.row;
        for part in place.part..self.parts.len() {
            if rows.len() >= height {
                break;
            }
            let of_part = self.rows_of(part, columns);
            let skipped = skip.min(of_part.len().saturating_sub(1));
            rows.extend(of_part.into_iter().skip(skipped));
            skip = 0;
        }
        rows.truncate(height);
        rows
    }

    fn on(&self, mut place: Place, mut step: usize, columns: usize) -> Place {
        loop {
            let rows = self.rows_of(place.part, columns).len();
            if place.row + step < rows || place.part + 1 >= self.parts.len() {
                return Place { row: (place.row + step).min(rows.saturating_sub(1)), ..place };
            }
            step -= rows.saturating_sub(place.row).min(step);
            place = Place { part: place.part + 1, row: 0 };
        }
    }

    fn back(&self, mut place: Place, mut step: usize, columns: usize) -> Place {
        loop {
            if step <= place.row {
                return Place { row: place.row - step, ..place };
            }
            if place.part == 0 {
                return Place::default();
            }
            step -= place.row + 1;
            let part = place.part - 1;
            place = Place { part, row: self.rows_of(part, columns).len().saturating_sub(1) };
        }
    }

    /// The rows of a part, with the number of its line before the first.
    fn rows_of(&self, index: usize, columns: usize) -> Vec<Row> {
        let Some(part) = self.parts.get(index) else { return Vec::new() };
        let end = self.parts.get(index + 1).map_or(self.text.len(), |next| next.start as usize);
        let range = part.start as usize..end;
        let continues = index > 0 && self.parts[index - 1].line == part.line;
        let digits = self.digits();
        let gutter = digits + 2;
        let rows = wrap(&self.pieces(range.clone()), columns.saturating_sub(gutter), 0);
        let number = self.first_line.map(|first| first.saturating_add(part.line).to_string());
        let mark = if self.is_marked(&range) { MARKED } else { " " };
        let numbered = |(row, mut wrapped): (usize, Row)| {
            let number = match row > 0 || continues {
                true => CONTINUED,
                false => number.as_deref().unwrap_or_default(),
            };
            let fill = " ".repeat(digits.saturating_sub(width(number)));
            wrapped.pieces.insert(0, Piece::new(format!("{fill}{number}"), Role::Muted));
            wrapped.pieces.insert(1, Piece::new(mark, Role::Accent));
            wrapped.pieces.insert(2, Piece::new(" ", Role::Base));
            wrapped
        };
        rows.into_iter().enumerate().map(numbered).collect()
    }

    /// The columns that line numbers take; one, for the mark of rows that go on with a line, where there are none.
    fn digits(&self) -> usize {
        let last = self.first_line.map(|first| first.saturating_add(self.lines() as u32).saturating_sub(1));
        last.map_or(1, |last| last.to_string().len())
    }

    fn is_marked(&self, range: &Range<usize>) -> bool {
        self.marked.as_ref().is_some_and(|marked| range.start < marked.end && marked.start < range.end)
    }

    /// The text of a part with its highlights in a role of their own. A highlight covers graphemes as a whole.
    fn pieces(&self, range: Range<usize>) -> Vec<Piece> {
        let text = self.text[range.clone()].trim_end_matches(['\n', '\r']);
        let mut from = self.highlights.partition_point(|highlight| highlight.end <= range.start);
        let mut pieces: Vec<Piece> = Vec::new();
        for (index, grapheme) in text.grapheme_indices(true) {
            let at = range.start + index;
            while self.highlights.get(from).is_some_and(|highlight| highlight.end <= at) {
                from += 1;
            }
            let highlighted =
                self.highlights.get(from).is_some_and(|highlight| highlight.start < at + grapheme.len());
            let role = if highlighted { Role::Match } else { Role::Base };
            match pieces.last_mut() {
                Some(last) if last.role == role => last.text.push_str(grapheme),
                _ => pieces.push(Piece::new(grapheme, role)),
            }
        }
        pieces
    }
}

/// Where the lines of `text` begin, and the parts of those that are long. What comes after the four thousand millionth
/// byte is the last part's.
fn cut(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let end = start + line.len();
        loop {
            let (Ok(at), Ok(line)) = (u32::try_from(start), u32::try_from(number)) else { return parts };
            parts.push(Part { start: at, line });
            if end - start <= PART_BYTES + CUT_WINDOW {
                break;
            }
            start = part_end(text, start);
        }
        start = end;
    }
    parts
}

/// The end of the part of a long line that begins at `start`: after a space, or at least not in a grapheme.
fn part_end(text: &str, start: usize) -> usize {
    let end = floor_boundary(text, start + PART_BYTES);
    let window = floor_boundary(text, end - CUT_WINDOW);
    if let Some(space) = text[window..end].rfind(' ') {
        return window + space + 1;
    }
    let last = text[window..end].grapheme_indices(true).next_back().map_or(0, |(index, _)| index);
    // A grapheme that is longer than the window is a flood of combining marks, which is cut in any case.
    if last == 0 { end } else { window + last }
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// What can be highlighted in a text of `length` bytes: in order, without what is empty or outside.
fn ordered(highlights: &[(usize, usize)], length: usize) -> Vec<Range<usize>> {
    let inside = highlights.iter().map(|(from, to)| *from..(*to).min(length));
    let mut ranges: Vec<_> = inside.filter(|range| range.start < range.end).collect();
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let mut ordered: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match ordered.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => ordered.push(range),
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(rows: &[Row]) -> Vec<String> {
        rows.iter().map(|row| row.text().trim_end().to_owned()).collect()
    }

    fn all(reader: &Reader, columns: usize) -> Vec<Row> {
        reader.rows(Place::default(), columns, usize::MAX)
    }

    #[test]
    fn lines_keep_their_numbers_and_wrapped_ones_are_marked() {
        let reader = Reader::new("one two three\n\nfour".to_owned(), Some(9), &[]);
        assert_eq!(texts(&all(&reader, 11)), [" 9  one two", " ┊  three", "10", "11  four"]);
        let unnumbered = Reader::new("one two three\nfour".to_owned(), None, &[]);
        assert_eq!(texts(&all(&unnumbered, 10)), ["   one two", "┊  three", "   four"]);
    }

    #[test]
    fn highlights_have_a_role_and_survive_wrapping() {
        let reader = Reader::new("close the dome\ndome".to_owned(), None, &[(10, 14), (15, 17)]);
        let highlighted: Vec<String> = all(&reader, 9)
            .into_iter()
            .flat_map(|row| row.pieces)
            .filter(|piece| piece.role == Role::Match)
            .map(|piece| piece.text)
            .collect();
        assert_eq!(highlighted, ["dome", "do"]);
    }

    #[test]
    fn the_marked_lines_are_seen() {
        let mut reader = Reader::new("a\nb\nc\nd".to_owned(), Some(1), &[]);
        reader.mark(Some(2..5), &[]);
        assert_eq!(texts(&all(&reader, 20)), ["1  a", "2▌ b", "3▌ c", "4  d"]);
        assert_eq!((reader.line_start(3), reader.line_start(9), reader.lines()), (4, 7, 4));
    }

    #[test]
    fn moving_goes_row_by_row_and_stops_at_both_ends() {
        let text: String = (0..40).map(|line| format!("line {line} is wrapped here\n")).collect();
        let reader = Reader::new(text, Some(1), &[]);
        let rows = all(&reader, 16);
        let mut place = Place::default();
        for first in 0..rows.len() {
            let shown = reader.rows(place, 16, 7);
            assert_eq!(shown, rows[first.min(rows.len() - 7)..][..7], "{first}");
            place = reader.moved(place, 1, 16, 7);
        }
        assert_eq!(place, reader.last(16, 7));
        assert_eq!(reader.moved(place, -10_000, 16, 7), Place::default());
        assert_eq!(reader.moved(Place::default(), 9, 16, 7), reader.moved(place, 9 - 73, 16, 7));
        let empty = Reader::new(String::new(), None, &[]);
        assert_eq!(empty.moved(Place::default(), 5, 10, 3), Place::default());
    }

    #[test]
    fn a_very_long_line_is_cut_between_graphemes() {
        let reader = Reader::new("é👩\u{200d}🚀".repeat(4000), Some(1), &[(0, 4)]);
        assert!(reader.parts.len() > 20);
        assert_eq!(reader.lines(), 1);
        let rows = all(&reader, 30);
        assert!(texts(&rows[1..]).iter().all(|row| row.starts_with('┊')), "{rows:?}");
        let text: String = rows.iter().map(|row| row.text().chars().skip(3).collect::<String>()).collect();
        assert_eq!(text, reader.text());
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config { failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(10), ..Default::default() })]

        #[test]
        fn any_highlight_at_any_width(
            text in "([a-z]|[ \n\t]|e\u{301}|日|👩\u{200d}🚀|\u{301}|🇩🇪){0,60}",
            highlights in prop::collection::vec((any::<usize>(), 0usize..400), 0..6),
            near in prop::collection::vec((0usize..200, 0usize..200), 0..6),
            marked in (0usize..300, 0usize..300),
            columns in 0usize..40,
            step in -50isize..50,
        ) {
            let ranges: Vec<_> = highlights.into_iter().chain(near).collect();
            let mut reader = Reader::new(text.clone(), Some(7), &ranges);
            reader.mark(Some(marked.0..marked.1), &ranges);
            let plain = Reader::new(text.clone(), Some(7), &[]);
            let shown = |reader: &Reader| -> Vec<String> {
                all(reader, columns).iter().map(|row| row.text().replace('▌', " ")).collect()
            };
            // What is highlighted changes no cell: no grapheme is split by it.
            prop_assert_eq!(shown(&reader), shown(&plain));
            let place = reader.moved(Place::default(), step, columns, 5);
            prop_assert!(reader.rows(place, columns, 5).len() <= 5);
            for row in all(&reader, columns.max(8)) {
                prop_assert!(row.width() <= columns.max(8));
            }
        }
    }
}
