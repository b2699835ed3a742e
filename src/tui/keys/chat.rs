//! The keys of the chat: question, conversation, sources, timings, and those that work everywhere.

use KeyCode::{BackTab, Char, Down, End, Enter, Esc, F, Home, PageDown, PageUp, Tab, Up};

use super::{
    Action, Binding,
    Context::{
        Answering, AnyView, Anywhere, Browsing, Chat, Completion, Conversation, Editing, EmptyInput,
        FirstRun, History, Input, OtherView,
    },
    KeyCode, View, alt, bind, ctrl, key,
};

#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    bind(Answering, "cancel", &[key(Esc)], Action::Cancel, "Cancel the running answer; its text stays", Some("cancel")),
    bind(Editing, "leave_editing", &[key(Esc)], Action::LeaveEditing, "Leave the earlier question as it was", Some("leave")),
    bind(Completion, "completion.take", &[key(Tab)], Action::Complete, "Complete the command", Some("complete")),
    bind(Completion, "completion.previous", &[key(Up)], Action::PreviousCompletion, "The completion above", Some("select")),
    bind(Completion, "completion.next", &[key(Down)], Action::NextCompletion, "The completion below", Some("select")),
    bind(FirstRun, "first_run.next", &[key(Enter)], Action::NextStep, "On the first run: fetch the model, then add a folder", Some("next step")),
    bind(FirstRun, "first_run.samples", &[key(F(9))], Action::IndexSamples, "On the first run: index the sample documents", None),
    bind(Input, "send", &[key(Enter)], Action::Send, "Send the question", Some("send")),
    bind(Conversation, "conversation.leave", &[key(Esc)], Action::ToQuestion, "Back to the question", Some("back")),
    bind(Chat, "next_pane", &[key(Tab)], Action::NextPane, "The next pane: question, conversation, sources, timings", Some("pane")),
    bind(Chat, "previous_pane", &[key(BackTab)], Action::PreviousPane, "The pane before", None),
    bind(OtherView, "leave_view", &[key(Esc)], Action::Open(View::Chat), "Back to the chat", Some("chat")),
    bind(AnyView, "palette.open", &[ctrl(Char('p'))], Action::OpenPalette, "Every action, by name", Some("palette")),
    bind(AnyView, "help.open", &[key(F(1))], Action::OpenHelp, "This help", Some("help")),
    bind(Browsing, "help.browsing", &[key(Char('?'))], Action::OpenHelp, "This help, where no text is typed", None),
    bind(AnyView, "view.chat", &[key(F(2))], Action::Open(View::Chat), "The chat", None),
    bind(AnyView, "view.comparison", &[key(F(3))], Action::Open(View::Comparison), "The comparison of strategies", None),
    bind(AnyView, "view.indexing", &[key(F(4))], Action::Open(View::Indexing), "The indexing", None),
    bind(AnyView, "view.chats", &[key(F(5))], Action::Open(View::Chats), "The chats that were kept", None),
    bind(AnyView, "view.log", &[key(F(6))], Action::Open(View::Log), "The log", None),
    bind(AnyView, "themes.open", &[key(F(7))], Action::OpenThemes, "Choose a theme", None),
    bind(AnyView, "mouse", &[key(F(8))], Action::ToggleMouse, "Leave the mouse to the terminal, or take it back", None),
    bind(EmptyInput, "help.question_mark", &[key(Char('?'))], Action::OpenHelp, "This help, when the question is empty", None),
    bind(Input, "newline", &[ctrl(Char('j')), alt(Enter)], Action::Newline, "Begin a new line", Some("new line")),
    bind(Input, "delete_word", &[ctrl(Char('w'))], Action::DeleteWord, "Delete the word before the cursor", None),
    bind(Input, "delete_to_line_start", &[ctrl(Char('u'))], Action::DeleteToLineStart, "Delete to the beginning of the line", None),
    bind(History, "older_question", &[key(Up)], Action::OlderQuestion, "The question before", None),
    bind(History, "newer_question", &[key(Down)], Action::NewerQuestion, "The question after", None),
    bind(Input, "scope", &[key(Char('@'))], Action::TypeAt, "At the beginning of a word: choose files and folders to ask about", None),
    bind(Input, "page_up", &[key(PageUp)], Action::PageUp, "Scroll the conversation back", None),
    bind(Input, "page_down", &[key(PageDown)], Action::PageDown, "Scroll the conversation on", None),
    bind(EmptyInput, "retry_last", &[ctrl(Char('r'))], Action::RetryLast, "Ask the last question again", None),
    bind(EmptyInput, "edit_last", &[ctrl(Char('e'))], Action::EditLast, "Edit the last question and ask it again", None),
    bind(Chat, "new_chat", &[ctrl(Char('n'))], Action::NewChat, "Start a new chat; this one is kept", None),
    bind(Chat, "next_strategy", &[ctrl(Char('s'))], Action::NextStrategy, "Next strategy: ape, parallel, concat, full", Some("strategy")),
    bind(Chat, "oldest", &[ctrl(Home)], Action::Oldest, "Beginning of the conversation", None),
    bind(Chat, "newest", &[ctrl(End)], Action::Newest, "Newest text", None),
    bind(Anywhere, "interrupt", &[ctrl(Char('c'))], Action::Interrupt, "Twice: quit", Some("twice: quit")),
    bind(EmptyInput, "quit", &[ctrl(Char('d'))], Action::Quit, "Quit, when the question is empty", None),
    bind(Anywhere, "redraw", &[ctrl(Char('l'))], Action::Redraw, "Draw the screen anew", None),
    bind(Anywhere, "suspend", &[ctrl(Char('z'))], Action::Suspend, "Back to the shell; `fg` comes back", None),
];
