//! Citation labels: `dome.md § Closing`.
//!
//! A label is part of what the model reads and what a terminal shows, and its parts come from file names and
//! headings that anybody may have written: it is one line of visible characters, of bounded length.

use super::TokenCounter;

/// The most characters of a file's name in a label.
const NAME_CHARACTERS: usize = 60;
/// The most characters of a heading in a label.
const HEADING_CHARACTERS: usize = 80;

/// A label, as the line that begins a chunk's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    pub text: String,
    /// `[label]` and a line break.
    pub line: String,
    /// Tokens of `line`.
    pub tokens: usize,
}

/// The label for a file and the innermost heading, cut so that it takes at most half of `budget` tokens.
pub(super) fn label(name: &str, heading: Option<&str>, budget: usize, count: TokenCounter) -> Label {
    let heading =
        heading.map(|heading| plain(heading, HEADING_CHARACTERS)).filter(|heading| !heading.is_empty());
    let mut text = match heading {
        Some(heading) => format!("{} § {heading}", plain(name, NAME_CHARACTERS)),
        None => plain(name, NAME_CHARACTERS),
    };
    loop {
        let line = format!("[{text}]\n");
        let tokens = count.count(&line);
        let characters = text.chars().count();
        if tokens <= budget / 2 || characters <= 1 {
            return Label { text, line, tokens };
        }
        text = shortened(&text, characters * 3 / 4);
    }
}

/// `text` on one line, without characters that are not shown or that change how others are shown, at most
/// `characters` long.
pub(super) fn plain(text: &str, characters: usize) -> String {
    let shown: String =
        text.chars().map(|character| if is_shown(character) { character } else { ' ' }).collect();
    let words: Vec<&str> = shown.split_whitespace().collect();
    shortened(&words.join(" "), characters)
}

/// At most `characters` characters of `text`; the last is `…` where something was cut.
fn shortened(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(characters.saturating_sub(1)).collect();
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}

fn is_shown(character: char) -> bool {
    let reorders = matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let invisible = matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !character.is_control() && !reorders && !invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    fn characters(text: &str) -> usize {
        text.chars().count()
    }

    #[test]
    fn a_label_names_file_and_heading() {
        let label = label("dome.md", Some("Closing"), 384, &characters);
        assert_eq!(label.text, "dome.md § Closing");
        assert_eq!(label.line, "[dome.md § Closing]\n");
        assert_eq!(label.tokens, 20);
    }

    #[test]
    fn hostile_names_stay_on_one_visible_line() {
        let label = label("a\n\u{1b}[31m\u{202e}b\r.md", Some("x\u{0}\u{2028}y\u{9b}"), 384, &characters);
        assert_eq!(label.text, "a [31m b .md § x y");
    }

    #[test]
    fn long_labels_are_cut() {
        let long = label(&"n".repeat(4000), Some(&"h".repeat(4000)), 384, &characters);
        assert!(characters(&long.text) <= NAME_CHARACTERS + HEADING_CHARACTERS + 3);
        let tight = label(&"n".repeat(4000), Some("Closing"), 20, &characters);
        assert!(tight.tokens <= 10 && tight.text.ends_with('…'), "{tight:?}");
    }
}
