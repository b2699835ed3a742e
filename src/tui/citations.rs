//! Citation labels in an answer's text to the numbers of the sources.
//!
//! A cached chunk cannot know its rank, so the model sees and writes labels (`[dome.md § Closing]`); the screen shows
//! `[1]`. A label that no source has stays as it is.

use super::{text::Piece, theme::Role};
use crate::engine::RetrievedChunk;

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

/// `paragraph` with the labels of `sources` in brackets replaced by their ranks; `base` is where the paragraph begins
/// in the answer's text.
pub fn cite(paragraph: &str, base: usize, sources: &[RetrievedChunk]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = paragraph;
    let mut plain = String::new();
    while let Some(open) = rest.find('[') {
        let inside = &rest[open + 1..];
        let close = inside.find([']', '[']);
        let ranks = match close {
            Some(close) if inside[close..].starts_with(']') => ranks(&inside[..close], sources),
            _ => Vec::new(),
        };
        let after = match (close, ranks.is_empty()) {
            (Some(close), false) => open + 1 + close + 1,
            _ => open + 1,
        };
        if ranks.is_empty() {
            plain.push_str(&rest[..after]);
        } else {
            plain.push_str(&rest[..open]);
            if !plain.is_empty() {
                pieces.push(Piece::new(std::mem::take(&mut plain), Role::Base));
            }
            let at = base + paragraph.len() - rest.len() + open;
            pieces.extend(citations(at, ranks));
        }
        rest = &rest[after..];
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::new(plain, Role::Base));
    }
    pieces
}

/// The label at `at` as the numbers that stand for it.
fn citations(at: usize, ranks: Vec<usize>) -> impl Iterator<Item = Piece> {
    ranks.into_iter().enumerate().map(move |(number, rank)| Piece::citation(Citation { at, number, rank }))
}

/// The ranks that the text between brackets names: one label or several with `;` between them. None unless each is
/// a source's.
fn ranks(inside: &str, sources: &[RetrievedChunk]) -> Vec<usize> {
    let mut ranks = Vec::new();
    for label in inside.split(';') {
        let named = with_label(label, sources);
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
fn with_label(label: &str, sources: &[RetrievedChunk]) -> Vec<usize> {
    let label = normal(label);
    if label.is_empty() {
        return Vec::new();
    }
    let same = sources.iter().filter(|source| normal(&source.label) == label);
    let ranks: Vec<_> = same.map(|source| source.rank).collect();
    if !ranks.is_empty() {
        return ranks;
    }
    let of_file = sources
        .iter()
        .filter(|source| normal(&source.label).split_once(" § ").is_some_and(|(file, _)| file == label));
    let ranks: Vec<_> = of_file.map(|source| source.rank).collect();
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
        cite(text, 0, &sources).into_iter().map(|piece| piece.text).collect()
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
    fn only_numbers_have_the_role() {
        let pieces = cite("Shut [a.md § B] now", 100, &[source(1, "a.md § B")]);
        assert_eq!(
            pieces,
            [
                Piece::new("Shut ", Role::Base),
                Piece::citation(Citation { at: 105, number: 0, rank: 1 }),
                Piece::new(" now", Role::Base)
            ]
        );
    }
}
