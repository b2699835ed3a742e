//! Running a question over an assembled context: the twin of [`crate::model::session::Session`].
//!
//! Everything is started on the device and comes back with the logits. A session is made while its context is still on
//! the way: the layers wait for theirs, one by one.

use std::sync::Arc;

use super::{
    CudaError,
    angles::Angles,
    context::{Context, Kept},
    device::Event,
    fits::Fit,
    groups::{Group, SessionLayout, SessionMemory},
    kernels::chosen,
    layers::{ContextKeys, Pass},
    loading::{Loading, Site},
    memory::DeviceBuffer,
    network::{BLOCK_TOKENS, CudaNetwork, HeldWorkspace},
    segment::DeviceSegment,
    workspace::{Activations, Tokens, Workspace},
};
use crate::model::{attention::ApeScaling, session::Cancelled};

/// A context ready for a question, or on its way to be, or nothing yet (for `full`).
pub struct Session<'a> {
    network: &'a CudaNetwork,
    /// Given back when the session ends.
    memory: Option<SessionMemory>,
    /// Prefix, query and generated tokens (for `full`: everything).
    other: Group,
    /// Tokens in it.
    other_tokens: usize,
    /// Where the other group is once it has outgrown the session's memory.
    grown: Option<DeviceBuffer>,
    /// All tokens of all segments, and how many.
    context: Option<(Group, usize)>,
    /// Until the first pass has gone through all layers, the context may still be on its way.
    loading: Option<Loading>,
    arrived: bool,
    scaling: ApeScaling,
    angles: Arc<Angles>,
    /// The next token's position.
    position: usize,
    /// Happen once the choice after the last token, and its logits, are in the session's memory.
    answered: Option<Answered>,
    /// Held for as long as the device may be reading it.
    _prefix: Option<Arc<DeviceSegment>>,
}

/// What a session waits for.
struct Answered {
    choice: Event,
    logits: Event,
}

impl<'a> Session<'a> {
    /// A session with nothing before it, `full`, with room for so many tokens, prompt and answer together. More are taken
    /// too, at the price of moving what there is.
    ///
    /// # Errors
    /// [`CudaError::ContextDoesNotFit`].
    pub fn empty(network: &'a CudaNetwork, tokens: usize) -> Result<Self, CudaError> {
        // Before memory is counted: it goes on being used.
        let block = tokens.clamp(1, BLOCK_TOKENS);
        drop(network.workspace(block)?);
        let angles = network.angles(tokens)?;
        let layout = SessionLayout::new(network.shape(), network.element(), 0, tokens, 0, 0);
        let memory = Self::memory(network, &layout, 0, block, || Fit::of_full(network))?;
        let start = memory.device.pointer() + layout.other;
        Ok(Self {
            network,
            other: Group::new(network.shape(), network.element(), tokens, start),
            memory: Some(memory),
            other_tokens: 0,
            grown: None,
            context: None,
            loading: None,
            arrived: true,
            scaling: ApeScaling::NONE,
            angles,
            position: 0,
            answered: None,
            _prefix: None,
        })
    }

    /// A session over a stored prefix and stored segments, with room for a query and an answer of so many tokens. The
    /// segments may still be on their way when this returns.
    ///
    /// # Errors
    /// [`CudaError::ContextTooLong`] when the query's last position would exceed the model's context, and
    /// [`CudaError::ContextDoesNotFit`] when the device has no memory for so many tokens.
    pub fn with_context(
        network: &'a CudaNetwork,
        prefix: &Arc<DeviceSegment>,
        context: Context,
        scaling: ApeScaling,
        query: usize,
        answer: usize,
    ) -> Result<Self, CudaError> {
        network.check_segment(prefix.shape())?;
        let (shape, element, dtype) = (network.shape(), network.element(), prefix.dtype());
        let start = prefix.tokens();
        let position = start + context.extent();
        network.check_length(position + query)?;

        let block = query.clamp(1, BLOCK_TOKENS);
        drop(network.workspace(block)?);
        let angles = network.angles(position + query + answer)?;
        let (tokens, capacity) = (context.tokens(), start + query + answer);
        let table_bytes = context.table_bytes(shape.config.layers);
        let stage_bytes = context.stage_bytes(network, dtype);
        let layout = SessionLayout::new(shape, element, tokens, capacity, table_bytes, stage_bytes);
        let fit = || Fit::of_context(network, capacity, table_bytes, (stage_bytes > 0).then_some(dtype));
        let mut memory = Self::memory(network, &layout, table_bytes, block, fit)?;

        let group =
            |offset: u64, capacity| Group::new(shape, element, capacity, memory.device.pointer() + offset);
        let (other, group) = (group(layout.other, capacity), group(layout.context, tokens));
        let mut session = Self {
            network,
            other,
            other_tokens: 0,
            memory: None,
            grown: None,
            context: (tokens > 0).then_some((group, tokens)),
            loading: None,
            arrived: tokens == 0,
            scaling,
            angles: angles.clone(),
            position,
            answered: None,
            _prefix: Some(prefix.clone()),
        };
        if tokens > 0 {
            let site = Site { group, start, dtype, layout: &layout, angles };
            match Loading::start(network, context, site, &mut memory) {
                Ok(loading) => session.loading = Some(loading),
                Err(error) => {
                    // Something may have been started on this memory.
                    session.memory = Some(memory);
                    return Err(error);
                }
            }
        }
        session.memory = Some(memory);
        if let Some(loading) = &mut session.loading {
            loading.go_ahead(network, 0)?;
        }
        session.place_prefix(prefix)?;
        Ok(session)
    }

