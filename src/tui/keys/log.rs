//! The keys of the log.

use KeyCode::{Char, Down, End, Home, PageDown, PageUp, Up};

use super::{Action, Binding, Context::Log, KeyCode, bind, key};

/// What the keys of the log do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogAction {
    Up,
    Down,
    PageUp,
    PageDown,
    Oldest,
    /// Follows what is being written.
    Newest,
}

#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    bind(Log, "log.up", &[key(Up), key(Char('k'))], Action::Log(LogAction::Up), "One row back", Some("scroll")),
    bind(Log, "log.down", &[key(Down), key(Char('j'))], Action::Log(LogAction::Down), "One row on", Some("scroll")),
    bind(Log, "log.page_up", &[key(PageUp)], Action::Log(LogAction::PageUp), "A screenful back", Some("scroll")),
    bind(Log, "log.page_down", &[key(PageDown)], Action::Log(LogAction::PageDown), "A screenful on", Some("scroll")),
    bind(Log, "log.oldest", &[key(Home), key(Char('g'))], Action::Log(LogAction::Oldest), "The oldest line", Some("ends")),
    bind(Log, "log.newest", &[key(End), key(Char('G'))], Action::Log(LogAction::Newest), "The newest line; follows the log", Some("ends")),
];
