//! The one table of keys. What a key does, the hints in the footer and the help are all made from it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Where a key means what its binding says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Context {
    /// The help is open.
    Help,
    /// An answer is under way.
    Answering,
    /// The question is empty.
    EmptyInput,
    /// The question is empty or is one from the history, unchanged.
    History,
    /// The question has the keyboard.
    Input,
    /// The sources have the keyboard.
    Sources,
    /// The help is not open.
    Chat,
    /// Everywhere.
    Anywhere,
}

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Send,
    Newline,
    DeleteWord,
    DeleteToLineStart,
    Cancel,
    OlderQuestion,
    NewerQuestion,
    PageUp,
    PageDown,
    Oldest,
    Newest,
    SwitchPane,
    PreviousSource,
    NextSource,
    SourcePageUp,
    SourcePageDown,
    LeaveSources,
    NextStrategy,
    OpenHelp,
    CloseHelp,
    HelpUp,
    HelpDown,
    Redraw,
    Suspend,
    Interrupt,
    Quit,
}

/// A key with its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chord {
    pub code: KeyCode,
    pub modifiers: KeyModifiers,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    pub context: Context,
    pub chords: &'static [Chord],
    pub action: Action,
    /// What it does, for the help.
    pub description: &'static str,
    /// A word or two for the footer; `None` keeps it out of there.
    pub hint: Option<&'static str>,
}

const fn key(code: KeyCode) -> Chord {
    Chord { code, modifiers: KeyModifiers::NONE }
}

const fn ctrl(code: KeyCode) -> Chord {
    Chord { code, modifiers: KeyModifiers::CONTROL }
}

const fn alt(code: KeyCode) -> Chord {
    Chord { code, modifiers: KeyModifiers::ALT }
}

const fn bind(
    context: Context,
    chords: &'static [Chord],
    action: Action,
    description: &'static str,
    hint: Option<&'static str>,
) -> Binding {
    Binding { context, chords, action, description, hint }
}

use Context::{Answering, Anywhere, Chat, EmptyInput, Help, History, Input, Sources};
use KeyCode::{BackTab, Char, Down, End, Enter, Esc, F, Home, PageDown, PageUp, Tab, Up};

/// Every key, in the order in which the footer shows them and, section by section, the help.
#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    bind(Answering, &[key(Esc)], Action::Cancel, "Cancel the running answer; its text stays", Some("cancel")),
    bind(Input, &[key(Enter)], Action::Send, "Send the question", Some("send")),
    bind(Sources, &[key(Up), key(Char('k'))], Action::PreviousSource, "Select the source before", Some("select")),
    bind(Sources, &[key(Down), key(Char('j'))], Action::NextSource, "Select the source after", Some("select")),
    bind(Sources, &[key(PageUp)], Action::SourcePageUp, "Scroll the source's text back", Some("scroll")),
    bind(Sources, &[key(PageDown)], Action::SourcePageDown, "Scroll the source's text on", Some("scroll")),
    bind(Sources, &[key(Esc)], Action::LeaveSources, "Back to the question", Some("back")),
    bind(Chat, &[key(Tab), key(BackTab)], Action::SwitchPane, "Switch between question and sources", Some("sources")),
    bind(Chat, &[key(F(1))], Action::OpenHelp, "This help", Some("help")),
    bind(EmptyInput, &[key(Char('?'))], Action::OpenHelp, "This help, when the question is empty", None),
    bind(Input, &[ctrl(Char('j')), alt(Enter)], Action::Newline, "Begin a new line", Some("new line")),
    bind(Input, &[ctrl(Char('w'))], Action::DeleteWord, "Delete the word before the cursor", None),
    bind(Input, &[ctrl(Char('u'))], Action::DeleteToLineStart, "Delete to the beginning of the line", None),
    bind(History, &[key(Up)], Action::OlderQuestion, "The question before", None),
    bind(History, &[key(Down)], Action::NewerQuestion, "The question after", None),
    bind(Input, &[key(PageUp)], Action::PageUp, "Scroll the conversation back", None),
    bind(Input, &[key(PageDown)], Action::PageDown, "Scroll the conversation on", None),
    bind(Chat, &[ctrl(Char('s'))], Action::NextStrategy, "Next strategy: ape, parallel, concat, full", Some("strategy")),
    bind(Chat, &[ctrl(Home)], Action::Oldest, "Beginning of the conversation", None),
    bind(Chat, &[ctrl(End)], Action::Newest, "Newest text", None),
    bind(Help, &[key(Esc), key(F(1)), key(Char('?')), key(Char('q'))], Action::CloseHelp, "Close the help", Some("close")),
    bind(Help, &[key(Up), key(PageUp)], Action::HelpUp, "Scroll the help back", Some("scroll")),
    bind(Help, &[key(Down), key(PageDown)], Action::HelpDown, "Scroll the help on", Some("scroll")),
    bind(Anywhere, &[ctrl(Char('c'))], Action::Interrupt, "Twice: quit", Some("twice: quit")),
    bind(EmptyInput, &[ctrl(Char('d'))], Action::Quit, "Quit, when the question is empty", None),
    bind(Anywhere, &[ctrl(Char('l'))], Action::Redraw, "Draw the screen anew", None),
    bind(Anywhere, &[ctrl(Char('z'))], Action::Suspend, "Back to the shell; `fg` comes back", None),
];