    /// Memory of this layout, and page-locked memory for logits and table, of a session that runs blocks of `block` tokens.
    fn memory(
        network: &CudaNetwork,
        layout: &SessionLayout,
        table_bytes: usize,
        block: usize,
        fit: impl FnOnce() -> Fit,
    ) -> Result<SessionMemory, CudaError> {
        if layout.bytes > network.free_for_session()? {
            // Encoding may have left it large.
            network.shrink_workspace(block)?;
        }
        let free = network.free_for_session()?;
        let does_not_fit = |free| CudaError::ContextDoesNotFit {
            needed: layout.bytes,
            free,
            most_tokens: fit().most_tokens(free),
        };
        if layout.bytes > free {
            return Err(does_not_fit(free));
        }
        // More than is needed, so that it is seldom made anew.
        let pinned = (logits_bytes(network) + table_bytes + 32).next_power_of_two();
        match network.session_memory(layout, pinned) {
            // What is free may be in pieces, or somebody else's by now.
            Err(CudaError::OutOfMemory { free, .. }) => {
                Err(does_not_fit(free.min(layout.bytes.saturating_sub(1))))
            }
            result => result,
        }
    }

    /// Starts placing the prefix in front of the other group, on the stream of kernels, which reads it there.
    fn place_prefix(&mut self, prefix: &DeviceSegment) -> Result<(), CudaError> {
        self.other.place_prefix(self.network, prefix, &self.angles)?;
        self.other_tokens = prefix.tokens();
        Ok(())
    }

    /// True when the model's context has no position left for another token.
    pub fn is_full(&self) -> bool {
        self.position >= self.network.shape().config.context_tokens
    }

    /// The next token's position.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Starts running tokens through the network after everything before them. Waits for segments that are read from
    /// files, and for the device only where it is several blocks of tokens behind.
    ///
    /// # Errors
    /// [`CudaError::ContextTooLong`]; [`CudaError::Cancelled`] and [`CudaError::Segment`], after which the session is of
    /// no use.
    pub fn prefill(&mut self, tokens: &[u32], cancelled: Cancelled) -> Result<(), CudaError> {
        let network = self.network;
        network.check_tokens(tokens)?;
        network.check_length(self.position + tokens.len())?;
        if tokens.is_empty() {
            return Ok(());
        }
        self.reserve(tokens.len())?;
        self.angles = network.angles(self.position + tokens.len())?;
        let mut workspace = network.workspace(tokens.len().min(BLOCK_TOKENS))?;
        let block = workspace.get()?.tokens().min(BLOCK_TOKENS);
        let blocks = tokens.len().div_ceil(block);
        for (index, block) in tokens.chunks(block).enumerate() {
            self.run(block, index + 1 == blocks, &mut workspace, cancelled)?;
        }
        Ok(())
    }

    /// Starts one block of tokens; with `answer`, the logits after its last one too.
    fn run(
        &mut self,
        tokens: &[u32],
        answer: bool,
        workspace: &mut HeldWorkspace,
        cancelled: Cancelled,
    ) -> Result<(), CudaError> {
        let network = self.network;
        let count = tokens.len();
        let positions: Vec<u32> = (self.position as u32..(self.position + count) as u32).collect();
        let workspace = workspace.get()?;
        let sequence_start = [0, count as u32];
        let tokens = Tokens { ids: tokens, positions: &positions, sequence_start: &sequence_start };
        workspace.bring(network.gpu(), &tokens)?;
        if answer {
            network.gpu().compute().fill(workspace.activations().choice, 0, size_of::<u64>())?;
        }
        let angles = self.angles.clone();
        let mut pass = Pass::begin(network.tools(&angles), *workspace.activations(), count, 1, count)?;

        let layers = &network.weights().layers;
        for (index, layer) in layers.iter().enumerate() {
            if cancelled() {
                return Err(CudaError::Cancelled);
            }
            pass.project(layer)?;
            pass.finish(layer, &self.other.destination(index, self.other_tokens))?;
            if let Some(loading) = self.loading.as_mut().filter(|_| !self.arrived) {
                loading.await_layer(network, index, cancelled)?;
            }
            if index + 1 == layers.len() {
                if !answer {
                    break;
                }
                pass.keep_last();
            }
            let context = ContextKeys {
                keys: self.context.map(|(group, tokens)| group.layer(index, tokens)).unwrap_or_default(),
                settled: self.arrived,
            };
            let own = self.other.layer(index, self.other_tokens + count);
            pass.attend(context, own, self.scaling)?;
            pass.attention_output(layer)?;
            pass.feed_forward(layer)?;
            if let Some(loading) = self.loading.as_mut().filter(|_| !self.arrived) {
                loading.go_ahead(network, index + 1)?;
            }
        }
        self.arrived = true;
        self.other_tokens += count;
        self.position += count;
        if answer {
            network.gpu().compute().wait(workspace.fetched())?;
            pass.logits()?;
            self.fetch(workspace)?;
        }
        Ok(())
    }

