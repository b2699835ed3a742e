//! Element-wise loops written so that the compiler turns them into vector code for the processor at hand.

use pulp::{Arch, Simd, WithSimd};

/// A loop that is compiled once for every set of vector instructions. `FUSED` says that multiply-add is an
/// instruction there; where it is not, it would be a slow call.
///
/// `run` and everything it calls must be `#[inline(always)]`, or it is compiled for the oldest processor.
pub trait Kernel {
    type Output;

    fn run<const FUSED: bool>(self) -> Self::Output;
}

/// Runs a kernel with the best instructions that this processor has.
pub fn run<K: Kernel>(kernel: K) -> K::Output {
    struct Dispatched<K>(K);
    impl<K: Kernel> WithSimd for Dispatched<K> {
        type Output = K::Output;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> K::Output {
            if S::IS_SCALAR { self.0.run::<false>() } else { self.0.run::<true>() }
        }
    }
    Arch::new().dispatch(Dispatched(kernel))
}

/// `a · b + c`.
#[inline(always)]
pub fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// The sum of 32 partial sums, in halves, so that it vectorises.
#[inline(always)]
pub fn sum(mut lanes: [f32; 32]) -> f32 {
    let mut width = 16;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

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
    run(Softmax(row))
}

struct Softmax<'a>(&'a mut [f32]);

impl Kernel for Softmax<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<const FUSED: bool>(self) -> f32 {
        softmax_row(self.0)
    }
}

/// [`softmax`] for use within a kernel.
#[inline(always)]
pub fn softmax_row(row: &mut [f32]) -> f32 {
    const LANES: usize = 16;
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

/// `gate = gate · sigmoid(gate) · up`, the activation of SwiGLU.
pub fn silu_multiply(gate: &mut [f32], up: &[f32]) {
    struct SiluMultiply<'a>(&'a mut [f32], &'a [f32]);
    impl Kernel for SiluMultiply<'_> {
        type Output = ();

        #[inline(always)]
        fn run<const FUSED: bool>(self) {
            for (gate, &up) in self.0.iter_mut().zip(self.1) {
                let negative = if -*gate > 88.0 { 88.0 } else { -*gate };
                *gate = *gate / (1.0 + exp(negative)) * up;
            }
        }
    }
    run(SiluMultiply(gate, up));
}

/// RMSNorm of each row of `[rows, weights.len()]`, times `weights`, from `rows` to `out`.
pub fn rms_norm(out: &mut [f32], rows: &[f32], weights: &[f32], epsilon: f32) {
    struct RmsNorm<'a>(&'a mut [f32], &'a [f32], &'a [f32], f32);
    impl Kernel for RmsNorm<'_> {
        type Output = ();

        #[inline(always)]
        fn run<const FUSED: bool>(self) {
            let Self(out, rows, weights, epsilon) = self;
            let width = weights.len();
            for (out, row) in out.chunks_exact_mut(width).zip(rows.chunks_exact(width)) {
                let mean = dot::<FUSED>(row, row) / width as f32;
                let factor = 1.0 / (mean + epsilon).sqrt();
                for ((out, x), weight) in out.iter_mut().zip(row).zip(weights) {
                    *out = x * factor * weight;
                }
            }
        }
    }
    run(RmsNorm(out, rows, weights, epsilon));
}

/// Rows of f32 weights, each as long as `activations`, times `activations`: one sum for every number of `out`, added
/// to it with `ADD`.
pub fn multiply_dense<const ADD: bool>(rows: &[f32], activations: &[f32], out: &mut [f32]) {
    struct Multiply<'a, const ADD: bool>(&'a [f32], &'a [f32], &'a mut [f32]);
    impl<const ADD: bool> Kernel for Multiply<'_, ADD> {
        type Output = ();

        #[inline(always)]
        fn run<const FUSED: bool>(self) {
            let Self(rows, activations, out) = self;
            for (out, row) in out.iter_mut().zip(rows.chunks_exact(activations.len().max(1))) {
                let product = dot::<FUSED>(row, activations);
                *out = if ADD { *out + product } else { product };
            }
        }
    }
    run(Multiply::<ADD>(rows, activations, out));
}

/// The dot product of two rows of the same length, for use within a kernel.
#[inline(always)]
pub fn dot<const FUSED: bool>(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<32>(), b.as_chunks::<32>());
    let mut sums = [0f32; 32];
    for (a, b) in a.iter().zip(b) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum = multiply_add::<FUSED>(a, b, *sum);
        }
    }
    a_rest.iter().zip(b_rest).fold(sum(sums), |sum, (&a, &b)| multiply_add::<FUSED>(a, b, sum))
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
        let mut out = [-200.0, -1.0, 0.0, 1.0, 200.0];
        silu_multiply(&mut out, &[2.0; 5]);
        let expected = [0.0, -0.537_882_84, 0.0, 1.462_117_2, 400.0];
        for (x, y) in out.iter().zip(expected) {
            assert!((x - y).abs() < 1e-5, "{x} and {y}");
        }
    }

    #[test]
    fn norm_of_two_odd_rows() {
        let rows: Vec<f32> = (0..2 * 37).map(|i| ((i * 29) % 17) as f32 - 8.0).collect();
        let weights: Vec<f32> = (0..37).map(|i| 1.0 + i as f32 / 10.0).collect();
        let mut out = vec![9.0; 2 * 37];
        rms_norm(&mut out, &rows, &weights, 1e-5);
        for (out, row) in out.chunks(37).zip(rows.chunks(37)) {
            let mean = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / 37.0 + 1e-5;
            for ((out, x), weight) in out.iter().zip(row).zip(&weights) {
                let expected = f64::from(*x) / mean.sqrt() * f64::from(*weight);
                assert!((f64::from(*out) - expected).abs() < 1e-5, "{out} and {expected}");
            }
        }
    }
}
