//! Files to searchable chunks: walk, read, split, index. Runs beside the model's thread and never touches the model
//! but for its tokenizer.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use rayon::prelude::*;

use super::{
    protocol::{Failure, FileIssue, IndexPhase, IndexReport, IndexRequest, Progress, Unit},
    visible::visible,
};
use crate::{
    catalogue::{FailedFile, FileRecord, FileUpdate, Root},
    config::Config,
    corpus::{
        FileEntry, ReadIssue,
        read::read,
        split::split,
        walk::{WalkError, walk},
    },
    index::{Delta, Writer},
    model::tokenizer::Tokenizer,
    store::maintain,
};

/// Files that are read and split together; bounds the memory of a run.
const BATCH_FILES: usize = 64;
/// Changes when documents are cut in another way than before, so that they are cut again.
const SPLIT_FORMAT: &str = "split-1";

/// What an ingest run needs from the engine.
pub(super) struct Surroundings<'a> {
    pub config: &'a Config,
    pub tokenizer: &'a Tokenizer,
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
    pub progress: &'a (dyn Fn(Progress) + Sync),
}

impl Surroundings<'_> {
    fn tell(&self, phase: IndexPhase, done: usize, total: usize) {
        (self.progress)(Progress {
            phase,
            done: done as u64,
            total: total as u64,
            unit: Unit::Files,
            cache_bytes: 0,
            hold: None,
        });
    }
}

/// Brings the index up to date with the folders' files and says what that took. What was done before a cancellation
/// stays done.
///
/// # Errors
/// When a folder to add does not exist, another process is indexing, or the index cannot be written.
pub(super) fn ingest(request: &IndexRequest, around: &Surroundings) -> Result<IndexReport, Failure> {
    let started = Instant::now();
    let mut writer = Writer::open(&around.config.paths.data)?;
    let mut report = IndexReport::default();
    for path in &request.forget {
        forget(&mut writer, path, around, &mut report)?;
    }
    let roots = roots_to_visit(&mut writer, request)?;
    for root in &roots {
        if (around.cancelled)() {
            break;
        }
        Visit { writer: &mut writer, root, around, report: &mut report }.run()?;
    }
    remove_unreferenced_caches(&writer, around)?;
    report.cancelled = (around.cancelled)();
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

/// The roots of the paths to add, each once; all known roots where there are no paths and nothing was forgotten.
fn roots_to_visit(writer: &mut Writer, request: &IndexRequest) -> Result<Vec<Root>, Failure> {
    if request.add.is_empty() {
        let all = if request.forget.is_empty() { writer.catalogue().roots()? } else { Vec::new() };
        return Ok(all);
    }
    for path in &request.add {
        check_exists(path)?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
    let mut roots: Vec<Root> = Vec::new();
    for path in &request.add {
        let root = writer.add_root(path, now)?.root;
        if !roots.iter().any(|known| known.id == root.id) {
            roots.push(root);
        }
    }
    Ok(roots)
}

/// A mistyped path is told before anything is added.
fn check_exists(path: &Path) -> Result<(), WalkError> {
    let path = path.to_owned();
    match std::fs::metadata(&path) {
        Ok(_) => Ok(()),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Err(WalkError::Missing { path }),
        Err(source) => Err(WalkError::Unreadable { path, source }),
    }
}

fn forget(
    writer: &mut Writer,
    path: &Path,
    around: &Surroundings,
    report: &mut IndexReport,
) -> Result<(), Failure> {
    let root = writer.catalogue().root_at(path)?;
    report.files_removed += writer.known_files(root.id)?.len();
    let applied = writer.remove_root(root.id)?;
    report.chunks_removed += applied.chunks_removed;
    remove_caches(&applied.orphaned, around)
}

/// One root of an ingest run.
struct Visit<'a> {
    writer: &'a mut Writer,
    root: &'a Root,
    around: &'a Surroundings<'a>,
    report: &'a mut IndexReport,
}

impl Visit<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        let walked = match walk(&self.root.path, &self.around.config.corpus) {
            Ok(walked) => walked,
            // The folder may be on a disk that is not there today: nothing is thrown away for that.
            Err(error) => {
                let reason = format!("{error} (what is indexed of it stays; `--forget` takes it out)");
                self.issue(&self.root.path.clone(), &reason);
                return Ok(());
            }
        };
        let known = self.writer.known_files(self.root.id)?;
        let total = walked.files.len();
        self.around.tell(IndexPhase::Walk, total, total);

        let mut delta = Delta::new(self.root.id);
        delta.removed = gone(&known, &walked.files);
        self.report.files_removed += delta.removed.len();
        for issue in &walked.issues {
            self.fail(issue, &mut delta);
        }
        self.apply(delta)?;

        let read_so_far = AtomicUsize::new(0);
        for batch in walked.files.chunks(BATCH_FILES) {
            if (self.around.cancelled)() {
                return Ok(());
            }
            self.batch(batch, &known, &read_so_far, total)?;
        }
        Ok(())
    }

    /// Reads and splits some files in parallel and indexes what is new in them.
    fn batch(
        &mut self,
        files: &[FileEntry],
        known: &HashMap<PathBuf, FileRecord>,
        read_so_far: &AtomicUsize,
        total: usize,
    ) -> Result<(), Failure> {
        let around = self.around;
        let recipe = recipe(around);
        let results: Vec<FileResult> = files
            .par_iter()
            .map(|file| {
                let result = examine(file, known.get(&file.relative), &recipe, around);
                let done = read_so_far.fetch_add(1, Ordering::Relaxed) + 1;
                around.tell(IndexPhase::Read, done, total);
                result
            })
            .collect();
        let mut delta = Delta::new(self.root.id);
        for (file, result) in files.iter().zip(results) {
            match result {
                FileResult::Unchanged => self.report.files_unchanged += 1,
                FileResult::Failed(issue) => {
                    // What is indexed of it may no longer be what it says.
                    if known.contains_key(&file.relative) {
                        self.report.files_removed += 1;
                        delta.removed.push(file.relative.clone());
                    }
                    self.fail(&issue, &mut delta);
                }
                FileResult::New(update) => {
                    match known.contains_key(&update.relative) {
                        true => self.report.files_changed += 1,
                        false => self.report.files_added += 1,
                    }
                    delta.updated.push(update);
                }
            }
        }
        self.apply(delta)?;
        self.around.tell(IndexPhase::Index, read_so_far.load(Ordering::Relaxed), total);
        Ok(())
    }

    fn apply(&mut self, delta: Delta) -> Result<(), Failure> {
        if delta.is_empty() {
            return Ok(());
        }
        let applied = self.writer.apply(&delta)?;
        self.report.chunks_added += applied.chunks_added;
        self.report.chunks_removed += applied.chunks_removed;
        Ok(())
    }

    fn fail(&mut self, issue: &ReadIssue, delta: &mut Delta) {
        let relative = issue.path.strip_prefix(&self.root.path).unwrap_or(&issue.path);
        delta.failed.push(FailedFile {
            relative: relative.to_owned(),
            hash: None,
            reason: issue.reason.clone(),
        });
        self.issue(&issue.path, &issue.reason);
    }

    fn issue(&mut self, path: &Path, reason: &str) {
        // A reason may quote a file: on one line, it cannot pass for a line of ours.
        let reason = visible(reason).replace('\n', " ");
        self.report.issues.push(FileIssue { path: path.to_owned(), reason });
    }
}

