//! The fields of a chunk's document.

use std::path::Path;

use tantivy::{
    Index,
    schema::{FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions},
    tokenizer::{TextAnalyzer, Token, TokenStream, Tokenizer},
};

use super::document::{ChunkDocument, FoundBy};
use crate::catalogue::Occurrence;

/// Tokenizers are named in the schema: one that cuts differently needs another name, so that old indexes are
/// known to be old.
const TERMS: &str = "gibbon_terms_3";

/// Where a document's fields are.
#[derive(Clone)]
pub(super) struct Fields {
    pub(super) schema: Schema,
    /// The terms of the chunk's text, label included: English stems without accents, so that `closing` finds `closed`.
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
        Self {
            text: builder.add_text_field("text", terms_options()),
            heading: builder.add_text_field("heading", terms_options()),
            path: builder.add_text_field("path", terms_options()),
            file: builder.add_u64_field(FILE, INDEXED | FAST),
            ordinal: builder.add_u64_field(ORDINAL, FAST),
            schema: builder.build(),
        }
    }

    pub(super) fn document(&self, place: Occurrence, found_by: FoundBy) -> ChunkDocument {
        ChunkDocument {
            numbers: [(self.file, place.file.0.unsigned_abs()), (self.ordinal, place.ordinal.into())],
            text: (self.text, found_by.text),
            names: [(self.heading, found_by.heading), (self.path, found_by.path)],
        }
    }
}

/// The root folder's own name and the path from it: where a root is on the machine says nothing about a file.
pub(super) fn searched_path(path: &Path, relative: &Path) -> String {
    let depth = relative.components().count();
    let root = path.ancestors().nth(depth).and_then(Path::file_name).unwrap_or_default();
    format!("{}/{}", root.to_string_lossy(), relative.to_string_lossy())
}

fn terms_options() -> TextOptions {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(TERMS)
        .set_index_option(IndexRecordOption::WithFreqs)
        .set_fieldnorms(true);
    TextOptions::default().set_indexing_options(indexing)
}

pub(super) fn register_tokenizers(index: &Index) {
    index.tokenizers().register(TERMS, TextAnalyzer::from(Spaced::default()));
}

/// Cuts terms that have one space between them. What tantivy has for it looks for any white space, character by character.
#[derive(Clone, Default)]
struct Spaced {
    token: Token,
}

struct SpacedStream<'t> {
    token: &'t mut Token,
    rest: &'t str,
}

impl Tokenizer for Spaced {
    type TokenStream<'t> = SpacedStream<'t>;

    fn token_stream<'t>(&'t mut self, text: &'t str) -> SpacedStream<'t> {
        self.token.reset();
        SpacedStream { token: &mut self.token, rest: text }
    }
}

impl TokenStream for SpacedStream<'_> {
    fn advance(&mut self) -> bool {
        // Terms are so short that searching with vector instructions takes longer.
        let end = self.rest.bytes().position(|byte| byte == b' ').unwrap_or(self.rest.len());
        let (term, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        self.token.position = self.token.position.wrapping_add(1);
        self.token.text.clear();
        self.token.text.push_str(term);
        !term.is_empty()
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}
