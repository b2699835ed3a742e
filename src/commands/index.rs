//! `index`: brings the index and the KV caches up to date with the files.

use std::path::PathBuf;

use super::{
    Console, Error, Exit, Session, Stream, Verbosity, WatchInterrupts, json,
    session::unexpected,
    text::{bytes, count, seconds},
};
use crate::{
    config::Config,
    engine::{
        Command, EncodeEstimate, Event, FileIssue, IndexPhase, IndexReport, IndexRequest, Outcome, Status,
        Unit, WatchedRoot, indexer,
    },
};

/// Files left out that are listed unless all are asked for.
const ISSUES_SHOWN: usize = 20;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexOptions {
    /// Files and folders to add; with none, everything known is brought up to date.
    pub add: Vec<PathBuf>,
    /// Collections whose paths are brought up to date.
    pub collections: Vec<String>,
    pub forget: Vec<PathBuf>,
    /// Encode the KV caches now.
    pub encode: bool,
    /// Go on until Ctrl-C, and index what changes.
    pub watch: bool,
    /// Nobody waits for this process: it leaves the terminal and lets others go first.
    pub detached: bool,
    pub json: bool,
}

pub fn run(
    config: &Config,
    options: &IndexOptions,
    console: &mut Console,
    watch: WatchInterrupts,
) -> Result<Exit, Error> {
    let mut options = options.clone();
    for path in options.add.iter_mut().chain(&mut options.forget) {
        *path = std::path::absolute(&*path).map_err(|error| {
            Error::usage(format!("{} is no path: {error}", console.path(path)), "Name a file or a folder.")
        })?;
    }
    if options.detached
        && let Err(error) = indexer::step_back()
    {
        console.warning(&format!("this process could not be put in the background: {error}"));
    }
    let mut session = Session::start(config, watch)?;
    show(&mut session, &options, console)
}

fn show(session: &mut Session, options: &IndexOptions, console: &mut Console) -> Result<Exit, Error> {
    let report = index(session, options, console)?;
    if options.json {
        let body = json::index(&report, session.status.as_ref(), &session.warnings);
        json::print(console, "index", body)?;
    } else {
        show_issues(console, &report.issues);
        match exit(&report, options) {
            Exit::NothingFound => console.note(&no_documents(options, console)),
            _ => console.output(&summary(&report, session.status.as_ref()))?,
        }
    }
    Ok(exit(&report, options))
}

/// There was no file to index, and what to do about it.
fn no_documents(options: &IndexOptions, console: &Console) -> String {
    let places: Vec<String> = options.add.iter().map(|path| console.path(path)).collect();
    if places.is_empty() {
        return "There are no documents yet; `gibbon index FOLDER` adds a folder.".to_owned();
    }
    format!(
        "There are no documents in {}; Gibbon reads text, Markdown, HTML and source code that is not hidden or ignored.",
        places.join(", ")
    )
}

/// Runs the request, with progress and, before encoding, its estimated size.
pub fn index(
    session: &mut Session,
    options: &IndexOptions,
    console: &mut Console,
) -> Result<IndexReport, Error> {
    let IndexOptions { add, collections, forget, encode, watch, .. } = options.clone();
    let mut told = false;
    let outcome = session.request(
        console,
        |id| Command::Index(IndexRequest { id, add, collections, forget, encode, watch }),
        &mut |console, event| {
            match event {
                Event::Estimated { estimate, .. } => console.note(&to_encode(estimate)),
                Event::Progress { progress, .. } => {
                    console.progress(
                        verb(progress.phase),
                        progress.done,
                        progress.total,
                        unit(progress.unit),
                    );
                }
                Event::Watching { report, watched, .. } => {
                    console.end_progress();
                    tell_round(console, report, watched, std::mem::replace(&mut told, true));
                }
                _ => {}
            }
            Ok(())
        },
    )?;
    match outcome {
        Outcome::Indexed(report) => Ok(report),
        other => Err(unexpected(&other)),
    }
}

/// What a round of a run that watches did, where it did anything; at first, what is watched.
fn tell_round(console: &mut Console, report: &IndexReport, watched: &[WatchedRoot], is_later: bool) {
    let changed = report.files_added + report.files_changed + report.files_removed;
    if changed > 0 || report.chunks_encoded > 0 {
        console.note(summary(report, None).trim_end());
    }
    if is_later {
        return;
    }
    for root in watched {
        if let Some(note) = &root.note {
            console
                .warning(&format!("{}: looked at from time to time, since {note}", console.path(&root.path)));
        }
    }
    let paths: Vec<String> = watched.iter().map(|root| console.path(&root.path)).collect();
    console.note(&format!("watching {}; Ctrl-C ends it", paths.join(", ")));
}

