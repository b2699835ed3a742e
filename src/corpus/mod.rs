//! Files to documents to chunks. It knows no model and no index: tokens are counted by a function it is given.
//!
//! [`collections`] tells which files the user's collections want, [`walk`] finds files, [`read`] turns one into a
//! [`Document`], [`split`] cuts that into [`Chunk`]s. Reading never fails a run: what cannot be read comes back as a
//! [`ReadIssue`]. Formats that are not text are read in a process of their own, behind a [`fence`].

mod binary;
mod code;
pub mod collections;
mod decode;
pub mod fence;
mod formats;
mod html;
mod html_parse;
mod label;
mod markdown;
mod measure;
pub(crate) mod packed;
pub mod read;
pub(crate) mod recent;
mod section;
pub mod split;
pub mod walk;

use std::{fmt, ops::Range, path::PathBuf};

use serde::{Deserialize, Serialize};

/// A file that the walk found and that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Where the file is.
    pub path: PathBuf,
    /// The same, from the folder that the user added; the file's name where the user added the file itself.
    pub relative: PathBuf,
    pub bytes: u64,
}

/// A file that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadIssue {
    pub path: PathBuf,
    pub reason: String,
    /// The content that failed, as [`read::Source::attempt`] names it; `None` where it was not read as far as that,
    /// or may be read the next time.
    pub attempt: Option<ContentHash>,
}

/// BLAKE3 of a file's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ContentHash(pub [u8; 32]);

/// BLAKE3 of a chunk's text, label included: the same text is the same chunk, wherever it stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChunkId(pub [u8; 32]);

/// A file's text, and the structure that chunks follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub path: PathBuf,
    pub relative: PathBuf,
    pub kind: DocumentKind,
    pub title: String,
    /// The text that spans refer to. For formats that are converted (HTML, PDF) this is the converted text.
    pub text: String,
    /// Headings in the order of the text.
    pub headings: Vec<Heading>,
    /// Where pages or slides begin, in the order of the text; none where the format has no pages.
    pub pages: Vec<Mark>,
    /// Where rows of tables begin, in the order of the text; none where the document is no table.
    pub rows: Vec<Mark>,
    pub hash: ContentHash,
    /// Lines of `text` are lines of the file.
    pub has_lines: bool,
    /// What of the file is not in `text`, and why; a sentence for the user.
    pub incomplete: Option<String>,
}

/// What a document's text is cut as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DocumentKind {
    Text,
    Markdown,
    Html,
    Code(Language),
}

/// A programming language whose items are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Language {
    Bash,
    C,
    CSharp,
    Cpp,
    Elixir,
    Go,
    Java,
    JavaScript,
    Kotlin,
    Lua,
    Php,
    Python,
    Ruby,
    Rust,
    Scala,
    Tsx,
    TypeScript,
    Zig,
}

/// Where something begins that has a number: a page, a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Byte offset in the document's text.
    pub offset: usize,
    /// From 1, as the file's own program counts.
    pub number: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    /// 1 for the highest.
    pub level: u8,
    pub text: String,
    /// Byte offset in the document's text.
    pub offset: usize,
}

/// A piece of a document that is retrieved, encoded and cited as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    pub id: ChunkId,
    /// Bytes of the document's text; the spans of a document's chunks cover it without a gap or an overlap.
    pub span: Range<usize>,
    /// First and last line of `text` in the file, from 1, where the format has lines.
    pub lines: Option<(u32, u32)>,
    /// The page or slide on which `text` begins, from 1, where the format has pages.
    pub page: Option<u32>,
    /// The headings it stands under, outermost first; for code, the items: `class Dome`, `def close`. Where small
    /// sections share a chunk, the last entry names them together: `Opening, Closing`. For tables the rows come last:
    /// `Prices`, `rows 2–41`.
    pub heading: Vec<String>,
    /// File name and innermost heading: `dome.md § Closing`. One line without control characters.
    pub label: String,
    /// What the model reads and the index searches: the label in brackets, a line break, the text of the span without
    /// blank lines at its ends.
    pub text: String,
    /// Tokens of `text`.
    pub tokens: usize,
}

/// Counts the tokens of texts as the model would. A function that counts a text will do.
pub trait CountTokens: Sync {
    /// Tokens of `text`.
    fn count(&self, text: &str) -> usize;

    /// Counts `text` in pieces: hands over where each ends, in bytes, and its tokens, in order. Tokens add up over any part
    /// of the text that ends where pieces end, and what stands around a piece changes nothing at its end. False where no
    /// such places are known, or they are far apart; what was handed over then counts for nothing.
    fn count_pieces(&self, _text: &str, _piece: &mut dyn FnMut(usize, usize)) -> bool {
        false
    }
}

impl<F: Fn(&str) -> usize + Sync> CountTokens for F {
    fn count(&self, text: &str) -> usize {
        self(text)
    }
}

/// Whatever counts tokens.
pub type TokenCounter<'a> = &'a dyn CountTokens;

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkId({self})")
    }
}

impl ChunkId {
    /// The id of a chunk with this text, label included.
    pub fn of(text: &str) -> Self {
        Self(*blake3::hash(text.as_bytes()).as_bytes())
    }

    /// Reads what `Display` writes.
    pub fn from_hex(hex: &str) -> Option<Self> {
        blake3::Hash::from_hex(hex).ok().map(|hash| Self(*hash.as_bytes()))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}
