//! PDF: the text of each page.

use std::panic::{self, AssertUnwindSafe};

use pdf_extract::{Document, Object, PlainTextOutput, output_doc_page};

use super::{Converted, DocumentKind, text::Text};

/// A document may have so many pages.
const MAX_PAGES: usize = 5_000;

pub(super) fn convert(bytes: &[u8]) -> Result<Converted, String> {
    let mut document =
        Document::load_mem(bytes).map_err(|error| format!("skipped: damaged, or not a PDF ({error})"))?;
    if document.is_encrypted() && document.decrypt("").is_err() {
        return Err("skipped: it is encrypted; save it without a password".to_owned());
    }
    let pages = document.get_pages().len();
    if pages > MAX_PAGES {
        return Err(format!("skipped: it has {pages} pages, more than the limit of {MAX_PAGES}"));
    }
    let mut text = Text::default();
    let mut unreadable = Vec::new();
    for number in 1..=pages as u32 {
        match page_text(&document, number) {
            Some(page) => {
                text.page(number);
                text.block(&tidy(&page))?;
            }
            None => unreadable.push(number),
        }
    }
    if text.is_empty() && unreadable.is_empty() {
        return Err("skipped: it has no text; it may be a scan".to_owned());
    }
    if text.is_empty() {
        return Err("skipped: none of its pages could be read".to_owned());
    }
    let converted = text.finish(DocumentKind::Text, title_of(&document));
    Ok(Converted { incomplete: unread_pages(&unreadable, pages), ..converted })
}

/// `None` where the library fails on the page, by an error or a panic: the other pages may still be read.
fn page_text(document: &Document, number: u32) -> Option<String> {
    let mut page = String::new();
    let read = AssertUnwindSafe(|| {
        let mut output = PlainTextOutput::new(&mut page);
        output_doc_page(document, &mut output, number).is_ok()
    });
    panic::catch_unwind(read).is_ok_and(|succeeded| succeeded).then_some(page)
}

/// The page's lines without white space at their ends; a word cut at a line's end is put together again.
fn tidy(page: &str) -> String {
    let mut tidy = String::with_capacity(page.len());
    for line in page.lines().map(str::trim) {
        let is_cut = tidy.ends_with("-\n") && line.starts_with(char::is_lowercase);
        let follows_letter = tidy.trim_end_matches("-\n").ends_with(char::is_lowercase);
        if is_cut && follows_letter {
            tidy.truncate(tidy.len() - 2);
        } else if line.is_empty() && (tidy.is_empty() || tidy.ends_with("\n\n")) {
            continue;
        }
        tidy.push_str(line);
        tidy.push('\n');
    }
    tidy
}

fn unread_pages(unreadable: &[u32], pages: usize) -> Option<String> {
    let first = unreadable.first()?;
    Some(format!("{} of {pages} pages could not be read, the first of them page {first}", unreadable.len()))
}

/// The title in the document's properties.
fn title_of(document: &Document) -> Option<String> {
    let information = document.trailer.get(b"Info").ok()?;
    let information = match information {
        Object::Reference(id) => document.get_object(*id).ok()?,
        object => object,
    };
    pdf_extract::decode_text_string(information.as_dict().ok()?.get(b"Title").ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_tidied() {
        assert_eq!(
            tidy("\n\n The tele- \n scope is\n\n\n\nclosed at 21-\n22 h.\n"),
            "The telescope is\n\nclosed at 21-\n22 h.\n"
        );
    }

    #[test]
    fn pages_that_fail_are_told() {
        assert_eq!(unread_pages(&[], 3), None);
        let told = unread_pages(&[2, 3], 3);
        assert_eq!(told.as_deref(), Some("2 of 3 pages could not be read, the first of them page 2"));
    }
}
