//! The keys of the timings.

use KeyCode::{Char, Down, End, Esc, Home, PageDown, PageUp, Up};

use super::{Action, Binding, Context::Timings, KeyCode, bind, key};

/// What the keys of the timings do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimingsAction {
    /// The answer above in the list: a newer one.
    Newer,
    /// The answer below in the list: an older one.
    Older,
    Newest,
    Oldest,
    PageUp,
    PageDown,
}

#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    bind(Timings, "timings.newer", &[key(Up), key(Char('k'))], Action::Timings(TimingsAction::Newer), "The answer after", Some("answer")),
    bind(Timings, "timings.older", &[key(Down), key(Char('j'))], Action::Timings(TimingsAction::Older), "The answer before", Some("answer")),
    bind(Timings, "timings.newest", &[key(Home), key(Char('g'))], Action::Timings(TimingsAction::Newest), "The newest answer", None),
    bind(Timings, "timings.oldest", &[key(End), key(Char('G'))], Action::Timings(TimingsAction::Oldest), "The oldest answer of the list", None),
    bind(Timings, "timings.page_up", &[key(PageUp)], Action::Timings(TimingsAction::PageUp), "Scroll the timings back", Some("scroll")),
    bind(Timings, "timings.page_down", &[key(PageDown)], Action::Timings(TimingsAction::PageDown), "Scroll the timings on", Some("scroll")),
    bind(Timings, "timings.leave", &[key(Esc)], Action::ToQuestion, "Back to the question", Some("back")),
];
