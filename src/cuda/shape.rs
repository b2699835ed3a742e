//! What a network's sizes are: those of its weights, its activations, and its keys and values.

use crate::{
    config::CacheDtype,
    model::{
        ModelError,
        attention::Heads,
        config::ModelConfig,
        kv::KvShape,
        network::Network,
        rope::{RopeLayout, RopeScaling},
        weights::{Name, Weights},
    },
};

/// The shape of a Llama-family network.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    pub config: ModelConfig,
    /// Numbers between the two products of a feed-forward layer.
    pub feed_forward: usize,
    /// The output layer is the embedding.
    pub tied: bool,
    /// Queries, keys and values have biases (Qwen2).
    pub biases: bool,
    /// Queries and keys are normalized, head by head (Qwen3).
    pub head_norms: bool,
}

/// Sizes as a model's `config.json` gives them.
struct Published {
    name: &'static str,
    architecture: &'static str,
    layers: usize,
    hidden: usize,
    feed_forward: usize,
    heads: Heads,
    vocabulary: usize,
    norm_epsilon: f32,
    rope_theta: f64,
    /// Llama 3's `factor`, for those that have it.
    rope_factor: Option<f64>,
    context_tokens: usize,
    tied: bool,
}

const fn heads(heads: usize, kv_heads: usize, head_dim: usize) -> Heads {
    Heads { heads, kv_heads, head_dim }
}

const PUBLISHED: &[Published] = &[
    Published {
        name: "smollm2-135m",
        architecture: "llama",
        layers: 30,
        hidden: 576,
        feed_forward: 1536,
        heads: heads(9, 3, 64),
        vocabulary: 49_152,
        norm_epsilon: 1e-5,
        rope_theta: 100_000.0,
        rope_factor: None,
        context_tokens: 8192,
        tied: true,
    },
    Published {
        name: "llama-3.2-1b",
        architecture: "llama",
        layers: 16,
        hidden: 2048,
        feed_forward: 8192,
        heads: heads(32, 8, 64),
        vocabulary: 128_256,
        norm_epsilon: 1e-5,
        rope_theta: 500_000.0,
        rope_factor: Some(32.0),
        context_tokens: 131_072,
        tied: true,
    },
    Published {
        name: "llama-3.2-3b",
        architecture: "llama",
        layers: 28,
        hidden: 3072,
        feed_forward: 8192,
        heads: heads(24, 8, 128),
        vocabulary: 128_256,
        norm_epsilon: 1e-5,
        rope_theta: 500_000.0,
        rope_factor: Some(32.0),
        context_tokens: 131_072,
        tied: true,
    },
    Published {
        name: "llama-3.1-8b",
        architecture: "llama",
        layers: 32,
        hidden: 4096,
        feed_forward: 14_336,
        heads: heads(32, 8, 128),
        vocabulary: 128_256,
        norm_epsilon: 1e-5,
        rope_theta: 500_000.0,
        rope_factor: Some(8.0),
        context_tokens: 131_072,
        tied: false,
    },
    Published {
        name: "mistral-7b",
        architecture: "mistral",
        layers: 32,
        hidden: 4096,
        feed_forward: 14_336,
        heads: heads(32, 8, 128),
        vocabulary: 32_768,
        norm_epsilon: 1e-5,
        rope_theta: 1_000_000.0,
        rope_factor: None,
        context_tokens: 32_768,
        tied: false,
    },
    Published {
        name: "qwen2.5-0.5b",
        architecture: "qwen2",
        layers: 24,
        hidden: 896,
        feed_forward: 4864,
        heads: heads(14, 2, 64),
        vocabulary: 151_936,
        norm_epsilon: 1e-6,
        rope_theta: 1_000_000.0,
        rope_factor: None,
        context_tokens: 32_768,
        tied: true,
    },
    Published {
        name: "qwen2.5-1.5b",
        architecture: "qwen2",
        layers: 28,
        hidden: 1536,
        feed_forward: 8960,
        heads: heads(12, 2, 128),
        vocabulary: 151_936,
        norm_epsilon: 1e-6,
        rope_theta: 1_000_000.0,
        rope_factor: None,
        context_tokens: 32_768,
        tied: true,
    },
    Published {
        name: "qwen3-0.6b",
        architecture: "qwen3",
        layers: 28,
        hidden: 1024,
        feed_forward: 3072,
        heads: heads(16, 8, 128),
        vocabulary: 151_936,
        norm_epsilon: 1e-6,
        rope_theta: 1_000_000.0,
        rope_factor: None,
        context_tokens: 40_960,
        tied: true,
    },
];

