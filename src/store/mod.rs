//! KV segments to files and back, within a byte budget.
//!
//! [`key`] says what a file belongs to, [`mod@format`] what is in it; `files` puts it there whole or not at all. A
//! [`Store`] is the cache of one model and prefix: memory first, then files, which are loaded whole or opened to be read
//! layer by layer ([`SegmentFile`]). [`Writers`] write beside whatever comes next. [`maintain`] looks after the caches
//! of all models. Losing a file costs time, never an answer: whatever is wrong with one is a miss that says so.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rayon::prelude::*;

pub mod collect;
pub mod format;
pub mod key;
pub mod maintain;

mod checksum;
mod evict;
mod files;
mod header;
mod memory;
mod segment_file;
mod write;
mod writers;

pub use segment_file::SegmentFile;
pub use writers::{WriterLimits, Writers};

use format::{KvLayout, ReadError};
use key::{Fingerprint, KvKey, SegmentId};
use maintain::Outdated;
use memory::Memory;

use crate::{
    catalogue::{CacheRecord, CacheUses, Catalogue, CatalogueError},
    config::{StoreSettings, create_private_folder},
    corpus::ChunkId,
    model::kv::KvSegment,
};

/// What a store's segments belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreTarget {
    pub fingerprint: Fingerprint,
    pub layout: KvLayout,
    /// The model's name, for people.
    pub model: String,
}

/// The KV cache of one model and prefix. Shared between threads as it is.
pub struct Store {
    target: StoreTarget,
    /// The directory of all cache files.
    root: PathBuf,
    /// Most bytes on disk, for the caches of all models together.
    budget: u64,
    memory: Arc<Memory>,
    catalogue: Mutex<Catalogue>,
    outdated: Outdated,
}

/// Where a segment was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    Memory,
    Disk,
}

/// Why a segment could not be loaded. Each is mended by encoding the segment and putting it again.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the cache has no file for this text yet")]
    Missing,
    /// A [`Store`] that says so has removed the file.
    #[error("the cache file {path} was damaged ({reason}) and is removed; its text is encoded again")]
    Damaged { path: PathBuf, reason: String },
    /// A file of another model, prompt or chunk, or of another version of the format; it has been removed.
    #[error("the cache file {path} could not be used ({reason}) and is removed; its text is encoded again")]
    Incompatible { path: PathBuf, reason: String },
    #[error("the cache file {path} could not be read: {source}; check the disk. Its text is encoded again")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("cancelled")]
    Cancelled,
}

/// Where [`Store::open_segments`] found a segment.
#[derive(Debug)]
pub enum SegmentSource {
    Memory(Arc<KvSegment>),
    /// To be read layer by layer. The segment counts as in use until this is dropped.
    File(SegmentFile),
}

/// What [`Store::load_many`] found.
#[derive(Debug)]
pub struct Loaded {
    /// In the order of the ids.
    pub segments: Vec<Result<(Arc<KvSegment>, Tier), LoadError>>,
    /// Files read.
    pub files: usize,
    /// Bytes of keys and values read from files.
    pub bytes: u64,
}

/// What became of a segment that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    Stored {
        /// Allocated on disk.
        bytes: u64,
        /// Other segments that had to go.
        evicted: usize,
    },
    /// The budget is spent, and nothing can go. The segment is not on disk.
    OverBudget,
}

/// Why a segment could not be stored; it is not on disk, and everything else is as it was.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    #[error("the cache file {path} could not be written: {source}; free some space or check the disk")]
    Io { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// A defect of the caller.
    #[error("the segment's shape is not that of the store's model")]
    Layout,
}

/// Why a store could not be opened or looked after.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the cache directory {path} could not be used: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

/// How full the cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Allocated on disk for the caches of all models.
    pub bytes: u64,
    pub budget: u64,
}

