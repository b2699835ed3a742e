//! Writes changes to the catalogue and to the index, in this order, and mends the index where a run ended between.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    thread::available_parallelism,
    time::{Duration, Instant},
};

use rayon::prelude::*;
use tantivy::{IndexWriter, Term, indexer::IndexWriterOptions};

use super::{
    IndexError, Result, disk,
    lock::WriterLock,
    merging::Merging,
    schema::{Fields, FoundBy, searched_path},
    terms::Terms,
};
use crate::{
    catalogue::{
        AddedRoot, Catalogue, Checkpoints, ChunkRecord, FailedFile, FileId, FileRecord, FileUpdate,
        Occurrence, Recorded, Root, RootId,
    },
    corpus::ChunkId,
};

/// A batch ends after so many files or so many bytes of text: an interrupted run keeps the batches before.
const BATCH_FILES: usize = 4096;
const BATCH_BYTES: usize = 16 << 20;

/// A commit of the index comes after so many bytes of text, or so much time.
const COMMIT_BYTES: usize = 512 << 20;
const COMMIT_AFTER: Duration = Duration::from_secs(30);

/// Memory in which each of tantivy's threads gathers documents before it writes a segment, in bytes.
const WRITER_MEMORY: usize = 96 << 20;
/// One thread in so many makes segments, a quarter of the work; the others read, cut and count meanwhile. Each has tables
/// that are much larger than a processor's caches, so fewer are faster.
const CORES_FOR_A_WRITER: usize = 3;
const MOST_WRITERS: usize = 3;

/// Changes to the files of one root. All paths are from the root.
#[derive(Debug, Clone)]
pub struct Delta {
    pub root: RootId,
    /// New files, and changed ones with all their chunks.
    pub updated: Vec<FileUpdate>,
    /// Files that are gone. Those that were never indexed are skipped.
    pub removed: Vec<PathBuf>,
    /// Files that could not be read. What is indexed of them stays, unless they are in `removed` as well.
    pub failed: Vec<FailedFile>,
}

/// What a change came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Chunks that their file did not have before. A changed file's unchanged chunks are not counted.
    pub chunks_added: usize,
    pub chunks_removed: usize,
    /// Chunks that no file holds any more: their cache files can go. A chunk that moves to a file of a later
    /// delta is among them; [`Catalogue::unreferenced`] after the last delta tells.
    pub orphaned: Vec<ChunkId>,
}

/// The only one who changes roots, files, chunks and the index; holds the lock of the data directory.
pub struct Writer {
    catalogue: Catalogue,
    directory: PathBuf,
    fields: Fields,
    terms: Terms,
    index: tantivy::Index,
    /// Started when there is something to write: looking for changes costs no thread and no memory.
    documents: Option<IndexWriter>,
    checkpoints: Checkpoints,
    /// False after a failure between the catalogue's transaction and the index's commit.
    in_step: bool,
    /// Bytes of text that the catalogue has and the index has not committed, and since when.
    staged: Option<(usize, Instant)>,
    _lock: Arc<WriterLock>,
}

/// The terms of a file's chunks.
struct FileTerms {
    path: String,
    /// Of the text and of the heading of each.
    chunks: Vec<(String, Arc<str>)>,
}

impl FileTerms {
    fn of(terms: &Terms, root: &Root, update: &FileUpdate) -> Self {
        let mut chunks = Vec::with_capacity(update.chunks.len());
        // Those that follow each other often stand under the same heading.
        for group in update.chunks.chunk_by(|a, b| a.heading == b.heading) {
            let heading: Arc<str> = terms.of_heading(&update.title, &group[0].heading).into();
            chunks.extend(group.iter().map(|chunk| (terms.of_text(&chunk.text), heading.clone())));
        }
        let path = searched_path(&root.locate(&update.relative), &update.relative);
        Self { path: terms.of_path(&path), chunks }
    }
}

impl Delta {
    /// No change yet to this root's files.
    pub fn new(root: RootId) -> Self {
        Self { root, updated: Vec::new(), removed: Vec::new(), failed: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.updated.is_empty() && self.removed.is_empty() && self.failed.is_empty()
    }
}

impl Writer {
    /// Takes the lock of the data directory, creates what is missing, and brings the index up to date with the
    /// catalogue where the last run was interrupted.
    ///
    /// # Errors
    /// [`IndexError::Busy`] where another writer has the lock.
    pub fn open(data: &Path) -> Result<Self> {
        Self::open_with(data, Arc::new(WriterLock::take(data)?))
    }

