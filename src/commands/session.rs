//! A running engine as commands use it: one request at a time, its events handed over as they come.

use std::io;

use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc::UnboundedReceiver,
};

use super::{Console, Error};
use crate::{
    config::Config,
    engine::{Command, Engine, Event, Failure, FailureKind, Outcome, RequestId, Status},
};

/// Gets a message each time the user presses Ctrl-C.
pub type Interrupts = UnboundedReceiver<()>;

/// Starts watching for Ctrl-C. Until then Ctrl-C ends the program as usual, which is right for what can stop
/// anywhere, such as a download.
pub type WatchInterrupts<'a> = &'a dyn Fn() -> Interrupts;

/// What is done with each event of a request.
pub type OnEvent<'a> = &'a mut dyn FnMut(&mut Console, &Event) -> io::Result<()>;

/// An engine, and what it has told so far.
pub struct Session {
    door: Door,
    events: UnboundedReceiver<Event>,
    interrupts: Interrupts,
    runtime: Runtime,
    /// The engine's state, once it has said so.
    pub status: Option<Status>,
    /// Warnings of all requests so far.
    pub warnings: Vec<String>,
}

enum Door {
    Engine(Engine),
    /// Events from a test; commands are kept for it to look at.
    #[cfg(test)]
    Script(Vec<Command>),
}

impl Session {
    /// Starts an engine; from here on, Ctrl-C cancels the request instead of ending the program.
    pub fn start(config: &Config, watch: WatchInterrupts) -> io::Result<Self> {
        let interrupts = watch();
        let (engine, events) = Engine::start(config.clone());
        Self::new(Door::Engine(engine), events, interrupts)
    }

    fn new(door: Door, events: UnboundedReceiver<Event>, interrupts: Interrupts) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().build()?;
        Ok(Self { door, events, interrupts, runtime, status: None, warnings: Vec::new() })
    }

    /// Sends the command made by `command` and follows its events to the end. Ctrl-C asks the engine to cancel; what
    /// is there by then is the outcome.
    pub fn request(
        &mut self,
        console: &mut Console,
        command: impl FnOnce(RequestId) -> Command,
        on_event: OnEvent,
    ) -> Result<Outcome, Error> {
        let id = self.door.next_request();
        self.door.send(command(id));
        let outcome = self.follow(id, console, on_event);
        console.end_progress();
        outcome
    }

    fn follow(&mut self, id: RequestId, console: &mut Console, on_event: OnEvent) -> Result<Outcome, Error> {
        loop {
            let Some(event) = self.next_event(id) else {
                return Err(stopped_early().into());
            };
            on_event(console, &event)?;
            match event {
                Event::Ready(status) => self.status = Some(status),
                Event::Warning { message, .. } => {
                    console.warning(&message);
                    self.warnings.push(message);
                }
                Event::Done { id: done, outcome } if done == id => return Ok(outcome),
                // Request 0 stands for the engine itself: it could not start.
                Event::Failed { id: failed, failure } if failed == id || failed == RequestId(0) => {
                    return Err(failure.into());
                }
                _ => {}
            }
        }
    }

    /// The engine's next event; `None` when it is gone.
    fn next_event(&mut self, id: RequestId) -> Option<Event> {
        let Self { door, events, interrupts, runtime, .. } = self;
        runtime.block_on(async {
            loop {
                tokio::select! {
                    biased;
                    Some(()) = interrupts.recv() => door.send(Command::Cancel(id)),
                    event = events.recv() => return event,
                }
            }
        })
    }
}

impl Door {
    fn next_request(&self) -> RequestId {
        match self {
            Self::Engine(engine) => engine.next_request(),
            #[cfg(test)]
            Self::Script(sent) => RequestId(
                1 + sent.iter().filter(|command| !matches!(command, Command::Cancel(_))).count() as u64,
            ),
        }
    }

