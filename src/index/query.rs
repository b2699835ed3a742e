//! A question, as free text, to a query: never parsed as a query language, so no text can be wrong.

use std::{collections::HashSet, ops::Range};

use tantivy::{
    Term,
    query::{BooleanQuery, BoostQuery, Query, TermQuery},
    schema::{Field, IndexRecordOption},
};

use super::{schema::Fields, stems::Stems, stop_words::StopWords, words};

/// How much a match in each field counts. A chunk's text has its heading and its file's name in its label, so a match there
/// counts beside that in the text; headings and paths are short, which alone makes BM25 rate it high. Sums of
/// terms, and of nothing else, let the search leave out what cannot be among the best (block-max WAND, Ding and Suel, SIGIR
/// 2011). Tried on Natural Questions, XQuAD, HotpotQA and 2WikiMultihopQA; so was counting words beside their stems where they
/// stand as the question has them, which found no more and takes a quarter more terms.
const TEXT_WEIGHT: f32 = 1.0;
const HEADING_WEIGHT: f32 = 0.4;
const PATH_WEIGHT: f32 = 0.1;

/// Different words of a question that are looked for; the rest of a very long one is not.
const MAX_WORDS: usize = 128;

/// Makes queries; keeps what it knows of words between questions.
pub(super) struct Questions {
    pub(super) fields: Fields,
    stems: Stems,
    stop_words: StopWords,
}

/// What a question looks for.
#[derive(Debug, PartialEq)]
pub(super) struct Wanted {
    /// The different stems of its words, but for the stop words unless there is nothing else.
    pub(super) stems: Vec<String>,
    /// Whether they are of words that say something: no stop words.
    pub(super) are_content: bool,
}

impl Questions {
    pub(super) fn new(fields: Fields) -> Self {
        Self { fields, stems: Stems::new(), stop_words: StopWords::new() }
    }

    /// The query for a question; `None` where it has no words.
    pub(super) fn query(&mut self, question: &str) -> Option<BooleanQuery> {
        let stems = self.wanted(question).stems;
        if stems.is_empty() {
            return None;
        }
        Some(BooleanQuery::union(stems.iter().flat_map(|stem| self.terms(stem)).collect()))
    }

    pub(super) fn wanted(&mut self, question: &str) -> Wanted {
        let mut found = self.places_and_stems(question);
        let says_something =
            |place: &Range<usize>| !self.stop_words.has(&question[place.clone()].to_lowercase());
        let are_content = found.iter().any(|(place, _)| says_something(place));
        found.retain(|(place, _)| !are_content || says_something(place));
        let mut seen = HashSet::new();
        let stems = found.into_iter().map(|(_, stem)| stem).filter(|stem| seen.insert(stem.clone()));
        Wanted { stems: stems.take(MAX_WORDS).collect(), are_content }
    }

    /// Where the words of a text stand, in bytes, and their stems.
    pub(super) fn places_and_stems(&mut self, text: &str) -> Vec<(Range<usize>, String)> {
        let mut stem = |place: &Range<usize>| self.stems.of(&text[place.clone()].to_lowercase()).to_owned();
        words::places(text).into_iter().map(|place| (place.clone(), stem(&place))).collect()
    }

    fn terms(&self, stem: &str) -> [Box<dyn Query>; 3] {
        [
            term(self.fields.text, stem, TEXT_WEIGHT),
            term(self.fields.heading, stem, HEADING_WEIGHT),
            term(self.fields.path, stem, PATH_WEIGHT),
        ]
    }
}

fn term(field: Field, text: &str, weight: f32) -> Box<dyn Query> {
    let query = TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::WithFreqs);
    Box::new(BoostQuery::new(Box::new(query), weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(question: &str) -> (Vec<String>, bool) {
        let Wanted { stems, are_content } = Questions::new(Fields::new()).wanted(question);
        (stems, are_content)
    }

    fn stems(of: &[&str]) -> Vec<String> {
        of.iter().map(|stem| (*stem).to_owned()).collect()
    }

    #[test]
    fn stop_words_go_unless_there_is_nothing_else() {
        assert_eq!(wanted("What is the dome?"), (stems(&["dome"]), true));
        assert_eq!(wanted("to be"), (stems(&["to", "be"]), false));
        assert_eq!(wanted("?!"), (Vec::new(), false));
    }

    #[test]
    fn forms_and_spellings_of_a_word_are_one() {
        assert_eq!(wanted("closing closed CLOSING"), (stems(&["close"]), true));
        assert_eq!(wanted("Résumé resume"), (stems(&["resum"]), true));
    }

    #[test]
    fn a_very_long_question_is_cut() {
        let question: String = (0..1000).map(|number| format!("word{number} ")).collect();
        assert_eq!(wanted(&question).0.len(), MAX_WORDS);
    }
}
