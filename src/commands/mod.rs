//! The commands: events to standard output. Each file is one command; they know the engine and the configuration,
//! and neither how flags are spelled nor how the process ends.

pub mod ask;
pub mod background;
#[cfg(feature = "cuda")]
pub mod bench;
pub mod cache;
pub mod chat;
pub mod collection;
pub mod compare;
pub mod configuration;
mod console;
pub mod demo;
pub mod doctor;
mod exit;
#[cfg(test)]
mod fixtures;
pub mod index;
pub mod json;
pub mod manual;
pub mod model;
mod question;
pub mod screenshots;
pub mod search;
pub mod service;
mod session;
pub mod sessions;
pub mod status;
mod text;
mod timing;

pub use console::{Console, Stream, Style, Verbosity};
pub use exit::{Error, Exit};
pub use session::{Interrupts, Session, WatchInterrupts};
