//! The model's thread and the ingest thread.
//!
//! One thread owns the model and takes commands in order. Between two chunks that it encodes in the background it
//! looks for commands, so that a question waits for one chunk at most. Walking, reading and indexing run on another
//! thread, so that questions are answered meanwhile.

use std::{
    sync::mpsc::{Receiver, Sender, TryRecvError},
    time::Instant,
};

use super::{
    answer::Asking as Answering,
    changes::Changes,
    chats,
    collections::mixed_prompts,
    compare::compare,
    control::Controls,
    encode::EncodeJob,
    failure::guarded,
    index_run::{IndexRun, IngestEnd},
    ingest::Look,
    keeper::Events,
    orders::Asking,
    protocol::*,
    resources::Resources,
    retrieve::{Wanted, of_collections, retrieve, source},
    timing::Timings,
    visible::visible,
};
use crate::{
    catalogue::{Attention, Catalogue},
    config::{Config, Strategy},
    index::Filter,
};

/// What reaches the model's thread.
pub(super) enum Message {
    Command(Command),
    /// The ingest thread is done.
    Ingested(Box<IngestEnd>),
    /// Files that are watched may have changed.
    Changed(Changes),
    /// A switch of the index run was changed by another process.
    Woken,
}

/// For other threads to report to the model's thread. It has ended if nobody takes what they say; what was indexed is on
/// disk.
#[derive(Clone)]
pub(super) struct Outbox(Sender<Message>);

impl Outbox {
    pub fn new(own: Sender<Message>) -> Self {
        Self(own)
    }

    pub fn ingested(&self, end: IngestEnd) {
        drop(self.0.send(Message::Ingested(Box::new(end))));
    }

    pub fn changed(&self, changes: Changes) {
        drop(self.0.send(Message::Changed(changes)));
    }

    pub fn woken(&self) {
        drop(self.0.send(Message::Woken));
    }
}

/// What runs on the model's thread.
pub(super) struct Worker {
    resources: Resources,
    events: Events,
    controls: Controls,
    /// For other threads to report back.
    own: Outbox,
    indexing: Option<IndexRun>,
    encoding: Option<EncodeJob>,
}

impl Worker {
    pub fn new(config: Config, events: Events, controls: Controls, own: Outbox) -> Self {
        let resources = Resources::new(config, events.clone());
        Self { resources, events, controls, own, indexing: None, encoding: None }
    }

    /// Takes what comes until the engine ends.
    pub fn run(mut self, queue: &Receiver<Message>) {
        self.announce();
        loop {
            let may_encode = self.encoding.as_ref().is_some_and(EncodeJob::may_go_on);
            let message = match may_encode {
                false => queue.recv().ok(),
                true => match queue.try_recv() {
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
                Some(Message::Ingested(end)) => self.after_ingest(*end),
                Some(Message::Changed(changes)) => self.on_changes(changes),
                Some(Message::Woken) => self.look_at_switches(),
            }
        }
        // Ended, with what it has begun, before the engine says that it has.
        self.encoding = None;
        self.end_run();
    }

    fn warn(&self, id: RequestId, message: &str) {
        let message = visible(message).into_owned();
        tracing::warn!("{message}");
        self.emit(Event::Warning { id: Some(id), message });
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
            Command::Ask(request) => (request.id, self.before_indexing(|worker| worker.ask(&request))),
            Command::Compare(request) => {
                (request.id, self.before_indexing(|worker| worker.compare(&request)))
            }
            Command::Search(request) => (request.id, guarded(|| self.search(&request))),
            Command::Index(request) => match self.start_run(request.clone()) {
                Ok(()) => return,
                Err(failure) => (request.id, Err(failure)),
            },
            // The switch itself is set already.
            Command::Pause(_) | Command::Resume(_) | Command::Cancel(_) => return self.look_at_switches(),
            Command::Refresh => return self.announce(),
            Command::Catalogue(_) | Command::Shutdown => return,
        };
        self.finish(id, result);
    }

