//! An entry of the conversation in parts, each laid out as rows when it is needed.
//!
//! A part is the question, a section of the answer's Markdown, or what follows the answer. Which parts there are does
//! not depend on the width, so a part and a place in it say where a reader is at every width. A part that has not been
//! laid out has an estimated number of rows; one whose rows were forgotten keeps their number.

use std::collections::BTreeMap;

use super::{
    entry::{Entry, Turn, divider_rows, note_rows, question_rows, tail_rows},
    markdown::{
        self, Highlights,
        split::{self, Fence, Section},
    },
    text::{Piece, Row},
    theme::Role,
};

/// Cells before the text: the mark of a question or of a notice stands there.
pub const GUTTER: usize = 2;
/// Rows that what follows an answer is thought to take.
const TAIL_ROWS: usize = 6;

/// The parts of an entry at one width.
#[derive(Debug, Clone, Default)]
pub struct Laid {
    /// Empty until somebody comes near the entry.
    parts: Vec<Part>,
    /// The rows of all parts, estimated or not.
    rows: usize,
    width: usize,
    /// Where the open section of the answer's text begins, and in what.
    open: usize,
    inside: Option<Fence>,
    continued: bool,
    /// The roles of the code of sections, by where they begin.
    highlights: BTreeMap<usize, Highlights>,
}

#[derive(Debug, Clone)]
struct Part {
    kind: Kind,
    /// `None` until it is laid out, and once its rows were forgotten.
    rows: Option<Vec<Row>>,
    /// How many rows there are, where `rows` does not say it.
    count: usize,
    /// `count` is not an estimate.
    counted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A question, or a note as a whole.
    Head,
    Text(Section),
    /// What follows the answer, with a blank row at its end.
    Tail,
}

impl Laid {
    /// The rows of all parts, estimated where they have not been laid out.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many parts there are; none until [`Laid::divide`] has been called.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// The rows of a part, if it has been laid out.
    pub fn part(&self, part: usize) -> Option<&[Row]> {
        self.parts.get(part)?.rows.as_deref()
    }

    /// The rows of a part, estimated or not.
    pub fn part_rows(&self, part: usize) -> usize {
        self.parts.get(part).map_or(0, Part::count)
    }

    /// The rows before a part.
    pub fn rows_before(&self, part: usize) -> usize {
        self.parts.iter().take(part).map(Part::count).sum()
    }

    /// Forgets all that was laid out: the entry has changed.
    pub fn reset(&mut self, entry: &Entry, width: usize) {
        // Most changes leave the text as it is.
        let highlights = std::mem::take(&mut self.highlights);
        *self = Self { width, highlights, ..Self::default() };
        self.rows = match entry {
            Entry::Turn(turn) => {
                let (question, text) = (estimate(&turn.question, width), estimate(&turn.text, width));
                question + 1 + text + TAIL_ROWS
            }
            Entry::Note(note) => 1 + estimate(&note.text, width) + note.details.len(),
            Entry::Divider(_) => 2,
        };
    }

    /// Keeps the parts but none of their rows: the width has changed.
    pub fn resize(&mut self, entry: &Entry, width: usize) {
        if self.parts.is_empty() {
            return self.reset(entry, width);
        }
        self.width = width;
        self.rows = 0;
        for part in &mut self.parts {
            *part = Part::new(part.kind, entry, width);
            self.rows += part.count;
        }
    }

    /// Finds the entry's parts, if that has not been done.
    pub fn divide(&mut self, entry: &Entry) {
        if !self.parts.is_empty() {
            return;
        }
        self.rows = 0;
        self.add(Kind::Head, entry);
        if let Entry::Turn(turn) = entry {
            self.divide_text(turn, entry);
            self.add(Kind::Tail, entry);
        }
    }

    /// Takes over that the answer has become longer: what was finished of it stays laid out.
    pub fn grow(&mut self, entry: &Entry) {
        let Entry::Turn(turn) = entry else { return self.reset(entry, self.width) };
        if self.parts.is_empty() {
            return self.reset(entry, self.width);
        }
        let open =
            |kind: Kind| kind == Kind::Tail || matches!(kind, Kind::Text(open) if open.start >= self.open);
        while let Some(last) = self.parts.pop_if(|part| open(part.kind)) {
            self.rows -= last.count();
        }
        self.divide_text(turn, entry);
        self.add(Kind::Tail, entry);
    }

    /// Lays a part out; returns the bytes of text that this took, 0 where it was laid out already.
    pub fn lay_out(&mut self, entry: &Entry, part: usize) -> usize {
        let width = self.width;
        let Some(part) = self.parts.get_mut(part).filter(|part| part.rows.is_none()) else { return 0 };
        let before = part.count();
        let (mut rows, bytes) = match (part.kind, entry) {
            (Kind::Head, Entry::Turn(turn)) => (question_rows(turn, width), turn.question.len()),
            (Kind::Head, Entry::Note(note)) => {
                let mut rows = note_rows(note, width);
                rows.push(Row::blank());
                (rows, note.text.len())
            }
            (Kind::Head, Entry::Divider(text)) => {
                let mut rows = divider_rows(text, width);
                rows.push(Row::blank());
                (rows, 0)
            }
            (Kind::Text(section), Entry::Turn(turn)) => {
                let text = text_rows(turn, &section, self.highlights.get(&section.start), width);
                (text, section.end - section.start)
            }
            (_, Entry::Turn(turn)) => {
                let mut rows = tail_rows(turn, width);
                rows.push(Row::blank());
                (rows, 0)
            }
            (_, Entry::Note(_) | Entry::Divider(_)) => (Vec::new(), 0),
        };
        increase(&mut rows);
        part.rows = Some(rows);
        self.rows = self.rows - before + part.count();
        // What takes no text takes some time.
        bytes + 64
    }

