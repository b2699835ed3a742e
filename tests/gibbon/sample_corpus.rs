//! The sample corpus and its questions hold together.

use std::{collections::HashSet, fs, path::PathBuf};

use gibbon::{
    config::CorpusSettings,
    corpus::{Document, DocumentKind, Language, read::read, split::split, walk::walk},
};
use serde::Deserialize;

const SETTINGS: CorpusSettings =
    CorpusSettings { chunk_tokens: 384, max_file_bytes: 1 << 20, reader_program: None };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    question: String,
    answer: String,
    /// Relative to the sample corpus.
    files: Vec<PathBuf>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("sample_corpus")
}

fn documents() -> Vec<Document> {
    let walk = walk(&root(), &SETTINGS).expect("the sample corpus is there");
    assert_eq!(walk.issues, [], "nothing is left out");
    walk.files.iter().map(|file| read(file, &SETTINGS).expect("every file can be read")).collect()
}

fn questions() -> Vec<Question> {
    let lines = fs::read_to_string(root().join("questions.jsonl")).expect("the questions are there");
    lines.lines().map(|line| serde_json::from_str(line).expect("every line is a question")).collect()
}

/// Lower case, with single spaces: an answer may stand across a line break.
fn normal(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// An upper bound for this corpus: its tokens have 3.7 bytes on average, by the default model's tokenizer.
fn count(text: &str) -> usize {
    text.len().div_ceil(3)
}

#[test]
fn every_answer_stands_in_the_files_that_its_question_names() {
    let documents = documents();
    for Question { question, answer, files } in questions() {
        let mut answered = false;
        for file in &files {
            let document = documents.iter().find(|document| document.relative == *file);
            let document =
                document.unwrap_or_else(|| panic!("{question}: {} is not indexed", file.display()));
            answered |= normal(&document.text).contains(&normal(&answer));
        }
        assert!(answered, "{question}: {answer:?} stands in none of {files:?}");
    }
}

#[test]
fn there_are_questions_of_both_kinds_and_each_is_asked_once() {
    let questions = questions();
    let distinct: HashSet<&str> = questions.iter().map(|question| question.question.as_str()).collect();
    assert_eq!(distinct.len(), questions.len());
    assert!(questions.len() >= 30);
    assert!(questions.iter().filter(|question| question.files.len() == 1).count() >= 22);
    assert!(questions.iter().filter(|question| question.files.len() >= 2).count() >= 8);
    assert!(questions.iter().all(|question| question.answer.split_whitespace().count() <= 8));
}

#[test]
fn the_answers_are_not_indexed() {
    assert!(documents().iter().all(|document| !document.relative.ends_with("questions.jsonl")));
}

#[test]
fn the_corpus_has_every_kind_of_document_and_stays_small() {
    let documents = documents();
    let kinds = [
        DocumentKind::Markdown,
        DocumentKind::Text,
        DocumentKind::Html,
        DocumentKind::Code(Language::Rust),
        DocumentKind::Code(Language::Python),
    ];
    for kind in kinds {
        assert!(documents.iter().any(|document| document.kind == kind), "{kind:?}");
    }
    let chunks = documents.iter().flat_map(|document| split(document, SETTINGS.chunk_tokens, &count));
    let tokens: usize = chunks.map(|chunk| chunk.tokens).sum();
    assert!((6_000..=12_000).contains(&tokens), "{tokens} tokens at most");
}
