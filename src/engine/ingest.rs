//! Files to searchable chunks: walk, read, split, index. Runs beside the model's thread and never touches the model
//! but for its tokenizer.
//!
//! Two threads work on a root: one reads and cuts batches of files, on all cores, the other writes what comes of them.

mod examine;
mod roots;

use std::{
    collections::HashMap,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use rayon::prelude::*;

use self::{
    examine::{Cutting, FileResult},
    roots::roots_of,
};
use super::{
    changes::Changes,
    control::Control,
    protocol::{Event, Failure, FileIssue, IndexPhase, IndexReport, IndexRequest, Progress, RequestId, Unit},
    visible::visible,
    watch::WatchRoots,
};
use crate::{
    catalogue::{FailedFile, FileRecord, Root, RootKind},
    config::Config,
    corpus::{
        FileEntry, ReadIssue,
        collections::Collections,
        read::{READERS, Readers},
        walk::{Scope, Walk, WalkError, walk_telling},
    },
    index::{Delta, Writer, WriterLock},
    model::tokenizer::Tokenizer,
    store::maintain,
};

/// Files that are read and split together, and their bytes. With those that wait, are written and are read at the same time,
/// some 25 such batches bound the memory of a run.
const BATCH_FILES: usize = 512;
const BATCH_BYTES: u64 = 4 << 20;
/// Batches that were read and wait to be written. Those that wait are written together: the database's index of chunk ids
/// changes in as many places for one as for all.
const BATCHES_WAITING: usize = 11;
/// The walk says how far it is each time that it has found so many files more.
const WALK_STEP: usize = 64;
/// Why a root is not looked at any more.
const LEFT_BY_ITS_COLLECTION: &str = "it belongs to no collection any more (what is indexed of it stays; \
    `gibbon index` with its path makes it a folder of its own, `--forget` takes it out)";
/// Changes when documents are cut in another way than before, so that they are cut again.
const SPLIT_FORMAT: &str = "split-3";

/// What an ingest run needs from the engine.
pub(super) struct Surroundings<'a> {
    pub id: RequestId,
    pub config: &'a Config,
    pub tokenizer: &'a Tokenizer,
    pub control: &'a Control,
    pub emit: &'a (dyn Fn(Event) + Sync),
    /// The right to index.
    pub lock: Arc<WriterLock>,
    /// Told what to watch, where the request watches.
    pub watch: Option<WatchRoots>,
}

impl Surroundings<'_> {
    fn is_cancelled(&self) -> bool {
        self.control.is_cancelled()
    }

    fn tell(&self, progress: Progress) {
        (self.emit)(Event::Progress { id: self.id, progress });
    }
}

/// What an ingest run looks at.
pub(super) enum Look {
    Request(IndexRequest),
    /// What may have changed since.
    Changes(Changes),
}

/// What an ingest run did.
pub(super) struct Ingested {
    pub report: IndexReport,
    /// Files that could not be read because they were being written.
    pub again: Changes,
}

/// Brings the index up to date with the folders' files and says what that took. What was done before a cancellation
/// stays done. `writer` is opened at the first run, and kept for the next.
///
/// # Errors
/// When a folder to add does not exist, or the index cannot be written.
pub(super) fn ingest(
    look: &Look,
    writer: &mut Option<Writer>,
    around: &Surroundings,
) -> Result<Ingested, Failure> {
    let started = Instant::now();
    let writer = match writer {
        Some(writer) => writer,
        none => none.insert(Writer::open_with(&around.config.paths.data, around.lock.clone())?),
    };
    let mut report = IndexReport::default();
    let collections = Collections::new(&around.config.collections);
    let (roots, missing) = match look {
        Look::Request(request) => roots_of(request, writer, &collections, around, &mut report)?,
        Look::Changes(changes) => {
            let roots = writer.catalogue().roots()?.into_iter();
            let changed = roots.filter_map(|root| Some((changes.scope_of(&root)?, root)));
            (changed.map(|(scope, root)| (root, scope)).collect(), Vec::new())
        }
    };
    let cache_bytes = writer.catalogue().cache_bytes()?;
    let chunks_cut = AtomicUsize::new(0);
    let held = Mutex::new(Duration::ZERO);
    let teller = Teller { around, cache_bytes, chunks_cut: &chunks_cut, held: &held };
    let readers = Readers::new(&around.config.corpus);
    let again = Changes::default();
    let mut run = Run { writer, around, readers: &readers, collections, teller, report: &mut report, again };
    // Of one that was indexed before, its visit says so.
    for path in missing.iter().filter(|path| !roots.iter().any(|(root, _)| root.path == **path)) {
        run.issue(path, "it is a path of a collection and does not exist; check the configuration file");
    }
    for (root, scope) in &roots {
        if around.is_cancelled() {
            break;
        }
        run.visit(root, scope)?;
    }
    run.writer.flush()?;
    let again = run.again;
    writer.rest();
    remove_unreferenced_caches(writer, around)?;
    report.cancelled = around.is_cancelled();
    let held = *held.lock().unwrap_or_else(PoisonError::into_inner);
    report.seconds = started.elapsed().saturating_sub(held).as_secs_f64();
    Ok(Ingested { report, again })
}

