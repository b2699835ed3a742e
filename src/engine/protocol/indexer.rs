//! What an indexer tells other processes: how far it is, and what it watches.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{IndexReport, Progress};

/// The state of a process that indexes, as it was a moment ago.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct IndexerStatus {
    pub process: u32,
    /// Seconds since the Unix epoch.
    pub started: i64,
    pub activity: Activity,
    /// Of the phase under way; the last of them while nothing is to be done.
    pub progress: Option<Progress>,
    /// What is indexed by now.
    pub files: usize,
    pub chunks: usize,
    pub cached_chunks: usize,
    pub cache_bytes: u64,
    /// Files left out since the start.
    pub left_out: usize,
    /// Of the phase under way: per second, in the phase's unit.
    pub rate: Option<f64>,
    /// Seconds that the phase has left at this rate.
    pub seconds_left: Option<f64>,
    /// The folders and files that are watched; none without `--watch`.
    pub watched: Vec<WatchedRoot>,
    /// What went wrong last without ending it.
    pub last_error: Option<String>,
}

/// What an indexer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    #[default]
    Indexing,
    /// Everything is done; it waits for files to change.
    Watching,
    /// It was told to stop and finishes what it has begun.
    Stopping,
}

/// A folder or file that is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedRoot {
    pub path: PathBuf,
    pub mode: WatchMode,
    /// Why it is not watched by events, and what to do about it.
    pub note: Option<String>,
}

/// How changes are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WatchMode {
    /// The system tells.
    Events,
    /// Everything is looked at from time to time.
    Polling,
}

/// What another process asks of the indexer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexerOrder {
    Pause,
    Resume,
    Stop,
}

impl IndexReport {
    /// Adds what a later run did to this one.
    pub fn add(&mut self, later: Self) {
        self.files_added += later.files_added;
        self.files_changed += later.files_changed;
        self.files_removed += later.files_removed;
        self.files_unchanged += later.files_unchanged;
        self.chunks_added += later.chunks_added;
        self.chunks_removed += later.chunks_removed;
        self.chunks_encoded += later.chunks_encoded;
        self.tokens_encoded += later.tokens_encoded;
        self.chunks_left = later.chunks_left;
        self.cache_bytes = later.cache_bytes;
        self.seconds += later.seconds;
        self.encode_seconds += later.encode_seconds;
        self.cancelled |= later.cancelled;
        self.issues.extend(later.issues);
    }
}
