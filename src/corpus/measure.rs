//! How many tokens each part of a text has, without asking the tokenizer again for every candidate.
//!
//! Finding where to cut means sizing the same text dozens of times. Where it is known that no token crosses a place, the
//! tokens of the pieces between such places add up: each piece is counted once, a part's size is a difference of two
//! running sums, and a finished chunk is counted exactly from its ends and a sum.
//!
//! Where no such places are known, words take the part of pieces. Most tokenizers cut at white space before they do anything
//! else, so their tokens nearly add up; what that misses is corrected by a factor measured on the text's beginning, and
//! finished chunks are counted as a whole.

use std::{collections::HashMap, ops::Range};

use text_splitter::ChunkSizer;

use super::TokenCounter;

/// Words longer than this many bytes, white space included, are counted in pieces.
const LONGEST_WORD: usize = 48;
/// Bytes of text on which the factor is measured.
const SAMPLE_BYTES: usize = 32 << 10;

/// Sizes, in tokens, of parts of one text.
pub(super) struct Measure<'t> {
    text: &'t str,
    count: TokenCounter<'t>,
    /// Where each piece or word ends, in bytes.
    ends: Vec<u32>,
    /// Tokens up to and with each, as a sum.
    sums: Vec<u32>,
    /// Tokens of running text for each token of its words on their own; `None` where pieces add up.
    factor: Option<f64>,
}

impl<'t> Measure<'t> {
    /// Counts the pieces or words of `text`, which is shorter than 4 GiB.
    pub fn new(text: &'t str, count: TokenCounter<'t>) -> Self {
        let mut measure = Self { text, count, ends: Vec::new(), sums: Vec::new(), factor: None };
        if !count.count_pieces(text, &mut |end, tokens| measure.push(end, tokens)) {
            measure.count_words();
        }
        measure
    }

    fn push(&mut self, end: usize, tokens: usize) {
        let sum = self.sums.last().copied().unwrap_or(0);
        self.ends.push(end as u32);
        self.sums.push(sum.saturating_add(tokens as u32));
    }

    fn count_words(&mut self) {
        (self.ends, self.sums) = (Vec::new(), Vec::new());
        let mut known: HashMap<&str, usize> = HashMap::new();
        let (text, mut start) = (self.text, 0);
        while start < text.len() {
            let word = next_word(&text[start..]);
            let tokens = *known.entry(word).or_insert_with(|| self.count.count(word));
            start += word.len();
            self.push(start, tokens);
        }
        self.factor = Some(self.factor_of_beginning());
    }

    fn factor_of_beginning(&self) -> f64 {
        let sample = &self.text[..boundary_before(self.text, SAMPLE_BYTES)];
        let words = self.sum_before(sample.len());
        if words > 0.0 { self.count.count(sample) as f64 / words } else { 1.0 }
    }

    /// Tokens of `chunk`, exactly: it is the text in `span` with something before it.
    pub fn tokens_of(&self, chunk: &str, span: Range<usize>) -> usize {
        let ends_up_to = |at: usize| self.ends.partition_point(|&end| end as usize <= at);
        let (first, past) = (ends_up_to(span.start), ends_up_to(span.end));
        if self.factor.is_some() || past <= first {
            return self.count.count(chunk);
        }
        let last = past - 1;
        let (head_end, tail_start) = (self.ends[first] as usize, self.ends[last] as usize);
        let before = chunk.len() - span.len();
        let head = self.count.count(&chunk[..before + head_end - span.start]);
        let tail = self.count.count(&self.text[tail_start..span.end]);
        head + (self.sums[last] - self.sums[first]) as usize + tail
    }

    /// Tokens of the text in `span`, rounded up.
    pub fn tokens(&self, span: Range<usize>) -> usize {
        let sum = self.sum_before(span.end) - self.sum_before(span.start);
        (sum * self.factor.unwrap_or(1.0)).ceil() as usize
    }

    /// Where the piece or word ends that brings the text from `start` to at least `tokens` tokens; the text's end where
    /// there are not so many.
    pub fn end_of(&self, start: usize, tokens: usize) -> usize {
        let target =
            self.sum_before(start) + tokens as f64 / self.factor.unwrap_or(1.0).max(f64::MIN_POSITIVE);
        let piece = self.sums.partition_point(|&sum| f64::from(sum) < target);
        self.ends.get(piece).map_or(self.text.len(), |&end| (end as usize).max(start + 1))
    }

    /// Tokens before the byte `end`, as a sum; part of a piece or word counts by its share of bytes.
    fn sum_before(&self, end: usize) -> f64 {
        let whole = self.ends.partition_point(|&word_end| word_end as usize <= end);
        let (from, before) = match whole {
            0 => (0, 0),
            _ => (self.ends[whole - 1] as usize, self.sums[whole - 1]),
        };
        let share = match self.ends.get(whole) {
            Some(&to) if end > from => {
                f64::from(self.sums[whole] - before) * (end - from) as f64 / (to as usize - from) as f64
            }
            _ => 0.0,
        };
        f64::from(before) + share
    }
}

/// The last character boundary of `text` at or before the byte `at`.
pub(super) fn boundary_before(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// The white space that `text` begins with and the word after it, not much more than [`LONGEST_WORD`] bytes.
fn next_word(text: &str) -> &str {
    let mut in_word = false;
    for (at, character) in text.char_indices() {
        let blank = character.is_whitespace();
        if at >= LONGEST_WORD || (in_word && blank) {
            return &text[..at];
        }
        in_word = !blank;
    }
    text
}

impl ChunkSizer for Measure<'_> {
    /// The size of a part of the measured text: which part is known from where it lies in memory.
    fn size(&self, part: &str) -> usize {
        let start = (part.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        let end = start.saturating_add(part.len());
        debug_assert!(end <= self.text.len(), "only parts of the measured text are sized");
        self.tokens(start.min(self.text.len())..end.min(self.text.len()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// One token for each four letters of a word, one for each line break.
    fn count(text: &str) -> usize {
        let words: usize = text.split_whitespace().map(|word| word.chars().count().div_ceil(4)).sum();
        words + text.matches('\n').count()
    }

    #[test]
    fn parts_at_word_boundaries_have_their_exact_size() {
        let text = "The dome closes\n\nwhen humidity  reaches 85 percent.\n".repeat(50);
        let measure = Measure::new(&text, &count);
        for part in [&text[..], &text[..15], &text[15..39], &text[7..7], &text[text.len() - 9..]] {
            assert_eq!(measure.size(part), count(part), "{part:?}");
        }
    }

    #[test]
    fn each_distinct_word_is_counted_once() {
        let calls = AtomicUsize::new(0);
        let counter = |text: &str| {
            calls.fetch_add(1, Ordering::Relaxed);
            count(text)
        };
        let text = " dome shutter".repeat(10_000);
        Measure::new(&text, &counter);
        assert_eq!(calls.load(Ordering::Relaxed), 3, "two words and the sample");
    }

    #[test]
    fn words_cover_the_text_on_character_boundaries() {
        let text = format!("{} \u{3000}日本語{}", "é".repeat(500), "\n".repeat(99));
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let word = next_word(rest);
            assert!(!word.is_empty() && word.len() <= LONGEST_WORD + 3);
            rest = &rest[word.len()..];
        }
    }
}
