//! Bringing a context into its place while the first layers already compute.
//!
//! Layer after layer, what is not on the device yet is copied there on two streams, and rotated into the context's buffers
//! on another; an event a layer tells the stream of kernels that its context is in place. Segments that are to be kept on
//! the device are copied to where they stay and rotated from there; all others pass through one of two stages. Threads that
//! read files start the copies of what they read, the thread that runs the session all others.

use std::sync::Arc;

use super::{
    CudaError,
    angles::Angles,
    context::{Context, ContextSegment, Kept, SegmentSource},
    device::{Event, Stream},
    groups::{Group, STAGES, SessionLayout, SessionMemory},
    kernels::{PlaceMany, PlacedSegment},
    network::CudaNetwork,
    reading::{Address, Cell, Piece, PieceSource, Readers, Staging, Target, Way},
    segment::{DeviceSegment, HostMemory, HostSegment},
};
use crate::{config::CacheDtype, model::session::Cancelled};

/// Layers that are copied ahead of the one that computes.
const AHEAD: usize = 2;

/// Layers of segments that a thread has in page-locked memory: one is read while others are copied.
const CELLS: usize = 3;

/// Where a context goes.
pub(super) struct Site<'a> {
    pub group: Group,
    /// Position of the first segment's first token.
    pub start: usize,
    /// The type that the segments are stored in.
    pub dtype: CacheDtype,
    pub layout: &'a SessionLayout,
    pub angles: Arc<Angles>,
}

/// A segment in page-locked memory whose layers are copied to the device.
struct Incoming {
    from: Arc<HostSegment>,
    to: Target,
    layer_bytes: usize,
}

/// A context on its way to its place.
pub(super) struct Loading {
    incoming: Vec<Incoming>,
    staging: Staging,
    placed: Arc<Vec<Event>>,
    /// Each stream of copies has done its part of a layer.
    copied: [Event; 2],
    /// Everything of [`PlaceMany`] that is the same for all layers.
    place: PlaceMany,
    group: Group,
    /// Layers whose copies and rotation have been started.
    issued: usize,
    /// Ends before what it writes to, which is below.
    readers: Option<Readers>,
    /// What goes on to the tiers, with the segments' indices.
    kept_device: Vec<(usize, DeviceSegment)>,
    kept_host: Vec<(usize, usize, HostMemory)>,
    dtype: CacheDtype,
    /// Held for as long as the device may be reading them.
    held: Vec<Arc<DeviceSegment>>,
    _angles: Arc<Angles>,
}

impl Loading {
    /// Starts to bring a context to its site, by way of a session's memory. Nothing is waited for.
    pub fn start(
        network: &CudaNetwork,
        context: Context,
        site: Site,
        memory: &mut SessionMemory,
    ) -> Result<Self, CudaError> {
        let layers = network.shape().config.layers;
        for segment in &context.segments {
            segment.check(network, site.dtype)?;
        }
        let slots = context.slots(site.start);
        let place = PlaceMany {
            source: 0,
            store_dtype: site.dtype,
            segments: memory.device.pointer() + site.layout.table,
            count: context.segments.len(),
            longest: context.segments.iter().map(|segment| segment.tokens).max().unwrap_or(0),
            keys: 0,
            values: 0,
            head_stride: 0,
            cos: site.angles.cos(),
            sin: site.angles.sin(),
            kv_heads: network.shape().config.heads.kv_heads,
        };
        let mut loading = Self {
            incoming: Vec::new(),
            staging: Staging {
                start: memory.device.pointer() + site.layout.staging,
                stage_bytes: site.layout.stage_bytes,
            },
            placed: Arc::new((0..layers).map(|_| network.gpu().event()).collect::<Result<_, _>>()?),
            copied: [network.gpu().event()?, network.gpu().event()?],
            place,
            group: site.group,
            issued: 0,
            readers: None,
            kept_device: Vec::new(),
            kept_host: Vec::new(),
            dtype: site.dtype,
            held: Vec::new(),
            _angles: site.angles,
        };
        let table = loading.admit(network, context, &slots, memory)?;
        loading.send_table(network, &table, memory)?;
        Ok(loading)
    }

