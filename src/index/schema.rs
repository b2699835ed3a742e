//! The fields of a chunk's document, and how their texts become terms.

use std::path::Path;

use tantivy::{
    Index, TantivyDocument,
    schema::{FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions},
    tokenizer::{AsciiFoldingFilter, TextAnalyzer},
};

use super::{stems::Stems, words::Words};
use crate::{catalogue::Occurrence, corpus::Chunk};

/// Tokenizers are named in the schema: one that cuts differently needs another name, so that old indexes are
/// known to be old.
const STEMMED: &str = "gibbon_stemmed_2";
const EXACT: &str = "gibbon_exact_2";

/// Where a document's fields are.
#[derive(Clone)]
pub(super) struct Fields {
    pub(super) schema: Schema,
    /// The chunk's text, label included; English stems without accents: `closing` finds `closed`.
    pub(super) text: Field,
    /// The same as it stands: identifiers, names, and what stemming would confuse.
    pub(super) exact: Field,
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
            text: builder.add_text_field("text", stemmed()),
            exact: builder.add_text_field("exact", text_options(EXACT)),
            heading: builder.add_text_field("heading", stemmed()),
            path: builder.add_text_field("path", stemmed()),
            file: builder.add_u64_field(FILE, INDEXED | FAST),
            ordinal: builder.add_u64_field(ORDINAL, FAST),
            schema: builder.build(),
        }
    }

    /// `path` is as [`searched_path`] gives it.
    pub(super) fn document(
        &self,
        place: Occurrence,
        chunk: &Chunk,
        title: &str,
        path: &str,
    ) -> TantivyDocument {
        let mut document = TantivyDocument::default();
        document.add_u64(self.file, place.file.0.unsigned_abs());
        document.add_u64(self.ordinal, place.ordinal.into());
        document.add_text(self.text, &chunk.text);
        document.add_text(self.exact, &chunk.text);
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

/// The analyser of the stemmed fields. Token for token it runs beside [`exact`].
pub(super) fn stemmed() -> TextAnalyzer {
    TextAnalyzer::builder(Words).filter(AsciiFoldingFilter).filter(Stems).build()
}

/// The analyser of the field that keeps words as they stand.
pub(super) fn exact() -> TextAnalyzer {
    TextAnalyzer::from(Words)
}

pub(super) fn register_tokenizers(index: &Index) {
    index.tokenizers().register(STEMMED, stemmed());
    index.tokenizers().register(EXACT, exact());
}
