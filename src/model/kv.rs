//! Keys and values of one segment (the prefix or a chunk), as the store keeps them.

use crate::config::CacheDtype;

/// The shape of a segment's keys and of its values: `[layers, kv_heads, tokens, head_dim]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvShape {
    pub layers: usize,
    pub kv_heads: usize,
    pub tokens: usize,
    pub head_dim: usize,
}

impl KvShape {
    /// Numbers in one layer's keys (or values).
    pub fn layer_elements(&self) -> usize {
        self.kv_heads * self.tokens * self.head_dim
    }

    /// Bytes of the whole segment, keys and values.
    pub fn bytes(&self, dtype: CacheDtype) -> usize {
        2 * self.layers * self.layer_elements() * dtype.bytes()
    }
}

impl CacheDtype {
    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
        }
    }
}

/// Keys before RoPE and values of one encoded segment. Immutable and shareable.
///
/// `data` is layer-major: layer 0's keys `[kv_heads, tokens, head_dim]`, layer 0's values, layer 1's keys, and so
/// on, little-endian, so that layer l can be read and used before layer l + 1.
#[derive(Debug, Clone, PartialEq)]
pub struct KvSegment {
    pub shape: KvShape,
    pub dtype: CacheDtype,
    pub data: Vec<u8>,
}

impl KvSegment {
    /// Bytes of one layer's keys, `[kv_heads, tokens, head_dim]`.
    pub fn layer_keys(&self, layer: usize) -> &[u8] {
        self.half_layer(2 * layer)
    }

    /// Bytes of one layer's values, `[kv_heads, tokens, head_dim]`.
    pub fn layer_values(&self, layer: usize) -> &[u8] {
        self.half_layer(2 * layer + 1)
    }

    fn half_layer(&self, index: usize) -> &[u8] {
        let bytes = self.shape.layer_elements() * self.dtype.bytes();
        &self.data[index * bytes..(index + 1) * bytes]
    }
}
