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
//! | [`ceilings`] | what the machine can do at most: copies and products per second |
//!
//! Device memory is asked for, not assumed: what does not fit is [`CudaError::OutOfMemory`], a value like any other.

pub mod ceilings;
pub mod compile;
pub mod device;
mod error;
pub mod kernels;
pub mod memory;
mod module;
pub mod product;

pub use error::CudaError;
