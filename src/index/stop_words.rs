//! Words that say nothing about what is asked for.
//!
//! A question is searched without them, unless it has no others, as in `What is this about?`. Then it is about files as a whole:
//! it finds their beginnings, titles and paths, and nowhere else are stop words indexed, as they are half of all words of running
//! text.

use foldhash::HashMap;

use crate::corpus::packed::Packed;

/// BM25 alone would weigh `what` and `who` heavily, since documents, unlike questions, seldom contain them.
pub(super) const STOP_WORDS: &[&str] = &[
    "a", "about", "am", "an", "and", "any", "are", "aren", "as", "at", "be", "been", "being", "but", "by",
    "can", "could", "couldn", "d", "did", "didn", "do", "does", "doesn", "doing", "don", "for", "from",
    "get", "had", "hadn", "has", "hasn", "have", "haven", "having", "he", "her", "him", "his", "how", "i",
    "if", "in", "into", "is", "isn", "it", "its", "ll", "m", "me", "my", "of", "on", "or", "our", "please",
    "re", "s", "shall", "she", "should", "so", "such", "t", "tell", "than", "that", "the", "their", "them",
    "then", "there", "these", "they", "this", "those", "to", "us", "ve", "was", "wasn", "we", "were",
    "weren", "what", "when", "where", "which", "while", "who", "whom", "whose", "why", "will", "with", "won",
    "would", "wouldn", "you", "your",
];

/// Tells stop words from others, and whether a text had one before.
pub(super) struct StopWords {
    /// For each the number of the text that had it last.
    last: HashMap<Packed, u64>,
    text: u64,
}

impl StopWords {
    pub(super) fn new() -> Self {
        let packed: Vec<Packed> = STOP_WORDS.iter().filter_map(|word| Packed::new(word)).collect();
        Self { last: packed.into_iter().map(|word| (word, 0)).collect(), text: 0 }
    }

    /// Whether a lower-cased word is one.
    pub(super) fn has(&self, word: &str) -> bool {
        Packed::new(word).is_some_and(|word| self.has_short(word))
    }

    pub(super) fn has_short(&self, word: Packed) -> bool {
        self.last.contains_key(&word)
    }

    /// Another text begins.
    pub(super) fn begin_text(&mut self) {
        self.text += 1;
    }

    /// Whether a lower-cased word is one that the text had before.
    pub(super) fn is_repeated(&mut self, word: Packed) -> bool {
        self.last.get_mut(&word).is_some_and(|last| std::mem::replace(last, self.text) == self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stop_word_is_short_and_in_small_letters() {
        assert!(
            STOP_WORDS.iter().all(|word| Packed::new(word).is_some_and(|packed| packed.lower() == packed))
        );
    }

    #[test]
    fn a_stop_word_is_repeated_within_a_text_and_other_words_never() {
        let mut stop_words = StopWords::new();
        for _ in 0..2 {
            stop_words.begin_text();
            let words = "the well and the pump and the well".split(' ');
            let kept = words.filter(|word| !stop_words.is_repeated(Packed::new(word).unwrap()));
            assert_eq!(kept.collect::<Vec<_>>(), ["the", "well", "and", "pump", "well"]);
        }
        assert!(stop_words.has("the") && !stop_words.has("well"));
    }
}
