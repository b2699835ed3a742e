//! The commonest block formats with AVX2 and FMA. The compiler makes short scalar pieces of the plain loops in
//! [`blocks`](super::blocks): measured, these are four times as fast for Q4_1.

use std::arch::x86_64::*;

/// A format that has its own code here: bytes of a block of 32 weights, and how to read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// f16 scale; 4 bits a weight, less 8.
    Q4_0,
    /// f16 scale, f16 least weight; 4 bits a weight.
    Q4_1,
    /// f16 scale; a signed byte a weight.
    Q8_0,
}

/// Weights of a block.
const BLOCK: usize = 32;

impl Layout {
    fn bytes(self) -> usize {
        match self {
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q8_0 => 34,
        }
    }
}

/// The processor has what this module needs.
pub fn is_available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}

/// Rows of weights times `activations`: one sum for every number of `out`, added to it with `add`.
///
/// Panics when [`is_available`] says no, or a slice is shorter than the shape says.
pub fn multiply(layout: Layout, rows: &[u8], activations: &[f32], out: &mut [f32], add: bool) {
    let row = activations.len() / BLOCK * layout.bytes();
    assert!(is_available() && activations.len().is_multiple_of(BLOCK) && rows.len() >= row * out.len());
    let sums: Vec<f32> = match layout {
        Layout::Q4_1 => activations.as_chunks::<BLOCK>().0.iter().map(|block| block.iter().sum()).collect(),
        Layout::Q4_0 | Layout::Q8_0 => Vec::new(),
    };
    for (out, row) in out.iter_mut().zip(rows.chunks_exact(row.max(1))) {
        // SAFETY: the features are there, as asserted.
        let product = unsafe {
            match layout {
                Layout::Q4_0 => row_q4_0(row, activations),
                Layout::Q4_1 => row_q4_1(row, activations, &sums),
                Layout::Q8_0 => row_q8_0(row, activations),
            }
        };
        *out = if add { *out + product } else { product };
    }
}

/// Weights in f32, as many as `out` holds.
///
/// Panics when [`is_available`] says no, or `blocks` is shorter than the shape says.
pub fn unpack(layout: Layout, blocks: &[u8], out: &mut [f32]) {
    assert!(is_available() && out.len().is_multiple_of(BLOCK));
    assert!(blocks.len() >= out.len() / BLOCK * layout.bytes());
    // SAFETY: the features are there, as asserted.
    unsafe { unpack_blocks(layout, blocks, out) }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn row_q4_1(row: &[u8], activations: &[f32], sums: &[f32]) -> f32 {
    let (mut total, mut least_total) = (_mm256_setzero_ps(), 0.0);
    let blocks = row.as_chunks::<20>().0.iter().zip(activations.as_chunks::<BLOCK>().0);
    for ((block, x), sum) in blocks.zip(sums) {
        let (scale, least) = halves(block[0], block[1], block[2], block[3]);
        let dot = dot(nibbles(&block[4..]), x);
        total = _mm256_fmadd_ps(dot, _mm256_set1_ps(scale), total);
        least_total += least * sum;
    }
    horizontal_sum(total) + least_total
}

#[target_feature(enable = "avx2,fma,f16c")]
fn row_q4_0(row: &[u8], activations: &[f32]) -> f32 {
    let mut total = _mm256_setzero_ps();
    let eight = _mm256_set1_ps(8.0);
    for (block, x) in row.as_chunks::<18>().0.iter().zip(activations.as_chunks::<BLOCK>().0) {
        let (scale, _) = halves(block[0], block[1], 0, 0);
        let mut weights = nibbles(&block[2..]);
        for weights in &mut weights {
            *weights = _mm256_sub_ps(*weights, eight);
        }
        total = _mm256_fmadd_ps(dot(weights, x), _mm256_set1_ps(scale), total);
    }
    horizontal_sum(total)
}

#[target_feature(enable = "avx2,fma,f16c")]
fn row_q8_0(row: &[u8], activations: &[f32]) -> f32 {
    let mut total = _mm256_setzero_ps();
    for (block, x) in row.as_chunks::<34>().0.iter().zip(activations.as_chunks::<BLOCK>().0) {
        let (scale, _) = halves(block[0], block[1], 0, 0);
        total = _mm256_fmadd_ps(dot(signed(&block[2..]), x), _mm256_set1_ps(scale), total);
    }
    horizontal_sum(total)
}

#[target_feature(enable = "avx2,fma,f16c")]
fn unpack_blocks(layout: Layout, blocks: &[u8], out: &mut [f32]) {
    let blocks = blocks.chunks_exact(layout.bytes());
    for (block, out) in blocks.zip(out.as_chunks_mut::<BLOCK>().0) {
        let (weights, scale, least) = match layout {
            Layout::Q4_0 => {
                let (scale, _) = halves(block[0], block[1], 0, 0);
                (nibbles(&block[2..]), scale, -8.0 * scale)
            }
            Layout::Q4_1 => {
                let (scale, least) = halves(block[0], block[1], block[2], block[3]);
                (nibbles(&block[4..]), scale, least)
            }
            Layout::Q8_0 => (signed(&block[2..]), halves(block[0], block[1], 0, 0).0, 0.0),
        };
        let (scale, least) = (_mm256_set1_ps(scale), _mm256_set1_ps(least));
        for (out, weights) in out.as_chunks_mut::<8>().0.iter_mut().zip(weights) {
            // SAFETY: `out` has room for eight numbers.
            unsafe { _mm256_storeu_ps(out.as_mut_ptr(), _mm256_fmadd_ps(weights, scale, least)) };
        }
    }
}

/// Two f16 in f32.
#[target_feature(enable = "avx2,fma,f16c")]
fn halves(a: u8, b: u8, c: u8, d: u8) -> (f32, f32) {
    let both = _mm_cvtph_ps(_mm_cvtsi32_si128(i32::from_le_bytes([a, b, c, d])));
    (_mm_cvtss_f32(both), _mm_cvtss_f32(_mm_movehdup_ps(both)))
}

/// 16 bytes as 32 numbers from 0 to 15: the low halves of the bytes, then the high ones.
#[target_feature(enable = "avx2,fma,f16c")]
fn nibbles(bytes: &[u8]) -> [__m256; 4] {
    assert!(bytes.len() >= 16);
    // SAFETY: there are 16 bytes, as asserted.
    let bytes = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
    let mask = _mm_set1_epi8(15);
    let (low, high) = (_mm_and_si128(bytes, mask), _mm_and_si128(_mm_srli_epi16::<4>(bytes), mask));
    // Written out, like the other arrays here: a closure handed to `map` is not always inlined with these features.
    [
        _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(low)),
        _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128::<8>(low))),
        _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(high)),
        _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128::<8>(high))),
    ]
}

