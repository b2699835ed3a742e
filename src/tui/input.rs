//! The question as it is typed, and those asked before.
//!
//! Editing (cursor, words, undo) is ratatui-textarea's. Drawing is ours: the box grows with the wrapped text and shows
//! the terminal's own cursor, which input methods need.

use crossterm::event::KeyEvent;
use ratatui_textarea::{CursorMove, DataCursor, TextArea};

use super::{
    text::{Piece, Row, width, wrap},
    theme::Role,
};

/// Most bytes taken from one paste; more than any model's context.
pub const MAX_PASTE: usize = 64 * 1024;

/// The question being typed.
#[derive(Debug, Clone, Default)]
pub struct Input {
    area: TextArea<'static>,
    history: Vec<String>,
    /// The question of the history that is shown.
    recalled: Option<usize>,
}

impl Input {
    pub fn text(&self) -> String {
        self.area.lines().join("\n")
    }

    pub fn is_empty(&self) -> bool {
        self.area.is_empty()
    }

    /// Empty, or a question of the history, unchanged.
    pub fn shows_history(&self) -> bool {
        self.is_empty() || self.recalled.is_some_and(|index| self.history[index] == self.text())
    }

    /// What was sent, the oldest first.
    pub fn history(&self) -> &[String] {
        &self.history
    }

    /// Gives the key to the editor.
    pub fn key(&mut self, event: KeyEvent) {
        self.area.input(event);
    }

    pub fn insert(&mut self, character: char) {
        self.area.insert_char(character);
    }

    /// The cursor is where a word begins.
    pub fn at_word_start(&self) -> bool {
        self.before_cursor().is_none_or(char::is_whitespace)
    }

    /// Deletes the character before the cursor if it is this one.
    pub fn delete_before(&mut self, character: char) {
        if self.before_cursor() == Some(character) {
            self.area.delete_char();
        }
    }

    /// The character before the cursor in its line.
    fn before_cursor(&self) -> Option<char> {
        let DataCursor(line, column) = self.area.cursor();
        self.area.lines().get(line)?.chars().nth(column.checked_sub(1)?)
    }

    pub fn newline(&mut self) {
        self.area.insert_newline();
    }

    pub fn delete_word(&mut self) {
        self.area.delete_word();
    }

    pub fn delete_to_line_start(&mut self) {
        self.area.delete_line_by_head();
    }

    /// Inserts text as it is, line breaks too, but for what a terminal acts on. False where it was cut.
    pub fn paste(&mut self, text: &str) -> bool {
        let mut end = text.len().min(MAX_PASTE);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = text[..end].replace("\r\n", "\n").replace('\r', "\n").replace('\t', "    ");
        let text: String = text.chars().filter(|each| *each == '\n' || !each.is_control()).collect();
        self.area.insert_str(text);
        end == MAX_PASTE
    }

    /// Empties the editor, and keeps what was in it for the history.
    pub fn take(&mut self) -> String {
        let text = self.text().trim().to_owned();
        if !text.is_empty() && self.history.last() != Some(&text) {
            self.history.push(text.clone());
        }
        self.recalled = None;
        self.set("");
        text
    }

    /// Shows the question before the one shown.
    pub fn older(&mut self) {
        let index = self.recalled.unwrap_or(self.history.len());
        if let Some(index) = index.checked_sub(1) {
            self.recall(index);
        }
    }

    /// Shows the question after the one shown; after the newest, none.
    pub fn newer(&mut self) {
        match self.recalled {
            Some(index) if index + 1 < self.history.len() => self.recall(index + 1),
            Some(_) => {
                self.recalled = None;
                self.set("");
            }
            None => {}
        }
    }

    fn recall(&mut self, index: usize) {
        self.recalled = Some(index);
        let text = self.history[index].clone();
        self.set(&text);
    }

    /// Puts `text` in the place of what is there; it is not part of the history yet.
    pub fn replace(&mut self, text: &str) {
        self.recalled = None;
        self.set(text);
    }

    fn set(&mut self, text: &str) {
        self.area = TextArea::new(text.split('\n').map(str::to_owned).collect());
        self.area.move_cursor(CursorMove::Bottom);
        self.area.move_cursor(CursorMove::End);
    }

    /// The text wrapped to `columns`, and the cursor's row and column in it.
    pub fn rows(&self, columns: usize) -> (Vec<Row>, (usize, usize)) {
        let DataCursor(cursor_line, cursor_column) = self.area.cursor();
        let mut rows = Vec::new();
        let mut cursor = (0, 0);
        for (number, line) in self.area.lines().iter().enumerate() {
            let wrapped = wrap(&[Piece::new(line.as_str(), Role::Base)], columns, 0);
            if number == cursor_line {
                let offset = line.char_indices().nth(cursor_column).map_or(line.len(), |(index, _)| index);
                let row = wrapped.iter().rposition(|row| row.at <= offset).unwrap_or(0);
                let column = width(&line[wrapped[row].at.min(offset)..offset]);
                cursor = (rows.len() + row, column.min(columns.saturating_sub(1)));
            }
            rows.extend(wrapped);
        }
        (rows, cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(text: &str) -> Input {
        let mut input = Input::default();
        input.paste(text);
        input
    }

    #[test]
    fn history_goes_both_ways_and_ends_empty() {
        let mut input = Input::default();
        for question in ["one", "two", "two", "three\nlines"] {
            input.paste(question);
            assert_eq!(input.take(), question);
        }
        input.older();
        assert_eq!(input.text(), "three\nlines");
        input.older();
        input.older();
        input.older();
        assert_eq!(input.text(), "one");
        assert!(input.shows_history());
        input.newer();
        assert_eq!(input.text(), "two");
        input.newer();
        input.newer();
        assert!(input.is_empty());
        input.paste("x");
        assert!(!input.shows_history());
    }

    #[test]
    fn pasting_takes_no_control_characters_and_not_too_much() {
        assert_eq!(input("a\r\nb\tc\u{1b}[31md\u{7}").text(), "a\nb    c[31md");
        let mut long = Input::default();
        assert!(long.paste(&"ä".repeat(MAX_PASTE)));
        assert!(long.text().len() <= MAX_PASTE);
    }

    #[test]
    fn the_cursor_is_where_the_text_is() {
        assert_eq!(input("日本語").rows(20).1, (0, 6));
        assert_eq!(input("one two three").rows(8).1, (1, 5));
        assert_eq!(input("one\n").rows(8).1, (1, 0));
        assert_eq!(input("").rows(8).1, (0, 0));
        let (rows, cursor) = input("abcdefgh").rows(8);
        assert_eq!((rows.len(), cursor), (1, (0, 7)));
    }
}
