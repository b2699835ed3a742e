//! What lies over the view and has the keyboard until it is closed.

use crossterm::event::KeyEvent;

use super::{
    app::{App, Effect},
    chooser::Chooser,
    copying::CodeChoice,
    files::FilePicker,
    keys::{Context, OverlayAction},
    palette::Palette,
    themes::ThemeChooser,
};

#[derive(Debug, Clone, PartialEq)]
pub enum Overlay {
    Help { top: usize },
    Palette(Palette),
    Files(FilePicker),
    Themes(Box<ThemeChooser>),
    Code(CodeChoice),
}

impl Overlay {
    pub fn context(&self) -> Context {
        match self {
            Self::Help { .. } => Context::Help,
            Self::Palette(_) => Context::Palette,
            Self::Files(_) => Context::Files,
            Self::Themes(_) => Context::Themes,
            Self::Code(_) => Context::Code,
        }
    }

    /// The list to choose from, where there is one.
    pub fn chooser(&mut self) -> Option<&mut Chooser> {
        match self {
            Self::Help { .. } => None,
            Self::Palette(palette) => Some(&mut palette.chooser),
            Self::Files(picker) => Some(&mut picker.chooser),
            Self::Themes(themes) => Some(&mut themes.chooser),
            Self::Code(choice) => Some(&mut choice.chooser),
        }
    }

    /// Takes a key that has no binding: text being typed.
    pub fn key(&mut self, event: KeyEvent) {
        if let Some(chooser) = self.chooser() {
            chooser.key(event);
        }
    }
}

impl App {
    pub(super) fn perform_overlay(&mut self, action: OverlayAction) -> Vec<Effect> {
        match action {
            OverlayAction::Close => {
                if let Some(Overlay::Themes(themes)) = self.overlay.take() {
                    self.leave_themes(*themes);
                }
            }
            OverlayAction::Up => self.step_overlay(-1),
            OverlayAction::Down => self.step_overlay(1),
            OverlayAction::PageUp => self.page_overlay(-1),
            OverlayAction::PageDown => self.page_overlay(1),
            OverlayAction::Choose => return self.choose(),
        }
        Vec::new()
    }

    /// Closes what lies over the view, and does what was selected in it.
    fn choose(&mut self) -> Vec<Effect> {
        match self.overlay.take() {
            Some(Overlay::Palette(palette)) => self.perform_palette(palette),
            Some(Overlay::Files(picker)) => {
                self.choose_file(&picker);
                Vec::new()
            }
            Some(Overlay::Themes(themes)) => self.keep_theme(*themes),
            Some(Overlay::Code(choice)) => self.copy_chosen_code(choice),
            Some(Overlay::Help { .. }) | None => Vec::new(),
        }
    }

    pub(super) fn step_overlay(&mut self, step: isize) {
        let most = super::view::help_overflow(self);
        match &mut self.overlay {
            Some(Overlay::Help { top }) => *top = top.saturating_add_signed(step).min(most),
            Some(other) => {
                if let Some(chooser) = other.chooser() {
                    chooser.step(step);
                }
            }
            None => {}
        }
    }

    fn page_overlay(&mut self, pages: isize) {
        let size = self.size;
        let page = super::view::help_page(self) as isize;
        match self.overlay.as_mut().and_then(Overlay::chooser) {
            Some(chooser) => chooser.step_pages(pages, size),
            None => self.step_overlay(pages * page),
        }
    }
}
