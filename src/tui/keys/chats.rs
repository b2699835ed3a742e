//! The keys of the list of chats. Letters go to the field of words that are looked for.

use KeyCode::{Char, Delete, Down, Enter, Esc, PageDown, PageUp, Up};

use super::{
    Action, Binding,
    Context::{Chats, ConfirmingChat, RenamingChat},
    KeyCode, bind, ctrl, key,
};
use crate::tui::copying::ExportFormat;

/// What the keys of the list of chats do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChatsAction {
    Up,
    Down,
    /// Scrolls the preview.
    PageUp,
    PageDown,
    /// Goes on in the selected chat.
    Resume,
    Rename,
    Delete,
    Export(ExportFormat),
    New,
    KeepTitle,
    LeaveTitle,
    Yes,
    No,
}

const fn does(action: ChatsAction) -> Action {
    Action::Chats(action)
}

#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    bind(RenamingChat, "chats.keep_title", &[key(Enter)], does(ChatsAction::KeepTitle), "Keep the new title", Some("keep")),
    bind(RenamingChat, "chats.leave_title", &[key(Esc)], does(ChatsAction::LeaveTitle), "Leave the title as it was", Some("leave")),
    bind(ConfirmingChat, "chats.yes", &[key(Char('y'))], does(ChatsAction::Yes), "Do what is asked about", Some("yes")),
    bind(ConfirmingChat, "chats.no", &[key(Char('n')), key(Esc)], does(ChatsAction::No), "Leave everything as it is", Some("no")),
    bind(Chats, "chats.resume", &[key(Enter)], does(ChatsAction::Resume), "Go on in the selected chat", Some("go on")),
    bind(Chats, "chats.up", &[key(Up)], does(ChatsAction::Up), "Select the chat above", Some("select")),
    bind(Chats, "chats.down", &[key(Down)], does(ChatsAction::Down), "Select the chat below", Some("select")),
    bind(Chats, "chats.page_up", &[key(PageUp)], does(ChatsAction::PageUp), "Scroll the preview back", None),
    bind(Chats, "chats.page_down", &[key(PageDown)], does(ChatsAction::PageDown), "Scroll the preview on", None),
    bind(Chats, "chats.rename", &[ctrl(Char('r'))], does(ChatsAction::Rename), "Give the selected chat another title", Some("rename")),
    bind(Chats, "chats.delete", &[ctrl(Char('x')), key(Delete)], does(ChatsAction::Delete), "Delete the selected chat", Some("delete")),
    bind(Chats, "chats.export", &[ctrl(Char('e'))], does(ChatsAction::Export(ExportFormat::Markdown)), "Save the selected chat as Markdown", Some("export")),
    bind(Chats, "chats.export_json", &[ctrl(Char('o'))], does(ChatsAction::Export(ExportFormat::Json)), "Save the selected chat as JSON", None),
    bind(Chats, "chats.new", &[ctrl(Char('n'))], does(ChatsAction::New), "Start a new chat", Some("new")),
];
