//! Encoding segments, assembling them into a context, and running a question over it.

use std::{collections::HashMap, sync::Arc};

use candle_core::Tensor;
use rayon::prelude::*;

use super::{
    ModelError,
    attention::ApeScaling,
    kv::{KvSegment, KvShape, LayerKv, Recorder},
    network::{KvState, Network},
    rope::Rotation,
};
use crate::config::CacheDtype;

/// Tokens that go through the network at once; bounds the memory of a long prefill.
const PREFILL_BLOCK: usize = 512;

/// Asked before every layer; true ends the work with [`ModelError::Cancelled`].
pub type Cancelled<'a> = &'a (dyn Fn() -> bool + Sync);

/// Encodes the prefix, and chunks after it.
pub struct Encoder<'a> {
    network: &'a Network,
    prefix: Arc<KvSegment>,
    state: KvState,
}

/// Encodes tokens that nothing stands before, as a segment: the prefix.
pub fn encode_prefix(
    network: &Network,
    tokens: &[u32],
    dtype: CacheDtype,
    cancelled: Cancelled,
) -> Result<KvSegment, ModelError> {
    let mut state =
        KvState { context: Vec::new(), other: network.empty_layers(0), scaling: ApeScaling::NONE };
    record(network, tokens, 0, dtype, &mut state, cancelled)
}

impl<'a> Encoder<'a> {
    /// An encoder of chunks that see `prefix` as the store keeps it.
    pub fn new(network: &'a Network, prefix: Arc<KvSegment>) -> Self {
        let state = KvState {
            context: Vec::new(),
            other: assemble(network, &[(&prefix, 0)], 0),
            scaling: ApeScaling::NONE,
        };
        Self { network, prefix, state }
    }

    /// Encodes one chunk: it stands right after the prefix, sees the prefix and itself, and only its own keys and
    /// values are kept.
    ///
    /// # Errors
    /// [`ModelError::ContextTooLong`] when prefix and chunk exceed the model's context, [`ModelError::Cancelled`].
    pub fn encode(&mut self, tokens: &[u32], cancelled: Cancelled) -> Result<KvSegment, ModelError> {
        let start = self.prefix.shape.tokens;
        self.network.check_length(start + tokens.len())?;
        let result = record(self.network, tokens, start, self.prefix.dtype, &mut self.state, cancelled);
        for layer in &mut self.state.other {
            layer.truncate(start);
        }
        result
    }
}

fn record(
    network: &Network,
    tokens: &[u32],
    start: usize,
    dtype: CacheDtype,
    state: &mut KvState,
    cancelled: Cancelled,
) -> Result<KvSegment, ModelError> {
    let mut recorder = Recorder::new(network.segment_shape(tokens.len()), dtype);
    if !tokens.is_empty() {
        network.forward(tokens, &positions(start, tokens.len()), state, Some(&mut recorder), cancelled)?;
        return Ok(recorder.finish());
    }
    Ok(KvSegment { shape: network.segment_shape(0), dtype, data: Vec::new().into() })
}

/// Where a context's chunks stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// One after the other.
    Running,
    /// All start where the prefix ends.
    Shared,
}

/// A context ready for a question: the rotated keys and values of prefix and chunks, or nothing yet (for `full`).
pub struct Session<'a> {
    network: &'a Network,
    state: KvState,
    /// The next token's position.
    position: usize,
    /// Hidden state of the last token, `[hidden]`.
    hidden: Option<Vec<f32>>,
}

impl<'a> Session<'a> {
    /// A session with nothing before it: `full`.
    pub fn empty(network: &'a Network) -> Self {
        let state =
            KvState { context: Vec::new(), other: network.empty_layers(0), scaling: ApeScaling::NONE };
        Self { network, state, position: 0, hidden: None }
    }

