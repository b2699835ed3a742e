//! Gibbon: chat with your own files; the model reads every document once.
//!
//! The modules stand in the order in which data flows. A module uses those above it, never those below.
//!
//! | module | turns | into |
//! |---|---|---|
//! | [`config`] | flags, environment, file | [`config::Config`], resolved once and passed down |
//! | [`corpus`] | files | documents, then chunks |
//! | [`catalogue`] | what was read, indexed and cached | rows that survive a crash (SQLite) |
//! | [`index`] | chunks | a searchable index; a question into hits (tantivy) |
//! | [`model`] | tokens and KV cache | logits; chunks into KV segments |
//! | [`store`] | KV segments | files and back, within a byte budget |
//! | `cuda` | tokens and KV cache | the same on an NVIDIA GPU (feature `cuda`, the only one that knows the driver) |
//! | [`engine`] | commands | events: the pipelines and the one door to them |
//! | [`commands`] | events | standard output |
//! | [`tui`] | events | a screen |
//! | [`cli`] | what was typed | typed arguments |

pub mod catalogue;
pub mod cli;
pub mod commands;
pub mod config;
pub mod corpus;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod engine;
pub mod index;
pub mod model;
pub mod store;
pub mod tui;
