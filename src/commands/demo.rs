//! `demo`: from nothing to an answer, with and without the cache.

use super::{
    Console, Error, Exit, Session, Stream, WatchInterrupts, ask, index, model, text::seconds, timing,
};
use crate::{
    config::{Config, Strategy},
    engine::{Answer, AskRequest, admin},
};

/// Answered by the sample corpus.
const QUESTION: &str = "At what wind speed does the dome have to be closed?";
/// Most tokens of each answer: the small default model repeats itself where it should end.
const MAX_TOKENS: usize = 48;

/// With [`Exit::Done`] the chat may follow.
pub fn run(config: &Config, console: &mut Console, watch: WatchInterrupts) -> Result<Exit, Error> {
    model::pull_with_progress(config, console)?;
    let corpus = admin::sample_corpus(config)?;
    let folder = console.path(&corpus);
    console.output(&format!("Indexing the sample documents in {folder}\n"))?;
    let mut session = Session::start(config, watch)?;
    let options = index::IndexOptions { add: vec![corpus], encode: true, ..Default::default() };
    let exit = show(&mut session, &options, console)?;
    if exit == Exit::Done {
        console.output(&format!(
            "\nAsk your own: gibbon ask \"…\". Take the samples out: gibbon index --forget {folder}\n"
        ))?;
    }
    Ok(exit)
}

fn show(session: &mut Session, options: &index::IndexOptions, console: &mut Console) -> Result<Exit, Error> {
    let report = index::index(session, options, console)?;
    index::show_report(console, Stream::Output, &report, session.status.as_ref())?;
    if report.cancelled {
        return Ok(Exit::Cancelled);
    }
    let style = console.style(Stream::Output);
    console.output(&format!("\n{}\n", style.heading(QUESTION)))?;
    console.output(&format!(
        "\n{}: answered from the documents' cached keys and values\n",
        style.heading("ape")
    ))?;
    let asked = |strategy| AskRequest {
        question: QUESTION.to_owned(),
        strategy: Some(strategy),
        max_tokens: Some(MAX_TOKENS),
        ..AskRequest::default()
    };
    let ape = ask::stream(session, console, &asked(Strategy::Ape))?;
    ask::epilogue(console, Stream::Output, &ape)?;
    if ask::exit(&ape) != Exit::Done {
        return Ok(ask::exit(&ape));
    }
    console.output(&format!("\n{}: the same documents read anew\n", style.heading("full")))?;
    let full = ask::stream(session, console, &asked(Strategy::Full))?;
    console.output(ask::ending(full.stop))?;
    console.output(&comparison(&ape, &full, console))?;
    Ok(ask::exit(&full))
}

/// Both answers' timings, and how much sooner the first token came.
fn comparison(ape: &Answer, full: &Answer, console: &Console) -> String {
    let style = console.style(Stream::Output);
    let (to_ape, to_full) =
        (ape.timings.time_to_first_token_seconds, full.timings.time_to_first_token_seconds);
    let ratio = if to_ape > 0.0 { to_full / to_ape } else { 0.0 };
    format!(
        "\n{}\n{}\n{}\n",
        timing::side_by_side(&[("ape", &ape.timings), ("full", &full.timings)], style),
        timing::bars(&[("ape", &ape.timings), ("full", &full.timings)], style),
        style.heading(&format!(
            "First token after {} with the cache, {} without: {ratio:.1} times as fast.",
            seconds(to_ape),
            seconds(to_full)
        ))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commands::{Verbosity, fixtures},
        engine::{Command, Event, IndexReport, Outcome, RequestId},
    };

    fn run(report: IndexReport) -> (Exit, String, Vec<Command>) {
        let (mut console, output, _) = Console::captured(Verbosity::Normal);
        let mut events = vec![
            Event::Ready(fixtures::status()),
            Event::Done { id: RequestId(1), outcome: Outcome::Indexed(report) },
        ];
        events.extend(fixtures::answer_events(2, fixtures::answer()));
        events.extend(fixtures::answer_events(3, fixtures::full_answer()));
        let mut session = Session::scripted(events, 0);
        let options = index::IndexOptions { encode: true, ..Default::default() };
        let exit = show(&mut session, &options, &mut console).unwrap();
        (exit, output.text(), session.sent().to_vec())
    }

    #[test]
    fn the_demo_shows_both_answers_and_their_times() {
        let (exit, output, sent) = run(IndexReport { files_unchanged: 12, ..IndexReport::default() });
        assert_eq!(exit, Exit::Done);
        insta::assert_snapshot!(output);
        let strategies: Vec<_> = sent
            .iter()
            .filter_map(|command| if let Command::Ask(ask) = command { ask.strategy } else { None })
            .collect();
        assert_eq!(strategies, [Strategy::Ape, Strategy::Full]);
    }

    #[test]
    fn a_cancelled_index_asks_nothing() {
        let (exit, _, sent) = run(IndexReport { cancelled: true, ..IndexReport::default() });
        assert_eq!((exit, sent.len()), (Exit::Cancelled, 1));
    }
}