    /// The same for who has the lock of the data directory already, and keeps it longer than the writer lives.
    pub fn open_with(data: &Path, lock: Arc<WriterLock>) -> Result<Self> {
        let catalogue = Catalogue::open(data)?;
        catalogue.expect_much_writing()?;
        let checkpoints = catalogue.checkpoints();
        let directory = disk::directory(data);
        let fields = Fields::new();
        disk::remove_unfinished(&directory)?;
        let index = match disk::open(&directory, &fields) {
            Err(IndexError::Damaged { .. }) => disk::create(&directory, &fields)?,
            result => result?,
        };
        let mut writer = Self {
            catalogue,
            directory,
            fields,
            terms: Terms::default(),
            index,
            documents: None,
            checkpoints,
            in_step: false,
            staged: None,
            _lock: lock,
        };
        writer.catch_up()?;
        Ok(writer)
    }

    /// To read what is indexed, by the writer's own connection.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The indexed files of a root, by their path from it.
    pub fn known_files(&self, root: RootId) -> Result<HashMap<PathBuf, FileRecord>> {
        Ok(self.catalogue.known_files(root)?)
    }

    /// Adds a folder or a file; `now` is in seconds since the Unix epoch. Roots never overlap: a path inside a
    /// folder that was added before stays part of that one, and a folder above others takes their files over.
    pub fn add_root(&mut self, path: &Path, now: i64) -> Result<AddedRoot> {
        self.ensure_in_step()?;
        let (added, recorded) = self.catalogue.add_root(path, now)?;
        self.publish_change(&recorded)?;
        Ok(added)
    }

    /// Says whether a root is a path of a collection.
    pub fn set_for_collection(&mut self, root: RootId, for_collection: bool) -> Result<()> {
        Ok(self.catalogue.set_for_collection(root, for_collection)?)
    }

    /// Takes a root out, with its files and chunks.
    pub fn remove_root(&mut self, root: RootId) -> Result<Applied> {
        self.ensure_in_step()?;
        let recorded = self.catalogue.remove_root(root)?;
        self.publish_change(&recorded)?;
        Ok(Applied {
            chunks_added: 0,
            chunks_removed: recorded.chunks_removed,
            orphaned: recorded.unreferenced,
        })
    }

    /// Writes a change and shows it: [`stage`](Self::stage) and [`flush`](Self::flush).
    pub fn apply(&mut self, delta: &Delta) -> Result<Applied> {
        let applied = self.stage(delta)?;
        self.flush()?;
        Ok(applied)
    }

    /// Writes a change, in batches: whatever ends the run, the batches before are kept, and the next open mends
    /// what the index does not show. A search shows it after the next commit, which comes after some megabytes or
    /// seconds, or with [`flush`](Self::flush): each takes as long as indexing hundreds of files.
    pub fn stage(&mut self, delta: &Delta) -> Result<Applied> {
        self.ensure_in_step()?;
        let root = self.catalogue.roots()?.into_iter().find(|root| root.id == delta.root);
        let mut applied = Applied::default();
        let mut candidates = Vec::new();
        let mut rest = delta.updated.as_slice();
        let mut removed = delta.removed.as_slice();
        loop {
            let (batch, later) = rest.split_at(batch_length(rest));
            // Last, as recording a file clears what is on record of it, and one that was read in part is in both.
            let failed = if later.is_empty() { delta.failed.as_slice() } else { &[] };
            let recorded = self.catalogue.record(delta.root, batch, removed, failed)?;
            self.add_change(&recorded, batch, root.as_ref())?;
            applied.chunks_added += recorded.chunks_added;
            applied.chunks_removed += recorded.chunks_removed;
            candidates.extend(recorded.candidates);
            (rest, removed) = (later, &[]);
            if rest.is_empty() {
                break;
            }
        }
        applied.orphaned = self.catalogue.unreferenced(&candidates)?;
        Ok(applied)
    }

    /// Shows everything that was written.
    pub fn flush(&mut self) -> Result<()> {
        match self.staged.take() {
            Some(_) => self.in_one_step(Self::commit),
            None => Ok(()),
        }
    }

    /// Gives back what writing takes, threads and memory, until there is something to write again.
    pub fn rest(&mut self) {
        self.terms = Terms::default();
        if self.checkpoints.end() {
            self.catalogue.shorten_log();
        }
        if let Some(documents) = self.documents.take() {
            // Merges only tidy up: one that fails leaves the index as it was committed.
            if let Err(error) = documents.wait_merging_threads() {
                tracing::warn!("merging the search index did not finish: {error}");
            }
        }
    }

