//! Org files: stars are headings, and `#+TITLE:` is the title.

use super::{Converted, DocumentKind, Heading, heading_text, rst::lines_of};

/// Keywords that say how far a task is, and not what it is.
const STATES: [&str; 2] = ["TODO", "DONE"];

pub(super) fn convert(text: String) -> Converted {
    let lines = lines_of(&text);
    let title = lines.iter().find_map(|(_, line)| title_of(line));
    let headings = lines.iter().filter_map(|&(offset, line)| heading(offset, line)).collect();
    Converted { title, ..Converted::plain(DocumentKind::Text, text, headings) }
}

fn title_of(line: &str) -> Option<String> {
    let (key, value) = line.split_once(':')?;
    key.trim().eq_ignore_ascii_case("#+title").then(|| heading_text(value)).filter(|title| !title.is_empty())
}

fn heading(offset: usize, line: &str) -> Option<Heading> {
    let stars = line.bytes().take_while(|byte| *byte == b'*').count();
    let text = line[stars..].strip_prefix(' ').filter(|_| stars > 0)?.trim();
    let text = STATES.iter().find_map(|state| text.strip_prefix(state)?.strip_prefix(' ')).unwrap_or(text);
    let text = heading_text(without_tags(text));
    (!text.is_empty()).then(|| Heading { level: stars.min(6) as u8, text, offset })
}

/// A heading without `:tag:tag:` at its end.
fn without_tags(text: &str) -> &str {
    match text.rsplit_once(char::is_whitespace) {
        Some((before, last)) if last.len() > 2 && last.starts_with(':') && last.ends_with(':') => {
            before.trim_end()
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_are_levels_and_states_and_tags_are_left_out() {
        let text =
            "#+TITLE: Night log\n\n* TODO Close the dome :wind:urgent:\nNow.\n** Wind limit\n*bold* text\n";
        let converted = convert(text.to_owned());
        let found: Vec<_> =
            converted.headings.iter().map(|heading| (heading.level, heading.text.as_str())).collect();
        assert_eq!(found, [(1, "Close the dome"), (2, "Wind limit")]);
        assert_eq!(converted.title.as_deref(), Some("Night log"));
        assert!(converted.has_lines);
    }
}
