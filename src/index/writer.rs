//! Writes changes to the catalogue and to the index, in this order, and mends the index where a run ended between.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rayon::prelude::*;

use super::{
    IndexError, Result, disk,
    document::FoundBy,
    feed::{Ended, Feed},
    lock::WriterLock,
    schema::{Fields, searched_path},
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
const BATCH_FILES: usize = 8192;
const BATCH_BYTES: usize = 64 << 20;

/// Terms are made for files with so many bytes of text, and given to the index, at a time.
const TERMS_BYTES: usize = 8 << 20;
/// As many chunks of files that the catalogue has already, about as much text.
const TERMS_CHUNKS: usize = 8192;

/// A commit of the index comes after so many bytes of text, or so much time.
const COMMIT_BYTES: usize = 512 << 20;
const COMMIT_AFTER: Duration = Duration::from_secs(30);

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
    feed: Option<Feed>,
    checkpoints: Checkpoints,
    /// False after a failure between the catalogue's transaction and the index's commit, or where there was no commit.
    in_step: bool,
    /// Bytes of text that the catalogue has and the index was not told to commit, and since when.
    staged: Option<(usize, Instant)>,
    /// True where the index was told something that it has not said is done.
    is_unconfirmed: bool,
    /// [`COMMIT_BYTES`]; fewer in tests.
    commit_bytes: usize,
    _lock: Arc<WriterLock>,
}

