//! The least that something can take: its bytes and operations over what the machine can do at most.

use super::{
    PREFIX_TOKENS,
    report::{BenchTier, Ceilings},
};
use crate::{config::CacheDtype, cuda::shape::Shape};

pub(super) struct Floors {
    pub shape: Shape,
    pub dtype: CacheDtype,
    pub ceilings: Ceilings,
}

impl Floors {
    /// Seconds until the first token after `query` tokens over a cached context: the keys and values read once, the
    /// weights read once or multiplied with, and the scores and weighted sums; no less than the caches take to arrive.
    pub fn first_token(&self, context: usize, query: usize, from: BenchTier, file_rate: Option<f64>) -> f64 {
        let kv = self.kv_bytes(context);
        let products = 2.0 * self.shape.weights_read() as f64 * query as f64 / self.ceilings.product;
        let compute = kv / self.ceilings.device_copy
            + products.max(self.weight_bytes() / self.ceilings.device_copy)
            + self.attention(query as f64 * context as f64) / self.ceilings.product;
        let arrival = match from {
            BenchTier::Device => 0.0,
            BenchTier::Host => kv / self.ceilings.host_to_device,
            BenchTier::Disk | BenchTier::ColdDisk => {
                kv / file_rate.unwrap_or(f64::INFINITY).min(self.ceilings.host_to_device)
            }
        };
        compute.max(arrival)
    }

    /// Seconds of a token after so many: weights, keys and values are read once.
    pub fn decode(&self, context: usize) -> f64 {
        (self.weight_bytes() + self.kv_bytes(context)) / self.ceilings.device_copy
    }

    /// Tokens per second of encoding chunks of so many tokens: operations alone.
    pub fn encode(&self, chunk: usize) -> f64 {
        let seen = PREFIX_TOKENS as f64 + (chunk as f64 + 1.0) / 2.0;
        self.ceilings.product / (2.0 * self.body_weights() + self.attention(seen))
    }

    /// Seconds of prefilling so many tokens: operations alone.
    pub fn full(&self, tokens: usize) -> f64 {
        let pairs = tokens as f64 * (tokens as f64 + 1.0) / 2.0;
        (2.0 * self.body_weights() * tokens as f64 + self.attention(pairs)) / self.ceilings.product
    }

    fn kv_bytes(&self, tokens: usize) -> f64 {
        self.shape.kv_bytes(tokens, self.dtype) as f64
    }

    fn weight_bytes(&self) -> f64 {
        self.shape.weights_read() as f64 * self.dtype.bytes() as f64
    }

    /// Weights that every token is multiplied with; the output layer sees the last token alone.
    fn body_weights(&self) -> f64 {
        let output = self.shape.config.vocabulary * self.shape.config.hidden;
        self.shape.weights_read() as f64 - output as f64
    }

    /// Operations of so many pairs of a query token and a key, in all layers: products for the score and for the sum.
    fn attention(&self, pairs: f64) -> f64 {
        4.0 * (self.shape.query_width() * self.shape.config.layers) as f64 * pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For 64 tokens over 128K there are 17.2 GB of keys and values, 15 GB of weights and 4.4 TFLOP of
    /// scores and sums.
    #[test]
    fn floors_are_bytes_and_operations_over_rates() {
        let floors = Floors {
            shape: Shape::named("llama-3.1-8b").expect("a known name"),
            dtype: CacheDtype::Bf16,
            ceilings: Ceilings {
                device_copy: 3e12,
                host_to_device: 55e9,
                device_to_host: 55e9,
                product: 8e14,
            },
        };
        let device = floors.first_token(131_072, 64, BenchTier::Device, None);
        assert!((0.015..0.018).contains(&device), "{device}");
        let host = floors.first_token(131_072, 64, BenchTier::Host, None);
        assert!((0.31..0.32).contains(&host), "{host}");
        let disk = floors.first_token(131_072, 64, BenchTier::Disk, Some(17.2e9));
        assert!((0.99..1.01).contains(&disk), "{disk}");
        assert!((0.0107..0.0110).contains(&floors.decode(131_072)), "{}", floors.decode(131_072));
        assert!((50_000.0..57_500.0).contains(&floors.encode(512)), "{}", floors.encode(512));
    }
}
