//! English stems without accents, each computed once: the same words come again and again, and stemming one takes longer
//! than indexing it.

use foldhash::HashMap;
use tantivy::tokenizer::{AsciiFoldingFilter, Language, RawTokenizer, Stemmer, TextAnalyzer};

/// Words whose stems are remembered; where there are more, it begins anew.
const REMEMBERED: usize = 200_000;

/// Replaces lower-cased words by their stems, as tantivy's own filters do.
pub(super) struct Stems {
    remembered: HashMap<String, String>,
    stemmer: TextAnalyzer,
}

impl Stems {
    pub(super) fn new() -> Self {
        let raw = TextAnalyzer::builder(RawTokenizer::default()).filter(AsciiFoldingFilter);
        Self { remembered: HashMap::default(), stemmer: raw.filter(Stemmer::new(Language::English)).build() }
    }

    /// The stem of a word.
    pub(super) fn of(&mut self, word: &str) -> &str {
        remembered(&mut self.remembered, &mut self.stemmer, word)
    }
}

fn remembered<'k>(known: &'k mut HashMap<String, String>, stemmer: &mut TextAnalyzer, word: &str) -> &'k str {
    if !known.contains_key(word) {
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(word.to_owned(), computed(stemmer, word));
    }
    &known[word]
}

fn computed(stemmer: &mut TextAnalyzer, word: &str) -> String {
    let mut stream = stemmer.token_stream(word);
    if stream.advance() { std::mem::take(&mut stream.token_mut().text) } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str =
        "closing closed the running runs naïve x 42 incomprehensibilities closing closed running";

    #[test]
    fn stems_are_those_of_the_library_the_first_time_and_later() {
        let mut stems = Stems::new();
        let mut stemmer = Stems::new().stemmer;
        for word in WORDS.split(' ') {
            let expected = computed(&mut stemmer, word);
            assert_eq!(stems.of(word), expected);
        }
        assert_eq!([stems.of("closing").to_owned(), stems.of("naïve").to_owned()], ["close", "naiv"]);
    }
}
