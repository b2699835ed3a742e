//! The conversation as rows, and the part of it that the reader sees.
//!
//! What the reader sees is laid out exactly. Of the rest, the rows of a little are counted with every change, and not
//! kept; until then their number is an estimate. The reader's place is an entry, a part of it and a place in that, not
//! a number of rows: an estimate that turns out wrong moves the scrollbar and nothing else.

mod choice;
mod code;

use super::{citations::Citation, entry::Entry, laid::Laid, text::Row};

/// Bytes of text that are laid out with every change beside what the reader sees, until everything has been.
const SPARE_BYTES: usize = 8 * 1024;
/// Parts whose rows are kept, beside those that the reader sees; a part is at most a few pages.
const KEPT_PARTS: usize = 512;
/// A jump over more rows than this goes by their numbers, which may be estimates; a shorter one row by row.
const LONGEST_WALK: usize = 1000;

/// The conversation, its rows at the present width, and where the reader is in them.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    entries: Vec<Entry>,
    laid: Vec<Laid>,
    /// The number of each entry's first row, and of the row after the last entry.
    starts: Vec<usize>,
    /// `starts` is right up to this entry.
    numbered: usize,
    /// Before this entry, and this part of it, no number of rows is an estimate.
    exact: (usize, usize),
    /// The parts whose rows are in memory, in the order in which they were laid out; some may be gone.
    kept: Vec<(usize, usize)>,
    width: usize,
    height: usize,
    /// The first visible row.
    top: Cursor,
    /// Scrolled away from the newest text.
    reading_back: bool,
    /// Not any longer, but for nothing else than that the pane became so large that there is nothing below.
    outgrown: bool,
    /// Where the reader scrolled to. Kept while the width changes, so that going back to a width goes back to the row.
    place: Place,
    /// The citation that the keyboard has chosen, and its entry.
    chosen: Option<(usize, Citation)>,
    /// The roles of this code have been asked for.
    asked: Option<(usize, usize)>,
    /// Bytes of text laid out since the beginning.
    work: usize,
}

/// A row, as it is at the present width.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Cursor {
    entry: usize,
    part: usize,
    row: usize,
}

/// A row, whatever the width.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    entry: usize,
    part: usize,
    at: usize,
}

/// What of a transcript is on the screen.
pub struct Visible<'a> {
    pub row: &'a Row,
    /// The number of the entry it belongs to.
    pub entry: usize,
    /// The row that shows what a running answer is doing.
    pub live: bool,
}

impl Transcript {
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an entry and returns its number. The reader sees it where they were at the newest text.
    pub fn push(&mut self, entry: Entry) -> usize {
        let mut laid = Laid::default();
        laid.reset(&entry, self.width);
        self.entries.push(entry);
        self.laid.push(laid);
        let index = self.entries.len() - 1;
        self.changed(index);
        index
    }

    /// Changes an entry.
    pub fn change(&mut self, index: usize, change: impl FnOnce(&mut Entry)) {
        change(&mut self.entries[index]);
        self.laid[index].reset(&self.entries[index], self.width);
        self.changed(index);
        if self.top.entry == index {
            self.find_place();
        }
    }

    /// Changes an entry in nothing but that its answer becomes longer.
    pub fn grow(&mut self, index: usize, change: impl FnOnce(&mut Entry)) {
        change(&mut self.entries[index]);
        self.laid[index].grow(&self.entries[index]);
        self.changed(index);
    }

    /// Takes the size of the pane over and lays out what is visible in it; the text that the reader sees first stays
    /// first. To be called after every change, before anything is drawn.
    pub fn resize(&mut self, width: usize, height: usize) {
        let reading_back = self.reading_back || self.outgrown;
        let is_other_size = (width, height) != (self.width, self.height);
        if is_other_size && self.outgrown {
            self.reading_back = true;
            if width == self.width {
                self.find_place();
            }
        }
        self.height = height;
        if width != self.width {
            self.width = width;
            for (laid, entry) in self.laid.iter_mut().zip(&self.entries) {
                laid.resize(entry, width);
            }
            (self.numbered, self.exact) = (0, (0, 0));
            self.kept.clear();
            self.find_place();
        }
        self.settle();
        if is_other_size {
            self.outgrown = reading_back && !self.reading_back;
        }
        self.count_more();
        self.number();
        self.forget_rows();
    }

