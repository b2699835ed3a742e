//! The kernels as the host sees them. Every call starts one kernel on a stream and returns; what the device has to
//! say about it comes out of a later call.
//!
//! E is the type in which a loaded network computes ([`CacheDtype`]): of weights, of activations that enter a product,
//! of keys and values. D is the head's dimension. An address of 0 stands for something that is not there. Strides and
//! offsets count numbers unless they say bytes. Rows follow each other without gaps; they are a multiple of 8 numbers
//! long and begin at a multiple of 16 bytes, but for a head's, which may have any even length.

mod attention;
mod elementwise;
mod gemv;
mod place;
mod qkv;

use std::path::Path;

pub use attention::{Attend, AttendMode, Keys, Merge};
pub use elementwise::chosen;
pub use gemv::{Gemv, GemvInput, GemvOutput, MOST_TOKENS};
pub use place::{Place, PlaceMany, PlacedSegment};
pub use qkv::FinishQkv;

use attention::Attention;
use elementwise::Elementwise;
use gemv::Products;

use super::{
    CudaError,
    compile::{Source, Target},
    device::Gpu,
};
use crate::{config::CacheDtype, model::rope::RopeLayout};

/// Everything but products and attention.
pub const ELEMENTWISE: Source = Source {
    name: "elementwise",
    pieces: &[
        include_str!("kernels/order.cu"),
        include_str!("kernels/element.cu"),
        include_str!("kernels/elementwise.cu"),
        include_str!("kernels/heads.cu"),
    ],
};

/// Products with few rows.
pub const GEMV: Source = Source {
    name: "gemv",
    pieces: &[
        include_str!("kernels/order.cu"),
        include_str!("kernels/element.cu"),
        include_str!("kernels/gemv.cu"),
    ],
};

/// Attention, and the merge of its parts.
pub const ATTENTION: Source = Source {
    name: "attention",
    pieces: &[
        include_str!("kernels/order.cu"),
        include_str!("kernels/attention.cu"),
        include_str!("kernels/attention_tensor.cu"),
        include_str!("kernels/attention_few.cu"),
        include_str!("kernels/attention_many.cu"),
        include_str!("kernels/attention_wide.cu"),
    ],
};

/// All sources, for a test that compiles them without a device.
pub const SOURCES: [Source; 3] = [ELEMENTWISE, GEMV, ATTENTION];

/// Threads of a block, of all kernels but attention's.
const THREADS: u32 = 256;

/// The kernels for one type, head dimension and RoPE layout, loaded on one device.
pub struct Kernels {
    element: CacheDtype,
    head_dim: usize,
    multiprocessors: usize,
    elementwise: Elementwise,
    products: Products,
    attention: Attention,
}

impl std::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kernels({}, heads of {})", self.element.name(), self.head_dim)
    }
}

/// What the sources are compiled for.
pub fn target(architecture: u32, element: CacheDtype, head_dim: usize, layout: RopeLayout) -> Target {
    let interleaved = u32::from(layout == RopeLayout::Interleaved);
    let macros =
        vec![("ELEMENT", type_number(element)), ("HEAD_DIM", head_dim as u32), ("INTERLEAVED", interleaved)];
    Target { architecture, macros }
}

impl Kernels {
    /// Compiles the kernels, or takes what `cache_folder` keeps of an earlier start, and loads them.
    pub fn load(
        gpu: &Gpu,
        element: CacheDtype,
        head_dim: usize,
        rope_layout: RopeLayout,
        cache_folder: Option<&Path>,
    ) -> Result<Self, CudaError> {
        if head_dim == 0 || !head_dim.is_multiple_of(2) || lanes(head_dim) > 32 {
            return Err(CudaError::Internal("a head's dimension that the GPU kernels do not serve"));
        }
        let target = target(gpu.architecture(), element, head_dim, rope_layout);
        Ok(Self {
            element,
            head_dim,
            multiprocessors: gpu.info().multiprocessors,
            elementwise: Elementwise::load(gpu, &target, cache_folder)?,
            products: Products::load(gpu, &target, cache_folder)?,
            attention: Attention::load(gpu, &target, element, head_dim, cache_folder)?,
        })
    }

    /// E.
    pub fn element(&self) -> CacheDtype {
        self.element
    }

    /// D.
    pub fn head_dim(&self) -> usize {
        self.head_dim
    }

    /// Heads of one token that a block goes through at once, in the kernels that rotate.
    fn heads_per_block(&self) -> usize {
        THREADS as usize / lanes(self.head_dim)
    }
}

/// Threads that share a head's row: each has some pairs of numbers that are rotated together, as many as fill 16 bytes
/// where that comes out even. `heads.cu` counts the same way.
fn lanes(head_dim: usize) -> usize {
    let pairs = [8, 4, 2, 1].into_iter().find(|pairs| head_dim.is_multiple_of(2 * pairs)).unwrap_or(1);
    (head_dim / 2 / pairs).next_power_of_two()
}

/// How the sources number the types.
fn type_number(dtype: CacheDtype) -> u32 {
    match dtype {
        CacheDtype::F32 => 0,
        CacheDtype::F16 => 1,
        CacheDtype::Bf16 => 2,
    }
}

/// A count as the kernels take it.
fn number(count: usize) -> Result<u32, CudaError> {
    u32::try_from(count).map_err(|_| CudaError::Internal("a count beyond 32 bits"))
}

/// Blocks for `total` things of which a block does `each`.
fn blocks(total: usize, each: usize) -> Result<u32, CudaError> {
    number(total.div_ceil(each))
}
