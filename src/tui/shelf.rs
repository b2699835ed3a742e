//! The sources pane: the chunks of one entry, one of them selected, and its text or its document.

use std::path::PathBuf;

use ratatui::layout::Rect;

use super::{
    format::{bytes, count, origin},
    reader::{Place, Reader},
    text::{Piece, Row, width, wrap},
    theme::Role,
};
use crate::engine::{CacheOrigin, ChunkReason, DocumentText, Failure, RequestId, RetrievedChunk};

/// Rows of a source in the list: its label, and where it stands.
pub const ITEM_ROWS: usize = 2;
/// A lower pane has no blank rows.
const AIRY_HEIGHT: usize = 18;
/// Lines of the document that are shown above the chunk.
const LINES_ABOVE: usize = 3;

/// What the sources pane shows.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    /// The entry whose sources are shown.
    pub entry: Option<usize>,
    pub selected: usize,
    /// Where the selected chunk's text is read.
    pub place: Place,
    /// The document that is shown in place of the selected chunk's text.
    pub document: Option<OpenDocument>,
}

/// A document around a chunk.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenDocument {
    pub path: PathBuf,
    pub state: DocumentState,
}

/// How far a document has come.
#[derive(Debug, Clone, PartialEq)]
pub enum DocumentState {
    /// It was asked for; the id is known once the engine has the request.
    Asked(Option<RequestId>),
    Shown {
        reader: Box<Reader>,
        place: Place,
        /// The chunk is in it.
        found: bool,
        /// Not a part of it only.
        is_whole: bool,
    },
    Failed(Failure),
}

/// A chunk of the list and what is known of it here.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    pub chunk: &'a RetrievedChunk,
    /// Where its cache came from; `None` before it is loaded.
    pub origin: Option<CacheOrigin>,
    /// The user took it out of the question; it is listed so that it can be taken in again.
    pub dropped: bool,
    /// It goes along with the next questions.
    pub pinned: bool,
}

/// Where the parts of the pane are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShelfPlaces {
    pub title: Rect,
    pub list: Rect,
    pub rule: Rect,
    pub facts: Rect,
    pub text: Rect,
}

impl Shelf {
    /// Shows the sources of another entry, the best one selected.
    pub fn show(&mut self, entry: usize) {
        *self = Self { entry: Some(entry), ..Self::default() };
    }

    /// Selects the source `step` further on, of `count`; true where it is another one.
    pub fn select(&mut self, step: isize, count: usize) -> bool {
        let selected = self.selected.saturating_add_signed(step).min(count.saturating_sub(1));
        let changed = selected != self.selected;
        if changed {
            self.selected = selected;
            self.place = Place::default();
        }
        changed
    }
}

impl OpenDocument {
    /// A document that is being asked for.
    pub fn asked(path: PathBuf) -> Self {
        Self { path, state: DocumentState::Asked(None) }
    }

    /// Shows the document's text around `chunk`.
    pub fn show(&mut self, document: DocumentText, chunk: &RetrievedChunk) {
        let DocumentText { text, first_line, is_whole, .. } = document;
        let reader = Box::new(Reader::new(text, chunk.lines.map(|_| first_line), &[]));
        self.state = DocumentState::Shown { reader, place: Place::default(), found: false, is_whole };
        self.turn_to(chunk);
    }

    /// Turns to another chunk of the same document.
    pub fn turn_to(&mut self, chunk: &RetrievedChunk) {
        let DocumentState::Shown { reader, place, found, .. } = &mut self.state else { return };
        let from = chunk.lines.map_or(0, |(first, _)| reader.line_start(first));
        let body = body(chunk).trim_end();
        let start = find(reader.text(), body, from);
        *found = start.is_some();
        // The matches are counted from the beginning of the chunk's text, which has its label before the body.
        let label = chunk.text.len() - self::body(chunk).len();
        let matches: Vec<_> = start.map_or_else(Vec::new, |start| {
            let moved = |at: usize| at.checked_sub(label)?.checked_add(start);
            let both = chunk.matches.iter().filter_map(|(from, to)| Some((moved(*from)?, moved(*to)?)));
            both.filter(|(_, to)| *to <= start + body.len()).collect()
        });
        reader.mark(start.map(|start| start..start + body.len()), &matches);
        *place = reader.place_of(start.unwrap_or(from), LINES_ABOVE);
    }
}

