//! Rotary position embedding (Su et al., "RoFormer", arXiv 2104.09864), in both layouts that models use.
//!
//! Positions are data: a rotation is made for the positions it is asked for and never derived from a cache length.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{config::ModelConfig, simd};

/// Which two numbers of a head are rotated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RopeLayout {
    /// 0 with 1, 2 with 3, …: GGUF files of the architecture `llama`, whose rows were permuted for it.
    Interleaved,
    /// i with i + head_dim / 2: safetensors as the Hub publishes them, and GGUF files of `qwen2` and `qwen3`.
    Halves,
}

/// How a model's context was stretched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RopeScaling {
    None,
    /// All frequencies divided by a factor.
    Linear {
        factor: f64,
    },
    /// Llama 3.1's: low frequencies divided by `factor`, high ones kept, those between blended.
    Llama3 {
        factor: f64,
        low_frequency_factor: f64,
        high_frequency_factor: f64,
        original_context: f64,
    },
    /// A divisor for each frequency, `[head_dim / 2]`, as GGUF files carry it.
    Divisors(Vec<f32>),
}

/// The frequencies of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    layout: RopeLayout,
    /// Radians per position, `[head_dim / 2]`.
    frequencies: Vec<f64>,
}

impl Rope {
    pub fn new(layout: RopeLayout, theta: f64, head_dim: usize, scaling: &RopeScaling) -> Self {
        let plain = (0..head_dim / 2).map(|i| theta.powf(-((2 * i) as f64) / head_dim as f64));
        let frequencies = match scaling {
            RopeScaling::None => plain.collect(),
            RopeScaling::Linear { factor } => plain.map(|f| f / factor).collect(),
            RopeScaling::Divisors(divisors) => {
                plain.zip(divisors).map(|(f, divisor)| f / f64::from(*divisor)).collect()
            }
            RopeScaling::Llama3 { factor, low_frequency_factor, high_frequency_factor, original_context } => {
                plain
                    .map(|f| {
                        let turns = original_context * f / std::f64::consts::TAU;
                        let kept =
                            (turns - low_frequency_factor) / (high_frequency_factor - low_frequency_factor);
                        let kept = kept.clamp(0.0, 1.0);
                        f * kept + f / factor * (1.0 - kept)
                    })
                    .collect()
            }
        };
        Self { layout, frequencies }
    }

    /// The frequencies of a model of this shape.
    pub fn of(config: &ModelConfig) -> Self {
        Self::new(config.rope_layout, config.rope_theta, config.heads.head_dim, &config.rope_scaling)
    }

    pub fn layout(&self) -> RopeLayout {
        self.layout
    }

    /// Radians per position, `[head_dim / 2]`.
    pub fn frequencies(&self) -> &[f64] {
        &self.frequencies
    }

    /// Everything that a rotated key depends on, for the store's fingerprint.
    pub fn identity(&self) -> Vec<u8> {
        let mut bytes = vec![self.layout as u8];
        bytes.extend(self.frequencies.iter().flat_map(|f| f.to_le_bytes()));
        bytes
    }

    /// The rotation of tokens that stand at `positions`.
    pub fn at(&self, positions: impl IntoIterator<Item = u32>) -> Rotation {
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for position in positions {
            for frequency in &self.frequencies {
                let (s, c) = (f64::from(position) * frequency).sin_cos();
                cos.push(c as f32);
                sin.push(s as f32);
            }
        }
        Rotation { layout: self.layout, half: self.frequencies.len(), cos, sin }
    }
}

/// Cosines and sines of some tokens' positions, `[tokens, head_dim / 2]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotation {
    layout: RopeLayout,
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rotation {
    pub fn tokens(&self) -> usize {
        self.cos.len() / self.half
    }

    /// Rotates `[tokens, heads, head_dim]` in place, the first tokens of the rotation, in parallel where there are
    /// many.
    pub fn apply_rows(&self, rows: &mut [f32], heads: usize) {
        const TOKENS: usize = 16;
        let token = heads * 2 * self.half;
        if rows.len() <= TOKENS * token {
            return self.apply_from(0, rows, heads);
        }
        rows.par_chunks_mut(TOKENS * token)
            .enumerate()
            .for_each(|(index, rows)| self.apply_from(index * TOKENS, rows, heads));
    }

    /// Rotates `[tokens, heads, head_dim]` in place, of which the first is the rotation's token `first`.
    fn apply_from(&self, first: usize, rows: &mut [f32], heads: usize) {
        simd::run(Apply { rotation: self, first, rows, heads });
    }
}

struct Apply<'a> {
    rotation: &'a Rotation,
    first: usize,
    rows: &'a mut [f32],
    heads: usize,
}

impl simd::Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let half = self.rotation.half;
        let angles = self.rotation.cos.chunks_exact(half).zip(self.rotation.sin.chunks_exact(half));
        let tokens = self.rows.chunks_exact_mut(self.heads * 2 * half);
        for (token, (cos, sin)) in tokens.zip(angles.skip(self.first)) {
            for head in token.chunks_exact_mut(2 * half) {
                match self.rotation.layout {
                    RopeLayout::Interleaved => {
                        for ((pair, c), s) in head.as_chunks_mut::<2>().0.iter_mut().zip(cos).zip(sin) {
                            *pair = [pair[0] * c - pair[1] * s, pair[0] * s + pair[1] * c];
                        }
                    }
                    RopeLayout::Halves => {
                        let (low, high) = head.split_at_mut(half);
                        for (((a, b), c), s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                            (*a, *b) = (*a * c - *b * s, *b * c + *a * s);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_zero_changes_nothing_and_lengths_stay() {
        for layout in [RopeLayout::Interleaved, RopeLayout::Halves] {
            let rope = Rope::new(layout, 10_000.0, 8, &RopeScaling::None);
            let original: Vec<f32> = (1..=8).map(|x| x as f32).collect();
            let mut rows = original.repeat(2);
            rope.at([0, 7]).apply_rows(&mut rows, 1);
            assert_eq!(rows[..8], original);
            let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>();
            // A rotation in f32 keeps the squared length (204) to a few units in the last place.
            assert!((length(&rows[8..]) - length(&original)).abs() < 1e-3);
            assert_ne!(rows[8..], original);
        }
    }

    #[test]
    fn a_product_depends_on_the_distance_alone() {
        let rope = Rope::new(RopeLayout::Halves, 10_000.0, 8, &RopeScaling::Linear { factor: 2.0 });
        let product = |a: u32, b: u32| {
            let (mut q, mut k) = ([0.3, -1.0, 2.0, 0.7, 1.1, 0.2, -0.4, 0.9], [1.0f32; 8]);
            rope.at([a]).apply_rows(&mut q, 1);
            rope.at([b]).apply_rows(&mut k, 1);
            q.iter().zip(k).map(|(x, y)| x * y).sum::<f32>()
        };
        assert!((product(5, 3) - product(105, 103)).abs() < 1e-4);
        assert!((product(5, 3) - product(6, 3)).abs() > 1e-4);
    }
}
