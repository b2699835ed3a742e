//! The keys of what lies over a view: help, palette, choosers.

use KeyCode::{Char, Down, Enter, Esc, F, PageDown, PageUp, Up};

use super::{
    Action, Binding,
    Context::{self, Files, Help, Palette, Themes},
    KeyCode, bind, key,
};

/// What the keys do while something lies over the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OverlayAction {
    Close,
    Up,
    Down,
    /// Takes what is selected.
    Choose,
}

#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    bind(Help, "help.close", &[key(Esc), key(F(1)), key(Char('?')), key(Char('q'))], Action::Overlay(OverlayAction::Close), "Close the help", Some("close")),
    bind(Help, "help.up", &[key(Up), key(PageUp)], Action::Overlay(OverlayAction::Up), "Scroll the help back", Some("scroll")),
    bind(Help, "help.down", &[key(Down), key(PageDown)], Action::Overlay(OverlayAction::Down), "Scroll the help on", Some("scroll")),
    choose(Palette, "palette.choose", "Do what is selected"),
    up(Palette, "palette.up"),
    down(Palette, "palette.down"),
    close(Palette, "palette.close"),
    choose(Files, "files.choose", "Take what is selected"),
    up(Files, "files.up"),
    down(Files, "files.down"),
    close(Files, "files.close"),
    choose(Themes, "themes.choose", "Keep this theme"),
    up(Themes, "themes.up"),
    down(Themes, "themes.down"),
    close(Themes, "themes.close"),
];

const fn choose(context: Context, name: &'static str, description: &'static str) -> Binding {
    bind(
        context,
        name,
        const { &[key(Enter)] },
        Action::Overlay(OverlayAction::Choose),
        description,
        Some("choose"),
    )
}

const fn up(context: Context, name: &'static str) -> Binding {
    bind(
        context,
        name,
        const { &[key(Up)] },
        Action::Overlay(OverlayAction::Up),
        "The one above",
        Some("select"),
    )
}

const fn down(context: Context, name: &'static str) -> Binding {
    bind(
        context,
        name,
        const { &[key(Down)] },
        Action::Overlay(OverlayAction::Down),
        "The one below",
        Some("select"),
    )
}

const fn close(context: Context, name: &'static str) -> Binding {
    bind(
        context,
        name,
        const { &[key(Esc)] },
        Action::Overlay(OverlayAction::Close),
        "Close without a choice",
        Some("close"),
    )
}
