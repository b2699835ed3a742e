//! What lies over the view and has the keyboard until it is closed.

use crossterm::event::KeyEvent;

use super::{
    app::{App, Effect},
    chooser::Chooser,
    copying::CodeChoice,
    field::Field,
    files::FilePicker,
    keys::{Context, OverlayAction},
    palette::Palette,
    themes::ThemeChooser,
};

#[derive(Debug, Clone, PartialEq)]
pub enum Overlay {
    Help(Help),
    Palette(Palette),
    Files(FilePicker),
    Themes(Box<ThemeChooser>),
    Code(CodeChoice),
}

/// The help while it is open.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Help {
    /// The words that are looked for.
    pub field: Field,
    /// The first visible row.
    pub top: usize,
}

impl Overlay {
    /// The contexts of its keys, the most particular first.
    pub fn contexts(&self) -> Vec<Context> {
        match self {
            Self::Help(_) => vec![Context::Help],
            Self::Palette(_) => vec![Context::Palette],
            Self::Files(picker) if picker.chooser.field.is_empty() => {
                vec![Context::EmptyFiles, Context::Files]
            }
            Self::Files(_) => vec![Context::Files],
            Self::Themes(_) => vec![Context::Themes],
            Self::Code(_) => vec![Context::Code],
        }
    }

    /// Not all of the list has been looked through for what was typed.
    pub fn is_searching(&self) -> bool {
        match self {
            Self::Files(picker) => picker.chooser.is_searching(),
            Self::Help(_) | Self::Palette(_) | Self::Themes(_) | Self::Code(_) => false,
        }
    }

    /// The list to choose from, where there is one.
    pub fn chooser(&mut self) -> Option<&mut Chooser> {
        match self {
            Self::Help(_) => None,
            Self::Palette(palette) => Some(&mut palette.chooser),
            Self::Files(picker) => Some(&mut picker.chooser),
            Self::Themes(themes) => Some(&mut themes.chooser),
            Self::Code(choice) => Some(&mut choice.chooser),
        }
    }

    /// Takes a key that has no binding: text being typed.
    pub fn key(&mut self, event: KeyEvent) {
        if let Self::Help(help) = self {
            if help.field.key(event) {
                help.top = 0;
            }
        } else if let Some(chooser) = self.chooser() {
            chooser.key(event);
        }
    }

    pub fn paste(&mut self, text: &str) {
        if let Self::Help(help) = self {
            help.field.paste(text);
            help.top = 0;
        } else if let Some(chooser) = self.chooser() {
            chooser.paste(text);
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
            OverlayAction::Back => match &mut self.overlay {
                Some(Overlay::Help(help)) if !help.field.is_empty() => *help = Help::default(),
                _ => self.overlay = None,
            },
            OverlayAction::TakeBack => {
                self.overlay = None;
                self.input.delete_before('@');
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
        if let Some(chooser) = self.overlay.as_mut().and_then(Overlay::chooser) {
            chooser.finish();
        }
        match self.overlay.take() {
            Some(Overlay::Palette(palette)) => self.perform_palette(palette),
            Some(Overlay::Files(picker)) => {
                self.choose_file(&picker);
                Vec::new()
            }
            Some(Overlay::Themes(themes)) => self.keep_theme(*themes),
            Some(Overlay::Code(choice)) => self.copy_chosen_code(choice),
            Some(Overlay::Help(_)) | None => Vec::new(),
        }
    }

    /// Looks through more of a long list for what was typed.
    pub(super) fn go_on_searching(&mut self) {
        if let Some(chooser) = self.overlay.as_mut().and_then(Overlay::chooser) {
            chooser.go_on();
        }
    }

    pub(super) fn step_overlay(&mut self, step: isize) {
        let most = super::view::help_overflow(self);
        match &mut self.overlay {
            Some(Overlay::Help(help)) => help.top = help.top.saturating_add_signed(step).min(most),
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
