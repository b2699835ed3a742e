//! Looking after the caches of all models and prefixes: list, verify, prune, and bring files and records together.
//!
//! Only files that the store named are deleted, only below its own directory, and links are never followed.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    StoreError,
    evict::key_of,
    files::{self, Unfinished},
    format::ReadError,
    key::{Fingerprint, KvKey, SegmentId},
    segment_file::SegmentFile,
};
use crate::{
    catalogue::{CacheRecord, Catalogue},
    corpus::ChunkId,
};

/// Files verified at a time; progress is told in between.
const BATCH: usize = 16;

/// The cache of one model and prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// In hexadecimal.
    pub fingerprint: String,
    /// The model's name where it is known.
    pub model: Option<String>,
    pub segments: usize,
    pub tokens: u64,
    /// Allocated on disk.
    pub bytes: u64,
    /// Seconds since the Unix epoch.
    pub last_used: i64,
}

/// What was done so that files and records agree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Files that had no record and got one.
    pub adopted: usize,
    /// Records whose file is gone.
    pub dropped: usize,
    /// Unfinished files, removed.
    pub unfinished: usize,
    /// Files without a record whose start is damaged or not theirs, removed.
    pub damaged: Vec<PathBuf>,
}

/// Files of earlier versions of the format, removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outdated {
    pub files: usize,
    /// Allocated on disk.
    pub bytes: u64,
}

/// What [`verify`] found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    pub files: usize,
    /// Allocated on disk, for all files looked at.
    pub bytes: u64,
    pub sound: usize,
    /// Damaged files and files that are not what their name says; they have been removed.
    pub damaged: Vec<PathBuf>,
    /// Files that could not be read; they are still there.
    pub unreadable: Vec<PathBuf>,
    pub adopted: usize,
    pub dropped: usize,
    pub unfinished: usize,
    pub outdated: Outdated,
}

/// What [`prune`] is to remove.
#[derive(Debug, Clone, Copy)]
pub enum Prune<'a> {
    /// Caches of fingerprints other than `current` (all are kept where that is empty), and of chunks that are not in
    /// `indexed`.
    Unused {
        current: &'a [Fingerprint],
        indexed: &'a HashSet<ChunkId>,
    },
    All,
}

/// What [`prune`] did; bytes as allocated on disk. Files of earlier versions of the format are among the removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    pub removed_files: usize,
    pub removed_bytes: u64,
    pub kept_files: usize,
    pub kept_bytes: u64,
}

/// The caches on disk, most recently used first.
pub fn list(data: &Path, catalogue: &mut Catalogue) -> Result<Vec<Group>, StoreError> {
    reconcile(data, catalogue)?;
    let groups = catalogue.cache_groups()?.into_iter().map(|row| Group {
        fingerprint: row.fingerprint,
        model: row.model,
        segments: row.segments as usize,
        tokens: row.tokens,
        bytes: row.bytes,
        last_used: row.last_used / 1000,
    });
    Ok(groups.collect())
}

/// Gives files without a record one, drops records without a file, and removes unfinished files that nobody will
/// finish. Reads directories, and the start of files that have no record; cheap where all is well.
pub fn reconcile(data: &Path, catalogue: &mut Catalogue) -> Result<Reconciled, StoreError> {
    let root = files::root(data);
    let recorded: HashSet<KvKey> = catalogue.cache_records()?.iter().filter_map(key_of).collect();
    // After the records: a file that appears in between has none yet and is adopted, which does no harm.
    let scan = files::scan(&root);
    let mut done = Reconciled { unfinished: remove_abandoned(&scan.unfinished), ..Default::default() };

    let mut adopted = Vec::new();
    for (key, path) in scan.files.iter().filter(|(key, _)| !recorded.contains(key)) {
        match SegmentFile::open(path, key) {
            Ok(opened) => adopted.push(record_of(key, &opened)),
            Err(ReadError::Damaged(_) | ReadError::Incompatible(_)) => {
                files::remove_or_warn(path);
                done.damaged.push(path.clone());
            }
            Err(error) => tracing::warn!(path = %path.display(), %error, "a cache file was left alone"),
        }
    }
    catalogue.cache_record(&adopted)?;
    done.adopted = adopted.len();

    let on_disk: HashSet<KvKey> = scan.files.iter().map(|(key, _)| *key).collect();
    let gone: Vec<_> = recorded
        .difference(&on_disk)
        .filter(|key| std::fs::symlink_metadata(files::path(&root, key)).is_err())
        .map(names)
        .collect();
    done.dropped = catalogue.cache_forget(&gone)?;
    Ok(done)
}

