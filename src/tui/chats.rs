//! The chats that were kept, as the screen lists them.

use super::{
    app::{App, Effect},
    keys::ChatsAction,
};

#[derive(Debug, Clone, Default)]
pub struct ChatList {
    /// The first visible row.
    pub top: usize,
}

impl App {
    pub(super) fn perform_chats(&mut self, action: ChatsAction) -> Vec<Effect> {
        match action {
            ChatsAction::Up => self.chats.top = self.chats.top.saturating_sub(1),
            ChatsAction::Down => self.chats.top += 1,
        }
        Vec::new()
    }
}
