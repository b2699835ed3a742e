//! Gibbon's integration tests, one binary.

mod corpus;
mod sample_corpus;
