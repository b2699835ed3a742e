//! Where words of a question stand in a text, by the same stems that the search compares.

use std::collections::HashSet;

use super::query::Questions;

/// What a text has of a question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matches {
    /// Bytes from and to of words of the question, in order, not overlapping.
    pub ranges: Vec<(usize, usize)>,
    /// Different words of the question that the text has and that are no stop words.
    pub words: usize,
}

impl Questions {
    pub(super) fn matches(&mut self, question: &str, text: &str) -> Matches {
        let wanted = self.wanted(question);
        let mut held = HashSet::new();
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        for (place, stem) in self.places_and_stems(text) {
            let Some(at) = wanted.stems.iter().position(|wanted| *wanted == stem) else { continue };
            held.insert(at);
            ranges.push((place.start, place.end));
        }
        Matches { words: if wanted.are_content { held.len() } else { 0 }, ranges: joined(ranges) }
    }

    /// Different words of a question that are no stop words.
    pub(super) fn content_words(&mut self, question: &str) -> usize {
        let wanted = self.wanted(question);
        if wanted.are_content { wanted.stems.len() } else { 0 }
    }
}

/// Puts ranges in order and makes one of those that overlap: an identifier is found with its parts.
fn joined(mut ranges: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    ranges.sort_unstable();
    let mut joined: Vec<(usize, usize)> = Vec::with_capacity(ranges.len());
    for (from, to) in ranges {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::schema::Fields;

    fn found(question: &str, text: &str) -> (Vec<String>, usize) {
        let matches = Questions::new(Fields::new()).matches(question, text);
        (matches.ranges.iter().map(|(from, to)| text[*from..*to].to_owned()).collect(), matches.words)
    }

    fn words(of: &[&str], count: usize) -> (Vec<String>, usize) {
        (of.iter().map(|word| (*word).to_owned()).collect(), count)
    }

    #[test]
    fn forms_of_a_word_are_found_and_stop_words_are_not() {
        let text = "The Dome is closed; closing it takes a Résumé of the dome.";
        assert_eq!(
            found("When does the dome close?", text),
            words(&["Dome", "closed", "closing", "dome"], 2)
        );
        assert_eq!(found("resume", text), words(&["Résumé"], 1));
        assert_eq!(found("mirror", text), words(&[], 0));
        assert_eq!(found("?", text), words(&[], 0));
    }

    #[test]
    fn a_question_of_stop_words_has_no_content() {
        assert_eq!(found("Why is it so?", "It is so."), words(&["It", "is", "so"], 0));
        let mut questions = Questions::new(Fields::new());
        assert_eq!(questions.content_words("Why is it so?"), 0);
        assert_eq!(questions.content_words("Why is the dome closed, the dome?"), 2);
    }

    #[test]
    fn identifiers_are_one_range_and_ranges_are_whole_characters() {
        assert_eq!(found("dome.md", "in dome.md, 日本"), words(&["dome.md"], 3));
        assert_eq!(found("日本", "天日本語"), words(&["日本"], 1));
    }
}
