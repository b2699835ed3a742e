//! An answer's Markdown as rows.
//!
//! Each section (see [`split`]) is laid out by itself. What is not Markdown after all is shown as it stands: nothing of
//! an answer is left out. Links are shown with where they lead, and nothing acts on them.

mod code;
mod inline;
pub mod split;
mod table;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use self::{inline::Inline, split::Section};
use super::{
    citations,
    text::{Piece, Row, width, wrap},
    theme::Role,
};
use crate::engine::RetrievedChunk;

/// Quotes and lists inside each other that are indented; a model's mistakes shall not leave a column of one cell.
const MOST_NESTED: usize = 8;
/// Fewest cells that quotes and lists leave to their text.
const FEWEST_CELLS: usize = 12;

/// The roles of a block of code, line by line: how many bytes of the line are in which.
pub type Highlights = Vec<Vec<(usize, Role)>>;

/// The rows of a section of `text` at this width. Each row says where in `text` it begins, as near as is known.
pub fn rows(
    text: &str,
    section: &Section,
    sources: &[RetrievedChunk],
    highlights: Option<&Highlights>,
    width: usize,
) -> Vec<Row> {
    let source = &text[section.start..section.end];
    let mut rows = match code::body(text, section) {
        Some(body) => code::rows(&text[body], highlights, width),
        None => Writer::new(source, section.start, sources, width).write(),
    };
    for row in &mut rows {
        row.at += section.start;
    }
    if section.start > 0 && !section.continued && !rows.is_empty() {
        rows.insert(0, Row { pieces: Vec::new(), at: section.start });
    }
    rows
}

/// The code of a section that is a block of code, without its fences, as a place in `text`.
pub fn code_body(text: &str, section: &Section) -> Option<std::ops::Range<usize>> {
    code::body(text, section)
}

/// The name of the language of a section that is a block of code; empty where it has none.
pub fn language<'a>(text: &'a str, section: &Section) -> &'a str {
    code::language(text, section)
}

/// What the rows of a block begin with.
enum Container {
    Quote,
    List {
        next: Option<u64>,
    },
    /// An item of a list; its mark is still to be shown, or has been.
    Item {
        mark: Vec<Piece>,
        width: usize,
        shown: bool,
    },
}

struct Writer<'a> {
    source: &'a str,
    width: usize,
    rows: Vec<Row>,
    containers: Vec<Container>,
    inline: Inline<'a>,
    /// The code of a block that is not a section of its own.
    code: Option<String>,
    table: Option<table::Table>,
    /// Rows were written, and what follows stands apart from them.
    apart: bool,
    /// Where the block being written begins.
    at: usize,
}

impl<'a> Writer<'a> {
    fn new(source: &'a str, base: usize, sources: &[RetrievedChunk], width: usize) -> Self {
        Self {
            source,
            width,
            rows: Vec::new(),
            containers: Vec::new(),
            inline: Inline::new(source, base, citations::find(source, sources)),
            code: None,
            table: None,
            apart: false,
            at: 0,
        }
    }

    fn write(mut self) -> Vec<Row> {
        // Labels are no Markdown: they may have any character in them.
        let masked = self.inline.masked();
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
        let parser = Parser::new_ext(&masked, options);
        let mut definitions: Vec<_> =
            parser.reference_definitions().iter().map(|(_, definition)| definition.span.clone()).collect();
        definitions.sort_by_key(|span| span.start);
        for (event, range) in parser.into_offset_iter() {
            self.event(event, range);
        }
        self.paragraph();
        for span in definitions {
            self.at = span.start;
            self.apart = true;
            self.inline.push(&self.source[span], Role::Muted);
            self.paragraph();
        }
        self.rows
    }

    fn event(&mut self, event: Event<'_>, range: std::ops::Range<usize>) {
        match event {
            Event::Start(tag) => self.start(tag, range.start),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.code {
                // As it stands in the answer: labels are not replaced in code.
                Some(code) => code.push_str(self.source.get(range).unwrap_or(&text)),
                None => self.inline.text(&text, range),
            },
            Event::Code(text) => self.inline.code(&text, range),
            Event::Html(text) | Event::InlineHtml(text) => match text.trim_end() {
                "<br>" | "<br/>" | "<br />" => self.paragraph(),
                text => self.inline.literal(text, range),
            },
            Event::SoftBreak | Event::HardBreak if self.table.is_some() => self.inline.push(" ", Role::Base),
            Event::SoftBreak | Event::HardBreak => self.line(range.end),
            Event::Rule => {
                self.begin(range.start, true);
                let cells = self.cells();
                self.push(Row::new(vec![Piece::new("─".repeat(cells), Role::Border)]));
                self.apart = true;
            }
            Event::TaskListMarker(done) => {
                let mark = if done { "[x] " } else { "[ ] " };
                self.inline.push(mark, Role::Accent);
            }
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => {
                self.inline.literal(&text, range);
            }
        }
    }

