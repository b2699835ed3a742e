//! The help.

use crossterm::event::KeyCode;

use super::{Scene, Stage, chat::empty};

#[rustfmt::skip]
pub const SCENES: &[Scene] = &[
    Scene { name: "help", description: "The keys and the slash commands.", build: help },
    Scene { name: "help_search", description: "The help, narrowed to what has the words typed.", build: search },
    Scene { name: "help_nothing", description: "Nothing in the help has the words typed.", build: nothing },
];

fn help(stage: &mut Stage) {
    empty(stage);
    stage.press(KeyCode::F(1));
}

fn search(stage: &mut Stage) {
    help(stage);
    stage.type_text("citation");
}

fn nothing(stage: &mut Stage) {
    help(stage);
    stage.type_text("teleport");
}
