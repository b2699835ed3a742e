//! Encoding chunks on the device, many at a time: the twin of [`crate::model::session::Encoder`].
//!
//! Chunks of similar length go through the layers side by side, without padding, each after the shared prefix. Each
//! layer's keys and values are copied to their place in the chunks' host memory while the next layer computes, and
//! finished chunks are handed on while the next batch does.

use std::sync::Arc;

use super::{
    CudaError,
    angles::Angles,
    device::{Event, Pointer},
    groups::Group,
    layers::{Destination, Pass},
    memory::DeviceBuffer,
    network::CudaNetwork,
    segment::{DeviceSegment, HostMemory, HostSegment},
    workspace::{Tokens, Workspace},
};
use crate::{
    config::CacheDtype,
    model::{kv::KvShape, session::Cancelled},
};

/// Tokens of a batch, where memory allows: products of so many rows run at the device's full speed.
const BATCH_TOKENS: usize = 16 << 10;

/// A batch is not made smaller than this where memory is short.
const LEAST_BATCH_TOKENS: usize = 256;

/// Layers recorded and not yet copied.
const RECORDS: usize = 2;

/// Encodes chunks after a prefix.
pub struct Encoder<'a> {
    network: &'a CudaNetwork,
    dtype: CacheDtype,
    /// What every chunk sees before itself.
    prefix: Option<Prefix>,
    batch: Option<Batch>,
    /// Most tokens of a batch.
    batch_tokens: usize,
    /// By record: it holds a layer; that layer is copied.
    recorded: [Event; RECORDS],
    copied: [Event; RECORDS],
    /// Layers recorded so far.
    records: usize,
}

/// The prefix's rotated keys and values.
struct Prefix {
    group: Group,
    tokens: usize,
    _buffer: DeviceBuffer,
}

/// Memory of the layer at hand: keys and values of a batch's tokens, and what is recorded of them.
struct Batch {
    tokens: usize,
    own: Group,
    records: [Pointer; RECORDS],
    _buffer: DeviceBuffer,
}

/// A batch on the device, and the host memory that it ends up in.
struct Running<'a> {
    network: &'a CudaNetwork,
    /// By chunk: its index, shape and memory.
    chunks: Vec<(usize, KvShape, HostMemory)>,
    done: Event,
}

/// Encodes tokens that nothing stands before, as a segment: the prefix.
pub fn encode_prefix(
    network: &CudaNetwork,
    tokens: &[u32],
    dtype: CacheDtype,
    cancelled: Cancelled,
) -> Result<HostSegment, CudaError> {
    let mut segment = None;
    let mut encoder = Encoder::new(network, None, dtype)?;
    let chunks = [tokens];
    let mut allocate = |bytes| HostMemory::Pageable(vec![0; bytes]);
    encoder.encode(&chunks, &mut allocate, &mut |_, encoded| segment = Some(encoded), cancelled)?;
    segment.ok_or(CudaError::Internal("a segment was not encoded"))
}

impl<'a> Encoder<'a> {
    /// An encoder of chunks that see `prefix` as the store keeps it, into segments of `dtype`.
    pub fn new(
        network: &'a CudaNetwork,
        prefix: Option<&Arc<DeviceSegment>>,
        dtype: CacheDtype,
    ) -> Result<Self, CudaError> {
        let prefix = prefix.filter(|prefix| prefix.tokens() > 0);
        let event = || network.gpu().event();
        Ok(Self {
            prefix: prefix.map(|prefix| Prefix::new(network, prefix)).transpose()?,
            network,
            dtype,
            batch: None,
            batch_tokens: BATCH_TOKENS,
            recorded: [event()?, event()?],
            copied: [event()?, event()?],
            records: 0,
        })
    }

    /// As it is, with batches of at most so many tokens. A chunk that is longer has one of its own.
    pub fn with_batches_of(mut self, tokens: usize) -> Self {
        self.batch_tokens = tokens.max(1);
        self
    }

