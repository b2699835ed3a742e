//! Garbage collection: removes what nobody can use, and what is beyond the budget.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    StoreError,
    evict::key_of,
    files,
    key::{Fingerprint, KvKey, SegmentId},
    maintain::{Outdated, allocated, names, outdated, reconcile, remove_outdated},
};
use crate::{catalogue::Catalogue, corpus::ChunkId};

/// What [`collect`] goes by.
#[derive(Debug, Clone, Copy)]
pub struct Collect<'a> {
    /// Most bytes that stay.
    pub budget: u64,
    /// The caches of chunks that are not among these go.
    pub indexed: &'a HashSet<ChunkId>,
    /// The caches that the configuration uses; their prefixes stay whatever the budget.
    pub current: &'a [Fingerprint],
    /// All others go too.
    pub only_current: bool,
    /// Nothing is removed.
    pub dry_run: bool,
}

/// Files and the bytes allocated for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    pub files: usize,
    pub bytes: u64,
}

/// What went, by the first reason that held for it, and what stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// Of an earlier version of the format.
    pub outdated: Amount,
    /// Left by a process that ended while it wrote.
    pub unfinished: Amount,
    /// Of texts that no indexed file has.
    pub not_indexed: Amount,
    /// Of models and prompts that the configuration does not use.
    pub other_models: Amount,
    /// Least recently used, beyond the budget.
    pub over_budget: Amount,
    pub kept: Amount,
}

/// A file that may stay, and when it was used.
struct Candidate {
    last_used: i64,
    key: KvKey,
    path: PathBuf,
    bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

impl Collected {
    /// Everything that went.
    pub fn removed(&self) -> Amount {
        let parts = [self.outdated, self.unfinished, self.not_indexed, self.other_models, self.over_budget];
        Amount {
            files: parts.iter().map(|part| part.files).sum(),
            bytes: parts.iter().map(|part| part.bytes).sum(),
        }
    }
}

/// Removes what nobody can use, then what was used longest ago until the rest is within the budget. Who reads a file that
/// goes has it open and reads on; whoever comes later encodes its text again.
pub fn collect(data: &Path, catalogue: &mut Catalogue, by: Collect<'_>) -> Result<Collected, StoreError> {
    let root = files::root(data);
    let Outdated { files, bytes } = if by.dry_run { outdated(data) } else { remove_outdated(data) };
    let mut done = Collected { outdated: Amount { files, bytes }, ..Default::default() };
    let mut scan = files::scan(&root);
    for left in scan.unfinished.iter().filter(|file| file.is_abandoned()) {
        done.unfinished.add(allocated(&left.path));
    }
    if !by.dry_run && !reconcile(data, catalogue)?.damaged.is_empty() {
        scan = files::scan(&root);
    }
    let uses: HashMap<KvKey, i64> = catalogue
        .cache_records()?
        .iter()
        .filter_map(|record| Some((key_of(record)?, record.last_used)))
        .collect();
    let (mut gone, mut candidates) = (Vec::new(), Vec::new());
    for (key, path) in scan.files {
        let bytes = allocated(&path);
        let reason = match key.segment {
            SegmentId::Chunk(id) if !by.indexed.contains(&id) => Some(&mut done.not_indexed),
            _ if by.only_current && !by.current.contains(&key.fingerprint) => Some(&mut done.other_models),
            _ => None,
        };
        let last_used = uses.get(&key).copied().unwrap_or_default();
        let candidate = Candidate { last_used, key, path, bytes };
        match reason {
            Some(amount) => {
                amount.add(bytes);
                gone.push(candidate);
            }
            None => candidates.push(candidate),
        }
    }
    let (kept, beyond) = within(by, candidates);
    beyond.iter().for_each(|candidate| done.over_budget.add(candidate.bytes));
    kept.iter().for_each(|candidate| done.kept.add(candidate.bytes));
    if !by.dry_run {
        gone.extend(beyond);
        remove(&root, catalogue, by.current, &gone)?;
    }
    Ok(done)
}

/// Those that stay within the budget, and those that have to go: the least recently used, and no prefix in use.
fn within(by: Collect<'_>, mut candidates: Vec<Candidate>) -> (Vec<Candidate>, Vec<Candidate>) {
    let mut bytes: u64 = candidates.iter().map(|candidate| candidate.bytes).sum();
    candidates.sort_by_key(|candidate| (candidate.last_used, candidate.key));
    let mut goes = |candidate: &Candidate| {
        let is_needed =
            candidate.key.segment == SegmentId::Prefix && by.current.contains(&candidate.key.fingerprint);
        let goes = bytes > by.budget && !is_needed;
        if goes {
            bytes -= candidate.bytes;
        }
        goes
    };
    let (beyond, kept) = candidates.into_iter().partition(|candidate| goes(candidate));
    (kept, beyond)
}

fn remove(
    root: &Path,
    catalogue: &mut Catalogue,
    current: &[Fingerprint],
    gone: &[Candidate],
) -> Result<(), StoreError> {
    let mut records = Vec::new();
    for candidate in gone {
        if files::remove_or_warn(&candidate.path) {
            records.push(names(&candidate.key));
        }
    }
    catalogue.cache_forget(&records)?;
    files::remove_empty_directories(root);
    let current: Vec<String> = current.iter().map(Fingerprint::to_string).collect();
    catalogue.cache_forget_empty_groups(&current)?;
    Ok(())
}
