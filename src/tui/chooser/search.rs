//! Finding what matches, a bounded number of choices at a time.

use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{CaseMatching, Normalization, Pattern},
};

use super::Choice;

/// Choices that are looked through at once: well under a frame's time, in a build for developers too.
const STEP: usize = 8_000;
/// What stands for more than itself in what is typed: `!not`, `^begins`, `ends$`, `'exactly`, `a\ blank`.
const SPECIAL: [char; 5] = ['!', '^', '$', '\'', '\\'];

/// Looks for one text.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    typed: String,
    /// The numbers of the choices that may match.
    candidates: Vec<usize>,
    /// So many of them have been looked through.
    done: usize,
    found: Vec<Found>,
}

/// A choice that matches; the larger the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    /// A match in the text comes before one in the keywords.
    in_text: bool,
    score: u32,
    /// Of two that match as well, the earlier one comes first.
    choice: std::cmp::Reverse<usize>,
}

/// Whatever matches `longer` matches `shorter`, too.
pub fn narrows(shorter: &str, longer: &str) -> bool {
    !shorter.is_empty() && longer.starts_with(shorter) && !longer.contains(SPECIAL)
}

impl Search {
    pub fn new(typed: &str, candidates: Vec<usize>) -> Self {
        Self { typed: typed.to_owned(), candidates, done: 0, found: Vec::new() }
    }

    /// Looks through the next of the candidates; true where they were the last.
    pub fn look_through(&mut self, choices: &[Choice]) -> bool {
        let pattern = pattern(&self.typed);
        let mut matcher = Matcher::new(Config::DEFAULT);
        let mut characters = Vec::new();
        let next = self.candidates.iter().skip(self.done).take(STEP);
        for (number, choice) in next.filter_map(|number| Some((*number, choices.get(*number)?))) {
            let mut score = |text: &str| pattern.score(Utf32Str::new(text, &mut characters), &mut matcher);
            let in_text = score(&choice.text);
            let found = in_text.or_else(|| (!choice.keywords.is_empty()).then(|| score(&choice.keywords))?);
            if let Some(score) = found {
                let choice = std::cmp::Reverse(number);
                self.found.push(Found { in_text: in_text.is_some(), score, choice });
            }
        }
        self.done = self.candidates.len().min(self.done + STEP);
        self.done == self.candidates.len()
    }

    /// The numbers of the choices found so far, the best first.
    pub fn found(&mut self) -> Vec<usize> {
        self.found.sort_unstable_by(|one, other| other.cmp(one));
        self.found.iter().map(|found| found.choice.0).collect()
    }

    /// The text that was looked for.
    pub fn into_typed(self) -> String {
        self.typed
    }
}

/// Which letters of a choice were typed.
pub struct Letters {
    pattern: Pattern,
    matcher: Matcher,
    characters: Vec<char>,
}

impl Letters {
    pub fn new(typed: &str) -> Self {
        Self { pattern: pattern(typed), matcher: Matcher::new(Config::DEFAULT), characters: Vec::new() }
    }

    /// The numbers of the letters (graphemes) of the choice's text that were typed, in order; none where it was found
    /// by its keywords.
    pub fn of(&mut self, choice: &Choice) -> Vec<u32> {
        let mut letters = Vec::new();
        let text = Utf32Str::new(&choice.text, &mut self.characters);
        if self.pattern.indices(text, &mut self.matcher, &mut letters).is_none() {
            letters.clear();
        }
        letters.sort_unstable();
        letters.dedup();
        letters
    }
}

fn pattern(typed: &str) -> Pattern {
    Pattern::parse(typed, CaseMatching::Smart, Normalization::Smart)
}