impl Shape {
    /// The names that [`Self::named`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PUBLISHED.iter().map(|published| published.name)
    }

    /// The shape of a published model, for measuring with random weights.
    pub fn named(name: &str) -> Option<Self> {
        let published = PUBLISHED.iter().find(|published| published.name == name)?;
        let rope_scaling = match published.rope_factor {
            None => RopeScaling::None,
            Some(factor) => RopeScaling::Llama3 {
                factor,
                low_frequency_factor: 1.0,
                high_frequency_factor: 4.0,
                original_context: 8192.0,
            },
        };
        let config = ModelConfig {
            architecture: published.architecture.into(),
            name: published.name.into(),
            layers: published.layers,
            hidden: published.hidden,
            heads: published.heads,
            vocabulary: published.vocabulary,
            norm_epsilon: published.norm_epsilon,
            rope_theta: published.rope_theta,
            rope_layout: RopeLayout::Halves,
            rope_scaling,
            context_tokens: published.context_tokens,
            stop_tokens: Vec::new(),
        };
        Some(Self {
            config,
            feed_forward: published.feed_forward,
            tied: published.tied,
            biases: published.architecture == "qwen2",
            head_norms: published.architecture == "qwen3",
        })
    }

    /// The shape of a network on the host.
    pub fn of_network(network: &Network) -> Result<Self, ModelError> {
        let first = network.layers().first().ok_or(ModelError::Internal("a network without layers"))?;
        Ok(Self {
            config: network.config.clone(),
            feed_forward: first.gate.matrix.rows(),
            tied: network.output().matrix.shares(network.embedding()),
            biases: first.query.bias.is_some(),
            head_norms: first.query_norm.is_some(),
        })
    }

    /// The shape of a network in a model's files.
    pub fn of_files(mut config: ModelConfig, weights: &Weights) -> Result<Self, ModelError> {
        if let Some(divisors) = weights.rope_divisors()? {
            config.rope_scaling = RopeScaling::Divisors(divisors);
        }
        Ok(Self {
            feed_forward: weights.rows(Name::GATE, 0)?,
            tied: weights.ties_output(),
            biases: weights.has_bias(Name::QUERY, 0),
            head_norms: weights.norm(Name::QUERY_NORM, 0, config.heads.head_dim)?.is_some(),
            config,
        })
    }

    /// Numbers of a token's queries: `heads · head_dim`.
    pub fn query_width(&self) -> usize {
        self.config.heads.heads * self.config.heads.head_dim
    }

    /// Numbers of a token's keys (or values): `kv_heads · head_dim`.
    pub fn kv_width(&self) -> usize {
        self.config.heads.kv_heads * self.config.heads.head_dim
    }

    /// Numbers of a token's queries, keys and values.
    pub fn qkv_width(&self) -> usize {
        self.query_width() + 2 * self.kv_width()
    }

    /// Bytes of `tokens` tokens' keys and values in one layer.
    pub fn layer_kv_bytes(&self, tokens: usize, dtype: CacheDtype) -> usize {
        2 * tokens * self.kv_width() * dtype.bytes()
    }

    /// Bytes of `tokens` tokens' keys and values in all layers.
    pub fn kv_bytes(&self, tokens: usize, dtype: CacheDtype) -> usize {
        self.config.layers * self.layer_kv_bytes(tokens, dtype)
    }

    /// The shape of a segment of so many tokens.
    pub fn segment(&self, tokens: usize) -> KvShape {
        let Heads { kv_heads, head_dim, .. } = self.config.heads;
        KvShape { layers: self.config.layers, kv_heads, tokens, head_dim }
    }

    /// Numbers in all of a layer's matrices.
    fn layer_weights(&self) -> usize {
        let hidden = self.config.hidden;
        hidden * (self.qkv_width() + self.query_width() + 3 * self.feed_forward)
    }

    /// Numbers in all matrices: what a token's products read, and the embedding where it is one of its own.
    pub fn weights(&self) -> u64 {
        let vocabulary = self.config.vocabulary * self.config.hidden;
        let tables = if self.tied { 1 } else { 2 };
        (self.config.layers * self.layer_weights() + tables * vocabulary) as u64
    }

    /// Numbers of the matrices that one token is multiplied with: all but an embedding of its own.
    pub fn weights_read(&self) -> u64 {
        let vocabulary = self.config.vocabulary * self.config.hidden;
        (self.config.layers * self.layer_weights() + vocabulary) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in the matrices, from the models' cards (which count norms and biases too: less than 1 % of them).
    #[test]
    fn published_shapes_have_their_number_of_parameters() {
        let cards = [
            ("smollm2-135m", 134.5e6),
            ("llama-3.2-1b", 1235.8e6),
            ("llama-3.2-3b", 3212.7e6),
            ("llama-3.1-8b", 8030.3e6),
            ("mistral-7b", 7248.0e6),
            ("qwen2.5-0.5b", 494.0e6),
            ("qwen2.5-1.5b", 1543.7e6),
            ("qwen3-0.6b", 596.0e6),
        ];
        assert_eq!(Shape::names().count(), cards.len());
        for (name, parameters) in cards {
            let shape = Shape::named(name).expect("a known name");
            let found = shape.weights() as f64;
            assert!((found - parameters).abs() < 0.01 * parameters, "{name}: {found}");
        }
        assert_eq!(Shape::named("llama-9"), None);
    }

    #[test]
    fn keys_and_values_of_the_8b_shape_take_128_kib_a_token() {
        let shape = Shape::named("llama-3.1-8b").expect("a known name");
        assert_eq!(shape.kv_bytes(1, CacheDtype::Bf16), 128 << 10);
        assert_eq!(shape.segment(512).bytes(CacheDtype::Bf16), shape.kv_bytes(512, CacheDtype::Bf16));
    }
}
