//! The palette of actions, and slash commands being typed.

use crossterm::event::{KeyCode, KeyModifiers};

use super::{Scene, Stage, chat::empty};

#[rustfmt::skip]
pub const SCENES: &[Scene] = &[
    Scene { name: "palette", description: "Everything that can be done now, by name.", build: palette },
    Scene { name: "palette_typed", description: "The palette, narrowed by typing.", build: palette_typed },
    Scene { name: "slash_completion", description: "A slash command being completed.", build: slash_completion },
];

fn palette(stage: &mut Stage) {
    empty(stage);
    stage.press_with(KeyModifiers::CONTROL, KeyCode::Char('p'));
}

fn palette_typed(stage: &mut Stage) {
    palette(stage);
    stage.type_text("copy");
    stage.press(KeyCode::Down);
}

fn slash_completion(stage: &mut Stage) {
    empty(stage);
    stage.type_text("/");
    stage.press(KeyCode::Down);
}
