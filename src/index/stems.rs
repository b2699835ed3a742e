//! English stems without accents, each computed once: the same words come again and again, and stemming one takes longer
//! than indexing it.
//!
//! Where a text is indexed, a word that is not its own stem follows its stem as it stands, marked: one pass through a text
//! gives the terms for what stemming finds and for what it would confuse. Most words of a text are their own stems.

use foldhash::HashMap;
use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, RawTokenizer, Stemmer, TextAnalyzer, Token, TokenFilter, TokenStream,
    Tokenizer,
};

use crate::corpus::recent::{Packed, Recent};

/// Words whose stems are remembered; where there are more, it begins anew.
const REMEMBERED: usize = 200_000;

/// Words whose stems are at hand: two to the power of this many, in 2 MiB where texts are indexed.
const RECENT_BITS: u32 = 16;
const RECENT_BITS_OF_QUESTIONS: u32 = 10;

/// What a term begins with that is a word as it stands. No word has it.
const MARK: char = '=';

/// The term of a word as it stands.
pub(super) fn form_term(form: &str) -> String {
    format!("{MARK}{form}")
}

/// Replaces lower-cased words by their stems, as tantivy's own filters do.
#[derive(Clone, Copy)]
pub(super) enum Stems {
    /// A stem for each word.
    Alone,
    /// A stem for each word, and the [`form_term`] of those that are not their own stems.
    WithForms,
}

#[derive(Clone)]
pub(super) struct StemTokenizer<T> {
    words: T,
    with_forms: bool,
    known: Known,
}

/// Stems that were computed before.
#[derive(Clone)]
struct Known {
    /// Of short words with short stems; none for others.
    recent: Recent<Packed>,
    stems: HashMap<String, String>,
    stemmer: TextAnalyzer,
}

pub(super) struct StemStream<'a, T> {
    words: T,
    with_forms: bool,
    /// The last word as it stands, and whether it is the next term.
    form: String,
    is_form_next: bool,
    stem: String,
    known: &'a mut Known,
}

impl TokenFilter for Stems {
    type Tokenizer<T: Tokenizer> = StemTokenizer<T>;

    fn transform<T: Tokenizer>(self, words: T) -> StemTokenizer<T> {
        let raw = TextAnalyzer::builder(RawTokenizer::default()).filter(AsciiFoldingFilter);
        let (with_forms, bits) = match self {
            Self::Alone => (false, RECENT_BITS_OF_QUESTIONS),
            Self::WithForms => (true, RECENT_BITS),
        };
        StemTokenizer {
            words,
            with_forms,
            known: Known {
                recent: Recent::new(bits),
                stems: HashMap::default(),
                stemmer: raw.filter(Stemmer::new(Language::English)).build(),
            },
        }
    }
}

impl<T: Tokenizer> Tokenizer for StemTokenizer<T> {
    type TokenStream<'a> = StemStream<'a, T::TokenStream<'a>>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Self::TokenStream<'a> {
        StemStream {
            words: self.words.token_stream(text),
            with_forms: self.with_forms,
            form: String::new(),
            is_form_next: false,
            stem: String::new(),
            known: &mut self.known,
        }
    }
}

impl<T: TokenStream> TokenStream for StemStream<'_, T> {
    fn advance(&mut self) -> bool {
        if std::mem::take(&mut self.is_form_next) {
            std::mem::swap(&mut self.form, &mut self.words.token_mut().text);
            return true;
        }
        if !self.words.advance() {
            return false;
        }
        let token = self.words.token_mut();
        self.stem.clear();
        if !self.known.append_stem(&token.text, &mut self.stem) {
            return true;
        }
        if self.with_forms {
            self.form.clear();
            self.form.push(MARK);
            self.form.push_str(&token.text);
            self.is_form_next = true;
        }
        std::mem::swap(&mut self.stem, &mut token.text);
        true
    }

    fn token(&self) -> &Token {
        self.words.token()
    }

    fn token_mut(&mut self) -> &mut Token {
        self.words.token_mut()
    }
}

impl Known {
    /// Puts the stem of a word behind `text`, and says that it is another; nothing where it is the word itself.
    fn append_stem(&mut self, word: &str, text: &mut String) -> bool {
        let Self { recent, stems, stemmer } = self;
        if let Some(packed) = Packed::new(word) {
            let find = || Packed::new(remembered(stems, stemmer, word)).unwrap_or_default();
            let stem = recent.get(packed, find);
            if stem == packed {
                return false;
            }
            if stem != Packed::default() {
                stem.append_to(text);
                return true;
            }
        }
        let stem = remembered(stems, stemmer, word);
        text.push_str(stem);
        stem != word
    }
}

fn remembered<'k>(stems: &'k mut HashMap<String, String>, stemmer: &mut TextAnalyzer, word: &str) -> &'k str {
    if !stems.contains_key(word) {
        if stems.len() >= REMEMBERED {
            stems.clear();
        }
        stems.insert(word.to_owned(), computed(stemmer, word));
    }
    &stems[word]
}

fn computed(stemmer: &mut TextAnalyzer, word: &str) -> String {
    let mut stream = stemmer.token_stream(word);
    if stream.advance() { std::mem::take(&mut stream.token_mut().text) } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tantivy::tokenizer::WhitespaceTokenizer;

    const TEXT: &str = "closing closed the running runs naïve x 42 closing closed running";

    fn words(mut analyzer: TextAnalyzer) -> Vec<String> {
        let mut words = Vec::new();
        analyzer.token_stream(TEXT).process(&mut |token| words.push(token.text.clone()));
        words
    }

    fn cut_at_spaces(stems: Stems) -> Vec<String> {
        words(TextAnalyzer::builder(WhitespaceTokenizer::default()).filter(stems).build())
    }

    #[test]
    fn stems_are_those_of_the_library_the_first_time_and_later() {
        let theirs = TextAnalyzer::builder(WhitespaceTokenizer::default())
            .filter(AsciiFoldingFilter)
            .filter(Stemmer::new(Language::English))
            .build();
        assert_eq!(cut_at_spaces(Stems::Alone), words(theirs));
    }

    #[test]
    fn words_that_are_not_their_own_stems_follow_them() {
        let stems = cut_at_spaces(Stems::Alone);
        let forms = TEXT.split(' ').zip(&stems).flat_map(|(word, stem)| {
            [Some(stem.clone()), (word != stem).then(|| form_term(word))].into_iter().flatten()
        });
        let expected: Vec<String> = forms.collect();
        assert_eq!(expected[..4], ["close", "=closing", "close", "=closed"]);
        assert_eq!(cut_at_spaces(Stems::WithForms), expected);
    }
}
