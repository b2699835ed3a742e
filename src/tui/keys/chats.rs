//! The keys of the list of chats.

use KeyCode::{Char, Down, Up};

use super::{Action, Binding, Context, KeyCode, bind, key};

/// What the keys of the list of chats do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChatsAction {
    Up,
    Down,
}

#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    bind(Context::Chats, "chats.up", &[key(Up), key(Char('k'))], Action::Chats(ChatsAction::Up), "One row back", Some("scroll")),
    bind(Context::Chats, "chats.down", &[key(Down), key(Char('j'))], Action::Chats(ChatsAction::Down), "One row on", Some("scroll")),
];
