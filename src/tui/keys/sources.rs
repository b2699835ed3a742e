//! The keys of the sources, and of what is chosen for the next questions.

use KeyCode::{Backspace, Char, Down, End, Enter, Esc, Home, PageDown, PageUp, Up};

use super::{
    Action, Binding,
    Context::{Chips, Sources},
    KeyCode, bind, key,
};

/// What the keys of the sources do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourcesAction {
    Previous,
    Next,
    PageUp,
    PageDown,
    Beginning,
    End,
    /// Shows the document around the chunk, or the chunk alone again.
    Document,
    Edit,
    Pin,
    PinFile,
    /// Asks again without the chunk, or with one that was dropped.
    Drop,
    /// Takes away what was chosen last for the next questions.
    RemoveChip,
}

#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    bind(Sources, "sources.previous", &[key(Up), key(Char('k'))], act(SourcesAction::Previous), "Select the source before", Some("select")),
    bind(Sources, "sources.next", &[key(Down), key(Char('j'))], act(SourcesAction::Next), "Select the source after", Some("select")),
    bind(Sources, "sources.document", &[key(Enter)], act(SourcesAction::Document), "The document around the chunk, or the chunk alone", Some("document")),
    bind(Sources, "sources.edit", &[key(Char('e'))], act(SourcesAction::Edit), "Open the file at the line in your editor", Some("editor")),
    bind(Sources, "sources.pin", &[key(Char('p'))], act(SourcesAction::Pin), "Pin the chunk to the next questions, or unpin it", Some("pin")),
    bind(Sources, "sources.pin_file", &[key(Char('P'))], act(SourcesAction::PinFile), "Pin the whole file to the next questions, or unpin it", None),
    bind(Sources, "sources.drop", &[key(Char('x'))], act(SourcesAction::Drop), "Drop the chunk and ask again, or take a dropped one in again", Some("drop")),
    bind(Sources, "sources.page_up", &[key(PageUp)], act(SourcesAction::PageUp), "Scroll the source's text back", Some("scroll")),
    bind(Sources, "sources.page_down", &[key(PageDown)], act(SourcesAction::PageDown), "Scroll the source's text on", Some("scroll")),
    bind(Sources, "sources.beginning", &[key(Home)], act(SourcesAction::Beginning), "The beginning of the source's text", None),
    bind(Sources, "sources.end", &[key(End)], act(SourcesAction::End), "The end of the source's text", None),
    bind(Sources, "sources.leave", &[key(Esc)], Action::ToQuestion, "Back to the question", Some("back")),
    bind(Chips, "chips.remove", &[key(Backspace)], act(SourcesAction::RemoveChip), "Take away what was pinned or chosen last, when the question is empty", Some("unpin")),
];

const fn act(action: SourcesAction) -> Action {
    Action::Sources(action)
}
