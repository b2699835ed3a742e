//! Which keys are bound to what: the tables of [`keys`](super::keys), and what the configuration changes in them.

use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::keys::{Action, Binding, Chord, Context, bindings};

/// Names of keys that are no characters, as the configuration writes them.
const NAMED: [(&str, KeyCode); 22] = [
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("space", KeyCode::Char(' ')),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("del", KeyCode::Delete),
    ("insert", KeyCode::Insert),
    ("ins", KeyCode::Insert),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pgup", KeyCode::PageUp),
    ("pgdn", KeyCode::PageDown),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("↑", KeyCode::Up),
    ("↓", KeyCode::Down),
    ("←", KeyCode::Left),
    ("→", KeyCode::Right),
    ("back tab", KeyCode::BackTab),
];
/// What a chord can be, for errors.
const POSSIBLE: &str = "a character, f1 to f12, enter, esc, tab, space, backspace, delete, insert, home, end, pgup, \
                        pgdn, up, down, left or right, with ctrl-, alt- or shift- before it";
/// Names of bindings that are suggested for one that is not known.
const SUGGESTIONS: usize = 3;

/// The keys of every binding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keymap {
    /// The chords of the bindings that the configuration changes, by the bindings' names.
    changed: BTreeMap<&'static str, Vec<Chord>>,
}

/// Keys that the configuration gives and that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("`keys.{name}`: there is no action of this name{}", suggestion(name))]
    UnknownName { name: String },
    #[error("`keys.{name}`: `{chord}` is no key; a key is {POSSIBLE}")]
    UnknownKey { name: String, chord: String },
    #[error(
        "`keys.{name}`: {chord} is the key of `{other}`, too; give one of them another, or none: `{other} = []`"
    )]
    Twice { name: String, other: String, chord: String },
}

fn suggestion(name: &str) -> String {
    let known: Vec<_> = bindings().map(|binding| binding.name).collect();
    let near = similar::get_close_matches(name, &known, SUGGESTIONS, 0.6);
    match near.is_empty() {
        true => "; the help (F1) shows the names".to_owned(),
        false => format!("; is it {}?", near.join(", ")),
    }
}

impl Chord {
    /// Reads a key's name: `ctrl-p`, `alt-enter`, `f5`, `shift-tab`, `pgup`, `?`. `None` where there is no such key.
    pub fn parse(name: &str) -> Option<Self> {
        let mut rest = name.trim();
        let mut modifiers = KeyModifiers::NONE;
        let prefixes =
            [("ctrl-", KeyModifiers::CONTROL), ("alt-", KeyModifiers::ALT), ("shift-", KeyModifiers::SHIFT)];
        'prefixes: while rest.len() > 1 {
            for (prefix, modifier) in prefixes {
                if let (Some(head), Some(tail)) = (rest.get(..prefix.len()), rest.get(prefix.len()..))
                    && head.eq_ignore_ascii_case(prefix)
                    && !tail.is_empty()
                {
                    modifiers |= modifier;
                    rest = tail;
                    continue 'prefixes;
                }
            }
            break;
        }
        let code = key_code(rest)?;
        Some(Self::normal(code, modifiers))
    }

    /// The chord as a terminal reports it: Shift is part of a character, and Ctrl knows no capitals.
    fn normal(code: KeyCode, modifiers: KeyModifiers) -> Self {
        let shift = modifiers.contains(KeyModifiers::SHIFT);
        let others = modifiers - KeyModifiers::SHIFT;
        match code {
            KeyCode::Tab | KeyCode::BackTab if shift || code == KeyCode::BackTab => {
                Self { code: KeyCode::BackTab, modifiers: others }
            }
            KeyCode::Char(character) if others.contains(KeyModifiers::CONTROL) => {
                Self { code: KeyCode::Char(changed(character, char::to_lowercase)), modifiers: others }
            }
            KeyCode::Char(character) => {
                let character = match (shift, others.is_empty()) {
                    (true, _) => changed(character, char::to_uppercase),
                    (false, true) => character,
                    (false, false) => changed(character, char::to_lowercase),
                };
                Self { code: KeyCode::Char(character), modifiers: others }
            }
            _ => Self { code, modifiers },
        }
    }

    /// Why usual terminals cannot tell this chord from another key.
    fn never_comes(self) -> Option<&'static str> {
        if self.modifiers != KeyModifiers::CONTROL {
            return None;
        }
        match self.code {
            KeyCode::Char('i') => Some("Tab"),
            KeyCode::Char('m') => Some("Enter"),
            KeyCode::Char('[') => Some("Esc"),
            _ => None,
        }
    }
}

