//! The block formats of quantised GGUF weights: a row times activations, and a row in f32.
//!
//! Nothing is rounded beyond what the file did: weights are read as the numbers that the file says, activations stay
//! f32, and sums are f32. The loops are plain; the compiler vectorises them for the processor at hand (see [`simd`]).

use candle_core::quantized::GgmlDType;

#[cfg(target_arch = "x86_64")]
use super::avx2;
use super::simd::{self, Kernel, multiply_add};

/// A format of weights that this module reads straight from the file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4K,
    Q5K,
    Q6K,
}

impl Format {
    /// The format of a GGUF type; `None` for one that is not read here.
    pub fn of(dtype: GgmlDType) -> Option<Self> {
        Some(match dtype {
            GgmlDType::F16 => Self::F16,
            GgmlDType::BF16 => Self::Bf16,
            GgmlDType::Q4_0 => Self::Q4_0,
            GgmlDType::Q4_1 => Self::Q4_1,
            GgmlDType::Q5_0 => Self::Q5_0,
            GgmlDType::Q5_1 => Self::Q5_1,
            GgmlDType::Q8_0 => Self::Q8_0,
            GgmlDType::Q4K => Self::Q4K,
            GgmlDType::Q5K => Self::Q5K,
            GgmlDType::Q6K => Self::Q6K,
            _ => return None,
        })
    }

    /// Bytes of a block and the weights that it holds.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F16 | Self::Bf16 => (64, 32),
            Self::Q4_0 => (18, 32),
            Self::Q4_1 => (20, 32),
            Self::Q5_0 => (22, 32),
            Self::Q5_1 => (24, 32),
            Self::Q8_0 => (34, 32),
            Self::Q4K => (144, 256),
            Self::Q5K => (176, 256),
            Self::Q6K => (210, 256),
        }
    }

    /// Bytes of a row of so many weights; `None` where it is no whole number of blocks.
    pub fn row_bytes(self, columns: usize) -> Option<usize> {
        let (bytes, weights) = self.block();
        columns.is_multiple_of(weights).then(|| columns / weights * bytes)
    }

    /// Rows of weights, each as long as `activations`, times `activations`: one sum for every number of `out`, added
    /// to it with `ADD`.
    pub fn multiply<const ADD: bool>(self, rows: &[u8], activations: &[f32], out: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        if let Some(layout) = self.avx2() {
            return avx2::multiply(layout, rows, activations, out, ADD);
        }
        self.multiply_plainly::<ADD>(rows, activations, out);
    }

    /// [`Self::multiply`] as the compiler vectorises it.
    pub(super) fn multiply_plainly<const ADD: bool>(self, rows: &[u8], activations: &[f32], out: &mut [f32]) {
        simd::run(Multiply::<ADD> { format: self, rows, activations, out });
    }

    /// Weights in f32, as many as `out` holds.
    pub fn unpack(self, blocks: &[u8], out: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        if let Some(layout) = self.avx2() {
            return avx2::unpack(layout, blocks, out);
        }
        self.unpack_plainly(blocks, out);
    }

    /// [`Self::unpack`] as the compiler vectorises it.
    pub(super) fn unpack_plainly(self, blocks: &[u8], out: &mut [f32]) {
        simd::run(Unpack { format: self, blocks, out });
    }

    /// The format's own code for this processor, where there is some.
    #[cfg(target_arch = "x86_64")]
    fn avx2(self) -> Option<avx2::Layout> {
        let layout = match self {
            Self::Q4_0 => avx2::Layout::Q4_0,
            Self::Q4_1 => avx2::Layout::Q4_1,
            Self::Q8_0 => avx2::Layout::Q8_0,
            _ => return None,
        };
        avx2::is_available().then_some(layout)
    }
}

/// Calls a function that is generic over the block with the block of a format.
macro_rules! with_block {
    ($format:expr, $function:ident::<_ $(, $more:tt)*>($($argument:expr),*)) => {
        match $format {
            Format::F16 => $function::<Half, 64, 32 $(, $more)*>($($argument),*),
            Format::Bf16 => $function::<Brain, 64, 32 $(, $more)*>($($argument),*),
            Format::Q4_0 => $function::<Q4_0, 18, 32 $(, $more)*>($($argument),*),
            Format::Q4_1 => $function::<Q4_1, 20, 32 $(, $more)*>($($argument),*),
            Format::Q5_0 => $function::<Q5_0, 22, 32 $(, $more)*>($($argument),*),
            Format::Q5_1 => $function::<Q5_1, 24, 32 $(, $more)*>($($argument),*),
            Format::Q8_0 => $function::<Q8_0, 34, 32 $(, $more)*>($($argument),*),
            Format::Q4K => $function::<Q4K, 144, 256 $(, $more)*>($($argument),*),
            Format::Q5K => $function::<Q5K, 176, 256 $(, $more)*>($($argument),*),
            Format::Q6K => $function::<Q6K, 210, 256 $(, $more)*>($($argument),*),
        }
    };
}

