//! Word documents: paragraphs, with headings by their style, lists, tables and notes.

use std::collections::{HashMap, HashSet};

use super::{
    Converted, DocumentKind,
    archive::Archive,
    text::Text,
    xml::{self, Token},
};

pub(super) fn convert(bytes: Vec<u8>) -> Result<Converted, String> {
    let mut archive = Archive::open(bytes)?;
    let styles = Styles::read(&archive.text("word/styles.xml")?.unwrap_or_default())?;
    let mut text = Text::default();
    for part in ["word/document.xml", "word/footnotes.xml", "word/endnotes.xml"] {
        let xml = match part {
            "word/document.xml" => archive.needed_text(part)?,
            _ => archive.text(part)?.unwrap_or_default(),
        };
        let mut body =
            Body { text: &mut text, styles: &styles, paragraph: Paragraph::default(), tables: Vec::new() };
        xml::each(&xml, &mut |token| body.take(token))?;
    }
    let title = core_title(&mut archive)?.filter(|_| !text.has_headings());
    Ok(text.finish(DocumentKind::Markdown, title))
}

/// The title in an office document's properties.
pub(super) fn core_title(archive: &mut Archive) -> Result<Option<String>, String> {
    let properties = archive.text("docProps/core.xml")?.unwrap_or_default();
    let (mut inside, mut title) = (false, String::new());
    xml::each(&properties, &mut |token| {
        match token {
            Token::Open(element) => inside = element.name == "title",
            Token::Close(_) => inside = false,
            Token::Text(part) if inside => title.push_str(part),
            Token::Text(_) => {}
        }
        Ok(())
    })?;
    Ok(Some(title).filter(|title| !title.trim().is_empty()))
}

/// What styles mean, by their ids. Ids are in the language of the program that wrote the file; names are always English.
#[derive(Default)]
struct Styles {
    /// The level of each style that is one of headings.
    levels: HashMap<String, usize>,
    /// Styles of the items of lists.
    items: HashSet<String>,
}

impl Styles {
    fn read(xml: &str) -> Result<Self, String> {
        let mut styles = Self::default();
        let mut style = String::new();
        xml::each(xml, &mut |token| {
            if let Token::Open(element) = token {
                styles.take(element, &mut style);
            }
            Ok(())
        })?;
        Ok(styles)
    }

    fn take(&mut self, element: &xml::Element, style: &mut String) {
        let value = || element.attribute("val").unwrap_or_default();
        let level = match element.name {
            "style" => {
                *style = element.attribute("styleId").unwrap_or_default();
                None
            }
            "numPr" => {
                self.items.insert(style.clone());
                None
            }
            "name" => named_level(&value()),
            "outlineLvl" => value().parse::<usize>().ok().filter(|level| *level < 9).map(|level| level + 1),
            _ => None,
        };
        if let Some(level) = level {
            self.levels.entry(style.clone()).or_insert(level);
        }
    }
}

/// `heading 2` or `Heading2` to 2.
fn named_level(name: &str) -> Option<usize> {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix("heading") {
        Some(level) => level.trim().parse().ok().filter(|level| (1..=9).contains(level)),
        None => (name == "title").then_some(1),
    }
}

/// Puts a part's paragraphs into the text.
struct Body<'a> {
    text: &'a mut Text,
    styles: &'a Styles,
    paragraph: Paragraph,
    /// The tables that are open, one in the other.
    tables: Vec<Table>,
}

#[derive(Default)]
struct Paragraph {
    text: String,
    level: Option<usize>,
    is_item: bool,
    /// Inside an element whose text is shown.
    in_text: bool,
}

#[derive(Default)]
struct Table {
    rows: Vec<String>,
    cells: Vec<String>,
    cell: String,
}