fn key_code(name: &str) -> Option<KeyCode> {
    let mut characters = name.chars();
    if let (Some(character), None) = (characters.next(), characters.next())
        && !character.is_control()
        && !NAMED.iter().any(|(named, _)| *named == name)
    {
        return Some(KeyCode::Char(character));
    }
    let lower = name.to_lowercase();
    if let Some(number) = lower.strip_prefix('f').and_then(|number| number.parse::<u8>().ok()) {
        return (1..=12).contains(&number).then_some(KeyCode::F(number));
    }
    NAMED.iter().find(|(named, _)| *named == lower).map(|(_, code)| *code)
}

/// The character in another case, where that is one character and leads back.
fn changed<I: Iterator<Item = char>>(character: char, case: impl Fn(char) -> I) -> char {
    let mut changed = case(character);
    match (changed.next(), changed.next()) {
        (Some(single), None) => single,
        _ => character,
    }
}

impl Keymap {
    /// The tables with what the configuration says: the chords for each name, none to take them away.
    ///
    /// # Errors
    /// A name or a key that is not known, and two bindings of one context on the same key.
    pub fn new(settings: &BTreeMap<String, Vec<String>>) -> Result<Self, KeyError> {
        let mut keymap = Self::default();
        for (name, chords) in settings {
            let unknown = || KeyError::UnknownName { name: name.clone() };
            let binding = bindings().find(|binding| binding.name == name).ok_or_else(unknown)?;
            let parse = |chord: &String| {
                Chord::parse(chord)
                    .ok_or_else(|| KeyError::UnknownKey { name: name.clone(), chord: chord.clone() })
            };
            let chords = chords.iter().map(parse).collect::<Result<_, _>>()?;
            keymap.changed.insert(binding.name, chords);
        }
        keymap.check()?;
        Ok(keymap)
    }

    fn check(&self) -> Result<(), KeyError> {
        for binding in bindings().filter(|binding| self.changed.contains_key(binding.name)) {
            for chord in self.chords(binding) {
                let other = bindings().find(|other| {
                    other.context == binding.context
                        && other.name != binding.name
                        && self.chords(other).contains(chord)
                });
                if let Some(other) = other {
                    return Err(KeyError::Twice {
                        name: binding.name.to_owned(),
                        other: other.name.to_owned(),
                        chord: chord.name(),
                    });
                }
            }
        }
        Ok(())
    }

