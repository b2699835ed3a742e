//! The network of the Llama family: token ids and positions in, hidden states out.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::{
    ModelError,
    attention::{ApeScaling, Group, Mask, attend_both, merge_context},
    config::ModelConfig,
    kv::{LayerKv, Recorder},
    matrix::{Linear, Matrix, forward_all},
    rope::{Rope, RopeScaling, Rotation},
    session::Cancelled,
    simd,
    weights::{Name, Weights},
};

/// Numbers that a thread takes at once of element-wise work.
const ELEMENTS: usize = 16 << 10;

/// Layers, embeddings and output of a model.
#[derive(Debug)]
pub struct Network {
    pub config: ModelConfig,
    pub rope: Rope,
    embedding: Matrix,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    output: Linear,
}

/// The weights of one layer.
#[derive(Debug)]
pub struct Layer {
    pub attention_norm: Vec<f32>,
    pub query: Linear,
    pub key: Linear,
    pub value: Linear,
    pub query_norm: Option<Vec<f32>>,
    pub key_norm: Option<Vec<f32>>,
    pub attention_output: Linear,
    pub feed_forward_norm: Vec<f32>,
    pub gate: Linear,
    pub up: Linear,
    pub down: Linear,
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

/// The numbers of some tokens on their way through the layers, each `[tokens, …]`.
#[derive(Default)]
struct Pass {
    tokens: usize,
    hidden: Vec<f32>,
    normed: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
}

impl Pass {
    /// Goes on with the last token alone.
    fn keep_last(&mut self) {
        for rows in [&mut self.hidden, &mut self.query] {
            let width = rows.len() / self.tokens;
            rows.drain(..rows.len() - width);
        }
        self.tokens = 1;
    }
}

impl Network {
    /// Gives the weights their places.
    pub fn new(mut config: ModelConfig, weights: &Weights) -> Result<Self, ModelError> {
        if let Some(divisors) = weights.rope_divisors()? {
            config.rope_scaling = RopeScaling::Divisors(divisors);
        }
        let rope = Rope::of(&config);
        let (embedding, output) = weights.embedding_and_output((config.vocabulary, config.hidden))?;
        let layers = (0..config.layers)
            .into_par_iter()
            .map(|index| Layer::new(&config, weights, index))
            .collect::<Result<_, _>>()?;
        let norm = weights.required_norm(Name::OUTPUT_NORM, 0, config.hidden)?;
        Ok(Self { config, rope, embedding, layers, norm, output })
    }

    /// A network whose weights are on another device: it knows its shape and its rotations, and runs nothing.
    pub fn without_weights(mut config: ModelConfig, weights: &Weights) -> Result<Self, ModelError> {
        if let Some(divisors) = weights.rope_divisors()? {
            config.rope_scaling = RopeScaling::Divisors(divisors);
        }
        let rope = Rope::of(&config);
        let (embedding, output) = (Matrix::empty(), Linear { matrix: Matrix::empty(), bias: None });
        Ok(Self { config, rope, embedding, layers: Vec::new(), norm: Vec::new(), output })
    }

    /// The layers, first to last.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The embeddings, `[vocabulary, hidden]`.
    pub fn embedding(&self) -> &Matrix {
        &self.embedding
    }

    /// The weights of the norm before the output layer, `[hidden]`.
    pub fn norm(&self) -> &[f32] {
        &self.norm
    }

    /// The output layer, `[vocabulary, hidden]`.
    pub fn output(&self) -> &Linear {
        &self.output
    }

    /// Runs tokens that stand at `positions` through all layers, appending their keys and values to `state.other`,
    /// and returns the last one's hidden state, `[hidden]`. `recorder` gets keys before RoPE and values.
    ///
    /// # Errors
    /// [`ModelError::Cancelled`] as soon as `cancelled` says so, asked before every layer; `state` is then useless.
    pub fn forward(
        &self,
        tokens: &[u32],
        positions: &[u32],
        state: &mut KvState,
        recorder: Option<&mut Recorder>,
        cancelled: Cancelled,
    ) -> Result<Vec<f32>, ModelError> {
        if let Some(unknown) = tokens.iter().find(|id| **id as usize >= self.config.vocabulary) {
            return Err(ModelError::BadFile(format!("token {unknown} is not in the vocabulary")));
        }
        if self.layers.is_empty() {
            return Err(ModelError::Internal("a network whose weights are elsewhere"));
        }
        if tokens.is_empty() {
            return Err(ModelError::Internal("no tokens to run"));
        }
        // On a thread of the pool: from any other, every one of the hundreds of small parallel steps would have to
        // be queued and waited for.
        rayon::scope(|_| self.run(tokens, positions, state, recorder, cancelled))
    }

    fn run(
        &self,
        tokens: &[u32],
        positions: &[u32],
        state: &mut KvState,
        mut recorder: Option<&mut Recorder>,
        cancelled: Cancelled,
    ) -> Result<Vec<f32>, ModelError> {
        let rotation = self.rope.at(positions.iter().copied());
        let mut pass = Pass { tokens: tokens.len(), ..Pass::default() };
        let width = self.config.hidden;
        pass.hidden.resize(tokens.len() * width, 0.0);
        for (row, token) in pass.hidden.chunks_exact_mut(width).zip(tokens) {
            self.embedding.row(*token as usize, row)?;
        }
        for (index, layer) in self.layers.iter().enumerate() {
            if cancelled() {
                return Err(ModelError::Cancelled);
            }
            self.project(layer, &mut pass)?;
            if let Some(recorder) = &mut recorder {
                recorder.push(&pass.key, &pass.value);
            }
            self.append(&mut pass, &rotation, &mut state.other[index]);
            // Past the last layer's keys and values only the last token's state is ever used.
            if index + 1 == self.layers.len() {
                pass.keep_last();
            }
            self.attention(layer, index, &mut pass, state)?;
            self.feed_forward(layer, &mut pass)?;
        }
        Ok(pass.hidden)
    }

