//! What the tests on a GPU share: the device, random numbers, numbers of each type on the device, and comparing.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use gibbon::{
    config::CacheDtype,
    cuda::{
        compile,
        device::{Gpu, Pointer},
        kernels::{self, Kernels, SOURCES},
        memory::DeviceBuffer,
    },
    model::rope::{Rope, RopeLayout, RopeScaling},
};
use rayon::prelude::*;

use crate::support::{Chance, named_number};

pub const ELEMENTS: [CacheDtype; 3] = [CacheDtype::F32, CacheDtype::F16, CacheDtype::Bf16];
pub const LAYOUTS: [RopeLayout; 2] = [RopeLayout::Interleaved, RopeLayout::Halves];

/// Head dimensions that fill a thread's pairs in each way there is, 96 with idle lanes, and most models'.
pub const DIMENSIONS: [usize; 5] = [16, 24, 64, 96, 128];

/// The first GPU, opened once for all tests, with the kernels that they use.
pub fn gpu() -> &'static Arc<Gpu> {
    static GPU: OnceLock<Arc<Gpu>> = OnceLock::new();
    GPU.get_or_init(|| {
        let gpu = Gpu::open(0).expect("the GPU opens");
        compile_all(gpu.architecture());
        gpu
    })
}

/// Compiles what the tests use, as far as it is not kept, side by side: one after the other it takes minutes.
pub fn compile_all(architecture: u32) {
    let both = ELEMENTS.into_iter().flat_map(|element| LAYOUTS.map(|layout| (element, layout)));
    let used: Vec<_> = both
        .flat_map(|(element, layout)| DIMENSIONS.map(|head_dim| (element, head_dim, layout)))
        .flat_map(|used| SOURCES.map(|source| (source, used)))
        .collect();
    used.into_par_iter().for_each(|(source, (element, head_dim, layout))| {
        let target = kernels::target(architecture, element, head_dim, layout);
        compile::cubin(source, &target, Some(&kernel_folder())).expect("the kernels compile");
    });
}

/// Where compiled kernels are kept between runs: `GIBBON_TEST_KERNELS`, or a folder of Cargo's.
pub fn kernel_folder() -> PathBuf {
    let named = std::env::var_os("GIBBON_TEST_KERNELS").map(PathBuf::from);
    named.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("gpu-kernels"))
}

pub fn kernels(element: CacheDtype, head_dim: usize, layout: RopeLayout) -> Kernels {
    Kernels::load(gpu(), element, head_dim, layout, Some(&kernel_folder())).expect("the kernels load")
}

/// Kernels where neither heads nor rotation matter.
pub fn plain_kernels(element: CacheDtype) -> Kernels {
    kernels(element, 64, RopeLayout::Halves)
}

/// Random numbers from a seed that is shown where a test fails.
pub struct Random(Chance);

impl Random {
    pub fn fresh() -> Self {
        let named = named_number("GIBBON_TEST_SEED");
        let now = || std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64);
        let seed = named.unwrap_or_else(now);
        println!("GIBBON_TEST_SEED={seed}");
        Self(Chance(seed))
    }

    pub fn bits(&mut self) -> u64 {
        self.0.bits()
    }

    /// Below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.below(end)
    }

    /// Roughly normal: the sum of four uniform numbers, scaled.
    pub fn number(&mut self) -> f32 {
        let bits = self.bits();
        let sum: u64 = (0..4).map(|i| bits >> (16 * i) & 0xffff).sum();
        (sum as f32 - 131_070.0) * (1.732 / 65_536.0)
    }

    pub fn numbers(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.number()).collect()
    }

    /// Numbers that `dtype` holds exactly.
    pub fn numbers_of(&mut self, dtype: CacheDtype, count: usize) -> Vec<f32> {
        rounded(dtype, &self.numbers(count))
    }
}

pub fn bytes_of(dtype: CacheDtype, numbers: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    dtype.write(numbers, &mut bytes);
    bytes
}