    /// What the user should know of the keys that were given, a sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (name, chords) in &self.changed {
            for chord in chords {
                if let Some(key) = chord.never_comes() {
                    let chord = chord.name();
                    warnings.push(format!("`keys.{name}`: most terminals send {key} for {chord}."));
                }
            }
        }
        warnings
    }

    /// The keys of a binding, the one to be shown first.
    pub fn chords<'a>(&'a self, binding: &Binding) -> &'a [Chord] {
        match self.changed.get(binding.name) {
            Some(chords) => chords,
            None => binding.chords,
        }
    }

    /// What `event` does where `contexts` hold, the first of them before the others.
    pub fn action(&self, event: &KeyEvent, contexts: &[Context]) -> Option<Action> {
        self.binding(Chord::of(event), contexts).map(|binding| binding.action)
    }

    fn binding(&self, chord: Chord, contexts: &[Context]) -> Option<&'static Binding> {
        contexts.iter().find_map(|context| {
            let mut here = bindings().filter(|binding| binding.context == *context);
            here.find(|binding| self.chords(binding).contains(&chord))
        })
    }

    /// The bindings with a hint that work where `contexts` hold, each with the first of its keys that is not covered.
    pub fn hints(&self, contexts: &[Context]) -> impl Iterator<Item = (Chord, &'static Binding)> {
        bindings().filter(|binding| binding.hint.is_some()).filter_map(|binding| {
            let is_reached = |chord: &&Chord| {
                self.binding(**chord, contexts).is_some_and(|reached| reached.name == binding.name)
            };
            let chord = self.chords(binding).first().filter(is_reached)?;
            Some((*chord, binding))
        })
    }

    /// The name of the first key that does this, wherever that is.
    pub fn key(&self, action: Action) -> Option<String> {
        self.first_key(bindings().filter(|binding| binding.action == action))
    }

    /// The name of the first key that does this in this context.
    pub fn key_in(&self, context: Context, action: Action) -> Option<String> {
        let here = bindings().filter(|binding| binding.context == context && binding.action == action);
        self.first_key(here)
    }

    /// The names of all keys that do this, as in `→ or n`.
    pub fn keys(&self, action: Action) -> Option<String> {
        let bound = bindings().filter(|binding| binding.action == action);
        let names: Vec<_> =
            bound.flat_map(|binding| self.chords(binding)).map(|chord| chord.name()).collect();
        (!names.is_empty()).then(|| names.join(" or "))
    }

    fn first_key(&self, mut bound: impl Iterator<Item = &'static Binding>) -> Option<String> {
        bound.find_map(|binding| self.chords(binding).first()).map(|chord| chord.name())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keymap(settings: &[(&str, &[&str])]) -> Result<Keymap, KeyError> {
        let chords = |chords: &[&str]| chords.iter().map(|chord| (*chord).to_owned()).collect();
        Keymap::new(&settings.iter().map(|(name, keys)| ((*name).to_owned(), chords(keys))).collect())
    }

    fn press(name: &str) -> KeyEvent {
        let chord = Chord::parse(name).expect(name);
        KeyEvent::new(chord.code, chord.modifiers)
    }

    #[test]
    fn names_are_read() {
        let chord = |code, modifiers| Some(Chord { code, modifiers });
        assert_eq!(Chord::parse("ctrl-p"), chord(KeyCode::Char('p'), KeyModifiers::CONTROL));
        assert_eq!(Chord::parse("Ctrl-P"), chord(KeyCode::Char('p'), KeyModifiers::CONTROL));
        assert_eq!(Chord::parse("alt-enter"), chord(KeyCode::Enter, KeyModifiers::ALT));
        assert_eq!(Chord::parse("F5"), chord(KeyCode::F(5), KeyModifiers::NONE));
        assert_eq!(Chord::parse("shift-tab"), chord(KeyCode::BackTab, KeyModifiers::NONE));
        assert_eq!(Chord::parse("shift-up"), chord(KeyCode::Up, KeyModifiers::SHIFT));
        assert_eq!(Chord::parse("shift-g"), chord(KeyCode::Char('G'), KeyModifiers::NONE));
        assert_eq!(Chord::parse("G"), chord(KeyCode::Char('G'), KeyModifiers::NONE));
        assert_eq!(Chord::parse("ctrl--"), chord(KeyCode::Char('-'), KeyModifiers::CONTROL));
        assert_eq!(Chord::parse("?"), chord(KeyCode::Char('?'), KeyModifiers::NONE));
        for wrong in ["", "ctrl-", "f13", "f0", "super-x", "page", "ctrl-pp", "\u{1b}"] {
            assert_eq!(Chord::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_key_of_the_tables_reads_back() {
        for chord in bindings().flat_map(|binding| binding.chords) {
            assert_eq!(Chord::parse(&chord.name()), Some(*chord), "{}", chord.name());
        }
    }

    #[test]
    fn keys_can_be_changed_and_taken_away() {
        let keymap = keymap(&[("palette.open", &["ctrl-k", "f12"]), ("newline", &[])]).unwrap();
        let contexts = [Context::Input, Context::AnyView];
        assert_eq!(keymap.action(&press("ctrl-k"), &contexts), Some(Action::OpenPalette));
        assert_eq!(keymap.action(&press("f12"), &contexts), Some(Action::OpenPalette));
        assert_eq!(keymap.action(&press("ctrl-p"), &contexts), None);
        assert_eq!(keymap.action(&press("ctrl-j"), &contexts), None);
        assert_eq!(keymap.action(&press("enter"), &contexts), Some(Action::Send));
        assert_eq!(keymap.key(Action::OpenPalette).as_deref(), Some("Ctrl-K"));
        assert_eq!(keymap.key(Action::Newline), None);
        let hints: Vec<_> =
            keymap.hints(&contexts).map(|(chord, binding)| (chord.name(), binding.name)).collect();
        assert!(hints.contains(&("Ctrl-K".to_owned(), "palette.open")), "{hints:?}");
        assert!(hints.iter().all(|(_, name)| *name != "newline"), "{hints:?}");
    }

    #[test]
    fn errors_say_which_key_and_what_is_possible() {
        let error = |settings| keymap(settings).unwrap_err().to_string();
        let unknown = error(&[("palete.open", &["f5"])]);
        assert!(
            unknown.contains("`keys.palete.open`") && unknown.contains("is it palette.open"),
            "{unknown}"
        );
        let no_key = error(&[("send", &["hyper-x"])]);
        assert!(
            no_key.contains("`keys.send`") && no_key.contains("`hyper-x`") && no_key.contains("ctrl-"),
            "{no_key}"
        );
        let twice = error(&[("newline", &["enter"])]);
        assert!(
            twice.contains("`keys.newline`") && twice.contains("`send`") && twice.contains("Enter"),
            "{twice}"
        );
        assert!(keymap(&[("newline", &["enter"]), ("send", &["ctrl-j"])]).is_ok(), "two that change places");
    }

    #[test]
    fn keys_that_never_come_are_warned_of() {
        let keymap = keymap(&[("redraw", &["ctrl-m"]), ("palette.open", &["ctrl-k"])]).unwrap();
        assert_eq!(keymap.warnings(), ["`keys.redraw`: most terminals send Enter for Ctrl-M."]);
    }

    /// A name in a TOML table cannot be that of another table.
    #[test]
    fn no_name_is_the_beginning_of_another() {
        for binding in bindings() {
            let below = format!("{}.", binding.name);
            assert!(bindings().all(|other| !other.name.starts_with(&below)), "{}", binding.name);
        }
    }

    fn chords() -> impl Strategy<Value = Chord> {
        let code = prop_oneof![
            any::<char>()
                .prop_filter("a key", |each| !each.is_control() && !each.is_whitespace())
                .prop_map(KeyCode::Char),
            (1u8..=12).prop_map(KeyCode::F),
            prop::sample::select(NAMED.map(|(_, code)| code).to_vec()),
        ];
        (code, 0u8..8).prop_map(|(code, bits)| Chord::normal(code, KeyModifiers::from_bits_truncate(bits)))
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config { rng_seed: proptest::test_runner::RngSeed::Fixed(12), ..Default::default() })]

        #[test]
        fn a_chords_name_reads_back(chord in chords()) {
            prop_assert_eq!(Chord::parse(&chord.name()), Some(chord), "{}", chord.name());
        }

        #[test]
        fn what_is_pressed_is_normal(chord in chords()) {
            let event = KeyEvent::new(chord.code, chord.modifiers);
            prop_assert_eq!(Chord::of(&event), chord);
        }
    }
}
