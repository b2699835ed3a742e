//! `chat`: starts the engine and hands it to the screen.

use std::io::{self, IsTerminal};

use tokio::sync::mpsc::UnboundedReceiver;

use super::{Console, Error, Exit};
use crate::{
    config::Config,
    engine::{Engine, Event},
};

/// The screen: takes over the terminal until the user leaves.
pub type Screen<'a> = &'a dyn Fn(&Config, Engine, UnboundedReceiver<Event>) -> Result<(), Error>;

pub fn run(config: &Config, screen: Screen) -> Result<Exit, Error> {
    if !has_terminal() {
        return Err(Error::usage(
            "the chat needs a terminal",
            "Use `gibbon ask \"…\"` in scripts and pipes; `gibbon --help` lists all commands.",
        ));
    }
    let (engine, events) = Engine::start(config.clone());
    screen(config, engine, events)?;
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
