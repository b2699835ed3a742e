//! `ask`: the answer to standard output as it comes, its sources and timings to standard error.

use super::{
    Console, Error, Exit, Session, Stream, WatchInterrupts, json, question::question, session::unexpected,
    text, timing,
};
use crate::{
    config::Config,
    engine::{Answer, AskRequest, Command, Event, Outcome, Selection, StopReason},
};

/// What to ask; how is in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskOptions {
    /// The words of the question; `-` or none for standard input.
    pub words: Vec<String>,
    /// The collections to ask; none for all.
    pub collections: Vec<String>,
    pub json: bool,
}

pub fn run(
    config: &Config,
    options: &AskOptions,
    console: &mut Console,
    watch: WatchInterrupts,
) -> Result<Exit, Error> {
    let question = question(&options.words, console)?;
    let selection = Selection { collections: options.collections.clone(), ..Selection::default() };
    let request = AskRequest { question, selection, ..AskRequest::default() };
    let mut session = Session::start(config, watch)?;
    answer(&mut session, console, &request, options.json)
}

fn answer(
    session: &mut Session,
    console: &mut Console,
    asked: &AskRequest,
    as_json: bool,
) -> Result<Exit, Error> {
    if as_json {
        let answer = request(session, console, asked, &mut |_, _| Ok(()))?;
        json::print(console, "answer", json::answer(&answer, &session.warnings))?;
        return Ok(exit(&answer));
    }
    let answer = stream(session, console, asked)?;
    epilogue(console, Stream::Error, &answer)?;
    let style = console.style(Stream::Error);
    console.write(Stream::Error, &format!("\n{}", timing::details(&answer.timings, style)))?;
    Ok(exit(&answer))
}

/// Asks, and writes the answer's text to standard output as it comes.
pub fn stream(session: &mut Session, console: &mut Console, asked: &AskRequest) -> Result<Answer, Error> {
    let mut written = false;
    let answer = request(session, console, asked, &mut |console, event| {
        if let Event::Token { text, .. } = event {
            written |= !text.is_empty();
            console.output(text)?;
        }
        Ok(())
    });
    // A failure in the middle of an answer leaves the line open.
    if written && !matches!(&answer, Ok(answer) if answer.text.ends_with('\n')) {
        console.output("\n")?;
    }
    answer
}

fn request(
    session: &mut Session,
    console: &mut Console,
    asked: &AskRequest,
    on_event: super::session::OnEvent,
) -> Result<Answer, Error> {
    console.progress("starting", 0, 0, "");
    let command = |id| Command::Ask(AskRequest { id, ..asked.clone() });
    let outcome = session.request(console, command, &mut |console, event| {
        show_stage(console, event);
        on_event(console, event)
    })?;
    match outcome {
        Outcome::Answer(answer) => Ok(answer),
        other => Err(unexpected(&other)),
    }
}

/// A sign of life until the first token.
fn show_stage(console: &mut Console, event: &Event) {
    match event {
        Event::Ready(_) => console.progress("searching", 0, 0, ""),
        Event::Retrieved { chunks, .. } => {
            console.progress(&format!("loading {}", text::count(chunks.len() as u64, "chunk")), 0, 0, "");
        }
        Event::Loaded { .. } => console.progress("reading the question", 0, 0, ""),
        Event::Prefilled { .. } => console.end_progress(),
        _ => {}
    }
}

/// How the answer ended, where that needs saying.
pub fn ending(stop: StopReason) -> &'static str {
    match stop {
        StopReason::EndOfText => "",
        StopReason::MaxTokens => "(cut off at the most tokens asked for; see --max-tokens)\n",
        StopReason::ContextFull => "(cut off: the model's context is full)\n",
        StopReason::Cancelled => "(cancelled)\n",
    }
}

/// How the answer ended, and its sources.
pub fn epilogue(console: &mut Console, stream: Stream, answer: &Answer) -> Result<(), Error> {
    let style = console.style(stream);
    let mut text = format!("{}\n", ending(answer.stop));
    if answer.sources.is_empty() {
        text += "No document matches the question.\n";
    } else {
        text += &style.heading("Sources");
        text.push('\n');
        text += &text::sources(&answer.sources, &answer.origins, console.here(), style);
    }
    console.write(stream, &text)?;
    Ok(())
}

/// An answer drawn from nothing is told apart, for scripts.
pub fn exit(answer: &Answer) -> Exit {
    if answer.stop == StopReason::Cancelled {
        Exit::Cancelled
    } else if answer.sources.is_empty() {
        Exit::NothingFound
    } else {
        Exit::Done
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::{
        commands::{
            Verbosity,
            fixtures::{self, answer_events},
        },
        engine::{FailureKind, RequestId},
    };

    fn asked(question: &str) -> AskRequest {
        AskRequest { question: question.to_owned(), ..AskRequest::default() }
    }

    fn ask(events: Vec<Event>, as_json: bool) -> (Result<Exit, Error>, String, String) {
        let (mut console, output, error) = Console::captured(Verbosity::Normal);
        let mut session = Session::scripted(events, 0);
        let exit = answer(&mut session, &mut console, &asked("When does the dome close?"), as_json);
        (exit, output.text(), error.text())
    }

    #[test]
    fn the_answer_is_alone_on_standard_output() {
        let (exit, output, error) = ask(answer_events(1, fixtures::answer()), false);
        assert_eq!(exit.unwrap(), Exit::Done);
        assert_eq!(output, "At 45 km/h of wind [dome.md § Closing].\n");
        insta::assert_snapshot!(error);
    }

    #[test]
    fn json_is_one_line() {
        let (exit, output, error) = ask(answer_events(1, fixtures::answer()), true);
        assert_eq!(exit.unwrap(), Exit::Done);
        assert_eq!((output.lines().count(), error.as_str()), (1, ""));
        let value: serde_json::Value = serde_json::from_str(&output).unwrap();
        assert_eq!((&value["schema"], &value["kind"]), (&1.into(), &"answer".into()));
        assert_eq!(value["sources"][0]["origin"], "disk");
    }

    #[test]
    fn a_cancelled_answer_keeps_its_text() {
        let cancelled = Answer { stop: StopReason::Cancelled, ..fixtures::answer() };
        let (exit, output, error) = ask(answer_events(1, cancelled), false);
        assert_eq!(exit.unwrap(), Exit::Cancelled);
        assert!(output.starts_with("At 45"));
        assert!(error.contains("(cancelled)"));
    }

    #[test]
    fn an_answer_without_sources_is_told_apart() {
        let (exit, _, error) = ask(answer_events(1, Answer { sources: vec![], ..fixtures::answer() }), false);
        assert_eq!(exit.unwrap(), Exit::NothingFound);
        assert!(error.contains("No document matches"));
    }

    #[test]
    fn a_failure_in_the_middle_ends_the_line() {
        let id = RequestId(1);
        let events = vec![
            Event::Token { id, text: "At".into() },
            Event::Failed { id, failure: fixtures::failure(FailureKind::Storage) },
        ];
        let (exit, output, _) = ask(events, false);
        assert_eq!(exit.unwrap_err().exit(), Exit::Failed);
        assert_eq!(output, "At\n");
    }

    #[test]
    fn a_closed_pipe_ends_quietly() {
        struct Closed;
        impl io::Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut console = Console::to(Box::new(Closed), Box::new(io::sink()), Verbosity::Normal);
        let mut session = Session::scripted(answer_events(1, fixtures::answer()), 0);
        let error = answer(&mut session, &mut console, &asked("When?"), false).unwrap_err();
        assert!(error.is_silent());
    }
}
