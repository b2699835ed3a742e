//! How an answer differs from another, word by word, and how that is shown.
//!
//! What only this answer has stands in `{+…+}`; what it lacks is counted in `[-…-]` or shown there. The marks are those
//! of wdiff and are read without colours.

use similar::{Algorithm, DiffOp, capture_diff_slices};
use unicode_segmentation::UnicodeSegmentation;

use super::super::{
    citations::find,
    text::{Piece, Row, wrap},
    theme::Role,
};
use crate::engine::RetrievedChunk;

/// How differences are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Differences {
    /// Words of this answer only are marked; those it lacks are counted.
    #[default]
    Marked,
    /// Words that it lacks are there too.
    Whole,
    Hidden,
}

impl Differences {
    pub fn next(self) -> Self {
        match self {
            Self::Marked => Self::Whole,
            Self::Whole => Self::Hidden,
            Self::Hidden => Self::Marked,
        }
    }
}

/// A word of an answer and the space after it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    text: String,
    space: String,
    role: Role,
}

/// Words of an answer, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(Vec<Word>);

impl Words {
    /// The words of an answer, its citations as numbers.
    pub fn of(answer: &str, sources: &[RetrievedChunk]) -> Self {
        let mut words: Vec<Word> = Vec::new();
        for (number, paragraph) in answer.trim().split('\n').enumerate() {
            if number > 0 {
                words.push(Word { text: "\n".to_owned(), space: String::new(), role: Role::Base });
            }
            let mut at = 0;
            for cited in find(paragraph, sources) {
                push_words(&mut words, &paragraph[at..cited.range.start]);
                for piece in cited.pieces(0) {
                    words.push(Word { text: piece.text, space: String::new(), role: piece.role });
                }
                at = cited.range.end;
            }
            push_words(&mut words, &paragraph[at..]);
        }
        Self(words)
    }
}

fn push_words(words: &mut Vec<Word>, text: &str) {
    for text in text.split_word_bounds() {
        match words.last_mut() {
            Some(last) if text.trim().is_empty() && last.text != "\n" => last.space.push_str(text),
            _ => words.push(Word { text: text.to_owned(), space: String::new(), role: Role::Base }),
        }
    }
}

/// An answer's words in stretches that another answer has too, and others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    stretches: Vec<Stretch>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stretch {
    Same(Vec<Word>),
    /// Only this answer has it.
    Added(Vec<Word>),
    /// Only the other has it.
    Missing(Vec<Word>),
}

impl Compared {
    /// An answer for itself.
    pub fn alone(words: &Words) -> Self {
        Self { stretches: vec![Stretch::Same(words.0.clone())] }
    }

    /// `words` beside those of `reference`.
    pub fn with(words: &Words, reference: &Words) -> Self {
        let keys = |words: &Words| words.0.iter().map(|word| word.text.clone()).collect::<Vec<_>>();
        let mut compared = Self::default();
        for op in capture_diff_slices(Algorithm::Myers, &keys(reference), &keys(words)) {
            let (old, new) = (reference.0[op.old_range()].to_vec(), words.0[op.new_range()].to_vec());
            match op {
                DiffOp::Equal { .. } => compared.push(Stretch::Same(new)),
                _ => {
                    compared.push(Stretch::Missing(old));
                    compared.push(Stretch::Added(new));
                }
            }
        }
        compared
    }

    fn push(&mut self, stretch: Stretch) {
        if !stretch.words().is_empty() {
            self.stretches.push(stretch);
        }
    }

    /// Words that only this answer has, and words that it lacks; punctuation is not counted.
    pub fn counts(&self) -> (usize, usize) {
        let count = |wanted: fn(&Stretch) -> bool| {
            self.stretches
                .iter()
                .filter(|stretch| wanted(stretch))
                .map(|stretch| count(stretch.words()))
                .sum()
        };
        (
            count(|stretch| matches!(stretch, Stretch::Added(_))),
            count(|stretch| matches!(stretch, Stretch::Missing(_))),
        )
    }

    /// The answer with its differences, in rows of at most `width` cells.
    pub fn rows(&self, shown: Differences, width: usize) -> Vec<Row> {
        let mut paragraphs = vec![Vec::new()];
        for stretch in &self.stretches {
            match (stretch, shown) {
                (Stretch::Same(words), _) | (Stretch::Added(words), Differences::Hidden) => {
                    push_text(&mut paragraphs, words, None);
                }
                (Stretch::Added(words), _) => {
                    push_text(&mut paragraphs, words, Some(("{+", "+}", Role::Success)));
                }
                (Stretch::Missing(_), Differences::Hidden) => {}
                (Stretch::Missing(words), Differences::Marked) => {
                    let text = match count(words) {
                        0 => continue,
                        number => format!("[-{number}-]"),
                    };
                    push_missing(&mut paragraphs, text);
                }
                (Stretch::Missing(words), Differences::Whole) => {
                    let text: String =
                        words.iter().map(|word| format!("{}{}", word.text, word.space)).collect();
                    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
                    push_missing(&mut paragraphs, format!("[-{text}-]"));
                }
            }
        }
        paragraphs.iter().flat_map(|pieces| wrap(pieces, width, 0)).collect()
    }
}

