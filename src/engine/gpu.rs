//! The model on a GPU: its weights, and segments kept in its memory and in page-locked memory between questions.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{protocol::Failure, resources::Loaded};
use crate::{
    config::{CacheDtype, Config},
    cuda::{
        CudaError,
        arena::{DevicePool, PinnedPool},
        context::{ContextSegment, Kept, SegmentSource as Origin},
        device::Gpu,
        encode::{Encoder, encode_prefix},
        network::CudaNetwork,
        segment::{DeviceSegment, HostMemory, HostSegment},
        session::Session,
        tiers::{DeviceTier, HostTier},
    },
    model::{
        config::ModelConfig,
        kv::{KvSegment, SegmentData},
        session::Cancelled,
        weights::Weights,
    },
    store::{
        LoadError, SegmentFile, SegmentSource, Store,
        key::{KvKey, SegmentId},
    },
};

/// Tokens encoded together, beyond which a question would have to wait too long.
pub(super) const BATCH_TOKENS: usize = 8 << 10;

pub(super) struct GpuModel {
    network: CudaNetwork,
    /// The store's number format.
    dtype: CacheDtype,
    host: HostTier,
    device: DeviceTier,
    /// By what names the caches that belong to each.
    prefixes: Mutex<HashMap<KvKey, Arc<DeviceSegment>>>,
}

/// Where a chunk's segment was found.
pub(super) enum Found {
    Device(Arc<DeviceSegment>),
    Host(Arc<HostSegment>),
    File(SegmentFile),
    Nothing(LoadError),
}

/// Part of a fingerprint.
pub(super) fn name(element: CacheDtype) -> String {
    format!(" cuda {}", element.name())
}

impl GpuModel {
    /// Brings a model's weights to a GPU.
    pub fn load(
        config: &Config,
        ordinal: usize,
        shape: &ModelConfig,
        weights: &Weights,
    ) -> Result<Self, CudaError> {
        let gpu = Gpu::open(ordinal)?;
        let (element, dtype) = (config.model.gpu_dtype, config.model.cache_dtype);
        let kernels = config.paths.data.join("kernels");
        let network = CudaNetwork::from_files(gpu.clone(), shape.clone(), weights, element, Some(&kernels))?;
        let (host, device) = (config.store.memory_bytes, config.store.gpu_memory_bytes);
        Ok(Self {
            network,
            dtype,
            host: HostTier::new(PinnedPool::new(gpu.clone(), host)),
            device: DeviceTier::new(DevicePool::new(gpu, device)),
            prefixes: Mutex::default(),
        })
    }

    pub fn name(&self) -> String {
        name(self.network.element())
    }

    pub fn network(&self) -> &CudaNetwork {
        &self.network
    }

