//! Cuts a document into [`Chunk`]s.
//!
//! Chunks follow sections first (see `section`); a section that is too long for one is cut along
//! its paragraphs, list items, syntax and sentences by `text-splitter`, into pieces of about the same size. The
//! spans cover the document's text; white space between two chunks belongs to the first. A long text goes through
//! the splitter in windows of a few chunks, since its cost grows with the square of what it is given.

use std::{collections::HashMap, ops::Range};

use text_splitter::{ChunkConfig, CodeSplitter, MarkdownSplitter, TextSplitter};

use super::{
    Chunk, ChunkId, Document, DocumentKind, Mark, TokenCounter, code,
    label::{self, Label},
    measure::{Measure, boundary_before},
    read,
    section::{self, Pack},
};

/// A piece this much smaller than a chunk says nothing on its own: a heading, the end of a paragraph.
const TINY_PART: usize = 8;
/// A window holds the tokens of so many chunks.
const WINDOW_CHUNKS: usize = 5;

/// Cuts `document` into chunks of at most `budget_tokens` tokens, label included, as `count` counts them. Only a
/// single character that takes more makes a larger chunk. A document of nothing but white space has no chunks.
pub fn split(document: &Document, budget_tokens: usize, count: TokenCounter) -> Vec<Chunk> {
    if document.text.trim().is_empty() {
        return Vec::new();
    }
    let structure = section::structure_of(document);
    let mut cutter = Cutter {
        document,
        budget: budget_tokens,
        count,
        measure: Measure::new(&document.text, count),
        syntax: structure.syntax,
        name: read::file_name(&document.relative),
        labels: HashMap::new(),
        line_starts: line_starts(document),
        chunks: Vec::new(),
        leading: None,
    };
    let label_tokens =
        structure.sections.iter().map(|section| cutter.label(section.path.last()).tokens).max();
    let room = cutter.budget.saturating_sub(label_tokens.unwrap_or(0)).max(1);
    for pack in section::packs(structure.sections, &cutter.measure, room) {
        cutter.cut(pack);
    }
    cutter.chunks
}

/// Where each line begins, in bytes; empty where lines mean nothing.
fn line_starts(document: &Document) -> Vec<usize> {
    if !document.has_lines {
        return Vec::new();
    }
    let breaks = document.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
    [0].into_iter().chain(breaks).collect()
}

struct Cutter<'d> {
    document: &'d Document,
    budget: usize,
    count: TokenCounter<'d>,
    measure: Measure<'d>,
    /// Cut code along its syntax tree.
    syntax: bool,
    /// The file's name.
    name: String,
    labels: HashMap<Option<String>, Label>,
    line_starts: Vec<usize>,
    chunks: Vec<Chunk>,
    /// Where white space began that stands before the first chunk.
    leading: Option<usize>,
}