impl Store {
    /// Opens the cache of `target` under the data directory. Files and records that a crash left apart are brought
    /// together again, abandoned unfinished files removed, and the budget is kept should it have become smaller.
    pub fn open(data: &Path, settings: &StoreSettings, target: StoreTarget) -> Result<Self, StoreError> {
        let mut catalogue = Catalogue::open(data)?;
        let root = files::root(data);
        create_private_folder(&root).map_err(|source| StoreError::Io { path: root.clone(), source })?;
        catalogue.cache_name_group(&target.fingerprint.to_string(), &target.model)?;
        let outdated = maintain::remove_outdated(data);
        maintain::reconcile(data, &mut catalogue)?;
        let memory = Arc::new(Memory::new(settings.memory_bytes, &target.layout));
        let budget = settings.disk_bytes;
        let store = Self { target, root, budget, memory, catalogue: Mutex::new(catalogue), outdated };
        store.keep_to_budget()?;
        Ok(store)
    }

    /// The cache of the same model after another prefix, opened beside this one: memory and budget are shared.
    pub fn beside(&self, data: &Path, target: StoreTarget) -> Result<Self, StoreError> {
        let mut catalogue = Catalogue::open(data)?;
        catalogue.cache_name_group(&target.fingerprint.to_string(), &target.model)?;
        Ok(Self {
            target,
            root: self.root.clone(),
            budget: self.budget,
            memory: self.memory.clone(),
            catalogue: Mutex::new(catalogue),
            outdated: Outdated::default(),
        })
    }

    /// The files of earlier versions of the format that were removed when this store was opened.
    pub fn outdated(&self) -> Outdated {
        self.outdated
    }

    /// What all segments of this store have in common.
    pub fn layout(&self) -> &KvLayout {
        &self.target.layout
    }

    /// One segment, from memory or from its file.
    pub fn load(&self, id: SegmentId) -> Result<(Arc<KvSegment>, Tier), LoadError> {
        self.load_many(&[id], &|| false).segments.pop().unwrap_or(Err(LoadError::Missing))
    }

    /// Several segments, their files read in parallel. `cancelled` is asked before each file; what was not read by
    /// then is [`LoadError::Cancelled`]. A file that turns out damaged or incompatible is removed.
    pub fn load_many(&self, ids: &[SegmentId], cancelled: &(dyn Fn() -> bool + Sync)) -> Loaded {
        let found: Vec<Found> = ids.par_iter().map(|id| self.find(*id, cancelled)).collect();
        self.note_uses(ids.iter().zip(&found).map(|(id, found)| (*id, found.use_of())));
        let from_files = |found: &&Found| matches!(found, Found::File { .. });
        Loaded {
            files: found.iter().filter(from_files).count(),
            bytes: found
                .iter()
                .filter(from_files)
                .filter_map(Found::segment)
                .map(|s| s.data.len() as u64)
                .sum(),
            segments: found.into_iter().map(Found::into_result).collect(),
        }
    }

    /// Several segments, those in memory as they are and the others as files whose start has been checked. Nothing of
    /// their data has been read yet: a layer is compared with its checksum when it is read. A file that turns out
    /// damaged or incompatible here is removed; for what turns out later there is [`Self::discard_damaged`].
    pub fn open_segments(&self, ids: &[SegmentId]) -> Vec<Result<SegmentSource, LoadError>> {
        let opened: Vec<_> = ids.par_iter().map(|id| self.source(*id)).collect();
        self.note_uses(ids.iter().zip(&opened).map(|(id, source)| match source {
            Ok(SegmentSource::Memory(_)) => (*id, Ok(None)),
            Ok(SegmentSource::File(file)) => (*id, Ok(Some((file.shape().tokens, file.bytes)))),
            Err(error) => (*id, Err(error)),
        }));
        opened
    }

    /// Keeps a segment in memory while there is room, with nothing written: one that was read layer by layer.
    pub fn remember(&self, id: SegmentId, segment: &Arc<KvSegment>) {
        self.memory.insert(self.key(id), segment);
    }

    /// Removes the file of a segment that was found damaged while it was read, and its record, as [`Self::load_many`]
    /// does. Returns the error to be told.
    pub fn discard_damaged(&self, id: SegmentId, reason: &str) -> LoadError {
        let error = removed_if_useless(self.path(id), ReadError::damaged(reason));
        self.note_uses([(id, Err(&error))].into_iter());
        error
    }