/// What is about to be encoded, how much room it takes and how long.
fn to_encode(estimate: &EncodeEstimate) -> String {
    let mut text = format!(
        "to encode: {} ({}), {} of KV cache, where the budget leaves {}",
        count(estimate.chunks as u64, "chunk"),
        count(estimate.tokens, "token"),
        bytes(estimate.bytes),
        bytes(estimate.free_bytes)
    );
    if let Some(time) = estimate.seconds {
        text += &format!("; about {} at the speed of the last time", seconds(time));
    }
    text
}

fn verb(phase: IndexPhase) -> &'static str {
    match phase {
        IndexPhase::Walk => "finding files",
        IndexPhase::Read => "reading",
        IndexPhase::Split => "splitting",
        IndexPhase::Index => "indexing",
        IndexPhase::Encode => "encoding",
    }
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Files => "files",
        Unit::Chunks => "chunks",
        Unit::Tokens => "tokens",
    }
}

fn show_issues(console: &mut Console, issues: &[FileIssue]) {
    let shown = if console.verbosity() == Verbosity::Verbose { issues.len() } else { ISSUES_SHOWN };
    for issue in issues.iter().take(shown) {
        let path = console.path(&issue.path);
        console.warning(&format!("left out {path}: {}", issue.reason));
    }
    if issues.len() > shown {
        console.note(&format!("and {} more; --verbose lists all", issues.len() - shown));
    }
}

/// What the run did, in one or two lines.
pub fn summary(report: &IndexReport, status: Option<&Status>) -> String {
    let changed = report.files_added + report.files_changed + report.files_removed;
    let mut text = match (changed, status) {
        (0, Some(status)) => format!("nothing changed: {}", totals(status)),
        (0, None) => format!("nothing changed: {}", count(report.files_unchanged as u64, "file")),
        _ => changes(report),
    };
    if report.chunks_encoded > 0 {
        text += &format!(
            "; {} encoded ({}) in {}",
            count(report.chunks_encoded as u64, "chunk"),
            count(report.tokens_encoded as u64, "token"),
            seconds(report.encode_seconds)
        );
    }
    if report.cancelled {
        text += "; cancelled, run `gibbon index` to go on";
    }
    text.push('\n');
    if let (Some(status), true) = (status, changed > 0) {
        text += &format!("in all {}\n", totals(status));
    }
    if report.chunks_left > 0 {
        text += &format!("{} left to encode when first needed\n", count(report.chunks_left as u64, "chunk"));
    }
    text
}

fn totals(status: &Status) -> String {
    format!(
        "{}, {}; cache {} of {}",
        count(status.files as u64, "file"),
        count(status.chunks as u64, "chunk"),
        bytes(status.cache_bytes),
        bytes(status.cache_budget_bytes)
    )
}