pub fn numbers_from(dtype: CacheDtype, bytes: &[u8]) -> Vec<f32> {
    let mut numbers = vec![0.0; bytes.len() / dtype.bytes()];
    dtype.read(bytes, &mut numbers);
    numbers
}

pub fn rounded(dtype: CacheDtype, numbers: &[f32]) -> Vec<f32> {
    numbers_from(dtype, &bytes_of(dtype, numbers))
}

pub fn upload(dtype: CacheDtype, numbers: &[f32]) -> DeviceBuffer {
    gpu().upload(&bytes_of(dtype, numbers)).unwrap()
}

pub fn upload_counts(counts: &[u32]) -> DeviceBuffer {
    gpu().upload(bytemuck::cast_slice(counts)).unwrap()
}

/// Device memory that a kernel writes: no number of it is one before, and nothing behind it may change.
pub struct Output {
    buffer: DeviceBuffer,
    bytes: usize,
    dtype: CacheDtype,
}

/// All bits set are no number in any of the types.
const POISON: u8 = 0xff;
const GUARD: usize = 256;

impl Output {
    pub fn poisoned(dtype: CacheDtype, count: usize) -> Self {
        let bytes = count * dtype.bytes();
        let buffer = gpu().upload(&vec![POISON; bytes + GUARD]).unwrap();
        Self { buffer, bytes, dtype }
    }

    pub fn holding(dtype: CacheDtype, numbers: &[f32]) -> Self {
        let output = Self::poisoned(dtype, numbers.len());
        output.buffer.write(0, &bytes_of(dtype, numbers)).unwrap();
        output
    }

    pub fn pointer(&self) -> Pointer {
        self.buffer.pointer()
    }

    /// What is there once everything that was started is done.
    #[track_caller]
    pub fn read(&self) -> Vec<f32> {
        gpu().synchronize().unwrap();
        let mut bytes = vec![0; self.bytes + GUARD];
        self.buffer.read(0, &mut bytes).unwrap();
        assert!(bytes[self.bytes..].iter().all(|byte| *byte == POISON), "written past the end");
        numbers_from(self.dtype, &bytes[..self.bytes])
    }
}

/// The distance of two neighbours of a type, relative to them: what rounding may make of the smallest difference.
pub fn step(dtype: CacheDtype) -> f32 {
    match dtype {
        CacheDtype::F32 => f32::EPSILON,
        CacheDtype::F16 => 1.0 / 1024.0,
        CacheDtype::Bf16 => 1.0 / 128.0,
    }
}

#[track_caller]
pub fn assert_close(what: &str, found: &[f32], expected: &[f32], relative: f32, absolute: f32) {
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let allowed = absolute + relative * expected.abs();
        // Written so that what is no number is not close.
        let close = (found - expected).abs() <= allowed;
        assert!(close, "{what}, number {index}: {found}, expected {expected} within {allowed}");
    }
}

#[track_caller]
pub fn assert_same(what: &str, found: &[f32], expected: &[f32]) {
    assert_close(what, found, expected, 0.0, 0.0);
}

pub fn rope(layout: RopeLayout, head_dim: usize) -> Rope {
    let divisors = (0..head_dim / 2).map(|i| 1.0 + (i % 3) as f32).collect();
    Rope::new(layout, 500_000.0, head_dim, &RopeScaling::Divisors(divisors))
}

/// The CPU's cosines and sines of positions from 0 on, `[positions, head_dim / 2]` each: what it turns (1, 0) into.
pub fn angles(head_dim: usize, positions: u32) -> (Vec<f32>, Vec<f32>) {
    let half = head_dim / 2;
    let mut rows: Vec<f32> = [1.0, 0.0].repeat(half).repeat(positions as usize);
    rope(RopeLayout::Interleaved, head_dim).at(0..positions).apply_rows(&mut rows, 1);
    rows.as_chunks::<2>().0.iter().map(|[cos, sin]| (*cos, *sin)).unzip()
}
