//! Norms, activations, embeddings, RoPE's table: what is done to each number or row on its own.

use std::path::Path;

use super::{Kernels, THREADS, blocks, number};
use crate::cuda::{
    CudaError,
    compile::Target,
    device::{Gpu, Pointer, Stream},
    module::{Function, Module},
};

/// The kernels of `elementwise.cu` and `heads.cu`.
pub(super) struct Elementwise {
    rope_table: Function,
    embed: Function,
    rms_norm: Function,
    silu_multiply: Function,
    add_bias: Function,
    add_bias_element: Function,
    fill_random: Function,
    most_likely: Function,
    pub(super) finish_qkv: Function,
    pub(super) place: Function,
}

impl Elementwise {
    pub(super) fn load(gpu: &Gpu, target: &Target, folder: Option<&Path>) -> Result<Self, CudaError> {
        let module = Module::load(gpu, super::ELEMENTWISE, target, folder)?;
        let function = |name| Ok::<_, CudaError>(module.function(name, THREADS, 0)?.early(gpu));
        Ok(Self {
            rope_table: function("rope_table")?,
            embed: function("embed")?,
            rms_norm: function("rms_norm")?,
            silu_multiply: function("silu_multiply")?,
            add_bias: function("add_bias")?,
            add_bias_element: function("add_bias_element")?,
            fill_random: function("fill_random")?,
            most_likely: function("most_likely")?,
            finish_qkv: function("finish_qkv")?,
            place: function("place")?,
        })
    }
}

/// Numbers that a thread takes at once: 16 bytes of a 16-bit type.
const VECTOR: usize = 8;

#[repr(C)]
struct RopeTable {
    cos: Pointer,
    sin: Pointer,
    frequencies: Pointer,
    half: u32,
    first_position: u32,
    positions: u32,
    reserved: u32,
}

#[repr(C)]
struct Embed {
    out: Pointer,
    table: Pointer,
    ids: Pointer,
    tokens: u32,
    hidden: u32,
}

#[repr(C)]
struct RmsNorm {
    out: Pointer,
    input: Pointer,
    weight: Pointer,
    rows: u32,
    width: u32,
    epsilon: f32,
    reserved: u32,
}

/// Of `silu_multiply`, and of `add_bias`, whose `input` is the bias.
#[repr(C)]
struct Rows {
    out: Pointer,
    input: Pointer,
    rows: u32,
    width: u32,
}

#[repr(C)]
struct MostLikely {
    out: Pointer,
    logits: Pointer,
    count: u32,
    reserved: u32,
}

#[repr(C)]
struct FillRandom {
    out: Pointer,
    count: u64,
    seed: u64,
    scale: f32,
    reserved: u32,
}

// elementwise.cu says the same of its side.
const _: () = assert!(size_of::<RopeTable>() == 40 && size_of::<Embed>() == 32 && size_of::<RmsNorm>() == 40);
const _: () =
    assert!(size_of::<Rows>() == 24 && size_of::<FillRandom>() == 32 && size_of::<MostLikely>() == 24);

/// The token that [`Kernels::most_likely`] chose, of the number that it left.
pub fn chosen(key: u64) -> u32 {
    !(key as u32)
}

impl Kernels {
    /// Cosines and sines of some positions, into a table f32 `[positions, half]` whose row of position 0 is at `cos` (and
    /// at `sin`): rows `first_position` and the `positions - 1` after it are written. `frequencies` are f64 `[half]`,
    /// and angles are in f64, as in `Rope::at`.
    #[expect(clippy::too_many_arguments)]
    pub fn rope_table(
        &self,
        stream: &Stream,
        cos: Pointer,
        sin: Pointer,
        frequencies: Pointer,
        half: usize,
        first_position: usize,
        positions: usize,
    ) -> Result<(), CudaError> {
        let arguments = RopeTable {
            cos,
            sin,
            frequencies,
            half: number(half)?,
            first_position: number(first_position)?,
            positions: number(positions)?,
            reserved: 0,
        };
        let grid = blocks(half * positions, THREADS as usize)?;
        self.elementwise.rope_table.launch(stream, [grid, 1, 1], 0, &arguments)
    }

    /// Rows of `table`, E `[vocabulary, hidden]`, for the `ids`, u32 `[tokens]`, to `out`, f32 `[tokens, hidden]`.
    pub fn embed(
        &self,
        stream: &Stream,
        out: Pointer,
        table: Pointer,
        ids: Pointer,
        tokens: usize,
        hidden: usize,
    ) -> Result<(), CudaError> {
        check_width(hidden)?;
        let arguments = Embed { out, table, ids, tokens: number(tokens)?, hidden: number(hidden)? };
        let across = blocks(hidden / VECTOR, THREADS as usize)?;
        self.elementwise.embed.launch(stream, [number(tokens)?, across, 1], 0, &arguments)
    }

