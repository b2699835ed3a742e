//! The cosines and sines by which queries and keys are rotated, for all positions in use.

use super::{
    CudaError,
    device::{Gpu, Pointer},
    kernels::Kernels,
    memory::DeviceBuffer,
};
use crate::model::rope::Rope;

/// A table is made for a multiple of so many positions, so that it seldom grows.
const STEP: usize = 16 << 10;

/// Cosines, then sines, f32 `[positions, head_dim / 2]` each. Every row is computed in f64 from its position.
#[derive(Debug)]
pub(super) struct Angles {
    buffer: DeviceBuffer,
    _frequencies: DeviceBuffer,
    positions: usize,
    half: usize,
}

impl Angles {
    /// A table of at least `positions` positions. It is filled on the stream of kernels: what reads it there finds it.
    pub fn new(gpu: &Gpu, kernels: &Kernels, rope: &Rope, positions: usize) -> Result<Self, CudaError> {
        let positions = positions.max(1).next_multiple_of(STEP);
        let half = rope.frequencies().len();
        let frequencies = gpu.upload(bytemuck::cast_slice(rope.frequencies()))?;
        let buffer = gpu.allocate(Self::bytes(half, positions))?;
        // The copy above may return while its last part is still on the way.
        gpu.synchronize()?;
        let angles = Self { buffer, _frequencies: frequencies, positions, half };
        let (cos, sin, frequencies) = (angles.cos(), angles.sin(), angles._frequencies.pointer());
        kernels.rope_table(gpu.compute(), cos, sin, frequencies, half, 0, positions)?;
        Ok(angles)
    }

    fn bytes(half: usize, positions: usize) -> usize {
        2 * positions * half * size_of::<f32>()
    }

    pub fn positions(&self) -> usize {
        self.positions
    }

    /// The row of position 0.
    pub fn cos(&self) -> Pointer {
        self.buffer.pointer()
    }

    /// The row of position 0.
    pub fn sin(&self) -> Pointer {
        self.buffer.at(Self::bytes(self.half, self.positions) / 2)
    }
}
