//! Citations under the mouse and the keyboard.

use super::{Citation, Cursor, Transcript};

/// Bytes of text that are laid out at most to find the next citation.
const SEARCH_BYTES: usize = 64 * 1024;

impl Transcript {
    /// The citation drawn at a cell of the conversation's pane, and its entry.
    pub fn target_at(&self, row: usize, column: usize) -> Option<(usize, Citation)> {
        let visible = self.visible().nth(row)?;
        Some((visible.entry, visible.row.piece_at(column)?.citation?))
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
        self.settle();
        let chosen = self.chosen;
        let mut at = match chosen {
            Some((entry, citation)) => self.start_of(entry, citation),
            None => self.top,
        };
        let enough = self.work + SEARCH_BYTES;
        while at.entry < self.entries.len() && self.work < enough {
            self.divide(at.entry);
            self.lay_out(at.entry, at.part);
            let wanted = |(citation, row): &(Citation, usize)| match chosen {
                Some(chosen) => (at.entry, *citation) > chosen,
                None => *row >= at.row,
            };
            let found = self.citations_of(at.entry, at.part).find(wanted);
            if let Some((citation, row)) = found {
                return self.choose_and_show(Cursor { row, ..at }, citation);
            }
            at = match at.part + 1 < self.laid[at.entry].parts() {
                true => Cursor { part: at.part + 1, row: 0, ..at },
                false => Cursor { entry: at.entry + 1, part: 0, row: 0 },
            };
        }
        None
    }

    /// Chooses the citation before the chosen one, or the last that the reader sees; shows it and returns it.
    pub fn choose_previous(&mut self) -> Option<(usize, Citation)> {
        self.settle();
        let chosen = self.chosen;
        let mut at = match chosen {
            Some((entry, citation)) => self.start_of(entry, citation),
            None => self.last_visible(),
        };
        let enough = self.work + SEARCH_BYTES;
        while at.entry < self.entries.len() && self.work < enough {
            self.divide(at.entry);
            self.lay_out(at.entry, at.part);
            let wanted = |(citation, row): &(Citation, usize)| match chosen {
                Some(chosen) => (at.entry, *citation) < chosen,
                None => *row <= at.row,
            };
            let found = self.citations_of(at.entry, at.part).filter(wanted).last();
            if let Some((citation, row)) = found {
                return self.choose_and_show(Cursor { row, ..at }, citation);
            }
            if at.part == 0 {
                let entry = at.entry.checked_sub(1)?;
                self.divide(entry);
                at = Cursor { entry, part: self.laid[entry].parts(), row: 0 };
            }
            at = Cursor { part: at.part.saturating_sub(1), row: usize::MAX, ..at };
        }
        None
    }

    /// Where the part begins in which a citation is.
    fn start_of(&mut self, entry: usize, citation: Citation) -> Cursor {
        let entry = entry.min(self.entries.len().saturating_sub(1));
        if entry < self.entries.len() {
            self.divide(entry);
        }
        let part = self.laid.get(entry).map_or(0, |laid| laid.part_of(citation.at));
        Cursor { entry, part, row: 0 }
    }

    /// The citations of a part that has been laid out, each with its row in it.
    fn citations_of(&self, entry: usize, part: usize) -> impl Iterator<Item = (Citation, usize)> {
        let rows = self.laid.get(entry).and_then(|laid| laid.part(part)).unwrap_or_default();
        rows.iter().enumerate().flat_map(|(number, row)| {
            row.pieces.iter().filter_map(move |piece| Some((piece.citation?, number)))
        })
    }

    fn last_visible(&mut self) -> Cursor {
        self.on(self.top, self.height.saturating_sub(1)).unwrap_or_else(|last| last)
    }

    /// Scrolls no more than it takes to have the row of the citation on the screen.
    fn choose_and_show(&mut self, row: Cursor, citation: Citation) -> Option<(usize, Citation)> {
        if row < self.top {
            (self.top, self.reading_back) = (row, true);
        } else if row > self.last_visible() {
            self.top = self.back(row, self.height.saturating_sub(1));
            self.reading_back = true;
        }
        self.settle();
        self.keep_place();
        self.chosen = Some((row.entry, citation));
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
        transcript.resize(30, 6);
        let all = citations(&mut transcript, 0);
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

    /// The citations of an entry in the order in which they are read.
    fn citations(transcript: &mut Transcript, entry: usize) -> Vec<Citation> {
        transcript.divide(entry);
        let mut citations = Vec::new();
        for part in 0..transcript.laid[entry].parts() {
            transcript.lay_out(entry, part);
            citations.extend(transcript.citations_of(entry, part).map(|(citation, _)| citation));
        }
        // One that was broken at a row's end is two pieces.
        citations.dedup();
        citations
    }

    fn cell_of(transcript: &Transcript, needle: &str) -> (usize, usize) {
        let mut rows = transcript.visible().map(|visible| visible.row.text()).enumerate();
        rows.find_map(|(row, text)| text.find(needle).map(|column| (row, column))).expect(needle)
    }
}