impl Chord {
    /// What a key press is as a chord: SHIFT is part of the character and is left out.
    pub fn of(event: &KeyEvent) -> Self {
        let shiftless = matches!(event.code, Char(_) | BackTab);
        let modifiers = if shiftless { event.modifiers - KeyModifiers::SHIFT } else { event.modifiers };
        Self { code: event.code, modifiers }
    }

    /// The key's name: `Ctrl-C`, `↑`, `PgUp`.
    pub fn name(self) -> String {
        let mut name = String::new();
        for (modifier, prefix) in [(KeyModifiers::CONTROL, "Ctrl-"), (KeyModifiers::ALT, "Alt-")] {
            if self.modifiers.contains(modifier) {
                name.push_str(prefix);
            }
        }
        match self.code {
            Char(character) if self.modifiers.is_empty() => name.push(character),
            Char(character) => name.extend(character.to_uppercase()),
            F(number) => name.push_str(&format!("F{number}")),
            Up => name.push('↑'),
            Down => name.push('↓'),
            PageUp => name.push_str("PgUp"),
            PageDown => name.push_str("PgDn"),
            BackTab => name.push_str("Shift-Tab"),
            other => name.push_str(&other.to_string()),
        }
        name
    }
}

/// What `event` does where `contexts` hold, the first of them before the others.
pub fn action(event: &KeyEvent, contexts: &[Context]) -> Option<Action> {
    let chord = Chord::of(event);
    contexts.iter().find_map(|context| {
        let mut here = BINDINGS.iter().filter(|binding| binding.context == *context);
        here.find(|binding| binding.chords.contains(&chord)).map(|binding| binding.action)
    })
}

/// The bindings with a hint that work where `contexts` hold.
pub fn hints(contexts: &[Context]) -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().filter(move |binding| {
        let reached = binding.chords.first().is_some_and(|chord| {
            action(&KeyEvent::new(chord.code, chord.modifiers), contexts) == Some(binding.action)
        });
        binding.hint.is_some() && reached
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_context_gives_a_key_two_meanings() {
        for (number, binding) in BINDINGS.iter().enumerate() {
            for chord in binding.chords {
                let twice = BINDINGS[number + 1..]
                    .iter()
                    .any(|other| other.context == binding.context && other.chords.contains(chord));
                assert!(!twice, "{} in {:?}", chord.name(), binding.context);
            }
        }
    }

    #[test]
    fn every_key_is_found_where_it_holds() {
        for binding in BINDINGS {
            for chord in binding.chords {
                let event = KeyEvent::new(chord.code, chord.modifiers);
                assert_eq!(action(&event, &[binding.context]), Some(binding.action), "{}", chord.name());
            }
        }
    }

    #[test]
    fn the_first_context_wins() {
        let esc = KeyEvent::new(Esc, KeyModifiers::NONE);
        assert_eq!(action(&esc, &[Answering, Sources]), Some(Action::Cancel));
        assert_eq!(action(&esc, &[Sources, Anywhere]), Some(Action::LeaveSources));
        assert_eq!(action(&esc, &[Input, Anywhere]), None);
    }

    #[test]
    fn shift_is_part_of_a_character() {
        let question_mark = KeyEvent::new(Char('?'), KeyModifiers::SHIFT);
        assert_eq!(action(&question_mark, &[EmptyInput]), Some(Action::OpenHelp));
        let shift_tab = KeyEvent::new(BackTab, KeyModifiers::SHIFT);
        assert_eq!(action(&shift_tab, &[Chat]), Some(Action::SwitchPane));
    }

    #[test]
    fn keys_have_names() {
        let names: Vec<_> = [ctrl(Char('c')), key(Up), key(F(1)), alt(Enter), key(Char('k')), key(Tab)]
            .into_iter()
            .map(Chord::name)
            .collect();
        assert_eq!(names, ["Ctrl-C", "↑", "F1", "Alt-Enter", "k", "Tab"]);
    }

    #[test]
    fn hints_leave_out_what_another_context_covers() {
        let words: Vec<_> =
            hints(&[Answering, Sources, Anywhere]).filter_map(|binding| binding.hint).collect();
        assert!(words.contains(&"cancel") && !words.contains(&"back"), "{words:?}");
    }
}
