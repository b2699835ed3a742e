//! Cache files: safetensors with the tensors `layer.000.key`, `layer.000.value`, `layer.001.key`, ... in that order,
//! each `[kv_heads, tokens, head_dim]`. A layer's two tensors are its *block*; each block has a checksum in the header.
//!
//! No number is used before it was compared: key, shape, number format, version and length when a file is opened, a
//! layer's checksum when the layer is read. Files are hostile input: nothing is allocated because a file says so.

use std::io;

use super::{
    header::{ALIGNMENT, Header},
    key::KvKey,
};
use crate::{
    config::CacheDtype,
    model::kv::{KvSegment, KvShape},
};

/// Part of every file and of every fingerprint. Another number is another format: files are encoded again.
pub const FORMAT_VERSION: u32 = 2;

/// What all segments of a model have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvLayout {
    pub layers: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub dtype: CacheDtype,
    /// Most tokens of a segment: the model's context length. Bounds what a file can make a reader allocate.
    pub max_tokens: usize,
}

/// Why a file gave no segment.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("it is not there")]
    Missing,
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error("it cannot be used: {0}")]
    Incompatible(String),
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl ReadError {
    pub fn damaged(reason: &str) -> Self {
        Self::Damaged(reason.into())
    }

    pub fn cut_short() -> Self {
        Self::damaged("it is cut short")
    }
}

impl KvLayout {
    /// The shape of a segment of `tokens`.
    pub fn shape(&self, tokens: usize) -> KvShape {
        KvShape { layers: self.layers, kv_heads: self.kv_heads, tokens, head_dim: self.head_dim }
    }

    /// True for a segment that this layout describes and whose data has the length that its shape says.
    pub fn describes(&self, segment: &KvSegment) -> bool {
        segment.shape == self.shape(segment.shape.tokens)
            && segment.shape.tokens <= self.max_tokens
            && segment.dtype == self.dtype
            && segment.data.len() == segment.shape.bytes(segment.dtype)
    }

    /// Bytes on disk of a segment of `tokens`, in whole blocks.
    pub fn file_bytes(&self, key: &KvKey, tokens: usize) -> u64 {
        let header = Header::without_checksums(*key, self.shape(tokens), self.dtype);
        header.file_bytes().next_multiple_of(ALIGNMENT as u64)
    }

    /// Compares what a file says of itself with what this model's segments are.
    pub(super) fn check(&self, header: &Header) -> Result<(), ReadError> {
        if header.shape.tokens > self.max_tokens {
            return Err(ReadError::Incompatible("it has more tokens than the model's context".into()));
        }
        if header.shape != self.shape(header.shape.tokens) || header.dtype != self.dtype {
            return Err(ReadError::Incompatible("its shape is not this model's".into()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
