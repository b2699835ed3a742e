//! The conversation as rows: laid out once per entry and width, and the part of it that the reader sees.

mod choice;

use super::{
    citations::Citation,
    entry::{Entry, Laid},
    text::Row,
};

/// The conversation, its rows at the present width, and where the reader is in them.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    entries: Vec<Entry>,
    laid: Vec<Laid>,
    /// The number of each entry's first row, and of the row after the last entry.
    starts: Vec<usize>,
    width: usize,
    height: usize,
    /// The first visible row. Of no meaning while `follow` is set.
    top: usize,
    /// Scrolled away from the newest text.
    reading_back: bool,
    /// The entry and the place in it to which the reader scrolled. Kept while the width changes, so that going back
    /// to a width goes back to the row.
    place: Option<(usize, usize)>,
    /// The citation that the keyboard has chosen, and its entry.
    chosen: Option<(usize, Citation)>,
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
        self.entries.push(entry);
        self.laid.push(Laid::default());
        let index = self.entries.len() - 1;
        self.lay_out(index, false);
        index
    }

    /// Changes an entry.
    pub fn change(&mut self, index: usize, change: impl FnOnce(&mut Entry)) {
        change(&mut self.entries[index]);
        self.lay_out(index, false);
    }

    /// Changes an entry in nothing but that its answer becomes longer.
    pub fn grow(&mut self, index: usize, change: impl FnOnce(&mut Entry)) {
        change(&mut self.entries[index]);
        self.lay_out(index, true);
    }

    /// Lays everything out anew if the width has changed; the text that the reader sees first stays first.
    pub fn resize(&mut self, width: usize, height: usize) {
        self.height = height;
        if width != self.width {
            self.width = width;
            for index in 0..self.entries.len() {
                self.laid[index].update(&self.entries[index], width, false);
            }
            self.number(0);
        }
        if let Some((index, at)) = self.place.filter(|_| self.reading_back) {
            let rows = &self.laid[index].rows;
            let row = rows.partition_point(|row| row.at <= at).saturating_sub(1);
            self.top = self.starts[index] + row;
        }
        self.clamp();
    }

    /// Moves the reader by rows, towards the newest text where `rows` is positive.
    pub fn scroll(&mut self, rows: isize) {
        let bottom = self.bottom();
        let top = if self.reading_back { self.top } else { bottom };
        self.top = top.saturating_add_signed(rows).min(bottom);
        self.reading_back = self.top < bottom;
        self.place = self.first_place();
    }

    /// Follows the newest text where there are no rows under the visible ones any more.
    fn clamp(&mut self) {
        self.reading_back &= self.top < self.bottom();
    }

    /// Moves the reader by a screenful less one row; back where `pages` is negative.
    pub fn scroll_pages(&mut self, pages: isize) {
        self.scroll(pages * self.height.saturating_sub(1).max(1) as isize);
    }

    pub fn show_oldest(&mut self) {
        self.scroll(-(self.rows() as isize));
    }

    pub fn show_newest(&mut self) {
        self.reading_back = false;
    }

    /// Rows under the last visible one.
    pub fn rows_below(&self) -> usize {
        if self.reading_back { self.bottom() - self.top.min(self.bottom()) } else { 0 }
    }

    /// The number of the first visible row, and of rows in all.
    pub fn position(&self) -> (usize, usize) {
        (self.first(), self.rows())
    }

    /// The rows on the screen, from the top.
    pub fn visible(&self) -> impl Iterator<Item = Visible<'_>> {
        let first = self.first();
        let entry = self.starts.partition_point(|start| *start <= first).saturating_sub(1);
        let skip = first - self.starts.get(entry).copied().unwrap_or(0);
        let rows = self.laid.iter().enumerate().skip(entry).flat_map(|(entry, laid)| {
            let live = laid.live.then(|| laid.rows.len().saturating_sub(2));
            let visible = move |(number, row)| Visible { row, entry, live: live == Some(number) };
            laid.rows.iter().enumerate().map(visible)
        });
        rows.skip(skip).take(self.height)
    }

    fn rows(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The number of the first visible row when the newest text is on the screen.
    fn bottom(&self) -> usize {
        self.rows().saturating_sub(self.height)
    }

    fn first(&self) -> usize {
        if self.reading_back { self.top.min(self.bottom()) } else { self.bottom() }
    }

    /// The entry and the place in it that the reader sees first; `None` at the newest text.
    fn first_place(&self) -> Option<(usize, usize)> {
        if !self.reading_back {
            return None;
        }
        let first = self.first();
        let index = self.starts.partition_point(|start| *start <= first).checked_sub(1)?;
        let row = self.laid.get(index)?.rows.get(first - self.starts[index])?;
        Some((index, row.at))
    }

    fn lay_out(&mut self, index: usize, grown: bool) {
        if self.width > 0 {
            self.laid[index].update(&self.entries[index], self.width, grown);
        }
        self.number(index);
        self.clamp();
    }

    /// Numbers the rows of the entries from `index` on.
    fn number(&mut self, index: usize) {
        self.starts.truncate(index + 1);
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        for laid in &self.laid[self.starts.len() - 1..] {
            let end = self.starts[self.starts.len() - 1] + laid.rows.len();
            self.starts.push(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::entry::Note, *};

    fn transcript(entries: usize) -> Transcript {
        let mut transcript = Transcript::default();
        transcript.resize(40, 10);
        for number in 0..entries {
            let text = format!("note {number} with a text that takes more than one row of forty cells");
            transcript.push(Entry::Note(Note::info(text)));
        }
        transcript
    }

    fn first_row(transcript: &Transcript) -> String {
        transcript.visible().next().expect("something is visible").row.text()
    }

    #[test]
    fn follows_the_newest_text_only_at_the_bottom() {
        let mut transcript = transcript(20);
        transcript.scroll(-5);
        let before = first_row(&transcript);
        transcript.change(19, |entry| *entry = Entry::Note(Note::info("x ".repeat(400))));
        assert_eq!(first_row(&transcript), before);
        assert!(transcript.rows_below() > 5);
        transcript.scroll(1000);
        assert_eq!(transcript.rows_below(), 0);
        transcript.change(19, |entry| *entry = Entry::Note(Note::info("y ".repeat(900))));
        assert_eq!(transcript.rows_below(), 0);
    }

    #[test]
    fn resizing_keeps_the_readers_place() {
        let mut transcript = transcript(50);
        transcript.show_oldest();
        transcript.scroll(60);
        let text = first_row(&transcript);
        let entry = |transcript: &Transcript| transcript.first_place().map(|(entry, _)| entry);
        let before = entry(&transcript);
        for width in [25, 90, 12, 40] {
            transcript.resize(width, 7);
            assert_eq!(entry(&transcript), before, "{width}");
        }
        transcript.resize(40, 10);
        assert_eq!(first_row(&transcript), text);
    }

    #[test]
    fn scrolling_stops_at_both_ends() {
        let mut transcript = transcript(9);
        transcript.scroll(-10_000);
        assert_eq!(transcript.position().0, 0);
        assert!(first_row(&transcript).contains("note 0"));
        transcript.scroll_pages(1);
        assert_eq!(transcript.position().0, 9);
        transcript.show_newest();
        assert_eq!(transcript.rows_below(), 0);
        assert_eq!(Transcript::default().visible().count(), 0);
    }

    #[test]
    fn only_visible_rows_are_walked() {
        let transcript = transcript(5000);
        assert_eq!(transcript.visible().count(), 10);
        assert_eq!(transcript.position().1, 5000 * 3);
    }
}
