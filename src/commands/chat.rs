//! `chat`: starts the engine and hands it to the screen.

use std::io::{self, IsTerminal};

use tokio::sync::mpsc::UnboundedReceiver;

use super::{Console, Error, Exit};
use crate::{
    config::Config,
    engine::{
        Engine, Event,
        admin::{self, ChatId},
    },
};

/// The screen: takes over the terminal until the user leaves. Begins with the chat, where there is one.
pub type Screen<'a> =
    &'a dyn Fn(&Config, Engine, UnboundedReceiver<Event>, Option<ChatId>) -> Result<(), Error>;

/// With which chat the screen begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    NewChat,
    /// The chat with this id; without one, the chat that was used last.
    Resume(Option<i64>),
}

pub fn run(config: &Config, begin: Begin, screen: Screen) -> Result<Exit, Error> {
    // What is wrong is said before the terminal is taken over.
    let chat = match begin {
        Begin::NewChat => None,
        Begin::Resume(id) => Some(admin::chat_to_resume(config, id.map(ChatId))?),
    };
    if !has_terminal() {
        return Err(Error::usage(
            "the chat needs a terminal",
            "Use `gibbon ask \"…\"` in scripts and pipes; `gibbon --help` lists all commands.",
        ));
    }
    let (engine, events) = Engine::start(config.clone());
    screen(config, engine, events, chat)?;
    Ok(Exit::Done)
}

/// Keys can be read and a screen can be drawn.
pub fn has_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Waits until the user has read what is on the terminal and presses Enter; false at the end of input.
pub fn is_wanted(console: &mut Console) -> Result<bool, Error> {
    console.output("Press Enter for the chat, Ctrl-D to leave. ")?;
    Ok(io::stdin().read_line(&mut String::new())? > 0)
}
