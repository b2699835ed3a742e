//! The index's directory: opening, checking and creating it.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use tantivy::{
    Index, IndexReader, ReloadPolicy, TantivyError,
    directory::{MmapDirectory, error::OpenWriteError},
};

use super::{
    IndexError, Result,
    schema::{self, Fields},
};
use crate::{
    catalogue::{CatalogueState, FileId},
    config::create_private_folder,
};

/// What tantivy writes last in every commit and every merge.
const META_FILE: &str = "meta.json";

/// Where the index of a data directory is. The version changes with the schema, so that two versions of Gibbon do
/// not take each other's index for their own.
pub(super) fn directory(data: &Path) -> PathBuf {
    data.join("index").join("v1")
}

/// Opens the index and compares the checksums of all its files: a damaged one can make tantivy panic later.
///
/// # Errors
/// [`IndexError::Damaged`] where it is missing, unsound or of another schema.
pub(super) fn open(directory: &Path, fields: &Fields) -> Result<Index> {
    let damaged = |reason: String| IndexError::Damaged { path: directory.to_owned(), reason };
    if !directory.join(META_FILE).is_file() {
        return Err(damaged("it is missing".into()));
    }
    let index = open_unchecked(directory).map_err(|error| damaged(error.to_string()))?;
    if index.schema() != fields.schema {
        return Err(damaged("it was written by another version of Gibbon".into()));
    }
    schema::register_tokenizers(&index);
    let unsound = index.validate_checksum().map_err(|error| damaged(error.to_string()))?;
    match unsound.iter().min() {
        Some(file) => Err(damaged(format!("{} has a wrong checksum", file.display()))),
        None => Ok(index),
    }
}

fn open_unchecked(directory: &Path) -> tantivy::Result<Index> {
    Index::open(MmapDirectory::open(directory)?)
}

/// Creates an empty index in place of whatever is there. Readers that have the old one open keep it.
pub(super) fn create(directory: &Path, fields: &Fields) -> Result<Index> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(IndexError::io(directory, error));
        }
        _ => {}
    }
    create_private_folder(directory).map_err(|error| IndexError::io(directory, error))?;
    let index = Index::create_in_dir(directory, fields.schema.clone())
        .map_err(|error| write_error(directory, &error))?;
    schema::register_tokenizers(&index);
    Ok(index)
}

/// Removes the temporary files of a run that was killed. Only for the holder of the lock.
pub(super) fn remove_unfinished(directory: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(directory) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(b".tmp") {
            fs::remove_file(entry.path()).map_err(|error| IndexError::io(&entry.path(), error))?;
        }
    }
    Ok(())
}

/// There are files of segments that no commit names: those that a killed run was writing or had just merged.
pub(super) fn has_leftovers(directory: &Path, index: &Index) -> bool {
    let (Ok(metas), Ok(entries)) = (index.load_metas(), fs::read_dir(directory)) else { return false };
    let wanted = metas.list_segment_files();
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let own = name == META_FILE || name.as_encoded_bytes().starts_with(b".");
        !own && !wanted.contains(Path::new(&name))
    })
}

/// What a commit stores beside the documents: the state of the catalogue that they show.
pub(super) fn payload(state: CatalogueState) -> String {
    format!("{}:{}", state.identity, state.generation)
}

/// The state of the catalogue that the last commit shows; `None` before the first one.
pub(super) fn shown_state(index: &Index) -> tantivy::Result<Option<CatalogueState>> {
    let payload = index.load_metas()?.payload.unwrap_or_default();
    let state = payload.split_once(':').and_then(|(identity, generation)| {
        Some(CatalogueState { identity: identity.parse().ok()?, generation: generation.parse().ok()? })
    });
    Ok(state)
}

/// The files that the index holds, and how many chunks of each.
pub(super) fn files_held(index: &Index) -> tantivy::Result<HashMap<FileId, usize>> {
    let mut held = HashMap::new();
    // Loaded by hand: the default starts a thread that watches the directory.
    let reader: IndexReader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
    for segment in reader.searcher().segment_readers() {
        let files = segment.fast_fields().u64(schema::FILE)?;
        for document in segment.doc_ids_alive() {
            let id = files.first(document).and_then(|id| i64::try_from(id).ok()).unwrap_or(-1);
            *held.entry(FileId(id)).or_default() += 1;
        }
    }
    Ok(held)
}

/// Tells one commit or merge from the next: cheap enough for every search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    /// tantivy replaces the file, so that each version is another inode.
    inode: u64,
}

impl Stamp {
    /// `None` where there is no index.
    pub(super) fn of(directory: &Path) -> Option<Self> {
        let metadata = fs::metadata(directory.join(META_FILE)).ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self { modified: metadata.modified().ok(), bytes: metadata.len(), inode })
    }
}

pub(super) fn write_error(directory: &Path, error: &TantivyError) -> IndexError {
    let path = directory.to_owned();
    let cause = match error {
        TantivyError::IoError(cause) => Some(cause),
        TantivyError::OpenWriteError(OpenWriteError::IoError { io_error, .. }) => Some(io_error),
        _ => None,
    };
    match cause {
        Some(cause) if cause.kind() == io::ErrorKind::StorageFull => IndexError::Full { path },
        _ => IndexError::Write { path, reason: error.to_string() },
    }
}

pub(super) fn read_error(directory: &Path, error: &TantivyError) -> IndexError {
    IndexError::Damaged { path: directory.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_failures() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let opening = OpenWriteError::wrap_io_error(full(), "a.idx".into());
        for error in [TantivyError::from(full()), opening.into()] {
            assert!(matches!(write_error(Path::new("index"), &error), IndexError::Full { .. }), "{error}");
        }
        let other = TantivyError::from(io::Error::from(io::ErrorKind::PermissionDenied));
        let message = write_error(Path::new("index"), &other).to_string();
        assert!(message.contains("permission denied"), "{message}");
    }
}
