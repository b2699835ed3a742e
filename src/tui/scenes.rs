//! States of the screen, as they come about: keys that are pressed, events that the engine sends, time that passes.
//!
//! `gibbon screenshots` draws them and the screen tests assert them, so that a picture in the documentation is a state
//! that is tested. Each group has a table of its own; see [`all`].

mod chat;
mod chats;
mod comparison;
mod conversation;
pub mod data;
mod help;
mod indexing;
mod log;
mod palette;
mod sources;
mod themes;
mod timings;

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer, layout::Size};

use super::{
    app::{App, Effect, Msg, What},
    highlight::{Code, Highlighter},
    theme::Theme,
    view::draw,
};
use crate::{
    config::Strategy,
    engine::{Command, Event, RequestId},
};

/// A state of the screen.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    /// As files of it are called; no two scenes have the same.
    pub name: &'static str,
    /// What is to be seen, a sentence.
    pub description: &'static str,
    /// Brings an empty screen into this state.
    pub build: fn(&mut Stage),
}

const GROUPS: [&[Scene]; 11] = [
    chat::SCENES,
    conversation::SCENES,
    sources::SCENES,
    timings::SCENES,
    comparison::SCENES,
    indexing::SCENES,
    chats::SCENES,
    log::SCENES,
    palette::SCENES,
    themes::SCENES,
    help::SCENES,
];

/// Every scene.
pub fn all() -> impl Iterator<Item = &'static Scene> {
    GROUPS.into_iter().flatten()
}

/// The scene of this name.
pub fn named(name: &str) -> Option<&'static Scene> {
    all().find(|scene| scene.name == name)
}

/// The screen, with a clock of its own and nobody at the other end: the scene says what the engine answers.
pub struct Stage {
    app: App,
    size: Size,
    at: Duration,
    /// Loaded when there is code to be shown.
    highlighter: Option<Highlighter>,
    /// What was sent, each with the id that it was given.
    sent: Vec<Command>,
}

impl Scene {
    /// The screen in this state.
    pub fn stage(&self, theme: Theme, size: Size) -> Stage {
        let mut stage = Stage::new(theme, size);
        (self.build)(&mut stage);
        stage
    }
}

/// The code whose roles are asked for: the stage answers that at once.
fn take_code(effects: &mut Vec<Effect>) -> Option<Code> {
    let index = effects.iter().position(|effect| matches!(effect, Effect::Highlight(_)))?;
    match effects.remove(index) {
        Effect::Highlight(code) => Some(code),
        _ => None,
    }
}

impl Stage {
    /// An empty screen, at the moment when it was opened.
    pub fn new(theme: Theme, size: Size) -> Self {
        let app = App::new(theme, Strategy::Ape, size);
        Self { app, size, at: Duration::ZERO, highlighter: None, sent: Vec::new() }
    }

    /// Says what happened. A command that the screen asks for gets its id, the number of commands so far, as the loop
    /// gives it one. What else the screen asks for is left to the scene.
    pub fn tell(&mut self, what: What) -> Vec<Effect> {
        let mut effects = self.app.update(Msg { at: self.at, what });
        while let Some(code) = take_code(&mut effects) {
            let highlighted = self.highlighter.get_or_insert_with(Highlighter::load).highlight(code);
            effects.extend(self.app.update(Msg { at: self.at, what: What::Highlighted(highlighted) }));
        }
        for effect in &effects {
            if let Effect::Send(command) = effect {
                let command = command.clone().with_id(RequestId(self.sent.len() as u64 + 1));
                self.sent.push(command.clone());
                self.app.update(Msg { at: self.at, what: What::Sent(command) });
            }
        }
        effects
    }

    /// The strategy with which the next question is answered.
    pub fn strategy(&self) -> Strategy {
        self.app.strategy
    }

    /// Says when the screen was opened, in seconds since the Unix epoch.
    pub fn opened_at(&mut self, seconds: i64) {
        self.app.opened_at(seconds);
    }

    /// The state, for tests to look at.
    #[cfg(test)]
    pub(super) fn app(&self) -> &App {
        &self.app
    }

    /// The commands that were sent.
    pub fn sent(&self) -> &[Command] {
        &self.sent
    }

    /// The id of the last command that was sent.
    pub fn id(&self) -> RequestId {
        RequestId(self.sent.len() as u64)
    }

    pub fn engine(&mut self, event: Event) {
        self.tell(What::Engine(Box::new(event)));
    }

    /// Lets time pass.
    pub fn wait(&mut self, milliseconds: u64) {
        self.at += Duration::from_millis(milliseconds);
        self.tell(What::Tick);
    }

    pub fn press(&mut self, code: KeyCode) -> Vec<Effect> {
        self.press_with(KeyModifiers::NONE, code)
    }

    /// Presses a key while others are held.
    pub fn press_with(&mut self, modifiers: KeyModifiers, code: KeyCode) -> Vec<Effect> {
        self.tell(What::Key(KeyEvent::new(code, modifiers)))
    }

    pub fn type_text(&mut self, text: &str) {
        for character in text.chars() {
            self.press(KeyCode::Char(character));
        }
    }

    /// Types a question or a slash command and presses Enter.
    pub fn send(&mut self, text: &str) {
        self.type_text(text);
        self.press(KeyCode::Enter);
    }

    pub fn resize(&mut self, size: Size) {
        self.size = size;
        self.tell(What::Resized(size));
    }

    /// The cells of the screen.
    pub fn picture(&self) -> Buffer {
        self.picture_of_size(self.size)
    }

    /// The cells of a terminal whose new size the screen has not been told of.
    pub fn picture_of_size(&self, size: Size) -> Buffer {
        let Ok(mut terminal) = Terminal::new(TestBackend::new(size.width, size.height));
        let Ok(_) = terminal.draw(|frame| draw(&self.app, frame));
        terminal.backend().buffer().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scene_has_a_name_of_its_own() {
        let mut names: Vec<_> = all().map(|scene| scene.name).collect();
        names.sort_unstable();
        let every = names.len();
        names.dedup();
        assert_eq!(names.len(), every);
    }

    #[test]
    fn commands_are_numbered() {
        let mut stage = Stage::new(Theme::load("ansi").unwrap(), Size::new(100, 30));
        stage.engine(Event::Ready(data::status()));
        stage.send("/search dome");
        stage.send("/search wind");
        assert!(matches!(stage.sent(), [Command::Search(first), Command::Search(second)]
            if first.id == RequestId(1) && second.id == RequestId(2)));
        assert_eq!(stage.id(), RequestId(2));
    }
}