    /// The part in which this place of the answer's text is.
    pub fn part_of(&self, at: usize) -> usize {
        let before = |part: &Part| match part.kind {
            Kind::Head => true,
            Kind::Text(section) => section.start <= at,
            Kind::Tail => false,
        };
        self.parts.partition_point(before).saturating_sub(1)
    }

    /// The code of a part whose roles are not all known yet: where its section begins, its language, and its lines as
    /// far as they are finished.
    pub fn plain_code<'a>(&self, entry: &'a Entry, part: usize) -> Option<(usize, &'a str, &'a str)> {
        let (Entry::Turn(turn), Kind::Text(section)) = (entry, self.parts.get(part)?.kind) else {
            return None;
        };
        let code = &turn.text[markdown::code_body(&turn.text, &section)?];
        let language = markdown::language(&turn.text, &section);
        let finished = match turn.is_running() && section.end == turn.text.len() {
            true => code.rfind('\n').map_or(0, |end| end + 1),
            false => code.len(),
        };
        let code = &code[..finished];
        let known = self.highlights.get(&section.start).map_or(0, Vec::len);
        (!language.is_empty() && code.lines().count() > known).then_some((section.start, language, code))
    }

    /// Takes the roles of the code of the section that begins at `start` over.
    pub fn highlight(&mut self, entry: &Entry, start: usize, highlights: Highlights) {
        self.highlights.insert(start, highlights);
        let here = |kind: Kind| matches!(kind, Kind::Text(section) if section.start == start);
        if let Some(index) = self.parts.iter().position(|part| here(part.kind))
            && self.parts[index].rows.is_some()
        {
            self.forget(index);
            self.lay_out(entry, index);
        }
    }

    /// Gives the memory of a part's rows back; how many they are stays known.
    pub fn forget(&mut self, part: usize) {
        if let Some(part) = self.parts.get_mut(part)
            && let Some(rows) = part.rows.take()
        {
            (part.count, part.counted) = (rows.len(), true);
        }
    }

    /// The first part, from `part` on, whose number of rows is an estimate.
    pub fn first_estimated(&self, part: usize) -> Option<usize> {
        let estimated = |part: &Part| part.rows.is_none() && !part.counted;
        self.parts.iter().skip(part).position(estimated).map(|position| part + position)
    }

    /// Whether this row shows what a running answer is doing.
    pub fn is_live(&self, entry: &Entry, part: usize, row: usize) -> bool {
        let running = matches!(entry, Entry::Turn(turn) if turn.is_running());
        running && part + 1 == self.parts.len() && row + 2 == self.part_rows(part)
    }

    fn divide_text(&mut self, turn: &Turn, entry: &Entry) {
        let section = |laid: &Self, end| Section {
            start: laid.open,
            end,
            inside: laid.inside,
            continued: laid.continued,
        };
        while let Some((end, inside, continued)) = split::section(&turn.text, self.open, self.inside) {
            let closed = section(self, end);
            self.add(Kind::Text(closed), entry);
            (self.open, self.inside, self.continued) = (end, inside, continued);
        }
        if self.open < turn.text.len() {
            let open = section(self, turn.text.len());
            self.add(Kind::Text(open), entry);
        }
    }

    fn add(&mut self, kind: Kind, entry: &Entry) {
        let part = Part::new(kind, entry, self.width);
        self.rows += part.count;
        self.parts.push(part);
    }
}

impl Part {
    fn new(kind: Kind, entry: &Entry, width: usize) -> Self {
        Self { kind, rows: None, count: kind.estimate(entry, width), counted: false }
    }

    fn count(&self) -> usize {
        self.rows.as_ref().map_or(self.count, Vec::len)
    }
}

impl Kind {
    fn estimate(self, entry: &Entry, width: usize) -> usize {
        match (self, entry) {
            (Self::Head, Entry::Turn(turn)) => estimate(&turn.question, width) + 1,
            (Self::Head, Entry::Note(note)) => estimate(&note.text, width) + 1,
            (Self::Text(section), Entry::Turn(turn)) => {
                estimate(&turn.text[section.start..section.end], width)
            }
            _ => TAIL_ROWS,
        }
    }
}

/// About how many rows a text takes.
fn estimate(text: &str, width: usize) -> usize {
    let lines = text.bytes().filter(|byte| *byte == b'\n').count();
    lines + text.len() / width.saturating_sub(GUTTER).max(2) + 1
}

fn text_rows(turn: &Turn, section: &Section, highlights: Option<&Highlights>, width: usize) -> Vec<Row> {
    let cells = width.saturating_sub(GUTTER);
    let mut rows = markdown::rows(&turn.text, section, &turn.sources, highlights, cells);
    for row in &mut rows {
        if !row.pieces.is_empty() {
            row.pieces.insert(0, Piece::new(" ".repeat(GUTTER), Role::Base));
        }
    }
    rows
}

/// Makes every row begin at a place of its own, so that a place is that of one row.
fn increase(rows: &mut [Row]) {
    let mut least = 0;
    for row in rows {
        row.at = row.at.max(least);
        least = row.at.saturating_add(1);
    }
}
