//! Whether the terminal is dark or light, for `theme = "auto"`.
//!
//! The terminal is asked, and its answer comes among the keys: crossterm, which reads everything that comes, takes it
//! for Alt-] and characters after it. They are taken out here, and whatever else comes goes on in its order, so that
//! no key is lost, whether the terminal answers at once, late, or never.

use std::{
    env, io,
    time::{Duration, Instant},
};

use crossterm::{
    event::{self, Event, KeyCode, KeyEvent, KeyModifiers},
    execute,
    style::Print,
};

/// Asks for the background's colour (OSC 11).
const QUESTION: &str = "\u{1b}]11;?\u{1b}\\";
/// The answer comes within a few milliseconds; the first picture does not wait longer than this.
const PATIENCE: Duration = Duration::from_millis(100);
/// From then on no answer is expected any more: one over a slow connection has come.
const LATEST: Duration = Duration::from_secs(5);
/// More characters than an answer has after the `]`.
const LONGEST: usize = 40;
/// What is typed for an answer begins so.
const BEGINNING: &str = "11;";

/// The terminal's answer, as far as it has come.
#[derive(Debug, Default)]
pub struct Background {
    /// `None` where the terminal has not said.
    is_light: Option<bool>,
    /// When it was asked, while its answer has not come.
    asked: Option<Instant>,
    /// What may be the beginning of the answer: events, and their characters after the `]`.
    held: Vec<Event>,
    text: String,
}

impl Background {
    /// Asks the terminal, which has to be in raw mode, and waits a little. The events are what came beside the answer.
    ///
    /// # Errors
    /// When the terminal cannot be written to or read from.
    pub fn ask() -> io::Result<(Self, Vec<Event>)> {
        let mut background = Self::default();
        let mut others = Vec::new();
        if !understands() {
            return Ok((background, others));
        }
        execute!(io::stdout(), Print(QUESTION))?;
        let asked = Instant::now();
        background.asked = Some(asked);
        while background.asked.is_some() && event::poll(PATIENCE.saturating_sub(asked.elapsed()))? {
            others.extend(background.take(event::read()?));
        }
        if background.is_light.is_none() {
            tracing::info!("the terminal does not say whether it is dark or light");
        }
        Ok((background, others))
    }

    /// The theme for this background.
    pub fn theme(&self) -> &'static str {
        match self.is_light {
            Some(true) => "light",
            Some(false) => "dark",
            None => "ansi",
        }
    }

    /// Keeps an event that may belong to the answer; gives back those that turn out not to.
    pub fn take(&mut self, event: Event) -> Vec<Event> {
        if self.asked.is_none_or(|asked| asked.elapsed() > LATEST) {
            self.asked = None;
            self.held.push(event);
            return std::mem::take(&mut self.held);
        }
        let key = match &event {
            Event::Key(key) => Some(*key),
            _ => None,
        };
        if key.is_some_and(begins) {
            let others = std::mem::replace(&mut self.held, vec![event]);
            self.text.clear();
            return others;
        }
        if !self.held.is_empty() {
            if let Some(character) = key.and_then(|key| self.continued_by(key)) {
                self.text.push(character);
                self.held.push(event);
                return Vec::new();
            }
            if key.is_some_and(ends) && self.text.starts_with(BEGINNING) {
                self.is_light = is_light(&self.text[BEGINNING.len()..]);
                self.asked = None;
                self.held.clear();
                return Vec::new();
            }
        }
        self.held.push(event);
        std::mem::take(&mut self.held)
    }

    /// The character of a key that an answer may go on with.
    fn continued_by(&self, key: KeyEvent) -> Option<char> {
        let plain = (key.modifiers - KeyModifiers::SHIFT).is_empty();
        let KeyCode::Char(character) = key.code else { return None };
        let expected = match BEGINNING.chars().nth(self.text.len()) {
            Some(expected) => character == expected,
            None => character.is_ascii_hexdigit() || "rgb:/".contains(character),
        };
        (plain && expected && self.text.len() < LONGEST).then_some(character)
    }
}