    /// Takes the segments in, starts to read those in files, and gives the table of where each layer's segments are.
    fn admit(
        &mut self,
        network: &CudaNetwork,
        context: Context,
        slots: &[(usize, usize)],
        memory: &mut SessionMemory,
    ) -> Result<Vec<PlacedSegment>, CudaError> {
        let layers = network.shape().config.layers;
        let count = context.segments.len();
        let mut table = vec![PlacedSegment::default(); layers * count];
        let (mut pieces, mut stage_end) = (Vec::new(), 0);
        for (index, segment) in context.segments.into_iter().enumerate() {
            let bytes = network.shape().layer_kv_bytes(segment.tokens, self.dtype);
            let source = self.source(index, segment, bytes, &mut pieces, &mut stage_end);
            for layer in 0..layers {
                table[layer * count + index] = PlacedSegment {
                    source: match &source {
                        Placing::Device(segment) => segment.layer(layer),
                        Placing::Incoming(target) => self.staging.address(*target, layer, bytes),
                    },
                    tokens: number(slots[index + 1].0 - slots[index].0)?,
                    first_slot: number(slots[index].0)?,
                    start_position: number(slots[index].1)?,
                    reserved: 0,
                };
            }
            if let Placing::Device(segment) = source {
                self.held.push(segment);
            }
        }
        if !pieces.is_empty() {
            let cells = make_cells(network, memory, &pieces, context.threads)?;
            let (streams, placed) = (Some(network.copy_streams().clone()), self.placed.clone());
            let way = Way { streams, staging: self.staging, placed };
            self.readers = Some(Readers::start(pieces, layers, cells, context.read, way));
        }
        Ok(table)
    }

    /// Notes where a segment comes from and where it goes.
    fn source(
        &mut self,
        index: usize,
        segment: ContextSegment,
        layer_bytes: usize,
        pieces: &mut Vec<Piece>,
        stage_end: &mut u64,
    ) -> Placing {
        let source = match segment.source {
            SegmentSource::Device(segment) => return Placing::Device(segment),
            other => other,
        };
        let target = match segment.keep {
            Some(kept) => {
                let start = kept.layer(0);
                self.kept_device.push((index, kept));
                Target::Kept(start)
            }
            None => {
                let offset = *stage_end;
                *stage_end += layer_bytes as u64;
                Target::Stage(offset)
            }
        };
        let mut read = |source: PieceSource, whole: Option<Address>| {
            pieces.push(Piece { segment: index, layer_bytes, source, whole, target });
        };
        match source {
            SegmentSource::Device(_) => {}
            SegmentSource::Host(from) if from.is_pinned() => {
                self.incoming.push(Incoming { from, to: target, layer_bytes });
            }
            SegmentSource::Host(host) => read(PieceSource::Memory(host), None),
            SegmentSource::File { into: Some(HostMemory::Pinned(block)) } => {
                let mut memory = HostMemory::Pinned(block);
                let whole = Address::of(memory.bytes_mut());
                self.kept_host.push((index, segment.tokens, memory));
                read(PieceSource::File, Some(whole));
            }
            SegmentSource::File { .. } => read(PieceSource::File, None),
        }
        Placing::Incoming(target)
    }

    /// Starts bringing the table to the device, and lets the stream that rotates wait for it, and for whatever was started
    /// before: the angles, and what used the same memory.
    fn send_table(
        &self,
        network: &CudaNetwork,
        table: &[PlacedSegment],
        memory: &mut SessionMemory,
    ) -> Result<(), CudaError> {
        let bytes = bytemuck::cast_slice(table);
        let start = memory.pinned.bytes() - bytes.len();
        let start = start - start % 16;
        let letter = &mut memory.pinned[start..start + bytes.len()];
        letter.copy_from_slice(bytes);
        let (compute, place) = (network.gpu().compute(), network.place_stream());
        let event = network.gpu().event()?;
        // SAFETY: the session holds the memory, and writes this part of it never again, until it has waited for everything.
        unsafe { compute.copy_to_device(self.place.segments, letter)? };
        compute.record(&event)?;
        place.wait(&event)?;
        network.copy_streams().iter().try_for_each(|stream| stream.wait(&event))
    }

    /// Makes the stream of kernels wait until `layer` is in place, having started everything for it. Waits itself only for
    /// what is read from files.
    pub fn await_layer(
        &mut self,
        network: &CudaNetwork,
        layer: usize,
        cancelled: Cancelled,
    ) -> Result<(), CudaError> {
        while self.issued <= layer {
            if let Some(readers) = &self.readers {
                readers.wait(self.issued, cancelled)?;
            }
            self.issue(network)?;
        }
        network.gpu().compute().wait(&self.placed[layer])
    }

    /// Starts what can be started without waiting of the layers after `layer`.
    pub fn go_ahead(&mut self, network: &CudaNetwork, layer: usize) -> Result<(), CudaError> {
        while self.issued < self.placed.len() && self.issued <= layer + AHEAD {
            if self.readers.as_ref().is_some_and(|readers| !readers.is_ready(self.issued)) {
                return Ok(());
            }
            // A layer that could not be read is reported by whoever waits for it.
            if let Some(readers) = &self.readers
                && readers.wait(self.issued, &|| false).is_err()
            {
                return Ok(());
            }
            self.issue(network)?;
        }
        Ok(())
    }

