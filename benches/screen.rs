//! How soon the screen answers: the real program with the default model in a pseudo-terminal.
//!
//! `cargo bench --bench screen` prints three things, each with its limit: the time from the start to the first frame;
//! the time from a key press to the frame that shows it, while an answer is decoded and documents are indexed and
//! encoded; and the share of a processor that the idle program takes. It needs the default model, as the tests do
//! (`GIBBON_TEST_MODEL` names a file that is there already). It exits with 1 where a limit is passed.
#![cfg(target_os = "linux")]

#[path = "../tests/gibbon/support.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod support;
#[path = "../tests/gibbon/terminal.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod terminal;

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use terminal::Terminal;

const SIZE: (u16, u16) = (160, 48);
const STARTS: usize = 10;
/// Key presses measured in each situation.
const KEYS: usize = 400;
/// Between two key presses: a fast typist's, and not a multiple of the screen's own steps.
const BETWEEN_KEYS: Duration = Duration::from_millis(43);
/// What Linux counts processor time in, on every machine.
const TICKS_PER_SECOND: f64 = 100.0;
const IDLE: Duration = Duration::from_secs(20);

const FIRST_FRAME_LIMIT: Duration = Duration::from_millis(150);
const KEY_LIMIT: Duration = Duration::from_millis(33);
const IDLE_LIMIT: f64 = 0.01;

fn main() -> ExitCode {
    let home = tempfile::tempdir().expect("a temporary directory");
    prepare(home.path());
    let kept = [first_frame(home.path()), keys_and_idling(home.path())];
    ExitCode::from(u8::from(kept.contains(&false)))
}

/// The default model, the sample documents indexed, and more documents to index later.
fn prepare(home: &Path) {
    let models = home.join("data/models");
    fs::create_dir_all(&models).expect("a directory can be made");
    let model = support::default_model();
    std::os::unix::fs::symlink(&model, models.join(model.file_name().expect("a model has a name")))
        .expect("a link can be made");
    fs::create_dir_all(home.join("config")).expect("a directory can be made");
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_corpus");
    let status = Command::new(env!("CARGO_BIN_EXE_gibbon"))
        .args(["index", "--quiet"])
        .arg(&samples)
        .env("GIBBON_HOME", home)
        .env("HF_HUB_OFFLINE", "1")
        .status()
        .expect("the program runs");
    assert!(status.success(), "the samples could not be indexed");
    let more = home.join("more");
    fs::create_dir_all(&more).expect("a directory can be made");
    for number in 0..400 {
        let lines = (0..60).map(|line| {
            format!(
                "Reading {line} of day {number}: the gauge at mast {} showed {} units.\n",
                line % 7,
                line * number
            )
        });
        fs::write(more.join(format!("day-{number}.md")), lines.collect::<String>())
            .expect("a file can be written");
    }
}

/// From the start of the process to the first frame.
fn first_frame(home: &Path) -> bool {
    let times: Vec<Duration> = (0..STARTS)
        .map(|_| {
            let started = Instant::now();
            let mut terminal = Terminal::start(home, &["chat"], &[], SIZE);
            let (_, at) = terminal.shows_when("the first frame", |picture| picture.contains("gibbon"));
            terminal.press("\u{3}\u{3}");
            terminal.ends();
            at - started
        })
        .collect();
    report("start to first frame", &times, 1.0, FIRST_FRAME_LIMIT)
}

