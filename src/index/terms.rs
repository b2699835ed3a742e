//! Texts to the terms that they are found by: stems, with spaces between them.
//!
//! It runs over many texts before tantivy takes them: word by word in turn, the tables of the two would drive each other out
//! of the processor's caches.

use std::cell::RefCell;

use thread_local::ThreadLocal;

use super::{stems::Stems, stop_words::StopWords, words::Words};
use crate::corpus::recent::{Packed, Recent};

/// Words whose stems each thread has at hand: two to the power of this many, twice, in 4 MiB.
const RECENT_BITS: u32 = 16;

/// Makes terms, on every thread with what that thread knows of words.
#[derive(Default)]
pub(super) struct Terms {
    makers: ThreadLocal<RefCell<Maker>>,
}

struct Maker {
    words: Words,
    stems: Stems,
    /// Stems of short words; none where the stem is a long one.
    recent: Recent<Packed>,
    stop_words: StopWords,
}

impl Terms {
    /// The terms of a chunk's text: a stop word comes once.
    pub(super) fn of_text(&self, text: &str) -> String {
        self.make(|maker| maker.terms(text, true))
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
        self.make(|maker| maker.terms(name, false))
    }

    fn make(&self, make: impl FnOnce(&mut Maker) -> String) -> String {
        let maker = || {
            RefCell::new(Maker {
                words: Words::default(),
                stems: Stems::new(),
                recent: Recent::new(RECENT_BITS),
                stop_words: StopWords::new(),
            })
        };
        make(&mut self.makers.get_or(maker).borrow_mut())
    }
}

impl Maker {
    fn terms(&mut self, text: &str, stop_words_once: bool) -> String {
        let Self { words, stems, recent, stop_words } = self;
        let mut terms = Vec::with_capacity(text.len() + text.len() / 4);
        stop_words.begin_text();
        for place in words.places(text) {
            let word = &text[place.clone()];
            let short = match Packed::new(word) {
                Some(packed) if packed.is_ascii() => Some(packed.lower()),
                _ => Packed::new(&word.to_lowercase()),
            };
            if stop_words_once && short.is_some_and(|short| stop_words.is_repeated(short)) {
                continue;
            }
            let stem = short.map(|short| recent.get(short, || stems.of_short(short).unwrap_or_default()));
            match stem.filter(|stem| *stem != Packed::default()) {
                Some(stem) => stem.append_to(&mut terms),
                None => push(&mut terms, stems.of(&word.to_lowercase())),
            }
        }
        String::from_utf8(terms).unwrap_or_default()
    }
}

fn push(terms: &mut Vec<u8>, term: &str) {
    terms.extend_from_slice(term.as_bytes());
    terms.push(b' ');
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, test_runner::RngSeed};

    use super::*;

    #[test]
    fn terms_are_stems_and_stop_words_come_once() {
        let terms = Terms::default();
        let text = "The Pumps and THE pump: Größe, incomprehensibilities; closing! the 日本語";
        assert_eq!(terms.of_text(text), "the pump and pump gross incomprehens close 日本 本語 ");
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
            let (terms, mut words, mut stems) = (Terms::default(), Words::default(), Stems::new());
            let stems = words.places(&text).iter().map(|place| {
                format!("{} ", stems.of(&text[place.clone()].to_lowercase()))
            });
            let expected: String = stems.collect();
            for _ in 0..2 {
                prop_assert_eq!(terms.of_path(&text), expected.clone());
            }
        }
    }
}
