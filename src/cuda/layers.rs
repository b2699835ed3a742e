//! What a layer does to tokens, as launches on the stream of kernels: `model::network`'s `project`, `attention` and
//! `feed_forward`. For a token or a few, weights are read by kernels that take the norm before a product, the SiLU and
//! the addition after it along; for many, cuBLAS multiplies.

use super::{
    CudaError,
    angles::Angles,
    device::{Gpu, Pointer},
    kernels::{
        Attend, AttendMode, FinishQkv, Gemv, GemvInput, GemvOutput, Kernels, Keys, MOST_TOKENS, Merge,
    },
    product::{Gemm, GemmOutput},
    shape::Shape,
    weights::{DeviceWeights, LayerWeights},
    workspace::Activations,
};
use crate::{config::CacheDtype, model::attention::ApeScaling};

/// What a pass works with.
#[derive(Clone, Copy)]
pub(super) struct Tools<'a> {
    pub gpu: &'a Gpu,
    pub kernels: &'a Kernels,
    pub shape: &'a Shape,
    pub weights: &'a DeviceWeights,
    pub angles: &'a Angles,
}

/// Some tokens on their way through the layers. Nothing here waits for the device.
pub(super) struct Pass<'a> {
    tools: Tools<'a>,
    activations: Activations,
    /// Tokens that go on.
    tokens: usize,
    /// The first of them, in the residual stream and in the queries.
    first: usize,
    sequences: usize,
    longest_sequence: usize,
    /// [`super::workspace::Inputs::sequence_start`], or that of the last token alone.
    sequence_start: Pointer,
}

/// A layer's keys and values of a context.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ContextKeys {
    pub keys: Keys,
    /// They were in place before this pass began.
    pub settled: bool,
}

/// Where a layer's keys and values of a pass go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Destination {
    pub keys: Pointer,
    pub values: Pointer,
    /// Numbers from a head to the next.
    pub head_stride: u64,
    pub first_slot: usize,
    /// Where the layer's blocks are recorded, and in which type, if they are.
    pub record: Option<(Pointer, CacheDtype)>,
}

impl<'a> Pass<'a> {
    /// A pass of the tokens that [`super::workspace::Workspace::bring`] brought, from their embeddings.
    pub fn begin(
        tools: Tools<'a>,
        activations: Activations,
        tokens: usize,
        sequences: usize,
        longest_sequence: usize,
    ) -> Result<Self, CudaError> {
        let (table, hidden) = (tools.weights.embedding, tools.shape.config.hidden);
        let ids = activations.inputs.ids;
        tools.kernels.embed(tools.gpu.compute(), activations.hidden, table, ids, tokens, hidden)?;
        let sequence_start = activations.inputs.sequence_start;
        Ok(Self { tools, activations, tokens, first: 0, sequences, longest_sequence, sequence_start })
    }

    fn element(&self) -> CacheDtype {
        self.tools.kernels.element()
    }

    fn are_few(&self) -> bool {
        self.tokens <= MOST_TOKENS
    }

    /// The residual stream of the tokens that go on.
    fn hidden(&self) -> Pointer {
        self.activations.hidden + (self.first * self.tools.shape.config.hidden * size_of::<f32>()) as u64
    }

    /// Queries, keys and values of one layer, before their biases.
    pub fn project(&self, layer: &LayerWeights) -> Result<(), CudaError> {
        let rows = self.tools.shape.qkv_width();
        self.normed_product(layer.attention_norm, layer.qkv, rows)
    }

    /// Biases, head norms, records and rotates what [`Self::project`] left, and puts keys and values where they go.
    pub fn finish(&self, layer: &LayerWeights, to: &Destination) -> Result<(), CudaError> {
        let Tools { gpu, kernels, shape, angles, .. } = self.tools;
        let (heads, inputs) = (shape.config.heads, self.activations.inputs);
        let (record, record_dtype) = to.record.unwrap_or((0, self.element()));
        let call = FinishQkv {
            qkv: self.activations.projected,
            bias: layer.qkv_bias,
            query_norm: layer.query_norm,
            key_norm: layer.key_norm,
            epsilon: shape.config.norm_epsilon,
            positions: inputs.positions,
            cos: angles.cos(),
            sin: angles.sin(),
            query_out: self.activations.query,
            keys: to.keys,
            values: to.values,
            head_stride: to.head_stride,
            first_slot: to.first_slot,
            record,
            record_dtype,
            sequence_start: inputs.sequence_start,
            sequence_of: inputs.sequence_of,
            tokens: self.tokens,
            heads: heads.heads,
            kv_heads: heads.kv_heads,
        };
        kernels.finish_qkv(gpu.compute(), &call)
    }