fn keys_and_idling(home: &Path) -> bool {
    let mut terminal = Terminal::start(home, &["chat"], &[], SIZE);
    terminal.shows("SmolLM2");
    terminal.shows("chunks");

    let mut kept = report("key to frame, idle", &type_keys(&mut terminal, || true), 0.99, KEY_LIMIT);
    terminal.press("/index more\r");
    terminal.shows("encoding");
    kept &= report("key to frame, encoding", &type_keys(&mut terminal, || true), 0.99, KEY_LIMIT);
    // Answers that are as long as they may be, one after the other, while the index run goes on where it can.
    let question =
        "Describe in detail everything that the night assistant has to do before, during and after a storm.";
    let mut times = Vec::new();
    while times.len() < KEYS {
        terminal.press(&format!("{question}\r"));
        terminal.shows("answering");
        times.extend(type_while(&mut terminal, |picture| picture.contains("answering")));
        terminal.shows_when("the end of the answer", |picture| !picture.contains("answering"));
    }
    kept &= report("key to frame, decoding and indexing", &times, 0.99, KEY_LIMIT);
    terminal.press("\u{3}\u{3}");
    terminal.ends();

    let mut terminal = Terminal::start(home, &["chat"], &[], SIZE);
    terminal.shows("SmolLM2");
    thread::sleep(Duration::from_secs(2));
    let before = processor_time(&terminal);
    thread::sleep(IDLE);
    let share = (processor_time(&terminal) - before).as_secs_f64() / IDLE.as_secs_f64();
    let kept_idle = share < IDLE_LIMIT;
    println!(
        "{:<38} {:.2} % of a core over {} s (limit {:.0} %){}",
        "idle",
        share * 100.0,
        IDLE.as_secs(),
        IDLE_LIMIT * 100.0,
        verdict(kept_idle)
    );
    terminal.press("\u{3}\u{3}");
    terminal.ends();
    kept && kept_idle
}

/// Types [`KEYS`] keys into the question and takes them out again, while `go_on` holds.
fn type_keys(terminal: &mut Terminal, go_on: impl Fn() -> bool) -> Vec<Duration> {
    let mut times = Vec::new();
    while times.len() < KEYS && go_on() {
        times.extend(type_while(terminal, |_| true));
    }
    times
}

/// Types a row of letters into the question while the picture is as it should be, measures how long each takes to be
/// seen, and takes them out again.
fn type_while(terminal: &mut Terminal, go_on: impl Fn(&str) -> bool) -> Vec<Duration> {
    let mut typed = String::from("q");
    terminal.press("q");
    terminal.shows_when("the first letter", |picture| question(picture) == "q");
    let mut times = Vec::new();
    while typed.len() < 100 && go_on(&terminal.picture()) {
        thread::sleep(BETWEEN_KEYS);
        let letter = char::from(b'a' + (typed.len() % 26) as u8);
        typed.push(letter);
        let pressed = Instant::now();
        terminal.press(&letter.to_string());
        let (_, at) = terminal.shows_when("the letter", |picture| question(picture) == typed);
        times.push(at.saturating_duration_since(pressed));
    }
    terminal.press("\u{15}");
    terminal.shows_when("an empty question", |picture| question(picture) != typed);
    times
}

/// What stands in the question's box.
fn question(picture: &str) -> &str {
    let row = picture.lines().rev().find(|row| row.contains("│ ❯")).unwrap_or_default();
    let text = row.split_once("│ ❯").map_or("", |(_, text)| text);
    text.trim().trim_end_matches('│').trim()
}

/// User and system time of the program so far.
fn processor_time(terminal: &Terminal) -> Duration {
    let path = format!("/proc/{}/stat", terminal.process().as_raw_nonzero());
    let stat = fs::read_to_string(path).expect("a running process has a stat file");
    // The name, in parentheses, may hold blanks; user and system time are the 12th and 13th field after it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 =
        [fields[11], fields[12]].iter().map(|field| field.parse::<u64>().expect("a number")).sum();
    Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND)
}

/// Prints median, 99th percentile and largest of the times; whether the quantile `limited` is within the limit.
fn report(what: &str, times: &[Duration], limited: f64, limit: Duration) -> bool {
    let mut sorted = times.to_vec();
    sorted.sort();
    let quantile =
        |share: f64| sorted[((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len()) - 1];
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let kept = quantile(limited) <= limit;
    println!(
        "{what:<38} median {:.1} ms, p99 {:.1} ms, largest {:.1} ms, of {} (limit {} ms{}){}",
        milliseconds(quantile(0.5)),
        milliseconds(quantile(0.99)),
        milliseconds(quantile(1.0)),
        sorted.len(),
        limit.as_millis(),
        if limited < 1.0 { " for p99" } else { "" },
        verdict(kept),
    );
    kept
}

fn verdict(kept: bool) -> &'static str {
    if kept { "" } else { "  TOO SLOW" }
}
