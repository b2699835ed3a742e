//! The handle of the engine's threads: commands go in here.

use std::{
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{Sender, channel},
    },
    thread::JoinHandle,
};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{
    board::Board,
    control::Controls,
    keeper::Events,
    lookup,
    protocol::*,
    worker::{Message, Outbox, Worker},
};
use crate::config::Config;

/// A running engine. Dropping it stops what it is doing and waits for its threads.
pub struct Engine {
    commands: Sender<Message>,
    /// `None` once the engine ends.
    lookups: Option<Sender<CatalogueRequest>>,
    controls: Controls,
    requests: AtomicU64,
    threads: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Starts the engine's threads. The first event is [`Event::Ready`], or [`Event::Failed`] with request 0 where
    /// the data directory cannot be used; only answers to [`Command::Catalogue`], which wait for nothing, may come
    /// before. A missing model is not an error: `Ready` says so.
    pub fn start(config: Config) -> (Self, UnboundedReceiver<Event>) {
        let (commands, queue) = channel();
        let (lookups, requests) = channel();
        let (events, received) = unbounded_channel();
        let events = Events::new(events, Board::default());
        let controls = Controls::default();
        let own = Outbox::new(commands.clone());
        let worker = Worker::new(config.clone(), events.clone(), controls.clone(), own);
        let threads = vec![
            std::thread::spawn(move || worker.run(&queue)),
            std::thread::spawn(move || lookup::run(&config, &requests, &events)),
        ];
        let engine =
            Self { commands, lookups: Some(lookups), controls, requests: AtomicU64::new(1), threads };
        (engine, received)
    }

    /// An id that no other request of this engine has.
    pub fn next_request(&self) -> RequestId {
        RequestId(self.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// Hands a command over and returns at once. `Cancel` takes effect within a token, a layer or a file, `Pause`
    /// within a file or a chunk.
    pub fn send(&self, command: Command) {
        match command {
            Command::Catalogue(request) => return self.look_up(request),
            Command::Cancel(id) => self.controls.get(id).cancel(),
            Command::Pause(id) => self.controls.get(id).set_paused(true),
            Command::Resume(id) => self.controls.get(id).set_paused(false),
            Command::Shutdown => self.controls.cancel_all(),
            Command::Refresh => {}
            Command::Ask(AskRequest { id, .. })
            | Command::Compare(CompareRequest { id, .. })
            | Command::Index(IndexRequest { id, .. })
            | Command::Search(SearchRequest { id, .. }) => self.controls.add(id),
        }
        // A switch is sent as well: a thread that stands still looks at it again.
        if self.commands.send(Message::Command(command)).is_err() {
            tracing::error!("the engine has ended");
        }
    }

    fn look_up(&self, request: CatalogueRequest) {
        if self.lookups.as_ref().is_some_and(|lookups| lookups.send(request).is_err()) {
            tracing::error!("the engine has ended");
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.send(Command::Shutdown);
        self.lookups = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("one of the engine's threads panicked");
            }
        }
    }
}
