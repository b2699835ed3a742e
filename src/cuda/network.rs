//! A network on the device: weights, kernels, and the memory that its passes share.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    CudaError,
    angles::Angles,
    device::{Gpu, Stream},
    groups::{SessionLayout, SessionMemory},
    kernels::Kernels,
    layers::Tools,
    segment::{DeviceSegment, HostSegment},
    shape::Shape,
    weights::{DeviceWeights, WeightBytes},
    workspace::Workspace,
};
use crate::{
    config::CacheDtype,
    model::{config::ModelConfig, kv::KvShape, network::Network, rope::Rope, weights::Weights},
};

/// Tokens that go through the layers at once where there are many.
pub(super) const BLOCK_TOKENS: usize = 4096;

/// A block is not made smaller than this where memory is short.
const LEAST_BLOCK_TOKENS: usize = 64;

/// Kept free for what the driver and cuBLAS take on their own, in bytes.
const MARGIN_BYTES: u64 = 64 << 20;

/// A network on the device, and what runs it. The twin of [`crate::model::network::Network`].
pub struct CudaNetwork {
    gpu: Arc<Gpu>,
    shape: Shape,
    kernels: Kernels,
    weights: DeviceWeights,
    weight_bytes: WeightBytes,
    rope: Rope,
    angles: Mutex<Option<Arc<Angles>>>,
    workspace: Mutex<Option<Workspace>>,
    /// The memory of the session before.
    spare: Mutex<Option<SessionMemory>>,
    /// The stream on which stored segments are rotated into contexts, beside kernels and copies.
    place: Stream,
    /// The stream on which logits come back, while the next token is already computed.
    answers: Stream,
    /// The streams of a context's copies from the host: two keep the bus busy where copies are small.
    copies: Arc<[Stream; 2]>,
}

impl CudaNetwork {
    /// Brings a network's weights to the device, rounded to `element`, the type in which it then computes.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`] when they do not fit, before any of them is brought.
    pub fn from_network(
        gpu: Arc<Gpu>,
        network: &Network,
        element: CacheDtype,
        kernel_cache: Option<&Path>,
    ) -> Result<Self, CudaError> {
        let shape = Shape::of_network(network)?;
        Self::new(gpu, shape, element, kernel_cache, |gpu, _, shape| {
            DeviceWeights::from_network(gpu, network, shape, element)
        })
    }

    /// As [`Self::from_network`], from a model's files, without ever having all weights on the host.
    pub fn from_files(
        gpu: Arc<Gpu>,
        config: ModelConfig,
        weights: &Weights,
        element: CacheDtype,
        kernel_cache: Option<&Path>,
    ) -> Result<Self, CudaError> {
        let shape = Shape::of_files(config, weights)?;
        Self::new(gpu, shape, element, kernel_cache, |gpu, _, shape| {
            DeviceWeights::from_files(gpu, &shape.config, weights, shape, element)
        })
    }

    /// A network with random weights, to measure with.
    pub fn random(
        gpu: Arc<Gpu>,
        shape: Shape,
        element: CacheDtype,
        kernel_cache: Option<&Path>,
    ) -> Result<Self, CudaError> {
        Self::new(gpu, shape, element, kernel_cache, |gpu, kernels, shape| {
            DeviceWeights::random(gpu, kernels, shape, element)
        })
    }

    fn new(
        gpu: Arc<Gpu>,
        shape: Shape,
        element: CacheDtype,
        kernel_cache: Option<&Path>,
        weights: impl FnOnce(&Gpu, &Kernels, &Shape) -> Result<DeviceWeights, CudaError>,
    ) -> Result<Self, CudaError> {
        let config = &shape.config;
        let kernels = Kernels::load(&gpu, element, config.heads.head_dim, config.rope_layout, kernel_cache)?;
        let weights = weights(&gpu, &kernels, &shape)?;
        Ok(Self {
            weight_bytes: WeightBytes::of(&shape, element),
            rope: Rope::of(config),
            place: gpu.new_stream()?,
            answers: gpu.new_stream()?,
            copies: Arc::new([gpu.new_stream()?, gpu.new_stream()?]),
            angles: Mutex::default(),
            workspace: Mutex::default(),
            spare: Mutex::default(),
            gpu,
            shape,
            kernels,
            weights,
        })
    }

    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// E, the type in which it computes.
    pub fn element(&self) -> CacheDtype {
        self.kernels.element()
    }

