//! The comparison of strategies.

use crossterm::event::KeyCode;

use super::{
    Scene, Stage,
    chat::{answered, empty},
    data::{ANSWER, QUESTION, chunks, origins},
};
use crate::{
    config::Strategy,
    engine::{
        Answer, CacheOrigin, Comparison, ComparisonResult, ComparisonRow, DecodeTiming, Event, Failure,
        FailureKind, LoadTiming, Outcome, PrefillTiming, StopReason, Timings,
    },
};

#[rustfmt::skip]
pub const SCENES: &[Scene] = &[
    Scene { name: "comparison", description: "The view of the comparison, with nothing compared yet.", build: nothing },
    Scene { name: "comparison_running", description: "A comparison under way: the runs that are done are shown.", build: running },
    Scene { name: "comparison_cancelled", description: "A cancelled comparison keeps what was measured.", build: cancelled },
    Scene { name: "comparison_failed", description: "A comparison that could not be made says why.", build: failed },
    Scene { name: "comparison_finished", description: "Four strategies beside each other: phases, numbers, answers.", build: finished },
    Scene { name: "comparison_explained", description: "What the numbers mean, and the words that an answer lacks.", build: explained },
    Scene { name: "comparison_answers", description: "Further down, with the names of the answers still over them.", build: answers },
    Scene { name: "comparison_hostile", description: "Text that would break columns and a strategy that failed.", build: hostile },
];

const RUNS: usize = 3;

const PARALLEL_ANSWER: &str = "Close the dome when the wind has been above 18 m/s \
    [dome.md § Closing in wind; weather.md § Limits]. The night assistant does it without asking.";

const APE_ANSWER: &str = "Close the dome when the wind at the mast has been above 18 m/s for two minutes \
    [dome.md § Closing in wind; weather.md § Limits]. The night assistant does it at once:\n\n\
    1. Park the telescope at zenith.\n\
    2. Turn the key DOME to LOCAL and hold CLOSE until the lamp is a steady green, about 90 s \
    [dome.md § Closing in wind].\n\
    3. Write it into the log.";

fn nothing(stage: &mut Stage) {
    empty(stage);
    stage.press(KeyCode::F(3));
}

/// One run of a strategy; later runs take a little longer.
fn run(strategy: Strategy, text: &str, number: usize) -> Answer {
    let slower = 1.0 + 0.04 * (number as f64 - 1.0);
    let (load, prefill, tokens) = match strategy {
        Strategy::Full => (0.0, 2.31, 1043),
        Strategy::Concat => (0.031, 0.24, 31),
        Strategy::Parallel => (0.034, 0.11, 31),
        Strategy::Ape => (0.033, 0.13, 31),
    };
    let (load, prefill, decode) = (load * slower, prefill * slower, 3.4 * slower);
    let first_token = 0.0021 + load + prefill + 0.021 + 0.004;
    Answer {
        question: QUESTION.to_owned(),
        text: text.to_owned(),
        strategy,
        stop: StopReason::EndOfText,
        sources: chunks(),
        origins: if strategy == Strategy::Full { vec![CacheOrigin::Unused; 5] } else { origins() },
        tokens: (0..90)
            .map(|token| if token < first_words(strategy) { token } else { 900 + token })
            .collect(),
        timings: Timings {
            retrieve_seconds: 0.0021,
            load: LoadTiming {
                seconds: load,
                bytes: 52_000_000,
                disk_hits: 5,
                files: 5,
                ..LoadTiming::default()
            },
            prefill: PrefillTiming { seconds: prefill, tokens },
            first_token_seconds: 0.021,
            decode: DecodeTiming { seconds: decode, tokens: 89, tokens_per_second: 89.0 / decode },
            time_to_first_token_seconds: first_token,
            total_seconds: first_token + decode,
            ..Timings::default()
        },
        kept: None,
    }
}

/// Tokens from the beginning that are those of `full`.
fn first_words(strategy: Strategy) -> u32 {
    match strategy {
        Strategy::Full | Strategy::Concat => 90,
        Strategy::Parallel => 8,
        Strategy::Ape => 38,
    }
}

