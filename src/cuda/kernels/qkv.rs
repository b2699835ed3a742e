//! What comes between the product of queries, keys and values and attention.

use super::{Kernels, blocks, number};
use crate::{
    config::CacheDtype,
    cuda::{
        CudaError,
        device::{Pointer, Stream},
    },
};

/// Bias, norm over each head, recording, rotation, and everything put to where attention looks for it. The CPU does it
/// in `Network::project`, `Recorder::push`, `Rotation::apply_rows` and `LayerKv::append`.
#[derive(Debug, Clone, Copy)]
pub struct FinishQkv {
    /// E `[tokens, (heads + 2 · kv_heads) · D]`: the query's heads, then the keys', then the values'.
    pub qkv: Pointer,
    /// f32, as wide as a row of `qkv`, or 0.
    pub bias: Pointer,
    /// f32 `[D]` or 0: the norm over each head of the queries.
    pub query_norm: Pointer,
    /// f32 `[D]` or 0: the norm over each head of the keys.
    pub key_norm: Pointer,
    pub epsilon: f32,
    /// u32 `[tokens]`.
    pub positions: Pointer,
    /// The RoPE table's row of position 0, f32 `[positions, D / 2]`.
    pub cos: Pointer,
    pub sin: Pointer,
    /// E `[tokens, heads, D]`, rotated.
    pub query_out: Pointer,
    /// E `[kv_heads, capacity, D]`, rotated.
    pub keys: Pointer,
    /// E `[kv_heads, capacity, D]`.
    pub values: Pointer,
    /// From a head of `keys` (and of `values`) to the next: capacity · D.
    pub head_stride: u64,
    /// Token t goes to slot `first_slot` + t.
    pub first_slot: usize,
    /// 0, or numbers of type `record_dtype`: a layer's block of each sequence, as files have it (keys before RoPE
    /// `[kv_heads, tokens, D]`, then values), sequence s at number 2 · kv_heads · D · `sequence_start`\[s\]. What goes
    /// to `keys` and `values` is then rounded to `record_dtype` first: a hit and a miss give the same numbers.
    pub record: Pointer,
    pub record_dtype: CacheDtype,
    /// u32 `[sequences + 1]`: first token of each sequence. Read where `record` is set.
    pub sequence_start: Pointer,
    /// u32 `[tokens]`: the sequence of each token. Read where `record` is set.
    pub sequence_of: Pointer,
    pub tokens: usize,
    pub heads: usize,
    pub kv_heads: usize,
}

#[repr(C)]
struct Arguments {
    qkv: Pointer,
    bias: Pointer,
    query_norm: Pointer,
    key_norm: Pointer,
    positions: Pointer,
    cos: Pointer,
    sin: Pointer,
    query_out: Pointer,
    keys: Pointer,
    values: Pointer,
    head_stride: u64,
    record: Pointer,
    sequence_start: Pointer,
    sequence_of: Pointer,
    first_slot: u32,
    record_dtype: u32,
    tokens: u32,
    heads: u32,
    kv_heads: u32,
    epsilon: f32,
}

// elementwise.cu says the same of its side.
const _: () = assert!(size_of::<Arguments>() == 136);

impl Kernels {
    pub fn finish_qkv(&self, stream: &Stream, call: &FinishQkv) -> Result<(), CudaError> {
        let arguments = Arguments {
            qkv: call.qkv,
            bias: call.bias,
            query_norm: call.query_norm,
            key_norm: call.key_norm,
            positions: call.positions,
            cos: call.cos,
            sin: call.sin,
            query_out: call.query_out,
            keys: call.keys,
            values: call.values,
            head_stride: call.head_stride,
            record: call.record,
            sequence_start: call.sequence_start,
            sequence_of: call.sequence_of,
            first_slot: number(call.first_slot)?,
            record_dtype: super::type_number(call.record_dtype),
            tokens: number(call.tokens)?,
            heads: number(call.heads)?,
            kv_heads: number(call.kv_heads)?,
            epsilon: call.epsilon,
        };
        let rows = call.tokens * (call.heads + 2 * call.kv_heads);
        let grid = blocks(rows, self.heads_per_block())?;
        self.elementwise.finish_qkv.launch(stream, [grid, 1, 1], 0, &arguments)
    }
}