    /// Moves the reader by rows, towards the newest text where `rows` is positive.
    pub fn scroll(&mut self, rows: isize) {
        self.settle();
        if rows.unsigned_abs() > LONGEST_WALK {
            let first = self.position().0.saturating_add_signed(rows);
            return self.show_row(first);
        }
        self.top = match rows {
            0.. => self.on(self.top, rows.unsigned_abs()).unwrap_or_else(|last| last),
            _ => self.back(self.top, rows.unsigned_abs()),
        };
        self.reading_back = true;
        self.settle();
        self.keep_place();
    }

    /// Moves the reader by a screenful less one row; back where `pages` is negative.
    pub fn scroll_pages(&mut self, pages: isize) {
        self.scroll(pages * self.height.saturating_sub(1).max(1) as isize);
    }

    pub fn show_oldest(&mut self) {
        (self.top, self.reading_back) = (Cursor::default(), true);
        self.settle();
        self.keep_place();
    }

    pub fn show_newest(&mut self) {
        (self.reading_back, self.outgrown) = (false, false);
        self.settle();
    }

    /// Makes an entry's first row the first visible one, as far as there is text below it.
    pub fn show_entry(&mut self, entry: usize) {
        (self.top, self.reading_back) = (Cursor { entry, part: 0, row: 0 }, true);
        self.settle();
        self.keep_place();
    }

    /// Makes the row of this number the first visible one, as far as numbers are known: for the scrollbar.
    pub fn show_row(&mut self, row: usize) {
        self.number();
        let entry = self.starts.partition_point(|start| *start <= row).saturating_sub(1);
        let Some(laid) = self.laid.get_mut(entry) else { return self.show_newest() };
        laid.divide(&self.entries[entry]);
        let mut left = row - self.starts[entry];
        let mut part = 0;
        while part + 1 < laid.parts() && left >= laid.part_rows(part) {
            left -= laid.part_rows(part);
            part += 1;
        }
        self.lay_out(entry, part);
        let last = self.laid[entry].part_rows(part).saturating_sub(1);
        self.top = Cursor { entry, part, row: left.min(last) };
        self.reading_back = true;
        self.settle();
        self.keep_place();
    }

    /// Rows under the last visible one; an estimate where they have not all been laid out.
    pub fn rows_below(&self) -> usize {
        if !self.reading_back {
            return 0;
        }
        (self.rows().saturating_sub(self.first() + self.height)).max(1)
    }

    /// The number of the first visible row, and of rows in all; estimates until everything has been laid out.
    pub fn position(&self) -> (usize, usize) {
        (self.first(), self.rows())
    }