/// What an ingest run has to work with.
struct Run<'a> {
    writer: &'a mut Writer,
    around: &'a Surroundings<'a>,
    readers: &'a Readers,
    collections: Collections,
    teller: Teller<'a>,
    report: &'a mut IndexReport,
    again: Changes,
}

/// Says how far the run is; shared by the threads that read.
#[derive(Clone, Copy)]
struct Teller<'a> {
    around: &'a Surroundings<'a>,
    /// Bytes of KV cache on disk; encoding comes after this run.
    cache_bytes: u64,
    /// Chunks that were cut so far, of all roots.
    chunks_cut: &'a AtomicUsize,
    /// For how long the run stood still.
    held: &'a Mutex<Duration>,
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

    /// Waits while the run is held, and says so.
    fn stand_still(&self, phase: IndexPhase, done: usize, total: usize) {
        let around = self.around;
        if around.control.hold().is_some() {
            let progress = self.progress(phase, done, total);
            let held = around.control.wait(&|hold| around.tell(Progress { hold, ..progress }));
            *self.held.lock().unwrap_or_else(PoisonError::into_inner) += held;
        }
    }
}

/// One root on its way through the phases.
struct Visit<'a> {
    root: &'a Root,
    readers: &'a Readers,
    known: HashMap<PathBuf, FileRecord>,
    /// What failed the last time.
    failed: HashMap<PathBuf, FailedFile>,
    files: Vec<FileEntry>,
    files_read: AtomicUsize,
    teller: Teller<'a>,
}

/// Files that were read together: which they are, and what became of each; `None` for those that were not looked at
/// before the run was cancelled.
struct Batch {
    files: Range<usize>,
    results: Vec<Option<FileResult>>,
}

impl Visit<'_> {
    /// Reads and cuts all files in batches, until nobody takes them or the run is cancelled.
    fn read(&self, batches: &SyncSender<Batch>) {
        let around = self.teller.around;
        let recipe = recipe(around);
        let settings = &around.config.corpus;
        let cutting = Cutting { settings, readers: self.readers, recipe: &recipe, count: around.tokenizer };
        let mut start = 0;
        while start < self.files.len() && !around.is_cancelled() {
            let files = start..start + batch_length(&self.files[start..]);
            start = files.end;
            let results = self.examine_all(&self.files[files.clone()], cutting);
            if batches.send(Batch { files, results }).is_err() {
                return;
            }
        }
    }

    /// While the run is held, no task waits: the threads are those that an answer needs.
    fn examine_all(&self, files: &[FileEntry], cutting: Cutting) -> Vec<Option<FileResult>> {
        let around = self.teller.around;
        let mut results: Vec<Option<FileResult>> = files.iter().map(|_| None).collect();
        loop {
            let open = results.par_iter_mut().zip(files).filter(|(result, _)| result.is_none());
            open.for_each(|(result, file)| {
                if around.control.hold().is_none() && !around.is_cancelled() {
                    *result = Some(self.examine(file, cutting));
                }
            });
            if around.is_cancelled() || results.iter().all(Option::is_some) {
                return results;
            }
            let read = self.files_read.load(Ordering::Relaxed);
            self.teller.stand_still(IndexPhase::Read, read, self.files.len());
        }
    }

    fn examine(&self, file: &FileEntry, cutting: Cutting) -> FileResult {
        let relative = &file.relative;
        let result = cutting.examine(file, self.known.get(relative), self.failed.get(relative));
        let read = self.files_read.fetch_add(1, Ordering::Relaxed) + 1;
        self.teller.tell(IndexPhase::Read, read, self.files.len());
        if let FileResult::New(update, _) = &result {
            let cut = update.chunks.len();
            let before = self.teller.chunks_cut.fetch_add(cut, Ordering::Relaxed);
            self.teller.tell(IndexPhase::Split, before + cut, 0);
        }
        result
    }
}