    fn start(&mut self, tag: Tag<'_>, at: usize) {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock => self.begin(at, false),
            Tag::Heading { level, .. } => {
                self.begin(at, true);
                let role = if level <= HeadingLevel::H2 { Role::Heading } else { Role::Strong };
                self.inline.base = role;
            }
            Tag::BlockQuote(_) => {
                self.begin(at, true);
                self.containers.push(Container::Quote);
            }
            Tag::CodeBlock(_) => {
                self.begin(at, true);
                self.code = Some(String::new());
            }
            Tag::List(next) => {
                self.begin(at, false);
                self.containers.push(Container::List { next });
            }
            Tag::Item => {
                self.begin(at, false);
                self.item();
            }
            Tag::Table(alignments) => {
                self.begin(at, true);
                self.table = Some(table::Table::new(alignments));
            }
            Tag::Strong => self.inline.strong += 1,
            Tag::Emphasis => self.inline.emphasis += 1,
            Tag::Strikethrough => self.inline.struck += 1,
            Tag::Link { dest_url, .. } => self.inline.begin_link(&dest_url),
            Tag::Image { dest_url, .. } => self.inline.begin_link(&dest_url),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph | TagEnd::HtmlBlock => self.paragraph(),
            TagEnd::Heading(_) => {
                self.paragraph();
                self.inline.base = Role::Base;
                self.apart = true;
            }
            TagEnd::BlockQuote(_) => {
                self.paragraph();
                self.containers.pop();
                self.apart = true;
            }
            TagEnd::CodeBlock => {
                if let Some(code) = self.code.take() {
                    for row in code::rows(&code, None, self.cells()) {
                        self.push(row);
                    }
                }
                self.apart = true;
            }
            TagEnd::List(_) => {
                self.containers.pop();
            }
            TagEnd::Item => {
                self.paragraph();
                if matches!(self.containers.last(), Some(Container::Item { shown: false, .. })) {
                    self.push(Row::blank());
                }
                self.containers.pop();
            }
            TagEnd::TableCell => {
                let cell = self.inline.take();
                if let Some(table) = &mut self.table {
                    table.cell(cell);
                }
            }
            TagEnd::TableHead | TagEnd::TableRow => {
                if let Some(table) = &mut self.table {
                    table.end_row();
                }
            }
            TagEnd::Table => {
                if let Some(table) = self.table.take() {
                    for row in table.rows(self.cells()) {
                        self.push(row);
                    }
                }
                self.apart = true;
            }
            TagEnd::Strong => self.inline.strong = self.inline.strong.saturating_sub(1),
            TagEnd::Emphasis => self.inline.emphasis = self.inline.emphasis.saturating_sub(1),
            TagEnd::Strikethrough => self.inline.struck = self.inline.struck.saturating_sub(1),
            TagEnd::Link | TagEnd::Image => self.inline.end_link(),
            _ => {}
        }
    }

    /// Begins a block: after a blank row where the text has a blank line, or where `apart` asks for one.
    fn begin(&mut self, at: usize, apart: bool) {
        self.paragraph();
        let before = self.source[..at.min(self.source.len())].bytes().rev();
        let gap = before.take_while(|byte| matches!(byte, b' ' | b'\n' | b'\t' | b'>'));
        let blank = gap.filter(|byte| *byte == b'\n').count() > 1;
        // An item whose mark stands alone so far has its first block beside the mark.
        let beside = matches!(self.containers.last(), Some(Container::Item { shown: false, .. }));
        self.at = at;
        if !self.rows.is_empty() && !beside && (blank || apart || self.apart) {
            self.push(Row::blank());
        }
        self.apart = false;
    }

    /// An item's mark, and how far its text is indented.
    fn item(&mut self) {
        let mark = match self.containers.last_mut() {
            Some(Container::List { next: Some(number) }) => {
                let mark = format!("{number}. ");
                *number = number.saturating_add(1);
                mark
            }
            _ => "• ".to_owned(),
        };
        let width = width(&mark);
        let mark = vec![Piece::new(mark, Role::Muted)];
        self.containers.push(Container::Item { mark, width, shown: false });
    }

    /// Writes what has come of a paragraph.
    fn paragraph(&mut self) {
        let pieces = self.inline.take();
        if !pieces.is_empty() {
            for row in wrap(&pieces, self.cells(), 0) {
                self.push(row);
            }
        }
    }

    /// Ends a line of a paragraph: a line of the answer stays a line.
    fn line(&mut self, next: usize) {
        self.paragraph();
        self.at = next;
    }

    /// Cells that the containers leave to their text.
    fn cells(&self) -> usize {
        self.width - self.indent()
    }

    fn indent(&self) -> usize {
        let most = self.width.saturating_sub(FEWEST_CELLS);
        let mut indent = 0;
        for width in self.containers.iter().map(Container::width).take(2 * MOST_NESTED) {
            if indent + width <= most {
                indent += width;
            }
        }
        indent
    }

    /// Adds a row behind what its containers put before it.
    fn push(&mut self, mut row: Row) {
        let most = self.width.saturating_sub(FEWEST_CELLS);
        let blank = row.pieces.is_empty();
        let mut before = Vec::new();
        let mut indent = 0;
        for container in self.containers.iter_mut().take(2 * MOST_NESTED) {
            let width = container.width();
            if indent + width > most {
                continue;
            }
            indent += width;
            match container {
                Container::Quote => before.push(Piece::new("▌ ", Role::Border)),
                Container::List { .. } => {}
                Container::Item { mark, shown: shown @ false, .. } => {
                    before.append(mark);
                    *shown = true;
                }
                Container::Item { width, .. } if !blank => {
                    before.push(Piece::new(" ".repeat(*width), Role::Base));
                }
                Container::Item { .. } => {}
            }
        }
        before.append(&mut row.pieces);
        self.rows.push(Row { pieces: before, at: self.at + row.at });
    }
}

impl Container {
    fn width(&self) -> usize {
        match self {
            Self::Quote => 2,
            Self::List { .. } => 0,
            Self::Item { width, .. } => *width,
        }
    }
}

#[cfg(test)]
mod tests;
