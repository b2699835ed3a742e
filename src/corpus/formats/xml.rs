//! XML as the office formats have it: elements and text, read from front to back.
//!
//! There are no entities but the five of XML itself: a document type, which could define more, is refused, and what
//! is not known stays as it is written.

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

use super::{MAX_TEXT_BYTES, too_much_text};

/// Elements may be nested this deep.
const MAX_DEPTH: usize = 256;

/// What comes next in a file. Names are without their namespace's prefix.
pub(super) enum Token<'a> {
    Open(&'a Element<'a>),
    Close(&'a str),
    Text(&'a str),
}

/// The begin of an element.
pub(super) struct Element<'a> {
    pub name: &'a str,
    start: &'a BytesStart<'a>,
}

impl Element<'_> {
    /// An attribute's value, by its name without a prefix.
    pub fn attribute(&self, name: &str) -> Option<String> {
        let found = self.start.attributes().flatten().find(|found| local_part(found.key.0) == name)?;
        let value = found.normalized_value(quick_xml::XmlVersion::Implicit1_0);
        value.ok().map(|value| value.into_owned())
    }

    /// The same, of one with this prefix: `r:id` beside `id`.
    pub fn prefixed_attribute(&self, prefixed: &str) -> Option<String> {
        let found = self.start.attributes().flatten().find(|found| found.key.0 == prefixed)?;
        let value = found.normalized_value(quick_xml::XmlVersion::Implicit1_0);
        value.ok().map(|value| value.into_owned())
    }
}

/// Hands over the tokens of a file in order.
///
/// # Errors
/// What is wrong with the file: it is no XML, has a document type, or is too deep or too long; or what `visit` gave.
pub(super) fn each(xml: &str, visit: &mut dyn FnMut(Token) -> Result<(), String>) -> Result<(), String> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().expand_empty_elements = true;
    let (mut depth, mut text_bytes) = (0, 0);
    loop {
        match reader.read_event().map_err(|error| format!("skipped: its XML is damaged ({error})"))? {
            Event::Start(start) => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(format!("skipped: its XML is nested more than {MAX_DEPTH} levels deep"));
                }
                let name = start.name();
                visit(Token::Open(&Element { name: local_part(name.0), start: &start }))?;
            }
            Event::End(end) => {
                depth = depth.saturating_sub(1);
                visit(Token::Close(local_part(end.name().0)))?;
            }
            Event::Text(text) => {
                text_bytes += text.len();
                visit(Token::Text(&text))?;
            }
            Event::CData(data) => {
                text_bytes += data.len();
                visit(Token::Text(&data))?;
            }
            Event::GeneralRef(reference) => {
                text_bytes += reference.len();
                let character = reference.resolve_char_ref().ok().flatten();
                let name: &str = &reference;
                match character.or_else(|| predefined(name)) {
                    Some(character) => visit(Token::Text(character.encode_utf8(&mut [0; 4])))?,
                    None => visit(Token::Text(&format!("&{name};")))?,
                }
            }
            Event::DocType(_) => {
                return Err("skipped: its XML has a document type, which could define anything".to_owned());
            }
            Event::Eof => return Ok(()),
            _ => {}
        }
        if text_bytes > MAX_TEXT_BYTES {
            return Err(too_much_text());
        }
    }
}

/// Makes sure that every element ends, and that none ends that did not begin.
///
/// # Errors
/// As [`each`], and where the file ends before.
pub(super) fn check_whole(xml: &str) -> Result<(), String> {
    let mut open = 0;
    each(xml, &mut |token| {
        match token {
            Token::Open(_) => open += 1,
            Token::Close(_) => open -= 1,
            Token::Text(_) => {}
        }
        Ok(())
    })?;
    if open == 0 { Ok(()) } else { Err("skipped: its XML is damaged (it ends too early)".to_owned()) }
}

fn predefined(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

/// A name without its prefix.
fn local_part(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(xml: &str) -> Result<String, String> {
        let mut text = String::new();
        each(xml, &mut |token| {
            if let Token::Text(part) = token {
                text.push_str(part);
            }
            Ok(())
        })?;
        Ok(text)
    }

    #[test]
    fn only_the_entities_of_xml_itself_are_resolved() {
        assert_eq!(
            text("<a>1 &lt; 2 &#x1F52D; &dome; <![CDATA[<b>]]></a>").as_deref(),
            Ok("1 < 2 🔭 &dome; <b>")
        );
        let laughs = "<!DOCTYPE a [<!ENTITY b \"ha\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>";
        assert!(text(laughs).is_err_and(|reason| reason.contains("document type")));
    }

    #[test]
    fn deep_and_damaged_files_are_refused() {
        assert!(text(&"<a>".repeat(10_000)).is_err_and(|reason| reason.contains("256")));
        assert!(text("<a></b>").is_err_and(|reason| reason.contains("damaged")));
    }

    #[test]
    fn a_file_is_whole_where_every_element_ends() {
        assert_eq!(check_whole("<a><b/>text</a>"), Ok(()));
        for cut in ["<a><b>", "<a><b></c></a>", "<a"] {
            assert!(check_whole(cut).is_err_and(|reason| reason.contains("damaged")), "{cut}");
        }
    }
}
