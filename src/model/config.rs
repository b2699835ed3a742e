//! A model's shape, read from a GGUF file's metadata or from `config.json`.

use candle_core::quantized::gguf_file;
use serde::Deserialize;

use super::{
    ModelError,
    attention::Heads,
    rope::{RopeLayout, RopeScaling},
};

/// Architectures of the Llama family: RMSNorm, RoPE, GQA, SwiGLU; Qwen adds biases or norms to the projections.
const SUPPORTED: &[&str] = &["llama", "mistral", "qwen2", "qwen3"];

/// The shape of a Llama-family model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    pub architecture: String,
    pub name: String,
    pub layers: usize,
    pub hidden: usize,
    pub heads: Heads,
    pub vocabulary: usize,
    pub norm_epsilon: f32,
    pub rope_theta: f64,
    pub rope_layout: RopeLayout,
    pub rope_scaling: RopeScaling,
    /// Most tokens of a sequence; a sliding window counts as the end of the context.
    pub context_tokens: usize,
    /// Tokens that end an answer, as far as the model's files name them.
    pub stop_tokens: Vec<u32>,
}

/// Far more than any network has. What is made by these numbers is made before the weights tell that they are wrong.
const MOST_LAYERS: usize = 1 << 12;
const MOST_HEADS: usize = 1 << 12;
const MOST_DIMENSIONS: usize = 1 << 20;

impl ModelConfig {
    /// Reads a GGUF file's metadata.
    pub fn from_gguf(content: &gguf_file::Content) -> Result<Self, ModelError> {
        let text = |key: &str| content.metadata.get(key).and_then(|v| v.to_string().ok()).cloned();
        let architecture = text("general.architecture")
            .ok_or_else(|| ModelError::BadFile("general.architecture is missing".into()))?;
        check_architecture(&architecture)?;
        let find = |key: &str| content.metadata.get(&format!("{architecture}.{key}"));
        let count = |key: &str| find(key).and_then(unsigned);
        let number = |key: &str| find(key).and_then(float);
        let required = |key: &str| {
            count(key).ok_or_else(|| ModelError::BadFile(format!("{architecture}.{key} is missing")))
        };

        let (hidden, heads) = (required("embedding_length")?, required("attention.head_count")?);
        let head_dim = count("attention.key_length").unwrap_or(hidden / heads.max(1));
        let embedding = content.tensor_infos.get("token_embd.weight");
        let rope_scaling = match text(&format!("{architecture}.rope.scaling.type")).as_deref() {
            None | Some("none") => RopeScaling::None,
            Some("linear") => RopeScaling::Linear { factor: number("rope.scaling.factor").unwrap_or(1.0) },
            Some(other) => return Err(ModelError::Unsupported(format!("RoPE scaling of type {other}"))),
        };
        let config = Self {
            name: text("general.name").unwrap_or_else(|| architecture.clone()),
            layers: required("block_count")?,
            hidden,
            heads: Heads { heads, kv_heads: count("attention.head_count_kv").unwrap_or(heads), head_dim },
            vocabulary: embedding.and_then(|info| info.shape.dims().first().copied()).unwrap_or(0),
            norm_epsilon: number("attention.layer_norm_rms_epsilon").unwrap_or(1e-5) as f32,
            rope_theta: number("rope.freq_base").unwrap_or(10_000.0),
            rope_layout: if architecture == "llama" { RopeLayout::Interleaved } else { RopeLayout::Halves },
            rope_scaling,
            context_tokens: sequence_limit(required("context_length")?, count("attention.sliding_window")),
            stop_tokens: ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"]
                .iter()
                .filter_map(|key| content.metadata.get(*key).and_then(unsigned))
                .map(|id| id as u32)
                .collect(),
            architecture: architecture.clone(),
        };
        if let Some(rotated) = count("rope.dimension_count").filter(|rotated| *rotated != head_dim) {
            return Err(ModelError::Unsupported(format!("RoPE over {rotated} of {head_dim} dimensions")));
        }
        config.check()
    }

