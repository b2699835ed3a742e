//! What the cache on disk holds: by model, by collection, by file.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::{collections::Memberships, protocol::Failure};
use crate::{
    catalogue::{CacheRecord, Catalogue, ChunkSummary, FileId},
    config::Config,
    corpus::ChunkId,
};

/// What is cached of some texts, for all models and prompts together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheShare {
    /// Different chunks of these texts.
    pub chunks: usize,
    /// Those that are cached, under one model and prompt at least.
    pub cached_chunks: usize,
    /// Of all cached segments: a chunk that is cached twice counts twice.
    pub tokens: u64,
    /// Allocated on disk. What several share counts for each.
    pub bytes: u64,
    /// Seconds since the Unix epoch; `None` where nothing is cached.
    pub last_used: Option<i64>,
}

/// What is cached of a collection's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionCache {
    pub collection: String,
    pub files: usize,
    #[serde(flatten)]
    pub share: CacheShare,
}

/// What is cached of an indexed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCache {
    pub path: PathBuf,
    #[serde(flatten)]
    pub share: CacheShare,
}

/// What is cached of each collection, most bytes first. A file in several collections counts for each.
pub fn cache_by_collection(config: &Config) -> Result<Vec<CollectionCache>, Failure> {
    let catalogue = Catalogue::open(&config.paths.data)?;
    let cached = Cached::new(&catalogue)?;
    let mut memberships = Memberships::new(config);
    memberships.look_again(&catalogue)?;
    let (files, occurrences) = (catalogue.files_after(FileId::NONE)?, catalogue.chunk_files()?);
    let mut rows: Vec<CollectionCache> = memberships
        .each()
        .map(|(name, set)| CollectionCache {
            collection: name.to_owned(),
            files: files.iter().filter(|(file, _)| set.contains(*file)).count(),
            share: cached.share(occurrences.iter().filter(|(file, _)| set.contains(*file)).map(|(_, c)| c)),
        })
        .collect();
    rows.sort_by(|a, b| (b.share.bytes, &a.collection).cmp(&(a.share.bytes, &b.collection)));
    Ok(rows)
}

/// What is cached of each indexed file, most bytes first.
pub fn cache_by_file(config: &Config) -> Result<Vec<FileCache>, Failure> {
    let catalogue = Catalogue::open(&config.paths.data)?;
    let cached = Cached::new(&catalogue)?;
    let mut chunks: HashMap<FileId, Vec<ChunkSummary>> = HashMap::new();
    for (file, chunk) in catalogue.chunk_files()? {
        chunks.entry(file).or_default().push(chunk);
    }
    let files = catalogue.files_after(FileId::NONE)?.into_iter();
    let mut rows: Vec<FileCache> = files
        .map(|(file, path)| {
            let share = cached.share(chunks.get(&file).map_or(&[][..], Vec::as_slice).iter());
            FileCache { path, share }
        })
        .collect();
    rows.sort_by(|a, b| (b.share.bytes, &a.path).cmp(&(a.share.bytes, &b.path)));
    Ok(rows)
}

/// The records of the cache by chunk.
struct Cached {
    records: HashMap<ChunkId, Vec<CacheRecord>>,
}

impl Cached {
    fn new(catalogue: &Catalogue) -> Result<Self, Failure> {
        let mut records: HashMap<ChunkId, Vec<CacheRecord>> = HashMap::new();
        for record in catalogue.cache_records()? {
            // The prefix is of no file.
            if let Some(id) = ChunkId::from_hex(&record.segment) {
                records.entry(id).or_default().push(record);
            }
        }
        Ok(Self { records })
    }

    /// What is cached of these chunks, each counted once.
    fn share<'c>(&self, chunks: impl Iterator<Item = &'c ChunkSummary>) -> CacheShare {
        let mut share = CacheShare::default();
        let mut seen = HashSet::new();
        for chunk in chunks.filter(|chunk| seen.insert(chunk.id)) {
            share.chunks += 1;
            let records = self.records.get(&chunk.id).map_or(&[][..], Vec::as_slice);
            share.cached_chunks += usize::from(!records.is_empty());
            for record in records {
                share.tokens += record.tokens;
                share.bytes += record.bytes;
                share.last_used = share.last_used.max(Some(record.last_used / 1000));
            }
        }
        share
    }
}
