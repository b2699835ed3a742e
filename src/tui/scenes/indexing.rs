//! Indexing, in its view and beside the chat.

use crossterm::event::KeyCode;

use super::{Scene, Stage, chat::empty, data::index_report};
use crate::engine::{Event, IndexPhase, Outcome, Progress, Unit};

#[rustfmt::skip]
pub const SCENES: &[Scene] = &[
    Scene { name: "indexing", description: "A folder is being indexed while the chat goes on.", build: indexing },
    Scene { name: "indexed", description: "A folder was indexed; one file was left out.", build: indexed },
    Scene { name: "indexing_view", description: "The view of the indexing.", build: indexing_view },
];

fn indexing(stage: &mut Stage) {
    empty(stage);
    stage.send("/index notes");
    let progress = Progress {
        phase: IndexPhase::Encode,
        done: 117,
        total: 260,
        unit: Unit::Chunks,
        cache_bytes: 0,
        hold: None,
    };
    stage.engine(Event::Progress { id: stage.id(), progress });
}

fn indexed(stage: &mut Stage) {
    indexing(stage);
    stage.engine(Event::Done { id: stage.id(), outcome: Outcome::Indexed(index_report()) });
}

fn indexing_view(stage: &mut Stage) {
    indexing(stage);
    stage.press(KeyCode::F(4));
}
