//! Files to searchable chunks: walk, read, split, index. Runs beside the model's thread and never touches the model
//! but for its tokenizer.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rayon::prelude::*;

use super::{
    control::Control,
    protocol::{
        Event, Failure, FailureKind, FileIssue, IndexPhase, IndexReport, IndexRequest, Progress, RequestId,
        Unit,
    },
    visible::visible,
};
use crate::{
    catalogue::{FailedFile, FileRecord, FileUpdate, Root, RootOutcome},
    config::Config,
    corpus::{
        FileEntry, ReadIssue,
        collections::Collections,
        read::read,
        split::split,
        walk::{Walk, WalkError, walk_telling},
    },
    index::{Delta, Writer},
    model::tokenizer::Tokenizer,
    store::maintain,
};

/// Files that are read and split together; bounds the memory of a run.
const BATCH_FILES: usize = 64;
/// The walk says how far it is each time that it has found so many files more.
const WALK_STEP: usize = 64;
/// Why a root is not looked at any more.
const LEFT_BY_ITS_COLLECTION: &str = "it belongs to no collection any more (what is indexed of it stays; \
    `gibbon index` with its path makes it a folder of its own, `--forget` takes it out)";
/// Changes when documents are cut in another way than before, so that they are cut again.
const SPLIT_FORMAT: &str = "split-1";

/// What an ingest run needs from the engine.
pub(super) struct Surroundings<'a> {
    pub id: RequestId,
    pub config: &'a Config,
    pub tokenizer: &'a Tokenizer,
    pub control: &'a Control,
    pub emit: &'a (dyn Fn(Event) + Sync),
}

impl Surroundings<'_> {
    fn is_cancelled(&self) -> bool {
        self.control.is_cancelled()
    }

    fn tell(&self, progress: Progress) {
        (self.emit)(Event::Progress { id: self.id, progress });
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
    let collections = Collections::new(&around.config.collections);
    let (roots, missing) = roots_to_visit(&mut writer, request, &collections, around.config)?;
    let cache_bytes = writer.catalogue().cache_bytes()?;
    let chunks_cut = AtomicUsize::new(0);
    let teller = Teller { around, cache_bytes, chunks_cut: &chunks_cut };
    let held = Duration::ZERO;
    let mut run = Run { writer: &mut writer, around, collections, teller, report: &mut report, held };
    // Of one that was indexed before, its visit says so.
    for path in missing.iter().filter(|path| !roots.iter().any(|root| root.path == **path)) {
        run.issue(path, "it is a path of a collection and does not exist; check the configuration file");
    }
    for root in &roots {
        if around.is_cancelled() {
            break;
        }
        run.visit(root)?;
    }
    let held = run.held;
    remove_unreferenced_caches(&writer, around)?;
    report.cancelled = around.is_cancelled();
    report.seconds = started.elapsed().saturating_sub(held).as_secs_f64();
    Ok(report)
}