    /// Encodes chunks. Each stands right after the prefix, sees the prefix and itself, and only its own keys and values are
    /// kept. `allocate` gives the memory that a segment is brought to, and may wait until there is some; `finished` gets
    /// each segment with its chunk's index, in no particular order, while the device goes on with the next ones.
    ///
    /// # Errors
    /// [`CudaError::ContextTooLong`] when prefix and chunk exceed the model's context, [`CudaError::Cancelled`],
    /// [`CudaError::OutOfMemory`]. What was finished by then has been handed over.
    pub fn encode<C: AsRef<[u32]>>(
        &mut self,
        chunks: &[C],
        allocate: &mut dyn FnMut(usize) -> HostMemory,
        finished: &mut dyn FnMut(usize, HostSegment),
        cancelled: Cancelled,
    ) -> Result<(), CudaError> {
        let lengths: Vec<usize> = chunks.iter().map(|chunk| chunk.as_ref().len()).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        for chunk in chunks {
            self.network.check_tokens(chunk.as_ref())?;
        }
        self.network.check_length(self.prefix_tokens() + longest)?;
        let angles = self.network.angles(self.prefix_tokens() + longest)?;
        for (index, _) in lengths.iter().enumerate().filter(|(_, tokens)| **tokens == 0) {
            let nothing = HostMemory::Pageable(Vec::new());
            finished(index, HostSegment::new(self.network.segment_shape(0), self.dtype, nothing)?);
        }
        if longest == 0 {
            return Ok(());
        }

        let total: usize = lengths.iter().sum();
        let room = self.make_room(self.batch_tokens.min(total).max(longest), longest)?;
        let mut before: Option<Running> = None;
        for indices in batches(&lengths, room.min(self.batch_tokens).max(longest)) {
            let parts: Vec<(usize, &[u32])> =
                indices.into_iter().map(|index| (index, chunks[index].as_ref())).collect();
            let started = self.start(&parts, &angles, allocate, cancelled);
            // The device has the next batch to do while the one before is handed over.
            if let Some(before) = before.take() {
                before.finish(self.dtype, finished)?;
            }
            before = Some(started?);
        }
        before.map_or(Ok(()), |last| last.finish(self.dtype, finished))
    }

    fn prefix_tokens(&self) -> usize {
        self.prefix.as_ref().map_or(0, |prefix| prefix.tokens)
    }

    /// Makes room for batches of `wanted` tokens, or of as many fewer as memory makes necessary, but of `least` at
    /// least; says how many tokens there is room for.
    fn make_room(&mut self, wanted: usize, least: usize) -> Result<usize, CudaError> {
        if let Some(batch) = self.batch.as_ref().filter(|batch| batch.tokens >= wanted) {
            return Ok(batch.tokens);
        }
        // Copies and kernels of batches before may still use it.
        self.network.gpu().synchronize()?;
        self.batch = None;
        let mut tokens = wanted;
        loop {
            let free = self.network.free_for_session()? + self.network.workspace_bytes();
            let needed = Workspace::needed(self.network.shape(), self.network.element(), tokens)
                + Batch::bytes(self.network, self.dtype, tokens) as u64;
            let smallest = tokens <= least.max(LEAST_BATCH_TOKENS);
            if needed > free && !smallest {
                tokens = (tokens / 2).max(least.max(LEAST_BATCH_TOKENS));
                continue;
            }
            match self.try_room(tokens) {
                Err(CudaError::OutOfMemory { .. }) if !smallest => {
                    tokens = (tokens / 2).max(least.max(LEAST_BATCH_TOKENS));
                }
                result => return result.map(|()| tokens),
            }
        }
    }

    fn try_room(&mut self, tokens: usize) -> Result<(), CudaError> {
        let got = self.network.workspace(tokens)?.get()?.tokens();
        if got < tokens {
            let needed = Workspace::needed(self.network.shape(), self.network.element(), tokens);
            return Err(CudaError::OutOfMemory { needed, free: self.network.gpu().free_bytes()? });
        }
        self.batch = Some(Batch::new(self.network, self.dtype, tokens)?);
        Ok(())
    }