/// Removes the files of earlier versions of the format: nothing can use them any more, and no budget counts them.
/// What a later version of this program has written is left alone, as is everything that is not a cache file.
pub fn remove_outdated(data: &Path) -> Outdated {
    let mut removed = Outdated::default();
    for root in files::outdated_roots(data) {
        let scan = files::scan(&root);
        remove_abandoned(&scan.unfinished);
        for (_, path) in &scan.files {
            let bytes = allocated(path);
            if files::remove_or_warn(path) {
                removed.files += 1;
                removed.bytes += bytes;
            }
        }
        files::remove_empty_directories(&root);
        // Fails where something else is in it, as it should.
        let _ = std::fs::remove_dir(&root);
    }
    if removed.files > 0 {
        tracing::warn!(removed.files, removed.bytes, "cache files of an earlier format were removed");
    }
    removed
}

/// What [`remove_outdated`] would remove.
pub(super) fn outdated(data: &Path) -> Outdated {
    let mut found = Outdated::default();
    for root in files::outdated_roots(data) {
        for (_, path) in &files::scan(&root).files {
            found.files += 1;
            found.bytes += allocated(path);
        }
    }
    found
}

/// Reads every file of every model and compares its checksums; what is damaged or not what its name says is removed.
/// `progress` is given files done and files in all.
pub fn verify(
    data: &Path,
    catalogue: &mut Catalogue,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verification, StoreError> {
    let outdated = remove_outdated(data);
    let Reconciled { adopted, dropped, unfinished, damaged } = reconcile(data, catalogue)?;
    let mut report = Verification {
        files: damaged.len(),
        adopted,
        dropped,
        unfinished,
        damaged,
        outdated,
        ..Default::default()
    };
    let records: HashMap<KvKey, CacheRecord> = catalogue
        .cache_records()?
        .into_iter()
        .filter_map(|record| Some((key_of(&record)?, record)))
        .collect();
    let files = files::scan(&files::root(data)).files;
    let total = files.len() as u64;
    progress(0, total);
    for (number, batch) in files.chunks(BATCH).enumerate() {
        let checked: Vec<_> = batch.par_iter().map(|(key, path)| check(key, path)).collect();
        let (mut corrected, mut gone) = (Vec::new(), Vec::new());
        for ((key, path), result) in batch.iter().zip(checked) {
            match result {
                Ok(found) => {
                    report.sound += 1;
                    report.bytes += found.bytes;
                    corrected.extend(correction(records.get(key), found));
                }
                Err(ReadError::Missing) => continue,
                Err(ReadError::Damaged(_) | ReadError::Incompatible(_)) => {
                    report.bytes += allocated(path);
                    files::remove_or_warn(path);
                    report.damaged.push(path.clone());
                    gone.push(names(key));
                }
                Err(ReadError::Io(error)) => {
                    tracing::warn!(path = %path.display(), %error, "a cache file could not be read");
                    report.unreadable.push(path.clone());
                }
            }
            report.files += 1;
        }
        catalogue.cache_record(&corrected)?;
        catalogue.cache_forget(&gone)?;
        progress((number * BATCH + batch.len()) as u64, total);
    }
    Ok(report)
}

/// Removes caches that nobody will ask for, or all.
pub fn prune(data: &Path, catalogue: &mut Catalogue, what: Prune<'_>) -> Result<Pruned, StoreError> {
    let root = files::root(data);
    let scan = files::scan(&root);
    remove_abandoned(&scan.unfinished);
    let outdated = remove_outdated(data);
    let mut report =
        Pruned { removed_files: outdated.files, removed_bytes: outdated.bytes, ..Pruned::default() };
    let mut gone = Vec::new();
    for (key, path) in &scan.files {
        let bytes = allocated(path);
        if what.removes(key) && files::remove_or_warn(path) {
            report.removed_files += 1;
            report.removed_bytes += bytes;
            gone.push(names(key));
        } else {
            report.kept_files += 1;
            report.kept_bytes += bytes;
        }
    }
    catalogue.cache_forget(&gone)?;
    reconcile(data, catalogue)?;
    files::remove_empty_directories(&root);
    catalogue.cache_forget_empty_groups(&what.current())?;
    Ok(report)
}

/// Removes the files of chunks that are no longer indexed, under every model and prefix.
pub fn remove_chunks(data: &Path, catalogue: &mut Catalogue, ids: &[ChunkId]) -> Result<(), StoreError> {
    remove_chunks_below(&files::root(data), catalogue, ids)
}

pub(super) fn remove_chunks_below(
    root: &Path,
    catalogue: &mut Catalogue,
    ids: &[ChunkId],
) -> Result<(), StoreError> {
    let mut gone = Vec::new();
    for fingerprint in files::fingerprints(root) {
        for id in ids {
            let key = KvKey { fingerprint, segment: SegmentId::Chunk(*id) };
            files::remove_or_warn(&files::path(root, &key));
            gone.push(names(&key));
        }
    }
    catalogue.cache_forget(&gone)?;
    Ok(())
}

impl Prune<'_> {
    fn removes(&self, key: &KvKey) -> bool {
        let Self::Unused { current, indexed } = self else { return true };
        let other_model = !current.is_empty() && !current.contains(&key.fingerprint);
        let not_indexed = matches!(key.segment, SegmentId::Chunk(id) if !indexed.contains(&id));
        other_model || not_indexed
    }

    /// The fingerprints whose names are kept even without files.
    fn current(&self) -> Vec<String> {
        match self {
            Self::Unused { current, .. } => current.iter().map(Fingerprint::to_string).collect(),
            Self::All => Vec::new(),
        }
    }
}

