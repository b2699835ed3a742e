//! A field for the path of a folder, with completion.

use crossterm::event::KeyEvent;

use super::field::Field;

/// The path being typed, and the folders that it may become.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PathField {
    pub field: Field,
    /// Folders that begin as the text does, as they would be typed.
    pub candidates: Vec<String>,
    /// The candidate that is in the field.
    pub chosen: Option<usize>,
    /// No folder begins as the text does.
    pub nothing_found: bool,
}

impl PathField {
    pub fn key(&mut self, event: KeyEvent) {
        self.field.key(event);
        self.forget_candidates();
    }

    pub fn paste(&mut self, text: &str) {
        self.field.paste(text);
        self.forget_candidates();
    }

    /// Puts the next candidate into the field. Where there are none, the answer is the text whose folders are wanted.
    pub fn complete(&mut self) -> Option<String> {
        if self.candidates.is_empty() {
            return Some(self.field.text().to_owned());
        }
        let next = self.chosen.map_or(0, |chosen| (chosen + 1) % self.candidates.len());
        self.chosen = Some(next);
        self.field = Field::new(&self.candidates[next]);
        None
    }

    /// Takes the folders that begin as `typed` does: the text becomes as long as they all agree. What comes late, for
    /// another text, is left alone.
    pub fn offer(&mut self, typed: &str, found: Vec<String>) {
        if typed != self.field.text() {
            return;
        }
        self.nothing_found = found.is_empty();
        let common = common_beginning(&found);
        if common.len() > typed.len() {
            self.field = Field::new(common);
        }
        // A single one is in the field whole: the next completion looks inside it.
        self.candidates = if found.len() > 1 { found } else { Vec::new() };
        self.chosen = None;
    }

    fn forget_candidates(&mut self) {
        self.candidates.clear();
        self.chosen = None;
        self.nothing_found = false;
    }
}

fn common_beginning(texts: &[String]) -> &str {
    let Some((first, others)) = texts.split_first() else { return "" };
    let end = first
        .char_indices()
        .find(|(index, character)| !others.iter().all(|other| other[*index..].starts_with(*character)))
        .map_or(first.len(), |(index, _)| index);
    &first[..end]
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyModifiers};

    use super::*;

    fn folders(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn typed(text: &str) -> PathField {
        PathField { field: Field::new(text), ..PathField::default() }
    }

    #[test]
    fn one_folder_is_taken_whole() {
        let mut path = typed("~/no");
        assert_eq!(path.complete().as_deref(), Some("~/no"));
        path.offer("~/no", folders(&["~/notes/"]));
        assert_eq!(path.field.text(), "~/notes/");
        assert_eq!(path.complete().as_deref(), Some("~/notes/"), "next it looks inside");
    }

    #[test]
    fn of_several_what_they_share_is_taken_and_then_each_in_turn() {
        let mut path = typed("n");
        path.offer("n", folders(&["notes/", "notizen/", "notiert/"]));
        assert_eq!(path.field.text(), "not");
        let mut seen = Vec::new();
        for _ in 0..4 {
            assert_eq!(path.complete(), None);
            seen.push(path.field.text().to_owned());
        }
        assert_eq!(seen, ["notes/", "notizen/", "notiert/", "notes/"]);
        path.key(KeyEvent::new(KeyCode::Char('x'), KeyModifiers::NONE));
        assert_eq!(path.complete().as_deref(), Some("notes/x"));
    }

    #[test]
    fn nothing_found_is_said_until_the_text_changes() {
        let mut path = typed("zz");
        path.offer("zz", Vec::new());
        assert!(path.nothing_found);
        path.paste("y");
        assert!(!path.nothing_found);
        assert_eq!(path.field.text(), "zzy");
    }

    #[test]
    fn what_comes_late_changes_nothing() {
        let mut path = typed("notes/a");
        path.offer("notes", folders(&["notes/"]));
        assert_eq!(path, typed("notes/a"));
    }

    #[test]
    fn what_is_shared_ends_between_characters() {
        assert_eq!(common_beginning(&folders(&["日本/", "日曜/"])), "日");
        assert_eq!(common_beginning(&folders(&["a", "ab"])), "a");
        assert_eq!(common_beginning(&[]), "");
        assert_eq!(common_beginning(&folders(&["é", "e"])), "");
    }
}
