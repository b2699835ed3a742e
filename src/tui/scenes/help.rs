//! The help.

use crossterm::event::KeyCode;

use super::{Scene, Stage, chat::empty};

#[rustfmt::skip]
pub const SCENES: &[Scene] = &[
    Scene { name: "help", description: "The keys and the slash commands.", build: help },
];

fn help(stage: &mut Stage) {
    empty(stage);
    stage.press(KeyCode::F(1));
}
