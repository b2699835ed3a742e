//! What passes between the engine and its front ends. Plain data only: no tensor and no index type.
//!
//! Every text in an [`Event`] that came from a document, a file name or the model has been through
//! [`visible`](super::visible), so that printing it cannot send an escape sequence to a terminal.

mod catalogue;
mod indexer;
mod listing;
mod outcome;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use catalogue::*;
pub use indexer::*;
pub use listing::*;
pub use outcome::*;

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
    /// Looks something up in the catalogue, or changes it. Does not wait for an answer under way.
    Catalogue(CatalogueRequest),
    /// Holds an index run where it is.
    Pause(RequestId),
    /// Lets a held index run go on.
    Resume(RequestId),
    Cancel(RequestId),
    /// Looks again at what there is to work with, such as a model that was fetched meanwhile, and says so with
    /// [`Event::Ready`].
    Refresh,
    Shutdown,
}

impl Command {
    /// The same command as the request `id`. What is about another request stays as it is.
    #[must_use]
    pub fn with_id(mut self, id: RequestId) -> Self {
        match &mut self {
            Self::Ask(request) => request.id = id,
            Self::Compare(request) => request.id = id,
            Self::Index(request) => request.id = id,
            Self::Search(request) => request.id = id,
            Self::Catalogue(request) => request.id = id,
            Self::Pause(_) | Self::Resume(_) | Self::Cancel(_) | Self::Refresh | Self::Shutdown => {}
        }
        self
    }
}

/// A question; what is `None` is taken from the configuration.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AskRequest {
    pub id: RequestId,
    pub question: String,
    pub strategy: Option<Strategy>,
    /// Chunks to retrieve.
    pub chunks: Option<usize>,
    pub max_tokens: Option<usize>,
    pub selection: Selection,
    /// The turns before this one, oldest first. They are part of the query side, after the documents; the oldest are
    /// left out where they take too much of the model's context.
    pub history: Vec<EarlierTurn>,
    pub keep: Keep,
}

/// A question and its answer that came before the one being asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierTurn {
    pub question: String,
    pub answer: String,
}

/// Whether question and answer are kept among the chats of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    #[default]
    No,
    /// As the first turn of a chat of its own; the answer says which.
    NewChat,
    /// At the end of this chat, or of a new one where it was deleted.
    Chat(ChatId),
    /// In the place of this turn and of all after it, once there is some of an answer: they are no part of the chat
    /// then.
    InPlaceOf(KeptTurn),
}

/// Names a chat of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChatId(pub i64);

/// Where a question and its answer are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptTurn {
    pub chat: ChatId,
    /// The number of the question among the messages of the chat, from 0; its answer is the next.
    pub message: u32,
}

impl KeptTurn {
    /// The place of the turn after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self { message: self.message + 2, ..self }
    }
}

/// Which chunks a question may draw on. Empty, it is whatever the search finds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Names of collections: nothing else is searched. Everything when empty. One alone has a system prompt and settings of
    /// its own.
    pub collections: Vec<String>,
    /// Indexed files, and folders in or above them: nothing else is searched. Everything when empty.
    pub scope: Vec<PathBuf>,
    /// Used whatever the search finds, before what it finds.
    pub pinned: Vec<Pin>,
    /// Ids of chunks that are not used.
    pub dropped: Vec<String>,
    /// Ids of the chunks of the turn before, best first: used beside what is found where the question's own
    /// retrieval is weak.
    pub carried: Vec<String>,
}

/// What the user wants the next question to draw on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pin {
    /// A chunk by its id.
    Chunk(String),
    /// Every chunk of an indexed file, as far as they fit.
    File(PathBuf),
}

/// One question through several strategies, each `runs` times.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CompareRequest {
    pub id: RequestId,
    pub question: String,
    pub strategies: Vec<Strategy>,
    pub runs: usize,
    pub chunks: Option<usize>,
    pub max_tokens: Option<usize>,
    pub selection: Selection,
    /// The turns before the question, oldest first, as for [`AskRequest::history`].
    pub history: Vec<EarlierTurn>,
}

/// Bring the index up to date with the folders' files.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IndexRequest {
    pub id: RequestId,
    /// Folders or files to add. With none, everything added before is looked at again.
    pub add: Vec<PathBuf>,
    /// Collections whose paths are to be added too; with none and no paths, those of all.
    pub collections: Vec<String>,
    /// Folders or files to take out, with their chunks and caches.
    pub forget: Vec<PathBuf>,
    /// Encode the chunks' KV caches now; otherwise they are encoded when first retrieved.
    pub encode: bool,
    /// Go on until cancelled: everything that was added is watched, and what changes is indexed.
    pub watch: bool,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct SearchRequest {
    pub id: RequestId,
    pub question: String,
    pub chunks: Option<usize>,
    /// Names of collections: nothing else is searched. Everything when empty.
    pub collections: Vec<String>,
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
    /// One run of a comparison is done.
    Measured {
        id: RequestId,
        /// From 1.
        run: usize,
        runs: usize,
        answer: Box<Answer>,
    },
    /// What encoding will take, before it begins.
    Estimated {
        id: RequestId,
        estimate: EncodeEstimate,
    },
    /// A file is left out of the index.
    LeftOut {
        id: RequestId,
        issue: FileIssue,
    },
    /// A request that watches has done what there was to do; `report` says what that was since the last time.
    Watching {
        id: RequestId,
        report: IndexReport,
        watched: Vec<WatchedRoot>,
    },
    /// Another process indexes, or has stopped. Told when that changes.
    Elsewhere(Option<IndexerStatus>),
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
    /// Chunks whose KV cache is on disk for this model, after the prefix of some collection at least.
    pub cached_chunks: usize,
    pub cache_bytes: u64,
    pub cache_budget_bytes: u64,
    /// Tokens encoded per second when chunks were last encoded on this machine; `None` before that.
    #[serde(default)]
    pub encode_tokens_per_second: Option<f64>,
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
    /// Bytes of KV cache on disk by now.
    pub cache_bytes: u64,
    /// Why nothing moves now.
    pub hold: Option<Hold>,
}

/// Why an index run stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hold {
    /// The user paused it.
    Paused,
    /// It gives way to a question, of this process or of another.
    Question,
    /// The machine runs on its battery.
    Battery,
}

/// What encoding the chunks without a cache will take.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct EncodeEstimate {
    pub chunks: usize,
    pub tokens: u64,
    /// Bytes of cache that they take.
    pub bytes: u64,
    /// Bytes that the budget leaves.
    pub free_bytes: u64,
    /// At the speed of the last encoding on this machine; `None` before the first.
    pub seconds: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexPhase {
    Walk,
    Read,
    Split,
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
    /// Bytes of its cache file, whether it is there or not; 0 while unknown.
    #[serde(default)]
    pub cache_bytes: u64,
    /// Where in `text` words of the question stand: bytes from and to, in order, not overlapping.
    #[serde(default)]
    pub matches: Vec<(usize, usize)>,
    #[serde(default)]
    pub reason: ChunkReason,
}

/// Why a chunk is among those of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChunkReason {
    #[default]
    Found,
    Pinned,
    /// From the turn before.
    Carried,
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
