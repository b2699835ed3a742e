//! The keys of the log.

use KeyCode::{Char, Down, Up};

use super::{Action, Binding, Context, KeyCode, bind, key};

/// What the keys of the log do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogAction {
    Up,
    Down,
}

#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    bind(Context::Log, "log.up", &[key(Up), key(Char('k'))], Action::Log(LogAction::Up), "One row back", Some("scroll")),
    bind(Context::Log, "log.down", &[key(Down), key(Char('j'))], Action::Log(LogAction::Down), "One row on", Some("scroll")),
];