fn texts() -> [(Strategy, &'static str); 4] {
    [
        (Strategy::Full, ANSWER),
        (Strategy::Concat, ANSWER),
        (Strategy::Parallel, PARALLEL_ANSWER),
        (Strategy::Ape, APE_ANSWER),
    ]
}

/// What the engine says at the end; a strategy without a text has failed.
fn comparison(question: &str, texts: [(Strategy, Option<&str>); 4]) -> Comparison {
    let runs =
        |strategy, text: &str| (1..=RUNS).map(|number| run(strategy, text, number)).collect::<Vec<_>>();
    let full = texts[0].1.map(|text| runs(Strategy::Full, text));
    let row = |(strategy, text): (Strategy, Option<&str>)| {
        let result = text.and_then(|text| ComparisonResult::of(&runs(strategy, text), full.as_deref()));
        let result = result.map(|mut result| {
            result.first_token_divergence = Some(match strategy {
                Strategy::Full => 0.0,
                Strategy::Concat => 0.0004,
                Strategy::Parallel => 0.412,
                Strategy::Ape => 0.087,
            });
            result
        });
        let failure = || Failure {
            kind: FailureKind::ContextTooLong,
            message: "the chunks and the question take 9,120 tokens, more than the model's 8,192".to_owned(),
            hint: Some("Take fewer chunks.".to_owned()),
        };
        ComparisonRow { strategy, result: result.ok_or_else(failure) }
    };
    Comparison { question: question.to_owned(), runs: RUNS, sources: chunks(), rows: texts.map(row).to_vec() }
}

/// The question of the last answer is compared; the chunks have been found.
fn begun(stage: &mut Stage) {
    answered(stage);
    stage.send("/compare");
    stage.engine(Event::Retrieved { id: stage.id(), chunks: chunks() });
}

fn running(stage: &mut Stage) {
    begun(stage);
    let message = "1 chunk had no cache and was encoded before the first run".to_owned();
    stage.engine(Event::Warning { id: Some(stage.id()), message });
    for number in 1..=2 {
        for (strategy, text) in texts().into_iter().take(if number == 1 { 4 } else { 1 }) {
            let answer = Box::new(run(strategy, text, number));
            stage.engine(Event::Measured { id: stage.id(), run: number, runs: RUNS, answer });
        }
    }
    stage.wait(300);
}

fn cancelled(stage: &mut Stage) {
    running(stage);
    stage.press(KeyCode::Esc);
}

fn failed(stage: &mut Stage) {
    begun(stage);
    let failure = Failure {
        kind: FailureKind::NoMatch,
        message: "no chunk holds a word of the question".to_owned(),
        hint: Some("Try other words.".to_owned()),
    };
    stage.engine(Event::Failed { id: stage.id(), failure });
}

fn finished(stage: &mut Stage) {
    begun(stage);
    let texts = texts().map(|(strategy, text)| (strategy, Some(text)));
    stage.engine(Event::Done { id: stage.id(), outcome: Outcome::Comparison(comparison(QUESTION, texts)) });
}

fn explained(stage: &mut Stage) {
    finished(stage);
    stage.press(KeyCode::Char('?'));
    stage.press(KeyCode::Char('d'));
}

fn answers(stage: &mut Stage) {
    finished(stage);
    stage.press(KeyCode::Right);
    stage.press(KeyCode::Right);
    stage.press(KeyCode::End);
}

fn hostile(stage: &mut Stage) {
    empty(stage);
    let text = "a\u{1b}[31mb\u{9b}2J\u{202e}c\u{200b}\td 日本語の文書 👩\u{200d}🚀 e\u{301}\u{302}\u{303} {+x+} [-2-] ";
    let long = text.repeat(6) + &"長".repeat(120) + &"w".repeat(200);
    stage.send("/compare 日本語の手引き? 👩\u{200d}🚀");
    stage.engine(Event::Retrieved { id: stage.id(), chunks: chunks() });
    let texts = [
        (Strategy::Full, Some("Close it. 日本語 {+x+}")),
        (Strategy::Concat, None),
        (Strategy::Parallel, Some(long.as_str())),
        (Strategy::Ape, Some("")),
    ];
    stage.engine(Event::Done { id: stage.id(), outcome: Outcome::Comparison(comparison(text, texts)) });
}
