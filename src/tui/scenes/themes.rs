//! The chooser of themes.

use crossterm::event::KeyCode;

use super::{Scene, Stage, chat::answered};

#[rustfmt::skip]
pub const SCENES: &[Scene] = &[
    Scene { name: "themes", description: "A theme is being chosen; the one that is selected is on the screen.", build: themes },
];

fn themes(stage: &mut Stage) {
    answered(stage);
    stage.press(KeyCode::F(7));
}
