//! The palette: everything that can be done now, by name.

use super::{
    app::{App, Effect, View},
    chooser::{Choice, Chooser},
    keys::{self, Action, Binding, Context},
};

/// The palette while it is open.
#[derive(Debug, Clone, PartialEq)]
pub struct Palette {
    pub chooser: Chooser,
    /// What each choice does.
    actions: Vec<Action>,
}

impl Palette {
    /// What can be done in the present state.
    pub fn of(app: &App) -> Self {
        let mut actions = Vec::new();
        let mut choices = Vec::new();
        for binding in available(app) {
            if binding.action == Action::OpenPalette || actions.contains(&binding.action) {
                continue;
            }
            let key = app.keymap.chords(binding).first().map(|chord| chord.name()).unwrap_or_default();
            choices.push(
                Choice::new(binding.description)
                    .note(binding.context.title())
                    .key(key)
                    .keywords(binding.name),
            );
            actions.push(binding.action);
        }
        Self { chooser: Chooser::new("Palette", "What do you want to do?", choices), actions }
    }
}

/// The bindings of the view and of its panes, whichever has the keyboard.
fn available(app: &App) -> impl Iterator<Item = &'static Binding> {
    let mut contexts = app.contexts();
    if app.view == View::Chat {
        contexts.extend([Context::Input, Context::Conversation, Context::Sources, Context::Timings]);
    }
    keys::bindings().filter(move |binding| contexts.contains(&binding.context))
}

impl App {
    /// Does what is selected in the palette.
    pub(super) fn perform_palette(&mut self, palette: Palette) -> Vec<Effect> {
        let action = palette.chooser.chosen().and_then(|choice| palette.actions.get(choice));
        action.map_or_else(Vec::new, |action| self.perform(*action))
    }
}
