//! The log.

use crossterm::event::KeyCode;

use super::{Scene, Stage, chat::empty};

#[rustfmt::skip]
pub const SCENES: &[Scene] = &[
    Scene { name: "log", description: "The view of the log.", build: log },
];

fn log(stage: &mut Stage) {
    empty(stage);
    stage.press(KeyCode::F(6));
}
