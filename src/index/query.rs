//! A question, as free text, to a query: never parsed as a query language, so no text can be wrong.

use std::collections::HashSet;

use tantivy::{
    Term,
    query::{BooleanQuery, BoostQuery, Query, TermQuery},
    schema::{Field, IndexRecordOption},
    tokenizer::TextAnalyzer,
};

use super::{
    schema::{self, Fields},
    stems::form_term,
    stop_words::STOP_WORDS,
};

/// How much a match in each field counts. A chunk's text has its heading and its file's name in its label, so a match there
/// counts beside that in the text; headings and paths are short, which alone makes BM25 rate it high. A word that stands in the
/// text as it is asked for counts beside its stem. Sums of terms, and of nothing else, let the search leave out what cannot be
/// among the best (block-max WAND, Ding and Suel, SIGIR 2011). Tried on Natural Questions, XQuAD, HotpotQA and
/// 2WikiMultihopQA.
const TEXT_WEIGHT: f32 = 1.0;
const EXACT_WEIGHT: f32 = 0.3;
const HEADING_WEIGHT: f32 = 0.4;
const PATH_WEIGHT: f32 = 0.1;

/// Different words of a question that are looked for; the rest of a very long one is not.
const MAX_WORDS: usize = 128;

/// Makes queries; keeps the analysers between questions.
pub(super) struct Questions {
    pub(super) fields: Fields,
    pub(super) stemmed: TextAnalyzer,
    exact: TextAnalyzer,
    stop_words: HashSet<&'static str>,
}

/// One word of a question: its stem, and the forms in which the question has it.
#[derive(Debug, PartialEq)]
pub(super) struct Word {
    pub(super) stem: String,
    pub(super) forms: Vec<String>,
}

impl Questions {
    pub(super) fn new(fields: Fields) -> Self {
        Self {
            fields,
            stemmed: schema::stemmed(),
            exact: schema::exact(),
            stop_words: STOP_WORDS.iter().copied().collect(),
        }
    }

    /// The query for a question; `None` where it has no words.
    pub(super) fn query(&mut self, question: &str) -> Option<BooleanQuery> {
        let words = self.words(question);
        if words.is_empty() {
            return None;
        }
        Some(BooleanQuery::union(words.iter().flat_map(|word| self.terms(word)).collect()))
    }

    /// The different words of a question but for the stop words; all of them where there is nothing else.
    pub(super) fn words(&mut self, question: &str) -> Vec<Word> {
        let stems = tokens(&mut self.stemmed, question);
        let forms = tokens(&mut self.exact, question);
        let says_something = |form: &str| !self.is_stop_word(form);
        let only_stop_words = !forms.iter().any(|form| says_something(form));
        let mut words: Vec<Word> = Vec::new();
        for (stem, form) in stems.into_iter().zip(forms) {
            if !only_stop_words && !says_something(&form) {
                continue;
            }
            match words.iter().position(|word| word.stem == stem) {
                Some(known) if words[known].forms.contains(&form) => {}
                Some(known) => words[known].forms.push(form),
                None if words.len() < MAX_WORDS => words.push(Word { stem, forms: vec![form] }),
                None => break,
            }
        }
        words
    }

    pub(super) fn is_stop_word(&self, form: &str) -> bool {
        self.stop_words.contains(form)
    }

    fn terms(&self, word: &Word) -> Vec<Box<dyn Query>> {
        // No term says that a word that is its own stem stands there as it is: its stem counts for both.
        let own_stem = if word.forms.contains(&word.stem) { EXACT_WEIGHT } else { 0.0 };
        let mut terms = vec![
            term(self.fields.text, &word.stem, TEXT_WEIGHT + own_stem),
            term(self.fields.heading, &word.stem, HEADING_WEIGHT),
            term(self.fields.path, &word.stem, PATH_WEIGHT),
        ];
        let other_forms = word.forms.iter().filter(|form| **form != word.stem);
        terms.extend(other_forms.map(|form| term(self.fields.text, &form_term(form), EXACT_WEIGHT)));
        terms
    }
}

fn term(field: Field, text: &str, weight: f32) -> Box<dyn Query> {
    let query = TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::WithFreqs);
    Box::new(BoostQuery::new(Box::new(query), weight))
}

fn tokens(analyser: &mut TextAnalyzer, text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    analyser.token_stream(text).process(&mut |token| tokens.push(token.text.clone()));
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(question: &str) -> Vec<(String, Vec<String>)> {
        let words = Questions::new(Fields::new()).words(question);
        words.into_iter().map(|word| (word.stem, word.forms)).collect()
    }

    fn word(stem: &str, forms: &[&str]) -> (String, Vec<String>) {
        (stem.into(), forms.iter().map(|form| form.to_string()).collect())
    }

    #[test]
    fn stop_words_go_unless_there_is_nothing_else() {
        assert_eq!(words("What is the dome?"), [word("dome", &["dome"])]);
        assert_eq!(words("to be"), [word("to", &["to"]), word("be", &["be"])]);
        assert_eq!(words("?!"), []);
    }

    #[test]
    fn forms_of_one_word_are_one_word() {
        assert_eq!(words("closing closed CLOSING"), [word("close", &["closing", "closed"])]);
    }

    #[test]
    fn accents_matter_only_to_the_exact_form() {
        assert_eq!(words("Résumé"), [word("resum", &["résumé"])]);
    }

    #[test]
    fn a_very_long_question_is_cut() {
        let question: String = (0..1000).map(|number| format!("word{number} ")).collect();
        assert_eq!(words(&question).len(), MAX_WORDS);
    }
}
