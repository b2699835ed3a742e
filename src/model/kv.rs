//! Keys and values: of a segment as the store keeps it, and of a layer as attention reads it.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::rope::Rotation;
use crate::config::CacheDtype;

mod data;

pub use data::{SegmentData, SharedBytes};

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

    /// Bytes of one layer's block, its keys and its values.
    pub fn layer_bytes(&self, dtype: CacheDtype) -> usize {
        2 * self.layer_elements() * dtype.bytes()
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

    /// Appends `numbers`, rounded to this type, little-endian. Numbers beyond the range of f16 are held at its ends.
    pub fn write(self, numbers: &[f32], bytes: &mut Vec<u8>) {
        /// Numbers converted at once, so that it is done by vector instructions.
        const BLOCK: usize = 64;
        match self {
            Self::F32 => bytes.extend(numbers.iter().flat_map(|x| x.to_le_bytes())),
            Self::Bf16 => bytes.extend(numbers.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes())),
            Self::F16 => {
                let most = f16::MAX.to_f32();
                let (mut held, mut halves) = ([0f32; BLOCK], [f16::ZERO; BLOCK]);
                for numbers in numbers.chunks(BLOCK) {
                    for (held, x) in held.iter_mut().zip(numbers) {
                        *held = x.clamp(-most, most);
                    }
                    halves.convert_from_f32_slice(&held);
                    bytes.extend(halves[..numbers.len()].iter().flat_map(|x| x.to_le_bytes()));
                }
            }
        }
    }

    /// Reads as many numbers as `out` holds.
    pub fn read(self, bytes: &[u8], out: &mut [f32]) {
        match self {
            Self::F32 => {
                for (x, bytes) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *x = f32::from_le_bytes(*bytes);
                }
            }
            Self::F16 => match bytemuck::try_cast_slice::<u8, f16>(bytes) {
                Ok(halves) if cfg!(target_endian = "little") => halves.convert_to_f32_slice(out),
                _ => {
                    for (x, bytes) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                        *x = f16::from_le_bytes(*bytes).to_f32();
                    }
                }
            },
            Self::Bf16 => {
                for (x, bytes) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *x = bf16::from_le_bytes(*bytes).to_f32();
                }
            }
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
    pub data: SegmentData,
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

/// Collects the keys before RoPE and the values of tokens on their way through the network.
#[derive(Debug)]
pub struct Recorder {
    shape: KvShape,
    dtype: CacheDtype,
    data: Vec<u8>,
}

impl Recorder {
    pub fn new(shape: KvShape, dtype: CacheDtype) -> Self {
        Self { shape, dtype, data: Vec::with_capacity(shape.bytes(dtype)) }
    }

    /// Takes the next layer's keys and values, `[tokens, kv_heads, head_dim]` as the projections give them.
    pub fn push(&mut self, keys: &[f32], values: &[f32]) {
        let KvShape { kv_heads, tokens, head_dim, .. } = self.shape;
        for rows in [keys, values] {
            for head in 0..kv_heads {
                for token in 0..tokens {
                    let start = (token * kv_heads + head) * head_dim;
                    self.dtype.write(&rows[start..start + head_dim], &mut self.data);
                }
            }
        }
    }

    /// The segment; every layer must have been pushed.
    pub fn finish(self) -> KvSegment {
        assert_eq!(self.data.len(), self.shape.bytes(self.dtype), "a layer was not recorded");
        KvSegment { shape: self.shape, dtype: self.dtype, data: self.data.into() }
    }
}

/// Rotated keys and values of one layer, in f32, `[kv_heads, capacity, head_dim]` each, of which the first
/// `tokens` of every head are in use.
#[derive(Debug, Clone, Default)]
pub struct LayerKv {
    kv_heads: usize,
    head_dim: usize,
    tokens: usize,
    capacity: usize,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl LayerKv {
    pub fn new(kv_heads: usize, head_dim: usize, capacity: usize) -> Self {
        let numbers = kv_heads * head_dim * capacity;
        Self { kv_heads, head_dim, tokens: 0, capacity, keys: vec![0.0; numbers], values: vec![0.0; numbers] }
    }

    /// Tokens held.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Forgets all tokens but the first `tokens`.
    pub fn truncate(&mut self, tokens: usize) {
        self.tokens = self.tokens.min(tokens);
    }

    /// Keys of one head, `[tokens, head_dim]`.
    pub fn head_keys(&self, head: usize) -> &[f32] {
        self.head(&self.keys, head)
    }

    /// Values of one head, `[tokens, head_dim]`.
    pub fn head_values(&self, head: usize) -> &[f32] {
        self.head(&self.values, head)
    }

    fn head<'a>(&self, numbers: &'a [f32], head: usize) -> &'a [f32] {
        let start = head * self.capacity * self.head_dim;
        &numbers[start..start + self.tokens * self.head_dim]
    }

    /// Appends tokens with rotated keys, `[tokens, kv_heads, head_dim]` as the projections give them.
    pub fn append(&mut self, keys: &[f32], values: &[f32]) {
        let (heads, dim) = (self.kv_heads, self.head_dim);
        let added = keys.len() / (heads * dim);
        self.reserve(added);
        for token in 0..added {
            for head in 0..heads {
                let from = (token * heads + head) * dim;
                let to = (head * self.capacity + self.tokens + token) * dim;
                self.keys[to..to + dim].copy_from_slice(&keys[from..from + dim]);
                self.values[to..to + dim].copy_from_slice(&values[from..from + dim]);
            }
        }
        self.tokens += added;
    }

    /// Appends one layer of a stored segment, rotating its keys to where they are to stand: the first positions of
    /// `rotation`.
    pub fn append_segment(&mut self, segment: &KvSegment, layer: usize, rotation: &Rotation) {
        let KvShape { kv_heads, tokens, head_dim, .. } = segment.shape;
        assert_eq!((kv_heads, head_dim), (self.kv_heads, self.head_dim), "a segment of another model");
        assert!(rotation.tokens() >= tokens, "a rotation for a shorter segment");
        self.reserve(tokens);
        let bytes = tokens * head_dim * segment.dtype.bytes();
        let (keys, values) = (segment.layer_keys(layer), segment.layer_values(layer));
        for head in 0..kv_heads {
            let start = (head * self.capacity + self.tokens) * head_dim;
            let target = start..start + tokens * head_dim;
            let source = head * bytes..(head + 1) * bytes;
            segment.dtype.read(&keys[source.clone()], &mut self.keys[target.clone()]);
            rotation.apply_rows(&mut self.keys[target.clone()], 1);
            segment.dtype.read(&values[source], &mut self.values[target]);
        }
        self.tokens += tokens;
    }

    /// Makes room for `added` more tokens.
    pub fn reserve(&mut self, added: usize) {
        if self.tokens + added <= self.capacity {
            return;
        }
        let capacity = (self.tokens + added).max(2 * self.capacity).next_multiple_of(64);
        let mut grown = Self::new(self.kv_heads, self.head_dim, capacity);
        grown.tokens = self.tokens;
        for head in 0..self.kv_heads {
            let to = head * capacity * self.head_dim;
            let used = self.tokens * self.head_dim;
            grown.keys[to..to + used].copy_from_slice(self.head_keys(head));
            grown.values[to..to + used].copy_from_slice(self.head_values(head));
        }
        *self = grown;
    }
}