/// Where `body` is in `text`, looked for from byte `from` on before anywhere else.
fn find(text: &str, body: &str, from: usize) -> Option<usize> {
    if body.is_empty() {
        return None;
    }
    let after = text.get(from..).and_then(|rest| rest.find(body));
    after.map(|at| from + at).or_else(|| text.find(body))
}

/// A chunk's text without the label that the model sees before it.
pub fn body(chunk: &RetrievedChunk) -> &str {
    let unlabelled = chunk.text.strip_prefix('[').and_then(|rest| rest.strip_prefix(chunk.label.as_str()));
    unlabelled.and_then(|rest| rest.strip_prefix("]\n")).unwrap_or(&chunk.text)
}

/// A reader of a chunk's own text.
pub fn chunk_reader(chunk: &RetrievedChunk) -> Reader {
    let body = body(chunk);
    let label = chunk.text.len() - body.len();
    let moved = |(from, to): &(usize, usize)| Some((from.checked_sub(label)?, to.checked_sub(label)?));
    let matches: Vec<_> = chunk.matches.iter().filter_map(moved).collect();
    Reader::new(body.trim_end().to_owned(), chunk.lines.map(|(first, _)| first), &matches)
}

/// What is known of a source, on as few rows as it takes.
pub fn facts(source: &Source<'_>, columns: usize) -> Vec<Row> {
    let chunk = source.chunk;
    let mut words = vec![match (source.dropped, chunk.reason) {
        (true, _) => "dropped from this question".to_owned(),
        (_, ChunkReason::Found) => "found".to_owned(),
        (_, ChunkReason::Pinned) => "pinned".to_owned(),
        (_, ChunkReason::Carried) => "carried from the turn before".to_owned(),
    }];
    if source.pinned && chunk.reason != ChunkReason::Pinned {
        words.push("pinned for the next questions".to_owned());
    }
    if chunk.score > 0.0 {
        words.push(format!("score {:.2}", chunk.score));
    }
    if chunk.tokens > 0 {
        words.push(count(chunk.tokens, "token"));
    }
    if chunk.cache_bytes > 0 {
        words.push(format!("cache {}", bytes(chunk.cache_bytes)));
    }
    if let Some(from) = source.origin {
        words.push(match from {
            CacheOrigin::Memory | CacheOrigin::Disk => format!("from {}", origin(from).1),
            _ => origin(from).1.to_owned(),
        });
    }
    let rows = separated(&words, columns);
    rows.iter().flat_map(|text| wrap(&[Piece::new(text.as_str(), Role::Muted)], columns, 0)).collect()
}

/// `words` with dots between those that share a row, in as few rows as it takes.
fn separated(words: &[String], columns: usize) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for word in words {
        match rows.last_mut() {
            Some(row) if width(row) + 3 + width(word) <= columns => {
                row.push_str(" · ");
                row.push_str(word);
            }
            _ => rows.push(word.clone()),
        }
    }
    rows
}

/// The number of the first source that is visible in a list of this height, where the selected one is.
pub fn first_listed(list: Rect, selected: usize) -> usize {
    (selected + 1).saturating_sub(usize::from(list.height) / ITEM_ROWS)
}