    /// Does what a question needs while an index run stands still.
    fn before_indexing<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.set_gives_way(true);
        // An indexer of another process gives way as well.
        let asking = Asking::begin(&self.resources.config.paths.data);
        let result = guarded(|| work(self));
        drop(asking);
        self.set_gives_way(false);
        result
    }

    fn set_gives_way(&mut self, gives_way: bool) {
        if let Some(run) = &self.indexing {
            run.control.set_gives_way(gives_way);
        }
        self.tell_hold();
    }

    /// Encoding says what that changes; a run that only watches ends.
    fn look_at_switches(&mut self) {
        self.tell_hold();
        let is_idle = |run: &IndexRun| run.control.is_cancelled() && !run.is_ingesting();
        if self.encoding.is_none() && self.indexing.as_ref().is_some_and(is_idle) {
            self.finish_run(Ok(IndexReport::default()));
        }
    }

    fn tell_hold(&mut self) {
        if let Some(job) = &mut self.encoding {
            job.tell_hold(&self.events);
        }
    }

    fn finish(&mut self, id: RequestId, result: Result<Outcome, Failure>) {
        self.controls.remove(id);
        log_end(&result);
        self.emit(match result {
            Ok(outcome) => Event::Done { id, outcome },
            Err(failure) => Event::Failed { id, failure },
        });
    }

    fn ask(&mut self, request: &AskRequest) -> Result<Outcome, Failure> {
        let collections = &request.selection.collections;
        let settings = self.resources.config.answer_for(collections);
        let prompt = &settings.system_prompt;
        // A model that is not there, and loading it, is no part of the question's time.
        self.resources.loaded_for(prompt)?;
        let started = Instant::now();
        let max_tokens = request.max_tokens.unwrap_or(settings.max_tokens);
        let wanted = Wanted {
            question: &request.question,
            chunks: request.chunks.unwrap_or(settings.chunks),
            max_tokens,
            selection: &request.selection,
            system_prompt: prompt,
        };
        let retrieval = retrieve(&mut self.resources, &wanted)?;
        for message in &retrieval.warnings {
            self.warn(request.id, message);
        }
        let strategy = request.strategy.unwrap_or(settings.strategy);
        if strategy != Strategy::Full
            && let Some(message) = mixed_prompts(&mut self.resources, collections, &retrieval)?
        {
            self.warn(request.id, &message);
        }
        self.emit(Event::Retrieved { id: request.id, chunks: retrieval.sources.clone() });
        let control = self.controls.get(request.id);
        let events = self.events.clone();
        let asking = Answering {
            id: request.id,
            question: &request.question,
            history: &request.history,
            strategy,
            max_tokens,
            cancelled: &|| control.is_cancelled(),
            emit: &|event| drop(events.send(event)),
        };
        let (mut answer, _) =
            asking.answer(self.resources.loaded_for(prompt)?, &settings, &retrieval, started)?;
        log_answer(&answer);
        self.remember(&answer);
        if answer.timings.encode.seconds > 0.0 {
            // What was encoded is on disk, or a warning has said why not, before the request is done.
            let _ = self.resources.loaded_for(prompt)?.written();
        }
        match chats::keep(&self.resources.config, request.keep, &answer) {
            Ok(kept) => answer.kept = kept,
            Err(failure) => {
                let reason = failure.message;
                self.warn(request.id, &format!("this answer could not be kept among the chats: {reason}"));
            }
        }
        Ok(Outcome::Answer(answer))
    }

    fn compare(&mut self, request: &CompareRequest) -> Result<Outcome, Failure> {
        let control = self.controls.get(request.id);
        let events = self.events.clone();
        let emit = |event| drop(events.send(event));
        compare(&mut self.resources, request, &|| control.is_cancelled(), &emit).map(Outcome::Comparison)
    }

    fn search(&mut self, request: &SearchRequest) -> Result<Outcome, Failure> {
        let settings = self.resources.config.answer_for(&request.collections);
        let k = request.chunks.unwrap_or(settings.chunks);
        let (reader, memberships) = self.resources.reader_and_memberships()?;
        let files = of_collections(reader, memberships, &request.collections)?;
        let filter = Filter { files, ..Filter::default() };
        let hits = reader.search_within(&request.question, k, &filter)?;
        // Without a model nothing is cached, and searching works all the same.
        let has_model = self.resources.loaded().is_ok();
        let mut found = Vec::with_capacity(hits.len());
        for (rank, hit) in (1..).zip(&hits) {
            let matches =
                self.resources.reader()?.matches(&request.question, &visible(&hit.chunk.chunk.text));
            let loaded = match has_model {
                true => Some(&*self.resources.loaded_for(&settings.system_prompt)?),
                false => None,
            };
            found.push(source(rank, hit, ChunkReason::Found, matches, loaded));
        }
        Ok(Outcome::Found(found))
    }

    /// The files that an answer drew on come first in the next index run.
    fn remember(&self, answer: &Answer) {
        let files: Vec<_> = answer.sources.iter().rev().map(|source| source.path.clone()).collect();
        let noted = Catalogue::open(&self.resources.config.paths.data)
            .and_then(|mut catalogue| catalogue.note_attention(Attention::Asked, &files));
        if let Err(error) = noted {
            tracing::debug!(%error, "what was asked about was not noted");
        }
    }

    fn start_run(&mut self, request: IndexRequest) -> Result<(), Failure> {
        if self.indexing.is_some() {
            return Err(Failure::new(
                FailureKind::Busy,
                "an index run is under way",
                "Wait until it is done, or cancel it.",
            ));
        }
        let control = self.controls.get(request.id);
        let config = &self.resources.config;
        // The lock first: whoever has to wait for another process need not load a model.
        let run = guarded(|| IndexRun::begin(request.clone(), control, config, &self.events, &self.own))?;
        self.indexing = Some(run);
        self.ingest(Look::Request(request)).inspect_err(|_| self.end_run())
    }

    fn ingest(&mut self, look: Look) -> Result<(), Failure> {
        let model = guarded(|| Ok(self.resources.loaded()?.model.clone()))?;
        if let Some(run) = &mut self.indexing {
            run.ingest(look, model, &self.resources.config, &self.events, &self.own);
        }
        Ok(())
    }

    /// Something may have changed: what is encoded waits until that is indexed, since it may be gone.
    fn on_changes(&mut self, changes: Changes) {
        let Some(run) = &mut self.indexing else { return };
        run.add_changes(changes);
        if !run.is_ingesting() {
            if let Some(job) = self.encoding.take() {
                run.before.add(job.into_report());
            }
            self.next_round();
        }
    }

    /// Looks at what may have changed meanwhile; false where nothing has.
    fn next_round(&mut self) -> bool {
        let Some(changes) = self.indexing.as_mut().and_then(IndexRun::take_changes) else { return false };
        if let Err(failure) = self.ingest(Look::Changes(changes)) {
            self.finish_run(Err(failure));
        }
        true
    }

    /// The files are indexed: encode what is missing, or be done.
    fn after_ingest(&mut self, end: IngestEnd) {
        let Some(run) = &mut self.indexing else { return };
        let result = run.take_back(end, &self.events);
        let (request, control) = (run.request.clone(), run.control.clone());
        self.resources.forget_reader();
        let job = result
            .and_then(|report| guarded(|| EncodeJob::new(&mut self.resources, &request, report, control)));
        match job {
            Ok(mut job) => {
                self.announce();
                let announced = guarded(|| job.announce(&mut self.resources, &self.events));
                match announced {
                    Ok(()) => self.encoding = Some(job),
                    Err(failure) => self.finish_run(Err(failure)),
                }
            }
            Err(failure) => self.finish_run(Err(failure)),
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
                self.finish_run(Ok(report));
            }
            Err(failure) => self.finish_run(Err(failure)),
        }
    }

    /// A round has ended: so has the run, unless it watches.
    fn finish_run(&mut self, result: Result<IndexReport, Failure>) {
        let Some(run) = &mut self.indexing else { return };
        // A full disk may have room again; any other failure comes again.
        let may_pass = |failure: &Failure| failure.kind == FailureKind::Storage;
        if !run.watches() || !result.as_ref().err().is_none_or(may_pass) {
            let id = run.id();
            let before = std::mem::take(&mut run.before);
            self.end_run();
            let total = result.map(|report| {
                let mut total = before;
                total.add(report);
                Outcome::Indexed(total)
            });
            return self.finish(id, total);
        }
        match result {
            Ok(report) => {
                log_end(&Ok(Outcome::Indexed(report.clone())));
                run.tell_watching(report, &self.events);
            }
            Err(failure) => {
                run.try_again();
                let (id, message) = (run.id(), format!("{}; it is tried again", failure.message));
                self.warn(id, &message);
            }
        }
        self.next_round();
    }

    /// Gives the lock back; nothing is posted of the run any more.
    fn end_run(&mut self) {
        self.indexing = None;
        self.events.board().end();
    }
}