impl Body<'_> {
    fn take(&mut self, token: Token) -> Result<(), String> {
        match token {
            Token::Open(element) => {
                let paragraph = &mut self.paragraph;
                match element.name {
                    "p" => *paragraph = Paragraph::default(),
                    "pStyle" => {
                        let style = element.attribute("val").unwrap_or_default();
                        paragraph.level =
                            self.styles.levels.get(&style).copied().or_else(|| named_level(&style));
                        paragraph.is_item |= self.styles.items.contains(&style);
                    }
                    "numPr" => paragraph.is_item = true,
                    "t" => paragraph.in_text = true,
                    "tab" => paragraph.text.push('\t'),
                    "br" | "cr" => paragraph.text.push('\n'),
                    "noBreakHyphen" => paragraph.text.push('-'),
                    "tbl" => self.tables.push(Table::default()),
                    _ => {}
                }
            }
            Token::Text(part) if self.paragraph.in_text => self.paragraph.text.push_str(part),
            Token::Text(_) => {}
            Token::Close("t") => self.paragraph.in_text = false,
            Token::Close("p") => self.end_paragraph()?,
            Token::Close("tc") => {
                if let Some(table) = self.tables.last_mut() {
                    table.cells.push(std::mem::take(&mut table.cell));
                }
            }
            Token::Close("tr") => {
                if let Some(table) = self.tables.last_mut() {
                    let cells = std::mem::take(&mut table.cells);
                    table.rows.push(table_row(&cells));
                }
            }
            Token::Close("tbl") => self.end_table()?,
            Token::Close(_) => {}
        }
        Ok(())
    }

    fn end_paragraph(&mut self) -> Result<(), String> {
        let paragraph = std::mem::take(&mut self.paragraph);
        if let Some(table) = self.tables.last_mut() {
            table.cell.push_str(&paragraph.text);
            table.cell.push(' ');
            return Ok(());
        }
        match (paragraph.level, paragraph.is_item) {
            (Some(level), _) => self.text.heading(level, &paragraph.text),
            (None, true) if !paragraph.text.trim().is_empty() => {
                self.text.block(&format!("- {}", paragraph.text.trim_start()))
            }
            _ => self.text.block(&paragraph.text),
        }
    }

    /// A table inside another one is part of the cell that it stands in.
    fn end_table(&mut self) -> Result<(), String> {
        let Some(Table { mut rows, .. }) = self.tables.pop() else { return Ok(()) };
        if let Some(outer) = self.tables.last_mut() {
            outer.cell.push_str(&rows.join(" "));
            return Ok(());
        }
        if let Some(first) = rows.first() {
            let columns = first.matches(" | ").count() + 1;
            rows.insert(1, format!("|{}", "---|".repeat(columns)));
        }
        self.text.block(&rows.join("\n"))
    }
}

/// `| Item | Price |`
pub(super) fn table_row(cells: &[String]) -> String {
    let cells: Vec<String> = cells
        .iter()
        .map(|cell| cell.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "/"))
        .collect();
    format!("| {} |", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::formats::archive::tests::zip;

    fn docx(body: &str, styles: &str) -> Vec<u8> {
        let document = format!("<w:document xmlns:w=\"w\"><w:body>{body}</w:body></w:document>");
        zip(&[("word/document.xml", document.as_bytes()), ("word/styles.xml", styles.as_bytes())])
    }

    #[test]
    fn styles_make_headings_in_any_language() {
        let styles =
            "<w:styles><w:style w:styleId=\"berschrift2\"><w:name w:val=\"heading 2\"/></w:style></w:styles>";
        let body = "<w:p><w:pPr><w:pStyle w:val=\"Title\"/></w:pPr><w:r><w:t>Dome</w:t></w:r></w:p>\
            <w:p><w:r><w:t xml:space=\"preserve\">It closes </w:t></w:r><w:r><w:t>at dawn &amp; in rain.</w:t></w:r></w:p>\
            <w:p><w:pPr><w:pStyle w:val=\"berschrift2\"/></w:pPr><w:r><w:t>Wind</w:t></w:r></w:p>\
            <w:p><w:pPr><w:numPr/></w:pPr><w:r><w:t>15 m/s</w:t><w:delText>20 m/s</w:delText></w:r></w:p>";
        let converted = convert(docx(body, styles)).unwrap();
        assert_eq!(converted.text, "# Dome\n\nIt closes at dawn & in rain.\n\n## Wind\n\n- 15 m/s");
        let headings: Vec<_> =
            converted.headings.iter().map(|h| (h.level, h.text.as_str(), h.offset)).collect();
        assert_eq!(headings, [(1, "Dome", 0), (2, "Wind", 38)]);
    }

    #[test]
    fn tables_are_rows() {
        let cell = |text: &str| format!("<w:tc><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:tc>");
        let row = |cells: [&str; 2]| format!("<w:tr>{}{}</w:tr>", cell(cells[0]), cell(cells[1]));
        let body = format!("<w:tbl>{}{}</w:tbl>", row(["Item", "Price"]), row(["Bolt", "3|50"]));
        assert_eq!(convert(docx(&body, "")).unwrap().text, "| Item | Price |\n|---|---|\n| Bolt | 3/50 |");
    }

    #[test]
    fn an_entity_bomb_is_refused() {
        let bomb = zip(&[("word/document.xml", b"<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>")]);
        assert!(convert(bomb).is_err_and(|reason| reason.contains("document type")));
    }
}
