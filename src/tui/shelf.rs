//! The sources pane: the chunks of one entry, one of them selected and its text shown.

use super::{
    text::{Piece, Row, wrap},
    theme::Role,
};
use crate::engine::RetrievedChunk;

/// Rows of a source in the list: its label, and where it stands.
pub const ITEM_ROWS: usize = 2;

/// What the sources pane shows.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    /// The entry whose sources are shown.
    pub entry: Option<usize>,
    pub selected: usize,
    /// The first visible row of the selected chunk's text.
    pub scroll: usize,
}

impl Shelf {
    /// Shows the sources of another entry, the best one selected.
    pub fn show(&mut self, entry: usize) {
        *self = Self { entry: Some(entry), selected: 0, scroll: 0 };
    }

    /// Selects the source `step` further on, of `count`.
    pub fn select(&mut self, step: isize, count: usize) {
        let selected = self.selected.saturating_add_signed(step).min(count.saturating_sub(1));
        if selected != self.selected {
            *self = Self { selected, scroll: 0, ..*self };
        }
    }

    /// Scrolls the text, of `rows` rows, of which `height` are visible.
    pub fn scroll(&mut self, step: isize, rows: usize, height: usize) {
        self.scroll = self.scroll.saturating_add_signed(step).min(rows.saturating_sub(height));
    }
}

/// How the pane's height is shared out: rows for the list, rows for the text. Title and rule take the rest.
pub fn split(height: usize, sources: usize) -> (usize, usize) {
    let free = height.saturating_sub(4);
    let most = (free / 2).max(ITEM_ROWS) / ITEM_ROWS * ITEM_ROWS;
    let list = (sources * ITEM_ROWS).min(most).min(free);
    (list, free - list)
}

/// The selected chunk's text with the numbers of its lines, where its format has lines.
pub fn text_rows(chunk: &RetrievedChunk, columns: usize) -> Vec<Row> {
    let body = chunk.text.strip_prefix(&format!("[{}]\n", chunk.label)).unwrap_or(&chunk.text);
    let lines: Vec<_> = body.trim_end().lines().collect();
    let numbers = chunk.lines.map(|(first, last)| (first, last.to_string().len()));
    let mut rows = Vec::new();
    for (index, line) in lines.into_iter().enumerate() {
        let gutter = numbers.map_or(0, |(_, digits)| digits + 2);
        for (row, mut wrapped) in
            wrap(&[Piece::new(line, Role::Base)], columns.saturating_sub(gutter), 0).into_iter().enumerate()
        {
            if let Some((first, digits)) = numbers {
                let number = if row == 0 { (first as usize + index).to_string() } else { String::new() };
                wrapped.pieces.insert(0, Piece::new(format!("{number:>digits$}  "), Role::Muted));
            }
            rows.push(wrapped);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pane_is_shared_out() {
        assert_eq!(split(44, 5), (10, 30));
        assert_eq!(split(24, 8), (10, 10));
        assert_eq!(split(4, 5), (0, 0));
        assert_eq!(split(0, 0), (0, 0));
    }

    #[test]
    fn selecting_and_scrolling_stop_at_the_ends() {
        let mut shelf = Shelf::default();
        shelf.select(-1, 3);
        assert_eq!(shelf.selected, 0);
        shelf.scroll(100, 30, 10);
        assert_eq!(shelf.scroll, 20);
        shelf.select(9, 3);
        assert_eq!((shelf.selected, shelf.scroll), (2, 0));
        shelf.select(1, 0);
        assert_eq!(shelf.selected, 0);
    }
}
