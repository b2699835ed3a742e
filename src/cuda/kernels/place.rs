//! Stored segments into the context: decoded, keys rotated to where the segment is to stand.

use super::{Kernels, blocks, number};
use crate::{
    config::CacheDtype,
    cuda::{
        CudaError,
        device::{Pointer, Stream},
    },
};

/// One layer of one stored segment into a context or another group; `LayerKv::append_segment` on the CPU.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The layer's block as files have it: keys before RoPE `[kv_heads, tokens, D]`, then values, of `store_dtype`.
    /// At a multiple of 16 bytes.
    pub source: Pointer,
    pub store_dtype: CacheDtype,
    pub tokens: usize,
    /// Of the segment's first token; the others follow.
    pub start_position: usize,
    /// E `[kv_heads, capacity, D]`, both.
    pub keys: Pointer,
    pub values: Pointer,
    /// From a head of `keys` (and of `values`) to the next: capacity · D.
    pub head_stride: u64,
    /// Where the segment's first token goes.
    pub first_slot: usize,
    /// The RoPE table's row of position 0, f32 `[positions, D / 2]`.
    pub cos: Pointer,
    pub sin: Pointer,
    pub kv_heads: usize,
}

/// One layer of many stored segments at once. The same as as many [`Place`]s, with the device busy throughout.
#[derive(Debug, Clone, Copy)]
pub struct PlaceMany {
    /// What [`PlacedSegment::source`] counts from.
    pub source: Pointer,
    pub store_dtype: CacheDtype,
    /// [`PlacedSegment`]s, on the device.
    pub segments: Pointer,
    pub count: usize,
    /// Tokens of the longest of them.
    pub longest: usize,
    pub keys: Pointer,
    pub values: Pointer,
    pub head_stride: u64,
    pub cos: Pointer,
    pub sin: Pointer,
    pub kv_heads: usize,
}

/// Where a segment's layer block is and where it goes.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlacedSegment {
    /// Bytes from [`PlaceMany::source`], a multiple of 16: an address, where that is 0 because segments lie in different
    /// buffers.
    pub source: u64,
    pub tokens: u32,
    pub start_position: u32,
    pub first_slot: u32,
    /// Nothing: it keeps the next one aligned.
    pub reserved: u32,
}

// SAFETY: plain numbers without gaps between them, of which all values are good.
unsafe impl bytemuck::Zeroable for PlacedSegment {}
// SAFETY: as above.
unsafe impl bytemuck::Pod for PlacedSegment {}

#[repr(C)]
struct Arguments {
    source: Pointer,
    /// 0: there is one segment, `segment`.
    segments: Pointer,
    keys: Pointer,
    values: Pointer,
    head_stride: u64,
    cos: Pointer,
    sin: Pointer,
    segment: PlacedSegment,
    store_dtype: u32,
    kv_heads: u32,
}

// elementwise.cu says the same of its side.
const _: () = assert!(size_of::<PlacedSegment>() == 24 && size_of::<Arguments>() == 88);

/// Heads that a thread goes through with the cosines and sines that it has read.
const HEADS_AT_ONCE: usize = 4;

impl Kernels {
    pub fn place(&self, stream: &Stream, call: &Place) -> Result<(), CudaError> {
        let segment = PlacedSegment {
            source: 0,
            tokens: number(call.tokens)?,
            start_position: number(call.start_position)?,
            first_slot: number(call.first_slot)?,
            reserved: 0,
        };
        let arguments = Arguments {
            source: call.source,
            segments: 0,
            keys: call.keys,
            values: call.values,
            head_stride: call.head_stride,
            cos: call.cos,
            sin: call.sin,
            segment,
            store_dtype: super::type_number(call.store_dtype),
            kv_heads: number(call.kv_heads)?,
        };
        self.start_place(stream, &arguments, 1, call.tokens)
    }

    pub fn place_many(&self, stream: &Stream, call: &PlaceMany) -> Result<(), CudaError> {
        let arguments = Arguments {
            source: call.source,
            segments: call.segments,
            keys: call.keys,
            values: call.values,
            head_stride: call.head_stride,
            cos: call.cos,
            sin: call.sin,
            segment: PlacedSegment::default(),
            store_dtype: super::type_number(call.store_dtype),
            kv_heads: number(call.kv_heads)?,
        };
        self.start_place(stream, &arguments, call.count, call.longest)
    }

    fn start_place(
        &self,
        stream: &Stream,
        arguments: &Arguments,
        segments: usize,
        longest: usize,
    ) -> Result<(), CudaError> {
        let across = blocks(longest, self.heads_per_block())?;
        let heads = number((arguments.kv_heads as usize).div_ceil(HEADS_AT_ONCE))?;
        self.elementwise.place.launch(stream, [across, number(segments)?, heads], 0, arguments)
    }
}