    /// Starts bringing the choice and the logits to the session's memory; whoever needs only the choice does not wait for
    /// the logits.
    fn fetch(&mut self, workspace: &Workspace) -> Result<(), CudaError> {
        let (compute, aside) = (self.network.gpu().compute(), self.network.answer_stream());
        let Activations { logits, choice, .. } = *workspace.activations();
        let memory = self.memory.as_mut().ok_or(CudaError::Internal("a session without memory"))?;
        let (to, rest) = memory.pinned.split_at_mut(logits_bytes(self.network));
        let answered = match self.answered.take() {
            Some(answered) => answered,
            None => Answered { choice: self.network.gpu().event()?, logits: self.network.gpu().event()? },
        };
        // SAFETY: nobody looks at these parts of the memory before their events, and it is given back only after those.
        unsafe { compute.copy_to_host(&mut rest[..size_of::<u64>()], choice)? };
        compute.record(&answered.choice)?;
        aside.wait(&answered.choice)?;
        // SAFETY: as above.
        unsafe { aside.copy_to_host(to, logits)? };
        aside.record(&answered.logits)?;
        aside.record(workspace.fetched())?;
        self.answered = Some(answered);
        Ok(())
    }

    /// Logits `[vocabulary]` of the token that follows the last one; waits for the device.
    ///
    /// # Errors
    /// [`CudaError::Internal`] before the first [`Self::prefill`]; whatever went wrong on the device since then.
    pub fn logits(&self) -> Result<&[f32], CudaError> {
        let (answered, pinned) = self.answer()?;
        answered.logits.synchronize()?;
        Ok(bytemuck::cast_slice(&pinned[..logits_bytes(self.network)]))
    }

    /// The token with the largest logit, the first of several; waits for the device, and not for [`Self::logits`].
    ///
    /// # Errors
    /// As [`Self::logits`].
    pub fn most_likely(&self) -> Result<u32, CudaError> {
        let (answered, pinned) = self.answer()?;
        answered.choice.synchronize()?;
        let start = logits_bytes(self.network);
        Ok(chosen(bytemuck::pod_read_unaligned(&pinned[start..start + size_of::<u64>()])))
    }

    fn answer(&self) -> Result<(&Answered, &[u8]), CudaError> {
        let answered = self.answered.as_ref().ok_or(CudaError::Internal("no token has been prefilled"))?;
        let memory = self.memory.as_ref().ok_or(CudaError::Internal("a session without memory"))?;
        Ok((answered, &memory.pinned[..]))
    }

    /// Waits until the whole context is in place, and gives what was loaded on the way for the tiers to keep, by the
    /// segments' indices. Once, after the first [`Self::prefill`].
    pub fn take_kept(&mut self) -> Result<Vec<(usize, Kept)>, CudaError> {
        match &mut self.loading {
            Some(loading) => loading.take_kept(self.network),
            None => Ok(Vec::new()),
        }
    }

    /// Makes room for `added` more tokens in the other group.
    fn reserve(&mut self, added: usize) -> Result<(), CudaError> {
        let needed = self.other_tokens + added;
        if needed <= self.other.capacity {
            return Ok(());
        }
        let (network, shape, element) = (self.network, self.network.shape(), self.network.element());
        let capacity = needed.max(2 * self.other.capacity).next_multiple_of(64);
        let bytes = shape.kv_bytes(capacity, element);
        let buffer = network.or_without_spare(|| network.gpu().allocate(bytes))?;
        let larger = Group::new(shape, element, capacity, buffer.pointer());
        if self.other_tokens > 0 {
            larger.copy_from(network.gpu(), shape, &self.other, self.other_tokens)?;
        }
        // What it was in goes, or is used for something else, only after this.
        network.gpu().compute().synchronize()?;
        self.other = larger;
        self.grown = Some(buffer);
        Ok(())
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if let Some(loading) = &mut self.loading {
            loading.stop_reading();
        }
        // The device may still be reading segments and writing to the memory.
        match self.network.gpu().synchronize() {
            Ok(()) => {
                if let Some(memory) = self.memory.take() {
                    self.network.give_back(memory);
                }
            }
            Err(error) => tracing::error!(%error, "the GPU failed at the end of a session"),
        }
    }
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("context", &self.context.map_or(0, |(_, tokens)| tokens))
            .field("other", &self.other_tokens)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

fn logits_bytes(network: &CudaNetwork) -> usize {
    network.shape().config.vocabulary * size_of::<f32>()
}
