//! The memory tier, and who holds which segment.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter, sync::Cache, sync::DefaultLifecycle};

use super::{format::KvLayout, key::KvKey};
use crate::model::kv::KvSegment;

type Segments = Cache<KvKey, Arc<KvSegment>, Bytes>;

/// Two loads of one segment may give two copies of it, and files may be open for reading.
type HandedOut = HashMap<KvKey, Holders>;

#[derive(Default)]
struct Holders {
    copies: Vec<Weak<KvSegment>>,
    readers: Vec<Weak<()>>,
}

/// Segments of one model kept between questions, under whatever prefix, and a note of those that are in somebody's hands.
pub(super) struct Memory {
    /// `None` where the budget is 0.
    kept: Option<Segments>,
    handed_out: Mutex<HandedOut>,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<KvKey, Arc<KvSegment>> for Bytes {
    fn weight(&self, _: &KvKey, segment: &Arc<KvSegment>) -> u64 {
        segment.data.len() as u64
    }
}

impl Memory {
    /// Room for `bytes` of keys and values. A segment of more than three quarters of that is not kept.
    pub fn new(bytes: u64, layout: &KvLayout) -> Self {
        // Only sizes a table: a chunk has some hundred tokens.
        let typical = layout.shape(256).bytes(layout.dtype).max(1) as u64;
        let options = OptionsBuilder::new()
            // Capacity is divided among shards, and a segment larger than a shard would never be kept.
            .shards(1)
            // A quarter is for what has been used once, the latest question's; the rest for what was used again.
            .hot_allocation(0.75)
            .estimated_items_capacity((bytes / typical).clamp(1, 1 << 16) as usize)
            .weight_capacity(bytes)
            .build();
        let kept = options.ok().filter(|_| bytes > 0).map(|options| {
            Cache::with_options(options, Bytes, DefaultHashBuilder::default(), DefaultLifecycle::default())
        });
        Self { kept, handed_out: Mutex::default() }
    }

    pub fn get(&self, id: KvKey) -> Option<Arc<KvSegment>> {
        let segment = self.kept.as_ref()?.get(&id)?;
        self.hand_out(id, &segment);
        Some(segment)
    }

    /// Keeps a segment while there is room, and notes that the caller has it.
    pub fn insert(&self, id: KvKey, segment: &Arc<KvSegment>) {
        self.hand_out(id, segment);
        if let Some(kept) = &self.kept {
            kept.insert(id, Arc::clone(segment));
        }
    }

    pub fn remove(&self, id: KvKey) {
        if let Some(kept) = &self.kept {
            kept.remove(&id);
        }
    }

    /// True while anybody but this tier holds the segment.
    pub fn is_in_use(&self, id: KvKey) -> bool {
        let by_tier = self.kept.as_ref().is_some_and(|kept| kept.contains_key(&id));
        let holders = match self.handed_out().get(&id) {
            Some(Holders { copies, readers }) => {
                copies.iter().map(Weak::strong_count).sum::<usize>()
                    + readers.iter().map(Weak::strong_count).sum::<usize>()
            }
            None => 0,
        };
        holders > usize::from(by_tier)
    }

    /// Counts a segment as in use until `reader` is dropped: its file is open.
    pub fn note_reader(&self, id: KvKey, reader: &Arc<()>) {
        self.with_holders(id, |holders| holders.readers.push(Arc::downgrade(reader)));
    }

    fn hand_out(&self, id: KvKey, segment: &Arc<KvSegment>) {
        let segment = Arc::downgrade(segment);
        self.with_holders(id, |Holders { copies, .. }| {
            if !copies.iter().any(|copy| copy.ptr_eq(&segment)) {
                copies.push(segment);
            }
        });
    }

