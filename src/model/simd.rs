//! Element-wise loops written so that the compiler turns them into vector code for the processor at hand.

use pulp::Arch;

/// e^x for x ≤ 88, to within 2 units in the last place or so; 0 below −87. A polynomial of degree 6 on
/// [−ln2/2, ln2/2] after Cephes' `expf`, without branches so that it vectorises.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding and taking away 1.5 · 2^23 rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    let clamped = if x < -87.0 { -87.0 } else { x };
    let n = (clamped * LOG2_E + ROUND) - ROUND;
    let r = clamped - n * LN2_HIGH - n * LN2_LOW;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let value = (p * r * r + r) + 1.0;
    // SAFETY-free bit trick: n lies in [-126, 127], so the sum is the exponent of a normal number.
    let power = f32::from_bits((((n as i32) + 127) as u32) << 23);
    if x < -87.0 { 0.0 } else { value * power }
}

/// Turns scores into their softmax and returns their log-sum-exp; an empty row gives −∞.
pub fn softmax(row: &mut [f32]) -> f32 {
    struct Softmax<'a>(&'a mut [f32]);
    impl pulp::NullaryFnOnce for Softmax<'_> {
        type Output = f32;

        #[inline(always)]
        fn call(self) -> f32 {
            const LANES: usize = 16;
            let row = self.0;
            let mut most = [f32::NEG_INFINITY; LANES];
            let (blocks, rest) = row.as_chunks::<LANES>();
            for block in blocks {
                for (most, &x) in most.iter_mut().zip(block) {
                    *most = if x > *most { x } else { *most };
                }
            }
            let most = most.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
            if most == f32::NEG_INFINITY {
                row.fill(0.0);
                return most;
            }
            let mut sums = [0f32; LANES];
            let (blocks, rest) = row.as_chunks_mut::<LANES>();
            for block in blocks {
                for (sum, x) in sums.iter_mut().zip(block) {
                    *x = exp(*x - most);
                    *sum += *x;
                }
            }
            let mut sum: f32 = sums.iter().sum();
            for x in rest {
                *x = exp(*x - most);
                sum += *x;
            }
            let inverse = 1.0 / sum;
            for x in row {
                *x *= inverse;
            }
            most + sum.ln()
        }
    }
    Arch::new().dispatch(Softmax(row))
}

/// `out = gate · sigmoid(gate) · up`, the activation of SwiGLU.
pub fn silu_multiply(out: &mut [f32], gate: &[f32], up: &[f32]) {
    struct SiluMultiply<'a>(&'a mut [f32], &'a [f32], &'a [f32]);
    impl pulp::NullaryFnOnce for SiluMultiply<'_> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            for ((out, &gate), &up) in self.0.iter_mut().zip(self.1).zip(self.2) {
                let negative = if -gate > 88.0 { 88.0 } else { -gate };
                *out = gate / (1.0 + exp(negative)) * up;
            }
        }
    }
    Arch::new().dispatch(SiluMultiply(out, gate, up));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_the_library() {
        for step in -9000..=8800 {
            let x = step as f32 / 100.0;
            let (ours, theirs) = (exp(x), x.exp());
            // 3e-7 is about 2.5 units in the last place of f32; under e^-87 the result is flushed to 0.
            assert!((ours - theirs).abs() <= 3e-7 * theirs + 1e-37, "exp({x}): {ours} and {theirs}");
        }
    }

    #[test]
    fn softmax_of_any_length() {
        for length in [0, 1, 2, 15, 16, 17, 33, 100] {
            let scores: Vec<f32> = (0..length).map(|i| ((i * 37) % 23) as f32 - 11.0).collect();
            let mut row = scores.clone();
            let lse = softmax(&mut row);
            let expected = scores.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
            if length == 0 {
                assert_eq!(lse, f32::NEG_INFINITY);
                continue;
            }
            assert!((f64::from(lse) - expected).abs() < 1e-5, "{lse} and {expected}");
            for (x, score) in row.iter().zip(&scores) {
                assert!((f64::from(*x) - (f64::from(*score) - expected).exp()).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn silu_at_both_ends() {
        let gate = [-200.0, -1.0, 0.0, 1.0, 200.0];
        let mut out = [9.0; 5];
        silu_multiply(&mut out, &gate, &[2.0; 5]);
        let expected = [0.0, -0.537_882_84, 0.0, 1.462_117_2, 400.0];
        for (x, y) in out.iter().zip(expected) {
            assert!((x - y).abs() < 1e-5, "{x} and {y}");
        }
    }
}
