//! The conversation under the keyboard.

use crossterm::event::{KeyCode, KeyModifiers};

use super::{Scene, Stage, chat::answered};

#[rustfmt::skip]
pub const SCENES: &[Scene] = &[
    Scene { name: "conversation", description: "A turn and one of its citations are selected.", build: conversation },
    Scene { name: "editing", description: "An earlier question is edited.", build: editing },
    Scene { name: "asked_again", description: "A question asked again takes the place of the first one.", build: asked_again },
    Scene { name: "new_chat", description: "A new chat under the one before.", build: new_chat },
];

fn conversation(stage: &mut Stage) {
    answered(stage);
    stage.press(KeyCode::Tab);
    stage.press(KeyCode::Char('['));
    stage.press(KeyCode::Char('n'));
    stage.press(KeyCode::Char('n'));
}

fn editing(stage: &mut Stage) {
    answered(stage);
    stage.press_with(KeyModifiers::CONTROL, KeyCode::Char('e'));
}

fn asked_again(stage: &mut Stage) {
    answered(stage);
    stage.press_with(KeyModifiers::CONTROL, KeyCode::Char('r'));
    stage.wait(100);
}

fn new_chat(stage: &mut Stage) {
    answered(stage);
    stage.press_with(KeyModifiers::CONTROL, KeyCode::Char('n'));
}