    /// The logits `[vocabulary]` that follow a token with this hidden state, `[hidden]`.
    pub fn logits(&self, hidden: &[f32]) -> Result<Tensor, ModelError> {
        let mut normed = vec![0.0; hidden.len()];
        simd::rms_norm(&mut normed, hidden, &self.norm, self.config.norm_epsilon);
        let mut logits = vec![0.0; self.output.matrix.rows()];
        rayon::scope(|_| self.output.forward(&normed, &mut logits))?;
        let length = logits.len();
        Ok(Tensor::from_vec(logits, length, &Device::Cpu)?)
    }

    /// Queries, keys and values, with the norm over each head that Qwen3 has.
    fn project(&self, layer: &Layer, pass: &mut Pass) -> Result<(), ModelError> {
        let epsilon = self.config.norm_epsilon;
        self.normalize(&layer.attention_norm, pass);
        let Pass { tokens, normed, query, key, value, .. } = pass;
        for (rows, linear) in
            [(&mut *query, &layer.query), (&mut *key, &layer.key), (&mut *value, &layer.value)]
        {
            rows.resize(*tokens * linear.matrix.rows(), 0.0);
        }
        forward_all([(&layer.query, query), (&layer.key, key), (&layer.value, value)], normed)?;
        for (rows, norm) in [(query, &layer.query_norm), (key, &layer.key_norm)] {
            if let Some(norm) = norm {
                let projected = rows.clone();
                norm_rows(rows, &projected, norm, epsilon);
            }
        }
        Ok(())
    }

    /// Rotates queries and keys, and puts keys and values to those of the tokens before.
    fn append(&self, pass: &mut Pass, rotation: &Rotation, other: &mut LayerKv) {
        let heads = self.config.heads;
        rotation.apply_rows(&mut pass.query, heads.heads);
        rotation.apply_rows(&mut pass.key, heads.kv_heads);
        other.append(&pass.key, &pass.value);
    }

    fn attention(
        &self,
        layer: &Layer,
        index: usize,
        pass: &mut Pass,
        state: &KvState,
    ) -> Result<(), ModelError> {
        let heads = self.config.heads;
        let scale = 1.0 / (heads.head_dim as f32).sqrt();
        let other = Group { kv: &state.other[index], scale, mask: Mask::Causal };
        let context = state.context.get(index).filter(|context| context.tokens() > 0).map(|kv| {
            let scale = scale / state.scaling.temperature;
            Group { kv, scale, mask: Mask::None }
        });
        let (mut attended, over_context) = attend_both(&pass.query, pass.tokens, heads, other, context);
        if let Some(over_context) = over_context {
            merge_context(&mut attended, &over_context, state.scaling);
        }
        layer.attention_output.forward_add(&attended.output, &mut pass.hidden)
    }

    fn feed_forward(&self, layer: &Layer, pass: &mut Pass) -> Result<(), ModelError> {
        self.normalize(&layer.feed_forward_norm, pass);
        let Pass { tokens, hidden, normed, gate, up, .. } = pass;
        gate.resize(*tokens * layer.gate.matrix.rows(), 0.0);
        up.resize(*tokens * layer.up.matrix.rows(), 0.0);
        forward_all([(&layer.gate, gate), (&layer.up, up)], normed)?;
        gate.par_chunks_mut(ELEMENTS)
            .zip(up.par_chunks(ELEMENTS))
            .for_each(|(gate, up)| simd::silu_multiply(gate, up));
        layer.down.forward_add(gate, hidden)
    }

    fn normalize(&self, weights: &[f32], pass: &mut Pass) {
        pass.normed.resize(pass.hidden.len(), 0.0);
        norm_rows(&mut pass.normed, &pass.hidden, weights, self.config.norm_epsilon);
    }
}

fn norm_rows(out: &mut [f32], rows: &[f32], weights: &[f32], epsilon: f32) {
    let block = (ELEMENTS / weights.len()).max(1) * weights.len();
    out.par_chunks_mut(block)
        .zip(rows.par_chunks(block))
        .for_each(|(out, rows)| simd::rms_norm(out, rows, weights, epsilon));
}

impl Layer {
    /// Gives the weights of layer `index` their places.
    pub fn new(config: &ModelConfig, weights: &Weights, index: usize) -> Result<Self, ModelError> {
        let heads = config.heads;
        let (hidden, query, kv) =
            (config.hidden, heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim);
        let gate_rows = weights.rows(Name::GATE, index)?;
        Ok(Self {
            attention_norm: weights.required_norm(Name::ATTENTION_NORM, index, hidden)?,
            query: weights.linear(Name::QUERY, index, (query, hidden))?,
            key: weights.linear(Name::KEY, index, (kv, hidden))?,
            value: weights.linear(Name::VALUE, index, (kv, hidden))?,
            query_norm: weights.norm(Name::QUERY_NORM, index, heads.head_dim)?,
            key_norm: weights.norm(Name::KEY_NORM, index, heads.head_dim)?,
            attention_output: weights.linear(Name::ATTENTION_OUTPUT, index, (hidden, query))?,
            feed_forward_norm: weights.required_norm(Name::FEED_FORWARD_NORM, index, hidden)?,
            gate: weights.linear(Name::GATE, index, (gate_rows, hidden))?,
            up: weights.linear(Name::UP, index, (gate_rows, hidden))?,
            down: weights.linear(Name::DOWN, index, (hidden, gate_rows))?,
        })
    }
}