struct Multiply<'a, const ADD: bool> {
    format: Format,
    rows: &'a [u8],
    activations: &'a [f32],
    out: &'a mut [f32],
}

impl<const ADD: bool> Kernel for Multiply<'_, ADD> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        with_block!(self.format, multiply::<_, ADD, FUSED>(self.rows, self.activations, self.out));
    }
}

struct Unpack<'a> {
    format: Format,
    blocks: &'a [u8],
    out: &'a mut [f32],
}

impl Kernel for Unpack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        with_block!(self.format, unpack::<_, FUSED>(self.blocks, self.out));
    }
}

#[inline(always)]
fn multiply<
    B: Block<BYTES, WEIGHTS>,
    const BYTES: usize,
    const WEIGHTS: usize,
    const ADD: bool,
    const FUSED: bool,
>(
    rows: &[u8],
    activations: &[f32],
    out: &mut [f32],
) {
    let activations = activations.as_chunks::<WEIGHTS>().0;
    let rows = rows.chunks_exact((activations.len() * BYTES).max(1));
    for (out, row) in out.iter_mut().zip(rows) {
        let mut sums = [0f32; 32];
        for (block, activations) in row.as_chunks::<BYTES>().0.iter().zip(activations) {
            let mut weights = [0f32; WEIGHTS];
            B::unpack::<FUSED>(block, &mut weights);
            for (weights, activations) in
                weights.as_chunks::<32>().0.iter().zip(activations.as_chunks::<32>().0)
            {
                for ((sum, &weight), &x) in sums.iter_mut().zip(weights).zip(activations) {
                    *sum = multiply_add::<FUSED>(weight, x, *sum);
                }
            }
        }
        let product = simd::sum(sums);
        *out = if ADD { *out + product } else { product };
    }
}

#[inline(always)]
fn unpack<B: Block<BYTES, WEIGHTS>, const BYTES: usize, const WEIGHTS: usize, const FUSED: bool>(
    blocks: &[u8],
    out: &mut [f32],
) {
    for (block, out) in blocks.as_chunks::<BYTES>().0.iter().zip(out.as_chunks_mut::<WEIGHTS>().0) {
        B::unpack::<FUSED>(block, out);
    }
}

/// How a block of `BYTES` bytes holds `WEIGHTS` weights.
trait Block<const BYTES: usize, const WEIGHTS: usize> {
    fn unpack<const FUSED: bool>(block: &[u8; BYTES], out: &mut [f32; WEIGHTS]);
}

/// A finite f16 in f32, in integer arithmetic that vectorises on any processor.
#[inline(always)]
fn half(low: u8, high: u8) -> f32 {
    /// 2^112, the difference of the two types' exponent offsets.
    const SHIFT: f32 = f32::from_bits(0x7780_0000);
    let bits = u32::from(u16::from_le_bytes([low, high]));
    let magnitude = f32::from_bits((bits & 0x7fff) << 13) * SHIFT;
    f32::from_bits(magnitude.to_bits() | ((bits & 0x8000) << 16))
}

struct Half;
impl Block<64, 32> for Half {
    #[inline(always)]
    fn unpack<const FUSED: bool>(block: &[u8; 64], out: &mut [f32; 32]) {
        for (out, [low, high]) in out.iter_mut().zip(block.as_chunks::<2>().0) {
            *out = half(*low, *high);
        }
    }
}

struct Brain;
impl Block<64, 32> for Brain {
    #[inline(always)]
    fn unpack<const FUSED: bool>(block: &[u8; 64], out: &mut [f32; 32]) {
        for (out, bytes) in out.iter_mut().zip(block.as_chunks::<2>().0) {
            *out = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
        }
    }
}

/// f16 scale; 4 bits a weight, less 8.
struct Q4_0;
impl Block<18, 32> for Q4_0 {
    #[inline(always)]
    fn unpack<const FUSED: bool>(block: &[u8; 18], out: &mut [f32; 32]) {
        let scale = half(block[0], block[1]);
        for i in 0..16 {
            let byte = i32::from(block[2 + i]);
            out[i] = ((byte & 15) - 8) as f32 * scale;
            out[i + 16] = ((byte >> 4) - 8) as f32 * scale;
        }
    }
}