    /// Goes on with the last token alone. Past the last layer's keys and values only its state is ever used.
    pub fn keep_last(&mut self) {
        self.first += self.tokens - 1;
        self.tokens = 1;
        self.sequences = 1;
        self.longest_sequence = 1;
        self.sequence_start = self.activations.inputs.last;
    }

    /// Attention over a context and over the tokens before, merged with APE's temperature and scale. Without a context,
    /// `context.count` is 0.
    pub fn attend(&self, context: ContextKeys, own: Keys, scaling: ApeScaling) -> Result<(), CudaError> {
        let ContextKeys { keys: context, settled } = context;
        let Tools { gpu, kernels, shape, .. } = self.tools;
        let heads = shape.config.heads;
        let plan = kernels.plan_splits(self.tokens, heads.heads, heads.kv_heads, context.count, own.count);
        let most = self.activations.partial_rows / self.tokens;
        let (shared_splits, own_splits) = within(plan, most);
        let Activations { partial, lse, normed: output, .. } = self.activations;
        let scale = self.scale();
        let call = |mode| Attend {
            query: self.query(),
            shared: context,
            own,
            sequences: self.sequences,
            sequence_start: self.sequence_start,
            longest_sequence: self.longest_sequence,
            own_offset: 0,
            own_count: 0,
            tokens: self.tokens,
            heads: heads.heads,
            kv_heads: heads.kv_heads,
            scale_shared: scale / scaling.temperature,
            scale_own: scale,
            shared_is_old: settled,
            mode,
        };
        if shared_splits == 0 && own_splits == 1 {
            return kernels.attend(gpu.compute(), &call(AttendMode::Joint { output }));
        }
        kernels
            .attend(gpu.compute(), &call(AttendMode::Split { shared_splits, own_splits, partial, lse }))?;
        let merge = Merge {
            partial,
            lse,
            shared_splits,
            own_splits,
            tokens: self.tokens,
            heads: heads.heads,
            temperature: scaling.temperature,
            scale: scaling.scale,
            output,
        };
        kernels.merge(gpu.compute(), &merge)
    }

    /// Attention of sequences side by side, each over `prefix` and over its own tokens, whose keys are at the slots of
    /// the tokens: one softmax over both.
    pub fn attend_after(&self, prefix: Keys, own: Keys) -> Result<(), CudaError> {
        let Tools { gpu, kernels, shape, .. } = self.tools;
        let (heads, scale, inputs) = (shape.config.heads, self.scale(), self.activations.inputs);
        let call = Attend {
            query: self.query(),
            shared: prefix,
            own,
            sequences: self.sequences,
            sequence_start: self.sequence_start,
            longest_sequence: self.longest_sequence,
            own_offset: inputs.sequence_start,
            own_count: inputs.sequence_tokens,
            tokens: self.tokens,
            heads: heads.heads,
            kv_heads: heads.kv_heads,
            scale_shared: scale,
            scale_own: scale,
            shared_is_old: false,
            mode: AttendMode::Joint { output: self.activations.normed },
        };
        kernels.attend(gpu.compute(), &call)
    }

    fn scale(&self) -> f32 {
        1.0 / (self.tools.shape.config.heads.head_dim as f32).sqrt()
    }

    /// The rotated queries of the tokens that go on.
    fn query(&self) -> Pointer {
        let row = self.tools.shape.query_width() * self.element().bytes();
        self.activations.query + (self.first * row) as u64
    }

    /// Adds what attention gave, multiplied, to the residual stream.
    pub fn attention_output(&self, layer: &LayerWeights) -> Result<(), CudaError> {
        let (input, columns) = (self.activations.normed, self.tools.shape.query_width());
        self.added_product(layer.output, input, columns)?;
        self.add_bias(layer.output_bias)
    }

    pub fn feed_forward(&self, layer: &LayerWeights) -> Result<(), CudaError> {
        let Tools { gpu, kernels, shape, .. } = self.tools;
        let Activations { projected: gate_up, query: activated, .. } = self.activations;
        let width = shape.feed_forward;
        if self.are_few() && layer.gate_up_bias == 0 {
            self.gated_product(layer)?;
        } else {
            self.normed_product(layer.feed_forward_norm, layer.gate_up, 2 * width)?;
            if layer.gate_up_bias != 0 {
                let bias = layer.gate_up_bias;
                kernels.add_bias_element(gpu.compute(), gate_up, bias, self.tokens, 2 * width)?;
            }
            kernels.silu_multiply(gpu.compute(), activated, gate_up, self.tokens, width)?;
        }
        self.added_product(layer.down, activated, width)?;
        self.add_bias(layer.down_bias)
    }

