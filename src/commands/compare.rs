//! `compare`: one question through several strategies; a table, bars of the phases, and the answers.

use std::path::{Path, PathBuf};

use super::{
    Console, Error, Exit, Session, Stream, Style, WatchInterrupts, json,
    question::question,
    session::unexpected,
    text::{self, bytes, seconds},
    timing,
};
use crate::{
    config::{Config, Strategy},
    engine::{
        Command, CompareRequest, Comparison, ComparisonResult, ComparisonRow, Event, Failure, FailureKind,
        Outcome, Selection, Spread, StopReason,
        export::comparison::{self as export_text, ComparisonFormat},
        visible,
    },
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompareOptions {
    /// The words of the question; `-` or none for standard input.
    pub words: Vec<String>,
    /// The collections to ask; none for all.
    pub collections: Vec<String>,
    pub strategies: Vec<Strategy>,
    pub runs: usize,
    /// Where the comparison is written too; its extension says as what.
    pub export: Option<PathBuf>,
    pub json: bool,
}

pub fn run(
    config: &Config,
    options: &CompareOptions,
    console: &mut Console,
    watch: WatchInterrupts,
) -> Result<Exit, Error> {
    if let Some(path) = &options.export {
        format_of(path)?;
    }
    let question = question(&options.words, console)?;
    // Every run reads its chunks from their files, as the first question of a chat does.
    let mut from_files = config.clone();
    from_files.store.memory_bytes = 0;
    from_files.store.gpu_memory_bytes = 0;
    let mut session = Session::start(&from_files, watch)?;
    compare(&mut session, console, &question, options)
}

fn compare(
    session: &mut Session,
    console: &mut Console,
    question: &str,
    options: &CompareOptions,
) -> Result<Exit, Error> {
    let strategies = without_repetition(&options.strategies);
    let command = |id| {
        Command::Compare(CompareRequest {
            id,
            question: question.to_owned(),
            strategies: strategies.clone(),
            runs: options.runs,
            selection: Selection { collections: options.collections.clone(), ..Selection::default() },
            ..CompareRequest::default()
        })
    };
    let mut answers = 0;
    let of = strategies.len() * options.runs;
    let outcome = session.request(console, command, &mut |console, event| {
        match event {
            Event::Ready(_) => console.progress("comparing", 0, 0, ""),
            Event::Measured { .. } => {
                answers += 1;
                console.progress(&format!("comparing: {answers} of {of} answers"), 0, 0, "");
            }
            _ => {}
        }
        Ok(())
    })?;
    let comparison = match outcome {
        Outcome::Comparison(comparison) => comparison,
        other => return Err(unexpected(&other)),
    };
    if let Some(path) = &options.export {
        let model = session.status.as_ref().and_then(|status| status.model.as_ref());
        export(&comparison, model.map_or("unknown", |model| &model.name), path, console)?;
    }
    if options.json {
        json::print(console, "comparison", json::comparison(&comparison, &session.warnings))?;
    } else {
        let text = report(&comparison, console);
        console.output(&text)?;
    }
    Ok(exit(&comparison))
}

/// What a file of this name is written as.
fn format_of(path: &Path) -> Result<ComparisonFormat, Failure> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.and_then(ComparisonFormat::with_extension).ok_or_else(|| Failure {
        kind: FailureKind::BadRequest,
        message: format!("{} does not say what to write", visible(&path.to_string_lossy())),
        hint: Some("Give the file a name that ends in .md, .json or .svg.".into()),
    })
}

/// Writes the comparison into a file; one that is there is written over, as its name was typed.
fn export(comparison: &Comparison, model: &str, path: &Path, console: &mut Console) -> Result<(), Error> {
    let text = export_text::text(comparison, model, format_of(path)?)
        .map_err(|error| Error::Output(error.into()))?;
    std::fs::write(path, text).map_err(|error| Failure {
        kind: FailureKind::Storage,
        message: format!("{} could not be written: {error}", console.path(path)),
        hint: Some("Name a file in a folder that is there and can be written.".into()),
    })?;
    console.note(&format!("comparison written to {}", console.path(path)));
    Ok(())
}

