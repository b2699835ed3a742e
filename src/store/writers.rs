//! Threads that write segments: one file after the other leaves the disk idle while it is synced, several at once
//! keep it busy, and whoever made the segments goes on meanwhile.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{JoinHandle, available_parallelism},
};

use super::{Store, key::SegmentId};
use crate::model::kv::KvSegment;

/// How much is written at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterLimits {
    /// Files written at once.
    pub threads: usize,
    /// Most bytes of keys and values that wait or are being written; more makes [`Writers::put`] wait. A single segment
    /// of more is taken when nothing else is on its way.
    pub bytes_in_flight: u64,
}

impl Default for WriterLimits {
    /// Enough to keep a fast disk busy with files of 64 MiB, where there are processors for it.
    fn default() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self { threads: (processors / 2).clamp(4, 8), bytes_in_flight: 1 << 30 }
    }
}

/// Writes segments to a store. Dropping it waits until everything has been written.
pub struct Writers {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
    /// Most bytes in flight.
    bytes: u64,
}

/// Told why a segment was not written.
type Failed = dyn Fn(&str) + Send + Sync;

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    /// There is something to write, or nothing will come any more.
    work: Condvar,
    /// Something has been written.
    written: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(SegmentId, Arc<KvSegment>)>,
    /// Of what waits and what is being written.
    segments_in_flight: usize,
    bytes_in_flight: u64,
    /// Nothing will come any more.
    closed: bool,
}

impl Writers {
    /// Starts the threads, at least one. `failed` is called on them.
    pub fn start(
        store: Arc<Store>,
        limits: WriterLimits,
        failed: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        let queue = Arc::new(Queue::default());
        let failed: Arc<Failed> = Arc::new(failed);
        let writer = |_| {
            let (queue, store, failed) = (queue.clone(), store.clone(), failed.clone());
            std::thread::spawn(move || write_until_closed(&queue, &store, &*failed))
        };
        let threads = (0..limits.threads.max(1)).map(writer).collect();
        Self { queue, threads, bytes: limits.bytes_in_flight }
    }

    /// Has a segment written. Waits while too many bytes are on their way.
    pub fn put(&self, id: SegmentId, segment: Arc<KvSegment>) {
        self.queue.push(self.bytes, id, segment);
    }

    /// Bytes of keys and values that wait or are being written.
    pub fn bytes_in_flight(&self) -> u64 {
        self.queue.state().bytes_in_flight
    }

    /// Waits until everything that was put has been written, or could not be.
    pub fn wait(&self) {
        let state = self.queue.state();
        let is_busy = |state: &mut State| state.segments_in_flight > 0;
        drop(self.queue.written.wait_while(state, is_busy).unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.queue.state().closed = true;
        self.queue.work.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that writes the cache panicked");
            }
        }
    }
}

fn write_until_closed(queue: &Queue, store: &Store, failed: &Failed) {
    while let Some((id, segment)) = queue.pop() {
        let bytes = segment.data.len() as u64;
        // A thread that is lost would leave others waiting for it for ever.
        match catch_unwind(AssertUnwindSafe(|| store.put(id, segment))) {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => failed(&error.to_string()),
            Err(_) => failed("a segment could not be written to the cache: the writer panicked"),
        }
        queue.done(bytes);
    }
}

impl Queue {
    fn push(&self, limit: u64, id: SegmentId, segment: Arc<KvSegment>) {
        let bytes = segment.data.len() as u64;
        let is_full = |state: &mut State| {
            state.segments_in_flight > 0 && state.bytes_in_flight.saturating_add(bytes) > limit
        };
        let mut state =
            self.written.wait_while(self.state(), is_full).unwrap_or_else(PoisonError::into_inner);
        state.segments_in_flight += 1;
        state.bytes_in_flight += bytes;
        state.waiting.push_back((id, segment));
        drop(state);
        self.work.notify_one();
    }

    /// What to write next; `None` when everything has been taken and nothing will come any more.
    fn pop(&self) -> Option<(SegmentId, Arc<KvSegment>)> {
        let is_idle = |state: &mut State| state.waiting.is_empty() && !state.closed;
        let mut state = self.work.wait_while(self.state(), is_idle).unwrap_or_else(PoisonError::into_inner);
        state.waiting.pop_front()
    }

    fn done(&self, bytes: u64) {
        let mut state = self.state();
        state.segments_in_flight -= 1;
        state.bytes_in_flight -= bytes;
        drop(state);
        self.written.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
