//! An index run from its request to its end: files are indexed, then encoded; where it watches, again and again.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, thread::JoinHandle, time::Duration};

use super::{
    attendant::{Attendant, Duties},
    changes::Changes,
    control::Control,
    failure::guarded,
    ingest::{Ingested, Look, Surroundings, ingest},
    keeper::Events,
    protocol::{Activity, Event, Failure, IndexReport, IndexRequest, RequestId},
    watch::Watcher,
    worker::Outbox,
};
use crate::{
    config::Config,
    index::{Writer, WriterLock},
    model::Model,
};

/// After so long a run that watches tries again what failed: a disk may have room by then.
const TRY_AGAIN: Duration = Duration::from_secs(30);
/// After so long a file that was being written is read again.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// What the ingest thread hands back.
pub(super) struct IngestEnd {
    pub result: Result<Ingested, Failure>,
    writer: Option<Writer>,
    look: Look,
}

/// An index run under way.
pub(super) struct IndexRun {
    pub request: IndexRequest,
    pub control: Arc<Control>,
    /// What was done before the round under way.
    pub before: IndexReport,
    /// What may have changed since the round under way began.
    pending: Changes,
    ingesting: Option<JoinHandle<()>>,
    /// Kept from round to round: opening it checks all of the index.
    writer: Option<Writer>,
    watcher: Option<Watcher>,
    /// Ends before the lock is given back.
    _attendant: Attendant,
    lock: Arc<WriterLock>,
}

impl IndexRun {
    /// Takes the lock of the data directory and starts what goes on beside the run.
    ///
    /// # Errors
    /// When another process indexes.
    pub fn begin(
        request: IndexRequest,
        control: Arc<Control>,
        config: &Config,
        events: &Events,
        own: &Outbox,
    ) -> Result<Self, Failure> {
        let data = &config.paths.data;
        let lock = Arc::new(WriterLock::take(data)?);
        let board = events.board().clone();
        board.begin(request.id);
        let wake = own.clone();
        let attendant = Attendant::start(Duties {
            data: data.clone(),
            board: board.clone(),
            control: control.clone(),
            pause_on_battery: config.index.pause_on_battery,
            wake: Box::new(move || wake.woken()),
        });
        let watcher = request.watch.then(|| {
            let changed = own.clone();
            let poll = Duration::from_secs(config.index.poll_seconds);
            Watcher::start(data.clone(), poll, board, move |changes| changed.changed(changes))
        });
        Ok(Self {
            request,
            control,
            before: IndexReport::default(),
            pending: Changes::default(),
            ingesting: None,
            writer: None,
            watcher,
            _attendant: attendant,
            lock,
        })
    }

    pub fn id(&self) -> RequestId {
        self.request.id
    }

    /// The run goes on until it is cancelled.
    pub fn watches(&self) -> bool {
        self.watcher.is_some() && !self.control.is_cancelled()
    }

    pub fn is_ingesting(&self) -> bool {
        self.ingesting.is_some()
    }

    /// Starts the thread that walks, reads and indexes.
    pub fn ingest(&mut self, look: Look, model: Arc<Model>, config: &Config, events: &Events, own: &Outbox) {
        let (id, control, lock) = (self.id(), self.control.clone(), self.lock.clone());
        let watch = self.watcher.as_ref().map(Watcher::handle);
        let (config, events, own) = (config.clone(), events.clone(), own.clone());
        let mut writer = self.writer.take();
        self.ingesting = Some(std::thread::spawn(move || {
            let result = guarded(|| {
                let around = Surroundings {
                    id,
                    config: &config,
                    tokenizer: &model.tokenizer,
                    control: &control,
                    emit: &|event| drop(events.send(event)),
                    lock: lock.clone(),
                    watch: watch.clone(),
                };
                ingest(&look, &mut writer, &around)
            });
            own.ingested(IngestEnd { result, writer, look });
        }));
    }

    /// Takes back what the thread had, and gives what it did. What a run that watches could not do is tried again.
    pub fn take_back(&mut self, end: IngestEnd, events: &Events) -> Result<IndexReport, Failure> {
        self.join();
        let IngestEnd { result, writer, look } = end;
        match result {
            Ok(Ingested { report, again }) => {
                self.writer = writer;
                if let (Some(watcher), false) = (&self.watcher, again.is_empty()) {
                    watcher.again(again, READ_AGAIN);
                }
                Ok(report)
            }
            Err(failure) => {
                let changes = match look {
                    Look::Changes(changes) => changes,
                    Look::Request(_) => Changes { roots: watched_roots(events), ..Changes::default() },
                };
                if let Some(watcher) = &self.watcher {
                    watcher.again(changes, TRY_AGAIN);
                }
                Err(failure)
            }
        }
    }

    /// Goes on after a while with what could not be done.
    pub fn try_again(&self) {
        if let Some(watcher) = &self.watcher {
            watcher.again(Changes { unfinished: true, ..Changes::default() }, TRY_AGAIN);
        }
    }

    pub fn add_changes(&mut self, changes: Changes) {
        self.pending.merge(changes);
    }

    /// What may have changed since the last round began.
    pub fn take_changes(&mut self) -> Option<Changes> {
        (!self.pending.is_empty()).then(|| std::mem::take(&mut self.pending))
    }

    pub fn join(&mut self) {
        if let Some(thread) = self.ingesting.take()
            && thread.join().is_err()
        {
            tracing::error!("the ingest thread panicked");
        }
    }

    /// Says that there is nothing to do but to watch.
    pub fn tell_watching(&mut self, report: IndexReport, events: &Events) {
        self.before.add(report.clone());
        // Listed as they came; a run that watches for weeks does not keep them.
        self.before.issues.clear();
        events.board().set_activity(Activity::Watching);
        let watched = events.board().watched();
        let _ = events.send(Event::Watching { id: self.id(), report, watched });
    }
}

fn watched_roots(events: &Events) -> BTreeSet<PathBuf> {
    events.board().watched().into_iter().map(|watched| watched.path).collect()
}

impl Drop for IndexRun {
    fn drop(&mut self) {
        self.join();
        self.watcher = None;
        self.writer = None;
    }
}
