//! The byte budget: room is made before a file is written, and a file that was not written gives its room back.

use super::{PutError, Store, StoreError, files, key::Fingerprint, key::KvKey, key::SegmentId};
use crate::{
    catalogue::{CacheRecord, CatalogueError},
    corpus::ChunkId,
};

impl Store {
    /// True when a chunk of `tokens` fits without another of this model and prefix having to go. Encoding ahead of
    /// questions stops when this says no: it would only push out what it encoded before.
    pub fn has_room(&self, tokens: usize) -> Result<bool, StoreError> {
        self.has_room_beside(tokens, 0, &[])
    }

    /// The same with `waiting` more bytes to be written, which may have no record yet, and without a chunk of the caches
    /// `spared` having to go either.
    pub fn has_room_beside(
        &self,
        tokens: usize,
        waiting: u64,
        spared: &[Fingerprint],
    ) -> Result<bool, StoreError> {
        let wanted = self.record(SegmentId::Chunk(ChunkId([0; 32])), tokens, self.file_bytes(tokens));
        let budget = self.budget.saturating_sub(waiting);
        let victims = self.catalogue().cache_victims(&wanted, budget, &|record| self.is_needed(record))?;
        let spared: Vec<String> = spared.iter().map(Fingerprint::to_string).collect();
        let is_ours = |victim: &CacheRecord| {
            victim.fingerprint == wanted.fingerprint || spared.contains(&victim.fingerprint)
        };
        Ok(victims.is_some_and(|victims| !victims.iter().any(is_ours)))
    }

    /// Makes room for a segment. `None` where there is none; otherwise how many other segments had to go.
    pub(super) fn reserve(&self, id: SegmentId, tokens: usize) -> Result<Option<usize>, PutError> {
        let bytes = self.target.layout.file_bytes(&self.key(id), tokens);
        let wanted = self.record(id, tokens, bytes);
        let victims =
            self.catalogue().cache_reserve(&wanted, self.budget, &|record| self.is_needed(record))?;
        let Some(victims) = victims else { return Ok(None) };
        self.delete(&victims);
        Ok(Some(victims.len()))
    }

    /// Puts the size that a file came out with in place of the estimate that was reserved. Should this fail, the
    /// estimate stands.
    pub(super) fn settle(&self, id: SegmentId, tokens: usize, bytes: u64) {
        let estimate = self.target.layout.file_bytes(&self.key(id), tokens);
        let recorded = self.catalogue().cache_settle(&self.record(id, tokens, bytes));
        // Some file systems take blocks of their own for a large file.
        let kept = if bytes > estimate { self.keep_to_budget() } else { Ok(()) };
        if let Err(error) = recorded.and(kept) {
            tracing::warn!(%error, "the size of a cache file could not be recorded");
        }
    }

    /// Gives the room of a file back that could not be written, unless an older one is still there.
    pub(super) fn release(&self, id: SegmentId) {
        if std::fs::symlink_metadata(self.path(id)).is_ok() {
            return;
        }
        let record = (self.target.fingerprint.to_string(), id.to_string());
        if let Err(error) = self.catalogue().cache_forget(&[record]) {
            tracing::warn!(%error, "the record of a cache file that was not written could not be removed");
        }
    }

    /// Evicts until the cache is within its budget, or until nothing is left that may go.
    pub(super) fn keep_to_budget(&self) -> Result<(), CatalogueError> {
        // Looked at first without the writer's lock, which another process may hold.
        if self.catalogue().cache_bytes()? <= self.budget {
            return Ok(());
        }
        let victims = self.catalogue().cache_trim(self.budget, &|record| self.is_needed(record))?;
        self.delete(&victims);
        Ok(())
    }

    fn delete(&self, victims: &[CacheRecord]) {
        for victim in victims {
            if let Some(key) = key_of(victim) {
                files::remove_or_warn(&files::path(&self.root, &key));
            }
        }
    }

    /// The prefix of this store, and what somebody holds: it is about to be used, or used again.
    fn is_needed(&self, record: &CacheRecord) -> bool {
        let Some(key) = key_of(record) else { return false };
        key == self.key(SegmentId::Prefix) || self.memory.is_in_use(key)
    }
}

/// The key that a record is about; `None` for one that this program did not write.
pub(super) fn key_of(record: &CacheRecord) -> Option<KvKey> {
    let fingerprint = Fingerprint::from_hex(&record.fingerprint)?;
    Some(KvKey { fingerprint, segment: SegmentId::parse(&record.segment)? })
}
