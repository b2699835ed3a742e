//! The timings of the last answers.

use crossterm::event::KeyCode;

use super::{Scene, Stage, chat::answered};

#[rustfmt::skip]
pub const SCENES: &[Scene] = &[
    Scene { name: "timings", description: "The timings of an answer.", build: timings },
];

fn timings(stage: &mut Stage) {
    answered(stage);
    // Past the conversation and the sources.
    for _ in 0..3 {
        stage.press(KeyCode::Tab);
    }
}
