//! Choosing a theme: the selected one is on the screen at once, and is kept or taken back.

use super::{
    app::{App, Effect},
    chooser::{Choice, Chooser},
    overlay::Overlay,
    theme::Theme,
};

/// Cells of the sample that stands at the right of a theme's name.
pub const SAMPLE_WIDTH: usize = 18;

/// The chooser while it is open.
#[derive(Debug, Clone, PartialEq)]
pub struct ThemeChooser {
    pub chooser: Chooser,
    /// What each choice stands for.
    pub themes: Vec<Theme>,
    /// What comes back when nothing is chosen.
    before: Theme,
}

impl ThemeChooser {
    /// All themes of the program and, where it is another, the one that is in use; that one is selected.
    pub fn of(current: &Theme) -> Self {
        let mut themes = Theme::built_in();
        if !current.has_color() {
            themes = themes.into_iter().map(Theme::without_color).collect();
        }
        if themes.iter().all(|theme| theme.name() != current.name()) {
            themes.push(current.clone());
        }
        // The place of the sample, which is drawn in the theme's own colours.
        let sample = " ".repeat(SAMPLE_WIDTH);
        let choice =
            |theme: &Theme| Choice::new(theme.name()).note(Theme::description(theme.name())).key(&sample);
        let mut chooser = Chooser::new("Themes", "Which theme?", themes.iter().map(choice).collect());
        if let Some(index) = themes.iter().position(|theme| theme.name() == current.name()) {
            chooser.choose(index);
        }
        Self { chooser, themes, before: current.clone() }
    }

    /// The selected theme, or the one from before where nothing matches what was typed.
    fn selected(&self) -> &Theme {
        self.chooser.chosen().and_then(|choice| self.themes.get(choice)).unwrap_or(&self.before)
    }
}

impl App {
    pub(super) fn open_themes(&mut self) {
        self.overlay = Some(Overlay::Themes(Box::new(ThemeChooser::of(&self.theme))));
    }

    /// Puts the selected theme on the screen while the chooser is open.
    pub(super) fn preview_theme(&mut self) {
        if let Some(Overlay::Themes(themes)) = &self.overlay
            && self.theme.name() != themes.selected().name()
        {
            self.theme = themes.selected().clone();
        }
    }

    /// Goes back to the theme from before the chooser was opened.
    pub(super) fn leave_themes(&mut self, themes: ThemeChooser) {
        self.theme = themes.before;
    }

    /// Keeps the selected theme; without one, the one from before.
    pub(super) fn keep_theme(&mut self, themes: ThemeChooser) -> Vec<Effect> {
        self.theme = themes.selected().clone();
        match themes.chooser.chosen() {
            Some(_) => vec![Effect::SaveTheme(self.theme.name().to_owned())],
            None => Vec::new(),
        }
    }

    /// Uses a theme of the program and keeps it.
    pub(super) fn use_theme(&mut self, name: &str) -> Vec<Effect> {
        let Some(theme) = Theme::built_in().into_iter().find(|theme| theme.name() == name) else {
            return Vec::new();
        };
        self.theme = if self.theme.has_color() { theme } else { theme.without_color() };
        vec![Effect::SaveTheme(name.to_owned())]
    }

    pub(super) fn on_theme_saved(&mut self, saved: Result<(), String>) -> Vec<Effect> {
        match saved {
            Ok(()) => self.flash(format!("Theme {} kept", self.theme.name())),
            Err(reason) => self.warn(format!("The theme is not kept for the next start: {reason}.")),
        }
        Vec::new()
    }
}
