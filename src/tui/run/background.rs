//! Whether the terminal is dark or light, for `theme = "auto"`.
//!
//! The terminal is asked and its answer comes among the keys. Keys that are there already are not to be mixed up with
//! it, so nothing is asked then; those that are typed until it comes are given back.

use std::time::Duration;

use terminal_colorsaurus::{Error, QueryOptions, background_color};

/// The answer comes within a few milliseconds; the first picture does not wait longer than this.
const PATIENCE: Duration = Duration::from_millis(100);

/// What the terminal says about its background.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Background {
    /// `None` where the terminal does not say.
    pub is_light: Option<bool>,
    /// What was typed before the answer came.
    pub typed: String,
}

impl Background {
    /// Asks the terminal, which has to be in raw mode.
    pub fn ask() -> Self {
        if crossterm::event::poll(Duration::ZERO).unwrap_or(true) {
            return Self::default();
        }
        let mut options = QueryOptions::default();
        options.timeout = PATIENCE;
        match background_color(options) {
            Ok(color) => Self { is_light: Some(color.perceived_lightness() > 0.5), typed: String::new() },
            Err(Error::Parse(answer)) => Self::among_keys(&answer),
            Err(error) => {
                tracing::info!("the terminal does not say whether it is dark or light: {error}");
                Self::default()
            }
        }
    }

    /// The theme for this background.
    pub fn theme(&self) -> &'static str {
        match self.is_light {
            Some(true) => "light",
            Some(false) => "dark",
            None => "ansi",
        }
    }

    /// Takes keys and answer apart: `hel\x1b]11;rgb:0000/0000/0000\x1b\\`.
    fn among_keys(answer: &[u8]) -> Self {
        let text = String::from_utf8_lossy(answer);
        let (typed, color) = text.split_once("\u{1b}]11;").unwrap_or((&text, ""));
        let typed = typed.chars().filter(|character| !character.is_control()).collect();
        Self { is_light: is_light(color), typed }
    }
}

/// Whether `rgb:ffff/ffff/ffff` and what ends it is a light colour.
fn is_light(color: &str) -> Option<bool> {
    let channels = color.strip_prefix("rgb:")?.trim_end_matches(['\u{7}', '\u{1b}', '\\']);
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

    #[test]
    fn keys_before_the_answer_are_given_back() {
        let dark = Background::among_keys("héllo\r\u{1b}]11;rgb:1111/1212/1313\u{1b}\\".as_bytes());
        assert_eq!(dark, Background { is_light: Some(false), typed: "héllo".to_owned() });
        let light = Background::among_keys(b"\x1b]11;rgb:ff/fe/fd\x07");
        assert_eq!(light, Background { is_light: Some(true), typed: String::new() });
        assert_eq!(light.theme(), "light");
    }

    #[test]
    fn an_answer_that_is_none_changes_nothing() {
        for answer in ["", "abc", "\u{1b}]11;", "\u{1b}]11;rgb:", "\u{1b}]11;rgb:1/2", "\u{1b}]11;rgb:x/y/z"]
        {
            assert_eq!(Background::among_keys(answer.as_bytes()).theme(), "ansi", "{answer:?}");
        }
    }
}
