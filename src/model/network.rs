//! The network of the Llama family: token ids and positions in, hidden states out.

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};
use candle_nn::ops::rms_norm;
use rayon::prelude::*;

use super::{
    ModelError,
    attention::{ApeScaling, Mask, attend, merge_context},
    config::ModelConfig,
    kv::{LayerKv, Recorder},
    rope::{Rope, RopeScaling, Rotation},
    session::Cancelled,
    simd,
    weights::{Embedding, Linear, Name, Weights},
};

/// Layers, embeddings and output of a model.
#[derive(Debug)]
pub struct Network {
    pub config: ModelConfig,
    pub rope: Rope,
    embedding: Embedding,
    layers: Vec<Layer>,
    norm: Tensor,
    output: Linear,
}

#[derive(Debug)]
struct Layer {
    attention_norm: Tensor,
    query: Linear,
    key: Linear,
    value: Linear,
    query_norm: Option<Tensor>,
    key_norm: Option<Tensor>,
    attention_output: Linear,
    feed_forward_norm: Tensor,
    gate: Linear,
    up: Linear,
    down: Linear,
}

/// What tokens attend to: the context group, fixed, and the other group, which grows with every token.
#[derive(Debug)]
pub struct KvState {
    /// All tokens of all loaded chunks, per layer; empty where the strategy has no context group.
    pub context: Vec<LayerKv>,
    /// Prefix, query and generated tokens (for `full`: everything), per layer.
    pub other: Vec<LayerKv>,
    pub scaling: ApeScaling,
}

impl Network {
    /// Gives the weights their places.
    pub fn new(mut config: ModelConfig, weights: &Weights) -> Result<Self, ModelError> {
        if let Some(divisors) = weights.rope_divisors()? {
            config.rope_scaling = RopeScaling::Divisors(divisors);
        }
        let heads = config.heads;
        let rope = Rope::new(config.rope_layout, config.rope_theta, heads.head_dim, &config.rope_scaling);
        let (embedding, output) = weights.embedding_and_output((config.vocabulary, config.hidden))?;
        let layers = (0..config.layers)
            .into_par_iter()
            .map(|index| Layer::new(&config, weights, index))
            .collect::<Result<_, _>>()?;
        let norm = weights.required(Name::OUTPUT_NORM, 0)?;
        Ok(Self { config, rope, embedding, layers, norm, output })
    }

    /// Runs tokens that stand at `positions` through all layers, appending their keys and values to `state.other`,
    /// and returns their hidden states `[tokens, hidden]`. `recorder` gets keys before RoPE and values.
    ///
    /// # Errors
    /// [`ModelError::Cancelled`] as soon as `cancelled` says so, asked before every layer; `state` is then useless.
    pub fn forward(
        &self,
        tokens: &[u32],
        positions: &[u32],
        state: &mut KvState,
        mut recorder: Option<&mut Recorder>,
        cancelled: Cancelled,
    ) -> Result<Tensor, ModelError> {
        if let Some(unknown) = tokens.iter().find(|id| **id as usize >= self.config.vocabulary) {
            return Err(ModelError::BadFile(format!("token {unknown} is not in the vocabulary")));
        }
        let rotation = self.rope.at(positions.iter().copied());
        let mut hidden = self.embedding.forward(tokens)?;
        for (index, layer) in self.layers.iter().enumerate() {
            if cancelled() {
                return Err(ModelError::Cancelled);
            }
            hidden = self.attention(layer, index, &hidden, &rotation, state, recorder.as_deref_mut())?;
            hidden = self.feed_forward(layer, &hidden)?;
        }
        Ok(hidden)
    }

