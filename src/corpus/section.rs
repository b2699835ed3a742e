//! The parts that a document's author made, and which of them share a chunk.
//!
//! A chunk follows sections: it begins where one begins. Sections that fill only a small part of a chunk are put
//! together with the ones that follow, because a chunk of two sentences says too little to be found and to be
//! understood; a chunk never reaches into a section that stands higher than the one it began with. A heading without
//! text of its own goes with what it introduces. A chunk of several sections is named after all of them that matter.

use std::ops::Range;

use super::{Document, DocumentKind, Heading, code, measure::Measure};

/// Sections that fill less than this share of a chunk are put together, in percent.
const SMALL_PERCENT: usize = 40;
/// Sections this much smaller than a chunk join a neighbour that is larger.
const TINY_PART: usize = 8;
/// A heading stands for several sections when they hold at least this share of the tokens, in percent.
const STANDS_FOR_PERCENT: usize = 75;
/// A chunk of several sections is named after those that hold at least this share of its tokens, in percent.
const NAMED_PERCENT: usize = 10;

/// A heading, or a code item, and the text up to the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// Bytes of the document's text.
    pub span: Range<usize>,
    /// 1 for the highest; 0 for what stands before the first heading.
    pub level: u8,
    /// The headings it stands under, outermost first, its own last.
    pub path: Vec<String>,
    /// A heading that another heading follows at once.
    pub bare: bool,
}

/// Neighbouring sections that share a chunk, or one that may have to be cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pack {
    pub span: Range<usize>,
    /// The innermost heading that stands for all of it, with those above. Where sections below it share the pack,
    /// their names follow as one: `Opening, Closing`.
    pub path: Vec<String>,
}

/// A document's sections; their spans cover its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Structure {
    pub sections: Vec<Section>,
    /// Its syntax tree is worth cutting along.
    pub syntax: bool,
}

pub(super) fn structure_of(document: &Document) -> Structure {
    match document.kind {
        DocumentKind::Code(language) => code::structure(&document.text, language),
        DocumentKind::Markdown | DocumentKind::Html | DocumentKind::Text => {
            Structure { sections: sections_under(&document.headings, &document.text), syntax: false }
        }
    }
}

fn sections_under(headings: &[Heading], text: &str) -> Vec<Section> {
    let mut sections = Vec::with_capacity(headings.len() + 1);
    let first = headings.first().map_or(text.len(), |heading| heading.offset);
    if first > 0 {
        sections.push(Section { span: 0..first, level: 0, path: Vec::new(), bare: false });
    }
    let mut above: Vec<&Heading> = Vec::new();
    for (index, heading) in headings.iter().enumerate() {
        let end = headings.get(index + 1).map_or(text.len(), |next| next.offset);
        above.retain(|other| other.level < heading.level);
        above.push(heading);
        let path = above.iter().map(|heading| heading.text.clone()).collect();
        let span = heading.offset..end;
        sections.push(Section { bare: is_bare(&text[span.clone()]), span, level: heading.level, path });
    }
    sections
}

/// Nothing but the heading: one line, or two where the second underlines the first.
fn is_bare(section: &str) -> bool {
    let section = section.trim();
    let heading_lines = if section.starts_with('#') { 1 } else { 2 };
    section.lines().count() <= heading_lines
}

/// Puts sections together that fit into `room` tokens.
pub(super) fn packs(sections: Vec<Section>, measure: &Measure, room: usize) -> Vec<Pack> {
    let mut groups: Vec<Group> = Vec::new();
    for section in sections {
        let tokens = measure.tokens(section.span.clone());
        match groups.last_mut() {
            Some(group) if group.takes(&section, tokens, room) => group.join(section, tokens),
            _ => groups.push(Group { tokens, sections: vec![(section, tokens)] }),
        }
    }
    groups.into_iter().map(Group::packed).collect()
}

struct Group {
    sections: Vec<(Section, usize)>,
    tokens: usize,
}

