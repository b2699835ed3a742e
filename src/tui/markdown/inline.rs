//! What stands in a line: text, emphasis, code, links and citations.

use std::ops::Range;

use super::super::{citations::Cited, text::Piece, theme::Role};

/// Stands for each byte of a label while the Markdown is parsed.
const MASK: &str = "\u{1}";

/// Collects the pieces of a paragraph.
pub struct Inline<'a> {
    source: &'a str,
    /// Where `source` begins in the answer's text.
    base_at: usize,
    cited: Vec<Cited>,
    /// How many of `cited` have been shown.
    shown: usize,
    pieces: Vec<Piece>,
    /// Where the open links lead, and what their text began behind.
    links: Vec<(String, usize)>,
    /// The role of what has no other.
    pub base: Role,
    pub strong: usize,
    pub emphasis: usize,
    pub struck: usize,
}

impl<'a> Inline<'a> {
    pub fn new(source: &'a str, base_at: usize, cited: Vec<Cited>) -> Self {
        Self {
            source,
            base_at,
            cited,
            shown: 0,
            pieces: Vec::new(),
            links: Vec::new(),
            base: Role::Base,
            strong: 0,
            emphasis: 0,
            struck: 0,
        }
    }

    /// The source with labels made unreadable: of the same length, with nothing in them that is Markdown.
    pub fn masked(&self) -> String {
        let mut masked = self.source.to_owned();
        for Cited { range, .. } in &self.cited {
            masked.replace_range(range.clone(), &MASK.repeat(range.len()));
        }
        masked
    }

    /// The pieces so far; none are left.
    pub fn take(&mut self) -> Vec<Piece> {
        std::mem::take(&mut self.pieces)
    }

    pub fn push(&mut self, text: &str, role: Role) {
        match self.pieces.last_mut() {
            Some(last) if last.role == role && last.citation.is_none() => last.text.push_str(text),
            _ => self.pieces.push(Piece::new(text, role)),
        }
    }

    /// Text that comes from this range of the source. Labels in it become numbers.
    pub fn text(&mut self, text: &str, range: Range<usize>) {
        let role = self.role();
        if self.cited.is_empty() || text.len() != range.len() {
            return self.push(text, role);
        }
        let mut at = range.start;
        while at < range.end {
            let next = self.cited.partition_point(|cited| cited.range.end <= at);
            match self.cited.get(next).map(|cited| cited.range.clone()) {
                Some(label) if label.start <= at => {
                    if self.shown <= next {
                        self.shown = next + 1;
                        let numbers = self.cited[next].pieces(self.base_at);
                        self.pieces.extend(numbers);
                    }
                    at = label.end.min(range.end);
                }
                Some(label) if label.start < range.end => {
                    self.push(&self.source[at..label.start], role);
                    at = label.start;
                }
                _ => {
                    self.push(&self.source[at..range.end], role);
                    at = range.end;
                }
            }
        }
    }

    /// Code; labels in it stay as they are.
    pub fn code(&mut self, text: &str, range: Range<usize>) {
        match self.source.get(range).filter(|_| text.contains(MASK)) {
            Some(source) => self.push(source.trim_matches('`'), Role::Code),
            None => self.push(text, Role::Code),
        }
    }

    /// What is not shown as what it means, but as it stands.
    pub fn literal(&mut self, text: &str, range: Range<usize>) {
        let source = self.source.get(range).filter(|_| text.contains(MASK)).unwrap_or(text);
        self.push(source, Role::Muted);
    }

    pub fn begin_link(&mut self, to: &str) {
        self.links.push((to.to_owned(), self.pieces.len()));
    }

    /// Says where the link leads, unless its text says it.
    pub fn end_link(&mut self) {
        let Some((to, first)) = self.links.pop() else { return };
        let shown: String =
            self.pieces.iter().skip(first.saturating_sub(1)).map(|piece| piece.text.as_str()).collect();
        if !to.is_empty() && !shown.ends_with(to.trim_start_matches("mailto:")) && !to.contains(MASK) {
            self.push(&format!(" ({to})"), Role::Muted);
        }
    }

    fn role(&self) -> Role {
        match () {
            () if self.struck > 0 => Role::Muted,
            () if self.base != Role::Base => self.base,
            () if self.strong > 0 => Role::Strong,
            () if self.emphasis > 0 => Role::Emphasis,
            () => Role::Base,
        }
    }
}
