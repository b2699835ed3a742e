//! The comparison of strategies as the screen shows it.

use super::{
    app::{App, Effect},
    keys::ComparisonAction,
};

#[derive(Debug, Clone, Default)]
pub struct ComparisonView {
    /// The first visible row.
    pub top: usize,
}

impl App {
    pub(super) fn perform_comparison(&mut self, action: ComparisonAction) -> Vec<Effect> {
        match action {
            ComparisonAction::Up => self.comparison.top = self.comparison.top.saturating_sub(1),
            ComparisonAction::Down => self.comparison.top += 1,
        }
        Vec::new()
    }
}
