//! The engine's threads and their handle.
//!
//! One thread owns the model and takes commands in order. Between two chunks that it encodes in the background it
//! looks for commands, so that a question waits for one chunk at most. Walking, reading and indexing run on another
//! thread, so that questions are answered meanwhile.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, Sender, TryRecvError, channel},
    },
    thread::JoinHandle,
    time::Instant,
};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{
    answer::{Asking, retrieve, source},
    chats,
    compare::compare,
    encode::EncodeJob,
    ingest::{Surroundings, ingest},
    keeper::Events,
    protocol::*,
    resources::Resources,
};
use crate::{config::Config, store::key::SegmentId};

/// A running engine. Dropping it stops what it is doing and waits for its threads.
pub struct Engine {
    commands: Sender<Message>,
    flags: Flags,
    requests: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

/// The cancel flag of every request under way.
#[derive(Clone, Default)]
struct Flags(Arc<Mutex<HashMap<RequestId, Arc<AtomicBool>>>>);

/// What reaches the model's thread.
enum Message {
    Command(Command),
    /// The ingest thread is done with this request.
    Ingested(IndexRequest, Result<IndexReport, Failure>),
}

impl Engine {
    /// Starts the engine's threads. The first event is [`Event::Ready`], or [`Event::Failed`] with request 0 where
    /// the data directory cannot be used. A missing model is not an error: `Ready` says so.
    pub fn start(config: Config) -> (Self, UnboundedReceiver<Event>) {
        let (commands, queue) = channel();
        let (events, received) = unbounded_channel();
        let flags = Flags::default();
        let worker = Worker {
            resources: Resources::new(config, events.clone()),
            events,
            flags: flags.clone(),
            own: commands.clone(),
            ingesting: None,
            encoding: None,
        };
        let thread = std::thread::spawn(move || worker.run(&queue));
        let engine = Self { commands, flags, requests: AtomicU64::new(1), thread: Some(thread) };
        (engine, received)
    }

