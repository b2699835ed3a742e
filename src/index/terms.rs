//! Texts to the terms that they are found by: stems, with spaces between them.
//!
//! It runs over many texts before tantivy takes them: word by word in turn, the tables of the two would drive each other out
//! of the processor's caches.

use std::{cell::RefCell, ops::Range};

use thread_local::ThreadLocal;

use super::{stems::Stems, stop_words::StopWords, words};
use crate::corpus::{packed::Packed, recent::Recent};

/// Words whose stems each thread has at hand: 131,072, in 2 MiB.
const RECENT_BITS: u32 = 15;

/// Makes terms, on every thread with what that thread knows of words.
#[derive(Default)]
pub(super) struct Terms {
    makers: ThreadLocal<RefCell<Maker>>,
}

struct Maker {
    /// The words of a text, where they stand and, where they are short, as they are in small letters.
    words: Vec<(Range<usize>, Option<Packed>)>,
    stems: Stems,
    /// What is known of short words, each a [`Known`].
    recent: Recent,
    stop_words: StopWords,
}

/// How often a text's terms have a stop word that stands in it.
#[derive(Clone, Copy)]
enum StopWordsCome {
    Always,
    Once,
    Never,
}

/// Of a short word: its stem, as most stems are beginnings of their words, some with another last letter.
#[derive(Clone, Copy)]
struct Known(u16);

impl Terms {
    /// The terms of the text of a file's chunk; 0 is its first. Stop words are left out, but for the first, where each comes
    /// once.
    pub(super) fn of_chunk(&self, ordinal: usize, text: &str) -> String {
        let stop_words = if ordinal == 0 { StopWordsCome::Once } else { StopWordsCome::Never };
        self.make(|maker| maker.terms(text, stop_words))
    }

    /// The terms of a chunk's title and headings.
    pub(super) fn of_heading(&self, title: &str, heading: &[String]) -> String {
        self.of_name(&format!("{title} / {}", heading.join(" / ")))
    }

    /// The terms of a path, as [`searched_path`](super::schema::searched_path) gives it.
    pub(super) fn of_path(&self, path: &str) -> String {
        self.of_name(path)
    }

    fn of_name(&self, name: &str) -> String {
        self.make(|maker| maker.terms(name, StopWordsCome::Always))
    }

    fn make(&self, make: impl FnOnce(&mut Maker) -> String) -> String {
        let maker = || {
            RefCell::new(Maker {
                words: Vec::new(),
                stems: Stems::new(),
                recent: Recent::new(RECENT_BITS),
                stop_words: StopWords::new(),
            })
        };
        make(&mut self.makers.get_or(maker).borrow_mut())
    }
}

impl Maker {
    fn terms(&mut self, text: &str, stop_words_come: StopWordsCome) -> String {
        let Self { words, stems, recent, stop_words } = self;
        words.clear();
        words::each(text, |place, short| {
            let short = short.map(Packed::lower).or_else(|| Packed::new(&text[place.clone()].to_lowercase()));
            if let Some(short) = short {
                recent.fetch(short);
            }
            words.push((place, short));
        });
        let mut terms = Vec::with_capacity(text.len() + Packed::LONGEST);
        stop_words.begin_text();
        for (place, short) in words {
            let (word, short) = (&text[place.clone()], *short);
            let known =
                short.map(|short| Known(recent.get(short, || Known::new(word, short, stems, stop_words).0)));
            let comes = match (stop_words_come, short.zip(known).filter(|(_, known)| known.is_stop_word())) {
                (StopWordsCome::Always, _) | (_, None) => true,
                (StopWordsCome::Once, Some((short, _))) => !stop_words.is_repeated(short),
                (StopWordsCome::Never, Some(_)) => false,
            };
            match known.and_then(Known::stem).zip(short) {
                _ if !comes => {}
                Some(((kept, added), short)) => short.append_changed(kept, added, &mut terms),
                None => push(&mut terms, stems.of(&word.to_lowercase())),
            }
        }
        String::from_utf8(terms).unwrap_or_default()
    }
}

impl Known {
    /// Bit 7: it is a stop word. The seven below: a character of ASCII behind what is kept, or 0. The four above: how many bytes
    /// are kept, or [`OTHER`](Self::OTHER).
    const STOP_WORD: u16 = 0x80;
    const KEPT: u32 = 8;
    /// The stem is another: more than its last character differs.
    const OTHER: u16 = 15;

    /// `word` in small letters is `short`.
    fn new(word: &str, short: Packed, stems: &mut Stems, stop_words: &StopWords) -> Self {
        let word = word.to_lowercase();
        let (word, stem) = (word.as_bytes(), stems.of(&word).as_bytes());
        let kept = word.iter().zip(stem).take_while(|(a, b)| a == b).count();
        let stem = match stem[kept..] {
            [] if kept > 0 => (kept as u16) << Self::KEPT,
            [added @ 1..0x80] => (kept as u16) << Self::KEPT | u16::from(added),
            _ => Self::OTHER << Self::KEPT,
        };
        Self(if stop_words.has_short(short) { stem | Self::STOP_WORD } else { stem })
    }

    fn is_stop_word(self) -> bool {
        self.0 & Self::STOP_WORD != 0
    }

    /// How many bytes of the word its stem begins with, and what comes behind them, or 0.
    fn stem(self) -> Option<(usize, u8)> {
        let (kept, added) = (self.0 >> Self::KEPT, self.0 & (Self::STOP_WORD - 1));
        (kept != Self::OTHER).then_some((kept.into(), added as u8))
    }
}

fn push(terms: &mut Vec<u8>, term: &str) {
    if !term.is_empty() {
        terms.extend_from_slice(term.as_bytes());
        terms.push(b' ');
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, test_runner::RngSeed};

    use super::*;

    #[test]
    fn terms_are_stems_and_stop_words_come_once_or_never() {
        let terms = Terms::default();
        let text = "The Pumps and THE pump: Größe, incomprehensibilities; closing! the 日本語";
        assert_eq!(terms.of_chunk(0, text), "the pump and pump gross incomprehens close 日本 本語 ");
        assert_eq!(terms.of_chunk(1, text), "pump pump gross incomprehens close 日本 本語 ");
        assert_eq!(terms.of_path("the/Pumps/the.md"), "the pump the.md the md ");
        assert_eq!(terms.of_heading("Wells", &["Pumps".into(), "of wood".into()]), "well pump of wood ");
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// Whatever is at hand of short words: a question is made of terms without it.
        #[test]
        fn terms_are_the_stems_of_lower_cased_words(text in "([a-zA-Z]{1,20}|[a-zA-Z0-9_.]{1,30}|\\PC{1,20}|[ ,.;]){0,30}") {
            let (terms, mut stems) = (Terms::default(), Stems::new());
            let stems = words::places(&text).into_iter().map(|place| {
                format!("{} ", stems.of(&text[place].to_lowercase()))
            });
            let expected: String = stems.collect();
            for _ in 0..2 {
                prop_assert_eq!(terms.of_path(&text), expected.clone());
            }
        }
    }
}