impl Group {
    fn takes(&self, next: &Section, tokens: usize, room: usize) -> bool {
        if self.sections.iter().all(|(section, _)| section.bare) && self.tokens < room / 2 {
            return true;
        }
        let climbs = next.level < self.sections[0].0.level;
        let fits = self.tokens + tokens <= room;
        let small = self.tokens.max(tokens) * 100 < room * SMALL_PERCENT;
        let tiny = self.tokens.min(tokens) < room / TINY_PART;
        !next.bare && !climbs && fits && (small || tiny)
    }

    fn join(&mut self, section: Section, tokens: usize) {
        self.tokens += tokens;
        self.sections.push((section, tokens));
    }

    fn packed(self) -> Pack {
        let span = self.sections[0].0.span.start..self.sections[self.sections.len() - 1].0.span.end;
        Pack { span, path: self.path() }
    }

    fn path(&self) -> Vec<String> {
        let common = self.common_path();
        let mut names: Vec<&str> = Vec::new();
        for (section, _) in &self.sections {
            let Some(name) = section.path.get(common.len()) else { continue };
            let matters =
                self.tokens_under(&section.path[..=common.len()]) * 100 >= self.tokens * NAMED_PERCENT;
            if matters && !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let names = (!names.is_empty()).then(|| names.join(", "));
        common.iter().cloned().chain(names).collect()
    }

    /// The deepest heading under which enough of the text stands.
    fn common_path(&self) -> &[String] {
        let mut common: &[String] = &[];
        for (section, _) in &self.sections {
            for depth in common.len() + 1..=section.path.len() {
                let candidate = &section.path[..depth];
                if self.tokens_under(candidate) * 100 >= self.tokens * STANDS_FOR_PERCENT {
                    common = candidate;
                }
            }
        }
        common
    }

    fn tokens_under(&self, path: &[String]) -> usize {
        self.sections
            .iter()
            .filter(|(section, _)| section.path.starts_with(path))
            .map(|(_, tokens)| tokens)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::markdown;

    fn words(text: &str) -> usize {
        text.split_whitespace().count()
    }

    /// The packs of a Markdown text as (innermost heading, first line).
    fn packed(text: &str, room: usize) -> Vec<(String, String)> {
        let measure = Measure::new(text, &words);
        let packs = packs(sections_under(&markdown::headings(text), text), &measure, room);
        assert_eq!(packs.first().map(|pack| pack.span.start), Some(0));
        assert_eq!(packs.last().map(|pack| pack.span.end), Some(text.len()));
        let line = |pack: &Pack| text[pack.span.clone()].lines().next().unwrap_or_default().to_owned();
        packs.iter().map(|pack| (pack.path.last().cloned().unwrap_or_default(), line(pack))).collect()
    }

    fn body(words: usize) -> String {
        format!("{}\n\n", "word ".repeat(words))
    }

    #[test]
    fn a_full_section_is_a_chunk_of_its_own_and_takes_the_bare_title_along() {
        let text = format!("# Title\n\n## A\n\n{}## B\n\n{}", body(60), body(60));
        let expected = [("A", "# Title"), ("B", "## B")];
        assert_eq!(packed(&text, 100), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn small_siblings_share_a_chunk_and_its_name() {
        let text =
            format!("# Title\n\n{}## A\n\n{}## B\n\n{}## C\n\n{}", body(40), body(30), body(25), body(30));
        let expected = [("Title", "# Title"), ("A, B", "## A"), ("C", "## C")];
        assert_eq!(packed(&text, 100), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn a_chunk_never_climbs_to_a_higher_section() {
        let text =
            format!("# T\n\n{}## A\n\n{}### A1\n\n{}# U\n\n{}", body(60), body(60), body(20), body(20));
        let expected = [("T", "# T"), ("A", "## A"), ("A1", "### A1"), ("U", "# U")];
        assert_eq!(packed(&text, 100), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn a_tiny_section_joins_a_full_one_without_taking_its_name() {
        let text = format!("## A\n\n{}## Note\n\n{}", body(70), body(5));
        assert_eq!(packed(&text, 100), [("A".to_owned(), "## A".to_owned())]);
    }
}