/// Where everything is in `area`, with so many sources and rows of facts. An open document gets the room of the list,
/// of which the selected source stays.
pub fn places(area: Rect, sources: usize, facts: usize, document: bool) -> ShelfPlaces {
    let height = usize::from(area.height);
    let gap = usize::from(height >= AIRY_HEIGHT);
    // Title, rule, and what keeps them apart from the rest.
    let free = height.saturating_sub(2 + 2 * gap);
    let facts = facts.min(free / 4);
    let free = free - facts;
    let most = (free / 2).max(ITEM_ROWS) / ITEM_ROWS;
    let items = if document { sources.min(1) } else { sources.min(most) };
    let list = (items * ITEM_ROWS).min(free);
    let mut top = area.y;
    let mut part = |rows: usize, gap: usize| {
        let place = Rect { y: top, height: rows as u16, ..area }.intersection(area);
        top = top.saturating_add((rows + gap) as u16);
        place
    };
    ShelfPlaces {
        title: part(1, gap),
        list: part(list, gap),
        rule: part(1, 0),
        facts: part(facts, 0),
        text: part(free - list, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(label: &str, body: &str, matches: &[(usize, usize)]) -> RetrievedChunk {
        RetrievedChunk {
            rank: 1,
            id: "1".to_owned(),
            label: label.to_owned(),
            path: "docs/a.md".into(),
            lines: Some((3, 4)),
            page: None,
            heading: Vec::new(),
            score: 1.0,
            tokens: 0,
            cached: true,
            text: format!("[{label}]\n{body}"),
            cache_bytes: 0,
            matches: matches.to_vec(),
            reason: ChunkReason::Found,
        }
    }

    /// A document, or the part of it from this line on.
    fn text(text: &str, first_line: u32) -> DocumentText {
        let (path, text) = ("docs/a.md".into(), text.to_owned());
        DocumentText { path, text, first_line, is_whole: first_line == 1 }
    }

    fn heights(height: u16, sources: usize, facts: usize, document: bool) -> [u16; 3] {
        let places = places(Rect::new(0, 0, 40, height), sources, facts, document);
        [places.list.height, places.facts.height, places.text.height]
    }

    #[test]
    fn the_pane_is_shared_out() {
        assert_eq!(heights(44, 5, 1, false), [10, 1, 29]);
        assert_eq!(heights(24, 8, 2, false), [8, 2, 10]);
        assert_eq!(heights(24, 8, 2, true), [2, 2, 16]);
        assert_eq!(heights(12, 5, 1, false), [4, 1, 5]);
        assert_eq!(heights(0, 0, 3, true), [0, 0, 0]);
        for height in 0..60 {
            let area = Rect::new(3, 2, 40, height);
            for (sources, document) in [(0, false), (1, true), (9, false), (9, true)] {
                let places = places(area, sources, 2, document);
                for part in [places.title, places.list, places.rule, places.facts, places.text] {
                    assert_eq!(part.intersection(area), part, "{height}");
                }
            }
        }
    }

    #[test]
    fn selecting_stops_at_the_ends() {
        let mut shelf = Shelf::default();
        assert!(!shelf.select(-1, 3));
        assert!(shelf.select(9, 3));
        assert_eq!(shelf.selected, 2);
        shelf.select(1, 0);
        assert_eq!(shelf.selected, 0);
    }

    #[test]
    fn no_row_of_facts_ends_with_a_dot() {
        let words = ["found", "score 12.41", "212 tokens", "cache 4.7 MiB", "from disk"].map(str::to_owned);
        let expected = ["found · score 12.41 · 212 tokens", "cache 4.7 MiB · from disk"];
        assert_eq!(separated(&words, 36), expected);
        for columns in 1..80 {
            assert!(separated(&words, columns).iter().all(|row| !row.ends_with('·')), "{columns}");
        }
    }

    #[test]
    fn highlights_are_where_the_words_are_without_the_label() {
        let source = chunk("a.md", "close the dome", &[(7 + 10, 7 + 14), (0, 4)]);
        let reader = chunk_reader(&source);
        let rows = reader.rows(Place::default(), 40, 9);
        assert_eq!(rows[0].pieces.last(), Some(&Piece::new("dome", Role::Match)));
        assert_eq!(rows[0].text(), "3  close the dome");
    }

    #[test]
    fn the_chunk_is_found_in_its_document() {
        let source = chunk("a.md", "x\nthe dome\n", &[(7 + 6, 7 + 10)]);
        let mut document = OpenDocument::asked("docs/a.md".into());
        document.show(text("x\nthe dome\nx\nthe dome\nend", 1), &source);
        let DocumentState::Shown { reader, found, .. } = &document.state else { panic!("it is shown") };
        assert!(found);
        let rows = reader.rows(Place::default(), 40, 9);
        let texts: Vec<_> = rows.iter().map(Row::text).collect();
        assert_eq!(texts, ["1  x", "2  the dome", "3▌ x", "4▌ the dome", "5  end"]);
        assert_eq!(rows[3].pieces.last(), Some(&Piece::new("dome", Role::Match)));

        document.show(text("the dome\nx\nthe dome\nend", 2), &source);
        let DocumentState::Shown { reader, place, found: true, is_whole: false } = &document.state else {
            panic!("{document:?}")
        };
        let texts: Vec<_> = reader.rows(*place, 40, 9).iter().map(Row::text).collect();
        assert_eq!(texts, ["2  the dome", "3▌ x", "4▌ the dome", "5  end"], "the lines keep their numbers");

        document.show(text("something else", 1), &source);
        assert!(matches!(document.state, DocumentState::Shown { found: false, .. }));
    }
}
