//! The tables of keys. What a key does, the hints in the footer, the palette and the help are all made from them.

mod chat;
mod chats;
mod comparison;
mod conversation;
mod indexing;
mod log;
mod overlays;
mod sources;
mod timings;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

pub use chats::ChatsAction;
pub use comparison::ComparisonAction;
pub use conversation::ConversationAction;
pub use indexing::IndexingAction;
pub use log::LogAction;
pub use overlays::OverlayAction;
pub use sources::SourcesAction;
pub use timings::TimingsAction;

use super::app::View;

/// Where a key means what its binding says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Context {
    /// The help is open.
    Help,
    /// The palette is open.
    Palette,
    /// A file is being chosen, and nothing has been typed.
    EmptyFiles,
    /// A file is being chosen.
    Files,
    /// A block of code is being chosen.
    Code,
    /// A theme is being chosen.
    Themes,
    /// An answer is under way.
    Answering,
    /// An earlier question is being edited.
    Editing,
    /// A slash command is being typed and can be completed.
    Completion,
    /// The question is empty, and something is chosen for it.
    Chips,
    /// The question is empty, and something is needed before one can be asked.
    FirstRun,
    /// The question is empty.
    EmptyInput,
    /// The question is empty or is one from the history, unchanged.
    History,
    /// The question has the keyboard.
    Input,
    /// The conversation has the keyboard.
    Conversation,
    /// The sources have the keyboard.
    Sources,
    /// The timings have the keyboard.
    Timings,
    /// Conversation, sources and timings are shown.
    Chat,
    /// A comparison is under way and shown.
    Comparing,
    /// The comparison is shown.
    Comparison,
    /// The path of what to index is being typed.
    TypingPath,
    /// Whether to take a folder out of the index is asked.
    Forgetting,
    /// The indexing is shown.
    Indexing,
    /// A chat's title is being typed.
    RenamingChat,
    /// It is asked whether something is to be done with a chat.
    ConfirmingChat,
    /// The list of chats is shown.
    Chats,
    /// The log is shown.
    Log,
    /// No text is being typed: letters are keys.
    Browsing,
    /// Anything but the chat is shown.
    OtherView,
    /// Nothing lies over the view.
    AnyView,
    /// Everywhere.
    Anywhere,
}

impl Context {
    /// What it is called where its keys are listed.
    pub fn title(self) -> &'static str {
        match self {
            Self::Help => "This help",
            Self::Palette | Self::EmptyFiles | Self::Files | Self::Code | Self::Themes => {
                "Palette and choosers"
            }
            Self::Answering
            | Self::Editing
            | Self::Completion
            | Self::FirstRun
            | Self::Chips
            | Self::EmptyInput
            | Self::History
            | Self::Input => "Question",
            Self::Conversation => "Conversation",
            Self::Sources => "Sources",
            Self::Timings => "Timings",
            Self::Comparing | Self::Comparison => "Comparison",
            Self::Indexing | Self::TypingPath | Self::Forgetting => "Indexing",
            Self::Chats | Self::RenamingChat | Self::ConfirmingChat => "Chats",
            Self::Log => "Log",
            Self::Chat | Self::Browsing | Self::OtherView | Self::AnyView | Self::Anywhere => "Everywhere",
        }
    }
}

/// What a key does. Views of their own have actions of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Send,
    Newline,
    DeleteWord,
    DeleteToLineStart,
    Cancel,
    Complete,
    PreviousCompletion,
    NextCompletion,
    OlderQuestion,
    NewerQuestion,
    PageUp,
    PageDown,
    Oldest,
    Newest,
    NextPane,
    PreviousPane,
    /// The keyboard goes back to the question.
    ToQuestion,
    /// A chat of its own for the questions from here on.
    NewChat,
    RetryLast,
    EditLast,
    /// The question that was being edited stays as it was.
    LeaveEditing,
    NextStrategy,
    /// Types an `@`, which opens the list of files at the beginning of a word.
    TypeAt,
    Open(View),
    OpenHelp,
    OpenPalette,
    OpenThemes,
    /// Fetches the model or adds a folder: what is needed before a question can be asked.
    NextStep,
    IndexSamples,
    /// Gives the mouse to the terminal, or takes it back.
    ToggleMouse,
    Comparison(ComparisonAction),
    Conversation(ConversationAction),
    Indexing(IndexingAction),
    Chats(ChatsAction),
    Log(LogAction),
    Sources(SourcesAction),
    Timings(TimingsAction),
    Overlay(OverlayAction),
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

/// One row of the tables.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    pub context: Context,
    /// As the configuration calls it; no two bindings have the same.
    pub name: &'static str,
    pub chords: &'static [Chord],
    pub action: Action,
    /// What it does, for help and palette.
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
    name: &'static str,
    chords: &'static [Chord],
    action: Action,
    description: &'static str,
    hint: Option<&'static str>,
) -> Binding {
    Binding { context, name, chords, action, description, hint }
}

