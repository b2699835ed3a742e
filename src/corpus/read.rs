//! Turns one file into a [`Document`].
//!
//! Text is UTF-8, or UTF-16 with a byte order mark. A file with a NUL byte in its first 8 KiB, or with too many bytes
//! that no text has, is not text and is left out. Where a mostly readable file holds some bytes that are not UTF-8,
//! each broken sequence becomes U+FFFD: one bad byte should not hide a document. Line ends are `\n` afterwards.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::OFlags;

use super::{
    ContentHash, Document, DocumentKind, FileEntry, Heading, Language, ReadIssue, html, label, markdown, walk,
};
use crate::config::CorpusSettings;

/// How much of a file is searched for NUL bytes.
const PROBE_BYTES: usize = 8192;
/// A file is text while at most one byte in this many is one that no text has.
const STRANGE_BYTES_ONE_IN: usize = 10;
/// A file's name is its title up to so many characters.
const TITLE_CHARACTERS: usize = 120;

/// Reads the file and finds its structure. A file without anything but white space is a document without text to cut.
///
/// # Errors
/// The reason, in words for the user, when the file is not text, has grown over the limit, is no longer a plain file
/// or cannot be read or converted. Never blocks, whatever the path has become since the walk.
pub fn read(entry: &FileEntry, settings: &CorpusSettings) -> Result<Document, ReadIssue> {
    let issue = |reason: String| ReadIssue { path: entry.path.clone(), reason };
    let bytes = bytes_of(&entry.path, settings).map_err(issue)?;
    let hash = ContentHash(*blake3::hash(&bytes).as_bytes());
    let source = decode(bytes).map_err(issue)?;
    let kind = kind_of(&entry.relative);
    let (text, page_title) = match kind {
        DocumentKind::Html => {
            html::to_markdown(source).map(|page| (page.markdown, page.title)).map_err(issue)?
        }
        _ => (source, None),
    };
    let headings = match kind {
        DocumentKind::Markdown | DocumentKind::Html => markdown::headings(&text),
        DocumentKind::Text | DocumentKind::Code(_) => Vec::new(),
    };
    let title = title_of(&headings, page_title, &entry.relative);
    let has_lines = kind != DocumentKind::Html;
    let (path, relative) = (entry.path.clone(), entry.relative.clone());
    Ok(Document { path, relative, kind, title, text, headings, hash, has_lines })
}

/// BLAKE3 of the file's bytes: whether it is what it was, without converting it.
///
/// # Errors
/// As for [`read`], as far as the bytes are concerned.
pub fn content_hash(entry: &FileEntry, settings: &CorpusSettings) -> Result<ContentHash, ReadIssue> {
    let bytes =
        bytes_of(&entry.path, settings).map_err(|reason| ReadIssue { path: entry.path.clone(), reason })?;
    Ok(ContentHash(*blake3::hash(&bytes).as_bytes()))
}

/// The kind that a file's name promises; what is not known is plain text.
pub fn kind_of(path: &Path) -> DocumentKind {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "md" | "markdown" | "mdx" | "mkd" => DocumentKind::Markdown,
        "html" | "htm" | "xhtml" => DocumentKind::Html,
        "c" | "h" => DocumentKind::Code(Language::C),
        "go" => DocumentKind::Code(Language::Go),
        "js" | "mjs" | "cjs" | "jsx" => DocumentKind::Code(Language::JavaScript),
        "py" | "pyi" => DocumentKind::Code(Language::Python),
        "rs" => DocumentKind::Code(Language::Rust),
        _ => DocumentKind::Text,
    }
}

fn title_of(headings: &[Heading], page_title: Option<String>, relative: &Path) -> String {
    let heading = headings.iter().map(|heading| heading.text.clone()).find(|text| !text.is_empty());
    heading.or(page_title).unwrap_or_else(|| label::plain(&file_name(relative), TITLE_CHARACTERS))
}

/// A path's last part as text.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The file's bytes, at most the limit. A path may have become a FIFO or a link since the walk: it is opened without
/// blocking and without following, and the file type is that of what was opened.
fn bytes_of(path: &Path, settings: &CorpusSettings) -> Result<Vec<u8>, String> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)
        .map_err(|error| why_unopened(path, &error))?;
    let metadata = file.metadata().map_err(|error| walk::unreadable(&error))?;
    if !metadata.is_file() {
        return Err("skipped: not a file".to_owned());
    }
    if metadata.len() > walk::limit(settings) {
        return Err(walk::too_large(metadata.len(), settings));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    // The file may grow while it is read; one byte over the limit is enough to know.
    file.take(walk::limit(settings) + 1).read_to_end(&mut bytes).map_err(|error| walk::unreadable(&error))?;
    if bytes.len() as u64 > walk::limit(settings) {
        return Err(walk::too_large(bytes.len() as u64, settings));
    }
    Ok(bytes)
}

fn why_unopened(path: &Path, error: &io::Error) -> String {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => "skipped: it has become a link".to_owned(),
        Ok(metadata) if !metadata.is_file() => "skipped: not a file".to_owned(),
        _ => walk::unreadable(error),
    }
}

/// The text that the bytes stand for, or why they are none.
fn decode(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.starts_with(b"%PDF-") {
        return Err("skipped: PDF files are not read".to_owned());
    }
    let text = match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest.to_vec()),
        _ => utf8(bytes),
    };
    let text = text.ok_or("skipped: not text")?;
    Ok(if text.contains("\r\n") { text.replace("\r\n", "\n") } else { text })
}

/// `None` where the bytes are not mostly UTF-8 text.
fn utf8(bytes: Vec<u8>) -> Option<String> {
    if bytes.iter().take(PROBE_BYTES).any(|&byte| byte == 0) {
        return None;
    }
    let strange = strange_bytes(&bytes);
    if strange * STRANGE_BYTES_ONE_IN > bytes.len() {
        return None;
    }
    Some(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// Bytes that are not part of UTF-8, and control characters that text files do not hold.
fn strange_bytes(bytes: &[u8]) -> usize {
    let control = |byte: &u8| matches!(byte, 0..=8 | 14..=26 | 28..=31 | 127);
    bytes
        .utf8_chunks()
        .map(|chunk| chunk.invalid().len() + chunk.valid().bytes().filter(control).count())
        .sum()
}

/// `None` where the units are not mostly text: a file may begin with these two bytes by chance.
fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let pairs = bytes.chunks_exact(2);
    let odd = pairs.remainder().len();
    let units = pairs.map(|pair| unit([pair[0], pair[1]]));
    let (mut text, mut count, mut strange) = (String::with_capacity(bytes.len()), 0, odd);
    for character in char::decode_utf16(units) {
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        count += 1;
        strange += usize::from(character == char::REPLACEMENT_CHARACTER || character == '\0');
        text.push(character);
    }
    if odd > 0 {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    (strange * STRANGE_BYTES_ONE_IN <= count + odd * STRANGE_BYTES_ONE_IN).then_some(text)
}