    /// The logits that follow the last token, to [`Activations::logits`], and the most likely token, to
    /// [`Activations::choice`].
    pub fn logits(&self) -> Result<(), CudaError> {
        let Tools { gpu, kernels, shape, weights, .. } = self.tools;
        let (hidden, vocabulary) = (shape.config.hidden, shape.config.vocabulary);
        let last = self.hidden() + ((self.tokens - 1) * hidden * size_of::<f32>()) as u64;
        let product = Gemv {
            weight: weights.output,
            input: GemvInput::Normed { rows: last, weight: weights.norm, epsilon: shape.config.norm_epsilon },
            output: GemvOutput::F32(self.activations.logits),
            tokens: 1,
            rows: vocabulary,
            columns: hidden,
        };
        kernels.gemv(gpu.compute(), &product)?;
        if weights.output_bias != 0 {
            kernels.add_bias(gpu.compute(), self.activations.logits, weights.output_bias, 1, vocabulary)?;
        }
        let Activations { choice, logits, .. } = self.activations;
        kernels.most_likely(gpu.compute(), choice, logits, vocabulary)
    }

    /// The RMS norm of the residual stream times `weight`, `[rows, hidden]`, to [`Activations::projected`].
    fn normed_product(&self, norm: Pointer, weight: Pointer, rows: usize) -> Result<(), CudaError> {
        let Tools { gpu, kernels, shape, .. } = self.tools;
        let Activations { normed, projected, .. } = self.activations;
        let (columns, epsilon, tokens) = (shape.config.hidden, shape.config.norm_epsilon, self.tokens);
        if self.are_few() {
            let input = GemvInput::Normed { rows: self.hidden(), weight: norm, epsilon };
            let output = GemvOutput::Element(projected);
            return kernels.gemv(gpu.compute(), &Gemv { weight, input, output, tokens, rows, columns });
        }
        kernels.rms_norm(gpu.compute(), normed, self.hidden(), norm, epsilon, tokens, columns)?;
        let (element, kind) = (self.element(), GemmOutput::Element);
        gpu.gemm(&Gemm { element, weight, input: normed, output: projected, kind, tokens, rows, columns })
    }

    /// The feed-forward layer's activation of a few tokens, to [`Activations::query`].
    fn gated_product(&self, layer: &LayerWeights) -> Result<(), CudaError> {
        let Tools { gpu, kernels, shape, .. } = self.tools;
        let (weight, epsilon) = (layer.feed_forward_norm, shape.config.norm_epsilon);
        let product = Gemv {
            weight: layer.gate_up,
            input: GemvInput::Normed { rows: self.hidden(), weight, epsilon },
            output: GemvOutput::Gated(self.activations.query),
            tokens: self.tokens,
            rows: shape.feed_forward,
            columns: shape.config.hidden,
        };
        kernels.gemv(gpu.compute(), &product)
    }

    /// Adds the products of `weight`, `[hidden, columns]`, with `input`, E `[tokens, columns]`, to the residual stream.
    fn added_product(&self, weight: Pointer, input: Pointer, columns: usize) -> Result<(), CudaError> {
        let Tools { gpu, kernels, shape, .. } = self.tools;
        let (rows, tokens, output) = (shape.config.hidden, self.tokens, self.hidden());
        if self.are_few() {
            let (input, output) = (GemvInput::Element(input), GemvOutput::AddF32(output));
            return kernels.gemv(gpu.compute(), &Gemv { weight, input, output, tokens, rows, columns });
        }
        let (element, kind) = (self.element(), GemmOutput::AddF32);
        gpu.gemm(&Gemm { element, weight, input, output, kind, tokens, rows, columns })
    }

    fn add_bias(&self, bias: Pointer) -> Result<(), CudaError> {
        if bias == 0 {
            return Ok(());
        }
        let Tools { gpu, kernels, shape, .. } = self.tools;
        kernels.add_bias(gpu.compute(), self.hidden(), bias, self.tokens, shape.config.hidden)
    }
}

/// A plan of shared and own splits, cut down to `most` of both together; a group that has any keeps one.
fn within((shared, own): (usize, usize), most: usize) -> (usize, usize) {
    if shared + own <= most {
        return (shared, own);
    }
    let own = own.min((most / 2).max(1));
    (shared.min(most.saturating_sub(own).max(1)), own)
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn splits_are_cut_down_to_what_there_is_room_for() {
        assert_eq!(within((30, 2), 64), (30, 2));
        assert_eq!(within((60, 30), 64), (34, 30));
        assert_eq!(within((0, 90), 64), (0, 32));
        assert_eq!(within((300, 1), 2), (1, 1));
        assert_eq!(within((300, 0), 8), (8, 0));
    }
}
