//! The pipelines and the one door to them: [`Command`]s in, [`Event`]s out, all plain data.
//!
//! [`protocol`] is what passes through the door and [`timing`] the measurements in it; [`admin`] is what front ends
//! can do without a running engine; [`export`] turns what they got into text to keep. Inside, `handle` starts the
//! threads, `lookup` runs the one for the catalogue and `worker` the others, `control` lets a front end cancel and pause
//! what they do; `gpu_bench` measures a GPU; `collections` tells which files and prompts belong together, `cache_report` what the cache holds of them; `ingest` turns files into searchable chunks,
//! `encode` chunks into cached segments, `retrieve` finds a question's chunks, `answer` turns both into an answer, and `compare` does that in several ways.

pub mod admin;
mod answer;
mod attendant;
mod board;
mod cache_report;
mod changes;
mod chats;
mod collections;
mod compare;
mod compute;
mod control;
mod divergence;
mod doctor;
mod encode;
pub mod export;
mod failure;
#[cfg(feature = "cuda")]
mod gpu;
#[cfg(feature = "cuda")]
mod gpu_answer;
#[cfg(feature = "cuda")]
pub mod gpu_bench;
mod handle;
mod index_run;
pub mod indexer;
mod ingest;
mod keeper;
mod lookup;
mod orders;
mod private;
pub mod protocol;
mod resources;
mod retrieve;
mod sample;
mod summary;
pub mod timing;
mod visible;
mod watch;
mod worker;

pub use handle::Engine;
pub use protocol::*;
pub use timing::*;
pub use visible::visible;
