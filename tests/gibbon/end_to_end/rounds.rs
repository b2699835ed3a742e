//! Killed again and again at random moments while files change: what the last run leaves equals a fresh index.
//!
//! A few rounds here; `GIBBON_KILL_ROUNDS` makes as many as wanted (`just test-kill`), `GIBBON_KILL_QUESTIONS` asks as many
//! questions, and `GIBBON_KILL_SEED` makes others.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{Home, copy_folder};
use crate::support::{Chance, named_number};

const ROUNDS: u64 = 3;
const SEED: u64 = 20_261_129;
const QUESTIONS: u64 = 12;
/// Names of documents in each folder.
const NAMES: usize = 5;
/// Longest time of a round.
const LONGEST: u64 = 1500;

const WORDS: [&str; 40] = [
    "anchor", "barley", "candle", "dormer", "ember", "fennel", "gasket", "hinge", "inkwell", "juniper",
    "kettle", "lantern", "mortar", "nettle", "orchard", "pulley", "quarry", "rafter", "saddle", "timber",
    "urn", "valve", "willow", "yarrow", "zinc", "the", "of", "and", "in", "is", "opens", "closes", "turns",
    "stands", "beside", "under", "every", "morning", "winter", "once",
];

/// Texts and names made by chance.
struct Author(Chance);

impl Author {
    fn below(&mut self, end: usize) -> usize {
        self.0.below(end)
    }

    fn words(&mut self, count: usize) -> String {
        (0..count).map(|_| WORDS[self.below(WORDS.len())]).collect::<Vec<_>>().join(" ")
    }

    fn document(&mut self) -> String {
        let (title, first, second) = (self.words(2), self.words(30), self.words(25));
        format!("# {title}\n\n{first}.\n\n## {}\n\n{second}.\n", self.words(1))
    }

    fn name(&mut self) -> String {
        format!("{}note{}.md", ["", "shed/", "shed/left/", "attic/"][self.below(4)], self.below(NAMES))
    }
}

impl Home {
    /// Writes, changes, removes, renames or moves a document.
    fn disturb(&self, author: &mut Author) {
        let (one, other) = (author.name(), author.name());
        let path = self.documents().join(&one);
        match author.below(6) {
            0 => drop(fs::remove_file(path)),
            1 => drop(fs::rename(path, self.documents().join(&other))),
            // In two parts, so that a reader may come between.
            2 => {
                let text = author.document();
                self.write(&one, &text[..text.len() / 2]);
                thread::sleep(Duration::from_millis(2));
                self.write(&one, &text);
            }
            _ => self.write(&one, author.document()),
        }
    }

    fn hits(&self, question: &str) -> Vec<(String, String)> {
        let found = self.json(&["search", question]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = |chunk: &Value| text(&chunk["path"]).rsplit('/').next().unwrap_or_default().to_owned();
        let chunks = found["chunks"].as_array().unwrap();
        chunks.iter().map(|chunk| (text(&chunk["id"]), name(chunk))).collect()
    }
}

#[test]
fn what_is_left_equals_a_fresh_index() {
    let mut author = Author(Chance(named_number("GIBBON_KILL_SEED").unwrap_or(SEED)));
    let home = Home::new();
    for number in 0..NAMES {
        home.write(&format!("note{number}.md"), author.document());
    }
    let runs = [&["index", "documents"][..], &["index", "documents", "--no-encode"], &["index", "--watch"]];
    for round in 0..named_number("GIBBON_KILL_ROUNDS").unwrap_or(ROUNDS) {
        let running = home.start(runs[author.below(if round == 0 { 2 } else { runs.len() })]);
        let end = Instant::now() + Duration::from_millis(author.below(LONGEST as usize) as u64);
        while Instant::now() < end {
            home.disturb(&mut author);
            thread::sleep(Duration::from_millis(20));
        }
        running.kill();
    }
    home.json(&["index", "documents"]);

    let fresh = Home::new();
    copy_folder(&home.documents(), &fresh.documents());
    fresh.json(&["index", "documents"]);
    home.state().assert_same(&fresh.state());
    for _ in 0..named_number("GIBBON_KILL_QUESTIONS").unwrap_or(QUESTIONS) {
        let length = 1 + author.below(5);
        let question = author.words(length);
        assert_eq!(home.hits(&question), fresh.hits(&question), "{question}");
    }
    home.assert_sound();
}