    /// Bytes of the weights on the device.
    pub fn weight_bytes(&self) -> u64 {
        self.weight_bytes.total()
    }

    /// The shape of a segment of so many tokens.
    pub fn segment_shape(&self, tokens: usize) -> KvShape {
        self.shape.segment(tokens)
    }

    /// # Errors
    /// [`CudaError::ContextTooLong`] when so many tokens do not fit the model's context.
    pub fn check_length(&self, needed: usize) -> Result<(), CudaError> {
        let capacity = self.shape.config.context_tokens;
        if needed <= capacity { Ok(()) } else { Err(CudaError::ContextTooLong { tokens: needed, capacity }) }
    }

    /// # Errors
    /// When a token is not in the vocabulary.
    pub(super) fn check_tokens(&self, tokens: &[u32]) -> Result<(), CudaError> {
        match tokens.iter().find(|id| **id as usize >= self.shape.config.vocabulary) {
            None => Ok(()),
            Some(unknown) => Err(CudaError::Model(format!("token {unknown} is not in the vocabulary"))),
        }
    }

    /// # Errors
    /// When a segment is not one of this network.
    pub(super) fn check_segment(&self, shape: KvShape) -> Result<(), CudaError> {
        if shape == self.segment_shape(shape.tokens) {
            return Ok(());
        }
        Err(CudaError::Internal("a segment of another model"))
    }

    /// Brings a stored segment to the device and waits for it: the prefix, which every question needs.
    pub fn upload(&self, segment: &HostSegment) -> Result<Arc<DeviceSegment>, CudaError> {
        self.check_segment(segment.shape())?;
        self.or_without_spare(|| DeviceSegment::upload(&self.gpu, segment))
    }

    pub(super) fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    pub(super) fn weights(&self) -> &DeviceWeights {
        &self.weights
    }

    pub(super) fn place_stream(&self) -> &Stream {
        &self.place
    }

    /// The stream on which logits come back.
    pub(super) fn answer_stream(&self) -> &Stream {
        &self.answers
    }

    /// The streams on which contexts are copied from the host, in turn.
    pub(super) fn copy_streams(&self) -> &Arc<[Stream; 2]> {
        &self.copies
    }

    pub(super) fn tools<'a>(&'a self, angles: &'a Angles) -> Tools<'a> {
        Tools { gpu: &self.gpu, kernels: &self.kernels, shape: &self.shape, weights: &self.weights, angles }
    }

    /// The angles of at least the positions below `positions`. What reads them on another stream than that of kernels has
    /// to wait for that one.
    pub(super) fn angles(&self, positions: usize) -> Result<Arc<Angles>, CudaError> {
        let mut slot = lock(&self.angles);
        if let Some(angles) = slot.as_ref().filter(|angles| angles.positions() >= positions) {
            return Ok(angles.clone());
        }
        let make = || Angles::new(&self.gpu, &self.kernels, &self.rope, positions);
        let angles = Arc::new(self.or_without_spare(make)?);
        *slot = Some(angles.clone());
        Ok(angles)
    }