impl Stretch {
    fn words(&self) -> &[Word] {
        match self {
            Self::Same(words) | Self::Added(words) | Self::Missing(words) => words,
        }
    }
}

fn count(words: &[Word]) -> usize {
    words.iter().filter(|word| word.text.contains(char::is_alphanumeric)).count()
}

fn push_piece(paragraphs: &mut [Vec<Piece>], piece: Piece) {
    if let Some(paragraph) = paragraphs.last_mut() {
        paragraph.push(piece);
    }
}

/// Adds the mark of what is missing. A space keeps it apart from the word before it, or from the one after where there
/// is one before already.
fn push_missing(paragraphs: &mut [Vec<Piece>], mark: String) {
    let Some(paragraph) = paragraphs.last_mut() else { return };
    let before = paragraph.iter().rev().find(|piece| !piece.text.is_empty());
    let apart = before.is_none_or(|piece| piece.text.ends_with(' '));
    let text = if apart { mark + " " } else { format!(" {mark}") };
    paragraph.push(Piece::new(text, Role::Warning));
}

/// Adds words to the paragraphs, between marks where there are any. Marks end with their paragraph and begin again in
/// the next; the space after the last word stands outside of them.
fn push_text(
    paragraphs: &mut Vec<Vec<Piece>>,
    words: &[Word],
    marks: Option<(&'static str, &'static str, Role)>,
) {
    for (number, line) in words.split(|word| word.text == "\n").enumerate() {
        if number > 0 {
            paragraphs.push(Vec::new());
        }
        let Some((last, others)) = line.split_last() else { continue };
        match marks {
            None => {
                for word in line {
                    push_piece(paragraphs, Piece::new(word.text.clone(), word.role));
                    push_piece(paragraphs, Piece::new(word.space.clone(), Role::Base));
                }
            }
            Some((open, close, role)) => {
                let text: String = others.iter().map(|word| format!("{}{}", word.text, word.space)).collect();
                push_piece(paragraphs, Piece::new(format!("{open}{text}{}{close}", last.text), role));
                push_piece(paragraphs, Piece::new(last.space.clone(), Role::Base));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Words {
        Words::of(text, &[])
    }

    fn shown(text: &str, reference: &str, how: Differences) -> String {
        let rows = Compared::with(&words(text), &words(reference)).rows(how, 200);
        rows.iter().map(Row::text).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_one_answer_has_and_lacks_is_marked() {
        let (text, full) = ("Close it at once, above 18 m/s.", "Close the dome above 18 m/s.");
        assert_eq!(shown(text, full, Differences::Marked), "Close [-2-] {+it at once,+} above 18 m/s.");
        assert_eq!(shown(text, full, Differences::Whole), "Close [-the dome-] {+it at once,+} above 18 m/s.");
        assert_eq!(shown(text, full, Differences::Hidden), text);
        assert_eq!(Compared::with(&words(text), &words(full)).counts(), (3, 2));
    }

    #[test]
    fn the_same_answer_has_no_marks() {
        let text = "One.\n\nTwo {+ three [-\n";
        assert_eq!(shown(text, text, Differences::Whole), text.trim());
        assert_eq!(Compared::with(&words(text), &words(text)).counts(), (0, 0));
    }

    #[test]
    fn marks_end_with_their_paragraph() {
        assert_eq!(shown("a b\nc d", "a", Differences::Marked), "a {+b+}\n{+c d+}");
        assert_eq!(shown("a.", "a b c.", Differences::Marked), "a [-2-].");
        assert_eq!(shown("", "a b", Differences::Marked), "[-2-]");
        assert_eq!(shown("a b", "", Differences::Marked), "{+a b+}");
    }

    #[test]
    fn wide_and_hostile_text_keeps_to_its_width() {
        let text = "日本語の文書 a\u{1b}[31m\u{202e}b \u{200b}\t👩\u{200d}🚀 ".repeat(9)
            + &"e\u{301}\u{302}".repeat(400);
        for how in [Differences::Marked, Differences::Whole, Differences::Hidden] {
            for width in [2, 7, 20, 61] {
                let compared = Compared::with(&words(&text), &words("日本 something else"));
                for row in compared.rows(how, width) {
                    assert!(row.width() <= width, "{width}: {row:?}");
                    assert!(!row.text().contains(char::is_control), "{row:?}");
                }
            }
        }
    }
}
