//! Gives documents to tantivy on a thread of its own: reading, cutting and recording go on while a segment is written or a
//! commit is awaited.

use std::{
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle, available_parallelism},
};

use tantivy::{Index, IndexWriter, TantivyError, Term, indexer::IndexWriterOptions};

use super::{
    disk,
    document::{ChunkDocument, FoundBy},
    merging::Merging,
    schema::Fields,
};
use crate::catalogue::{FileId, Occurrence};

/// Lists of documents that wait. Each has as many as the writer makes at a time.
const WAITING: usize = 2;

/// Memory in which each of tantivy's threads gathers documents before it writes a segment, in bytes.
const WRITER_MEMORY: usize = 96 << 20;
/// One thread in so many makes segments, a quarter of the work; the others read, cut and count meanwhile. Each has tables
/// that are much larger than a processor's caches, so fewer are faster.
const CORES_FOR_A_WRITER: usize = 3;
const MOST_WRITERS: usize = 3;

/// Does what it is told, in this order.
pub(super) struct Feed {
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<Result<Documents, TantivyError>>>,
}

type Documents = IndexWriter<ChunkDocument>;

/// The feed has ended because something failed; [`Feed::end`] says what.
pub(super) struct Ended;

enum Order {
    Delete(Vec<FileId>),
    Add(Vec<(Occurrence, FoundBy)>),
    /// Shows what was given so far, with the payload; tells when that is done.
    Commit(String, Option<SyncSender<()>>),
}

impl Feed {
    pub(super) fn start(index: &Index, directory: &Path, fields: Fields) -> tantivy::Result<Self> {
        let documents = start_writer(index, directory)?;
        let (send, orders) = sync_channel(WAITING);
        let thread = thread::spawn(move || carry_out(documents, &fields, &orders));
        Ok(Self { orders: Some(send), thread: Some(thread) })
    }

    pub(super) fn delete(&self, files: Vec<FileId>) -> Result<(), Ended> {
        if files.is_empty() { Ok(()) } else { self.give(Order::Delete(files)) }
    }

    pub(super) fn add(&self, documents: Vec<(Occurrence, FoundBy)>) -> Result<(), Ended> {
        self.give(Order::Add(documents))
    }

    /// Commits in the background.
    pub(super) fn begin_commit(&self, payload: String) -> Result<(), Ended> {
        self.give(Order::Commit(payload, None))
    }

    /// Returns when what was given is committed.
    pub(super) fn commit(&self, payload: String) -> Result<(), Ended> {
        let (tell, done) = sync_channel(1);
        self.give(Order::Commit(payload, Some(tell)))?;
        done.recv().map_err(|_| Ended)
    }

    /// Waits until everything is carried out and the segments that are being merged are written.
    ///
    /// # Errors
    /// What failed first; nothing was carried out after it.
    pub(super) fn end(mut self) -> Result<(), TantivyError> {
        self.join()?.map_or(Ok(()), Documents::wait_merging_threads)
    }

    fn give(&self, order: Order) -> Result<(), Ended> {
        self.orders.as_ref().map_or(Err(Ended), |orders| orders.send(order).map_err(|_| Ended))
    }

    fn join(&mut self) -> Result<Option<Documents>, TantivyError> {
        self.orders = None;
        let Some(thread) = self.thread.take() else { return Ok(None) };
        let failed = |_| Err(TantivyError::ErrorInThread("the thread that feeds the index panicked".into()));
        thread.join().unwrap_or_else(failed).map(Some)
    }
}

impl Drop for Feed {
    /// Tantivy's lock is free afterwards.
    fn drop(&mut self) {
        let _ = self.join();
    }
}

/// With as many threads as keep up with those that read and cut, and one that merges. Files that no commit names go first: they
/// are named after what is to be written next, and what is there already cannot be written.
fn start_writer(index: &Index, directory: &Path) -> tantivy::Result<Documents> {
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

fn carry_out(
    mut documents: Documents,
    fields: &Fields,
    orders: &Receiver<Order>,
) -> Result<Documents, TantivyError> {
    for order in orders {
        match order {
            Order::Delete(files) => {
                for file in files {
                    documents.delete_term(Term::from_field_u64(fields.file, file.0.unsigned_abs()));
                }
            }
            Order::Add(chunks) => {
                for (place, found_by) in chunks {
                    documents.add_document(fields.document(place, found_by))?;
                }
            }
            Order::Commit(payload, tell) => {
                let mut commit = documents.prepare_commit()?;
                commit.set_payload(&payload);
                commit.commit()?;
                // Who waits for it may have given up.
                let _ = tell.map(|tell| tell.send(()));
            }
        }
    }
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::catalogue::tests::file_id;

    fn chunk(ordinal: u32) -> (Occurrence, FoundBy) {
        let found_by = FoundBy { text: "well ".into(), heading: "".into(), path: "a.md ".into() };
        (Occurrence { file: file_id(1), ordinal }, found_by)
    }

    fn feed(directory: &Path) -> Feed {
        let fields = Fields::new();
        let index = disk::open(directory, &fields).or_else(|_| disk::create(directory, &fields)).unwrap();
        Feed::start(&index, directory, fields).unwrap()
    }

    /// The last commit's payload, and how many documents it shows.
    fn shown(directory: &Path) -> (Option<String>, u32) {
        let metas = disk::open(directory, &Fields::new()).unwrap().load_metas().unwrap();
        (metas.payload, metas.segments.iter().map(|segment| segment.num_docs()).sum())
    }

    #[test]
    fn a_commit_has_what_was_given_before_it_and_nothing_later() {
        let data = tempfile::tempdir().unwrap();
        let directory = data.path().join("index");
        let first = feed(&directory);
        assert!(first.add(vec![chunk(0), chunk(1)]).is_ok());
        assert!(first.begin_commit("first".into()).is_ok());
        assert!(first.add(vec![chunk(2)]).is_ok());
        drop(first);
        assert_eq!(shown(&directory), (Some("first".into()), 2));
        // The one before has let go of tantivy's lock.
        let second = feed(&directory);
        assert!(second.add(vec![chunk(3)]).is_ok() && second.commit("second".into()).is_ok());
        assert_eq!(shown(&directory), (Some("second".into()), 3), "committed when it says so");
        assert!(second.delete(vec![file_id(1)]).is_ok() && second.commit("third".into()).is_ok());
        assert!(second.end().is_ok());
        assert_eq!(shown(&directory), (Some("third".into()), 0));
    }

    #[test]
    fn nothing_is_done_after_what_failed_and_it_is_said() {
        let data = tempfile::tempdir().unwrap();
        let directory = data.path().join("index");
        let feed = feed(&directory);
        fs::remove_dir_all(&directory).unwrap();
        assert!(feed.add(vec![chunk(0)]).is_ok(), "it is found out later");
        assert!(feed.commit("first".into()).is_err());
        assert!(feed.end().is_err());
    }
}