    /// An id that no other request of this engine has.
    pub fn next_request(&self) -> RequestId {
        RequestId(self.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// Hands a command over and returns at once. `Cancel` takes effect within a token, a layer or a file.
    pub fn send(&self, command: Command) {
        match &command {
            Command::Cancel(id) => return self.flags.cancel(*id),
            Command::Shutdown => self.flags.cancel_all(),
            Command::Ask(AskRequest { id, .. })
            | Command::Compare(CompareRequest { id, .. })
            | Command::Index(IndexRequest { id, .. })
            | Command::Catalogue(CatalogueRequest { id, .. })
            | Command::Search(SearchRequest { id, .. }) => self.flags.add(*id),
            Command::Pause(_) | Command::Resume(_) => {}
        }
        if self.commands.send(Message::Command(command)).is_err() {
            tracing::error!("the engine has ended");
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.send(Command::Shutdown);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the engine's thread panicked");
        }
    }
}

impl Flags {
    fn add(&self, id: RequestId) {
        self.locked().insert(id, Arc::default());
    }

    fn remove(&self, id: RequestId) {
        self.locked().remove(&id);
    }

    fn get(&self, id: RequestId) -> Arc<AtomicBool> {
        self.locked().get(&id).cloned().unwrap_or_default()
    }

    fn cancel(&self, id: RequestId) {
        if let Some(flag) = self.locked().get(&id) {
            flag.store(true, Ordering::Relaxed);
        }
    }

    fn cancel_all(&self) {
        self.locked().values().for_each(|flag| flag.store(true, Ordering::Relaxed));
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<RequestId, Arc<AtomicBool>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What runs on the model's thread.
struct Worker {
    resources: Resources,
    events: Events,
    flags: Flags,
    /// For the ingest thread to report back.
    own: Sender<Message>,
    ingesting: Option<JoinHandle<()>>,
    encoding: Option<EncodeJob>,
}

impl Worker {
    fn run(mut self, queue: &Receiver<Message>) {
        self.announce();
        loop {
            let message = match &mut self.encoding {
                None => queue.recv().ok(),
                Some(_) => match queue.try_recv() {
                    Ok(message) => Some(message),
                    Err(TryRecvError::Disconnected) => None,
                    Err(TryRecvError::Empty) => {
                        self.encode_some();
                        continue;
                    }
                },
            };
            match message {
                None | Some(Message::Command(Command::Shutdown)) => break,
                Some(Message::Command(command)) => self.carry_out(command),
                Some(Message::Ingested(request, result)) => self.after_ingest(request, result),
            }
        }
        if let Some(thread) = self.ingesting.take()
            && thread.join().is_err()
        {
            tracing::error!("the ingest thread panicked");
        }
    }

    fn emit(&self, event: Event) {
        // Nobody listens any more when the program is ending.
        let _ = self.events.send(event);
    }

    /// Says what there is to work with.
    fn announce(&mut self) {
        let event = match guarded(|| self.resources.status()) {
            Ok(status) => Event::Ready(status),
            Err(failure) => Event::Failed { id: RequestId(0), failure },
        };
        self.emit(event);
    }

    fn carry_out(&mut self, command: Command) {
        let (id, result) = match command {
            Command::Ask(request) => (request.id, guarded(|| self.ask(&request))),
            Command::Compare(request) => (request.id, guarded(|| self.compare(&request))),
            Command::Search(request) => (request.id, guarded(|| self.search(&request))),
            Command::Index(request) => match self.start_ingest(request.clone()) {
                Ok(()) => return,
                Err(failure) => (request.id, Err(failure)),
            },
            Command::Catalogue(_) | Command::Pause(_) | Command::Resume(_) => return,
            Command::Cancel(_) | Command::Shutdown => return,
        };
        self.finish(id, result);
    }

    fn finish(&mut self, id: RequestId, result: Result<Outcome, Failure>) {
        self.flags.remove(id);
        self.emit(match result {
            Ok(outcome) => Event::Done { id, outcome },
            Err(failure) => Event::Failed { id, failure },
        });
    }

    fn ask(&mut self, request: &AskRequest) -> Result<Outcome, Failure> {
        let settings = self.resources.config.answer.clone();
        // A model that is not there, and loading it, is no part of the question's time.
        self.resources.loaded()?;
        let started = Instant::now();
        let chunks = request.chunks.unwrap_or(settings.chunks);
        let retrieval = retrieve(&mut self.resources, &request.question, chunks)?;
        self.emit(Event::Retrieved { id: request.id, chunks: retrieval.sources.clone() });
        let flag = self.flags.get(request.id);
        let events = self.events.clone();
        let asking = Asking {
            id: request.id,
            question: &request.question,
            strategy: request.strategy.unwrap_or(settings.strategy),
            max_tokens: request.max_tokens.unwrap_or(settings.max_tokens),
            cancelled: &|| flag.load(Ordering::Relaxed),
            emit: &|event| drop(events.send(event)),
        };
        let mut answer = asking.answer(self.resources.loaded()?, &settings, &retrieval, started)?;
        if answer.timings.encode.seconds > 0.0 {
            // What was encoded is on disk, or a warning has said why not, before the request is done.
            let _ = self.resources.loaded()?.written();
        }
        match chats::keep(&self.resources.config, request.keep, &answer) {
            Ok(chat) => answer.chat = chat,
            Err(failure) => {
                let message = format!("this answer could not be kept among the chats: {}", failure.message);
                self.emit(Event::Warning { id: Some(request.id), message });
            }
        }
        Ok(Outcome::Answer(answer))
    }

    fn compare(&mut self, request: &CompareRequest) -> Result<Outcome, Failure> {
        let flag = self.flags.get(request.id);
        let events = self.events.clone();
        let emit = |event| drop(events.send(event));
        compare(&mut self.resources, request, &|| flag.load(Ordering::Relaxed), &emit)
            .map(Outcome::Comparison)
    }

    fn search(&mut self, request: &SearchRequest) -> Result<Outcome, Failure> {
        let k = request.chunks.unwrap_or(self.resources.config.answer.chunks);
        let hits = self.resources.reader()?.search(&request.question, k)?;
        // Without a model nothing is cached, and searching works all the same.
        let store = self.resources.loaded().ok().map(|loaded| loaded.store.clone());
        let cached = |id| store.as_ref().is_some_and(|store| store.contains(SegmentId::Chunk(id)));
        let found = hits.iter().enumerate();
        let found = found.map(|(index, hit)| source(index + 1, hit, cached(hit.chunk.chunk.id)));
        Ok(Outcome::Found(found.collect()))
    }

    /// Starts the thread that walks, reads and indexes.
    fn start_ingest(&mut self, request: IndexRequest) -> Result<(), Failure> {
        if self.ingesting.is_some() || self.encoding.is_some() {
            return Err(Failure::new(
                FailureKind::Busy,
                "an index run is under way",
                "Wait until it is done, or cancel it.",
            ));
        }
        let model = guarded(|| Ok(self.resources.loaded()?.model.clone()))?;
        let (config, own, events) = (self.resources.config.clone(), self.own.clone(), self.events.clone());
        let flag = self.flags.get(request.id);
        self.ingesting = Some(std::thread::spawn(move || {
            let id = request.id;
            let result = guarded(|| {
                ingest(
                    &request,
                    &Surroundings {
                        config: &config,
                        tokenizer: &model.tokenizer,
                        cancelled: &|| flag.load(Ordering::Relaxed),
                        progress: &|progress| drop(events.send(Event::Progress { id, progress })),
                    },
                )
            });
            // The engine has ended if nobody takes it; what was indexed is on disk.
            let _ = own.send(Message::Ingested(request, result));
        }));
        Ok(())
    }

    /// The files are indexed: encode what is missing, or be done.
    fn after_ingest(&mut self, request: IndexRequest, result: Result<IndexReport, Failure>) {
        if let Some(thread) = self.ingesting.take()
            && thread.join().is_err()
        {
            tracing::error!("the ingest thread panicked");
        }
        self.resources.forget_reader();
        let flag = self.flags.get(request.id);
        let job =
            result.and_then(|report| guarded(|| EncodeJob::new(&mut self.resources, &request, report, flag)));
        match job {
            Ok(job) => {
                self.announce();
                if job.has_work() {
                    job.tell(&self.events);
                }
                self.encoding = Some(job);
            }
            Err(failure) => self.finish(request.id, Err(failure)),
        }
    }

    /// One chunk of the background encoding.
    fn encode_some(&mut self) {
        let Some(mut job) = self.encoding.take() else { return };
        let step = guarded(|| job.step(&mut self.resources, &self.events));
        match step {
            Ok(None) => self.encoding = Some(job),
            Ok(Some(report)) => {
                self.announce();
                self.finish(job.id(), Ok(Outcome::Indexed(report)));
            }
            Err(failure) => self.finish(job.id(), Err(failure)),
        }
    }
}

/// Runs part of a request; a panic in it is a failure of that request and not the end of the program.
fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Failure::new(
            FailureKind::Internal,
            "an internal error ended this request",
            "This is a defect of Gibbon; please report it with the log file.",
        ))
    })
}
