//! Presentations: a section and a page for each slide, its notes after its text.

use std::collections::HashMap;

use super::{
    Converted, DocumentKind,
    archive::{Archive, resolve},
    docx::{core_title, table_row},
    text::Text,
    xml::{self, Token},
};

const PRESENTATION: &str = "ppt/presentation.xml";

pub(super) fn convert(bytes: Vec<u8>) -> Result<Converted, String> {
    let mut archive = Archive::open(bytes)?;
    let mut text = Text::default();
    for (number, slide) in (1..).zip(slides(&mut archive)?) {
        let content = shapes(&archive.needed_text(&slide)?)?;
        text.page(number);
        text.heading(1, content.title.trim())?;
        text.block(&content.blocks.join("\n\n"))?;
        let notes = related(&mut archive, &slide)?.into_values().find(|part| part.contains("/notesSlides/"));
        if let Some(notes) = notes.map(|part| archive.text(&part)).transpose()?.flatten() {
            let notes = shapes(&notes)?.blocks.join("\n");
            if !notes.trim().is_empty() {
                text.block(&format!("Notes: {notes}"))?;
            }
        }
    }
    let title = core_title(&mut archive)?.filter(|_| !text.has_headings());
    Ok(text.finish(DocumentKind::Markdown, title))
}

/// The parts with the slides, in their order.
fn slides(archive: &mut Archive) -> Result<Vec<String>, String> {
    let presentation = archive.needed_text(PRESENTATION)?;
    let parts = related(archive, PRESENTATION)?;
    let mut slides = Vec::new();
    xml::each(&presentation, &mut |token| {
        if let Token::Open(element) = token
            && element.name == "sldId"
        {
            let id = element.prefixed_attribute("r:id").unwrap_or_default();
            slides.extend(parts.get(&id).cloned());
        }
        Ok(())
    })?;
    Ok(slides)
}

/// The parts that a part refers to, by the ids that it uses for them.
fn related(archive: &mut Archive, part: &str) -> Result<HashMap<String, String>, String> {
    let (folder, name) = part.rsplit_once('/').unwrap_or(("", part));
    let relations = archive.text(&format!("{folder}/_rels/{name}.rels"))?.unwrap_or_default();
    let mut parts = HashMap::new();
    xml::each(&relations, &mut |token| {
        if let Token::Open(element) = token
            && element.name == "Relationship"
            && let (Some(id), Some(target)) = (element.attribute("Id"), element.attribute("Target"))
        {
            parts.insert(id, resolve(part, &target));
        }
        Ok(())
    })?;
    Ok(parts)
}

/// The text of a slide's shapes.
#[derive(Default)]
struct Shapes {
    title: String,
    blocks: Vec<String>,
    /// Of the shape that is open.
    is_title: bool,
    is_number: bool,
    paragraphs: Vec<String>,
    paragraph: String,
    in_text: bool,
    cells: Vec<String>,
}

fn shapes(xml: &str) -> Result<Shapes, String> {
    let mut shapes = Shapes::default();
    xml::each(xml, &mut |token| {
        shapes.take(token);
        Ok(())
    })?;
    Ok(shapes)
}

impl Shapes {
    fn take(&mut self, token: Token) {
        match token {
            Token::Open(element) => match element.name {
                "sp" => (self.is_title, self.is_number) = (false, false),
                "ph" => {
                    let kind = element.attribute("type").unwrap_or_default();
                    self.is_title = matches!(kind.as_str(), "title" | "ctrTitle");
                    self.is_number = matches!(kind.as_str(), "sldNum" | "dt" | "ftr");
                }
                "t" => self.in_text = true,
                "br" => self.paragraph.push('\n'),
                _ => {}
            },
            Token::Text(part) if self.in_text => self.paragraph.push_str(part),
            Token::Text(_) => {}
            Token::Close("t") => self.in_text = false,
            Token::Close("p") => self.paragraphs.push(std::mem::take(&mut self.paragraph)),
            Token::Close("tc") => self.cells.push(std::mem::take(&mut self.paragraphs).join(" ")),
            Token::Close("tr") => self.blocks.push(table_row(&std::mem::take(&mut self.cells))),
            Token::Close("sp") => self.end_shape(),
            Token::Close(_) => {}
        }
    }

    fn end_shape(&mut self) {
        let lines = std::mem::take(&mut self.paragraphs);
        let lines: Vec<&str> =
            lines.iter().map(|line| line.trim_end()).filter(|line| !line.is_empty()).collect();
        if self.is_title {
            self.title = lines.join(" ");
        } else if !self.is_number && !lines.is_empty() {
            self.blocks.push(lines.join("\n"));
        }
    }
}
