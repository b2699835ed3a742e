//! English stems, each computed once: the same words come again and again, and stemming one takes longer than indexing it.

use std::collections::HashMap;

use tantivy::tokenizer::{
    Language, RawTokenizer, Stemmer, TextAnalyzer, Token, TokenFilter, TokenStream, Tokenizer,
};

/// Words whose stems are remembered; where there are more, it begins anew.
const REMEMBERED: usize = 50_000;

/// Replaces lower-cased words by their stems, as tantivy's own filter does.
#[derive(Clone, Default)]
pub(super) struct Stems;

#[derive(Clone)]
pub(super) struct StemTokenizer<T> {
    words: T,
    known: HashMap<String, String>,
    stemmer: TextAnalyzer,
}

pub(super) struct StemStream<'a, T> {
    words: T,
    known: &'a mut HashMap<String, String>,
    stemmer: &'a mut TextAnalyzer,
}

impl TokenFilter for Stems {
    type Tokenizer<T: Tokenizer> = StemTokenizer<T>;

    fn transform<T: Tokenizer>(self, words: T) -> StemTokenizer<T> {
        let raw = TextAnalyzer::builder(RawTokenizer::default());
        StemTokenizer {
            words,
            known: HashMap::new(),
            stemmer: raw.filter(Stemmer::new(Language::English)).build(),
        }
    }
}

impl<T: Tokenizer> Tokenizer for StemTokenizer<T> {
    type TokenStream<'a> = StemStream<'a, T::TokenStream<'a>>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Self::TokenStream<'a> {
        StemStream {
            words: self.words.token_stream(text),
            known: &mut self.known,
            stemmer: &mut self.stemmer,
        }
    }
}

impl<T: TokenStream> TokenStream for StemStream<'_, T> {
    fn advance(&mut self) -> bool {
        if !self.words.advance() {
            return false;
        }
        let token = self.words.token_mut();
        match self.known.get(&token.text) {
            Some(stem) => {
                token.text.clear();
                token.text.push_str(stem);
            }
            None => {
                let stem = stem_of(self.stemmer, &token.text);
                if self.known.len() >= REMEMBERED {
                    self.known.clear();
                }
                let word = std::mem::replace(&mut token.text, stem.clone());
                self.known.insert(word, stem);
            }
        }
        true
    }

    fn token(&self) -> &Token {
        self.words.token()
    }

    fn token_mut(&mut self) -> &mut Token {
        self.words.token_mut()
    }
}

fn stem_of(stemmer: &mut TextAnalyzer, word: &str) -> String {
    let mut stream = stemmer.token_stream(word);
    if stream.advance() { std::mem::take(&mut stream.token_mut().text) } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tantivy::tokenizer::WhitespaceTokenizer;

    #[test]
    fn stems_are_those_of_the_library_the_first_time_and_later() {
        let text = "closing closed the running runs naïve x 42 closing closed running";
        let words = |mut analyzer: TextAnalyzer| {
            let mut words = Vec::new();
            analyzer.token_stream(text).process(&mut |token| words.push(token.text.clone()));
            words
        };
        let ours = TextAnalyzer::builder(WhitespaceTokenizer::default()).filter(Stems).build();
        let theirs = TextAnalyzer::builder(WhitespaceTokenizer::default())
            .filter(Stemmer::new(Language::English))
            .build();
        assert_eq!(words(ours), words(theirs));
    }
}
