//! Citation labels in an answer's text to the numbers of the sources.
//!
//! A cached chunk cannot know its rank, so the model sees and writes labels (`[dome.md § Closing]`); the screen shows
//! `[1]`. A label that no source has stays as it is.

use std::ops::Range;

use super::text::Piece;
use crate::engine::RetrievedChunk;

/// What stands between brackets that are farther apart, in bytes, is no label.
const LONGEST_LABEL: usize = 1000;

/// A place of an answer that names a source. No two citations of an answer are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Citation {
    /// Where the label is in the answer's text, in bytes. A label of several sources is several citations.
    pub at: usize,
    /// Which of the label's sources it is, from 0.
    pub number: usize,
    /// The rank of the source, from 1.
    pub rank: usize,
}

/// A label in an answer's text, and the ranks of the sources it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cited {
    /// Where it is in the text, brackets included.
    pub range: Range<usize>,
    pub ranks: Vec<usize>,
}

impl Cited {
    /// The numbers that stand for the label; `base` is where the text begins in the answer's.
    pub fn pieces(&self, base: usize) -> impl Iterator<Item = Piece> {
        let at = base + self.range.start;
        let number = move |(number, rank): (usize, &usize)| Citation { at, number, rank: *rank };
        self.ranks.iter().enumerate().map(number).map(Piece::citation)
    }
}

/// The labels of `sources` that stand in brackets in `text`, from first to last.
pub fn find(text: &str, sources: &[RetrievedChunk]) -> Vec<Cited> {
    let mut found = Vec::new();
    if sources.is_empty() || !text.contains('[') {
        return found;
    }
    let labels: Vec<_> = sources.iter().map(|source| (normal(&source.label), source.rank)).collect();
    let mut at = 0;
    while let Some(open) = text[at..].find('[').map(|open| at + open) {
        at = open + 1;
        let Some(close) = text[at..].find([']', '[']).map(|close| at + close) else { break };
        if text.as_bytes()[close] == b'[' || close - open > LONGEST_LABEL {
            continue;
        }
        let ranks = ranks(&text[at..close], &labels);
        if !ranks.is_empty() {
            found.push(Cited { range: open..close + 1, ranks });
            at = close + 1;
        }
    }
    found
}

/// The ranks that the text between brackets names: one label or several with `;` between them. None unless each is
/// a source's.
fn ranks(inside: &str, labels: &[(String, usize)]) -> Vec<usize> {
    let mut ranks = Vec::new();
    for label in inside.split(';') {
        let named = with_label(label, labels);
        if named.is_empty() {
            return Vec::new();
        }
        for rank in named {
            if !ranks.contains(&rank) {
                ranks.push(rank);
            }
        }
    }
    ranks
}

/// Every source with this label (a long section is several chunks under one label), or the only source of the file
/// of this name.
fn with_label(label: &str, labels: &[(String, usize)]) -> Vec<usize> {
    let label = normal(label);
    if label.is_empty() {
        return Vec::new();
    }
    let ranks: Vec<_> = labels.iter().filter(|(own, _)| *own == label).map(|(_, rank)| *rank).collect();
    if !ranks.is_empty() {
        return ranks;
    }
    let of_file = |own: &str| own.split_once(" § ").is_some_and(|(file, _)| file == label);
    let ranks: Vec<_> = labels.iter().filter(|(own, _)| of_file(own)).map(|(_, rank)| *rank).collect();
    if ranks.len() == 1 { ranks } else { Vec::new() }
}

/// Small models change case and spacing when they repeat a label.
fn normal(label: &str) -> String {
    label.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(rank: usize, label: &str) -> RetrievedChunk {
        RetrievedChunk {
            rank,
            id: String::new(),
            label: label.to_owned(),
            path: label.split(' ').next().unwrap_or_default().into(),
            lines: None,
            page: None,
            heading: Vec::new(),
            score: 1.0,
            tokens: 0,
            cached: true,
            text: String::new(),
            cache_bytes: 0,
            matches: Vec::new(),
            reason: Default::default(),
        }
    }

    fn cited(text: &str) -> String {
        let sources = [
            source(1, "dome.md § Closing"),
            source(2, "log.md § May"),
            source(3, "dome.md § Closing"),
            source(4, "run [1].txt"),
        ];
        let mut out = text.to_owned();
        for cited in find(text, &sources).into_iter().rev() {
            let numbers: String = cited.pieces(0).map(|piece| piece.text).collect();
            out.replace_range(cited.range, &numbers);
        }
        out
    }

    #[test]
    fn labels_become_numbers() {
        assert_eq!(cited("Shut it [log.md § May]."), "Shut it [2].");
        assert_eq!(cited("Shut it [ LOG.md  § may ]."), "Shut it [2].");
        assert_eq!(cited("[dome.md § Closing]"), "[1][3]");
        assert_eq!(cited("[dome.md § Closing; log.md § May]"), "[1][3][2]");
        assert_eq!(cited("[log.md]"), "[2]");
    }

    #[test]
    fn other_brackets_stay() {
        for text in
            ["a [b] c", "[dome.md]", "[", "]", "[]", "[log.md § Ma", "x[[log]]", "[log.md § May; b]", ""]
        {
            assert_eq!(cited(text), text);
        }
        assert_eq!(cited("[[log.md § May]"), "[[2]");
    }

    #[test]
    fn a_number_knows_where_its_label_is() {
        let found = find("Shut [a.md § B] now", &[source(1, "a.md § B")]);
        let pieces: Vec<_> = found[0].pieces(100).collect();
        assert_eq!(pieces, [Piece::citation(Citation { at: 105, number: 0, rank: 1 })]);
    }
}