    /// Changes the holders of a segment, after forgetting those of all segments that are gone.
    fn with_holders(&self, id: KvKey, change: impl FnOnce(&mut Holders)) {
        let mut handed_out = self.handed_out();
        handed_out.retain(|_, Holders { copies, readers }| {
            copies.retain(|copy| copy.strong_count() > 0);
            readers.retain(|reader| reader.strong_count() > 0);
            !(copies.is_empty() && readers.is_empty())
        });
        change(handed_out.entry(id).or_default());
    }

    fn handed_out(&self) -> MutexGuard<'_, HandedOut> {
        self.handed_out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::CacheDtype,
        corpus::ChunkId,
        store::key::{Fingerprint, SegmentId},
    };

    const LAYOUT: KvLayout =
        KvLayout { layers: 1, kv_heads: 1, head_dim: 64, dtype: CacheDtype::F32, max_tokens: 4096 };

    fn id(number: u8) -> KvKey {
        let fingerprint = Fingerprint::from_hex(&"0a".repeat(32)).unwrap();
        KvKey { fingerprint, segment: SegmentId::Chunk(ChunkId([number; 32])) }
    }

    /// 512 bytes a token.
    fn segment(tokens: usize) -> Arc<KvSegment> {
        let shape = LAYOUT.shape(tokens);
        let data = vec![0; shape.bytes(LAYOUT.dtype)].into();
        Arc::new(KvSegment { shape, dtype: LAYOUT.dtype, data })
    }

    #[test]
    fn a_segment_of_three_quarters_of_the_budget_is_kept() {
        let memory = Memory::new(512 * 1000, &LAYOUT);
        memory.insert(id(1), &segment(750));
        assert!(memory.get(id(1)).is_some());
    }

    #[test]
    fn never_more_bytes_than_the_budget() {
        let memory = Memory::new(512 * 100, &LAYOUT);
        for number in 0..50 {
            memory.insert(id(number), &segment(30));
        }
        let kept = (0..50).filter(|number| memory.get(id(*number)).is_some()).count();
        assert!((1..=3).contains(&kept), "{kept} segments of 30 tokens in room for 100");
    }

    #[test]
    fn no_budget_keeps_nothing() {
        let memory = Memory::new(0, &LAYOUT);
        memory.insert(id(1), &segment(1));
        assert!(memory.get(id(1)).is_none());
    }

    #[test]
    fn in_use_means_held_outside_the_tier() {
        for budget in [0, 1 << 20] {
            let memory = Memory::new(budget, &LAYOUT);
            let held = segment(1);
            memory.insert(id(1), &held);
            assert!(memory.is_in_use(id(1)));
            drop(held);
            assert!(!memory.is_in_use(id(1)));
            assert!(!memory.is_in_use(id(2)));
        }
    }

    #[test]
    fn a_file_that_is_read_is_in_use() {
        let memory = Memory::new(0, &LAYOUT);
        let (first, second) = (Arc::default(), Arc::default());
        memory.note_reader(id(1), &first);
        memory.note_reader(id(1), &second);
        drop(first);
        assert!(memory.is_in_use(id(1)) && !memory.is_in_use(id(2)));
        drop(second);
        assert!(!memory.is_in_use(id(1)));
    }

    #[test]
    fn the_same_text_after_another_prefix_is_another_segment() {
        let memory = Memory::new(1 << 20, &LAYOUT);
        let other = KvKey { fingerprint: Fingerprint::from_hex(&"0b".repeat(32)).unwrap(), ..id(1) };
        memory.insert(id(1), &segment(1));
        assert!(memory.get(id(1)).is_some() && memory.get(other).is_none());
        let held = memory.get(id(1));
        assert!(memory.is_in_use(id(1)) && !memory.is_in_use(other));
        drop(held);
    }

    #[test]
    fn a_second_copy_does_not_hide_the_first() {
        let memory = Memory::new(0, &LAYOUT);
        let first = segment(1);
        memory.insert(id(1), &first);
        memory.insert(id(1), &segment(1));
        assert!(memory.is_in_use(id(1)));
        drop(first);
        assert!(!memory.is_in_use(id(1)));
    }
}
