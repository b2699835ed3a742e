//! Products with very few rows, which only read weights: memory bound.

use std::path::Path;

use super::{Kernels, number};
use crate::cuda::{
    CudaError,
    compile::Target,
    device::{Gpu, Pointer, Stream},
    module::{Function, Module},
};

/// `output[tokens, rows] = input[tokens, columns] · weight[rows, columns]ᵀ` for 1 to 4 tokens, with what comes before and
/// after in a layer done on the way. Sums are in f32; what enters the product is rounded to E as for
/// [`super::super::product::Gemm`].
#[derive(Debug, Clone, Copy)]
pub struct Gemv {
    /// E `[rows, columns]`; `columns` is a multiple of 8. Read before the kernel just before this one on the stream has
    /// ended, which must not be the one that writes it.
    pub weight: Pointer,
    pub input: GemvInput,
    pub output: GemvOutput,
    pub tokens: usize,
    pub rows: usize,
    pub columns: usize,
}

/// What is multiplied.
#[derive(Debug, Clone, Copy)]
pub enum GemvInput {
    /// E `[tokens, columns]`.
    Element(Pointer),
    /// The RMS norm of f32 `[tokens, columns]`, times `weight`, f32 `[columns]`.
    Normed { rows: Pointer, weight: Pointer, epsilon: f32 },
}

/// What becomes of the sums, `[tokens, rows]`.
#[derive(Debug, Clone, Copy)]
pub enum GemvOutput {
    /// They are rounded to E.
    Element(Pointer),
    /// They are written in f32.
    F32(Pointer),
    /// They are added to what is there, in f32.
    AddF32(Pointer),
    /// `weight` is E `[2 · rows, columns]`: the SiLU of the first half of the sums times the second half, rounded to E.
    Gated(Pointer),
}

/// Outputs that a warp has under way, as `gemv.cu` says, and where each takes two rows of the matrix.
const OUTPUTS_PER_WARP: usize = 2;
const GATED_PER_WARP: usize = 1;

/// Threads of a block.
const THREADS: u32 = 512;

/// Most tokens of a [`Gemv`].
pub const MOST_TOKENS: usize = 4;

/// The kernels of `gemv.cu`.
pub(super) struct Products {
    /// For 1, 2, 3 and 4 tokens.
    by_tokens: [Function; MOST_TOKENS],
    /// Bytes of input that a block can take.
    shared_bytes: usize,
}

/// Shared memory that a kernel declares, in bytes, rounded up; the input takes the rest.
const DECLARED_BYTES: usize = 1024;

impl Products {
    pub(super) fn load(gpu: &Gpu, target: &Target, folder: Option<&Path>) -> Result<Self, CudaError> {
        let module = Module::load(gpu, super::GEMV, target, folder)?;
        let shared_bytes = gpu.info().shared_memory_bytes - DECLARED_BYTES;
        let function =
            |name| Ok::<_, CudaError>(module.function(name, THREADS, shared_bytes as u32)?.early(gpu));
        Ok(Self {
            by_tokens: [function("gemv_1")?, function("gemv_2")?, function("gemv_3")?, function("gemv_4")?],
            shared_bytes,
        })
    }
}

#[repr(C)]
struct Arguments {
    weight: Pointer,
    input: Pointer,
    norm: Pointer,
    output: Pointer,
    rows: u32,
    columns: u32,
    input_kind: u32,
    output_kind: u32,
    epsilon: f32,
    reserved: u32,
}

// gemv.cu says the same of its side.
const _: () = assert!(size_of::<Arguments>() == 56);

impl Kernels {
    /// # Errors
    /// [`CudaError::Internal`] where there are more than [`MOST_TOKENS`] tokens, or `columns` is odd or does not fit into
    /// a multiprocessor's shared memory.
    pub fn gemv(&self, stream: &Stream, call: &Gemv) -> Result<(), CudaError> {
        if call.tokens > MOST_TOKENS || !call.columns.is_multiple_of(8) {
            return Err(CudaError::Internal("a product that gemv does not serve"));
        }
        // Rows of f32 may be too long for all tokens at once; the weights are then read more than once.
        let most = self.products.shared_bytes / (call.columns * self.element.bytes()).max(1);
        if most == 0 {
            return Err(CudaError::Internal("rows too long for gemv"));
        }
        for first in (0..call.tokens).step_by(most.min(MOST_TOKENS)) {
            let tokens = most.min(MOST_TOKENS).min(call.tokens - first);
            self.start_gemv(stream, call, first, tokens)?;
        }
        Ok(())
    }

    /// The product of `tokens` tokens from `first` on.
    fn start_gemv(&self, stream: &Stream, call: &Gemv, first: usize, tokens: usize) -> Result<(), CudaError> {
        let element = self.element.bytes();
        let bytes_before = |width: usize, size: usize| (first * width * size) as u64;
        let (input, norm, epsilon, input_kind) = match call.input {
            GemvInput::Element(rows) => (rows + bytes_before(call.columns, element), 0, 0.0, 0),
            GemvInput::Normed { rows, weight, epsilon } => {
                (rows + bytes_before(call.columns, size_of::<f32>()), weight, epsilon, 1)
            }
        };
        let (output, output_kind) = match call.output {
            GemvOutput::Element(rows) => (rows + bytes_before(call.rows, element), 0),
            GemvOutput::F32(rows) => (rows + bytes_before(call.rows, size_of::<f32>()), 1),
            GemvOutput::AddF32(rows) => (rows + bytes_before(call.rows, size_of::<f32>()), 2),
            GemvOutput::Gated(rows) => (rows + bytes_before(call.rows, element), 3),
        };
        let arguments = Arguments {
            weight: call.weight,
            input,
            norm,
            output,
            rows: number(call.rows)?,
            columns: number(call.columns)?,
            input_kind,
            output_kind,
            epsilon,
            reserved: 0,
        };
        let shared = tokens * call.columns * element;
        let kernel = &self.products.by_tokens[tokens - 1];
        // Blocks that run at the same time, each taking rows in turn: what comes before the product is done once for
        // each of them.
        let most = self.multiprocessors * kernel.resident(shared)?;
        let per_warp = match call.output {
            GemvOutput::Gated(_) => GATED_PER_WARP,
            _ => OUTPUTS_PER_WARP,
        };
        let grid = number(call.rows.div_ceil(per_warp).min(most))?;
        kernel.launch(stream, [grid, 1, 1], number(shared)?, &arguments)
    }
}
