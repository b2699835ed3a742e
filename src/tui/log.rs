//! The log as the screen shows it.

use super::{
    app::{App, Effect},
    keys::LogAction,
};

#[derive(Debug, Clone, Default)]
pub struct LogView {
    /// The first visible row.
    pub top: usize,
}

impl App {
    pub(super) fn perform_log(&mut self, action: LogAction) -> Vec<Effect> {
        match action {
            LogAction::Up => self.log.top = self.log.top.saturating_sub(1),
            LogAction::Down => self.log.top += 1,
        }
        Vec::new()
    }
}