    /// Keeps a segment on disk, and in memory while there is room. Whatever was least recently used goes first,
    /// but neither the prefix nor a segment that somebody still holds.
    pub fn put(&self, id: SegmentId, segment: Arc<KvSegment>) -> Result<PutOutcome, PutError> {
        if !self.target.layout.describes(&segment) {
            return Err(PutError::Layout);
        }
        self.memory.insert(self.key(id), &segment);
        let Some(evicted) = self.reserve(id, segment.shape.tokens)? else {
            return Ok(PutOutcome::OverBudget);
        };
        let (key, path) = (self.key(id), self.path(id));
        match files::replace(&path, |file| write::write(file, &key, &segment)) {
            Ok(bytes) => {
                self.settle(id, segment.shape.tokens, bytes);
                Ok(PutOutcome::Stored { bytes, evicted })
            }
            Err(source) => {
                self.release(id);
                Err(PutError::Io { path, source })
            }
        }
    }

    /// Drops chunks that are no longer indexed, under every model and prefix.
    pub fn remove(&self, ids: &[ChunkId]) -> Result<(), StoreError> {
        for id in ids {
            self.memory.remove(self.key(SegmentId::Chunk(*id)));
        }
        maintain::remove_chunks_below(&self.root, &mut self.catalogue(), ids)
    }

    /// True when a segment is in memory or has a file; what is in the file is not looked at.
    pub fn contains(&self, id: SegmentId) -> bool {
        self.memory.get(self.key(id)).is_some() || self.path(id).exists()
    }

    /// The segments that are on disk for this model and the prefixes of `fingerprints`.
    pub fn cached_under(&self, fingerprints: &[Fingerprint]) -> Result<Vec<SegmentId>, StoreError> {
        let mut cached = Vec::new();
        for fingerprint in fingerprints {
            let segments = self.catalogue().cache_segments(&fingerprint.to_string())?;
            cached.extend(segments.iter().filter_map(|segment| SegmentId::parse(segment)));
        }
        Ok(cached)
    }

    /// The segments that are on disk for this model and prefix.
    pub fn cached(&self) -> Result<Vec<SegmentId>, StoreError> {
        let segments = self.catalogue().cache_segments(&self.target.fingerprint.to_string())?;
        Ok(segments.iter().filter_map(|segment| SegmentId::parse(segment)).collect())
    }

    pub fn usage(&self) -> Result<Usage, StoreError> {
        Ok(Usage { bytes: self.catalogue().cache_bytes()?, budget: self.budget })
    }

    /// Bytes on disk that a chunk of `tokens` takes.
    pub fn file_bytes(&self, tokens: usize) -> u64 {
        self.target.layout.file_bytes(&self.key(SegmentId::Chunk(ChunkId([0; 32]))), tokens)
    }

    /// What names a segment of this store among those of all models and prefixes.
    pub fn key(&self, segment: SegmentId) -> KvKey {
        KvKey { fingerprint: self.target.fingerprint, segment }
    }

    fn path(&self, id: SegmentId) -> PathBuf {
        files::path(&self.root, &self.key(id))
    }

