//! Choosing the next token.

use candle_core::{Device, Tensor};
use candle_transformers::generation::{LogitsProcessor, Sampling};

use super::ModelError;

/// Logits of the next token, `[vocabulary]`.
pub type Logits = Tensor;

/// Logits that were computed elsewhere.
pub fn logits(values: &[f32]) -> Result<Logits, ModelError> {
    Ok(Tensor::from_slice(values, values.len(), &Device::Cpu)?)
}

/// Chooses tokens: the most likely one, or at random with a fixed seed.
pub struct Sampler {
    processor: LogitsProcessor,
    greedy: bool,
}

impl Sampler {
    /// Greedy at `temperature` 0; else from the whole distribution or, with `top_p`, from its likeliest part.
    pub fn new(temperature: f64, top_p: Option<f64>, seed: u64) -> Self {
        let sampling = match top_p {
            _ if temperature <= 0.0 => Sampling::ArgMax,
            None => Sampling::All { temperature },
            Some(p) => Sampling::TopP { p, temperature },
        };
        let greedy = matches!(sampling, Sampling::ArgMax);
        Self { processor: LogitsProcessor::from_sampling(seed, sampling), greedy }
    }

    /// It always chooses the most likely token.
    pub fn is_greedy(&self) -> bool {
        self.greedy
    }

    /// A token from logits `[vocabulary]`.
    pub fn choose(&mut self, logits: &Logits) -> Result<u32, ModelError> {
        Ok(self.processor.sample(logits)?)
    }
}