/// What the chunks of a file are found by, in their order.
fn terms_of(terms: &Terms, root: &Root, update: &FileUpdate) -> Vec<FoundBy> {
    let path = searched_path(&root.locate(&update.relative), &update.relative);
    let path: Arc<str> = terms.of_path(&path).into();
    let mut chunks = Vec::with_capacity(update.chunks.len());
    // Those that follow each other often stand under the same heading.
    for group in update.chunks.chunk_by(|a, b| a.heading == b.heading) {
        let heading: Arc<str> = terms.of_heading(&update.title, &group[0].heading).into();
        for chunk in group {
            let text = terms.of_chunk(chunks.len(), &chunk.text);
            chunks.push(FoundBy { text, heading: heading.clone(), path: path.clone() });
        }
    }
    chunks
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
            feed: None,
            checkpoints,
            in_step: false,
            staged: None,
            is_unconfirmed: false,
            commit_bytes: COMMIT_BYTES,
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
            let (batch, later) = rest.split_at(batch_length(rest, BATCH_BYTES));
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
        if self.is_unconfirmed { self.in_one_step(Self::commit) } else { Ok(()) }
    }

    /// Gives back what writing takes, threads and memory, until there is something to write again.
    pub fn rest(&mut self) {
        self.terms = Terms::default();
        if self.checkpoints.end() {
            self.catalogue.shorten_log();
        }
        // What was not committed is gone with the feed.
        self.in_step &= !self.is_unconfirmed;
        if let Some(Err(error)) = self.feed.take().map(Feed::end) {
            match self.is_unconfirmed {
                true => tracing::warn!("the search index does not have all that was read: {error}"),
                // Merges only tidy up: one that fails leaves the index as it was committed.
                false => tracing::warn!("merging the search index did not finish: {error}"),
            }
        }
        self.forget_staged();
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
        if before + bytes < self.commit_bytes && since.elapsed() < COMMIT_AFTER {
            return Ok(());
        }
        self.staged = None;
        self.in_one_step(|writer| {
            let payload = writer.payload()?;
            writer.tell(|feed| feed.begin_commit(payload))
        })
    }

    fn ensure_in_step(&mut self) -> Result<()> {
        if self.in_step { Ok(()) } else { self.catch_up() }
    }

    /// Compares which files catalogue and index hold, where the index shows another state, and makes it agree.
    fn catch_up(&mut self) -> Result<()> {
        // Of no use here: what it was told and has not committed would be in the index twice.
        self.feed = None;
        self.forget_staged();
        let state = self.catalogue.state()?;
        if matches!(disk::shown_state(&self.index), Ok(Some(shown)) if shown == state) {
            self.in_step = true;
            self.remove_leftovers();
            return Ok(());
        }
        let held = match disk::files_held(&self.index) {
            Ok(held) => held,
            Err(_) => {
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
        if self.feed.is_some() || !disk::has_leftovers(&self.directory, &self.index) {
            return;
        }
        if let Err(error) = self.feed() {
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
        self.forget_staged();
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
            Err(_) => {
                self.feed = None;
                self.forget_staged();
            }
        }
        result
    }

    fn forget_staged(&mut self) {
        (self.staged, self.is_unconfirmed) = (None, false);
    }

    fn feed(&mut self) -> Result<&Feed> {
        match &mut self.feed {
            Some(feed) => Ok(feed),
            none => {
                let feed = Feed::start(&self.index, &self.directory, self.fields.clone());
                Ok(none.insert(feed.map_err(|error| disk::write_error(&self.directory, &error))?))
            }
        }
    }

    /// Tells the index something. It may fail for what it was told before.
    fn tell(&mut self, say: impl FnOnce(&Feed) -> std::result::Result<(), Ended>) -> Result<()> {
        self.is_unconfirmed = true;
        let Err(Ended) = say(self.feed()?) else { return Ok(()) };
        let failure = self.feed.take().map_or(Ok(()), Feed::end).err();
        let ended = || tantivy::TantivyError::ErrorInThread("the thread that feeds the index ended".into());
        Err(disk::write_error(&self.directory, &failure.unwrap_or_else(ended)))
    }

    fn delete(&mut self, removed: &[FileId]) -> Result<()> {
        self.tell(|feed| feed.delete(removed.to_vec()))
    }

    /// Adds files whose chunks are at hand.
    fn add_files(&mut self, root: &Root, added: &[FileId], files: &[FileUpdate]) -> Result<()> {
        let mut start = 0;
        while start < files.len() {
            let part = start..start + batch_length(&files[start..], TERMS_BYTES);
            start = part.end;
            let of_file = |(&file, update): (&FileId, _)| {
                let chunks = (0..).zip(terms_of(&self.terms, root, update));
                chunks.map(move |(ordinal, found_by)| (Occurrence { file, ordinal }, found_by))
            };
            let documents = added[part.clone()].par_iter().zip(&files[part]).flat_map_iter(of_file).collect();
            self.tell(|feed| feed.add(documents))?;
        }
        Ok(())
    }

    /// Adds files as the catalogue has them.
    fn add(&mut self, added: &[FileId]) -> Result<()> {
        let mut documents = Vec::new();
        for &file in added {
            self.catalogue.each_chunk(file, |ordinal, record| {
                let ChunkRecord { chunk, path, relative, title } = record;
                let found_by = FoundBy {
                    text: self.terms.of_chunk(ordinal as usize, &chunk.text),
                    heading: self.terms.of_heading(&title, &chunk.heading).into(),
                    path: self.terms.of_path(&searched_path(&path, &relative)).into(),
                };
                documents.push((Occurrence { file, ordinal }, found_by));
                Ok::<_, IndexError>(())
            })?;
            if documents.len() >= TERMS_CHUNKS {
                let full = std::mem::take(&mut documents);
                self.tell(|feed| feed.add(full))?;
            }
        }
        self.tell(|feed| feed.add(documents))
    }

    fn commit(&mut self) -> Result<()> {
        let payload = self.payload()?;
        self.tell(|feed| feed.commit(payload))?;
        self.forget_staged();
        Ok(())
    }

    fn payload(&self) -> Result<String> {
        Ok(disk::payload(self.catalogue.state()?))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.rest();
    }
}

/// How many of `files` make the next batch of so many bytes at most: at least one, where there is one.
fn batch_length(files: &[FileUpdate], most: usize) -> usize {
    let mut bytes = 0;
    let fits = files.iter().take(BATCH_FILES).take_while(|file| {
        let before = bytes;
        bytes += text_bytes(file);
        before == 0 || bytes <= most
    });
    fits.count()
}

fn text_bytes(file: &FileUpdate) -> usize {
    file.chunks.iter().map(|chunk| chunk.text.len()).sum()
}

#[cfg(test)]
mod tests;
