//! The keys of the indexing.

use KeyCode::{Char, Delete, Down, Enter, Esc, PageDown, PageUp, Tab, Up};

use super::{
    Action, Binding,
    Context::{Forgetting, Indexing, TypingPath},
    KeyCode, bind, key,
};

/// What the keys of the indexing do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IndexingAction {
    Up,
    Down,
    PageUp,
    PageDown,
    /// Opens the field for a folder's path.
    Add,
    /// Looks at everything again.
    Refresh,
    /// Asks whether to take the selected folder out.
    Forget,
    /// Pauses the run, or lets it go on.
    Pause,
    /// Stops the run; what is done stays done.
    Stop,
    /// Indexes what is in the field.
    AddPath,
    CompletePath,
    ClosePath,
    ConfirmForget,
    KeepFolder,
}

#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    bind(TypingPath, "indexing.add_path", &[key(Enter)], Action::Indexing(IndexingAction::AddPath), "Index and encode the folder or file", Some("index")),
    bind(TypingPath, "indexing.complete_path", &[key(Tab)], Action::Indexing(IndexingAction::CompletePath), "Complete the folder's name; again: the next one", Some("complete")),
    bind(TypingPath, "indexing.close_path", &[key(Esc)], Action::Indexing(IndexingAction::ClosePath), "Add nothing", Some("close")),
    bind(Forgetting, "indexing.confirm_forget", &[key(Char('y'))], Action::Indexing(IndexingAction::ConfirmForget), "Take the folder out of the index; its files stay", Some("forget")),
    bind(Forgetting, "indexing.keep_folder", &[key(Char('n')), key(Esc)], Action::Indexing(IndexingAction::KeepFolder), "Keep the folder", Some("keep")),
    bind(Indexing, "indexing.add", &[key(Char('a'))], Action::Indexing(IndexingAction::Add), "Add a folder or a file", Some("add")),
    bind(Indexing, "indexing.refresh", &[key(Char('r'))], Action::Indexing(IndexingAction::Refresh), "Look at everything again, for what has changed", Some("refresh")),
    bind(Indexing, "indexing.forget", &[key(Char('d')), key(Delete)], Action::Indexing(IndexingAction::Forget), "Take the selected folder out of the index", Some("forget")),
    bind(Indexing, "indexing.pause", &[key(Char('p')), key(Char(' '))], Action::Indexing(IndexingAction::Pause), "Pause the run, or let it go on", Some("pause")),
    bind(Indexing, "indexing.stop", &[key(Char('x'))], Action::Indexing(IndexingAction::Stop), "Stop the run; what is done stays done", Some("stop")),
    bind(Indexing, "indexing.up", &[key(Up), key(Char('k'))], Action::Indexing(IndexingAction::Up), "The folder above", Some("select")),
    bind(Indexing, "indexing.down", &[key(Down), key(Char('j'))], Action::Indexing(IndexingAction::Down), "The folder below", Some("select")),
    bind(Indexing, "indexing.page_up", &[key(PageUp)], Action::Indexing(IndexingAction::PageUp), "Scroll back", Some("scroll")),
    bind(Indexing, "indexing.page_down", &[key(PageDown)], Action::Indexing(IndexingAction::PageDown), "Scroll on, to the files that were left out", Some("scroll")),
];
