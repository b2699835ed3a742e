//! A text field of one line.
//!
//! Editing is ratatui-textarea's, as in the question; drawing is ours, so that the terminal's own cursor can be shown.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui_textarea::{CursorMove, DataCursor, TextArea};
use unicode_segmentation::UnicodeSegmentation;

use super::{
    text::{Piece, Row, fit, width},
    theme::Role,
};

/// Most bytes taken from one paste: more than any name or path has.
const MAX_PASTE: usize = 4096;

/// One line of text being typed.
#[derive(Debug, Clone, Default)]
pub struct Field {
    // In a box because it is large and lies in variants beside small ones.
    area: Box<TextArea<'static>>,
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text() && self.area.cursor() == other.area.cursor()
    }
}

impl Field {
    /// A field with `text` in it, the cursor at its end.
    pub fn new(text: &str) -> Self {
        let mut field = Self { area: Box::new(TextArea::new(vec![one_line(text)])) };
        field.area.move_cursor(CursorMove::End);
        field
    }

    pub fn text(&self) -> &str {
        self.area.lines().first().map_or("", String::as_str)
    }

    pub fn is_empty(&self) -> bool {
        self.text().is_empty()
    }

    /// Gives the key to the editor; true where the text has changed. Keys that would begin a new line do nothing.
    pub fn key(&mut self, event: KeyEvent) -> bool {
        match (event.code, event.modifiers.contains(KeyModifiers::CONTROL)) {
            (KeyCode::Enter | KeyCode::Tab | KeyCode::Char('\n' | '\r' | '\t'), _)
            | (KeyCode::Char('m'), true) => false,
            // In every shell these delete to the beginning of the line; the editor has undo there.
            (KeyCode::Char('u'), true) => self.area.delete_line_by_head(),
            _ => self.area.input(event),
        }
    }

    /// Inserts text; line breaks in it become blanks.
    pub fn paste(&mut self, text: &str) {
        let mut end = text.len().min(MAX_PASTE);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.area.insert_str(one_line(text[..end].trim_end_matches(['\r', '\n'])));
    }

    /// The text in at most `columns` cells, and the cursor's column: what is left of it gives way.
    pub fn row(&self, columns: usize) -> (Row, usize) {
        let text = self.text();
        let DataCursor(_, characters) = self.area.cursor();
        let cursor = text.char_indices().nth(characters).map_or(text.len(), |(index, _)| index);
        let mut start = 0;
        let mut before = width(&text[..cursor]);
        for grapheme in text[..cursor].graphemes(true) {
            if before < columns {
                break;
            }
            before -= width(grapheme).min(before);
            start += grapheme.len();
        }
        (Row::new(vec![Piece::new(fit(&text[start..], columns), Role::Base)]), before)
    }
}

fn one_line(text: &str) -> String {
    let blank = |each: char| if matches!(each, '\n' | '\r' | '\t') { ' ' } else { each };
    text.replace("\r\n", " ").chars().map(blank).filter(|each| !each.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(field: &mut Field, code: KeyCode, modifiers: KeyModifiers) -> bool {
        field.key(KeyEvent::new(code, modifiers))
    }

    #[test]
    fn there_is_only_ever_one_line() {
        let mut field = Field::new("one\ntwo");
        field.paste(" three\r\nfour\u{1b}[m\tfive\n");
        for (code, modifiers) in [
            (KeyCode::Enter, KeyModifiers::NONE),
            (KeyCode::Char('m'), KeyModifiers::CONTROL),
            (KeyCode::Char('\n'), KeyModifiers::NONE),
        ] {
            assert!(!press(&mut field, code, modifiers));
        }
        assert_eq!(field.text(), "one two three four[m five");
        field.paste(&"ä".repeat(MAX_PASTE));
        assert!(field.text().len() < 2 * MAX_PASTE);
    }

    #[test]
    fn keys_edit() {
        let mut field = Field::default();
        assert!(press(&mut field, KeyCode::Char('x'), KeyModifiers::NONE));
        field.paste("y two");
        press(&mut field, KeyCode::Char('w'), KeyModifiers::CONTROL);
        assert_eq!(field.text(), "xy ");
        press(&mut field, KeyCode::Char('u'), KeyModifiers::CONTROL);
        assert!(field.is_empty());
    }

    #[test]
    fn the_cursor_stays_in_the_row() {
        let field = Field::new("日本語の文書 and more");
        for columns in 2..30 {
            let (row, cursor) = field.row(columns);
            assert!(row.width() <= columns && cursor < columns, "{columns}: {row:?}, {cursor}");
        }
        let (row, cursor) = field.row(6);
        assert_eq!((row.text(), cursor), (" more".to_owned(), 5));
        assert_eq!(Field::default().row(5).1, 0);
    }
}
