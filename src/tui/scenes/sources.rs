//! The sources of an answer.

use crossterm::event::KeyCode;

use super::{Scene, Stage, chat::answered};

#[rustfmt::skip]
pub const SCENES: &[Scene] = &[
    Scene { name: "sources", description: "The second source of an answer is selected.", build: sources },
];

fn sources(stage: &mut Stage) {
    answered(stage);
    // Past the conversation.
    stage.press(KeyCode::Tab);
    stage.press(KeyCode::Tab);
    stage.press(KeyCode::Down);
}
