//! How requests end: outcomes, their parts, and failures.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{CacheOrigin, CatalogueReply, KeptTurn, RetrievedChunk};
use crate::{
    config::Strategy,
    engine::timing::{Spread, Timings},
};

/// How a request ended well.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Answer(Answer),
    Comparison(Comparison),
    Indexed(IndexReport),
    Found(Vec<RetrievedChunk>),
    Catalogue(CatalogueReply),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub question: String,
    pub text: String,
    pub strategy: Strategy,
    pub stop: StopReason,
    /// The chunks the answer could draw on, by rank.
    pub sources: Vec<RetrievedChunk>,
    /// Where each source's cache came from, in the order of `sources`.
    pub origins: Vec<CacheOrigin>,
    /// The generated token ids.
    pub tokens: Vec<u32>,
    pub timings: Timings,
    /// Where question and answer were kept, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<KeptTurn>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model ended its answer.
    EndOfText,
    /// The answer reached the most tokens asked for.
    MaxTokens,
    /// The answer reached the model's context length.
    ContextFull,
    Cancelled,
}

/// One question through several strategies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub question: String,
    pub runs: usize,
    pub sources: Vec<RetrievedChunk>,
    pub rows: Vec<ComparisonRow>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparisonRow {
    pub strategy: Strategy,
    /// What the runs gave, or why there are none.
    pub result: Result<ComparisonResult, Failure>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparisonResult {
    pub time_to_first_token_seconds: Spread,
    pub total_seconds: Spread,
    pub tokens_per_second: Spread,
    /// The answer of the first run; greedy answers do not differ between runs.
    pub answer: Answer,
    /// The timings of every run.
    pub runs: Vec<Timings>,
    /// How many times sooner than `full` the first token came, by medians; `None` without `full`.
    pub first_token_speedup: Option<f64>,
    /// Leading greedy tokens that are the same as `full`'s, of how many; `None` without `full`.
    pub agreement: Option<(usize, usize)>,
    /// How far the distribution of the first token is from that of `full`: KL(full ‖ strategy) over the whole
    /// vocabulary, in nats; `None` without `full`.
    pub first_token_divergence: Option<f64>,
}

/// What an index run did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct IndexReport {
    pub files_added: usize,
    pub files_changed: usize,
    pub files_removed: usize,
    pub files_unchanged: usize,
    pub chunks_added: usize,
    pub chunks_removed: usize,
    /// Chunks encoded in this run, and their tokens.
    pub chunks_encoded: usize,
    pub tokens_encoded: usize,
    /// Chunks left to be encoded when first retrieved, because the budget is spent or encoding was not asked for.
    pub chunks_left: usize,
    pub cache_bytes: u64,
    pub seconds: f64,
    pub encode_seconds: f64,
    pub cancelled: bool,
    /// Files left out, and why.
    pub issues: Vec<FileIssue>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIssue {
    pub path: PathBuf,
    pub reason: String,
}

/// Why a request could not be carried out: what happened, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub kind: FailureKind,
    pub message: String,
    /// What to do next, a sentence.
    pub hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// No model on this machine.
    NoModel,
    /// The model cannot be used.
    UnsupportedModel,
    /// Nothing is indexed.
    NoDocuments,
    /// No document has a word of the question.
    NoMatch,
    /// Prefix, chunks, question and answer do not fit the model's context.
    ContextTooLong,
    /// Another process is indexing.
    Busy,
    /// No process is indexing.
    NoIndexer,
    Cancelled,
    /// The request makes no sense as it is.
    BadRequest,
    /// The disk, the database or the index failed.
    Storage,
    /// Anything else; a defect.
    Internal,
}