    /// A session with nothing before it, with room for so many tokens.
    pub fn empty(&self, tokens: usize) -> Result<Session<'_>, CudaError> {
        self.or_without_tier(|| Session::empty(&self.network, tokens))
    }

    /// Tries, and where memory is short, once more without the segments kept in it.
    pub fn or_without_tier<T>(&self, mut make: impl FnMut() -> Result<T, CudaError>) -> Result<T, CudaError> {
        match make() {
            Err(CudaError::OutOfMemory { .. } | CudaError::ContextDoesNotFit { .. }) => {
                self.device.clear();
                make()
            }
            result => result,
        }
    }

    /// The prefix on the device: there already, from its file, or encoded now and kept.
    pub fn prefix(
        &self,
        loaded: &Loaded,
        cancelled: Cancelled,
        note: &mut dyn FnMut(String),
    ) -> Result<Arc<DeviceSegment>, Failure> {
        let key = loaded.store.key(SegmentId::Prefix);
        let mut prefixes = self.prefixes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(prefix) = prefixes.get(&key) {
            return Ok(prefix.clone());
        }
        let segment = match loaded.store.load(SegmentId::Prefix) {
            Ok((segment, _)) => Arc::new(HostSegment::from((*segment).clone())),
            Err(reason) => {
                if !matches!(reason, LoadError::Missing) {
                    note(reason.to_string());
                }
                let tokens = loaded.model.prompt.prefix();
                let segment = Arc::new(encode_prefix(&self.network, tokens, self.dtype, cancelled)?);
                loaded.keep(SegmentId::Prefix, stored(segment.clone()));
                segment
            }
        };
        let prefix = self.or_without_tier(|| self.network.upload(&segment))?;
        prefixes.insert(key, prefix.clone());
        Ok(prefix)
    }

    /// Looks for segments, in the GPU's memory first, then in page-locked memory, then for their files.
    pub fn find(&self, store: &Store, ids: &[SegmentId]) -> Vec<Found> {
        let in_memory =
            |id: &SegmentId| match (self.device.get(store.key(*id)), self.host.get(store.key(*id))) {
                (Some(segment), _) => Some(Found::Device(segment)),
                (None, Some(segment)) => Some(Found::Host(segment)),
                (None, None) => None,
            };
        let found: Vec<Option<Found>> = ids.iter().map(in_memory).collect();
        let missing: Vec<SegmentId> =
            ids.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(id, _)| *id).collect();
        let mut opened = store.open_segments(&missing).into_iter().map(|source| match source {
            Ok(SegmentSource::File(file)) => Found::File(file),
            Ok(SegmentSource::Memory(segment)) => {
                Found::Host(Arc::new(HostSegment::from((*segment).clone())))
            }
            Err(error) => Found::Nothing(error),
        });
        let mut next = |found: Option<Found>| found.or_else(|| opened.next());
        found.into_iter().map(|found| next(found).unwrap_or(Found::Nothing(LoadError::Missing))).collect()
    }

    /// A segment on its way into a context, kept on the device and in page-locked memory from then on where there is
    /// room.
    pub fn incoming(&self, tokens: usize, source: Origin) -> ContextSegment {
        let shape = self.network.segment_shape(tokens);
        let source = match source {
            Origin::File { .. } => Origin::File { into: self.host.allocate(shape.bytes(self.dtype)) },
            source => source,
        };
        ContextSegment { tokens, source, keep: self.device.allocate(shape, self.dtype) }
    }

    /// Keeps what a session brought to the GPU and into memory.
    pub fn keep(&self, store: &Store, ids: &[SegmentId], kept: Vec<(usize, Kept)>) {
        for (index, kept) in kept {
            match kept {
                Kept::Device(segment) => self.device.keep(store.key(ids[index]), Arc::new(segment)),
                Kept::Host(segment) => self.host.keep(store.key(ids[index]), Arc::new(segment)),
            }
        }
    }

    /// Forgets a segment in every memory.
    pub fn forget(&self, store: &Store, id: SegmentId) {
        self.device.remove(store.key(id));
        self.host.remove(store.key(id));
    }

    /// Encodes chunks after the prefix, side by side, and keeps them in page-locked memory while there is room.
    pub fn encode(
        &self,
        loaded: &Loaded,
        chunks: &[(SegmentId, Vec<u32>)],
        cancelled: Cancelled,
        note: &mut dyn FnMut(String),
    ) -> Result<Vec<Arc<HostSegment>>, Failure> {
        let prefix = self.prefix(loaded, cancelled, note)?;
        let tokens: Vec<&[u32]> = chunks.iter().map(|(_, tokens)| tokens.as_slice()).collect();
        let mut segments: Vec<Option<Arc<HostSegment>>> = vec![None; chunks.len()];
        let mut allocate = |bytes| {
            let pageable = || HostMemory::Pageable(vec![0; bytes]);
            self.host.allocate(bytes).unwrap_or_else(pageable)
        };
        let mut finished = |index: usize, segment: HostSegment| {
            let segment = Arc::new(segment);
            self.host.keep(loaded.store.key(chunks[index].0), segment.clone());
            segments[index] = Some(segment);
        };
        Encoder::new(&self.network, Some(&prefix), self.dtype)?.with_batches_of(BATCH_TOKENS).encode(
            &tokens,
            &mut allocate,
            &mut finished,
            cancelled,
        )?;
        let all: Option<Vec<_>> = segments.into_iter().collect();
        Ok(all.ok_or(CudaError::Internal("a chunk was not encoded"))?)
    }
}

/// A segment as the store takes it, over the same bytes.
pub(super) fn stored(segment: Arc<HostSegment>) -> Arc<KvSegment> {
    let (shape, dtype) = (segment.shape(), segment.dtype());
    Arc::new(KvSegment { shape, dtype, data: SegmentData::shared(segment) })
}
