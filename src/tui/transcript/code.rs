//! The roles of code that the reader sees.

use super::{
    super::highlight::{Code, Highlighted},
    Transcript,
};

impl Transcript {
    /// Visible code whose roles are not known yet. They are asked for once: there is nothing more to ask for until
    /// [`Transcript::highlight`] is told what they are.
    pub fn plain_code(&mut self) -> Option<Code> {
        if self.asked.is_some() || self.width == 0 {
            return None;
        }
        let mut at = self.top;
        let mut left = self.height + at.row;
        while left > 0 {
            let laid = self.laid.get(at.entry)?;
            if at.part >= laid.parts() {
                (at.entry, at.part) = (at.entry + 1, 0);
                continue;
            }
            if let Some((start, language, text)) = laid.plain_code(&self.entries[at.entry], at.part) {
                let place = (at.entry, start);
                self.asked = Some(place);
                return Some(Code { place, language: language.to_owned(), text: text.to_owned() });
            }
            left = left.saturating_sub(laid.part_rows(at.part));
            at.part += 1;
        }
        None
    }

    /// Takes the roles of code over.
    pub fn highlight(&mut self, highlighted: Highlighted) {
        self.asked.take_if(|place| *place == highlighted.place);
        let (entry, start) = highlighted.place;
        if let Some(laid) = self.laid.get_mut(entry) {
            laid.highlight(&self.entries[entry], start, highlighted.lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::{
            entry::{Entry, Stage, tests::answered},
            theme::Role,
        },
        *,
    };

    fn role_of(transcript: &Transcript, text: &str) -> Option<Role> {
        let mut rows = transcript.visible();
        rows.find_map(|visible| {
            visible.row.pieces.iter().find(|piece| piece.text == text).map(|piece| piece.role)
        })
    }

    #[test]
    fn visible_code_is_asked_for_once_and_gets_its_roles() {
        let mut transcript = Transcript::default();
        transcript.push(answered("So:\n\n```rust\nlet a;\n```\n\nand\n\n```\nplain\n```", &[]));
        transcript.resize(40, 20);
        let code = transcript.plain_code().expect("it is visible");
        assert_eq!((code.place, code.language.as_str(), code.text.as_str()), ((0, 5), "rust", "let a;\n"));
        assert_eq!(transcript.plain_code(), None);
        let rows = transcript.position().1;
        let lines = vec![vec![(3, Role::Keyword), (3, Role::Code)]];
        transcript.highlight(Highlighted { place: code.place, lines });
        assert_eq!(role_of(&transcript, "let"), Some(Role::Keyword));
        assert_eq!(transcript.position().1, rows);
        assert_eq!(transcript.plain_code(), None);
        // Roles that are of another text change nothing.
        transcript.highlight(Highlighted { place: code.place, lines: vec![vec![(900, Role::Keyword)]] });
        assert_eq!(role_of(&transcript, "let a;"), Some(Role::Code));
        transcript.highlight(Highlighted { place: (7, 0), lines: Vec::new() });
    }

    #[test]
    fn finished_lines_of_running_code_are_asked_for_and_keep_their_roles() {
        let mut transcript = Transcript::default();
        transcript.push(answered("```py\na\nb", &[]));
        let set = |transcript: &mut Transcript, change: &dyn Fn(&mut super::super::super::entry::Turn)| {
            transcript.grow(0, |entry| {
                if let Entry::Turn(turn) = entry {
                    change(turn);
                }
            });
            transcript.resize(40, 20);
        };
        set(&mut transcript, &|turn| turn.stage = Stage::Streaming);
        let code = transcript.plain_code().expect("a line is finished");
        assert_eq!(code.text, "a\n");
        transcript.highlight(Highlighted { place: code.place, lines: vec![vec![(1, Role::Number)]] });
        assert_eq!(transcript.plain_code(), None);
        set(&mut transcript, &|turn| turn.text.push_str("\nc"));
        assert_eq!(role_of(&transcript, "a"), Some(Role::Number));
        assert_eq!(transcript.plain_code().map(|code| code.text), Some("a\nb\n".to_owned()));
    }
}
