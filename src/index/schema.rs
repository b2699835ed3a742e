//! The fields of a chunk's document, and how their texts become terms.

use std::{cell::RefCell, path::Path};

use tantivy::{
    Index, TantivyDocument,
    schema::{FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions},
    tokenizer::{TextAnalyzer, WhitespaceTokenizer},
};
use thread_local::ThreadLocal;

use super::{stems::Stems, stop_words::StopWordsOnce, words::Words};
use crate::{catalogue::Occurrence, corpus::Chunk};

/// Tokenizers are named in the schema: one that cuts differently needs another name, so that old indexes are
/// known to be old.
const STEMMED: &str = "gibbon_stemmed_2";
const TERMS: &str = "gibbon_terms_1";

/// Where a document's fields are.
#[derive(Clone)]
pub(super) struct Fields {
    pub(super) schema: Schema,
    /// The [`Terms`] of the chunk's text, label included: English stems without accents, so that `closing` finds `closed`,
    /// and beside them the words that are not their own stems, marked: what stemming would confuse.
    pub(super) text: Field,
    /// The document's title and the headings that the chunk stands under, stemmed.
    pub(super) heading: Field,
    /// The file's path from the folder that holds the root, stemmed.
    pub(super) path: Field,
    pub(super) file: Field,
    pub(super) ordinal: Field,
}

/// Field names that are read by name.
pub(super) const FILE: &str = "file";
pub(super) const ORDINAL: &str = "ordinal";

impl Fields {
    pub(super) fn new() -> Self {
        let mut builder = Schema::builder();
        let stemmed = || text_options(STEMMED);
        Self {
            text: builder.add_text_field("text", text_options(TERMS)),
            heading: builder.add_text_field("heading", stemmed()),
            path: builder.add_text_field("path", stemmed()),
            file: builder.add_u64_field(FILE, INDEXED | FAST),
            ordinal: builder.add_u64_field(ORDINAL, FAST),
            schema: builder.build(),
        }
    }

    /// `terms` are those of the chunk's text, `path` is as [`searched_path`] gives it.
    pub(super) fn document(
        &self,
        place: Occurrence,
        chunk: &Chunk,
        terms: &str,
        title: &str,
        path: &str,
    ) -> TantivyDocument {
        let mut document = TantivyDocument::default();
        document.add_u64(self.file, place.file.0.unsigned_abs());
        document.add_u64(self.ordinal, place.ordinal.into());
        document.add_text(self.text, terms);
        document.add_text(self.heading, format!("{title} / {}", chunk.heading.join(" / ")));
        document.add_text(self.path, path);
        document
    }
}

/// The root folder's own name and the path from it: where a root is on the machine says nothing about a file.
pub(super) fn searched_path(path: &Path, relative: &Path) -> String {
    let depth = relative.components().count();
    let root = path.ancestors().nth(depth).and_then(Path::file_name).unwrap_or_default();
    format!("{}/{}", root.to_string_lossy(), relative.to_string_lossy())
}

fn text_options(tokenizer: &str) -> TextOptions {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(tokenizer)
        .set_index_option(IndexRecordOption::WithFreqs)
        .set_fieldnorms(true);
    TextOptions::default().set_indexing_options(indexing)
}

/// The analyser of titles, headings, paths and questions. Token for token it runs beside [`exact`].
pub(super) fn stemmed() -> TextAnalyzer {
    TextAnalyzer::builder(Words::default()).filter(Stems::Alone).build()
}

/// Makes the terms of chunks' texts, on every thread with what that thread knows of words. It runs over many texts before
/// tantivy takes them: word by word in turn, the tables of the two would drive each other out of the processor's caches.
#[derive(Default)]
pub(super) struct Terms {
    analysers: ThreadLocal<RefCell<TextAnalyzer>>,
}

impl Terms {
    /// The terms of a text, with spaces between them.
    pub(super) fn of(&self, text: &str) -> String {
        let make =
            || TextAnalyzer::builder(Words::default()).filter(StopWordsOnce).filter(Stems::WithForms).build();
        let analyser = &mut *self.analysers.get_or(|| RefCell::new(make())).borrow_mut();
        let mut terms = String::with_capacity(text.len() + text.len() / 4);
        analyser.token_stream(text).process(&mut |token| {
            terms.push_str(&token.text);
            terms.push(' ');
        });
        terms
    }
}

/// The words of a question as they stand.
pub(super) fn exact() -> TextAnalyzer {
    TextAnalyzer::from(Words::default())
}

pub(super) fn register_tokenizers(index: &Index) {
    index.tokenizers().register(STEMMED, stemmed());
    index.tokenizers().register(TERMS, TextAnalyzer::from(WhitespaceTokenizer::default()));
}