impl Run<'_> {
    fn visit(&mut self, root: &Root, scope: &Scope) -> Result<(), Failure> {
        if root.for_collection && !self.collections.choose_in(&root.path) {
            // Its patterns are gone with the collection, and what they left out is not to come in.
            self.report.files_unchanged += self.writer.known_files(root.id)?.len();
            self.issue(&root.path, LEFT_BY_ITS_COLLECTION);
            return Ok(());
        }
        let walked = match self.walk(root, scope) {
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
        let known = self.known(root, scope)?;
        let failed = self.failed_before(root)?;
        let mut delta = Delta::new(root.id);
        delta.removed = gone(&known, &walked.files);
        self.report.files_removed += delta.removed.len();
        // Clears what is on record of it.
        delta.removed.extend(no_longer_failing(&failed, &walked, root));
        for issue in &walked.issues {
            self.fail(root, issue, &mut delta);
        }
        self.apply(&delta)?;

        let files = self.in_order(walked.files)?;
        let (readers, teller, files_read) = (self.readers, self.teller, AtomicUsize::new(0));
        let visit = Visit { root, readers, known, failed, files, files_read, teller };
        thread::scope(|threads| {
            // Reading goes on while a commit is awaited.
            let (send, batches) = sync_channel(BATCHES_WAITING);
            let reader = &visit;
            threads.spawn(move || reader.read(&send));
            while let Ok(batch) = batches.recv() {
                let waiting = batches.try_iter().take(BATCHES_WAITING);
                self.write(&visit, [batch].into_iter().chain(waiting).collect())?;
            }
            Ok(())
        })
    }

    fn failed_before(&self, root: &Root) -> Result<HashMap<PathBuf, FailedFile>, Failure> {
        let failed = self.writer.catalogue().failed_files(root.id)?;
        Ok(failed.into_iter().map(|file| (file.relative.clone(), file)).collect())
    }

    /// Finds the files of a root; those found by then where the run is cancelled meanwhile.
    fn walk(&mut self, root: &Root, scope: &Scope) -> Result<Walk, WalkError> {
        let (around, teller) = (self.around, self.teller);
        let data = &around.config.paths.data;
        let without = Some(std::fs::canonicalize(data).unwrap_or_else(|_| data.clone()));
        let wanted = self.collections.choose_in(&root.path).then(|| self.collections.clone());
        let scope = Scope { without, wanted, ..scope.clone() };
        teller.tell(IndexPhase::Walk, 0, 0);
        let walked = walk_telling(&root.path, &around.config.corpus, &scope, &mut |found| {
            if found.is_multiple_of(WALK_STEP) {
                teller.tell(IndexPhase::Walk, found, 0);
            }
            teller.stand_still(IndexPhase::Walk, found, 0);
            !around.is_cancelled()
        })?;
        teller.tell(IndexPhase::Walk, walked.files.len(), walked.files.len());
        Ok(walked)
    }

    /// What is indexed of the part of the root.
    fn known(&self, root: &Root, scope: &Scope) -> Result<HashMap<PathBuf, FileRecord>, Failure> {
        let parts = match &scope.within {
            Some(parts) if root.kind == RootKind::Folder && !parts.contains(&root.path) => parts,
            _ => return Ok(self.writer.known_files(root.id)?),
        };
        let mut known = HashMap::new();
        for part in parts.iter().filter_map(|part| part.strip_prefix(&root.path).ok()) {
            known.extend(self.writer.catalogue().known_files_below(root.id, part)?);
        }
        Ok(known)
    }

    /// What somebody is likely to ask about next comes first.
    fn in_order(&self, files: Vec<FileEntry>) -> Result<Vec<FileEntry>, Failure> {
        let mut files: Vec<(FileEntry, i64)> = files
            .into_par_iter()
            .map(|file| {
                let modified = examine::modified(&file.path);
                (file, modified)
            })
            .collect();
        let priorities = self.writer.catalogue().priorities()?;
        priorities.order(&mut files, |(file, _)| &file.path, |(_, modified)| *modified);
        Ok(files.into_iter().map(|(file, _)| file).collect())
    }

    /// Indexes what is new in files that were read.
    fn write(&mut self, visit: &Visit, batches: Vec<Batch>) -> Result<(), Failure> {
        let mut delta = Delta::new(visit.root.id);
        let results =
            batches.into_iter().flat_map(|batch| visit.files[batch.files].iter().zip(batch.results));
        for (file, result) in results {
            let is_known = visit.known.contains_key(&file.relative);
            match result {
                // The run was cancelled before it.
                None => {}
                Some(FileResult::Unchanged) => self.report.files_unchanged += 1,
                Some(FileResult::Changing(issue)) => {
                    self.again.add(&visit.root.path, file.path.clone());
                    self.fail(visit.root, &issue, &mut delta);
                }
                Some(FileResult::Failed(issue)) => {
                    // What is indexed of it may no longer be what it says.
                    if is_known {
                        self.report.files_removed += 1;
                        delta.removed.push(file.relative.clone());
                    }
                    self.fail(visit.root, &issue, &mut delta);
                }
                Some(FileResult::New(update, incomplete)) => {
                    match is_known {
                        true => self.report.files_changed += 1,
                        false => self.report.files_added += 1,
                    }
                    delta.updated.push(update);
                    if let Some(issue) = incomplete {
                        self.fail(visit.root, &issue, &mut delta);
                    }
                }
            }
        }
        let read = visit.files_read.load(Ordering::Relaxed);
        self.apply(&delta)?;
        self.teller.tell(IndexPhase::Index, read, visit.files.len());
        Ok(())
    }

    fn apply(&mut self, delta: &Delta) -> Result<(), Failure> {
        if delta.is_empty() {
            return Ok(());
        }
        let applied = self.writer.stage(delta)?;
        self.report.chunks_added += applied.chunks_added;
        self.report.chunks_removed += applied.chunks_removed;
        Ok(())
    }

    fn fail(&mut self, root: &Root, issue: &ReadIssue, delta: &mut Delta) {
        let relative = issue.path.strip_prefix(&root.path).unwrap_or(&issue.path);
        delta.failed.push(FailedFile {
            relative: relative.to_owned(),
            hash: issue.attempt,
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

/// How many of `files` are read together: at least one.
fn batch_length(files: &[FileEntry]) -> usize {
    let mut bytes = 0;
    let fits = files.iter().take(BATCH_FILES).take_while(|file| {
        bytes += file.bytes;
        bytes <= BATCH_BYTES
    });
    fits.count().max(1)
}

/// How documents are cut: with the same recipe the same content gives the same chunks.
fn recipe(around: &Surroundings) -> String {
    let tokenizer = blake3::Hash::from(around.tokenizer.identity()).to_hex();
    format!("{SPLIT_FORMAT} read-{READERS} {} {}", around.config.corpus.chunk_tokens, &tokenizer[..16])
}

/// Files that are indexed and no longer there.
fn gone(known: &HashMap<PathBuf, FileRecord>, found: &[FileEntry]) -> Vec<PathBuf> {
    let found: std::collections::HashSet<&Path> = found.iter().map(|file| file.relative.as_path()).collect();
    let mut gone: Vec<PathBuf> =
        known.keys().filter(|path| !found.contains(path.as_path())).cloned().collect();
    gone.sort();
    gone
}

/// What could not be read before and is not there any more.
fn no_longer_failing(failed: &HashMap<PathBuf, FailedFile>, walked: &Walk, root: &Root) -> Vec<PathBuf> {
    let files = walked.files.iter().map(|file| file.relative.as_path());
    let issues = walked.issues.iter().filter_map(|issue| issue.path.strip_prefix(&root.path).ok());
    let there: std::collections::HashSet<&Path> = files.chain(issues).collect();
    failed.keys().filter(|path| !there.contains(path.as_path())).cloned().collect()
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
