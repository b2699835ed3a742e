//! `status`: what is indexed, and how far the process is that indexes, whichever it is.

use std::{thread, time::Duration};

use serde_json::{Value, json};

use super::{
    Console, Error, Exit, WatchInterrupts, json as printed,
    text::{bytes, count, seconds},
};
use crate::{
    config::Config,
    engine::{
        Activity, Hold, IndexPhase, IndexerOrder, IndexerStatus, Progress, Unit, WatchMode,
        indexer::{self, Overview},
        visible,
    },
};

/// How often `--watch` looks.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Ctrl-C is noticed within this time.
const LISTEN: Duration = Duration::from_millis(50);

pub fn run(
    config: &Config,
    as_json: bool,
    watch: bool,
    console: &mut Console,
    interrupts: WatchInterrupts,
) -> Result<Exit, Error> {
    let mut interrupts = watch.then(interrupts);
    let mut rows = 0;
    loop {
        let overview = indexer::overview(config)?;
        if as_json {
            printed::print(console, "status", body(&overview))?;
        } else {
            let text = text(&overview, console);
            // On a terminal, over what was shown before.
            let back = if rows > 0 && console.output_is_terminal() {
                format!("\u{1b}[{rows}A\u{1b}[J")
            } else {
                String::new()
            };
            rows = text.lines().count();
            console.output(&format!("{back}{text}"))?;
        }
        let Some(interrupts) = &mut interrupts else { return Ok(Exit::Done) };
        for _ in 0..LOOK_AGAIN.as_millis() / LISTEN.as_millis() {
            if interrupts.try_recv().is_ok() {
                return Ok(Exit::Done);
            }
            thread::sleep(LISTEN);
        }
    }
}

/// `index --pause`, `--resume` and `--stop`.
pub fn order(config: &Config, order: IndexerOrder, console: &mut Console) -> Result<Exit, Error> {
    let process = indexer::order(config, order)?.process;
    let done = match order {
        IndexerOrder::Pause => "is pausing; `gibbon index --resume` lets it go on",
        IndexerOrder::Resume => "goes on",
        IndexerOrder::Stop => "has stopped; what was done stays done, and `gibbon index` goes on from there",
    };
    console.output(&format!("the indexer (process {process}) {done}\n"))?;
    Ok(Exit::Done)
}

fn body(overview: &Overview) -> Value {
    let paths: Vec<String> = overview.roots.iter().map(|path| printed::path(path)).collect();
    json!({
        "directory": printed::path(&overview.directory),
        "files": overview.files,
        "chunks": overview.chunks,
        "cached_chunks": overview.cached_chunks,
        "cache_bytes": overview.cache_bytes,
        "cache_budget_bytes": overview.cache_budget_bytes,
        "roots": paths,
        "indexer": overview.indexer.as_ref().map(indexer_body),
    })
}

fn indexer_body(status: &IndexerStatus) -> Value {
    let watched: Vec<Value> = status
        .watched
        .iter()
        .map(|root| json!({ "path": printed::path(&root.path), "mode": root.mode, "note": root.note }))
        .collect();
    json!({
        "process": status.process,
        "started": status.started,
        "activity": status.activity,
        "progress": status.progress,
        "left_out": status.left_out,
        "rate": status.rate,
        "seconds_left": status.seconds_left,
        "watched": watched,
        "last_error": status.last_error,
    })
}

fn text(overview: &Overview, console: &Console) -> String {
    let mut text = format!(
        "{}, {}, {} cached; cache {} of {}\n",
        count(overview.files as u64, "file"),
        count(overview.chunks as u64, "chunk"),
        overview.cached_chunks,
        bytes(overview.cache_bytes),
        bytes(overview.cache_budget_bytes)
    );
    let Some(status) = &overview.indexer else { return text + "nothing is being indexed\n" };
    text += &format!("process {} {}\n", status.process, activity(status));
    if status.left_out > 0 {
        text += &format!("{} left out\n", count(status.left_out as u64, "file"));
    }
    for root in &status.watched {
        let mode = match root.mode {
            WatchMode::Events => "watches",
            WatchMode::Polling => "looks from time to time at",
        };
        text += &format!("{mode} {}\n", console.path(&root.path));
        if let Some(note) = &root.note {
            text += &format!("  {}\n", one_line(note));
        }
    }
    if let Some(error) = &status.last_error {
        text += &format!("last problem: {}\n", one_line(error));
    }
    text
}

