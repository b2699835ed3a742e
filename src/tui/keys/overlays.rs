//! The keys of what lies over a view: help, palette, choosers.

use KeyCode::{Backspace, Down, Enter, Esc, F, PageDown, PageUp, Up};

use super::{
    Action, Binding,
    Context::{self, Code, EmptyFiles, Files, Help, Palette, Themes},
    KeyCode, bind, key,
};

/// What the keys do while something lies over the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OverlayAction {
    Close,
    /// Takes away what was typed; closes where nothing was.
    Back,
    /// Closes the list of files, and takes away the `@` that opened it.
    TakeBack,
    Up,
    Down,
    PageUp,
    PageDown,
    /// Takes what is selected.
    Choose,
}

#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    bind(Help, "help.back", &[key(Esc)], Action::Overlay(OverlayAction::Back), "Clear the words looked for; without any, close the help", Some("back")),
    bind(Help, "help.close", &[key(F(1))], Action::Overlay(OverlayAction::Close), "Close the help", Some("close")),
    bind(Help, "help.up", &[key(Up)], Action::Overlay(OverlayAction::Up), "Scroll the help back", Some("scroll")),
    bind(Help, "help.down", &[key(Down)], Action::Overlay(OverlayAction::Down), "Scroll the help on", Some("scroll")),
    bind(Help, "help.page_up", &[key(PageUp)], Action::Overlay(OverlayAction::PageUp), "A screenful back", None),
    bind(Help, "help.page_down", &[key(PageDown)], Action::Overlay(OverlayAction::PageDown), "A screenful on", None),
    choose(Palette, "palette.choose", "Do what is selected"),
    up(Palette, "palette.up"),
    down(Palette, "palette.down"),
    page_up(Palette, "palette.page_up"),
    page_down(Palette, "palette.page_down"),
    close(Palette, "palette.close"),
    bind(EmptyFiles, "files.take_back", &[key(Backspace)], Action::Overlay(OverlayAction::TakeBack), "Close, and take the `@` back", None),
    choose(Files, "files.choose", "Take what is selected"),
    up(Files, "files.up"),
    down(Files, "files.down"),
    page_up(Files, "files.page_up"),
    page_down(Files, "files.page_down"),
    close(Files, "files.close"),
    choose(Code, "code.choose", "Copy what is selected"),
    up(Code, "code.up"),
    down(Code, "code.down"),
    page_up(Code, "code.page_up"),
    page_down(Code, "code.page_down"),
    close(Code, "code.close"),
    choose(Themes, "themes.choose", "Keep this theme"),
    up(Themes, "themes.up"),
    down(Themes, "themes.down"),
    page_up(Themes, "themes.page_up"),
    page_down(Themes, "themes.page_down"),
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

const fn page_up(context: Context, name: &'static str) -> Binding {
    bind(
        context,
        name,
        const { &[key(PageUp)] },
        Action::Overlay(OverlayAction::PageUp),
        "A screenful up",
        None,
    )
}

const fn page_down(context: Context, name: &'static str) -> Binding {
    bind(
        context,
        name,
        const { &[key(PageDown)] },
        Action::Overlay(OverlayAction::PageDown),
        "A screenful down",
        None,
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
