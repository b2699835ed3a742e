//! The network on an NVIDIA GPU (feature `cuda`), and the only code that knows the driver.
//!
//! The driver, cuBLAS and NVRTC are opened when they are first needed: one binary runs with and without a GPU, and
//! building it takes neither. Products of matrices with many rows are cuBLAS's; everything else is CUDA C++ in
//! `kernels/`, compiled by NVRTC for the device at hand and kept as a cubin ([`compile`]). Every kernel does what a
//! function of [`crate::model`] does and is tested against it.
//!
//! | module | what |
//! |---|---|
//! | [`device`] | a GPU: its streams, copies and events |
//! | [`memory`] | buffers on the device and page-locked ones of the host |
//! | [`product`] | products of matrices, by cuBLAS |
//! | [`compile`] | sources into cubins |
//! | [`kernels`] | the kernels as the host sees them |
//! | [`shape`], [`weights`] | a network's sizes, and its weights on the device |
//! | [`network`] | what runs it; its passes are in `layers`, over the memory in `workspace` and `groups` |
//! | [`segment`], [`arena`], [`tiers`] | stored segments in device and page-locked memory, within budgets |
//! | [`context`] | segments into a session's context, layer by layer (`loading`, `reading`) |
//! | [`session`], [`encode`] | the twins of `model::session`: running a question, encoding chunks |
//! | [`fits`] | how many tokens of context there is room for |
//! | [`ceilings`] | what the machine can do at most: copies and products per second |
//!
//! Device memory is asked for, not assumed: what does not fit is [`CudaError::OutOfMemory`], a value like any other.

mod angles;
pub mod arena;
pub mod ceilings;
pub mod compile;
pub mod context;
pub mod device;
pub mod encode;
mod error;
pub mod fits;
mod groups;
pub mod kernels;
mod layers;
mod loading;
pub mod memory;
mod module;
pub mod network;
pub mod product;
mod reading;
pub mod segment;
pub mod session;
pub mod shape;
pub mod tiers;
pub mod weights;
mod workspace;

pub use error::CudaError;
pub use reading::ReadLayer;
