//! The indexing as the screen shows it.

use super::{
    app::{App, Effect},
    keys::IndexingAction,
};

#[derive(Debug, Clone, Default)]
pub struct IndexingView {
    /// The first visible row.
    pub top: usize,
}

impl App {
    pub(super) fn perform_indexing(&mut self, action: IndexingAction) -> Vec<Effect> {
        match action {
            IndexingAction::Up => self.indexing_view.top = self.indexing_view.top.saturating_sub(1),
            IndexingAction::Down => self.indexing_view.top += 1,
        }
        Vec::new()
    }
}
