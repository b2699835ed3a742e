//! Segments kept between questions, in device memory and in page-locked host memory, each within a budget of bytes.
//!
//! What was least recently used goes first, and never a segment that somebody holds. A segment that finds no room is
//! not kept, which costs time at the next question and nothing else.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    arena::{DevicePool, PinnedPool, PoolUsage},
    segment::{DeviceSegment, HostMemory, HostSegment},
};
use crate::{config::CacheDtype, model::kv::KvShape, store::key::KvKey};

/// Segments by what they belong to, with the order of their use.
#[derive(Debug)]
struct Recent<S> {
    kept: HashMap<KvKey, Entry<S>>,
    /// Counts uses.
    clock: u64,
}

#[derive(Debug)]
struct Entry<S> {
    segment: Arc<S>,
    used: u64,
}

impl<S> Default for Recent<S> {
    fn default() -> Self {
        Self { kept: HashMap::new(), clock: 0 }
    }
}

impl<S> Recent<S> {
    fn get(&mut self, id: KvKey) -> Option<Arc<S>> {
        self.clock += 1;
        let entry = self.kept.get_mut(&id)?;
        entry.used = self.clock;
        Some(entry.segment.clone())
    }

    fn insert(&mut self, id: KvKey, segment: Arc<S>) {
        self.clock += 1;
        self.kept.insert(id, Entry { segment, used: self.clock });
    }

    fn remove(&mut self, id: KvKey) {
        self.kept.remove(&id);
    }

    /// Drops the segment used longest ago of those that nobody else holds; false where there is none.
    fn evict(&mut self) -> bool {
        let idle = self.kept.iter().filter(|(_, entry)| Arc::strong_count(&entry.segment) == 1);
        let oldest = idle.min_by_key(|(_, entry)| entry.used).map(|(id, _)| *id);
        oldest.is_some_and(|id| self.kept.remove(&id).is_some())
    }
}

/// Looks for room, dropping what was used longest ago as long as that may help.
fn make_room<S, B>(recent: &mut Recent<S>, mut allocate: impl FnMut() -> Option<B>) -> Option<B> {
    loop {
        match allocate() {
            Some(block) => return Some(block),
            None if recent.evict() => {}
            None => return None,
        }
    }
}

/// Segments in page-locked host memory.
#[derive(Debug)]
pub struct HostTier {
    pool: PinnedPool,
    recent: Mutex<Recent<HostSegment>>,
}

impl HostTier {
    pub fn new(pool: PinnedPool) -> Self {
        Self { pool, recent: Mutex::default() }
    }

    pub fn get(&self, id: KvKey) -> Option<Arc<HostSegment>> {
        self.recent().get(id)
    }

    /// Page-locked memory for a segment that is to be filled; what was used longest ago goes for it.
    pub fn allocate(&self, bytes: usize) -> Option<HostMemory> {
        if bytes as u64 > self.pool.usage().budget {
            return None;
        }
        make_room(&mut self.recent(), || self.pool.allocate(bytes)).map(HostMemory::Pinned)
    }

    /// Keeps a segment whose memory came from [`Self::allocate`]; another one is not kept.
    pub fn keep(&self, id: KvKey, segment: Arc<HostSegment>) {
        if segment.is_pinned() {
            self.recent().insert(id, segment);
        }
    }

    pub fn remove(&self, id: KvKey) {
        self.recent().remove(id);
    }

    /// Drops everything that nobody holds.
    pub fn clear(&self) {
        while self.recent().evict() {}
        self.pool.trim();
    }

    pub fn usage(&self) -> PoolUsage {
        self.pool.usage()
    }

    fn recent(&self) -> MutexGuard<'_, Recent<HostSegment>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Segments in device memory.
#[derive(Debug)]
pub struct DeviceTier {
    pool: DevicePool,
    recent: Mutex<Recent<DeviceSegment>>,
}

impl DeviceTier {
    pub fn new(pool: DevicePool) -> Self {
        Self { pool, recent: Mutex::default() }
    }

    pub fn get(&self, id: KvKey) -> Option<Arc<DeviceSegment>> {
        self.recent().get(id)
    }

    /// A segment to be filled on its way into a context; what was used longest ago goes for it. `None` where it would
    /// not fit, or only in place of segments in use.
    pub fn allocate(&self, shape: KvShape, dtype: CacheDtype) -> Option<DeviceSegment> {
        if shape.bytes(dtype) as u64 > self.pool.usage().budget {
            return None;
        }
        make_room(&mut self.recent(), || DeviceSegment::empty(&self.pool, shape, dtype))
    }

    /// Keeps a segment that came from [`Self::allocate`] and is filled.
    pub fn keep(&self, id: KvKey, segment: Arc<DeviceSegment>) {
        self.recent().insert(id, segment);
    }

    pub fn remove(&self, id: KvKey) {
        self.recent().remove(id);
    }

    /// Drops everything that nobody holds, so that a context finds room.
    pub fn clear(&self) {
        while self.recent().evict() {}
        self.pool.trim();
    }

    pub fn usage(&self) -> PoolUsage {
        self.pool.usage()
    }

    fn recent(&self) -> MutexGuard<'_, Recent<DeviceSegment>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        corpus::ChunkId,
        store::key::{Fingerprint, SegmentId},
    };

    fn id(number: u8) -> KvKey {
        let fingerprint = Fingerprint::from_hex(&"0a".repeat(32)).expect("it is hexadecimal");
        KvKey { fingerprint, segment: SegmentId::Chunk(ChunkId([number; 32])) }
    }

    #[test]
    fn the_least_recently_used_goes_first_and_never_one_in_use() {
        let mut recent = Recent::default();
        for number in 0..4 {
            recent.insert(id(number), Arc::new(number));
        }
        let held = recent.get(id(1)).expect("it is kept");
        recent.get(id(0)).expect("it is kept");
        assert!(recent.evict());
        assert!(recent.get(id(2)).is_none() && recent.get(id(3)).is_some());
        assert!(recent.evict() && recent.get(id(0)).is_none());
        assert!(recent.evict() && recent.get(id(3)).is_none());
        assert!(!recent.evict(), "the one left is in use");
        drop(held);
        assert!(recent.evict() && recent.kept.is_empty());
    }

    #[test]
    fn room_is_made_only_as_long_as_it_may_help() {
        let mut recent = Recent::default();
        for number in 0..5 {
            recent.insert(id(number), Arc::new(number));
        }
        let mut tries = 0;
        let found = make_room(&mut recent, || {
            tries += 1;
            (tries == 3).then_some(tries)
        });
        assert_eq!((found, recent.kept.len()), (Some(3), 3));
        assert_eq!(make_room(&mut recent, || None::<u8>), None);
        assert!(recent.kept.is_empty());
    }
}