    /// RMS norm of each row of `input`, f32 `[rows, width]`, times `weight`, f32 `[width]`, to `out`, E;
    /// `simd::rms_norm` on the CPU.
    #[expect(clippy::too_many_arguments)]
    pub fn rms_norm(
        &self,
        stream: &Stream,
        out: Pointer,
        input: Pointer,
        weight: Pointer,
        epsilon: f32,
        rows: usize,
        width: usize,
    ) -> Result<(), CudaError> {
        check_width(width)?;
        let (height, width) = (number(rows)?, number(width)?);
        let arguments = RmsNorm { out, input, weight, rows: height, width, epsilon, reserved: 0 };
        self.elementwise.rms_norm.launch(stream, [height, 1, 1], 0, &arguments)
    }

    /// SiLU of the first half of each row of `gate_up`, E `[rows, 2 · width]`, times the second half, to `out`, E
    /// `[rows, width]`; `simd::silu_multiply` on the CPU.
    pub fn silu_multiply(
        &self,
        stream: &Stream,
        out: Pointer,
        gate_up: Pointer,
        rows: usize,
        width: usize,
    ) -> Result<(), CudaError> {
        let arguments = rows_of(out, gate_up, rows, width)?;
        let grid = [arguments.rows, blocks(width / VECTOR, THREADS as usize)?, 1];
        self.elementwise.silu_multiply.launch(stream, grid, 0, &arguments)
    }

    /// Adds `bias`, f32 `[width]`, to each row of f32 `[rows, width]`.
    pub fn add_bias(
        &self,
        stream: &Stream,
        rows_at: Pointer,
        bias: Pointer,
        rows: usize,
        width: usize,
    ) -> Result<(), CudaError> {
        let arguments = rows_of(rows_at, bias, rows, width)?;
        let grid = [arguments.rows, blocks(width / VECTOR, THREADS as usize)?, 1];
        self.elementwise.add_bias.launch(stream, grid, 0, &arguments)
    }

    /// Adds `bias`, f32 `[width]`, to each row of E `[rows, width]`.
    pub fn add_bias_element(
        &self,
        stream: &Stream,
        rows_at: Pointer,
        bias: Pointer,
        rows: usize,
        width: usize,
    ) -> Result<(), CudaError> {
        let arguments = rows_of(rows_at, bias, rows, width)?;
        let grid = [arguments.rows, blocks(width / VECTOR, THREADS as usize)?, 1];
        self.elementwise.add_bias_element.launch(stream, grid, 0, &arguments)
    }

    /// Chooses the index of the largest of `logits`, f32 `[count]`, the first where several are; what is no number comes
    /// last. `out` is a u64 that is 0 before, and that [`chosen`] reads.
    pub fn most_likely(
        &self,
        stream: &Stream,
        out: Pointer,
        logits: Pointer,
        count: usize,
    ) -> Result<(), CudaError> {
        /// Numbers that a thread goes through, or more.
        const EACH: usize = 4;
        let grid = count.div_ceil(THREADS as usize * EACH).min(2 * self.multiprocessors);
        let arguments = MostLikely { out, logits, count: number(count)?, reserved: 0 };
        self.elementwise.most_likely.launch(stream, [number(grid)?, 1, 1], 0, &arguments)
    }

    /// Numbers with a standard deviation of `scale` and roughly normal, the same for the same seed, to `out`, E: weights
    /// to measure with.
    pub fn fill_random(
        &self,
        stream: &Stream,
        out: Pointer,
        count: u64,
        seed: u64,
        scale: f32,
    ) -> Result<(), CudaError> {
        /// Enough to keep any device busy; each thread goes on in steps of the whole grid.
        const MOST_BLOCKS: u64 = 16_384;
        let grid = count.div_ceil(u64::from(THREADS)).min(MOST_BLOCKS) as u32;
        let arguments = FillRandom { out, count, seed, scale, reserved: 0 };
        self.elementwise.fill_random.launch(stream, [grid, 1, 1], 0, &arguments)
    }
}

fn rows_of(out: Pointer, input: Pointer, rows: usize, width: usize) -> Result<Rows, CudaError> {
    check_width(width)?;
    Ok(Rows { out, input, rows: number(rows)?, width: number(width)? })
}

fn check_width(width: usize) -> Result<(), CudaError> {
    if width.is_multiple_of(VECTOR) {
        return Ok(());
    }
    Err(CudaError::Internal("rows whose length is no multiple of 8"))
}
