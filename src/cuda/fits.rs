//! How many tokens of context a device has room for.

use super::{
    CudaError,
    groups::STAGES,
    network::{BLOCK_TOKENS, CudaNetwork},
    shape::Shape,
    weights::WeightBytes,
    workspace::Workspace,
};
use crate::config::CacheDtype;

/// What a context takes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    /// Whatever the number of tokens.
    pub fixed: u64,
    pub per_token: u64,
}

impl Fit {
    /// Tokens that fit `free` bytes.
    pub fn most_tokens(&self, free: u64) -> usize {
        usize::try_from(free.saturating_sub(self.fixed) / self.per_token.max(1)).unwrap_or(usize::MAX)
    }

    /// Of a session without a context: all tokens are in its other group.
    pub(super) fn of_full(network: &CudaNetwork) -> Self {
        Self { fixed: 4096, per_token: network.shape().kv_bytes(1, network.element()) as u64 }
    }

    /// Of a session whose other group has room for `other` tokens, and whose segments pass through stages in the type
    /// `staged`, if they do.
    pub(super) fn of_context(
        network: &CudaNetwork,
        other: usize,
        table_bytes: usize,
        staged: Option<CacheDtype>,
    ) -> Self {
        Self::new(network.shape(), network.element(), other, table_bytes, staged)
    }

    fn new(
        shape: &Shape,
        element: CacheDtype,
        other: usize,
        table_bytes: usize,
        staged: Option<CacheDtype>,
    ) -> Self {
        let stages = staged.map_or(0, |dtype| STAGES * shape.layer_kv_bytes(1, dtype));
        Self {
            fixed: (shape.kv_bytes(other, element) + table_bytes + 4096) as u64,
            per_token: (shape.kv_bytes(1, element) + stages) as u64,
        }
    }
}

/// What a network and a context take on a device, in bytes: what `doctor` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub weights: u64,
    /// For blocks of as many tokens as a prefill goes through at once.
    pub activations: u64,
    /// Of context, in the stages as well as in its place.
    pub per_token: u64,
    /// Tokens of context that fit beside weights and activations; 0 where not even those do.
    pub most_tokens: usize,
}

impl Room {
    /// What a device with `free` bytes has room for, without loading anything. Prefix, query and answer are taken to be
    /// `other` tokens together.
    pub fn of(shape: &Shape, element: CacheDtype, dtype: CacheDtype, other: usize, free: u64) -> Self {
        let weights = WeightBytes::of(shape, element).total();
        let activations = Workspace::needed(shape, element, BLOCK_TOKENS);
        let fit = Fit::new(shape, element, other, 0, Some(dtype));
        let most_tokens = fit.most_tokens(free.saturating_sub(weights + activations));
        Self { weights, activations, per_token: fit.per_token, most_tokens }
    }
}

impl CudaNetwork {
    /// What this network's device has room for beside it at this moment.
    pub fn room(&self, dtype: CacheDtype, other: usize) -> Result<Room, CudaError> {
        let activations = Workspace::needed(self.shape(), self.element(), BLOCK_TOKENS);
        let missing = activations.saturating_sub(self.workspace_bytes());
        let fit = Fit::new(self.shape(), self.element(), other, 0, Some(dtype));
        let most_tokens = fit.most_tokens(self.free_for_session()?.saturating_sub(missing));
        Ok(Room { weights: self.weight_bytes(), activations, per_token: fit.per_token, most_tokens })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 80 GB hold the 8B shape in bf16 (16.1 GB), its activations and more than 400,000 tokens at 136 KiB each; a card
    /// of 8 GB does not even hold the weights.
    #[test]
    fn what_fits_is_what_is_left() {
        let shape = Shape::named("llama-3.1-8b").expect("a known name");
        let room = Room::of(&shape, CacheDtype::Bf16, CacheDtype::F16, 1024, 80 << 30);
        assert_eq!(room.per_token, (128 + 2 * 4) << 10);
        assert!((400_000..520_000).contains(&room.most_tokens), "{room:?}");
        assert_eq!(Room::of(&shape, CacheDtype::Bf16, CacheDtype::F16, 1024, 8 << 30).most_tokens, 0);
        let small = Shape::named("smollm2-135m").expect("a known name");
        assert!(Room::of(&small, CacheDtype::F16, CacheDtype::F16, 1024, 2 << 30).most_tokens > 8192);
    }
}
