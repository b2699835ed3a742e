//! One integration binary: a module for each part, with what they share in `support`.

mod ape;
mod chat_pty;
mod cli;
mod corpus;
#[cfg(feature = "cuda")]
mod cuda;
mod end_to_end;
mod engine;
mod formats;
mod fuzz;
mod golden;
mod hub;
mod index;
mod layering;
mod readme;
mod sample_corpus;
mod store;
mod support;
mod terminal;
mod tokenizer;
mod tui;
mod upgrades;