/// The roots of the paths to add, each once; all known roots and the paths of all collections where there are no paths and
/// nothing was forgotten. A path of a collection that does not exist comes back as the second: one that was typed is an
/// error, the other may be on a disk that is not there today.
fn roots_to_visit(
    writer: &mut Writer,
    request: &IndexRequest,
    collections: &Collections,
    config: &Config,
) -> Result<(Vec<Root>, Vec<PathBuf>), Failure> {
    for path in &request.add {
        check_exists(path)?;
    }
    let is_all = request.add.is_empty() && request.collections.is_empty() && request.forget.is_empty();
    let names: Vec<&String> =
        if is_all { config.collections.keys().collect() } else { request.collections.iter().collect() };
    let mut configured = Vec::new();
    for name in names {
        let collection = config.collections.get(name).ok_or_else(|| unknown_collection(name))?;
        configured.extend(&collection.paths);
    }
    let (configured, missing): (Vec<_>, Vec<_>) =
        configured.into_iter().partition(|path| check_exists(path).is_ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
    let mut roots: Vec<Root> = Vec::new();
    for path in request.add.iter().chain(configured) {
        let added = writer.add_root(path, now)?;
        let mut root = added.root;
        if added.outcome != RootOutcome::Inside {
            root.for_collection = collections.choose_in(&root.path);
            writer.set_for_collection(root.id, root.for_collection)?;
        }
        if !roots.iter().any(|known| known.id == root.id) {
            roots.push(root);
        }
    }
    if is_all {
        // All of them, as they are after some were added.
        roots = writer.catalogue().roots()?;
    }
    // A root that was taken over by one added after it is gone.
    let left: HashSet<_> = writer.catalogue().roots()?.into_iter().map(|root| root.id).collect();
    roots.retain(|root| left.contains(&root.id));
    Ok((roots, missing.into_iter().cloned().collect()))
}

fn unknown_collection(name: &str) -> Failure {
    Failure::new(
        FailureKind::BadRequest,
        format!("there is no collection `{name}`"),
        "`gibbon collection ls` lists them, `gibbon collection add NAME PATH` makes one.",
    )
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

/// What an ingest run has to work with.
struct Run<'a> {
    writer: &'a mut Writer,
    around: &'a Surroundings<'a>,
    collections: Collections,
    teller: Teller<'a>,
    report: &'a mut IndexReport,
    /// For how long the run stood still.
    held: Duration,
}

/// Says how far the run is; shared by the threads that read.
#[derive(Clone, Copy)]
struct Teller<'a> {
    around: &'a Surroundings<'a>,
    /// Bytes of KV cache on disk; encoding comes after this run.
    cache_bytes: u64,
    /// Chunks that were cut so far, of all roots.
    chunks_cut: &'a AtomicUsize,
}

impl Teller<'_> {
    fn tell(&self, phase: IndexPhase, done: usize, total: usize) {
        self.around.tell(self.progress(phase, done, total));
    }

    fn progress(&self, phase: IndexPhase, done: usize, total: usize) -> Progress {
        let unit = if phase == IndexPhase::Split { Unit::Chunks } else { Unit::Files };
        let (done, total) = (done as u64, total as u64);
        Progress { phase, done, total, unit, cache_bytes: self.cache_bytes, hold: None }
    }
}

/// One root on its way through the phases.
struct Visit<'a> {
    root: &'a Root,
    known: HashMap<PathBuf, FileRecord>,
    files: usize,
    files_read: AtomicUsize,
}

impl Visit<'_> {
    fn examine(&self, file: &FileEntry, recipe: &str, teller: Teller) -> FileResult {
        let result = examine(file, self.known.get(&file.relative), recipe, teller.around);
        let read = self.files_read.fetch_add(1, Ordering::Relaxed) + 1;
        teller.tell(IndexPhase::Read, read, self.files);
        if let FileResult::New(update) = &result {
            let cut = update.chunks.len();
            let before = teller.chunks_cut.fetch_add(cut, Ordering::Relaxed);
            teller.tell(IndexPhase::Split, before + cut, 0);
        }
        result
    }
}

