//! Keeps segments in the cache beside whatever comes next: an fsync takes as long as encoding a few dozen tokens.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::UnboundedSender;

use super::{board::Board, protocol::Event, visible::visible};
use crate::{
    model::kv::KvSegment,
    store::{Store, WriterLimits, Writers, key::SegmentId},
};

/// Where events go: to the front end, and on the board that other processes read.
#[derive(Clone)]
pub(super) struct Events {
    front_end: UnboundedSender<Event>,
    board: Board,
}

/// Nobody listens any more.
#[derive(Debug)]
pub(super) struct Unheard;

impl Events {
    pub fn new(front_end: UnboundedSender<Event>, board: Board) -> Self {
        Self { front_end, board }
    }

    pub fn send(&self, event: Event) -> Result<(), Unheard> {
        self.board.note(&event);
        self.front_end.send(event).map_err(|_| Unheard)
    }

    pub fn board(&self) -> &Board {
        &self.board
    }
}

/// The threads that write, and what went wrong on them.
pub(super) struct SegmentWriter {
    writers: Writers,
    /// Why the first segment since the last flush could not be written.
    failure: Arc<Mutex<Option<String>>>,
}

impl SegmentWriter {
    /// Starts the threads. The first failure of a series is sent as a warning.
    pub fn start(store: Arc<Store>, limits: WriterLimits, events: Events) -> Self {
        let failure = Arc::new(Mutex::new(None));
        let noted = failure.clone();
        let writers = Writers::start(store, limits, move |reason| note(&noted, &events, reason));
        Self { writers, failure }
    }

    pub fn keep(&self, id: SegmentId, segment: Arc<KvSegment>) {
        self.writers.put(id, segment);
    }

    /// Bytes that wait to be written.
    pub fn waiting_bytes(&self) -> u64 {
        self.writers.bytes_in_flight()
    }

    /// Waits until everything before this call has been written, or could not be.
    pub fn wait(&self) {
        self.writers.wait();
    }

    /// True when a segment could not be written since the last flush.
    pub fn is_failing(&self) -> bool {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Waits until everything before this call has been written, or says why the first of it was not.
    pub fn flush(&self) -> Result<(), String> {
        self.wait();
        match self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(reason) => Err(reason),
            None => Ok(()),
        }
    }
}

/// One warning for a series: a full disk fails every write.
fn note(failure: &Mutex<Option<String>>, events: &Events, reason: &str) {
    let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
    if failure.is_none() {
        let message = visible(reason).into_owned();
        tracing::warn!("{message}");
        // Nobody listens any more when the program is ending.
        let _ = events.send(Event::Warning { id: None, message: message.clone() });
        *failure = Some(message);
    }
}