/// f16 scale, f16 least weight; 4 bits a weight.
struct Q4_1;
impl Block<20, 32> for Q4_1 {
    #[inline(always)]
    fn unpack<const FUSED: bool>(block: &[u8; 20], out: &mut [f32; 32]) {
        let (scale, least) = (half(block[0], block[1]), half(block[2], block[3]));
        for i in 0..16 {
            let byte = i32::from(block[4 + i]);
            out[i] = multiply_add::<FUSED>((byte & 15) as f32, scale, least);
            out[i + 16] = multiply_add::<FUSED>((byte >> 4) as f32, scale, least);
        }
    }
}

/// f16 scale, the fifth bits; 4 bits a weight, less 16.
struct Q5_0;
impl Block<22, 32> for Q5_0 {
    #[inline(always)]
    fn unpack<const FUSED: bool>(block: &[u8; 22], out: &mut [f32; 32]) {
        let scale = half(block[0], block[1]);
        let high = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
        for i in 0..16 {
            let byte = u32::from(block[6 + i]);
            let low = (byte & 15) | (high >> i & 1) << 4;
            let top = (byte >> 4) | (high >> (i + 16) & 1) << 4;
            out[i] = (low as i32 - 16) as f32 * scale;
            out[i + 16] = (top as i32 - 16) as f32 * scale;
        }
    }
}

/// f16 scale, f16 least weight, the fifth bits; 4 bits a weight.
struct Q5_1;
impl Block<24, 32> for Q5_1 {
    #[inline(always)]
    fn unpack<const FUSED: bool>(block: &[u8; 24], out: &mut [f32; 32]) {
        let (scale, least) = (half(block[0], block[1]), half(block[2], block[3]));
        let high = u32::from_le_bytes([block[4], block[5], block[6], block[7]]);
        for i in 0..16 {
            let byte = u32::from(block[8 + i]);
            let low = (byte & 15) | (high >> i & 1) << 4;
            let top = (byte >> 4) | (high >> (i + 16) & 1) << 4;
            out[i] = multiply_add::<FUSED>(low as i32 as f32, scale, least);
            out[i + 16] = multiply_add::<FUSED>(top as i32 as f32, scale, least);
        }
    }
}

/// f16 scale; 8 bits a weight, signed.
struct Q8_0;
impl Block<34, 32> for Q8_0 {
    #[inline(always)]
    fn unpack<const FUSED: bool>(block: &[u8; 34], out: &mut [f32; 32]) {
        let scale = half(block[0], block[1]);
        for (out, &byte) in out.iter_mut().zip(&block[2..]) {
            *out = f32::from(byte as i8) * scale;
        }
    }
}

/// The 6-bit scale and least weight of the `index`th 32 weights of a Q4_K or Q5_K block.
#[inline(always)]
fn packed_scales(scales: &[u8], index: usize) -> (f32, f32) {
    let (scale, least) = if index < 4 {
        (scales[index] & 63, scales[index + 4] & 63)
    } else {
        (
            scales[index + 4] & 15 | scales[index - 4] >> 6 << 4,
            scales[index + 4] >> 4 | scales[index] >> 6 << 4,
        )
    };
    (f32::from(scale), f32::from(least))
}

/// f16 scale of the scales and of the least weights, eight of each in 6 bits; 4 bits a weight.
struct Q4K;
impl Block<144, 256> for Q4K {
    #[inline(always)]
    fn unpack<const FUSED: bool>(block: &[u8; 144], out: &mut [f32; 256]) {
        let (scale, least) = (half(block[0], block[1]), half(block[2], block[3]));
        let (quarters, _) = out.as_chunks_mut::<64>();
        for (index, (out, bytes)) in quarters.iter_mut().zip(block[16..].as_chunks::<32>().0).enumerate() {
            let (s0, l0) = packed_scales(&block[4..16], 2 * index);
            let (s1, l1) = packed_scales(&block[4..16], 2 * index + 1);
            for i in 0..32 {
                let byte = i32::from(bytes[i]);
                out[i] = multiply_add::<FUSED>((byte & 15) as f32, scale * s0, -least * l0);
                out[i + 32] = multiply_add::<FUSED>((byte >> 4) as f32, scale * s1, -least * l1);
            }
        }
    }
}

/// As Q4_K, with a fifth bit for every weight.
struct Q5K;
impl Block<176, 256> for Q5K {
    #[inline(always)]
    fn unpack<const FUSED: bool>(block: &[u8; 176], out: &mut [f32; 256]) {
        let (scale, least) = (half(block[0], block[1]), half(block[2], block[3]));
        let high = &block[16..48];
        let (quarters, _) = out.as_chunks_mut::<64>();
        for (index, (out, bytes)) in quarters.iter_mut().zip(block[48..].as_chunks::<32>().0).enumerate() {
            let (s0, l0) = packed_scales(&block[4..16], 2 * index);
            let (s1, l1) = packed_scales(&block[4..16], 2 * index + 1);
            for i in 0..32 {
                let (byte, high) = (i32::from(bytes[i]), i32::from(high[i]) >> (2 * index));
                let (low, top) = ((byte & 15) + ((high & 1) << 4), (byte >> 4) + ((high & 2) << 3));
                out[i] = multiply_add::<FUSED>(low as f32, scale * s0, -least * l0);
                out[i + 32] = multiply_add::<FUSED>(top as f32, scale * s1, -least * l1);
            }
        }
    }
}

