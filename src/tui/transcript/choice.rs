//! Citations under the mouse and the keyboard.

use super::{Citation, Transcript};

// Drawing asks for the chosen one; keys and mouse choose it.
#[allow(dead_code, reason = "keys and mouse come with changes of their own")]
impl Transcript {
    /// The citation drawn at a cell of the conversation's pane, and its entry.
    pub fn target_at(&self, row: usize, column: usize) -> Option<(usize, Citation)> {
        let visible = self.visible().nth(row)?;
        Some((visible.entry, visible.row.piece_at(column)?.citation?))
    }

    /// The citations of an entry in the order in which they are read.
    pub fn citations(&self, entry: usize) -> impl DoubleEndedIterator<Item = Citation> {
        let rows = self.laid.get(entry).map_or(&[][..], |laid| &laid.rows);
        let pieces = rows.iter().flat_map(|row| &row.pieces);
        let mut citations: Vec<_> = pieces.filter_map(|piece| piece.citation).collect();
        // One that was broken at a row's end is two pieces.
        citations.dedup();
        citations.into_iter()
    }

    /// The citation that the keyboard has chosen, and its entry.
    pub fn chosen(&self) -> Option<(usize, Citation)> {
        self.chosen
    }

    /// Chooses a citation, or none.
    pub fn choose(&mut self, citation: Option<(usize, Citation)>) {
        self.chosen = citation;
    }

    /// Chooses the citation after the chosen one, or the first that the reader sees; shows it and returns it.
    pub fn choose_next(&mut self) -> Option<(usize, Citation)> {
        let found = match self.chosen {
            None => self.visible_citations().next(),
            Some(_) => None,
        };
        let first = self.chosen.map_or(0, |(entry, _)| entry);
        let mut all = (first..self.entries.len()).flat_map(|entry| self.citations_of(entry));
        let found = found.or_else(|| all.find(|found| self.chosen.is_none_or(|chosen| *found > chosen)))?;
        drop(all);
        self.choose_and_show(found)
    }

    /// Chooses the citation before the chosen one, or the last that the reader sees; shows it and returns it.
    pub fn choose_previous(&mut self) -> Option<(usize, Citation)> {
        let found = match self.chosen {
            None => self.visible_citations().last(),
            Some(_) => None,
        };
        let end = self.chosen.map_or(self.entries.len(), |(entry, _)| entry + 1);
        let mut all = (0..end).rev().flat_map(|entry| self.citations_of(entry).rev());
        let found = found.or_else(|| all.find(|found| self.chosen.is_none_or(|chosen| *found < chosen)))?;
        drop(all);
        self.choose_and_show(found)
    }

    fn citations_of(&self, entry: usize) -> impl DoubleEndedIterator<Item = (usize, Citation)> {
        self.citations(entry).map(move |citation| (entry, citation))
    }

    fn visible_citations(&self) -> impl Iterator<Item = (usize, Citation)> {
        self.visible().flat_map(|visible| {
            let pieces = visible.row.pieces.iter();
            pieces.filter_map(move |piece| Some((visible.entry, piece.citation?)))
        })
    }

    /// Scrolls no more than it takes to have the row of the citation on the screen.
    fn choose_and_show(&mut self, found: (usize, Citation)) -> Option<(usize, Citation)> {
        let (entry, citation) = found;
        let mut rows = self.laid[entry].rows.iter();
        let row = rows.position(|row| row.pieces.iter().any(|piece| piece.citation == Some(citation)))?;
        let row = self.starts[entry] + row;
        let first = self.first();
        let last = first + self.height.max(1) - 1;
        if row < first {
            self.scroll(-((first - row) as isize));
        } else if row > last {
            self.scroll((row - last) as isize);
        }
        self.chosen = Some(found);
        self.chosen
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::entry::tests::answered, *};

    #[test]
    fn citations_are_found_by_cell_and_in_reading_order() {
        let mut transcript = Transcript::default();
        transcript.resize(30, 6);
        let text = format!("One [a.md § A].\n{}\n[b.md § B; a.md § A]", "more\n".repeat(20));
        transcript.push(answered(&text, &["a.md § A", "b.md § B"]));
        let all: Vec<_> = transcript.citations(0).collect();
        let last = text.rfind('[').expect("it is in there");
        let expected = [(4, 0, 1), (last, 0, 2), (last, 1, 1)];
        assert_eq!(all, expected.map(|(at, number, rank)| Citation { at, number, rank }));
        transcript.show_oldest();
        let (row, column) = cell_of(&transcript, "[1]");
        assert_eq!(transcript.target_at(row, column + 2), Some((0, all[0])));
        assert_eq!(transcript.target_at(row, column - 1), None);
        assert_eq!(transcript.target_at(row, column + 3), None);
        let chosen: Vec<_> = (0..4).map(|_| transcript.choose_next()).collect();
        assert_eq!(chosen, [Some((0, all[0])), Some((0, all[1])), Some((0, all[2])), None]);
        assert!(transcript.visible().any(|visible| visible.row.text().contains("[2][1]")));
        assert_eq!(transcript.choose_previous(), Some((0, all[1])));
        assert_eq!(transcript.choose_previous(), Some((0, all[0])));
        assert!(transcript.visible().any(|visible| visible.row.text().contains("One [1]")));
    }

    fn cell_of(transcript: &Transcript, needle: &str) -> (usize, usize) {
        let mut rows = transcript.visible().map(|visible| visible.row.text()).enumerate();
        rows.find_map(|(row, text)| text.find(needle).map(|column| (row, column))).expect(needle)
    }
}