/// Each strategy once, in the order in which they were named.
fn without_repetition(strategies: &[Strategy]) -> Vec<Strategy> {
    let mut once = Vec::new();
    for strategy in strategies {
        if !once.contains(strategy) {
            once.push(*strategy);
        }
    }
    once
}

fn exit(comparison: &Comparison) -> Exit {
    let good = |row: &ComparisonRow| row.result.is_ok();
    let cancelled = |row: &ComparisonRow| matches!(&row.result, Ok(result) if result.answer.stop == StopReason::Cancelled);
    if comparison.rows.iter().any(cancelled) {
        Exit::Cancelled
    } else if !comparison.rows.iter().any(good) {
        Exit::Failed
    } else if comparison.sources.is_empty() {
        Exit::NothingFound
    } else {
        Exit::Done
    }
}

fn report(comparison: &Comparison, console: &Console) -> String {
    let style = console.style(Stream::Output);
    let good: Vec<(&str, &ComparisonResult)> = comparison
        .rows
        .iter()
        .filter_map(|row| Some((row.strategy.name(), row.result.as_ref().ok()?)))
        .collect();
    let mut parts = vec![
        format!("{}\n", style.heading(&comparison.question)),
        rows(comparison, style),
        timing::bars(
            &good.iter().map(|(name, result)| (*name, result.typical_first_token())).collect::<Vec<_>>(),
            style,
        ),
    ];
    for (name, result) in &good {
        parts.push(format!("{}\n{}\n", style.heading(name), result.answer.text.trim()));
    }
    let sources = text::sources(&comparison.sources, &[], console.here(), style);
    parts.push(match sources.as_str() {
        "" => "No document matches the question.\n".to_owned(),
        sources => format!("{}\n{sources}", style.heading("Sources")),
    });
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// One line for each strategy; the reasons of those that failed below.
fn rows(comparison: &Comparison, style: Style) -> String {
    let header = [
        "strategy",
        "first token",
        "sooner",
        "total",
        "tokens/s",
        "prefill tokens",
        "from disk",
        "same tokens",
        "KL",
    ];
    let mut lines = Vec::new();
    let mut failed = String::new();
    for row in &comparison.rows {
        match &row.result {
            Ok(result) => lines.push(line(row.strategy, result)),
            Err(failure) => {
                let mut line = vec![row.strategy.name().to_owned(), "failed".to_owned()];
                line.resize(header.len(), String::new());
                lines.push(line);
                failed += &format!("{}: {}\n", row.strategy.name(), visible(&failure.message));
            }
        }
    }
    let note = format!(
        "Medians of {}, smallest to largest in brackets; same tokens: leading tokens equal to full's;\n\
         KL: how far the first token's distribution is from full's, in nats.\n",
        text::count(comparison.runs as u64, "run")
    );
    text::table(&header, "<>>>>>>>>", &lines, style) + &failed + &style.dim(note.trim_end()) + "\n"
}

fn line(strategy: Strategy, result: &ComparisonResult) -> Vec<String> {
    let timings = result.typical_first_token();
    vec![
        strategy.name().to_owned(),
        spread(&result.time_to_first_token_seconds),
        result.first_token_speedup.map_or(String::new(), |times| format!("{times:.1} ×")),
        seconds(result.total_seconds.median),
        format!("{:.1}", result.tokens_per_second.median),
        timings.prefill.tokens.to_string(),
        bytes(timings.load.bytes),
        result.agreement.map_or(String::new(), |(same, of)| format!("{same}/{of}")),
        result.first_token_divergence.map_or(String::new(), |nats| format!("{nats:.3}")),
    ]
}

fn spread(spread: &Spread) -> String {
    let (min, max) = (seconds(spread.min), seconds(spread.max));
    if min == max { min } else { format!("{} ({min}–{max})", seconds(spread.median)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commands::{Verbosity, fixtures},
        engine::{Answer, RequestId},
    };

    fn result(answer: Answer, speedup: f64, agreement: (usize, usize)) -> ComparisonResult {
        let spread = |median: f64| Spread { median, min: median * 0.9, max: median * 1.2 };
        ComparisonResult {
            first_token_divergence: Some((1.0 - speedup).abs() / 100.0),
            time_to_first_token_seconds: spread(answer.timings.time_to_first_token_seconds),
            total_seconds: spread(answer.timings.total_seconds),
            tokens_per_second: spread(answer.timings.decode.tokens_per_second),
            runs: vec![answer.timings.clone(); 3],
            answer,
            first_token_speedup: Some(speedup),
            agreement: Some(agreement),
        }
    }

    fn comparison() -> Comparison {
        let row = |strategy, result| ComparisonRow { strategy, result };
        Comparison {
            question: "When does the dome close?".into(),
            runs: 3,
            sources: fixtures::chunks(),
            rows: vec![
                row(Strategy::Full, Ok(result(fixtures::full_answer(), 1.0, (42, 42)))),
                row(Strategy::Concat, Err(fixtures::failure(FailureKind::ContextTooLong))),
                row(Strategy::Ape, Ok(result(fixtures::answer(), 5.637, (12, 42)))),
            ],
        }
    }

    fn run(comparison: Comparison, as_json: bool) -> (Exit, String, Vec<Command>) {
        let (mut console, output, _) = Console::captured(Verbosity::Normal);
        let done = Event::Done { id: RequestId(1), outcome: Outcome::Comparison(comparison) };
        let mut session = Session::scripted([done], 0);
        let options = CompareOptions {
            words: Vec::new(),
            collections: Vec::new(),
            strategies: vec![Strategy::Full, Strategy::Ape, Strategy::Full],
            runs: 3,
            export: None,
            json: as_json,
        };
        let exit = compare(&mut session, &mut console, "When does the dome close?", &options).unwrap();
        (exit, output.text(), session.sent().to_vec())
    }

    #[test]
    fn the_report_of_a_comparison() {
        let (exit, output, sent) = run(comparison(), false);
        assert_eq!(exit, Exit::Done);
        insta::assert_snapshot!(output);
        let Command::Compare(request) = &sent[0] else { panic!("not compare") };
        assert_eq!(request.strategies, [Strategy::Full, Strategy::Ape]);
    }

    #[test]
    fn json_tells_results_and_errors_apart() {
        let (_, output, _) = run(comparison(), true);
        let value: serde_json::Value = serde_json::from_str(&output).unwrap();
        assert_eq!(value["rows"][0]["agreement"]["of"], 42);
        assert_eq!(value["rows"][1]["error"]["kind"], "context_too_long");
        assert_eq!(value["rows"][2]["strategy"], "ape");
    }

    #[test]
    fn no_strategy_that_worked_is_a_failure() {
        let mut all_failed = comparison();
        all_failed.rows.retain(|row| row.result.is_err());
        assert_eq!(run(all_failed, false).0, Exit::Failed);
    }

    #[test]
    fn the_comparison_is_also_written_where_asked() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (name, beginning) in [("a.md", "# "), ("a.JSON", "{"), ("a.svg", "<svg ")] {
            let path = directory.path().join(name);
            let (mut console, _, _) = Console::captured(Verbosity::Normal);
            export(&comparison(), "tiny", &path, &mut console).expect("it can be written");
            assert!(std::fs::read_to_string(&path).expect("it is there").starts_with(beginning), "{name}");
        }
        for name in ["a", "a.png", ".md"] {
            assert_eq!(format_of(Path::new(name)).expect_err(name).kind, FailureKind::BadRequest);
        }
    }
}