    /// Gives a change to the index, and commits where it is time to. `files` are those that were recorded as added, in
    /// the same order.
    fn add_change(&mut self, recorded: &Recorded, files: &[FileUpdate], root: Option<&Root>) -> Result<()> {
        if recorded.is_empty() {
            return Ok(());
        }
        let bytes: usize = files.iter().map(text_bytes).sum();
        self.checkpoints.written(bytes);
        self.in_one_step(|writer| {
            writer.delete(&recorded.removed)?;
            match root {
                Some(root) => writer.add_files(root, &recorded.added, files),
                None => writer.add(&recorded.added),
            }
        })?;
        let (before, since) = self.staged.unwrap_or((0, Instant::now()));
        self.staged = Some((before + bytes, since));
        if before + bytes >= COMMIT_BYTES || since.elapsed() >= COMMIT_AFTER { self.flush() } else { Ok(()) }
    }

    fn ensure_in_step(&mut self) -> Result<()> {
        if self.in_step { Ok(()) } else { self.catch_up() }
    }

    /// Compares which files catalogue and index hold, where the index shows another state, and makes it agree.
    fn catch_up(&mut self) -> Result<()> {
        let state = self.catalogue.state()?;
        if matches!(disk::shown_state(&self.index), Ok(Some(shown)) if shown == state) {
            self.in_step = true;
            self.remove_leftovers();
            return Ok(());
        }
        let held = match disk::files_held(&self.index) {
            Ok(held) => held,
            Err(_) => {
                self.documents = None;
                self.index = disk::create(&self.directory, &self.fields)?;
                HashMap::new()
            }
        };
        let wanted = self.catalogue.file_sizes()?;
        let agrees =
            |file: &FileId| held.get(file).copied().unwrap_or(0) == wanted.get(file).copied().unwrap_or(0);
        let mut removed: Vec<FileId> = held.keys().filter(|file| !agrees(file)).copied().collect();
        let mut added: Vec<FileId> = wanted.keys().filter(|file| !agrees(file)).copied().collect();
        removed.sort_unstable();
        added.sort_unstable();
        self.publish(&removed, &added)
    }

    /// Every commit removes the segments that are of no use any more; a run that was killed right after one could
    /// not. Failing to is no harm: the next commit tries again.
    fn remove_leftovers(&mut self) {
        if self.documents.is_some() || !disk::has_leftovers(&self.directory, &self.index) {
            return;
        }
        if let Err(error) = self.documents() {
            tracing::warn!("files that the search index does not need were not removed: {error}");
        }
        self.rest();
    }

    fn publish_change(&mut self, recorded: &Recorded) -> Result<()> {
        if recorded.is_empty() {
            return Ok(());
        }
        self.publish(&recorded.removed, &recorded.added)
    }

    /// One commit of the index: takes files out, puts files in, and names the catalogue's state.
    fn publish(&mut self, removed: &[FileId], added: &[FileId]) -> Result<()> {
        self.staged = None;
        self.in_one_step(|writer| {
            writer.delete(removed)?;
            writer.add(added)?;
            writer.commit()
        })
    }

    /// What fails leaves the index out of step; the next change mends it.
    fn in_one_step(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.in_step = false;
        let result = work(self);
        match result {
            Ok(()) => self.in_step = true,
            // A tantivy writer that failed once takes no more documents; the next try starts another.
            Err(_) => (self.documents, self.staged) = (None, None),
        }
        result
    }

    fn documents(&mut self) -> Result<&mut IndexWriter> {
        match &mut self.documents {
            Some(documents) => Ok(documents),
            none => {
                let started = start_writer(&self.index, &self.directory);
                Ok(none.insert(started.map_err(|error| disk::write_error(&self.directory, &error))?))
            }
        }
    }

    fn delete(&mut self, removed: &[FileId]) -> Result<()> {
        let field = self.fields.file;
        let documents = self.documents()?;
        for file in removed {
            documents.delete_term(Term::from_field_u64(field, file.0.unsigned_abs()));
        }
        Ok(())
    }

