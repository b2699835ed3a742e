//! Rotated keys and values of all layers, and the memory of a session that they are part of.

use super::{
    CudaError,
    angles::Angles,
    device::{Gpu, Pointer},
    kernels::{Keys, Place},
    layers::Destination,
    memory::{DeviceBuffer, PinnedBuffer},
    network::CudaNetwork,
    segment::DeviceSegment,
    shape::Shape,
};
use crate::config::CacheDtype;

/// Every part starts at a multiple of so many bytes.
const ALIGNMENT: u64 = 256;

/// Keys and values of some tokens in all layers: of each layer first the keys, E `[kv_heads, capacity, head_dim]`, then
/// the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    pub start: Pointer,
    pub capacity: usize,
    /// Bytes of one layer's keys.
    half_layer: u64,
    /// Numbers from a head to the next.
    head_stride: u64,
}

impl Group {
    pub fn new(shape: &Shape, element: CacheDtype, capacity: usize, start: Pointer) -> Self {
        let half_layer = (shape.layer_kv_bytes(capacity, element) / 2) as u64;
        let head_stride = (capacity * shape.config.heads.head_dim) as u64;
        Self { start, capacity, half_layer, head_stride }
    }

    /// A layer's first `count` tokens.
    pub fn layer(&self, layer: usize, count: usize) -> Keys {
        let keys = self.start + 2 * layer as u64 * self.half_layer;
        Keys { keys, values: keys + self.half_layer, head_stride: self.head_stride, count }
    }

    /// Where a pass's first token goes in a layer.
    pub fn destination(&self, layer: usize, first_slot: usize) -> Destination {
        let Keys { keys, values, head_stride, .. } = self.layer(layer, 0);
        Destination { keys, values, head_stride, first_slot, record: None }
    }

    /// Starts placing a stored prefix in the first slots, its keys at positions 0 on, on the stream of kernels.
    pub fn place_prefix(
        &self,
        network: &CudaNetwork,
        prefix: &DeviceSegment,
        angles: &Angles,
    ) -> Result<(), CudaError> {
        if prefix.tokens() == 0 {
            return Ok(());
        }
        let config = &network.shape().config;
        for layer in 0..config.layers {
            let Keys { keys, values, head_stride, .. } = self.layer(layer, 0);
            let call = Place {
                source: prefix.layer(layer),
                store_dtype: prefix.dtype(),
                tokens: prefix.tokens(),
                start_position: 0,
                keys,
                values,
                head_stride,
                first_slot: 0,
                cos: angles.cos(),
                sin: angles.sin(),
                kv_heads: config.heads.kv_heads,
            };
            network.kernels().place(network.gpu().compute(), &call)?;
        }
        Ok(())
    }

    /// Starts copying the first `tokens` tokens of `from`, a smaller group, on the stream of kernels.
    pub fn copy_from(&self, gpu: &Gpu, shape: &Shape, from: &Self, tokens: usize) -> Result<(), CudaError> {
        let heads = shape.config.heads;
        let parts = 2 * shape.config.layers * heads.kv_heads;
        let row = self.half_layer / (heads.kv_heads * self.capacity).max(1) as u64;
        for part in 0..parts as u64 {
            let to = self.start + part * row * self.capacity as u64;
            let from = from.start + part * row * from.capacity as u64;
            gpu.compute().copy_on_device(to, from, (row * tokens as u64) as usize)?;
        }
        Ok(())
    }
}

/// How much of what a session needs, and where in its memory it is, in bytes from the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SessionLayout {
    pub context: u64,
    pub other: u64,
    /// Places of the context's segments, layer by layer.
    pub table: u64,
    /// What is copied to the device before it is placed: [`STAGES`] of so many bytes each.
    pub staging: u64,
    pub stage_bytes: u64,
    /// All of it.
    pub bytes: u64,
}

/// Layers of stored segments on the device at once: one is filled while the one before is placed.
pub(super) const STAGES: usize = 2;

impl SessionLayout {
    pub fn new(
        shape: &Shape,
        element: CacheDtype,
        context_tokens: usize,
        other_tokens: usize,
        table_bytes: usize,
        stage_bytes: usize,
    ) -> Self {
        let mut end = 0u64;
        let mut take = |bytes: u64| {
            let start = end;
            end = (start + bytes).next_multiple_of(ALIGNMENT);
            start
        };
        let stage_bytes = (stage_bytes as u64).next_multiple_of(ALIGNMENT);
        Self {
            context: take(shape.kv_bytes(context_tokens, element) as u64),
            other: take(shape.kv_bytes(other_tokens, element) as u64),
            table: take(table_bytes as u64),
            staging: take(STAGES as u64 * stage_bytes),
            stage_bytes,
            bytes: end,
        }
    }
}

/// A session's memory, used again by the next one: taking it from the driver costs milliseconds.
#[derive(Debug)]
pub(super) struct SessionMemory {
    pub device: DeviceBuffer,
    /// Logits, and the context's table on its way to the device.
    pub pinned: PinnedBuffer,
    /// Of the threads that read files: what they read last.
    pub cells: Option<PinnedBuffer>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_follow_each_other() {
        let shape = Shape::named("llama-3.1-8b").expect("a known name");
        let group = Group::new(&shape, CacheDtype::Bf16, 100, 4096);
        let half = 8 * 100 * 128 * 2;
        assert_eq!(
            group.layer(0, 7),
            Keys { keys: 4096, values: 4096 + half, head_stride: 12_800, count: 7 }
        );
        assert_eq!(group.layer(1, 0).keys, 4096 + 2 * half);
        let last = group.layer(31, 0).values + half - 4096;
        assert_eq!(last, shape.kv_bytes(100, CacheDtype::Bf16) as u64);
        assert_eq!(group.destination(3, 5).first_slot, 5);
    }

    #[test]
    fn a_sessions_parts_do_not_overlap() {
        let shape = Shape::named("smollm2-135m").expect("a known name");
        let layout = SessionLayout::new(&shape, CacheDtype::F16, 1000, 77, 123, 5000);
        assert!(layout.other >= layout.context + shape.kv_bytes(1000, CacheDtype::F16) as u64);
        assert!(layout.table >= layout.other + shape.kv_bytes(77, CacheDtype::F16) as u64);
        assert!(layout.staging >= layout.table + 123);
        assert!(layout.bytes >= layout.staging + 2 * 5000);
    }
}