impl Run<'_> {
    fn visit(&mut self, root: &Root) -> Result<(), Failure> {
        if root.for_collection && !self.collections.choose_in(&root.path) {
            // Its patterns are gone with the collection, and what they left out is not to come in.
            self.report.files_unchanged += self.writer.known_files(root.id)?.len();
            self.issue(&root.path, LEFT_BY_ITS_COLLECTION);
            return Ok(());
        }
        let walked = match self.walk(root) {
            Ok(walked) => walked,
            // The folder may be on a disk that is not there today: nothing is thrown away for that.
            Err(error) => {
                let reason = format!("{error} (what is indexed of it stays; `--forget` takes it out)");
                self.issue(&root.path, &reason);
                return Ok(());
            }
        };
        // A walk that was cut short has not seen all that is there.
        if self.around.is_cancelled() {
            return Ok(());
        }
        let visit = Visit {
            root,
            known: self.writer.known_files(root.id)?,
            files: walked.files.len(),
            files_read: AtomicUsize::new(0),
        };
        let mut delta = Delta::new(root.id);
        delta.removed = gone(&visit.known, &walked.files);
        self.report.files_removed += delta.removed.len();
        for issue in &walked.issues {
            self.fail(root, issue, &mut delta);
        }
        self.apply(delta)?;

        for batch in walked.files.chunks(BATCH_FILES) {
            if self.around.is_cancelled() {
                return Ok(());
            }
            self.batch(&visit, batch)?;
        }
        Ok(())
    }

    /// Finds the files of a root; those found by then where the run is cancelled meanwhile.
    fn walk(&mut self, root: &Root) -> Result<Walk, WalkError> {
        let around = self.around;
        let collections = self.collections.clone();
        let wanted = collections.choose_in(&root.path).then_some(&collections);
        self.teller.tell(IndexPhase::Walk, 0, 0);
        let walked = walk_telling(&root.path, &around.config.corpus, wanted, &mut |found| {
            if found.is_multiple_of(WALK_STEP) {
                self.teller.tell(IndexPhase::Walk, found, 0);
            }
            self.stand_still(IndexPhase::Walk, found, 0);
            !around.is_cancelled()
        })?;
        self.teller.tell(IndexPhase::Walk, walked.files.len(), walked.files.len());
        Ok(walked)
    }

    /// Reads and splits some files in parallel and indexes what is new in them.
    fn batch(&mut self, visit: &Visit, files: &[FileEntry]) -> Result<(), Failure> {
        let results = self.examine_all(visit, files);
        let mut delta = Delta::new(visit.root.id);
        for (file, result) in files.iter().zip(results) {
            let is_known = visit.known.contains_key(&file.relative);
            match result {
                // The run was cancelled before it.
                None => {}
                Some(FileResult::Unchanged) => self.report.files_unchanged += 1,
                Some(FileResult::Failed(issue)) => {
                    // What is indexed of it may no longer be what it says.
                    if is_known {
                        self.report.files_removed += 1;
                        delta.removed.push(file.relative.clone());
                    }
                    self.fail(visit.root, &issue, &mut delta);
                }
                Some(FileResult::New(update)) => {
                    match is_known {
                        true => self.report.files_changed += 1,
                        false => self.report.files_added += 1,
                    }
                    delta.updated.push(update);
                }
            }
        }
        let read = visit.files_read.load(Ordering::Relaxed);
        self.stand_still(IndexPhase::Index, read, visit.files);
        self.apply(delta)?;
        self.teller.tell(IndexPhase::Index, read, visit.files);
        Ok(())
    }

    /// What became of each file; `None` for those that were not looked at before the run was cancelled. While the run
    /// is held, no task waits: the threads are those that an answer needs.
    fn examine_all(&mut self, visit: &Visit, files: &[FileEntry]) -> Vec<Option<FileResult>> {
        let (around, teller) = (self.around, self.teller);
        let recipe = recipe(around);
        let mut results: Vec<Option<FileResult>> = files.iter().map(|_| None).collect();
        loop {
            let open = results.par_iter_mut().zip(files).filter(|(result, _)| result.is_none());
            open.for_each(|(result, file)| {
                if around.control.hold().is_none() && !around.is_cancelled() {
                    *result = Some(visit.examine(file, &recipe, teller));
                }
            });
            if around.is_cancelled() || results.iter().all(Option::is_some) {
                return results;
            }
            self.stand_still(IndexPhase::Read, visit.files_read.load(Ordering::Relaxed), visit.files);
        }
    }

    /// Waits while the run is held, and says so.
    fn stand_still(&mut self, phase: IndexPhase, done: usize, total: usize) {
        let progress = self.teller.progress(phase, done, total);
        let around = self.around;
        if around.control.hold().is_some() {
            self.held += around.control.wait(&|hold| around.tell(Progress { hold, ..progress }));
        }
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

    fn fail(&mut self, root: &Root, issue: &ReadIssue, delta: &mut Delta) {
        let relative = issue.path.strip_prefix(&root.path).unwrap_or(&issue.path);
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
        let issue = FileIssue { path: path.to_owned(), reason };
        (self.around.emit)(Event::LeftOut { id: self.around.id, issue: issue.clone() });
        self.report.issues.push(issue);
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
