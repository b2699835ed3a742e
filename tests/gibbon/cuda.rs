//! The GPU's kernels against their twins on the CPU, on fresh random numbers, at odd sizes, with outputs poisoned
//! before. What needs a GPU is ignored unless asked for: `cargo test --features cuda -- --ignored cuda::`.
//!
//! A failure shows the seed of its numbers; `GIBBON_TEST_SEED` gives the same ones again.

mod attention;
mod context;
mod device;
mod encode;
mod gemv;
mod heads;
mod memory;
mod network;
mod product;
mod rows;
mod session;
mod soak;
mod sources;