    /// The logits `[vocabulary]` that follow the last of `hidden`, `[tokens, hidden]`.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor, ModelError> {
        let last = hidden.narrow(0, hidden.dim(0)? - 1, 1)?.contiguous()?;
        let normed = rms_norm(&last, &self.norm, self.config.norm_epsilon)?;
        Ok(self.output.forward(&normed)?.squeeze(0)?)
    }

    fn attention(
        &self,
        layer: &Layer,
        index: usize,
        hidden: &Tensor,
        rotation: &Rotation,
        state: &mut KvState,
        recorder: Option<&mut Recorder>,
    ) -> Result<Tensor, ModelError> {
        let heads = self.config.heads;
        let epsilon = self.config.norm_epsilon;
        let tokens = hidden.dim(0)?;
        let normed = rms_norm(hidden, &layer.attention_norm, epsilon)?;
        let mut query = head_rows(&layer.query, &normed, layer.query_norm.as_ref(), epsilon)?;
        let mut key = head_rows(&layer.key, &normed, layer.key_norm.as_ref(), epsilon)?;
        let value = head_rows(&layer.value, &normed, None, epsilon)?;
        if let Some(recorder) = recorder {
            recorder.push(&key, &value);
        }
        rotation.apply_rows(&mut query, heads.heads);
        rotation.apply_rows(&mut key, heads.kv_heads);
        let other = &mut state.other[index];
        other.append(&key, &value);

        let scale = 1.0 / (heads.head_dim as f32).sqrt();
        let mut attended = attend(&query, tokens, heads, other, scale, Mask::Causal);
        if let Some(context) = state.context.get(index).filter(|context| context.tokens() > 0) {
            let context_scale = scale / state.scaling.temperature;
            let over_context = attend(&query, tokens, heads, context, context_scale, Mask::None);
            merge_context(&mut attended, &over_context, state.scaling);
        }
        let rows =
            Tensor::from_vec(attended.output, (tokens, heads.heads * heads.head_dim), hidden.device())?;
        Ok((hidden + layer.attention_output.forward(&rows)?)?)
    }

    fn feed_forward(&self, layer: &Layer, hidden: &Tensor) -> Result<Tensor, ModelError> {
        let normed = rms_norm(hidden, &layer.feed_forward_norm, self.config.norm_epsilon)?;
        let gate = layer.gate.forward(&normed)?;
        let up = layer.up.forward(&normed)?;
        let activated = gate.apply_op2_no_bwd(&up, &SiluMultiply)?;
        Ok((hidden + layer.down.forward(&activated)?)?)
    }
}

impl Layer {
    fn new(config: &ModelConfig, weights: &Weights, index: usize) -> Result<Self, ModelError> {
        let heads = config.heads;
        let (hidden, query, kv) =
            (config.hidden, heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim);
        let gate_rows = weights.rows(Name::GATE, index)?;
        Ok(Self {
            attention_norm: weights.required(Name::ATTENTION_NORM, index)?,
            query: weights.linear(Name::QUERY, index, (query, hidden))?,
            key: weights.linear(Name::KEY, index, (kv, hidden))?,
            value: weights.linear(Name::VALUE, index, (kv, hidden))?,
            query_norm: weights.vector(Name::QUERY_NORM, index)?,
            key_norm: weights.vector(Name::KEY_NORM, index)?,
            attention_output: weights.linear(Name::ATTENTION_OUTPUT, index, (hidden, query))?,
            feed_forward_norm: weights.required(Name::FEED_FORWARD_NORM, index)?,
            gate: weights.linear(Name::GATE, index, (gate_rows, hidden))?,
            up: weights.linear(Name::UP, index, (gate_rows, hidden))?,
            down: weights.linear(Name::DOWN, index, (hidden, gate_rows))?,
        })
    }
}

/// A projection's output, `[tokens, heads, head_dim]`, with the norm over each head that Qwen3 has.
fn head_rows(
    projection: &Linear,
    rows: &Tensor,
    norm: Option<&Tensor>,
    epsilon: f32,
) -> Result<Vec<f32>, ModelError> {
    let mut projected = projection.forward(rows)?;
    if let Some(norm) = norm {
        projected = rms_norm(&projected.reshape(((), norm.dim(0)?))?, norm, epsilon)?;
    }
    Ok(projected.flatten_all()?.to_vec1()?)
}

/// `silu(gate) · up` in one pass over both, in parallel.
struct SiluMultiply;

impl CustomOp2 for SiluMultiply {
    fn name(&self) -> &'static str {
        "silu-multiply"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gate_layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        const BLOCK: usize = 16 * 1024;
        let gate = contiguous(gate, gate_layout)?;
        let up = contiguous(up, up_layout)?;
        let mut out = vec![0f32; gate.len()];
        out.par_chunks_mut(BLOCK)
            .zip(gate.par_chunks(BLOCK).zip(up.par_chunks(BLOCK)))
            .for_each(|(out, (gate, up))| simd::silu_multiply(out, gate, up));
        Ok((CpuStorage::F32(out), gate_layout.shape().clone()))
    }
}

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    let (start, end) =
        layout.contiguous_offsets().ok_or_else(|| candle_core::Error::msg("rows are not contiguous"))?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}
