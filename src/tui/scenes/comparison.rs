//! The comparison of strategies.

use crossterm::event::KeyCode;

use super::{Scene, Stage, chat::empty};

#[rustfmt::skip]
pub const SCENES: &[Scene] = &[
    Scene { name: "comparison", description: "The view of the comparison, with nothing compared yet.", build: comparison },
];

fn comparison(stage: &mut Stage) {
    empty(stage);
    stage.press(KeyCode::F(3));
}
