//! An answer's text as sections that are laid out one by one.
//!
//! A section is what stands between blank lines, or a fenced block of code. Where one ends is decided by what has come,
//! never by what comes later, so that the sections of a growing text only become more. No section is longer than
//! [`MOST_BYTES`]: a longer one is cut, so that laying one out never takes long.

/// Most bytes of a section.
pub const MOST_BYTES: usize = 8 * 1024;

/// A fence of code that has been opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    mark: u8,
    length: usize,
    /// Whether it is a section of its own: not part of a list or a quote.
    own: bool,
    /// Where the name of the language is in the text, as its beginning and end.
    pub info: (usize, usize),
}

impl Fence {
    /// Whether the code is a section by itself: not part of a list or a quote.
    pub fn is_own(self) -> bool {
        self.own
    }
}

/// A stretch of an answer's text that is laid out by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    pub start: usize,
    pub end: usize,
    /// The fence in which the section begins; its line is in an earlier section.
    pub inside: Option<Fence>,
    /// The section goes on where a long one was cut.
    pub continued: bool,
}

/// Where the section that begins at `start` ends, and how the next one begins. `None` while it is not decided.
pub fn section(text: &str, start: usize, inside: Option<Fence>) -> Option<(usize, Option<Fence>, bool)> {
    let mut fence = inside;
    let mut content = inside.is_some();
    let mut blank = false;
    let mut at = start;
    loop {
        let rest = &text.as_bytes()[at..];
        let line_end =
            rest.iter().take(MOST_BYTES + 1).position(|byte| *byte == b'\n').map(|end| at + end + 1);
        let indent = rest.iter().take(MOST_BYTES + 1).take_while(|byte| **byte == b' ').count();
        let first = rest.get(indent).copied();
        let is_blank = first == Some(b'\n');
        let is_text = first.is_some_and(|first| first != b'\n');
        if fence.is_none() && blank && content && is_text && indent < 2 && first != Some(b'\t') {
            return Some((at, None, false));
        }
        if line_end.unwrap_or(text.len()) > start + MOST_BYTES {
            return Some((cut(text, start, at), fence, true));
        }
        let end = line_end?;
        let line = &text[at..end];
        match fence {
            Some(open) if closes(open, line) => {
                fence = None;
                if open.own {
                    return Some((end, None, false));
                }
            }
            Some(_) => {}
            None => {
                fence = opened(line, at);
                if fence.is_some_and(|fence| fence.own) && content {
                    return Some((at, None, false));
                }
            }
        }
        content |= !is_blank;
        blank = is_blank;
        at = end;
    }
}

/// Where a section that is too long is cut: after its last whole line, else at a blank, else between characters.
fn cut(text: &str, start: usize, line: usize) -> usize {
    if line > start {
        return line;
    }
    let mut end = start + MOST_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    // Not between the parts of what is drawn as one.
    text[start..end].rfind(' ').map_or(end, |blank| start + blank + 1)
}

/// The fence that a line opens; `at` is where the line begins.
pub fn opened(line: &str, at: usize) -> Option<Fence> {
    let inner = line.trim_start_matches(' ');
    let mark = *inner.as_bytes().first().filter(|mark| matches!(mark, b'`' | b'~'))?;
    let length = inner.bytes().take_while(|byte| *byte == mark).count();
    let info = inner[length..].trim();
    if length < 3 || mark == b'`' && info.contains('`') {
        return None;
    }
    let indent = line.len() - inner.len();
    let info_start = at + indent + length + (inner[length..].len() - inner[length..].trim_start().len());
    Some(Fence { mark, length, own: indent == 0, info: (info_start, info_start + info.len()) })
}

/// Whether a line ends the block of code.
pub fn closes(fence: Fence, line: &str) -> bool {
    let line = line.trim();
    line.len() >= fence.length && line.bytes().all(|byte| byte == fence.mark)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The text in its sections, the open one last.
    fn sections(text: &str) -> Vec<&str> {
        let mut sections = Vec::new();
        let (mut start, mut inside) = (0, None);
        while let Some((end, fence, _)) = section(text, start, inside) {
            sections.push(&text[start..end]);
            (start, inside) = (end, fence);
        }
        sections.push(&text[start..]);
        sections
    }

    #[test]
    fn paragraphs_lists_and_code_are_sections() {
        assert_eq!(sections("one\ntwo\n\nthree"), ["one\ntwo\n\n", "three"]);
        assert_eq!(sections("- a\n\n  more of a\n\nb"), ["- a\n\n  more of a\n\n", "b"]);
        assert_eq!(
            sections("a:\n```rust\nlet a;\n\nb\n```\nc"),
            ["a:\n", "```rust\nlet a;\n\nb\n```\n", "c"]
        );
        assert_eq!(sections("- a\n  ```\n\nx\n  ```\nb\n\nc"), ["- a\n  ```\n\nx\n  ```\nb\n\n", "c"]);
        assert_eq!(sections("a ```b``` c\n```x```\nd"), ["a ```b``` c\n```x```\nd"]);
        assert_eq!(sections(""), [""]);
    }

    #[test]
    fn long_sections_are_cut_and_code_stays_code() {
        let line = "word ".repeat(10 * MOST_BYTES / 5);
        assert!(sections(&line).iter().all(|part| part.len() <= MOST_BYTES && !part.starts_with(' ')));
        let code = format!("```py\n{}```\nend", "print(1)\n".repeat(3 * MOST_BYTES / 9));
        let (end, fence, continued) = section(&code, 0, None).expect("it is too long");
        let fence = fence.expect("the code goes on");
        assert_eq!((&code[fence.info.0..fence.info.1], continued), ("py", true));
        assert!(code[..end].ends_with('\n') && end <= MOST_BYTES);
        assert_eq!(sections(&code).last(), Some(&"end"));
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config { failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(13), ..Default::default() })]

        #[test]
        fn what_comes_later_changes_no_section(text in "([-a`~>|# \n日]|```|\n\n|\n  ){0,60}") {
            let whole = sections(&text);
            prop_assert_eq!(whole.concat(), text.as_str());
            for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
                let part = sections(&text[..end]);
                let closed = &part[..part.len() - 1];
                prop_assert_eq!(closed, &whole[..closed.len().min(whole.len())]);
            }
        }
    }
}