    /// Starts one batch: chunks with their indices.
    fn start(
        &mut self,
        chunks: &[(usize, &[u32])],
        angles: &Angles,
        allocate: &mut dyn FnMut(usize) -> HostMemory,
        cancelled: Cancelled,
    ) -> Result<Running<'a>, CudaError> {
        let network = self.network;
        let memory = |(index, tokens): &(usize, &[u32])| {
            let shape = network.segment_shape(tokens.len());
            (*index, shape, allocate(shape.bytes(self.dtype)))
        };
        let mut running =
            Running { network, chunks: chunks.iter().map(memory).collect(), done: network.gpu().event()? };
        let ids: Vec<u32> = chunks.iter().flat_map(|(_, tokens)| tokens.iter().copied()).collect();
        let mut sequence_start = vec![0];
        let mut positions = Vec::with_capacity(ids.len());
        for (_, tokens) in chunks {
            let start = self.prefix_tokens() as u32;
            positions.extend(start..start + tokens.len() as u32);
            sequence_start.push(positions.len() as u32);
        }
        let longest = chunks.iter().map(|(_, tokens)| tokens.len()).max().unwrap_or(0);

        let mut held = network.workspace(ids.len())?;
        let workspace = held.get()?;
        workspace.bring(
            network.gpu(),
            &Tokens { ids: &ids, positions: &positions, sequence_start: &sequence_start },
        )?;
        let activations = *workspace.activations();
        let pass = Pass::begin(network.tools(angles), activations, ids.len(), chunks.len(), longest)?;
        self.run(&pass, &mut running, &sequence_start, cancelled)?;
        network.gpu().copy_out().record(&running.done)?;
        Ok(running)
    }

    /// Starts all layers of a batch, and the copies of what they record. Past the last layer's keys and values nothing is
    /// ever used.
    fn run(
        &mut self,
        pass: &Pass,
        running: &mut Running,
        sequence_start: &[u32],
        cancelled: Cancelled,
    ) -> Result<(), CudaError> {
        let gpu = self.network.gpu();
        let (compute, copy_out) = (gpu.compute(), gpu.copy_out());
        let batch = self.batch.as_ref().ok_or(CudaError::Internal("a batch without memory"))?;
        let layers = &self.network.weights().layers;
        for (index, layer) in layers.iter().enumerate() {
            if cancelled() {
                return Err(CudaError::Cancelled);
            }
            let record = self.records % RECORDS;
            self.records += 1;
            pass.project(layer)?;
            // What was recorded there before must be on the host.
            compute.wait(&self.copied[record])?;
            let to = Destination {
                record: Some((batch.records[record], self.dtype)),
                ..batch.own.destination(0, 0)
            };
            pass.finish(layer, &to)?;
            compute.record(&self.recorded[record])?;
            copy_out.wait(&self.recorded[record])?;
            running.fetch(index, batch.records[record], sequence_start, self.dtype)?;
            copy_out.record(&self.copied[record])?;
            if index + 1 == layers.len() {
                break;
            }
            let prefix = self.prefix.as_ref().map(|prefix| prefix.group.layer(index, prefix.tokens));
            pass.attend_after(prefix.unwrap_or_default(), batch.own.layer(0, 0))?;
            pass.attention_output(layer)?;
            pass.feed_forward(layer)?;
        }
        Ok(())
    }
}

impl Prefix {
    fn new(network: &CudaNetwork, prefix: &DeviceSegment) -> Result<Self, CudaError> {
        network.check_segment(prefix.shape())?;
        let (shape, element, tokens) = (network.shape(), network.element(), prefix.tokens());
        let angles = network.angles(tokens)?;
        let buffer = network.or_without_spare(|| network.gpu().allocate(shape.kv_bytes(tokens, element)))?;
        let group = Group::new(shape, element, tokens, buffer.pointer());
        group.place_prefix(network, prefix, &angles)?;
        // The segment is the caller's, and may go.
        network.gpu().compute().synchronize()?;
        Ok(Self { group, tokens, _buffer: buffer })
    }
}

