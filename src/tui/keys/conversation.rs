//! The keys of the conversation: its turns, their citations, and what is done with them.

use KeyCode::{Char, Down, End, Enter, Home, Left, PageDown, PageUp, Right, Up};

use super::{
    Action, Binding,
    Context::{Conversation, EmptyInput},
    KeyCode, bind, ctrl, key,
};
use crate::tui::copying::ExportFormat;

/// What the keys of the conversation do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConversationAction {
    Up,
    Down,
    PageUp,
    PageDown,
    Oldest,
    Newest,
    PreviousTurn,
    NextTurn,
    PreviousCitation,
    NextCitation,
    /// Shows the source of the chosen citation.
    OpenCitation,
    CopyAnswer,
    CopyCode,
    CopyCitation,
    Retry,
    Edit,
    Export(ExportFormat),
}

const fn does(action: ConversationAction) -> Action {
    Action::Conversation(action)
}

#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    bind(Conversation, "conversation.open", &[key(Enter)], does(ConversationAction::OpenCitation), "Show the source of the chosen citation", Some("source")),
    bind(Conversation, "conversation.previous_turn", &[key(Char('['))], does(ConversationAction::PreviousTurn), "Select the turn before", Some("turn")),
    bind(Conversation, "conversation.next_turn", &[key(Char(']'))], does(ConversationAction::NextTurn), "Select the turn after", Some("turn")),
    bind(Conversation, "conversation.previous_citation", &[key(Left), key(Char('N'))], does(ConversationAction::PreviousCitation), "Choose the citation before", Some("citation")),
    bind(Conversation, "conversation.next_citation", &[key(Right), key(Char('n'))], does(ConversationAction::NextCitation), "Choose the citation after", Some("citation")),
    bind(Conversation, "conversation.copy_answer", &[key(Char('y'))], does(ConversationAction::CopyAnswer), "Copy the turn's answer as Markdown", Some("copy")),
    bind(Conversation, "conversation.copy_code", &[key(Char('c'))], does(ConversationAction::CopyCode), "Copy a block of code of the turn's answer", Some("copy code")),
    bind(Conversation, "conversation.copy_citation", &[key(Char('Y'))], does(ConversationAction::CopyCitation), "Copy the chosen citation with its file and line", None),
    bind(Conversation, "conversation.retry", &[key(Char('r'))], does(ConversationAction::Retry), "Ask the turn's question again", Some("again")),
    bind(Conversation, "conversation.edit", &[key(Char('e'))], does(ConversationAction::Edit), "Edit the turn's question and ask it again", Some("edit")),
    bind(Conversation, "conversation.export_markdown", &[key(Char('x'))], does(ConversationAction::Export(ExportFormat::Markdown)), "Save this chat as Markdown", Some("export")),
    bind(Conversation, "conversation.export_json", &[key(Char('X'))], does(ConversationAction::Export(ExportFormat::Json)), "Save this chat as JSON", None),
    bind(Conversation, "conversation.up", &[key(Up), key(Char('k'))], does(ConversationAction::Up), "One row back", Some("scroll")),
    bind(Conversation, "conversation.down", &[key(Down), key(Char('j'))], does(ConversationAction::Down), "One row on", Some("scroll")),
    bind(Conversation, "conversation.page_up", &[key(PageUp)], does(ConversationAction::PageUp), "A screenful back", None),
    bind(Conversation, "conversation.page_down", &[key(PageDown)], does(ConversationAction::PageDown), "A screenful on", None),
    bind(Conversation, "conversation.oldest", &[key(Home), key(Char('g'))], does(ConversationAction::Oldest), "Beginning of the conversation", None),
    bind(Conversation, "conversation.newest", &[key(End), key(Char('G'))], does(ConversationAction::Newest), "Newest text", None),
    bind(EmptyInput, "copy_last", &[ctrl(Char('y'))], does(ConversationAction::CopyAnswer), "Copy the last answer as Markdown", None),
];
