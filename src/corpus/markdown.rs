//! The headings of a Markdown text.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::{Heading, label};

/// The most characters of a heading that are kept.
const HEADING_CHARACTERS: usize = 200;

/// Headings in the order of the text, ATX (`# …`) and underlined, with their text but not their markup. What looks
/// like a heading inside a code block, a quotation or a list divides nothing and is left out.
pub(super) fn headings(text: &str) -> Vec<Heading> {
    let mut headings: Vec<Heading> = Vec::new();
    let mut depth = 0_usize;
    let mut inside = false;
    for (event, range) in Parser::new_ext(text, Options::all()).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level, .. }) if depth == 0 => {
                inside = true;
                headings.push(Heading { level: level as u8, text: String::new(), offset: range.start });
            }
            Event::End(TagEnd::Heading(_)) if inside => inside = false,
            Event::Start(Tag::BlockQuote(_) | Tag::List(_) | Tag::FootnoteDefinition(_)) => depth += 1,
            Event::End(TagEnd::BlockQuote(_) | TagEnd::List(_) | TagEnd::FootnoteDefinition) => depth -= 1,
            Event::Text(part) | Event::Code(part) if inside => append(&mut headings, &part),
            Event::SoftBreak | Event::HardBreak if inside => append(&mut headings, " "),
            _ => {}
        }
    }
    for heading in &mut headings {
        heading.text = label::plain(&heading.text, HEADING_CHARACTERS);
    }
    headings
}

fn append(headings: &mut [Heading], part: &str) {
    if let Some(heading) = headings.last_mut() {
        heading.text.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(text: &str) -> Vec<(u8, String, usize)> {
        headings(text).into_iter().map(|heading| (heading.level, heading.text, heading.offset)).collect()
    }

    #[test]
    fn both_kinds_of_headings_are_found_with_their_offsets() {
        let text = "# The *Dome*\n\nText.\n\nClosing `fast`\n---\n\nMore.\n### Third ###\n";
        let expected = [(1, "The Dome", 0), (2, "Closing fast", 21), (3, "Third", 47)];
        assert_eq!(outline(text), expected.map(|(level, text, offset)| (level, text.to_owned(), offset)));
    }

    #[test]
    fn code_quotations_lists_and_front_matter_hold_no_headings() {
        let text = "---\ntitle: x\n---\n\n```sh\n# comment\n```\n\n    # indented\n\n> # quoted\n\n- # item\n\n#nospace\n";
        assert_eq!(outline(text), []);
    }
}
