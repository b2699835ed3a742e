//! A question, as free text, to a query: never parsed as a query language, so no text can be wrong.

use std::collections::HashSet;

use tantivy::{
    Term,
    query::{BooleanQuery, BoostQuery, DisjunctionMaxQuery, Query, TermQuery},
    schema::{Field, IndexRecordOption},
    tokenizer::TextAnalyzer,
};

use super::schema::{self, Fields};

/// How much a match in each field counts. Headings and paths are short, which alone makes BM25 rate a match in them
/// high; a factor below 1 still puts them before the text. Tried on Natural Questions, XQuAD, HotpotQA and
/// 2WikiMultihopQA: from 0.3 to 1.2 the share of right passages among the first 8 differs by 0.02 at most.
const TEXT_WEIGHT: f32 = 1.0;
const EXACT_WEIGHT: f32 = 1.0;
const HEADING_WEIGHT: f32 = 0.8;
const PATH_WEIGHT: f32 = 0.5;

/// What a word's matches in the other fields add to that in its best one.
const OTHER_FIELDS: f32 = 0.2;

/// Different words of a question that are looked for; the rest of a very long one is not.
const MAX_WORDS: usize = 128;

/// Words that say nothing about what is asked for. BM25 alone would weigh `what` and `who` heavily, since
/// documents, unlike questions, seldom contain them.
const STOP_WORDS: &[&str] = &[
    "a", "about", "am", "an", "and", "any", "are", "aren", "as", "at", "be", "been", "being", "but", "by",
    "can", "could", "couldn", "d", "did", "didn", "do", "does", "doesn", "doing", "don", "for", "from",
    "get", "had", "hadn", "has", "hasn", "have", "haven", "having", "he", "her", "him", "his", "how", "i",
    "if", "in", "into", "is", "isn", "it", "its", "ll", "m", "me", "my", "of", "on", "or", "our", "please",
    "re", "s", "shall", "she", "should", "so", "such", "t", "tell", "than", "that", "the", "their", "them",
    "then", "there", "these", "they", "this", "those", "to", "us", "ve", "was", "wasn", "we", "were",
    "weren", "what", "when", "where", "which", "while", "who", "whom", "whose", "why", "will", "with", "won",
    "would", "wouldn", "you", "your",
];

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
        Some(BooleanQuery::union(words.iter().map(|word| self.word_query(word)).collect()))
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

    /// A word counts as in the field where it matches best; the others add a little.
    fn word_query(&self, word: &Word) -> Box<dyn Query> {
        let mut fields = vec![
            term(self.fields.text, &word.stem, TEXT_WEIGHT),
            term(self.fields.heading, &word.stem, HEADING_WEIGHT),
            term(self.fields.path, &word.stem, PATH_WEIGHT),
        ];
        fields.extend(word.forms.iter().map(|form| term(self.fields.exact, form, EXACT_WEIGHT)));
        Box::new(DisjunctionMaxQuery::with_tie_breaker(fields, OTHER_FIELDS))
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