enum FileResult {
    Unchanged,
    New(FileUpdate),
    Failed(ReadIssue),
}

fn examine(file: &FileEntry, known: Option<&FileRecord>, recipe: &str, around: &Surroundings) -> FileResult {
    let document = match read(file, &around.config.corpus) {
        Ok(document) => document,
        Err(issue) => return FileResult::Failed(issue),
    };
    if known.is_some_and(|known| known.hash == document.hash && known.recipe == recipe) {
        return FileResult::Unchanged;
    }
    let count = |text: &str| around.tokenizer.count(text);
    FileResult::New(FileUpdate {
        relative: document.relative.clone(),
        hash: document.hash,
        bytes: file.bytes,
        title: document.title.clone(),
        recipe: recipe.to_owned(),
        chunks: split(&document, around.config.corpus.chunk_tokens, &count),
    })
}

/// How documents are cut: with the same recipe the same content gives the same chunks.
fn recipe(around: &Surroundings) -> String {
    let tokenizer = blake3::Hash::from(around.tokenizer.identity()).to_hex();
    format!("{SPLIT_FORMAT} {} {}", around.config.corpus.chunk_tokens, &tokenizer[..16])
}

/// Files that are indexed and no longer there.
fn gone(known: &HashMap<PathBuf, FileRecord>, found: &[FileEntry]) -> Vec<PathBuf> {
    let found: std::collections::HashSet<&Path> = found.iter().map(|file| file.relative.as_path()).collect();
    let mut gone: Vec<PathBuf> =
        known.keys().filter(|path| !found.contains(path.as_path())).cloned().collect();
    gone.sort();
    gone
}

/// Caches of chunks that no file holds any more, whether this run or an interrupted one left them.
fn remove_unreferenced_caches(writer: &Writer, around: &Surroundings) -> Result<(), Failure> {
    let left = writer.catalogue().unreferenced_cache()?;
    let mut ids: Vec<_> =
        left.iter().filter_map(|(_, segment)| crate::corpus::ChunkId::from_hex(segment)).collect();
    ids.sort_unstable();
    ids.dedup();
    remove_caches(&ids, around)
}

fn remove_caches(ids: &[crate::corpus::ChunkId], around: &Surroundings) -> Result<(), Failure> {
    if ids.is_empty() {
        return Ok(());
    }
    let data = &around.config.paths.data;
    let mut catalogue = crate::catalogue::Catalogue::open(data)?;
    Ok(maintain::remove_chunks(data, &mut catalogue, ids)?)
}
