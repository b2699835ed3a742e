//! The keys of the comparison.

use KeyCode::{Char, Down, Up};

use super::{Action, Binding, Context, KeyCode, bind, key};

/// What the keys of the comparison do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ComparisonAction {
    Up,
    Down,
}

#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    bind(Context::Comparison, "comparison.up", &[key(Up), key(Char('k'))], Action::Comparison(ComparisonAction::Up), "One row back", Some("scroll")),
    bind(Context::Comparison, "comparison.down", &[key(Down), key(Char('j'))], Action::Comparison(ComparisonAction::Down), "One row on", Some("scroll")),
];