    /// Starts the next layer's rotation, and the copies that readers do not start.
    fn issue(&mut self, network: &CudaNetwork) -> Result<(), CudaError> {
        let layer = self.issued;
        let (streams, place) = (network.copy_streams(), network.place_stream());
        let is_copied = !self.incoming.is_empty() || self.readers.is_some();
        if is_copied {
            // The stage is free once the layer that was there before has been rotated from there.
            if let Some(before) = layer.checked_sub(STAGES).filter(|_| !self.incoming.is_empty()) {
                streams.iter().try_for_each(|stream| stream.wait(&self.placed[before]))?;
            }
            for (incoming, stream) in self.incoming.iter().zip(streams.iter().cycle()) {
                self.copy(stream, incoming, layer)?;
            }
            for (stream, copied) in streams.iter().zip(&self.copied) {
                stream.record(copied)?;
                place.wait(copied)?;
            }
        }
        let to = self.group.layer(layer, 0);
        let table = self.place.segments + (layer * self.place.count * size_of::<PlacedSegment>()) as u64;
        let call = PlaceMany {
            segments: table,
            keys: to.keys,
            values: to.values,
            head_stride: to.head_stride,
            ..self.place
        };
        network.kernels().place_many(place, &call)?;
        place.record(&self.placed[layer])?;
        if let Some(readers) = &self.readers {
            readers.open(layer + STAGES);
        }
        self.issued += 1;
        Ok(())
    }

    fn copy(&self, stream: &Stream, incoming: &Incoming, layer: usize) -> Result<(), CudaError> {
        if incoming.layer_bytes == 0 {
            return Ok(());
        }
        let to = self.staging.address(incoming.to, layer, incoming.layer_bytes);
        // SAFETY: segments are held, and never changed, until the copy is done.
        unsafe { stream.copy_to_device(to, incoming.from.layer(layer)) }
    }

    /// True when everything has been started.
    pub fn is_issued(&self) -> bool {
        self.issued == self.placed.len()
    }

    /// Waits until all of it is in place, and gives up what goes on to the tiers, by the segments' indices.
    pub fn take_kept(&mut self, network: &CudaNetwork) -> Result<Vec<(usize, Kept)>, CudaError> {
        if !self.is_issued() {
            return Err(CudaError::Internal("a context that is not in place yet"));
        }
        if let Some(last) = self.placed.last() {
            last.synchronize()?;
        }
        self.readers = None;
        let mut kept = Vec::new();
        for (index, segment) in self.kept_device.drain(..) {
            kept.push((index, Kept::Device(segment)));
        }
        for (index, tokens, memory) in self.kept_host.drain(..) {
            let segment = HostSegment::new(network.segment_shape(tokens), self.dtype, memory)?;
            kept.push((index, Kept::Host(segment)));
        }
        Ok(kept)
    }

    /// Ends the threads that read; what they wrote to may then go.
    pub fn stop_reading(&mut self) {
        self.readers = None;
    }
}

/// Where a segment's layers are rotated from.
enum Placing {
    Device(Arc<DeviceSegment>),
    Incoming(Target),
}

/// Page-locked memory of the threads that read: that of the session before where it is large enough. Where there is less
/// than wanted, fewer threads read.
fn make_cells(
    network: &CudaNetwork,
    memory: &mut SessionMemory,
    pieces: &[Piece],
    threads: usize,
) -> Result<Vec<Vec<Cell>>, CudaError> {
    let threads = threads.clamp(1, pieces.len());
    let passing = pieces.iter().filter(|piece| piece.whole.is_none());
    let Some(largest) = passing.map(|piece| piece.layer_bytes).max() else {
        return Ok((0..threads).map(|_| Vec::new()).collect());
    };
    let cell_bytes = largest.max(1).next_multiple_of(4096);
    let found = memory.cells.take().filter(|cells| cells.bytes() >= CELLS * threads * cell_bytes);
    let mut block = match found {
        Some(block) => block,
        None => std::iter::successors(Some(CELLS * threads), |count| (*count > 1).then_some(count / 2))
            .find_map(|count| network.gpu().allocate_pinned(count * cell_bytes).ok())
            .ok_or(CudaError::OutOfPinnedMemory { needed: cell_bytes as u64 })?,
    };
    let start = Address::of(&mut block);
    let count = block.bytes() / cell_bytes;
    memory.cells = Some(block);
    let threads = threads.min(count);
    let cell = |number: usize| {
        Ok(Cell { start: start.at(number * cell_bytes), copied: Some(network.gpu().event()?) })
    };
    let cells_each = (count / threads).min(CELLS);
    (0..threads).map(|thread| (0..cells_each).map(|own| cell(thread * cells_each + own)).collect()).collect()
}

fn number(count: usize) -> Result<u32, CudaError> {
    u32::try_from(count).map_err(|_| CudaError::Internal("a context beyond 32 bits"))
}