/// `2 files added, 1 removed; 12 chunks indexed, 3 removed`.
fn changes(report: &IndexReport) -> String {
    let list = |parts: &[(usize, &str)], unit: &str| {
        let mut words: Vec<String> = Vec::new();
        for (number, verb) in parts.iter().filter(|(number, _)| *number > 0) {
            let first = words.is_empty();
            let amount = if first { count(*number as u64, unit) } else { number.to_string() };
            words.push(format!("{amount} {verb}"));
        }
        words.join(", ")
    };
    let files = list(
        &[
            (report.files_added, "added"),
            (report.files_changed, "changed"),
            (report.files_removed, "removed"),
            (report.files_unchanged, "unchanged"),
        ],
        "file",
    );
    let chunks = list(&[(report.chunks_added, "indexed"), (report.chunks_removed, "removed")], "chunk");
    [files, chunks].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

fn exit(report: &IndexReport, options: &IndexOptions) -> Exit {
    let files = report.files_added + report.files_changed + report.files_unchanged;
    if options.watch {
        // Ctrl-C is how it ends.
        Exit::Done
    } else if report.cancelled {
        Exit::Cancelled
    } else if files == 0 && report.files_removed == 0 && options.forget.is_empty() {
        Exit::NothingFound
    } else {
        Exit::Done
    }
}

/// The report of a run that a front end shows on one stream.
pub fn show_report(
    console: &mut Console,
    stream: Stream,
    report: &IndexReport,
    status: Option<&Status>,
) -> Result<(), Error> {
    show_issues(console, &report.issues);
    console.write(stream, &summary(report, status))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commands::fixtures,
        engine::{Progress, RequestId},
    };

    fn report() -> IndexReport {
        IndexReport {
            files_added: 12,
            chunks_added: 41,
            chunks_encoded: 41,
            tokens_encoded: 9873,
            cache_bytes: 227_473_920,
            seconds: 73.0,
            encode_seconds: 71.2,
            ..IndexReport::default()
        }
    }

    fn run(report: IndexReport, options: &IndexOptions, verbosity: Verbosity) -> (Exit, String, String) {
        let (mut console, output, error) = Console::captured(verbosity);
        let id = RequestId(1);
        let encode = |done| Progress {
            phase: IndexPhase::Encode,
            done,
            total: 9873,
            unit: Unit::Tokens,
            cache_bytes: 0,
            hold: None,
        };
        let estimate = EncodeEstimate {
            chunks: 41,
            tokens: 9873,
            bytes: 227_473_920,
            free_bytes: 20 << 30,
            seconds: Some(72.4),
        };
        let events = [
            Event::Ready(Status { files: 0, chunks: 0, cache_bytes: 0, ..fixtures::status() }),
            Event::Estimated { id, estimate },
            Event::Progress { id, progress: encode(0) },
            Event::Progress { id, progress: encode(9873) },
            Event::Ready(fixtures::status()),
            Event::Done { id, outcome: Outcome::Indexed(report) },
        ];
        let mut session = Session::scripted(events, 0);
        let exit = show(&mut session, options, &mut console).unwrap();
        (exit, output.text(), error.text())
    }

    #[test]
    fn a_first_run_says_what_it_did_and_what_it_will_take() {
        let (exit, output, error) = run(report(), &IndexOptions::default(), Verbosity::Normal);
        assert_eq!(exit, Exit::Done);
        insta::assert_snapshot!(format!("{error}---\n{output}"));
    }

    #[test]
    fn summaries_name_what_changed_only() {
        let status = fixtures::status();
        let summaries = [
            IndexReport { files_unchanged: 12, ..IndexReport::default() },
            IndexReport {
                files_changed: 1,
                files_unchanged: 11,
                chunks_added: 3,
                chunks_removed: 2,
                ..report()
            },
            IndexReport { files_removed: 2, chunks_removed: 7, ..IndexReport::default() },
            IndexReport { chunks_encoded: 20, chunks_left: 21, cancelled: true, ..report() },
        ]
        .map(|report| summary(&report, Some(&status)));
        insta::assert_snapshot!(summaries.join("---\n"));
    }

    #[test]
    fn many_issues_are_cut_short_unless_all_are_asked_for() {
        let issue =
            |number| FileIssue { path: format!("/srv/{number}\u{1b}.bin").into(), reason: "binary".into() };
        let report = IndexReport { issues: (0..25).map(issue).collect(), ..report() };
        let (_, _, error) = run(report.clone(), &IndexOptions::default(), Verbosity::Normal);
        assert_eq!(error.matches("left out").count(), 20);
        assert!(error.contains("left out /srv/0␛.bin: binary\n") && error.contains("and 5 more"));
        let (_, _, error) = run(report.clone(), &IndexOptions::default(), Verbosity::Verbose);
        assert_eq!(error.matches("left out").count(), 25);
        let options = IndexOptions { json: true, ..IndexOptions::default() };
        let (_, output, _) = run(report, &options, Verbosity::Normal);
        let value: serde_json::Value = serde_json::from_str(&output).unwrap();
        assert_eq!(value["issues"].as_array().unwrap().len(), 25);
        assert_eq!(value["status"]["files"], 12);
    }

    #[test]
    fn an_empty_folder_and_a_cancelled_run_have_their_codes() {
        let none = IndexReport::default();
        assert_eq!(exit(&none, &IndexOptions::default()), Exit::NothingFound);
        let forget = IndexOptions { forget: vec!["/srv".into()], ..IndexOptions::default() };
        assert_eq!(exit(&none, &forget), Exit::Done);
        assert_eq!(exit(&IndexReport { cancelled: true, ..report() }, &forget), Exit::Cancelled);
    }
}
