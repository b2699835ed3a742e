//! Electronic books: the chapters in the order of reading, each as an HTML page.

use std::collections::HashMap;

use super::{
    Converted, DocumentKind,
    archive::{Archive, resolve},
    html, markdown,
    text::Text,
    xml::{self, Token},
};

pub(super) fn convert(bytes: Vec<u8>) -> Result<Converted, String> {
    let mut archive = Archive::open(bytes)?;
    if archive.has("META-INF/encryption.xml") && archive.has("META-INF/rights.xml") {
        return Err("skipped: its text is encrypted".to_owned());
    }
    let path = package_path(&archive.needed_text("META-INF/container.xml")?)?;
    let package = Package::read(&archive.needed_text(&path)?)?;
    let mut text = Text::default();
    for chapter in package.chapters() {
        let Some(page) = archive.text(&resolve(&path, &without_percent(chapter)))? else { continue };
        let page = html::to_markdown(page)?;
        let headings = markdown::headings(&page.markdown);
        if headings.is_empty() {
            text.heading(1, page.title.as_deref().unwrap_or_default())?;
        }
        text.markdown(&page.markdown, headings)?;
    }
    if text.is_empty() {
        return Err("skipped: it has no chapters that can be read".to_owned());
    }
    Ok(text.finish(DocumentKind::Markdown, Some(package.title)))
}

/// Where the package is, which lists what the book consists of.
fn package_path(container: &str) -> Result<String, String> {
    let mut path = None;
    xml::each(container, &mut |token| {
        if let Token::Open(element) = token
            && element.name == "rootfile"
        {
            path = path.take().or(element.attribute("full-path"));
        }
        Ok(())
    })?;
    path.ok_or_else(|| "skipped: damaged: it does not say where its text is".to_owned())
}

#[derive(Default)]
struct Package {
    title: String,
    /// Files by their ids.
    files: HashMap<String, String>,
    /// Ids in the order of reading.
    spine: Vec<String>,
}

impl Package {
    fn read(xml: &str) -> Result<Self, String> {
        let mut package = Self::default();
        let mut in_title = false;
        xml::each(xml, &mut |token| {
            match token {
                Token::Open(element) => match element.name {
                    "title" => in_title = package.title.is_empty(),
                    "item" => {
                        if let (Some(id), Some(file)) = (element.attribute("id"), element.attribute("href")) {
                            package.files.insert(id, file);
                        }
                    }
                    "itemref" => package.spine.extend(element.attribute("idref")),
                    _ => {}
                },
                Token::Close("title") => in_title = false,
                Token::Text(part) if in_title => package.title.push_str(part),
                Token::Close(_) | Token::Text(_) => {}
            }
            Ok(())
        })?;
        Ok(package)
    }

    fn chapters(&self) -> impl Iterator<Item = &String> {
        self.spine.iter().filter_map(|id| self.files.get(id))
    }
}

/// `Chapter%201.xhtml` to `Chapter 1.xhtml`, without what follows `#`.
fn without_percent(href: &str) -> String {
    let href = href.split('#').next().unwrap_or_default().as_bytes();
    let mut bytes = Vec::with_capacity(href.len());
    let mut at = 0;
    while at < href.len() {
        let hex =
            href.get(at + 1..at + 3).filter(|_| href[at] == b'%').and_then(|hex| str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                at += 3;
            }
            None => {
                bytes.push(href[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::formats::archive::tests::zip;

    #[test]
    fn chapters_come_in_the_order_of_the_spine() {
        let container =
            b"<container><rootfiles><rootfile full-path=\"OEBPS/book.opf\"/></rootfiles></container>";
        let package = b"<package><metadata><dc:title>The Night</dc:title></metadata><manifest>\
            <item id=\"b\" href=\"two%20b.xhtml\"/><item id=\"a\" href=\"one.xhtml\"/></manifest>\
            <spine><itemref idref=\"a\"/><itemref idref=\"b\"/><itemref idref=\"missing\"/></spine></package>";
        let book = zip(&[
            ("mimetype", b"application/epub+zip"),
            ("META-INF/container.xml", container),
            ("OEBPS/book.opf", package),
            (
                "OEBPS/two b.xhtml",
                b"<html><head><title>Dawn</title></head><body><p>It closes.</p></body></html>",
            ),
            ("OEBPS/one.xhtml", b"<!DOCTYPE html><html><body><h1>Dusk</h1><p>It opens.</p></body></html>"),
        ]);
        let converted = convert(book).unwrap();
        assert_eq!(converted.text, "# Dusk\n\nIt opens.\n\n# Dawn\n\nIt closes.");
        assert_eq!(converted.title.as_deref(), Some("The Night"));
        let headings: Vec<_> = converted.headings.iter().map(|h| (h.text.as_str(), h.offset)).collect();
        assert_eq!(headings, [("Dusk", 0), ("Dawn", 19)]);
    }
}
