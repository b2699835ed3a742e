//! Text to words, for prose and code alike.
//!
//! A *compound* is what stands between spaces: `dome_controller`, `dome.md`, `std::path`, `openShutter`. It gives
//! its parts, split at connectors and where a capital begins a word, and, where there is more than one part, itself
//! as well: whoever types an identifier or a file name in full finds just that one.
//!
//! Chinese and Japanese put no spaces between words, and Korean puts endings right behind them: a run of their
//! characters gives each pair of neighbours, overlapping, and a character that stands alone gives itself. Most words
//! have two characters, so pairs are found where the words are, and seldom elsewhere.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use crate::corpus::packed::{Packed, Sixteen};

/// Words longer than this (bytes) are data, not language, and are left out.
const MAX_WORD_BYTES: usize = 96;

/// Where the words of `text` stand, in bytes, in order. Those of a compound follow it.
pub(super) fn places(text: &str) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    each(text, |place, _| places.push(place));
    places
}

/// The same one by one, with each as a short word where it is one of ASCII.
pub(super) fn each(text: &str, mut visit: impl FnMut(Range<usize>, Option<Packed>)) {
    let mut at = 0;
    while let Some(start) = begin(text, at) {
        if let Some(word) = short_word(&text.as_bytes()[start..]) {
            at = start + word.length();
            visit(start..at, Some(word));
            continue;
        }
        at = start
            + each_of_compound(&text[start..], |offset, word| {
                if word.len() <= MAX_WORD_BYTES {
                    let place = start + offset..start + offset + word.len();
                    visit(place, Packed::new(word).filter(|word| word.is_ascii()));
                }
            });
    }
}

/// The words of the compound that `text` begins with, each with where it starts, in bytes; gives the compound's length.
fn each_of_compound(text: &str, mut visit: impl FnMut(usize, &str)) -> usize {
    if let Some(word) = simple_word(text) {
        visit(0, word);
        return word.len();
    }
    let compound = compound(text);
    for (offset, run, is_unspaced) in runs(compound.trim_end_matches(is_connector)) {
        let parts = if is_unspaced { pairs(run) } else { parts(run) };
        if parts.len() > 1 && !is_unspaced {
            visit(offset, run);
        }
        for (inner, part) in parts {
            visit(offset + inner, part);
        }
    }
    compound.len()
}

/// Where the first letter or digit stands from the byte `at` on.
fn begin(text: &str, at: usize) -> Option<usize> {
    let mut at = at;
    loop {
        let first = *text.as_bytes().get(at)?;
        if first.is_ascii_alphanumeric() {
            return Some(at);
        }
        if first.is_ascii() {
            at += 1;
            continue;
        }
        let character = text[at..].chars().next()?;
        if is_word(character) {
            return Some(at);
        }
        at += character.len_utf8();
    }
}

/// What [`simple_word`] would find, where it is short and no connector stands behind it.
fn short_word(text: &[u8]) -> Option<Packed> {
    let sixteen = Sixteen::of(text)?;
    let end = sixteen.end_of_small(1);
    let word = sixteen.word(end)?;
    let ends = |byte: u8| byte.is_ascii() && !byte.is_ascii_alphanumeric() && !is_connector(char::from(byte));
    (text[0].is_ascii_alphanumeric() && ends(text[end])).then_some(word)
}

/// Most compounds are one word, which is seen at once: small ASCII letters and digits, or a capital and then these. `text`
/// begins with a letter or digit.
fn simple_word(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let is_small = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let end = 1 + bytes[1..].iter().position(|&byte| !is_small(byte)).unwrap_or(bytes.len() - 1);
    let behind = &bytes[end..];
    let next = behind.iter().find(|byte| !is_connector(char::from(**byte)));
    let ends = next.is_none_or(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric());
    (bytes[0].is_ascii_alphanumeric() && ends).then(|| &text[..end])
}

/// The letters and digits that `text` begins with, joined by connectors, with those that follow.
fn compound(text: &str) -> &str {
    let end = text.find(|character| !is_word(character) && !is_connector(character));
    &text[..end.unwrap_or(text.len())]
}

/// A compound cut where characters of unspaced scripts begin or end: its parts with their byte offsets, and whether
/// they are of such a script.
fn runs(compound: &str) -> Vec<(usize, &str, bool)> {
    let mut runs: Vec<(usize, &str, bool)> = Vec::new();
    let mut begin = 0;
    let mut before: Option<bool> = None;
    for (at, character) in compound.char_indices() {
        let unspaced = is_unspaced(character);
        if before.is_some_and(|before| before != unspaced) {
            runs.push((begin, &compound[begin..at], !unspaced));
            begin = at;
        }
        before = Some(unspaced);
    }
    runs.extend(before.map(|unspaced| (begin, &compound[begin..], unspaced)));
    // What is left of a connector beside such a run belongs to no word.
    runs.into_iter()
        .map(|(at, run, unspaced)| {
            let trimmed = run.trim_start_matches(is_connector);
            (at + run.len() - trimmed.len(), trimmed.trim_end_matches(is_connector), unspaced)
        })
        .filter(|(_, run, _)| !run.is_empty())
        .collect()
}

/// Each pair of neighbours in a run of characters, or the one that there is, with their byte offsets.
fn pairs(run: &str) -> Vec<(usize, &str)> {
    let starts: Vec<usize> = run.char_indices().map(|(at, _)| at).chain([run.len()]).collect();
    match starts.len() {
        0..=2 => vec![(0, run)],
        _ => starts.windows(3).map(|edges| (edges[0], &run[edges[0]..edges[2]])).collect(),
    }
}

