//! The headings of reStructuredText: lines that are underlined, and perhaps overlined, with one character.

use super::{Heading, heading_text};

/// Shorter rows of punctuation under a line are no underline, unless they are as long as the line.
const SHORTEST_UNDERLINE: usize = 4;

/// Headings in the order of the text. Levels follow the order in which the styles of underlines first appear.
pub(super) fn headings(text: &str) -> Vec<Heading> {
    let lines: Vec<(usize, &str)> = lines_of(text);
    let mut styles: Vec<(char, bool)> = Vec::new();
    let mut headings = Vec::new();
    for at in 1..lines.len() {
        let (offset, title) = lines[at - 1];
        let Some(mark) = adornment(lines[at].1) else { continue };
        let long_enough = |line: &str| {
            let length = line.trim_end().chars().count();
            length >= title.trim_end().chars().count() || length >= SHORTEST_UNDERLINE
        };
        if title.trim().is_empty() || adornment(title).is_some() || !long_enough(lines[at].1) {
            continue;
        }
        let overline =
            at.checked_sub(2).map(|above| lines[above]).filter(|(_, line)| adornment(line) == Some(mark));
        // Only below an overline may a title be indented.
        if title.starts_with(char::is_whitespace) && overline.is_none() {
            continue;
        }
        let style = (mark, overline.is_some());
        let level = styles.iter().position(|known| *known == style).unwrap_or_else(|| {
            styles.push(style);
            styles.len() - 1
        });
        let offset = overline.map_or(offset, |(offset, _)| offset);
        headings.push(Heading { level: (level + 1).min(6) as u8, text: heading_text(title), offset });
    }
    headings
}

/// Each line with its byte offset.
pub(super) fn lines_of(text: &str) -> Vec<(usize, &str)> {
    let mut offset = 0;
    text.split_inclusive('\n')
        .map(|line| {
            let begin = offset;
            offset += line.len();
            (begin, line.trim_end_matches(['\n', '\r']))
        })
        .collect()
}

/// The character that a line is a row of.
fn adornment(line: &str) -> Option<char> {
    let line = line.trim_end();
    let first = line.chars().next()?;
    (line.len() >= 2 && first.is_ascii_punctuation() && line.chars().all(|other| other == first))
        .then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn underlines_and_overlines_make_levels() {
        let text = "======\n Dome\n======\n\nIntro.\n\nClosing\n=======\n\nText\n\nWind\n----\n\nMore.\n\nOpening\n=======\n\n\
            ====  ====\nA     B\n====  ====\n\n    indented\n    --------\n\n----\n\nLast.\n";
        let found: Vec<_> =
            headings(text).into_iter().map(|heading| (heading.level, heading.text, heading.offset)).collect();
        let expected = [(1, "Dome", 0), (2, "Closing", 29), (3, "Wind", 52), (2, "Opening", 70)];
        assert_eq!(found, expected.map(|(level, text, offset)| (level, text.to_owned(), offset)));
    }
}