    /// A session over a stored prefix and stored chunks, with room made for a query and an answer of so many tokens.
    ///
    /// # Errors
    /// [`ModelError::ContextTooLong`] when the query's last position would exceed the model's context.
    pub fn with_context(
        network: &'a Network,
        prefix: &KvSegment,
        chunks: &[Arc<KvSegment>],
        placement: Placement,
        scaling: ApeScaling,
        query: usize,
        answer: usize,
    ) -> Result<Self, ModelError> {
        let start = prefix.shape.tokens;
        let lengths = chunks.iter().map(|chunk| chunk.shape.tokens);
        let extent = match placement {
            Placement::Running => lengths.sum::<usize>(),
            Placement::Shared => lengths.max().unwrap_or(0),
        };
        let position = start + extent;
        network.check_length(position + query)?;

        let mut next = start;
        let placed: Vec<(&KvSegment, usize)> = chunks
            .iter()
            .map(|chunk| {
                let at = next;
                if placement == Placement::Running {
                    next += chunk.shape.tokens;
                }
                (&**chunk, at)
            })
            .collect();
        let context = if placed.is_empty() { Vec::new() } else { assemble(network, &placed, 0) };
        let other = assemble(network, &[(prefix, 0)], query + answer);
        Ok(Self { network, state: KvState { context, other, scaling }, position, hidden: None })
    }

    /// True when the model's context has no position left for another token.
    pub fn is_full(&self) -> bool {
        self.position >= self.network.config.context_tokens
    }

    /// Runs tokens through the network after everything before them.
    ///
    /// # Errors
    /// [`ModelError::ContextTooLong`], [`ModelError::Cancelled`].
    pub fn prefill(&mut self, tokens: &[u32], cancelled: Cancelled) -> Result<(), ModelError> {
        self.network.check_length(self.position + tokens.len())?;
        for layer in &mut self.state.other {
            layer.reserve(tokens.len());
        }
        for block in tokens.chunks(PREFILL_BLOCK) {
            let positions = positions(self.position, block.len());
            self.hidden = Some(self.network.forward(block, &positions, &mut self.state, None, cancelled)?);
            self.position += block.len();
        }
        Ok(())
    }

    /// Logits `[vocabulary]` of the token that follows the last one.
    ///
    /// # Errors
    /// [`ModelError::Internal`] before the first [`Self::prefill`].
    pub fn logits(&self) -> Result<Tensor, ModelError> {
        let hidden = self.hidden.as_ref().ok_or(ModelError::Internal("no token has been prefilled"))?;
        self.network.logits(hidden)
    }
}

fn positions(start: usize, count: usize) -> Vec<u32> {
    (start as u32..(start + count) as u32).collect()
}

/// Lays segments side by side in one buffer per layer, keys rotated to the positions at which each starts, with room
/// for `spare` tokens more. Layers are independent and run in parallel.
fn assemble(network: &Network, segments: &[(&KvSegment, usize)], spare: usize) -> Vec<LayerKv> {
    let tokens: usize = segments.iter().map(|(segment, _)| segment.shape.tokens).sum();
    // Segments that start together share the angles of the longest.
    let mut longest = HashMap::new();
    for (segment, start) in segments {
        let tokens = longest.entry(*start).or_insert(0);
        *tokens = segment.shape.tokens.max(*tokens);
    }
    let rotations: HashMap<usize, Rotation> = longest
        .into_par_iter()
        .map(|(start, tokens)| (start, network.rope.at(positions(start, tokens))))
        .collect();
    let heads = network.config.heads;
    (0..network.config.layers)
        .into_par_iter()
        .map(|index| {
            let mut layer = LayerKv::new(heads.kv_heads, heads.head_dim, tokens + spare);
            for (segment, start) in segments {
                layer.append_segment(segment, index, &rotations[start]);
            }
            layer
        })
        .collect()
}

impl Network {
    /// The shape of a segment of so many tokens.
    pub fn segment_shape(&self, tokens: usize) -> KvShape {
        let heads = self.config.heads;
        KvShape { layers: self.config.layers, kv_heads: heads.kv_heads, tokens, head_dim: heads.head_dim }
    }

    /// # Errors
    /// [`ModelError::ContextTooLong`] when so many tokens do not fit the model's context.
    pub fn check_length(&self, needed: usize) -> Result<(), ModelError> {
        let limit = self.config.context_tokens;
        if needed <= limit { Ok(()) } else { Err(ModelError::ContextTooLong { needed, limit }) }
    }

    fn empty_layers(&self, capacity: usize) -> Vec<LayerKv> {
        let heads = self.config.heads;
        (0..self.config.layers).map(|_| LayerKv::new(heads.kv_heads, heads.head_dim, capacity)).collect()
    }
}
