//! The indexer of a data directory as other processes see and steer it, and how a process becomes one that stays out of
//! the user's way.

use std::{io, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    board, orders,
    protocol::{Failure, IndexerOrder, IndexerStatus},
};
use crate::{catalogue::Catalogue, config::Config};

/// How much lower than others the priority of a process in the background is; on Linux, its priority at the disk follows.
const NICENESS: i32 = 10;

/// What is indexed, and who is indexing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Overview {
    pub directory: PathBuf,
    pub files: usize,
    pub chunks: usize,
    /// Chunks whose KV cache is on disk, for whichever model.
    pub cached_chunks: usize,
    pub cache_bytes: u64,
    pub cache_budget_bytes: u64,
    /// Files and folders that were added.
    pub roots: Vec<PathBuf>,
    /// `None` while nothing is being indexed.
    pub indexer: Option<IndexerStatus>,
}

/// What there is in the configured data directory. Creates nothing.
///
/// # Errors
/// When the catalogue cannot be read.
pub fn overview(config: &Config) -> Result<Overview, Failure> {
    let data = &config.paths.data;
    let nothing = Overview {
        directory: data.clone(),
        cache_budget_bytes: config.store.disk_bytes,
        indexer: board::read(data),
        ..Overview::default()
    };
    if !Catalogue::exists(data) {
        return Ok(nothing);
    }
    let catalogue = Catalogue::open(data)?;
    let counts = catalogue.counts()?;
    Ok(Overview {
        files: counts.files,
        chunks: counts.chunks,
        cached_chunks: catalogue.cached_chunks()?,
        cache_bytes: catalogue.cache_bytes()?,
        roots: catalogue.roots()?.into_iter().map(|root| root.path).collect(),
        ..nothing
    })
}

/// The process that indexes, if one does.
pub fn status(config: &Config) -> Option<IndexerStatus> {
    board::read(&config.paths.data)
}

/// Tells the process that indexes to pause, to go on, or to stop, which is waited for. Returns its status before that.
///
/// # Errors
/// When nothing is being indexed, or the indexer does not end in time.
pub fn order(config: &Config, order: IndexerOrder) -> Result<IndexerStatus, Failure> {
    orders::give(&config.paths.data, order)
}

/// Leaves the terminal's session, so that closing the terminal does not end this process, and lets others go first.
/// For the main thread before it starts others: they have its priority.
///
/// # Errors
/// When the system refuses; the process goes on as it was.
pub fn step_back() -> io::Result<()> {
    rustix::process::nice(NICENESS)?;
    rustix::process::setsid()?;
    Ok(())
}
