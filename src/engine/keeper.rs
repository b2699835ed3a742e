//! Writes segments to the cache on a thread of its own: an fsync takes as long as encoding a few dozen tokens.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Sender, SyncSender, channel, sync_channel},
    },
    thread::JoinHandle,
};

use tokio::sync::mpsc::UnboundedSender;

use super::{protocol::Event, visible::visible};
use crate::{
    model::kv::KvSegment,
    store::{Store, key::SegmentId},
};

/// Where events go.
pub(super) type Events = UnboundedSender<Event>;

/// Segments that may wait to be written; with that many waiting, the encoder waits too.
const WAITING: usize = 4;

/// The thread that writes, and what went wrong on it.
pub(super) struct SegmentWriter {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// Why the first segment since the last flush could not be written.
    failure: Arc<Mutex<Option<String>>>,
}

enum Job {
    Put(SegmentId, Arc<KvSegment>),
    Flush(Sender<()>),
}

impl SegmentWriter {
    /// Starts the thread. The first failure of a series is sent as a warning.
    pub fn start(store: Arc<Store>, events: Events) -> Self {
        let (jobs, queue) = sync_channel::<Job>(WAITING);
        let failure = Arc::new(Mutex::new(None));
        let noted = failure.clone();
        let thread = std::thread::spawn(move || {
            for job in queue {
                match job {
                    Job::Flush(done) => drop(done.send(())),
                    Job::Put(id, segment) => {
                        if let Err(error) = store.put(id, segment) {
                            note(&noted, &events, &error.to_string());
                        }
                    }
                }
            }
        });
        Self { jobs: Some(jobs), thread: Some(thread), failure }
    }

    pub fn keep(&self, id: SegmentId, segment: Arc<KvSegment>) {
        if let Some(jobs) = &self.jobs
            && jobs.send(Job::Put(id, segment)).is_err()
        {
            tracing::error!("the thread that writes the cache is gone");
        }
    }

    /// True when a segment could not be written since the last flush.
    pub fn is_failing(&self) -> bool {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Waits until everything before this call has been written, or says why the first of it was not.
    pub fn flush(&self) -> Result<(), String> {
        let (done, wait) = channel();
        if let Some(jobs) = &self.jobs
            && jobs.send(Job::Flush(done)).is_ok()
        {
            // An error means that the thread is gone, and with it everything that waited.
            let _ = wait.recv();
        }
        match self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(reason) => Err(reason),
            None => Ok(()),
        }
    }
}

impl Drop for SegmentWriter {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the cache panicked");
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