/// Header and data of one file.
fn check(key: &KvKey, path: &Path) -> Result<CacheRecord, ReadError> {
    let opened = SegmentFile::open(path, key)?;
    opened.verify()?;
    Ok(record_of(key, &opened))
}

/// The record to write where a file's own does not say what was `found`.
fn correction(record: Option<&CacheRecord>, found: CacheRecord) -> Option<CacheRecord> {
    let Some(record) = record else { return Some(found) };
    let agrees = (record.bytes, record.tokens) == (found.bytes, found.tokens);
    (!agrees).then_some(CacheRecord { last_used: record.last_used, ..found })
}

/// A record for a file that has none: last used when it was written, as far as anyone knows.
fn record_of(key: &KvKey, opened: &SegmentFile) -> CacheRecord {
    let (fingerprint, segment) = names(key);
    let last_used = opened.modified.saturating_mul(1000);
    CacheRecord { fingerprint, segment, tokens: opened.shape().tokens as u64, bytes: opened.bytes, last_used }
}

pub(super) fn names(key: &KvKey) -> (String, String) {
    (key.fingerprint.to_string(), key.segment.to_string())
}

pub(super) fn allocated(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(path).map_or(0, |metadata| metadata.blocks() * 512)
}

fn remove_abandoned(unfinished: &[Unfinished]) -> usize {
    unfinished.iter().filter(|file| file.is_abandoned() && files::remove_or_warn(&file.path)).count()
}