impl Cutter<'_> {
    fn label(&mut self, heading: Option<&String>) -> &Label {
        let (name, budget, count) = (&self.name, self.budget, self.count);
        self.labels
            .entry(heading.cloned())
            .or_insert_with(|| label::label(name, heading.map(String::as_str), budget, count))
    }

    /// Adds the chunks of a pack.
    fn cut(&mut self, pack: Pack) {
        let label = self.label(pack.path.last()).clone();
        let room = self.budget.saturating_sub(label.tokens).max(1);
        for piece in self.pieces(pack.span, room) {
            self.add(piece, &pack.path, &label);
        }
    }

    /// Cuts `span` into pieces that take about `room` tokens at most.
    fn pieces(&self, span: Range<usize>, room: usize) -> Vec<Range<usize>> {
        if self.measure.tokens(span.clone()) <= room {
            return vec![span];
        }
        // What is left free here is what a tiny neighbour may fill.
        let pieces = self.cut_in_windows(span, room - room / TINY_PART);
        self.join_tiny(pieces, room)
    }

    fn cut_in_windows(&self, span: Range<usize>, room: usize) -> Vec<Range<usize>> {
        let mut pieces = Vec::new();
        let mut start = span.start;
        while start < span.end {
            let tokens = self.measure.tokens(start..span.end);
            if tokens <= room {
                pieces.push(start..span.end);
                break;
            }
            let end = self.measure.end_of(start, room.saturating_mul(WINDOW_CHUNKS)).min(span.end);
            let is_last = end == span.end;
            let capacity = if is_last { even_share(tokens, room) } else { room };
            let mut window = self.split_window(start..end, capacity);
            // The last piece of a window ends where the window does, not where the text suggests: it is cut again.
            if !is_last && window.len() > 1 {
                window.pop();
            }
            start = window.last().map_or(end, |piece| piece.end);
            pieces.append(&mut window);
        }
        pieces
    }

    /// Puts each tiny piece to a neighbour that has room for it.
    fn join_tiny(&self, pieces: Vec<Range<usize>>, room: usize) -> Vec<Range<usize>> {
        let mut joined: Vec<Range<usize>> = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let Some(last) = joined.last_mut() else {
                joined.push(piece);
                continue;
            };
            let is_tiny = |span: &Range<usize>| self.measure.tokens(span.clone()) < room / TINY_PART;
            let is_wanted = is_tiny(last) || is_tiny(&piece);
            if is_wanted && self.measure.tokens(last.start..piece.end) <= room {
                last.end = piece.end;
            } else {
                joined.push(piece);
            }
        }
        joined
    }

    /// Cuts one window at the best places of its format.
    fn split_window(&self, window: Range<usize>, capacity: usize) -> Vec<Range<usize>> {
        let text = &self.document.text[window.clone()];
        let config = || ChunkConfig::new(capacity).with_sizer(&self.measure).with_trim(false);
        let starts: Vec<usize> = match self.document.kind {
            DocumentKind::Markdown | DocumentKind::Html => {
                MarkdownSplitter::new(config()).chunk_indices(text).map(|(at, _)| at).collect()
            }
            DocumentKind::Code(language) if self.syntax => {
                match CodeSplitter::new(code::grammar(language), config()) {
                    Ok(splitter) => splitter.chunk_indices(text).map(|(at, _)| at).collect(),
                    Err(_) => TextSplitter::new(config()).chunk_indices(text).map(|(at, _)| at).collect(),
                }
            }
            DocumentKind::Text | DocumentKind::Code(_) => {
                TextSplitter::new(config()).chunk_indices(text).map(|(at, _)| at).collect()
            }
        };
        between(starts.into_iter().map(|at| window.start + at), window.clone())
    }

    /// Adds a piece as a chunk; as several, where its exact size is over the budget after all.
    fn add(&mut self, piece: Range<usize>, path: &[String], label: &Label) {
        let mut open = vec![piece];
        while let Some(span) = open.pop() {
            if self.document.text[span.clone()].trim().is_empty() {
                self.add_blank(span);
                continue;
            }
            let mut chunk = self.chunk(span.clone(), path, label);
            if chunk.tokens > self.budget && self.document.text[span.clone()].chars().nth(1).is_some() {
                open.extend(self.halves(span).into_iter().rev());
                continue;
            }
            chunk.span.start = self.leading.take().unwrap_or(span.start);
            self.chunks.push(chunk);
        }
    }

    /// White space belongs to the chunk before it; where there is none, to the one after it.
    fn add_blank(&mut self, span: Range<usize>) {
        match self.chunks.last_mut() {
            Some(before) => before.span.end = span.end,
            None => {
                self.leading.get_or_insert(span.start);
            }
        }
    }

    /// Two or more pieces of `span`, which has more than one character.
    fn halves(&self, span: Range<usize>) -> Vec<Range<usize>> {
        let half = self.measure.tokens(span.clone()) / 2;
        let pieces = self.split_window(span.clone(), half.max(1));
        if pieces.len() > 1 {
            return pieces;
        }
        let text = &self.document.text[span.clone()];
        let first = text.chars().next().map_or(1, char::len_utf8);
        let middle = span.start + boundary_before(text, text.len() / 2).max(first);
        vec![span.start..middle, middle..span.end]
    }

    fn chunk(&self, span: Range<usize>, path: &[String], label: &Label) -> Chunk {
        let shown = without_blank_lines(&self.document.text, span.clone());
        let text = format!("{}{}", label.line, &self.document.text[shown.clone()]);
        let lines = self.document.has_lines.then(|| (self.line_at(shown.start), self.line_at(shown.end - 1)));
        Chunk {
            id: ChunkId::of(&text),
            span,
            lines,
            page: self.page_at(shown.start),
            heading: path.iter().cloned().chain(self.rows_in(shown.clone())).collect(),
            label: label.text.clone(),
            tokens: self.measure.tokens_of(&text, shown),
            text,
        }
    }

    /// The page of a byte; the first page for what stands before it.
    fn page_at(&self, offset: usize) -> Option<u32> {
        let pages = &self.document.pages;
        mark_at(pages, offset).or(pages.first()).map(|page| page.number)
    }

    /// `rows 2–41`, for a part of one table. Not part of the label: a row that is put in would make other chunks of all
    /// below it.
    fn rows_in(&self, span: Range<usize>) -> Option<String> {
        let rows = &self.document.rows;
        let begin = |offset: usize| rows.partition_point(|row| row.offset < offset);
        let rows = match &rows[begin(span.start)..begin(span.end)] {
            // A row so long that it was cut.
            [] => std::slice::from_ref(mark_at(rows, span.start)?),
            begun => begun,
        };
        let [first, last] = [rows.first()?.number, rows.last()?.number];
        let is_one_table = rows.windows(2).all(|pair| pair[0].number < pair[1].number);
        is_one_table
            .then(|| if first == last { format!("row {last}") } else { format!("rows {first}–{last}") })
    }

    /// The line of a byte, from 1.
    fn line_at(&self, offset: usize) -> u32 {
        let line = self.line_starts.partition_point(|&start| start <= offset);
        u32::try_from(line).unwrap_or(u32::MAX)
    }
}

/// The last of `marks` at or before a byte.
fn mark_at(marks: &[Mark], offset: usize) -> Option<&Mark> {
    marks.partition_point(|mark| mark.offset <= offset).checked_sub(1).map(|at| &marks[at])
}

/// The capacity that cuts `tokens` into pieces of about the same size, with some freedom for where to cut.
fn even_share(tokens: usize, room: usize) -> usize {
    let share = tokens.div_ceil(tokens.div_ceil(room));
    (share + share / 8).min(room)
}

/// The ranges between `starts`, made to cover `whole`.
fn between(starts: impl Iterator<Item = usize>, whole: Range<usize>) -> Vec<Range<usize>> {
    let mut edges = vec![whole.start];
    for start in starts {
        if start > edges[edges.len() - 1] && start < whole.end {
            edges.push(start);
        }
    }
    edges.push(whole.end);
    edges.windows(2).map(|edge| edge[0]..edge[1]).collect()
}

/// `span`, which is not blank, without the blank lines at its ends. The first line keeps its indentation.
fn without_blank_lines(text: &str, span: Range<usize>) -> Range<usize> {
    let part = &text[span.clone()];
    let first = part.len() - part.trim_start().len();
    let start = part[..first].rfind('\n').map_or(0, |at| at + 1);
    span.start + start..span.start + part.trim_end().len()
}
