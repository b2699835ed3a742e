//! Makes text from documents, file names and the model safe to print.

use std::borrow::Cow;

/// `text` with everything that a terminal would act on made visible or taken out: control characters become their
/// pictures (ESC is shown as `␛`), C1 controls and bidirectional overrides become U+FFFD; line breaks and tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\r' => out.push('\n'),
            '\u{7f}' => out.push('\u{2421}'),
            '\0'..='\u{1f}' if !is_harmless(character) => {
                out.push(char::from_u32(0x2400 + character as u32).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            character if is_harmless(character) => out.push(character),
            _ => out.push(char::REPLACEMENT_CHARACTER),
        }
    }
    Cow::Owned(out)
}

/// Neither a control character (but line break and tab) nor one that reorders the text around it.
fn is_harmless(character: char) -> bool {
    match character {
        '\n' | '\t' => true,
        '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => false,
        character => !character.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_is_not_copied() {
        assert!(matches!(visible("Grüße,\n\t日本語 👩‍🚀"), Cow::Borrowed(_)));
    }

    #[test]
    fn nothing_that_a_terminal_acts_on_stays() {
        let hostile = "a\u{1b}[31mred\u{1b}]0;title\u{7} \u{9b}2J \u{202e}txt\u{2066} b\rc\r\nd\u{7f}\0";
        let safe = visible(hostile);
        assert_eq!(safe, "a␛[31mred␛]0;title␇ \u{fffd}2J \u{fffd}txt\u{fffd} b\nc\nd␡␀");
        assert!(!safe.chars().any(|c| c.is_control() && c != '\n'));
    }
}