impl Batch {
    fn bytes(network: &CudaNetwork, dtype: CacheDtype, tokens: usize) -> usize {
        let shape = network.shape();
        shape.layer_kv_bytes(tokens, network.element()) + RECORDS * shape.layer_kv_bytes(tokens, dtype)
    }

    fn new(network: &CudaNetwork, dtype: CacheDtype, tokens: usize) -> Result<Self, CudaError> {
        let shape = network.shape();
        let bytes = Self::bytes(network, dtype, tokens);
        let buffer = network.or_without_spare(|| network.gpu().allocate(bytes))?;
        let own = Group::new(shape, network.element(), tokens, buffer.pointer());
        let records = buffer.at(shape.layer_kv_bytes(tokens, network.element()));
        let record = |index: usize| records + (index * shape.layer_kv_bytes(tokens, dtype)) as u64;
        Ok(Self { tokens, own, records: [record(0), record(1)], _buffer: buffer })
    }
}

impl Running<'_> {
    /// Starts copying what was recorded of one layer to the chunks' memory.
    fn fetch(
        &mut self,
        layer: usize,
        record: Pointer,
        sequence_start: &[u32],
        dtype: CacheDtype,
    ) -> Result<(), CudaError> {
        let copy_out = self.network.gpu().copy_out();
        for ((_, shape, memory), start) in self.chunks.iter_mut().zip(sequence_start) {
            let bytes = shape.layer_bytes(dtype);
            let from = record + (bytes / shape.tokens * *start as usize) as u64;
            let to = &mut memory.bytes_mut()[layer * bytes..(layer + 1) * bytes];
            // SAFETY: nobody looks at the memory before `done`, and it goes only after that.
            unsafe { copy_out.copy_to_host(to, from)? };
        }
        Ok(())
    }

    /// Waits for the batch and hands its segments over.
    fn finish(
        mut self,
        dtype: CacheDtype,
        finished: &mut dyn FnMut(usize, HostSegment),
    ) -> Result<(), CudaError> {
        self.done.synchronize()?;
        for (index, shape, memory) in std::mem::take(&mut self.chunks) {
            finished(index, HostSegment::new(shape, dtype, memory)?);
        }
        Ok(())
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // Copies to the chunks' memory may be under way, also where `done` was never recorded.
        if !self.chunks.is_empty()
            && let Err(error) = self.network.gpu().copy_out().synchronize()
        {
            tracing::error!(%error, "the GPU failed while it encoded");
        }
    }
}

/// Chunks that go through the layers together, by their indices: of similar length, so that no block of threads waits for
/// another's chunk, and of at most `most` tokens. Chunks without tokens are left out.
fn batches(lengths: &[usize], most: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).filter(|index| lengths[*index] > 0).collect();
    order.sort_by_key(|index| std::cmp::Reverse(lengths[*index]));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut tokens = 0;
    for index in order {
        match batches.last_mut() {
            Some(batch) if tokens + lengths[index] <= most => batch.push(index),
            _ => {
                batches.push(vec![index]);
                tokens = 0;
            }
        }
        tokens += lengths[index];
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::batches;

    #[test]
    fn batches_hold_chunks_of_similar_length_and_no_more_tokens_than_they_may() {
        assert_eq!(batches(&[5, 100, 0, 7, 90, 6], 100), [vec![1], vec![4, 3], vec![5, 0]]);
        assert_eq!(batches(&[200], 100), [[0]]);
        assert_eq!(batches(&[200, 1], 100), [[0], [1]]);
        assert!(batches(&[0, 0], 100).is_empty());
        let lengths: Vec<usize> = (0..1000).map(|index| 1 + index * 37 % 512).collect();
        let found = batches(&lengths, 4096);
        let mut indices: Vec<usize> = found.iter().flatten().copied().collect();
        indices.sort_unstable();
        assert_eq!(indices, (0..1000).collect::<Vec<_>>());
        assert!(found.iter().all(|batch| batch.iter().map(|index| lengths[*index]).sum::<usize>() <= 4096));
    }
}