    /// Adds files whose chunks are at hand.
    fn add_files(&mut self, root: &Root, added: &[FileId], files: &[FileUpdate]) -> Result<()> {
        self.documents()?;
        let Some(documents) = &self.documents else { return Ok(()) };
        let terms = |update: &FileUpdate| FileTerms::of(&self.terms, root, update);
        let all_terms: Vec<FileTerms> = files.par_iter().map(terms).collect();
        for (&file, terms) in added.iter().zip(&all_terms) {
            for (ordinal, (text, heading)) in (0..).zip(&terms.chunks) {
                let found_by = FoundBy { text, heading, path: &terms.path };
                let added =
                    documents.add_document(self.fields.document(Occurrence { file, ordinal }, found_by));
                added.map_err(|error| disk::write_error(&self.directory, &error))?;
            }
        }
        Ok(())
    }

    /// Adds files as the catalogue has them.
    fn add(&mut self, added: &[FileId]) -> Result<()> {
        self.documents()?;
        let Some(documents) = &self.documents else { return Ok(()) };
        for &file in added {
            self.catalogue.each_chunk(file, |ordinal, record| {
                let ChunkRecord { chunk, path, relative, title } = record;
                let found_by = FoundBy {
                    text: &self.terms.of_text(&chunk.text),
                    heading: &self.terms.of_heading(&title, &chunk.heading),
                    path: &self.terms.of_path(&searched_path(&path, &relative)),
                };
                let document = self.fields.document(Occurrence { file, ordinal }, found_by);
                let added = documents.add_document(document).map(drop);
                added.map_err(|error| disk::write_error(&self.directory, &error))
            })?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        let payload = disk::payload(self.catalogue.state()?);
        let directory = self.directory.clone();
        let failed = |error: tantivy::TantivyError| disk::write_error(&directory, &error);
        let mut commit = self.documents()?.prepare_commit().map_err(failed)?;
        commit.set_payload(&payload);
        commit.commit().map(drop).map_err(failed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.rest();
    }
}

/// With as many threads as keep up with those that read and cut, and one that merges. Files that no commit names go first: they
/// are named after what is to be written next, and what is there already cannot be written.
fn start_writer(index: &tantivy::Index, directory: &Path) -> tantivy::Result<IndexWriter> {
    let cores = available_parallelism().map_or(1, usize::from);
    let threads = cores.div_ceil(CORES_FOR_A_WRITER).min(MOST_WRITERS);
    let options = IndexWriterOptions::builder()
        .memory_budget_per_thread(WRITER_MEMORY)
        .num_worker_threads(threads)
        .num_merge_threads(1)
        .build();
    let writer = index.writer_with_options(options)?;
    writer.set_merge_policy(Box::new(Merging::default()));
    if disk::has_leftovers(directory, index) {
        writer.garbage_collect_files().wait()?;
    }
    Ok(writer)
}

/// How many of `files` make the next batch: at least one, where there is one.
fn batch_length(files: &[FileUpdate]) -> usize {
    let mut bytes = 0;
    let fits = files.iter().take(BATCH_FILES).take_while(|file| {
        let before = bytes;
        bytes += text_bytes(file);
        before == 0 || bytes <= BATCH_BYTES
    });
    fits.count()
}

fn text_bytes(file: &FileUpdate) -> usize {
    file.chunks.iter().map(|chunk| chunk.text.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::tests::file;

    #[test]
    fn a_batch_is_bounded_in_files_and_in_bytes_and_never_empty() {
        let (small, large) = (file("a", &["x"]), file("b", &[&"x".repeat(10 << 20)]));
        let huge = file("c", &[&"x".repeat(40 << 20)]);
        assert_eq!(batch_length(&[]), 0);
        assert_eq!(batch_length(&vec![small.clone(); 5000]), BATCH_FILES);
        assert_eq!(batch_length(&[small.clone(), large.clone(), large.clone()]), 2);
        assert_eq!(batch_length(&[huge.clone(), small.clone()]), 1);
        assert_eq!(batch_length(&[small, huge]), 1);
    }

    #[test]
    fn what_was_read_in_part_stays_on_record_in_a_later_batch() {
        let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut writer = Writer::open(data.path()).unwrap();
        let root = writer.add_root(folder.path(), 7).unwrap().root;
        let large = "x".repeat(10 << 20);
        let failed = FailedFile { relative: "b".into(), hash: None, reason: "cut short".into() };
        let delta = Delta {
            updated: vec![file("a", &[&large]), file("b", &[&large])],
            failed: vec![failed.clone()],
            ..Delta::new(root.id)
        };
        assert_eq!(batch_length(&delta.updated), 1);
        writer.apply(&delta).unwrap();
        assert_eq!(writer.catalogue().failed_files(root.id).unwrap(), [failed]);
    }
}
