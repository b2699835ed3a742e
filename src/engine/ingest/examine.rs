//! One file: is it what is indexed, and if not, which chunks is it now.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
};

use crate::{
    catalogue::{FailedFile, FileRecord, FileUpdate},
    config::CorpusSettings,
    corpus::{
        FileEntry, ReadIssue, TokenCounter,
        read::{Readers, open},
        split::split,
    },
};

/// How often a file is read that somebody is writing at the same time.
const ATTEMPTS: usize = 2;

/// What became of a file.
pub(super) enum FileResult {
    Unchanged,
    /// The file, and what of it was left out.
    New(FileUpdate, Option<ReadIssue>),
    /// It cannot be read, and what is indexed of it may no longer be what it says.
    Failed(ReadIssue),
    /// It changed whenever it was read: what is indexed of it stays until it can be read as a whole.
    Changing(ReadIssue),
}

/// How files are cut.
#[derive(Clone, Copy)]
pub(super) struct Cutting<'a> {
    pub settings: &'a CorpusSettings,
    pub readers: &'a Readers,
    pub recipe: &'a str,
    pub count: TokenCounter<'a>,
}

impl Cutting<'_> {
    /// Reads a file, and cuts it where it is neither what is `known` nor what `failed`. What is cut is one version of the
    /// file: the file system says the same of it before and after.
    pub fn examine(
        &self,
        file: &FileEntry,
        known: Option<&FileRecord>,
        failed: Option<&FailedFile>,
    ) -> FileResult {
        for _ in 0..ATTEMPTS {
            let before = Version::of(&file.path);
            let result = self.read(file, known, failed, before.as_ref());
            if Version::of(&file.path) == before {
                return result;
            }
        }
        let reason =
            "skipped: it was being written while it was read; it is read again at the next run".to_owned();
        FileResult::Changing(ReadIssue { path: file.path.clone(), reason, attempt: None })
    }

    fn read(
        &self,
        file: &FileEntry,
        known: Option<&FileRecord>,
        failed: Option<&FailedFile>,
        version: Option<&Version>,
    ) -> FileResult {
        let source = match open(file, self.settings) {
            Ok(source) => source,
            Err(issue) => return FileResult::Failed(issue),
        };
        // Most files of most runs: neither converted nor cut.
        if known.is_some_and(|known| known.recipe == self.recipe && known.hash == source.hash) {
            return FileResult::Unchanged;
        }
        let attempt = Some(source.attempt());
        if let Some(failed) = failed.filter(|failed| failed.hash == attempt) {
            let reason = failed.reason.clone();
            return FileResult::Failed(ReadIssue { path: file.path.clone(), reason, attempt });
        }
        let document = match self.readers.read(source) {
            Ok(document) => document,
            Err(issue) => return FileResult::Failed(issue),
        };
        let update = FileUpdate {
            relative: document.relative.clone(),
            hash: document.hash,
            bytes: file.bytes,
            title: document.title.clone(),
            recipe: self.recipe.to_owned(),
            modified: version.map_or(0, |version| version.modified.0),
            chunks: split(&document, self.settings.chunk_tokens, self.count),
        };
        let incomplete =
            document.incomplete.map(|reason| ReadIssue { path: file.path.clone(), reason, attempt: None });
        FileResult::New(update, incomplete)
    }
}

/// What the file system says of one version of a file. Never kept: that a file is what it was is told by its hash, since
/// clocks are set back and files change within a tick of them.
#[derive(PartialEq, Eq)]
struct Version {
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    /// `None` where there is no file.
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::symlink_metadata(path).ok()?;
        Some(Self {
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// When a file was last changed, in seconds since the Unix epoch; 0 where nobody knows.
pub(super) fn modified(path: &Path) -> i64 {
    fs::symlink_metadata(path).as_ref().map_or(0, Metadata::mtime)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::corpus::ContentHash;

    const SETTINGS: CorpusSettings =
        CorpusSettings { chunk_tokens: 64, max_file_bytes: 1 << 20, reader_program: None };

    fn entry(path: &Path) -> FileEntry {
        FileEntry { path: path.to_owned(), relative: "a.md".into(), bytes: 1 }
    }

    /// Examines a file that `meddle` changes, each time that it is cut.
    fn examine(times: usize, known: Option<&FileRecord>) -> FileResult {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.md");
        fs::write(&path, "The well is nine metres deep.").unwrap();
        let left = std::sync::Mutex::new(Cell::new(times));
        let count = |text: &str| {
            let left = left.lock().unwrap();
            if left.get() > 0 {
                left.set(left.get() - 1);
                fs::write(&path, "x".repeat(100 + left.get() % 50)).unwrap();
            }
            text.len()
        };
        let readers = Readers::new(&SETTINGS);
        let cutting = Cutting { settings: &SETTINGS, readers: &readers, recipe: "384", count: &count };
        cutting.examine(&entry(&path), known, None)
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_read_again() {
        let FileResult::New(update, _) = examine(1, None) else { panic!("read the second time") };
        assert!(update.chunks.iter().all(|chunk| !chunk.text.contains("well")), "{update:?}");
        assert!(update.modified > 0);
        let FileResult::Changing(issue) = examine(usize::MAX, None) else { panic!("never the same") };
        assert!(issue.reason.contains("being written"), "{issue:?}");
    }

    #[test]
    fn the_hash_tells_whether_a_file_is_cut() {
        let hash = ContentHash(*blake3::hash(b"The well is nine metres deep.").as_bytes());
        let known = |recipe: &str| FileRecord {
            id: crate::catalogue::tests::file_id(1),
            hash,
            bytes: 1,
            title: String::new(),
            recipe: recipe.into(),
        };
        assert!(matches!(examine(0, Some(&known("384"))), FileResult::Unchanged));
        assert!(matches!(examine(0, Some(&known("512"))), FileResult::New(..)));
    }
}
