//! The text that a reader writes, with the places of its headings, pages and rows.

use super::{Converted, DocumentKind, Heading, MAX_TEXT_BYTES, Mark, heading_text, too_much_text};

/// Grows block by block; blocks are separated by a blank line.
#[derive(Debug, Default)]
pub(super) struct Text {
    text: String,
    headings: Vec<Heading>,
    pages: Vec<Mark>,
    rows: Vec<Mark>,
}

impl Text {
    /// Where the next block begins, on a page or slide of this number.
    pub fn page(&mut self, number: u32) {
        self.gap();
        // A page without text begins where the next one does.
        self.pages.retain(|page| page.offset < self.text.len());
        self.pages.push(Mark { offset: self.text.len(), number });
    }

    /// Adds a heading, 1 for the highest level. One without text is left out.
    ///
    /// # Errors
    /// When the text has become longer than a document may be; so for all that adds to it.
    pub fn heading(&mut self, level: usize, text: &str) -> Result<(), String> {
        let text = heading_text(text);
        if text.is_empty() {
            return Ok(());
        }
        self.gap();
        let level = level.clamp(1, 6);
        self.headings.push(Heading { level: level as u8, text: text.clone(), offset: self.text.len() });
        self.push(&format!("{} {text}", "#".repeat(level)))
    }

    /// Adds a block as it is but for white space at its ends. One without text is left out.
    ///
    /// # Errors
    /// As for [`heading`](Self::heading).
    pub fn block(&mut self, text: &str) -> Result<(), String> {
        let text = text.trim_end().trim_start_matches(['\n', '\r']);
        if text.trim().is_empty() {
            return Ok(());
        }
        self.gap();
        self.push(text)
    }

    /// Adds a table's row as a line; the first one of a table stands apart from what is before it.
    ///
    /// # Errors
    /// As for [`heading`](Self::heading).
    pub fn row(&mut self, number: u32, text: &str) -> Result<(), String> {
        let table = self.headings.last().map_or(0, |heading| heading.offset);
        match self.rows.last() {
            Some(row) if row.offset >= table => self.push("\n")?,
            _ => self.gap(),
        }
        self.rows.push(Mark { offset: self.text.len(), number });
        self.push(text)
    }

    /// Adds Markdown whose headings are already known to be at these places in it.
    ///
    /// # Errors
    /// As for [`heading`](Self::heading).
    pub fn markdown(&mut self, text: &str, headings: Vec<Heading>) -> Result<(), String> {
        if text.trim().is_empty() {
            return Ok(());
        }
        self.gap();
        let begin = self.text.len();
        self.headings.extend(
            headings.into_iter().map(|heading| Heading { offset: begin + heading.offset, ..heading }),
        );
        self.push(text)
    }

    /// Has no text so far.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub fn has_headings(&self) -> bool {
        !self.headings.is_empty()
    }

    /// Ends the text. A title is needed where the first heading is none.
    pub fn finish(mut self, kind: DocumentKind, title: Option<String>) -> Converted {
        self.pages.retain(|page| page.offset < self.text.len());
        let title = title.map(|title| heading_text(&title)).filter(|title| !title.is_empty());
        let Self { text, headings, pages, rows } = self;
        Converted { kind, text, headings, title, pages, rows, has_lines: false, incomplete: None }
    }

    /// A blank line between what is there and what comes.
    fn gap(&mut self) {
        if !self.text.is_empty() {
            let has = self.text.bytes().rev().take_while(|byte| *byte == b'\n').count();
            self.text.push_str(&"\n\n"[has.min(2)..]);
        }
    }

    fn push(&mut self, text: &str) -> Result<(), String> {
        if self.text.len() + text.len() > MAX_TEXT_BYTES {
            return Err(too_much_text());
        }
        self.text.push_str(text);
        Ok(())
    }
}
