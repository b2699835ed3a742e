//! Words that say nothing about what is asked for.
//!
//! A question is searched without them, unless it has no others. For that one case they are indexed, once for each text: they
//! are half of all words of running text, and how often a chunk has them says nothing.

use foldhash::HashMap;
use tantivy::tokenizer::{Token, TokenFilter, TokenStream, Tokenizer};

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

/// Lets each stop word through once in a text.
#[derive(Clone, Copy)]
pub(super) struct StopWordsOnce;

#[derive(Clone)]
pub(super) struct OnceTokenizer<T> {
    words: T,
    /// For each stop word the number of the text that had it last.
    last: HashMap<&'static str, u64>,
    longest: usize,
    text: u64,
}

pub(super) struct OnceStream<'a, T> {
    words: T,
    last: &'a mut HashMap<&'static str, u64>,
    longest: usize,
    text: u64,
}

impl TokenFilter for StopWordsOnce {
    type Tokenizer<T: Tokenizer> = OnceTokenizer<T>;

    fn transform<T: Tokenizer>(self, words: T) -> OnceTokenizer<T> {
        let longest = STOP_WORDS.iter().map(|word| word.len()).max().unwrap_or(0);
        OnceTokenizer { words, last: STOP_WORDS.iter().map(|word| (*word, 0)).collect(), longest, text: 0 }
    }
}

impl<T: Tokenizer> Tokenizer for OnceTokenizer<T> {
    type TokenStream<'a> = OnceStream<'a, T::TokenStream<'a>>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Self::TokenStream<'a> {
        self.text += 1;
        OnceStream {
            words: self.words.token_stream(text),
            last: &mut self.last,
            longest: self.longest,
            text: self.text,
        }
    }
}

impl<T: TokenStream> TokenStream for OnceStream<'_, T> {
    fn advance(&mut self) -> bool {
        while self.words.advance() {
            let word = self.words.token().text.as_str();
            if word.len() > self.longest {
                return true;
            }
            match self.last.get_mut(word) {
                Some(last) if *last == self.text => {}
                Some(last) => {
                    *last = self.text;
                    return true;
                }
                None => return true,
            }
        }
        false
    }

    fn token(&self) -> &Token {
        self.words.token()
    }

    fn token_mut(&mut self) -> &mut Token {
        self.words.token_mut()
    }
}

#[cfg(test)]
mod tests {
    use tantivy::tokenizer::{TextAnalyzer, WhitespaceTokenizer};

    use super::*;

    #[test]
    fn a_stop_word_comes_once_in_each_text_and_other_words_always() {
        let mut analyzer =
            TextAnalyzer::builder(WhitespaceTokenizer::default()).filter(StopWordsOnce).build();
        for _ in 0..2 {
            let mut words = Vec::new();
            analyzer.token_stream("the well and the pump and the well").process(&mut |token| {
                words.push(token.text.clone());
            });
            assert_eq!(words, ["the", "well", "and", "pump", "well"]);
        }
    }
}
