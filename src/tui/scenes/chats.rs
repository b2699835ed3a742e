//! The chats that were kept.

use crossterm::event::KeyCode;

use super::{Scene, Stage, chat::empty};

#[rustfmt::skip]
pub const SCENES: &[Scene] = &[
    Scene { name: "chats", description: "The view of the chats.", build: chats },
];

fn chats(stage: &mut Stage) {
    empty(stage);
    stage.press(KeyCode::F(5));
}