    /// Reads a `config.json` as the Hub publishes it.
    pub fn from_json(text: &str, name: &str) -> Result<Self, ModelError> {
        let raw: RawConfig =
            serde_json::from_str(text).map_err(|e| ModelError::BadFile(format!("config.json: {e}")))?;
        check_architecture(&raw.model_type)?;
        if raw.partial_rotary_factor.is_some_and(|factor| factor != 1.0) {
            return Err(ModelError::Unsupported("RoPE over a part of the head".into()));
        }
        if raw.hidden_act.as_deref().is_some_and(|act| act != "silu") {
            return Err(ModelError::Unsupported("an activation other than SiLU".into()));
        }
        let window = raw.sliding_window.filter(|_| raw.use_sliding_window != Some(false));
        let head_dim = raw.head_dim.unwrap_or(raw.hidden_size / raw.num_attention_heads.max(1));
        let parameters = raw.rope_parameters.as_ref();
        let config = Self {
            architecture: raw.model_type.clone(),
            name: name.to_owned(),
            layers: raw.num_hidden_layers,
            hidden: raw.hidden_size,
            heads: Heads {
                heads: raw.num_attention_heads,
                kv_heads: raw.num_key_value_heads.unwrap_or(raw.num_attention_heads),
                head_dim,
            },
            vocabulary: raw.vocab_size,
            norm_epsilon: raw.rms_norm_eps,
            rope_theta: raw.rope_theta.or_else(|| parameters.and_then(|p| p.rope_theta)).unwrap_or(10_000.0),
            rope_layout: RopeLayout::Halves,
            rope_scaling: raw
                .rope_scaling
                .as_ref()
                .or(parameters)
                .map_or(Ok(RopeScaling::None), RawScaling::resolve)?,
            context_tokens: sequence_limit(raw.max_position_embeddings, window),
            stop_tokens: raw.eos_token_id.map(OneOrMany::into_vec).unwrap_or_default(),
        };
        config.check()
    }

    /// Refuses shapes that no network can have, so that a damaged file is an error and not a panic.
    fn check(self) -> Result<Self, ModelError> {
        let Heads { heads, kv_heads, head_dim } = self.heads;
        let is_near = |number: usize, most: usize| (1..=most).contains(&number);
        let sound = is_near(self.layers, MOST_LAYERS)
            && is_near(self.hidden, MOST_DIMENSIONS)
            && is_near(heads, MOST_HEADS)
            && is_near(kv_heads, heads)
            && heads.is_multiple_of(kv_heads)
            && is_near(head_dim, MOST_DIMENSIONS / heads)
            && head_dim.is_multiple_of(2)
            && self.context_tokens > 0;
        if sound { Ok(self) } else { Err(ModelError::BadFile(format!("impossible shape: {self:?}"))) }
    }
}

fn check_architecture(found: &str) -> Result<(), ModelError> {
    if SUPPORTED.contains(&found) {
        return Ok(());
    }
    Err(ModelError::UnsupportedArchitecture { found: found.to_owned(), supported: SUPPORTED.join(", ") })
}

fn sequence_limit(context: usize, window: Option<usize>) -> usize {
    window.filter(|w| *w > 0).map_or(context, |w| w.min(context))
}

fn unsigned(value: &gguf_file::Value) -> Option<usize> {
    use gguf_file::Value::*;
    match *value {
        U8(v) => Some(v.into()),
        U16(v) => Some(v.into()),
        U32(v) => usize::try_from(v).ok(),
        U64(v) => usize::try_from(v).ok(),
        I8(v) => usize::try_from(v).ok(),
        I16(v) => usize::try_from(v).ok(),
        I32(v) => usize::try_from(v).ok(),
        I64(v) => usize::try_from(v).ok(),
        _ => None,
    }
}

fn float(value: &gguf_file::Value) -> Option<f64> {
    match *value {
        gguf_file::Value::F32(v) => Some(v.into()),
        gguf_file::Value::F64(v) => Some(v),
        _ => unsigned(value).map(|v| v as f64),
    }
}

#[derive(Deserialize)]
struct RawConfig {
    model_type: String,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    vocab_size: usize,
    rms_norm_eps: f32,
    rope_theta: Option<f64>,
    rope_scaling: Option<RawScaling>,
    rope_parameters: Option<RawScaling>,
    partial_rotary_factor: Option<f64>,
    max_position_embeddings: usize,
    sliding_window: Option<usize>,
    use_sliding_window: Option<bool>,
    hidden_act: Option<String>,
    eos_token_id: Option<OneOrMany>,
}

#[derive(Deserialize)]
struct RawScaling {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f64>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
}

impl RawScaling {
    fn resolve(&self) -> Result<RopeScaling, ModelError> {
        let need = |value: Option<f64>, name: &str| {
            value.ok_or_else(|| ModelError::BadFile(format!("config.json: RoPE scaling without {name}")))
        };
        match self.rope_type.as_deref() {
            None | Some("default") => Ok(RopeScaling::None),
            Some("linear") => Ok(RopeScaling::Linear { factor: need(self.factor, "factor")? }),
            Some("llama3") => Ok(RopeScaling::Llama3 {
                factor: need(self.factor, "factor")?,
                low_frequency_factor: need(self.low_freq_factor, "low_freq_factor")?,
                high_frequency_factor: need(self.high_freq_factor, "high_freq_factor")?,
                original_context: need(
                    self.original_max_position_embeddings,
                    "original_max_position_embeddings",
                )?,
            }),
            Some(other) => Err(ModelError::Unsupported(format!("RoPE scaling of type {other}"))),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

impl OneOrMany {
    pub(super) fn into_vec(self) -> Vec<u32> {
        match self {
            Self::One(id) => vec![id],
            Self::Many(ids) => ids,
        }
    }
}