    /// The rows on the screen, from the top.
    pub fn visible(&self) -> impl Iterator<Item = Visible<'_>> {
        let Cursor { entry, part, row } = self.top;
        let parts = (entry..self.laid.len()).flat_map(move |index| {
            let first = if index == entry { part } else { 0 };
            (first..self.laid[index].parts()).map(move |part| (index, part))
        });
        let rows = parts.flat_map(move |(entry, part)| {
            let rows = self.laid[entry].part(part).unwrap_or_default().iter().enumerate();
            rows.map(move |(number, row)| Visible {
                row,
                entry,
                live: self.laid[entry].is_live(&self.entries[entry], part, number),
            })
        });
        rows.skip(row).take(self.height)
    }

    fn rows(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The number of the first visible row.
    fn first(&self) -> usize {
        let Cursor { entry, part, row } = self.top;
        let start = self.starts.get(entry).copied().unwrap_or(0);
        start + self.laid.get(entry).map_or(0, |laid| laid.rows_before(part)) + row
    }

    /// Lays out what the reader sees. Where nothing is under it, the newest text is followed from now on.
    fn settle(&mut self) {
        if self.width == 0 || self.height == 0 {
            return;
        }
        if self.reading_back {
            self.reading_back = self.on(self.top, self.height).is_ok();
        }
        if !self.reading_back {
            let end = Cursor { entry: self.entries.len(), part: 0, row: 0 };
            self.top = self.back(end, self.height);
        }
        self.number();
    }

    /// Remembers where the reader has scrolled to.
    fn keep_place(&mut self) {
        self.outgrown = false;
        let Cursor { entry, part, row } = self.top;
        let rows = self.laid.get(entry).and_then(|laid| laid.part(part));
        if let Some(row) = rows.and_then(|rows| rows.get(row)) {
            self.place = Place { entry, part, at: row.at };
        }
    }

    /// Goes to the remembered place, if the reader is not at the newest text.
    fn find_place(&mut self) {
        if !self.reading_back {
            return;
        }
        let Place { entry, part, at } = self.place;
        self.divide(entry);
        let part = part.min(self.laid[entry].parts().saturating_sub(1));
        self.lay_out(entry, part);
        let rows = self.laid[entry].part(part).unwrap_or_default();
        let row = rows.partition_point(|row| row.at <= at).saturating_sub(1);
        self.top = Cursor { entry, part, row };
    }

    /// The row `rows` further on; the last row of all where there are not so many. Lays out what is between.
    fn on(&mut self, mut cursor: Cursor, rows: usize) -> Result<Cursor, Cursor> {
        let mut walked = 0;
        let mut last = cursor;
        while cursor.entry < self.entries.len() {
            self.divide(cursor.entry);
            while cursor.part < self.laid[cursor.entry].parts() {
                self.lay_out(cursor.entry, cursor.part);
                let count = self.laid[cursor.entry].part_rows(cursor.part);
                let here = count.saturating_sub(cursor.row);
                if walked + here > rows {
                    cursor.row += rows - walked;
                    return Ok(cursor);
                }
                walked += here;
                if here > 0 {
                    last = Cursor { row: count - 1, ..cursor };
                }
                (cursor.part, cursor.row) = (cursor.part + 1, 0);
            }
            cursor = Cursor { entry: cursor.entry + 1, part: 0, row: 0 };
        }
        Err(last)
    }

    /// The row `rows` further back, or the first of all. Lays out what is between.
    fn back(&mut self, mut cursor: Cursor, rows: usize) -> Cursor {
        let mut walked = 0;
        loop {
            if walked + cursor.row >= rows {
                cursor.row -= rows - walked;
                return cursor;
            }
            walked += cursor.row;
            cursor.row = 0;
            if cursor.part > 0 {
                cursor.part -= 1;
            } else if cursor.entry > 0 {
                cursor.entry -= 1;
                self.divide(cursor.entry);
                cursor.part = self.laid[cursor.entry].parts().saturating_sub(1);
            } else {
                return cursor;
            }
            self.lay_out(cursor.entry, cursor.part);
            cursor.row = self.laid[cursor.entry].part_rows(cursor.part);
        }
    }

    /// Finds the parts of an entry.
    fn divide(&mut self, entry: usize) {
        if self.laid[entry].parts() == 0 {
            self.laid[entry].divide(&self.entries[entry]);
            self.numbered = self.numbered.min(entry);
        }
    }

    fn lay_out(&mut self, entry: usize, part: usize) {
        let bytes = self.laid[entry].lay_out(&self.entries[entry], part);
        if bytes > 0 {
            self.work += bytes;
            self.numbered = self.numbered.min(entry);
            self.kept.push((entry, part));
        }
    }

    /// Counts the rows of a bounded part of what the reader does not see, the oldest first.
    fn count_more(&mut self) {
        if self.width == 0 {
            return;
        }
        let enough = self.work + SPARE_BYTES;
        while self.work < enough && self.exact.0 < self.entries.len() {
            let (entry, from) = self.exact;
            self.divide(entry);
            match self.laid[entry].first_estimated(from) {
                Some(part) => {
                    self.lay_out(entry, part);
                    self.kept.pop();
                    self.laid[entry].forget(part);
                    self.exact = (entry, part + 1);
                }
                None => self.exact = (entry + 1, 0),
            }
        }
    }

    /// Gives the memory of rows back that the reader has left.
    fn forget_rows(&mut self) {
        if self.kept.len() <= KEPT_PARTS {
            return;
        }
        let first = (self.top.entry, self.top.part);
        let last = match self.on(self.top, self.height) {
            Ok(Cursor { entry, part, .. }) => (entry, part),
            Err(_) => (usize::MAX, usize::MAX),
        };
        let (seen, left): (Vec<_>, Vec<_>) =
            self.kept.drain(..).partition(|place| (first..=last).contains(place));
        self.kept = seen;
        for (entry, part) in left {
            if let Some(laid) = self.laid.get_mut(entry) {
                laid.forget(part);
            }
        }
    }

    fn changed(&mut self, index: usize) {
        self.numbered = self.numbered.min(index);
        self.exact = self.exact.min((index, 0));
        self.outgrown = false;
    }

    /// Numbers the rows of the entries that have changed, and of those after them.
    fn number(&mut self) {
        self.starts.truncate(self.numbered + 1);
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        let mut end = self.starts[self.starts.len() - 1];
        for laid in &self.laid[self.starts.len() - 1..] {
            end += laid.rows();
            self.starts.push(end);
        }
        self.numbered = self.laid.len();
    }
}

#[cfg(test)]
mod tests;