    /// Whoever panicked with the catalogue in hand left no transaction open: it was rolled back on the way.
    fn catalogue(&self) -> MutexGuard<'_, Catalogue> {
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: SegmentId, cancelled: &(dyn Fn() -> bool + Sync)) -> Found {
        if let Some(segment) = self.memory.get(self.key(id)) {
            return Found::Memory(segment);
        }
        if cancelled() {
            return Found::Nothing(LoadError::Cancelled);
        }
        let path = self.path(id);
        match self.open_file(id, &path).and_then(|file| Ok((file.read_segment()?, file.bytes))) {
            Ok((segment, bytes)) => {
                let segment = Arc::new(segment);
                self.memory.insert(self.key(id), &segment);
                Found::File { segment, bytes }
            }
            Err(error) => Found::Nothing(removed_if_useless(path, error)),
        }
    }

    fn source(&self, id: SegmentId) -> Result<SegmentSource, LoadError> {
        if let Some(segment) = self.memory.get(self.key(id)) {
            return Ok(SegmentSource::Memory(segment));
        }
        let path = self.path(id);
        let file = self.open_file(id, &path).map_err(|error| removed_if_useless(path, error))?;
        self.memory.note_reader(self.key(id), &file.in_use);
        Ok(SegmentSource::File(file))
    }

    fn open_file(&self, id: SegmentId, path: &Path) -> Result<SegmentFile, ReadError> {
        SegmentFile::open(path, &self.key(id))?.of(&self.target.layout)
    }

    /// Writes down in one go what was used, from memory (`None`) or from a file (tokens, bytes on disk), and what
    /// turned out not to be there. A file that has no record yet, left by a crash, gets one. Should this fail, the
    /// order of eviction suffers and nothing else.
    fn note_uses<'a>(
        &self,
        found: impl Iterator<Item = (SegmentId, Result<Option<(usize, u64)>, &'a LoadError>)>,
    ) {
        let fingerprint = self.target.fingerprint.to_string();
        let mut uses = CacheUses { fingerprint, ..CacheUses::default() };
        for (id, found) in found {
            match found {
                Ok(None) => uses.touched.push(id.to_string()),
                Ok(Some((tokens, bytes))) => uses.read.push(self.record(id, tokens, bytes)),
                Err(LoadError::Cancelled | LoadError::Io { .. }) => {}
                // Another process may have put it back by now.
                Err(_) if self.path(id).exists() => {}
                Err(_) => uses.gone.push(id.to_string()),
            }
        }
        if let Err(error) = self.catalogue().cache_note_uses(&uses) {
            tracing::debug!(%error, "the use of cache files was not recorded");
        }
    }

    fn record(&self, id: SegmentId, tokens: usize, bytes: u64) -> CacheRecord {
        CacheRecord {
            fingerprint: self.target.fingerprint.to_string(),
            segment: id.to_string(),
            tokens: tokens as u64,
            bytes,
            last_used: 0,
        }
    }
}

/// What looking for one segment gave.
enum Found {
    Memory(Arc<KvSegment>),
    File { segment: Arc<KvSegment>, bytes: u64 },
    Nothing(LoadError),
}

impl Found {
    fn segment(&self) -> Option<&KvSegment> {
        match self {
            Self::Memory(segment) | Self::File { segment, .. } => Some(segment),
            Self::Nothing(_) => None,
        }
    }

    /// What [`Store::note_uses`] takes.
    fn use_of(&self) -> Result<Option<(usize, u64)>, &LoadError> {
        match self {
            Self::Memory(_) => Ok(None),
            Self::File { segment, bytes } => Ok(Some((segment.shape.tokens, *bytes))),
            Self::Nothing(error) => Err(error),
        }
    }

    fn into_result(self) -> Result<(Arc<KvSegment>, Tier), LoadError> {
        match self {
            Self::Memory(segment) => Ok((segment, Tier::Memory)),
            Self::File { segment, .. } => Ok((segment, Tier::Disk)),
            Self::Nothing(error) => Err(error),
        }
    }
}

/// Removes a file that no reader of its name can use, so that the next `put` replaces it.
fn removed_if_useless(path: PathBuf, error: ReadError) -> LoadError {
    if matches!(error, ReadError::Damaged(_) | ReadError::Incompatible(_)) {
        files::remove_or_warn(&path);
    }
    error.at(path)
}

impl ReadError {
    /// The error to be told of the file at `path`.
    fn at(self, path: PathBuf) -> LoadError {
        match self {
            Self::Missing => LoadError::Missing,
            Self::Damaged(reason) => LoadError::Damaged { path, reason },
            Self::Incompatible(reason) => LoadError::Incompatible { path, reason },
            Self::Io(source) => LoadError::Io { path, source },
        }
    }
}
