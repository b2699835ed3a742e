//! The palette: everything that can be done now, by name.

use super::{
    app::{App, Effect, View},
    chooser::{Choice, Chooser},
    keys::{self, Action, Binding, Context},
    panes::Focus,
    slash::{self, COMMANDS},
    theme::Theme,
};

/// The palette while it is open.
#[derive(Debug, Clone, PartialEq)]
pub struct Palette {
    pub chooser: Chooser,
    /// What each choice does.
    doings: Vec<Doing>,
}

#[derive(Debug, Clone, PartialEq)]
enum Doing {
    Action(Action),
    /// A slash command with nothing more to be typed.
    Command(String),
    /// Text that is put into the question, to be gone on with.
    Text(String),
}

/// The command that the entries of the themes stand for.
const THEME: &str = "/theme";
/// Questions asked before that are listed.
const QUESTIONS: usize = 20;

impl Palette {
    /// What can be done in the present state.
    pub fn of(app: &App) -> Self {
        let listed = actions(app).chain(themes()).chain(commands()).chain(questions(app));
        let (choices, doings) = listed.unzip();
        Self { chooser: Chooser::new("Palette", "What do you want to do?", choices), doings }
    }
}

fn actions(app: &App) -> impl Iterator<Item = (Choice, Doing)> {
    let mut seen = vec![Action::OpenPalette];
    let contexts = app.contexts();
    available(app).filter_map(move |binding| {
        if seen.contains(&binding.action) {
            return None;
        }
        seen.push(binding.action);
        // Of several keys for the same, the one that works where the keyboard is.
        let works = |other: &&Binding| other.action == binding.action && contexts.contains(&other.context);
        let binding = keys::bindings().find(works).unwrap_or(binding);
        let key = app.keymap.chords(binding).first().map(|chord| chord.name()).unwrap_or_default();
        let choice = Choice::new(binding.description).note(binding.context.title());
        Some((choice.key(key).keywords(binding.name), Doing::Action(binding.action)))
    })
}

/// The themes, each by its name.
fn themes() -> impl Iterator<Item = (Choice, Doing)> {
    Theme::names().into_iter().map(|name| {
        let command = format!("{THEME} {name}");
        let choice = Choice::new(format!("Theme: {name}")).note(Theme::description(name));
        (choice.keywords(command.as_str()), Doing::Command(command))
    })
}

/// The slash commands; those that take one of a few words, once with each.
fn commands() -> impl Iterator<Item = (Choice, Doing)> {
    COMMANDS.iter().filter(|command| command.name != THEME).flat_map(|command| {
        let words = (command.words)();
        let texts = match words.is_empty() {
            true => vec![command.name.to_owned()],
            false => words.iter().map(|word| format!("{} {word}", command.name)).collect(),
        };
        let is_whole = command.argument.is_empty() || !words.is_empty();
        texts.into_iter().map(move |text| {
            let shown = if is_whole { text.clone() } else { command.usage() };
            let doing = if is_whole { Doing::Command(text) } else { Doing::Text(format!("{text} ")) };
            (Choice::new(shown).note(command.description), doing)
        })
    })
}

/// What was asked before, the latest first.
fn questions(app: &App) -> impl Iterator<Item = (Choice, Doing)> {
    let asked = app.input.history().iter().rev().filter(|text| !text.starts_with('/')).take(QUESTIONS);
    asked.map(|text| (Choice::new(text.replace('\n', " ")).note("Asked before"), Doing::Text(text.clone())))
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
        match palette.chooser.chosen().and_then(|choice| palette.doings.get(choice)) {
            Some(Doing::Action(action)) => self.perform(*action),
            Some(Doing::Command(text)) => self.obey(slash::parse(text)),
            Some(Doing::Text(text)) => {
                let effects = self.open(View::Chat);
                self.focus_on(Focus::Input);
                self.input.replace(text);
                effects
            }
            None => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Size;

    use super::{super::theme::Theme, *};
    use crate::config::Strategy;

    fn chosen(app: &mut App, typed: &str) -> Vec<Effect> {
        let mut palette = Palette::of(app);
        palette.chooser.paste(typed);
        app.perform_palette(palette)
    }

    #[test]
    fn it_lists_actions_commands_and_questions() {
        let theme = Theme::load("mono").expect("built in");
        let mut app = App::new(theme, Strategy::Ape, Size { width: 100, height: 30 });
        app.input.paste("When is the dome closed?");
        app.input.take();
        chosen(&mut app, "view.log");
        assert_eq!(app.view, View::Log);
        chosen(&mut app, "/strategy full");
        assert_eq!(app.strategy, Strategy::Full);
        assert_eq!(chosen(&mut app, "theme: light"), [Effect::SaveTheme("light".to_owned())]);
        assert_eq!(chosen(&mut app, "/theme mono"), [Effect::SaveTheme("mono".to_owned())]);
        chosen(&mut app, "/search");
        assert_eq!((app.view, app.input.text().as_str()), (View::Chat, "/search "));
        chosen(&mut app, "dome closed");
        assert_eq!(app.input.text(), "When is the dome closed?");
        assert_eq!(chosen(&mut app, "/quit"), [Effect::Quit]);
        assert_eq!(chosen(&mut app, "nothing has this name"), []);
    }
}