/// 32 signed bytes as numbers.
#[target_feature(enable = "avx2,fma,f16c")]
fn signed(bytes: &[u8]) -> [__m256; 4] {
    assert!(bytes.len() >= BLOCK);
    let mut numbers = [_mm256_setzero_ps(); 4];
    for (numbers, eight) in numbers.iter_mut().zip(bytes.as_chunks::<8>().0) {
        // SAFETY: there are 8 bytes.
        let eight = unsafe { _mm_loadl_epi64(eight.as_ptr().cast()) };
        *numbers = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight));
    }
    numbers
}

/// 32 products in 8 partial sums.
#[target_feature(enable = "avx2,fma,f16c")]
fn dot(weights: [__m256; 4], x: &[f32; BLOCK]) -> __m256 {
    let mut sum = _mm256_setzero_ps();
    for (weights, x) in weights.into_iter().zip(x.as_chunks::<8>().0) {
        // SAFETY: `x` has eight numbers.
        sum = _mm256_fmadd_ps(weights, unsafe { _mm256_loadu_ps(x.as_ptr()) }, sum);
    }
    sum
}

#[target_feature(enable = "avx2,fma,f16c")]
fn horizontal_sum(lanes: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::blocks::Format;

    /// The plain loops are tested against candle and f64; these must agree with them to the order of f32 sums.
    #[test]
    fn both_ways_of_reading_blocks_agree() {
        if !is_available() {
            return;
        }
        let (rows, columns) = (5, 96);
        let activations: Vec<f32> = (0..columns).map(|i| ((i * 37) % 41) as f32 / 20.0 - 1.0).collect();
        for (layout, format) in
            [(Layout::Q4_0, Format::Q4_0), (Layout::Q4_1, Format::Q4_1), (Layout::Q8_0, Format::Q8_0)]
        {
            let bytes = format.row_bytes(columns).unwrap();
            // Any bytes are a block; the second byte of each f16 is kept small so that it is finite.
            let block = layout.bytes();
            let blocks: Vec<u8> = (0..rows * bytes)
                .map(|i| if i % block < 4 && i % 2 == 1 { 0x2e } else { (i * 131 + i / 7) as u8 })
                .collect();
            let (mut ours, mut plain) = (vec![1.0; rows], vec![1.0; rows]);
            multiply(layout, &blocks, &activations, &mut ours, true);
            format.multiply_plainly::<true>(&blocks, &activations, &mut plain);
            for (a, b) in ours.iter().zip(&plain) {
                // Sums of 96 products of about 10: 1e-3 is a hundred times their rounding.
                assert!((a - b).abs() <= 1e-3, "{format:?}: {a} and {b}");
            }
            let (mut ours, mut plain) = (vec![0.0; rows * columns], vec![0.0; rows * columns]);
            unpack(layout, &blocks, &mut ours);
            format.unpack_plainly(&blocks, &mut plain);
            for (a, b) in ours.iter().zip(&plain) {
                assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{format:?}: {a} and {b}");
            }
        }
    }
}
