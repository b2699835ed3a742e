//! Turns one file into a [`Document`].
//!
//! It takes two steps. [`open`] reads the bytes; whoever knows what they are from an earlier time, by their hash, can
//! stop there. [`Readers::read`] finds the format and makes a document of them: text in this process, everything that
//! takes a parser behind a [`fence`](super::fence).

use std::{
    fs::{self, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

use rustix::fs::OFlags;

use super::{
    ContentHash, Document, FileEntry, Heading, ReadIssue,
    fence::{Fence, Refusal},
    formats::{self, Converted, Format},
    label, walk,
};
use crate::config::CorpusSettings;

pub use super::formats::READERS;

/// A file's name is its title up to so many characters.
const TITLE_CHARACTERS: usize = 120;

/// A file's bytes, before anything was made of them.
pub struct Source<'e> {
    entry: &'e FileEntry,
    bytes: Vec<u8>,
    pub hash: ContentHash,
}

impl Source<'_> {
    /// Names this content and the readers of this version: what failed under this name would fail again.
    pub fn attempt(&self) -> ContentHash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.hash.0).update(&READERS.to_le_bytes());
        // The same content may be read as another format under another name.
        hasher.update(self.entry.relative.extension().unwrap_or_default().as_encoded_bytes());
        ContentHash(*hasher.finalize().as_bytes())
    }
}

/// Reads the bytes of a file that the walk found.
///
/// # Errors
/// The reason, in words for the user, when the file has grown over the limit, is no longer a plain file or cannot be
/// read. Never blocks, whatever the path has become since the walk.
pub fn open<'e>(entry: &'e FileEntry, settings: &CorpusSettings) -> Result<Source<'e>, ReadIssue> {
    let bytes = bytes_of(&entry.path, settings).map_err(|reason| ReadIssue {
        path: entry.path.clone(),
        reason,
        attempt: None,
    })?;
    let hash = ContentHash(*blake3::hash(&bytes).as_bytes());
    Ok(Source { entry, bytes, hash })
}

/// Reads files, several at a time from several threads. What it keeps between files are the processes behind the
/// fence; they end with it.
pub struct Readers {
    fence: Fence,
}

impl Readers {
    pub fn new(settings: &CorpusSettings) -> Self {
        Self { fence: Fence::new(settings.reader_program.clone()) }
    }

    /// The same, where a document may take another time than usual, by the clock.
    pub fn with_time(settings: &CorpusSettings, most_time: Duration) -> Self {
        Self { fence: Fence::new(settings.reader_program.clone()).with_time(most_time) }
    }

    /// Finds the text and its structure. A file without anything but white space is a document without text to cut.
    ///
    /// # Errors
    /// The reason, in words for the user, when the file is not text, cannot be converted, or takes more time or memory
    /// than a file may.
    pub fn read(&self, source: Source) -> Result<Document, ReadIssue> {
        let attempt = source.attempt();
        let Source { entry, bytes, hash } = source;
        let format = Format::of(&entry.relative, &bytes);
        let converted = match format.is_fenced() {
            true => self.fence.convert(format, &entry.relative, bytes),
            false => formats::convert(&entry.relative, bytes).map_err(Refusal::lasting),
        };
        match converted {
            Ok(converted) => Ok(document(entry, hash, converted)),
            Err(Refusal { reason, is_lasting }) => {
                Err(ReadIssue { path: entry.path.clone(), reason, attempt: is_lasting.then_some(attempt) })
            }
        }
    }
}

/// Opens and reads one file.
///
/// # Errors
/// As for [`open`] and [`Readers::read`].
pub fn read(entry: &FileEntry, settings: &CorpusSettings) -> Result<Document, ReadIssue> {
    Readers::new(settings).read(open(entry, settings)?)
}

fn document(entry: &FileEntry, hash: ContentHash, converted: Converted) -> Document {
    let Converted { kind, text, headings, title, pages, rows, has_lines, incomplete } = converted;
    let title = title_of(&headings, title, &entry.relative);
    let (path, relative) = (entry.path.clone(), entry.relative.clone());
    Document { path, relative, kind, title, text, headings, pages, rows, hash, has_lines, incomplete }
}

fn title_of(headings: &[Heading], own: Option<String>, relative: &Path) -> String {
    let heading = headings.iter().map(|heading| heading.text.clone()).find(|text| !text.is_empty());
    own.or(heading).unwrap_or_else(|| label::plain(&file_name(relative), TITLE_CHARACTERS))
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
