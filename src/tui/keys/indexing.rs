//! The keys of the indexing.

use KeyCode::{Char, Down, Up};

use super::{Action, Binding, Context, KeyCode, bind, key};

/// What the keys of the indexing do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IndexingAction {
    Up,
    Down,
}

#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    bind(Context::Indexing, "indexing.up", &[key(Up), key(Char('k'))], Action::Indexing(IndexingAction::Up), "One row back", Some("scroll")),
    bind(Context::Indexing, "indexing.down", &[key(Down), key(Char('j'))], Action::Indexing(IndexingAction::Down), "One row on", Some("scroll")),
];