    fn send(&mut self, command: Command) {
        match self {
            Self::Engine(engine) => engine.send(command),
            #[cfg(test)]
            Self::Script(sent) => sent.push(command),
        }
    }
}

fn stopped_early() -> Failure {
    Failure {
        kind: FailureKind::Internal,
        message: "the engine stopped without an answer".into(),
        hint: Some("The log file says more; `gibbon config path` prints where it is.".into()),
    }
}

/// An outcome of another kind than the request's: a defect.
pub fn unexpected(outcome: &Outcome) -> Error {
    let kind = match outcome {
        Outcome::Answer(_) => "an answer",
        Outcome::Comparison(_) => "a comparison",
        Outcome::Indexed(_) => "an index report",
        Outcome::Found(_) => "a list of chunks",
        Outcome::Catalogue(_) => "something from the catalogue",
    };
    Error::Failed(Failure {
        kind: FailureKind::Internal,
        message: format!("the engine answered with {kind}, which was not asked for"),
        hint: None,
    })
}

#[cfg(test)]
impl Session {
    /// A session whose events are given; `interrupts` Ctrl-C presses are waiting.
    pub fn scripted(events: impl IntoIterator<Item = Event>, interrupts: usize) -> Self {
        let (send_event, receive_event) = tokio::sync::mpsc::unbounded_channel();
        for event in events {
            send_event.send(event).expect("the receiver is held");
        }
        let (send_interrupt, receive_interrupt) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..interrupts {
            send_interrupt.send(()).expect("the receiver is held");
        }
        Self::new(Door::Script(Vec::new()), receive_event, receive_interrupt)
            .expect("a runtime without I/O starts")
    }

    /// The commands sent so far.
    pub fn sent(&self) -> &[Command] {
        match &self.door {
            Door::Script(sent) => sent,
            Door::Engine(_) => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{commands::Verbosity, engine::SearchRequest};

    fn search(id: RequestId) -> Command {
        Command::Search(SearchRequest { id, question: "dome".into(), ..SearchRequest::default() })
    }

    fn run(session: &mut Session) -> (Result<Outcome, Error>, String) {
        let (mut console, _, error) = Console::captured(Verbosity::Normal);
        let outcome = session.request(&mut console, search, &mut |_, _| Ok(()));
        (outcome, error.text())
    }

    fn done(id: u64) -> Event {
        Event::Done { id: RequestId(id), outcome: Outcome::Found(Vec::new()) }
    }

    #[test]
    fn events_of_other_requests_do_not_end_this_one() {
        let warning = Event::Warning { id: None, message: "a damaged file".into() };
        let mut session = Session::scripted([Event::Ready(Status::default()), done(9), warning, done(1)], 0);
        let (outcome, error) = run(&mut session);
        assert_eq!(outcome.unwrap(), Outcome::Found(Vec::new()));
        assert_eq!(error, "warning: a damaged file\n");
        assert_eq!(session.warnings, ["a damaged file"]);
        assert_eq!(session.status, Some(Status::default()));
    }

    #[test]
    fn an_interrupt_cancels_the_request() {
        let mut session = Session::scripted([done(1)], 1);
        assert!(run(&mut session).0.is_ok());
        assert_eq!(session.sent(), [search(RequestId(1)), Command::Cancel(RequestId(1))]);
    }

    #[test]
    fn an_engine_that_could_not_start_is_a_failure() {
        let failure = Failure { kind: FailureKind::Storage, message: "read-only".into(), hint: None };
        let mut session =
            Session::scripted([Event::Failed { id: RequestId(0), failure: failure.clone() }], 0);
        assert!(matches!(run(&mut session).0, Err(Error::Failed(found)) if found == failure));
    }

    #[test]
    fn an_engine_that_is_gone_is_a_failure() {
        let mut session = Session::scripted([], 0);
        assert!(matches!(
            run(&mut session).0,
            Err(Error::Failed(Failure { kind: FailureKind::Internal, .. }))
        ));
    }
}
