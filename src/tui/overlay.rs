//! What lies over the view and has the keyboard until it is closed.

use crossterm::event::KeyEvent;

use super::{
    app::{App, Effect},
    keys::{Context, OverlayAction},
};

#[derive(Debug, Clone, PartialEq)]
pub enum Overlay {
    Help { top: usize },
}

impl Overlay {
    pub fn context(&self) -> Context {
        match self {
            Self::Help { .. } => Context::Help,
        }
    }

    /// Takes a key that has no binding: text being typed.
    pub fn key(&mut self, _event: KeyEvent) {
        match self {
            Self::Help { .. } => {}
        }
    }
}

impl App {
    pub(super) fn perform_overlay(&mut self, action: OverlayAction) -> Vec<Effect> {
        match action {
            OverlayAction::Close => self.overlay = None,
            OverlayAction::Up => self.scroll_overlay(-1),
            OverlayAction::Down => self.scroll_overlay(1),
            OverlayAction::Choose => {}
        }
        Vec::new()
    }

    fn scroll_overlay(&mut self, rows: isize) {
        let size = self.size;
        match &mut self.overlay {
            Some(Overlay::Help { top }) => {
                *top = top.saturating_add_signed(rows).min(super::view::help_overflow(size));
            }
            None => {}
        }
    }
}
