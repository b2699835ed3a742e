//! `search`: the chunks that a question finds.

use super::{
    Console, Error, Exit, Session, Stream, WatchInterrupts, json, question::question, session::unexpected,
    text,
};
use crate::{
    config::Config,
    engine::{Command, Outcome, RetrievedChunk, SearchRequest},
};

/// Lines of a chunk's text that are shown.
const LINES: usize = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchOptions {
    /// The words of the question; `-` or none for standard input.
    pub words: Vec<String>,
    /// The collections to search; none for all.
    pub collections: Vec<String>,
    pub json: bool,
}

pub fn run(
    config: &Config,
    options: &SearchOptions,
    console: &mut Console,
    watch: WatchInterrupts,
) -> Result<Exit, Error> {
    let question = question(&options.words, console)?;
    let mut session = Session::start(config, watch)?;
    let request =
        SearchRequest { question, collections: options.collections.clone(), ..SearchRequest::default() };
    search(&mut session, console, &request, options.json)
}

fn search(
    session: &mut Session,
    console: &mut Console,
    request: &SearchRequest,
    as_json: bool,
) -> Result<Exit, Error> {
    let command = |id| Command::Search(SearchRequest { id, ..request.clone() });
    let chunks = match session.request(console, command, &mut |_, _| Ok(()))? {
        Outcome::Found(chunks) => chunks,
        other => return Err(unexpected(&other)),
    };
    if as_json {
        json::print(console, "search", json::search(&request.question, &chunks, &session.warnings))?;
    } else if chunks.is_empty() {
        console.note("No document matches the question.");
    } else {
        console.output(&listing(&chunks, console))?;
    }
    Ok(if chunks.is_empty() { Exit::NothingFound } else { Exit::Done })
}

fn listing(chunks: &[RetrievedChunk], console: &Console) -> String {
    let style = console.style(Stream::Output);
    let heads = text::sources(chunks, &[], console.here(), style);
    let mut listing = String::new();
    for (head, chunk) in heads.lines().zip(chunks) {
        listing += &format!("{head}\n");
        // The first line of a chunk is its label.
        let body = chunk.text.lines().skip(1).filter(|line| !line.trim().is_empty());
        for line in body.take(LINES) {
            listing +=
                &format!("     {}\n", style.dim(&text::shortened(line, style.width.saturating_sub(5))));
        }
    }
    listing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commands::{Verbosity, fixtures},
        engine::{Event, RequestId},
    };

    fn run(chunks: Vec<RetrievedChunk>, as_json: bool) -> (Exit, String, String) {
        let (mut console, output, error) = Console::captured(Verbosity::Normal);
        let done = Event::Done { id: RequestId(1), outcome: Outcome::Found(chunks) };
        let mut session = Session::scripted([done], 0);
        let request = SearchRequest { question: "dome".to_owned(), ..SearchRequest::default() };
        let exit = search(&mut session, &mut console, &request, as_json).unwrap();
        (exit, output.text(), error.text())
    }

    #[test]
    fn found_chunks_are_listed() {
        let (exit, output, _) = run(fixtures::chunks(), false);
        assert_eq!(exit, Exit::Done);
        insta::assert_snapshot!(output);
    }

    #[test]
    fn nothing_found_has_its_own_code() {
        let (exit, output, error) = run(Vec::new(), false);
        assert_eq!((exit, output.as_str()), (Exit::NothingFound, ""));
        assert_eq!(error, "No document matches the question.\n");
        let (exit, output, _) = run(Vec::new(), true);
        assert_eq!(exit, Exit::NothingFound);
        assert!(output.starts_with("{"));
    }
}
