//! The pipelines and the one door to them: [`Command`]s in, [`Event`]s out, all plain data.
//!
//! [`protocol`] is what passes through the door and [`timing`] the measurements in it; [`admin`] is what front ends
//! can do without a running engine; [`export`] makes files of results. Inside, `worker` runs the threads, `ingest`
//! turns files into searchable chunks, `encode` chunks into cached segments, `answer` a question into an answer, and
//! `compare` does that in several ways.

pub mod admin;
mod answer;
mod chats;
mod compare;
mod doctor;
mod encode;
pub mod export;
mod failure;
mod ingest;
mod keeper;
pub mod protocol;
mod resources;
mod sample;
mod summary;
pub mod timing;
mod visible;
mod worker;

pub use protocol::*;
pub use timing::*;
pub use visible::visible;
pub use worker::Engine;