/// 4 low bits of every weight, 2 high bits, a signed 8-bit scale for every 16, f16 scale of the scales; less 32.
struct Q6K;
impl Block<210, 256> for Q6K {
    #[inline(always)]
    fn unpack<const FUSED: bool>(block: &[u8; 210], out: &mut [f32; 256]) {
        let all = half(block[208], block[209]);
        let (halves, _) = out.as_chunks_mut::<128>();
        for (index, out) in halves.iter_mut().enumerate() {
            let low = &block[64 * index..64 * index + 64];
            let high = &block[128 + 32 * index..128 + 32 * index + 32];
            let scales = &block[192 + 8 * index..192 + 8 * index + 8];
            for part in 0..4 {
                // Bytes hold the parts' low bits in pairs: 0 and 2 in the first 32, 1 and 3 in the second.
                let low = &low[32 * (part % 2)..32 * (part % 2) + 32];
                for i in 0..32 {
                    let scale = all * f32::from(scales[2 * part + i / 16] as i8);
                    let bits = i32::from(low[i] >> (4 * (part / 2)) & 15)
                        | i32::from(high[i] >> (2 * part) & 3) << 4;
                    out[32 * part + i] = (bits - 32) as f32 * scale;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor, quantized::QTensor};

    use super::*;

    const TYPES: [GgmlDType; 10] = [
        GgmlDType::F16,
        GgmlDType::BF16,
        GgmlDType::Q4_0,
        GgmlDType::Q4_1,
        GgmlDType::Q5_0,
        GgmlDType::Q5_1,
        GgmlDType::Q8_0,
        GgmlDType::Q4K,
        GgmlDType::Q5K,
        GgmlDType::Q6K,
    ];

    fn number(i: usize) -> f32 {
        ((i * 2_654_435_761) % 2003) as f32 / 500.0 - 2.0
    }

    /// Every format against candle's own reading of its blocks, and products against f64.
    #[test]
    fn formats_are_read_as_candle_reads_them() {
        for dtype in TYPES {
            let format = Format::of(dtype).unwrap();
            let (_, block) = format.block();
            for (rows, columns) in [(1, block), (7, 3 * block), (5, 2 * block)] {
                let weights: Vec<f32> = (0..rows * columns).map(number).collect();
                let dense = Tensor::from_vec(weights, (rows, columns), &Device::Cpu).unwrap();
                let quantized = QTensor::quantize(&dense, dtype).unwrap();
                let expected: Vec<f32> =
                    quantized.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
                let bytes = quantized.data().unwrap();
                assert_eq!(bytes.len(), rows * format.row_bytes(columns).unwrap());

                let mut unpacked = vec![9.0; rows * columns];
                format.unpack_plainly(&bytes, &mut unpacked);
                for (a, b) in unpacked.iter().zip(&expected) {
                    // Weights up to 2; a fused product rounds once less, by less than 2^-22 of scale and least weight.
                    assert!((a - b).abs() <= 1e-6, "{dtype:?}: {a} and {b}");
                }

                let activations: Vec<f32> = (0..columns).map(|i| number(i + 17)).collect();
                let (mut plain, mut added) = (vec![9.0; rows], vec![1.0; rows]);
                format.multiply_plainly::<false>(&bytes, &activations, &mut plain);
                format.multiply_plainly::<true>(&bytes, &activations, &mut added);
                for row in 0..rows {
                    let weights = &expected[row * columns..(row + 1) * columns];
                    let terms = weights.iter().zip(&activations).map(|(a, b)| f64::from(*a) * f64::from(*b));
                    let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()));
                    // f32 sums in 32 lanes: each term is rounded a few dozen times at most, 6e-8 each.
                    assert!((f64::from(plain[row]) - sum).abs() <= 3e-6 * size, "{dtype:?}");
                    assert!((f64::from(added[row]) - 1.0 - sum).abs() <= 3e-6 * size + 1e-6, "{dtype:?}");
                }
            }
        }
    }

    #[test]
    fn every_finite_half_is_read_exactly() {
        for bits in 0..=u16::MAX {
            let expected = half::f16::from_bits(bits);
            if expected.is_finite() {
                let [low, high] = bits.to_le_bytes();
                assert_eq!(super::half(low, high).to_bits(), expected.to_f32().to_bits(), "{bits:#x}");
            }
        }
    }
}
