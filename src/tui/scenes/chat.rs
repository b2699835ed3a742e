//! The chat: from the first start to an answer, and how an answer ends otherwise.

use crossterm::event::KeyCode;

use super::super::app::What;
use super::{
    Scene, Stage,
    data::{
        ANSWER, CODE_ANSWER, QUESTION, WIDE_ANSWER, answer, answered as answered_outcome, chunks, origins,
        status, wide_chunks,
    },
};
use crate::engine::{Event, Failure, FailureKind, Outcome, Status, StopReason, admin::PullProgress};

#[rustfmt::skip]
pub const SCENES: &[Scene] = &[
    Scene { name: "first_run_fetching", description: "The model is being fetched.", build: first_run_fetching },
    Scene { name: "first_run_failed", description: "The model could not be fetched.", build: first_run_failed },
    Scene { name: "first_run_model", description: "The model is there; documents are needed.", build: first_run_model },
    Scene { name: "first_run", description: "The first start: no model and no index yet.", build: first_run },
    Scene { name: "empty", description: "A chat without a question.", build: empty },
    Scene { name: "retrieved", description: "Chunks are found; their caches are being loaded.", build: retrieved },
    Scene { name: "streaming", description: "An answer as it comes.", build: streaming },
    Scene { name: "answered", description: "An answer with its sources and timings.", build: answered },
    Scene { name: "cancelled", description: "An answer that was cancelled keeps its text.", build: cancelled },
    Scene { name: "failed", description: "A question that could not be answered.", build: failed },
    Scene { name: "markdown", description: "An answer with code, a table, a quote and a list.", build: markdown },
    Scene { name: "markdown_streaming", description: "Code as it comes: finished lines have their colours.", build: markdown_streaming },
    Scene { name: "wide_text", description: "Text that takes two cells for a character.", build: wide_text },
];

fn first_run_fetching(stage: &mut Stage) {
    first_run(stage);
    stage.press(KeyCode::Enter);
    stage.tell(What::FetchProgress(PullProgress::Source("the Hugging Face Hub".to_owned())));
    stage.tell(What::FetchProgress(PullProgress::Bytes { done: 37_000_000, total: 98_362_432 }));
}

fn first_run_failed(stage: &mut Stage) {
    first_run_fetching(stage);
    let failure = Failure {
        kind: FailureKind::NoModel,
        message: "The Hugging Face Hub could not be reached.".to_owned(),
        hint: Some("Connect to the network, or give the path of a model file with `--model`.".to_owned()),
    };
    stage.tell(What::Fetched(Err(failure)));
}

fn first_run_model(stage: &mut Stage) {
    stage.engine(Event::Ready(Status { files: 0, chunks: 0, cached_chunks: 0, cache_bytes: 0, ..status() }));
}

fn first_run(stage: &mut Stage) {
    stage.engine(Event::Ready(Status::default()));
}

/// An engine with a model and indexed files.
pub fn empty(stage: &mut Stage) {
    stage.engine(Event::Ready(status()));
}

/// The chunks of a question are found.
pub fn retrieved(stage: &mut Stage) {
    empty(stage);
    stage.send(QUESTION);
    stage.wait(120);
    stage.engine(Event::Retrieved { id: stage.id(), chunks: chunks() });
}

/// Half of an answer is there.
pub fn streaming(stage: &mut Stage) {
    retrieved(stage);
    let id = stage.id();
    stage.engine(Event::Loaded { id, origins: origins() });
    stage.engine(Event::Prefilled { id, tokens: 31 });
    // In pieces that fall into the middle of a label and of a line.
    for piece in before("at the panel").split_inclusive(['e', ']']) {
        stage.engine(Event::Token { id, text: piece.to_owned() });
    }
    stage.wait(1380);
}

/// The whole answer is there.
pub fn answered(stage: &mut Stage) {
    streaming(stage);
    let id = stage.id();
    let message = "The cache of “dome_control.py § close_shutter” was damaged; it has been encoded again.";
    stage.engine(Event::Warning { id: Some(id), message: message.to_owned() });
    stage.engine(Event::Done { id, outcome: answered_outcome(ANSWER, StopReason::EndOfText) });
}

fn cancelled(stage: &mut Stage) {
    streaming(stage);
    stage.press(KeyCode::Esc);
    let outcome = answered_outcome(before("The night"), StopReason::Cancelled);
    stage.engine(Event::Done { id: stage.id(), outcome });
}

fn failed(stage: &mut Stage) {
    first_run(stage);
    stage.send(QUESTION);
    let failure = Failure {
        kind: FailureKind::NoModel,
        message: "There is no model on this machine.".to_owned(),
        hint: Some("Run `gibbon model pull`, then start Gibbon again.".to_owned()),
    };
    stage.engine(Event::Failed { id: stage.id(), failure });
}

fn markdown(stage: &mut Stage) {
    retrieved(stage);
    stage.engine(Event::Done {
        id: stage.id(),
        outcome: answered_outcome(CODE_ANSWER, StopReason::EndOfText),
    });
}

fn markdown_streaming(stage: &mut Stage) {
    retrieved(stage);
    let text = CODE_ANSWER.split("limit:").next().unwrap_or(CODE_ANSWER);
    stage.engine(Event::Token { id: stage.id(), text: text.to_owned() });
    stage.wait(700);
}

fn wide_text(stage: &mut Stage) {
    empty(stage);
    stage.send(QUESTION);
    let id = stage.id();
    stage.engine(Event::Retrieved { id, chunks: wide_chunks() });
    let mut answer = answer(WIDE_ANSWER, StopReason::EndOfText);
    answer.sources = wide_chunks();
    stage.engine(Event::Done { id, outcome: Outcome::Answer(answer) });
    // Past the conversation, to the sources.
    stage.press(KeyCode::Tab);
    stage.press(KeyCode::Tab);
    stage.press(KeyCode::Down);
}

/// The answer up to these words of it.
fn before(words: &str) -> &'static str {
    ANSWER.split(words).next().unwrap_or(ANSWER)
}