/// The tables, in the order in which the footer shows their keys and the help their sections.
const TABLES: [&[Binding]; 9] = [
    overlays::BINDINGS,
    comparison::BINDINGS,
    indexing::BINDINGS,
    chats::BINDINGS,
    log::BINDINGS,
    conversation::BINDINGS,
    sources::BINDINGS,
    timings::BINDINGS,
    chat::BINDINGS,
];

/// Every binding.
pub fn bindings() -> impl Iterator<Item = &'static Binding> {
    TABLES.into_iter().flatten()
}

impl Chord {
    /// What a key press is as a chord: SHIFT is part of the character and is left out.
    pub fn of(event: &KeyEvent) -> Self {
        let shiftless = matches!(event.code, KeyCode::Char(_) | KeyCode::BackTab);
        let modifiers = if shiftless { event.modifiers - KeyModifiers::SHIFT } else { event.modifiers };
        Self { code: event.code, modifiers }
    }

    /// The key's name: `Ctrl-C`, `↑`, `PgUp`, `Alt-Shift-X`.
    pub fn name(self) -> String {
        let modifiers =
            [(KeyModifiers::CONTROL, "Ctrl-"), (KeyModifiers::ALT, "Alt-"), (KeyModifiers::SHIFT, "Shift-")];
        let held = modifiers.iter().filter(|(modifier, _)| self.modifiers.contains(*modifier));
        let mut name: String = held.map(|(_, prefix)| *prefix).collect();
        match self.code {
            KeyCode::Char(' ') => name.push_str("Space"),
            KeyCode::Char(character) if self.modifiers.is_empty() => name.push(character),
            KeyCode::Char(character) => name.push_str(&with_modifiers(character)),
            KeyCode::F(number) => name.push_str(&format!("F{number}")),
            KeyCode::Up => name.push('↑'),
            KeyCode::Down => name.push('↓'),
            KeyCode::Left => name.push('←'),
            KeyCode::Right => name.push('→'),
            KeyCode::PageUp => name.push_str("PgUp"),
            KeyCode::PageDown => name.push_str("PgDn"),
            KeyCode::Esc => name.push_str("Esc"),
            KeyCode::Delete => name.push_str("Del"),
            KeyCode::Insert => name.push_str("Ins"),
            KeyCode::BackTab => name.push_str("Shift-Tab"),
            other => name.push_str(&other.to_string()),
        }
        name
    }
}

/// A character after `Ctrl-` or `Alt-`: a capital, as on the keyboard; one that is typed with Shift says so.
fn with_modifiers(character: char) -> String {
    let mut upper = character.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(capital), None) if capital != character && capital.to_lowercase().eq([character]) => {
            capital.to_string()
        }
        _ if character.is_uppercase() && character.to_lowercase().count() == 1 => {
            format!("Shift-{character}")
        }
        _ => character.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use Context::{Answering, Anywhere, Chat, EmptyInput, Input, Sources};
    use KeyCode::{BackTab, Char, Enter, Esc, F, Tab, Up};

    use super::{super::keymap::Keymap, *};

    fn action(event: &KeyEvent, contexts: &[Context]) -> Option<Action> {
        Keymap::default().action(event, contexts)
    }

    #[test]
    fn no_context_gives_a_key_two_meanings() {
        for (number, binding) in bindings().enumerate() {
            for chord in binding.chords {
                let twice = bindings()
                    .skip(number + 1)
                    .any(|other| other.context == binding.context && other.chords.contains(chord));
                assert!(!twice, "{} in {:?}", chord.name(), binding.context);
            }
        }
    }

    #[test]
    fn every_key_is_found_where_it_holds() {
        for binding in bindings() {
            for chord in binding.chords {
                let event = KeyEvent::new(chord.code, chord.modifiers);
                assert_eq!(action(&event, &[binding.context]), Some(binding.action), "{}", chord.name());
            }
        }
    }

    #[test]
    fn every_binding_has_a_name_of_its_own() {
        let mut names: Vec<_> = bindings().map(|binding| binding.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn the_first_context_wins() {
        let esc = KeyEvent::new(Esc, KeyModifiers::NONE);
        assert_eq!(action(&esc, &[Answering, Sources]), Some(Action::Cancel));
        assert_eq!(action(&esc, &[Sources, Anywhere]), Some(Action::ToQuestion));
        assert_eq!(action(&esc, &[Input, Anywhere]), None);
    }

    #[test]
    fn shift_is_part_of_a_character() {
        let question_mark = KeyEvent::new(Char('?'), KeyModifiers::SHIFT);
        assert_eq!(action(&question_mark, &[EmptyInput]), Some(Action::OpenHelp));
        let shift_tab = KeyEvent::new(BackTab, KeyModifiers::SHIFT);
        assert_eq!(action(&shift_tab, &[Chat]), Some(Action::PreviousPane));
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
        let words: Vec<_> = Keymap::default()
            .hints(&[Answering, Sources, Anywhere])
            .filter_map(|(_, binding)| binding.hint)
            .collect();
        assert!(words.contains(&"cancel") && !words.contains(&"back"), "{words:?}");
    }
}