/// Han, kana and hangul, with the signs that stand among them as letters do.
fn is_unspaced(character: char) -> bool {
    matches!(character,
        '\u{1100}'..='\u{11ff}'
        | '\u{2e80}'..='\u{2fdf}'
        | '\u{3005}'..='\u{3007}'
        | '\u{3031}'..='\u{3035}'
        | '\u{3041}'..='\u{3096}'
        | '\u{309d}'..='\u{309f}'
        | '\u{30a1}'..='\u{30fa}'
        | '\u{30fc}'..='\u{30ff}'
        | '\u{3105}'..='\u{318e}'
        | '\u{31a0}'..='\u{31bf}'
        | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{a960}'..='\u{a97c}'
        | '\u{ac00}'..='\u{d7fb}'
        | '\u{f900}'..='\u{faff}'
        | '\u{ff66}'..='\u{ff9f}'
        | '\u{20000}'..='\u{323af}'
    )
}

/// The words of a compound, each with its byte offset in it.
fn parts(compound: &str) -> Vec<(usize, &str)> {
    let start_of = |piece: &str| piece.as_ptr() as usize - compound.as_ptr() as usize;
    let mut parts = Vec::new();
    for piece in compound.split(is_connector).filter(|piece| !piece.is_empty()) {
        for word in piece.unicode_words() {
            for part in split_at_capitals(word) {
                parts.push((start_of(part), part));
            }
        }
    }
    parts
}

/// `openShutter` to `open`, `Shutter`; `HTTPServer` to `HTTP`, `Server`; digits stay with what precedes them.
fn split_at_capitals(word: &str) -> Vec<&str> {
    let characters: Vec<(usize, char)> = word.char_indices().collect();
    let mut parts = Vec::new();
    let mut begin = 0;
    for (index, &(offset, character)) in characters.iter().enumerate().skip(1) {
        let previous = characters[index - 1].1;
        let next_is_small = characters.get(index + 1).is_some_and(|(_, next)| next.is_lowercase());
        if character.is_uppercase() && (!previous.is_uppercase() || next_is_small) {
            parts.push(&word[begin..offset]);
            begin = offset;
        }
    }
    parts.push(&word[begin..]);
    parts
}

/// Letters, digits, and the combining marks that belong to a letter.
fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '\u{300}'..='\u{36f}')
}

fn is_connector(character: char) -> bool {
    matches!(character, '_' | '-' | '.' | ':')
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, test_runner::RngSeed};

    use super::*;

    fn words(text: &str) -> Vec<String> {
        places(text).into_iter().map(|place| text[place].to_lowercase()).collect()
    }

    #[test]
    fn prose_gives_its_words() {
        assert_eq!(words("What's (the) AND: foo?* Größe."), ["what", "s", "the", "and", "foo", "größe"]);
        assert_eq!(words(""), Vec::<String>::new());
        assert_eq!(words(" ... -- _ :: "), Vec::<String>::new());
    }

    #[test]
    fn identifiers_and_file_names_give_themselves_and_their_parts() {
        assert_eq!(words("dome_controller"), ["dome_controller", "dome", "controller"]);
        assert_eq!(words("runbooks/dome.md"), ["runbooks", "dome.md", "dome", "md"]);
        assert_eq!(words("std::path"), ["std::path", "std", "path"]);
        assert_eq!(words("openShutter"), ["openshutter", "open", "shutter"]);
        assert_eq!(words("HTTPServer2Config"), ["httpserver2config", "http", "server2", "config"]);
        assert_eq!(words("GPIO v2.1-rc"), ["gpio", "v2.1-rc", "v2", "1", "rc"]);
    }

    #[test]
    fn scripts_without_spaces_give_pairs() {
        assert_eq!(words("天文台 open"), ["天文", "文台", "open"]);
        assert_eq!(words("山。ドームは85%で閉"), ["山", "ドー", "ーム", "ムは", "85", "で閉"]);
        assert_eq!(words("천문대의 돔"), ["천문", "문대", "대의", "돔"]);
        assert_eq!(words("Python入門_v2.pdf"), ["python", "入門", "v2.pdf", "v2", "pdf"]);
    }

    #[test]
    fn long_runs_of_data_are_left_out() {
        assert_eq!(words(&format!("a {} b", "x".repeat(500))), ["a", "b"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn short_words_are_those_that_are_found_letter_by_letter(
            text in "([a-zA-Z0-9]{1,18}[ ,._:-]{0,2}|[a-z]{1,3}[é日]|\\PC|[ _.:-]){0,24}"
        ) {
            let (mut expected, mut at) = (Vec::new(), 0);
            while let Some(start) = begin(&text, at) {
                at = start + each_of_compound(&text[start..], |offset, word| {
                    if word.len() <= MAX_WORD_BYTES {
                        expected.push((start + offset..start + offset + word.len(), Packed::new(word)));
                    }
                });
            }
            let mut found = Vec::new();
            each(&text, |place, short| found.push((place, short)));
            for (_, short) in &mut expected {
                *short = short.filter(|short| short.is_ascii());
            }
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn every_word_has_its_place(text in any::<String>()) {
            for place in places(&text) {
                let word = &text[place];
                assert!(word.chars().next().is_some_and(is_word) && !word.contains(char::is_whitespace), "{word:?}");
            }
        }
    }
}
