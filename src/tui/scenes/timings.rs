//! The timings of the last answers.

use crossterm::event::{KeyCode, KeyModifiers};

use super::{
    Scene, Stage,
    chat::{answered, empty, streaming},
    data::{ANSWER, QUESTION, answer, chunks},
};
use crate::{
    config::Strategy,
    engine::{CacheOrigin, Event, LoadTiming, Outcome, PrefillTiming, RetrievedChunk, StopReason},
};

#[rustfmt::skip]
pub const SCENES: &[Scene] = &[
    Scene { name: "timings", description: "The timings of an answer.", build: timings },
    Scene { name: "timings_empty", description: "The timings before the first answer.", build: timings_empty },
    Scene { name: "timings_streaming", description: "The timings of an answer as it comes.", build: timings_streaming },
    Scene { name: "timings_estimated", description: "What full would have cost, as an estimate.", build: timings_estimated },
    Scene { name: "timings_several", description: "The timings of several answers; full was measured.", build: timings_several },
];

fn timings(stage: &mut Stage) {
    answered(stage);
    to_timings(stage);
}

fn timings_empty(stage: &mut Stage) {
    empty(stage);
    to_timings(stage);
}

/// Tokens come at 25 a second.
fn timings_streaming(stage: &mut Stage) {
    streaming(stage);
    let id = stage.id();
    for word in ["at ", "the ", "panel ", "under "].into_iter().cycle().take(60) {
        stage.wait(40);
        stage.engine(Event::Token { id, text: word.to_owned() });
    }
    to_timings(stage);
}

fn timings_estimated(stage: &mut Stage) {
    empty(stage);
    ask(stage, "What is the dew point limit for opening?", 24.1);
    to_timings(stage);
}

/// The same question with `full` last, so that what it costs is measured; an older answer is selected.
fn timings_several(stage: &mut Stage) {
    empty(stage);
    for (question, speed) in [
        ("Who is on call when the shutter stops half way?", 25.2),
        ("Which lamp must be steady green, and for how long?", 23.9),
        ("What is the dew point limit for opening?", 26.4),
        (QUESTION, 24.8),
    ] {
        ask(stage, question, speed);
    }
    for _ in 0..3 {
        stage.press_with(KeyModifiers::CONTROL, KeyCode::Char('s'));
    }
    ask(stage, QUESTION, 25.6);
    to_timings(stage);
    stage.press(KeyCode::Down);
}

/// Asks, and is answered out of the cache, or by `full` where that is the strategy.
fn ask(stage: &mut Stage, question: &str, speed: f64) {
    let full = stage.strategy() == Strategy::Full;
    stage.send(question);
    let id = stage.id();
    stage.engine(Event::Retrieved { id, chunks: measured_chunks() });
    let mut answer = answer(ANSWER, StopReason::EndOfText);
    answer.sources = measured_chunks();
    let timings = &mut answer.timings;
    timings.encode = Default::default();
    timings.decode.tokens_per_second = speed;
    timings.decode.seconds = timings.decode.tokens as f64 / speed;
    if full {
        answer.strategy = Strategy::Full;
        answer.origins = vec![CacheOrigin::Unused; measured_chunks().len()];
        timings.load = LoadTiming::default();
        timings.assemble_seconds = 0.0;
        timings.prefill = PrefillTiming { seconds: 1.9, tokens: 921 };
    } else {
        answer.origins = vec![CacheOrigin::Memory, CacheOrigin::Disk, CacheOrigin::Disk, CacheOrigin::Memory];
        timings.load.misses = 0;
        timings.load.damaged = 0;
    }
    let phases = timings.phases().map(|phase| phase.seconds);
    timings.total_seconds = phases.iter().sum();
    timings.time_to_first_token_seconds = timings.total_seconds - timings.decode.seconds;
    stage.engine(Event::Done { id, outcome: Outcome::Answer(answer) });
}

/// The chunks that are drawn on.
fn measured_chunks() -> Vec<RetrievedChunk> {
    chunks().into_iter().take(4).collect()
}

fn to_timings(stage: &mut Stage) {
    // Past the conversation and the sources.
    for _ in 0..3 {
        stage.press(KeyCode::Tab);
    }
}
