//! The sources of an answer, and choosing what a question draws on.

use crossterm::event::KeyCode;

use super::{
    Scene, Stage,
    chat::{answered, empty},
    data::{ANSWER, answer, chunks, document, files, origins},
};
use crate::engine::{CatalogueReply, ChunkReason, Event, Failure, FailureKind, Outcome, StopReason};

#[rustfmt::skip]
pub const SCENES: &[Scene] = &[
    Scene { name: "sources", description: "The second source of an answer is selected.", build: sources },
    Scene { name: "document", description: "The document around a source.", build: around },
    Scene { name: "document_part", description: "A part of a document that is too large to be shown whole.", build: part },
    Scene { name: "document_changed", description: "A document that cannot be shown says why.", build: changed },
    Scene { name: "chosen", description: "A question with a pinned chunk, a dropped one and a scope.", build: chosen },
    Scene { name: "files", description: "Choosing a file or folder to ask about.", build: choosing },
    Scene { name: "files_matching", description: "Files that match what was typed.", build: matching },
    Scene { name: "files_none", description: "No file matches what was typed.", build: none_matching },
];

/// The sources have the keyboard.
fn at_sources(stage: &mut Stage) {
    answered(stage);
    // Past the conversation.
    stage.press(KeyCode::Tab);
    stage.press(KeyCode::Tab);
}

fn sources(stage: &mut Stage) {
    at_sources(stage);
    stage.press(KeyCode::Down);
}

fn around(stage: &mut Stage) {
    at_sources(stage);
    stage.press(KeyCode::Enter);
    let outcome = Outcome::Catalogue(CatalogueReply::Document(document()));
    stage.engine(Event::Done { id: stage.id(), outcome });
}

fn part(stage: &mut Stage) {
    at_sources(stage);
    stage.press(KeyCode::Enter);
    let mut text = document();
    // From the heading over the source on.
    let (before, after) = text.text.split_once("## Closing").unwrap_or_default();
    text.first_line = before.matches('\n').count() as u32 + 1;
    text.text = format!("## Closing{after}");
    text.is_whole = false;
    stage.engine(Event::Done { id: stage.id(), outcome: Outcome::Catalogue(CatalogueReply::Document(text)) });
}

fn changed(stage: &mut Stage) {
    at_sources(stage);
    stage.press(KeyCode::Enter);
    let failure = Failure {
        kind: FailureKind::BadRequest,
        message: "/home/ada/observatory/handbook/dome.md has changed since it was indexed".to_owned(),
        hint: Some("`gibbon index` brings the index up to date.".to_owned()),
    };
    stage.engine(Event::Failed { id: stage.id(), failure });
}

/// Asked again without the third source and with the first one pinned; then a folder is chosen for what comes next.
fn chosen(stage: &mut Stage) {
    at_sources(stage);
    stage.press(KeyCode::Char('p'));
    stage.press(KeyCode::Down);
    stage.press(KeyCode::Down);
    stage.press(KeyCode::Char('x'));
    let id = stage.id();
    let mut answer = answer(ANSWER, StopReason::EndOfText);
    answer.sources = chunks();
    answer.sources.remove(2);
    answer.origins.truncate(4);
    for (index, source) in answer.sources.iter_mut().enumerate() {
        source.rank = index + 1;
    }
    answer.sources[0].reason = ChunkReason::Pinned;
    answer.sources[3].reason = ChunkReason::Carried;
    stage.engine(Event::Retrieved { id, chunks: answer.sources.clone() });
    stage.engine(Event::Loaded { id, origins: origins() });
    stage.engine(Event::Done { id, outcome: Outcome::Answer(answer) });
    stage.press(KeyCode::Esc);
    open_files(stage);
    stage.type_text("handbook/");
    stage.press(KeyCode::Enter);
    stage.press(KeyCode::Tab);
    stage.press(KeyCode::Tab);
    for _ in 0..4 {
        stage.press(KeyCode::Down);
    }
}

fn open_files(stage: &mut Stage) {
    stage.press(KeyCode::Char('@'));
    stage.engine(Event::Done { id: stage.id(), outcome: Outcome::Catalogue(files()) });
}

fn choosing(stage: &mut Stage) {
    empty(stage);
    stage.type_text("When is it closed in ");
    open_files(stage);
    stage.press(KeyCode::Down);
    stage.press(KeyCode::Down);
}

fn matching(stage: &mut Stage) {
    empty(stage);
    open_files(stage);
    stage.type_text("dome");
}

fn none_matching(stage: &mut Stage) {
    empty(stage);
    open_files(stage);
    stage.type_text("budget 2019");
}