    /// The workspace, with room for `wanted` tokens, or for as many fewer as memory makes necessary.
    pub(super) fn workspace(&self, wanted: usize) -> Result<HeldWorkspace<'_>, CudaError> {
        let mut slot = lock(&self.workspace);
        if slot.as_ref().is_some_and(|workspace| workspace.tokens() >= wanted) {
            return Ok(HeldWorkspace(slot));
        }
        // Given back first: there may not be room for both.
        let before = slot.take().map_or(0, |workspace| workspace.tokens());
        let mut tokens = wanted;
        loop {
            let make = || Workspace::new(&self.gpu, &self.shape, self.element(), tokens);
            match self.or_without_spare(make) {
                Ok(workspace) => {
                    *slot = Some(workspace);
                    return Ok(HeldWorkspace(slot));
                }
                Err(CudaError::OutOfMemory { .. }) if tokens > LEAST_BLOCK_TOKENS.max(before) => {
                    tokens = (tokens / 2).max(LEAST_BLOCK_TOKENS.max(before));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives back what the workspace has beyond room for `tokens` tokens.
    pub(super) fn shrink_workspace(&self, tokens: usize) -> Result<(), CudaError> {
        let mut slot = lock(&self.workspace);
        if slot.as_ref().is_some_and(|workspace| workspace.tokens() > tokens) {
            *slot = None;
            *slot = Some(Workspace::new(&self.gpu, &self.shape, self.element(), tokens)?);
        }
        Ok(())
    }

    /// Bytes of the workspace as it is.
    pub(super) fn workspace_bytes(&self) -> u64 {
        lock(&self.workspace).as_ref().map_or(0, Workspace::bytes)
    }

    /// Bytes that a session's memory can take: what is free, and what the session before left.
    pub(super) fn free_for_session(&self) -> Result<u64, CudaError> {
        let spare = lock(&self.spare).as_ref().map_or(0, |memory| memory.device.bytes() as u64);
        Ok((self.gpu.free_bytes()? + spare).saturating_sub(MARGIN_BYTES))
    }

    /// Memory for a session: that of the session before where it is large enough.
    pub(super) fn session_memory(
        &self,
        layout: &SessionLayout,
        pinned_bytes: usize,
    ) -> Result<SessionMemory, CudaError> {
        let spare = lock(&self.spare).take();
        let (mut device, mut pinned, mut cells) = (None, None, None);
        if let Some(spare) = spare {
            device = Some(spare.device).filter(|buffer| buffer.bytes() as u64 >= layout.bytes);
            pinned = Some(spare.pinned).filter(|buffer| buffer.bytes() >= pinned_bytes);
            cells = spare.cells;
        }
        let device = match device {
            Some(buffer) => buffer,
            None => self.gpu.allocate(layout.bytes as usize)?,
        };
        let pinned = match pinned {
            Some(buffer) => buffer,
            None => self.gpu.allocate_pinned(pinned_bytes)?,
        };
        Ok(SessionMemory { device, pinned, cells })
    }

    /// Keeps a session's memory for the next one. Nothing may be using it any more.
    pub(super) fn give_back(&self, memory: SessionMemory) {
        let mut spare = lock(&self.spare);
        let larger = spare.as_ref().is_none_or(|kept| kept.device.bytes() < memory.device.bytes());
        if larger {
            *spare = Some(memory);
        }
    }

    /// Gives the memory that is kept for the next session back to the driver.
    pub fn release_spare(&self) {
        *lock(&self.spare) = None;
    }

    /// Tries, and where memory is short, once more without what is kept for the next session.
    pub(super) fn or_without_spare<T>(
        &self,
        mut make: impl FnMut() -> Result<T, CudaError>,
    ) -> Result<T, CudaError> {
        match make() {
            Err(CudaError::OutOfMemory { .. }) if lock(&self.spare).is_some() => {
                self.release_spare();
                make()
            }
            result => result,
        }
    }
}

impl fmt::Debug for CudaNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CudaNetwork")
            .field("gpu", &self.gpu)
            .field("shape", &self.shape)
            .field("kernels", &self.kernels)
            .finish_non_exhaustive()
    }
}

/// The workspace, in the hands of one pass.
pub(super) struct HeldWorkspace<'a>(MutexGuard<'a, Option<Workspace>>);

impl HeldWorkspace<'_> {
    pub fn get(&mut self) -> Result<&mut Workspace, CudaError> {
        self.0.as_mut().ok_or(CudaError::Internal("a workspace that was not made"))
    }
}

/// Whoever panicked while holding one of these locks left what it guards whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