/// What an answer took, on one line. Neither the question nor any text of a document is in a log.
fn log_answer(answer: &Answer) {
    let Timings { load, encode, prefill, decode, .. } = &answer.timings;
    tracing::info!(
        strategy = answer.strategy.name(),
        stop = ?answer.stop,
        chunks = answer.sources.len(),
        from_memory = load.memory_hits,
        from_disk = load.disk_hits,
        encoded = encode.chunks,
        bytes = load.bytes,
        prefilled = prefill.tokens,
        generated = answer.tokens.len(),
        tokens_per_second = format_args!("{:.1}", decode.tokens_per_second),
        first_token_seconds = format_args!("{:.4}", answer.timings.time_to_first_token_seconds),
        seconds = format_args!("{:.4}", answer.timings.total_seconds),
        "answered"
    );
}

/// What became of a request that is no answer. A failure may name a file but quotes no text.
fn log_end(result: &Result<Outcome, Failure>) {
    match result {
        Ok(Outcome::Indexed(report)) => tracing::info!(
            files_added = report.files_added,
            files_changed = report.files_changed,
            files_removed = report.files_removed,
            left_out = report.issues.len(),
            chunks_encoded = report.chunks_encoded,
            tokens_encoded = report.tokens_encoded,
            encode_seconds = format_args!("{:.3}", report.encode_seconds),
            seconds = format_args!("{:.3}", report.seconds),
            cancelled = report.cancelled,
            "indexed"
        ),
        Ok(Outcome::Comparison(comparison)) => {
            tracing::info!(strategies = comparison.rows.len(), runs = comparison.runs, "compared");
        }
        Ok(Outcome::Answer(_) | Outcome::Found(_) | Outcome::Catalogue(_)) => {}
        Err(Failure { kind: FailureKind::Cancelled, .. }) => tracing::info!("a request was cancelled"),
        Err(failure) => tracing::warn!(kind = ?failure.kind, "a request failed: {}", failure.message),
    }
}