/// Others print what they do not understand.
fn understands() -> bool {
    let name = env::var("TERM").unwrap_or_default();
    !(name.is_empty() || name == "dumb" || name.starts_with("eterm"))
}

/// `ESC ]`, as crossterm reads it.
fn begins(key: KeyEvent) -> bool {
    (key.code, key.modifiers) == (KeyCode::Char(']'), KeyModifiers::ALT)
}

/// `ESC \` or BEL, as crossterm reads them.
fn ends(key: KeyEvent) -> bool {
    let end = (key.code, key.modifiers);
    end == (KeyCode::Char('\\'), KeyModifiers::ALT) || end == (KeyCode::Char('g'), KeyModifiers::CONTROL)
}

/// Whether `rgb:ffff/ffff/ffff` is a light colour.
fn is_light(color: &str) -> Option<bool> {
    let channels = color.strip_prefix("rgba:").or_else(|| color.strip_prefix("rgb:"))?;
    let mut parts = channels.split('/').map(|digits| {
        let most = 16f32.powi(i32::try_from(digits.len()).ok()?) - 1.0;
        Some(u16::from_str_radix(digits, 16).ok()? as f32 / most)
    });
    let (red, green, blue) = (parts.next()??, parts.next()??, parts.next()??);
    Some(0.299 * red + 0.587 * green + 0.114 * blue > 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What crossterm makes of these bytes, as far as they are used here.
    fn events(text: &str) -> Vec<Event> {
        let mut events = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let (code, modifiers) = match character {
                '\u{1b}' => (characters.next().expect("not at the end"), KeyModifiers::ALT),
                '\u{7}' => ('g', KeyModifiers::CONTROL),
                upper if upper.is_ascii_uppercase() => (upper, KeyModifiers::SHIFT),
                other => (other, KeyModifiers::NONE),
            };
            events.push(Event::Key(KeyEvent::new(KeyCode::Char(code), modifiers)));
        }
        events
    }

    /// What comes beside the answer, and what the answer says.
    fn taken(text: &str) -> (Vec<Event>, Option<bool>) {
        let mut background = Background { asked: Some(Instant::now()), ..Background::default() };
        let mut others = Vec::new();
        for event in events(text) {
            others.extend(background.take(event));
        }
        others.extend(std::mem::take(&mut background.held));
        (others, background.is_light)
    }

    #[test]
    fn the_answer_is_found_among_the_keys() {
        for (text, others, is_light) in [
            ("\u{1b}]11;rgb:1111/1212/1313\u{1b}\\", "", false),
            ("hé\u{1b}]11;rgb:FF/fe/fd\u{7}l\u{7}", "hél\u{7}", true),
            ("\u{1b}]\u{1b}]11;rgba:ffff/ffff/ffff/0000\u{1b}\\", "\u{1b}]", true),
            ("\u{1b}]11;rgb:0/0/0\u{7}\u{1b}]11;rgb:f/f/f\u{7}", "\u{1b}]11;rgb:f/f/f\u{7}", false),
        ] {
            assert_eq!(taken(text), (events(others), Some(is_light)), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_answer_goes_on_as_it_came() {
        for text in [
            "",
            "abc",
            "\u{1b}]",
            "\u{1b}]11",
            "\u{1b}]12;rgb:0/0/0\u{7}",
            "\u{1b}]11;rgb:0/0 0\u{7}",
            "\u{1b}]x\u{7}",
            "\u{1b}]11;rgb:0000000000000000000000000000000000000000000000000",
        ] {
            assert_eq!(taken(text), (events(text), None), "{text:?}");
        }
        let (others, is_light) = taken("\u{1b}]11;rgb:1/2\u{7}");
        assert_eq!((others, is_light), (Vec::new(), None), "an answer that says nothing");
    }

    #[test]
    fn after_a_while_no_answer_is_expected() {
        let long_ago = Instant::now().checked_sub(LATEST + PATIENCE);
        let mut background = Background { asked: long_ago, ..Background::default() };
        let typed = events("\u{1b}]11;");
        assert_eq!(background.take(typed[0].clone()), typed[..1]);
    }
}
