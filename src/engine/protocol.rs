//! What passes between the engine and its front ends. Plain data only: no tensor and no index type.
//!
//! Every text in an [`Event`] that came from a document, a file name or the model has been through
//! [`visible`](super::visible), so that printing it cannot send an escape sequence to a terminal.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::timing::{Spread, Timings};
use crate::config::Strategy;

/// Names one request; every event about it carries the same id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// What a front end asks of the engine.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Ask(AskRequest),
    Compare(CompareRequest),
    Index(IndexRequest),
    Search(SearchRequest),
    Cancel(RequestId),
    Shutdown,
}

/// A question; what is `None` is taken from the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct AskRequest {
    pub id: RequestId,
    pub question: String,
    pub strategy: Option<Strategy>,
    /// Chunks to retrieve.
    pub chunks: Option<usize>,
    pub max_tokens: Option<usize>,
    /// Keep question and answer among the chats of the catalogue.
    pub remember: bool,
}

/// One question through several strategies, each `runs` times.
#[derive(Debug, Clone, PartialEq)]
pub struct CompareRequest {
    pub id: RequestId,
    pub question: String,
    pub strategies: Vec<Strategy>,
    pub runs: usize,
    pub chunks: Option<usize>,
    pub max_tokens: Option<usize>,
}

/// Bring the index up to date with the folders' files.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IndexRequest {
    pub id: RequestId,
    /// Folders or files to add. With none, everything added before is looked at again.
    pub add: Vec<PathBuf>,
    /// Folders or files to take out, with their chunks and caches.
    pub forget: Vec<PathBuf>,
    /// Encode the chunks' KV caches now; otherwise they are encoded when first retrieved.
    pub encode: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SearchRequest {
    pub id: RequestId,
    pub question: String,
    pub chunks: Option<usize>,
}

/// What the engine tells its front ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The engine's state: sent once the engine runs, and again when the index changed.
    Ready(Status),
    Progress {
        id: RequestId,
        progress: Progress,
    },
    /// The chunks found, best first.
    Retrieved {
        id: RequestId,
        chunks: Vec<RetrievedChunk>,
    },
    /// The chunks' caches are in memory; says which were there and which had to be encoded.
    Loaded {
        id: RequestId,
        origins: Vec<CacheOrigin>,
    },
    /// The question has been through the network.
    Prefilled {
        id: RequestId,
        tokens: usize,
    },
    /// More of the answer's text: whole characters, possibly several tokens.
    Token {
        id: RequestId,
        text: String,
    },
    /// Something went wrong without ending the request.
    Warning {
        id: Option<RequestId>,
        message: String,
    },
    Done {
        id: RequestId,
        outcome: Outcome,
    },
    Failed {
        id: RequestId,
        failure: Failure,
    },
}

/// What the engine has to work with.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Status {
    /// `None` while no model is on this machine.
    pub model: Option<ModelSummary>,
    pub files: usize,
    pub chunks: usize,
    /// Chunks whose KV cache is on disk for this model and prefix.
    pub cached_chunks: usize,
    pub cache_bytes: u64,
    pub cache_budget_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ModelSummary {
    pub name: String,
    pub architecture: String,
    pub parameters: u64,
    /// Most tokens of a sequence.
    pub context_tokens: usize,
    /// Bytes of KV cache a token takes in the store's number format.
    pub cache_bytes_per_token: u64,
}

/// How far a request that takes long has come.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub phase: IndexPhase,
    pub done: u64,
    /// 0 while unknown.
    pub total: u64,
    /// What `done` and `total` count.
    pub unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexPhase {
    Walk,
    Read,
    Index,
    Encode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    Files,
    Chunks,
    Tokens,
}

/// A chunk as the screen shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetrievedChunk {
    /// Rank, from 1: the number of its citation.
    pub rank: usize,
    /// The chunk's content hash in hexadecimal.
    pub id: String,
    /// File name and heading, as the model sees it: `dome.md § Closing`.
    pub label: String,
    pub path: PathBuf,
    /// First and last line, from 1, where the format has lines.
    pub lines: Option<(u32, u32)>,
    pub page: Option<u32>,
    pub heading: Vec<String>,
    /// BM25.
    pub score: f32,
    /// 0 while unknown.
    pub tokens: usize,
    /// The chunk's KV cache is on disk or in memory.
    pub cached: bool,
    pub text: String,
}

/// Where a chunk's KV cache came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheOrigin {
    Memory,
    Disk,
    /// It was missing and has been encoded.
    Encoded,
    /// Its file was damaged or of another model; it has been encoded again.
    Repaired,
    /// The strategy uses no cache.
    Unused,
}

/// How a request ended well.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Answer(Answer),
    Comparison(Comparison),
    Indexed(IndexReport),
    Found(Vec<RetrievedChunk>),
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
    Cancelled,
    /// The request makes no sense as it is.
    BadRequest,
    /// The disk, the database or the index failed.
    Storage,
    /// Anything else; a defect.
    Internal,
}