fn one_line(text: &str) -> String {
    visible(text).replace('\n', " ")
}

/// What it is at: `encodes 1200 of 5400 tokens (80/s, 52 s left)`.
fn activity(status: &IndexerStatus) -> String {
    let hold = status.progress.and_then(|progress| progress.hold);
    let doing = match (status.activity, status.progress) {
        (Activity::Stopping, _) => return "is stopping".to_owned(),
        (Activity::Watching, _) => match hold {
            Some(Hold::Paused) => return "waits for files to change, and is paused".to_owned(),
            _ => return "waits for files to change".to_owned(),
        },
        (Activity::Indexing, None) => "is starting".to_owned(),
        (Activity::Indexing, Some(progress)) => phase(progress),
    };
    match hold {
        Some(Hold::Paused) => format!("is paused; it {doing}"),
        Some(Hold::Question) => format!("gives way to a question; it {doing}"),
        Some(Hold::Battery) => format!("waits for the machine to be plugged in; it {doing}"),
        None => doing + &speed(status),
    }
}

fn phase(Progress { phase, done, total, unit, .. }: Progress) -> String {
    let verb = match phase {
        IndexPhase::Walk => "looks for files",
        IndexPhase::Read => "reads",
        IndexPhase::Split => "cuts",
        IndexPhase::Index => "indexes",
        IndexPhase::Encode => "encodes",
    };
    let unit = match unit {
        Unit::Files => "file",
        Unit::Chunks => "chunk",
        Unit::Tokens => "token",
    };
    match total {
        0 => format!("{verb}: {}", count(done, unit)),
        _ => format!("{verb} {done} of {}", count(total, unit)),
    }
}

fn speed(status: &IndexerStatus) -> String {
    let rate = status.rate.map(|rate| format!("{rate:.0}/s"));
    let left = status.seconds_left.map(|left| format!("about {} left", seconds(left)));
    let parts: Vec<String> = [rate, left].into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{commands::Verbosity, engine::WatchedRoot};

    fn overview() -> Overview {
        let progress = Progress {
            phase: IndexPhase::Encode,
            done: 1200,
            total: 5400,
            unit: Unit::Tokens,
            cache_bytes: 9 << 20,
            hold: None,
        };
        let watched = |path: &str, note: Option<&str>| WatchedRoot {
            path: path.into(),
            mode: if note.is_some() { WatchMode::Polling } else { WatchMode::Events },
            note: note.map(str::to_owned),
        };
        let indexer = IndexerStatus {
            process: 4711,
            progress: Some(progress),
            left_out: 2,
            rate: Some(80.0),
            seconds_left: Some(52.0),
            watched: vec![
                watched("/home/ada/notes", None),
                watched("/mnt/share", Some("it is on\na network")),
            ],
            last_error: Some("the disk is full \u{1b}[2J".into()),
            ..IndexerStatus::default()
        };
        Overview {
            files: 12,
            chunks: 41,
            cached_chunks: 9,
            cache_bytes: 9 << 20,
            cache_budget_bytes: 20 << 30,
            indexer: Some(indexer),
            ..Overview::default()
        }
    }

    #[test]
    fn the_status_of_a_run_and_of_none() {
        let (console, _, _) = Console::captured(Verbosity::Normal);
        let full = overview();
        let mut shown = vec![text(&full, &console), text(&Overview::default(), &console)];
        for hold in [Hold::Paused, Hold::Question, Hold::Battery] {
            let mut status = full.indexer.clone().unwrap();
            status.progress = status.progress.map(|progress| Progress { hold: Some(hold), ..progress });
            shown.push(activity(&status));
        }
        for activity_now in [Activity::Watching, Activity::Stopping] {
            shown.push(activity(&IndexerStatus { activity: activity_now, ..full.indexer.clone().unwrap() }));
        }
        shown.push(activity(&IndexerStatus::default()));
        insta::assert_snapshot!(shown.join("---\n"));
    }

    #[test]
    fn the_schema_of_the_status_stays() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&body(&overview())).unwrap());
        assert_eq!(body(&Overview::default())["indexer"], Value::Null);
    }
}
