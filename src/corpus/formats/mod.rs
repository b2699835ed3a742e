//! One module for each format: bytes to text with its headings, pages and rows.
//!
//! [`Format::of`] says which format a file has, by what its bytes begin with and by its name. [`convert`] reads it; for
//! what is [`Format::is_fenced`], the [`fence`](super::fence) calls it in another process. Every limit on what a file
//! may take is kept while reading, never taken from a header, and a file beyond one is refused with its reason.

mod archive;
mod code_names;
mod data;
mod delimited;
mod docx;
mod epub;
mod gzip;
mod mail;
mod man;
mod notebook;
mod org;
mod pdf;
mod pptx;
mod rst;
mod sheet;
mod text;
mod xml;

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{DocumentKind, Heading, Language, Mark, decode, html, label, markdown, measure::boundary_before};

/// Changes when a format is read in another way than before, so that files are read again, failed ones too.
pub const READERS: u32 = 2;

/// A converted document may have so many bytes of text.
const MAX_TEXT_BYTES: usize = 64 << 20;
/// The most characters of a title or heading that are kept.
const HEADING_CHARACTERS: usize = 200;

/// How a file's bytes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Markdown,
    ReStructuredText,
    Org,
    Data(DataFormat),
    Man,
    Code(Language),
    Html,
    Notebook,
    /// Fields between commas, or the character given.
    Delimited(Option<u8>),
    Sheet,
    Docx,
    Pptx,
    Epub,
    Pdf,
    Message,
    Mailbox,
    Gzip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataFormat {
    Json,
    Toml,
    Yaml,
}

/// What a reader made of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Converted {
    pub kind: DocumentKind,
    pub text: String,
    pub headings: Vec<Heading>,
    /// What the document is called, where that is not its first heading.
    pub title: Option<String>,
    pub pages: Vec<Mark>,
    pub rows: Vec<Mark>,
    /// Lines of `text` are lines of the file.
    pub has_lines: bool,
    /// What is left out of `text`.
    pub incomplete: Option<String>,
}

impl Converted {
    /// Text that stands in the file as it is.
    fn plain(kind: DocumentKind, text: String, headings: Vec<Heading>) -> Self {
        let (pages, rows) = (Vec::new(), Vec::new());
        Self { kind, text, headings, title: None, pages, rows, has_lines: true, incomplete: None }
    }

    /// Every place is one in the text, and they are in order.
    pub fn is_consistent(&self) -> bool {
        let headings: Vec<usize> = self.headings.iter().map(|heading| heading.offset).collect();
        let marks = |marks: &[Mark]| marks.iter().map(|mark| mark.offset).collect();
        [headings, marks(&self.pages), marks(&self.rows)].iter().all(|offsets| {
            offsets.is_sorted() && offsets.iter().all(|&offset| self.text.is_char_boundary(offset))
        })
    }
}

impl Format {
    /// The format of a file with this name that begins with these bytes.
    pub fn of(name: &Path, bytes: &[u8]) -> Self {
        let named = Self::named(name);
        match bytes {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'P', b'K', 3, 4, ..] if !named.is_container() => archive::format_of(bytes).unwrap_or(named),
            _ if bytes.starts_with(b"%PDF-") => Self::Pdf,
            // Extensions of numbers are also those of rotated logs and of versions.
            _ if named == Self::Man && !man::is_man(bytes) => Self::Text,
            _ if named == Self::Text && looks_like_html(bytes) => Self::Html,
            _ => named,
        }
    }

    /// What a file's name promises; what is not known is plain text.
    fn named(name: &Path) -> Self {
        let extension = name.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let extension = extension.to_ascii_lowercase();
        if let Some(language) = code_names::language(&extension) {
            return Self::Code(language);
        }
        match extension.as_str() {
            "md" | "markdown" | "mdx" | "mkd" => Self::Markdown,
            "rst" | "rest" => Self::ReStructuredText,
            "org" => Self::Org,
            "html" | "htm" | "xhtml" => Self::Html,
            "json" | "jsonc" | "geojson" => Self::Data(DataFormat::Json),
            "toml" => Self::Data(DataFormat::Toml),
            "yaml" | "yml" => Self::Data(DataFormat::Yaml),
            "ipynb" => Self::Notebook,
            "csv" => Self::Delimited(None),
            "tsv" | "tab" => Self::Delimited(Some(b'\t')),
            "xlsx" | "xlsm" | "xlsb" | "xls" | "ods" => Self::Sheet,
            "docx" | "docm" => Self::Docx,
            "pptx" | "pptm" | "ppsx" => Self::Pptx,
            "epub" => Self::Epub,
            "pdf" => Self::Pdf,
            "eml" => Self::Message,
            "mbox" | "mbx" => Self::Mailbox,
            extension if man::is_section(extension) => Self::Man,
            _ => Self::Text,
        }
    }

    /// Zip archives with documents in them.
    fn is_container(self) -> bool {
        matches!(self, Self::Sheet | Self::Docx | Self::Pptx | Self::Epub)
    }

    /// Its parser is not trusted with this process.
    pub fn is_fenced(self) -> bool {
        match self {
            Self::Text
            | Self::Markdown
            | Self::ReStructuredText
            | Self::Org
            | Self::Data(_)
            | Self::Man
            | Self::Code(_) => false,
            Self::Html
            | Self::Notebook
            | Self::Delimited(_)
            | Self::Sheet
            | Self::Docx
            | Self::Pptx
            | Self::Epub
            | Self::Pdf
            | Self::Message
            | Self::Mailbox
            | Self::Gzip => true,
        }
    }

    /// As it is called in the reason for a failure: `the PDF reader`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text | Self::Code(_) => "text",
            Self::Markdown => "Markdown",
            Self::ReStructuredText => "reStructuredText",
            Self::Org => "Org",
            Self::Data(DataFormat::Json) => "JSON",
            Self::Data(DataFormat::Toml) => "TOML",
            Self::Data(DataFormat::Yaml) => "YAML",
            Self::Man => "manual page",
            Self::Html => "HTML",
            Self::Notebook => "notebook",
            Self::Delimited(_) => "CSV",
            Self::Sheet => "spreadsheet",
            Self::Docx => "DOCX",
            Self::Pptx => "PPTX",
            Self::Epub => "EPUB",
            Self::Pdf => "PDF",
            Self::Message | Self::Mailbox => "e-mail",
            Self::Gzip => "gzip",
        }
    }
}

/// Reads a file's bytes, or says why that cannot be.
pub(super) fn convert(name: &Path, bytes: Vec<u8>) -> Result<Converted, String> {
    let format = Format::of(name, &bytes);
    let converted = match format {
        Format::Gzip => gzip::convert(name, bytes),
        format => convert_as(format, name, bytes),
    }?;
    match converted.text.len() > MAX_TEXT_BYTES {
        true => Err(too_much_text()),
        false => Ok(converted),
    }
}

/// The same, of a format that is known and not gzip.
fn convert_as(format: Format, name: &Path, bytes: Vec<u8>) -> Result<Converted, String> {
    match format {
        Format::Sheet => return sheet::convert(bytes, name),
        Format::Docx => return docx::convert(bytes),
        Format::Pptx => return pptx::convert(bytes),
        Format::Epub => return epub::convert(bytes),
        Format::Pdf => return pdf::convert(&bytes),
        Format::Message => return mail::message(&bytes),
        Format::Mailbox => return mail::mailbox(&bytes, name),
        _ => {}
    }
    if is_compound_file(&bytes) {
        return Err(
            "skipped: an old or encrypted Office file; save it in a newer format, without a password"
                .to_owned(),
        );
    }
    let source = decode::text_of(bytes).ok_or("skipped: not text")?;
    let plain = |kind, source, headings| Ok(Converted::plain(kind, source, headings));
    match format {
        Format::Markdown => {
            let headings = markdown::headings(&source);
            plain(DocumentKind::Markdown, source, headings)
        }
        Format::ReStructuredText => {
            let headings = rst::headings(&source);
            plain(DocumentKind::Text, source, headings)
        }
        Format::Org => Ok(org::convert(source)),
        Format::Data(format) => {
            let headings = data::headings(&source, format);
            let converted = Converted::plain(DocumentKind::Text, source, headings);
            Ok(Converted { title: Some(file_name(name)), ..converted })
        }
        Format::Code(language) => plain(DocumentKind::Code(language), source, Vec::new()),
        Format::Man => man::convert(&source, name),
        Format::Html => page(source),
        Format::Notebook => notebook::convert(&source),
        Format::Delimited(delimiter) => delimited::convert(&source, delimiter, name),
        _ => plain(DocumentKind::Text, source, Vec::new()),
    }
}

fn page(source: String) -> Result<Converted, String> {
    let page = html::to_markdown(source)?;
    let headings = markdown::headings(&page.markdown);
    let title = page.title.filter(|_| headings.is_empty());
    let converted = Converted::plain(DocumentKind::Html, page.markdown, headings);
    Ok(Converted { title, has_lines: false, ..converted })
}

fn looks_like_html(bytes: &[u8]) -> bool {
    let begin = bytes.trim_ascii_start();
    let begins = |tag: &[u8]| begin.get(..tag.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(tag));
    begins(b"<!doctype html") || begins(b"<html")
}

/// What Word, Excel and PowerPoint wrote before their XML formats, and what they put around an encrypted file.
fn is_compound_file(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1])
}

fn size_in_mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn too_much_text() -> String {
    format!("skipped: its text is longer than the limit of {} MiB", MAX_TEXT_BYTES >> 20)
}

/// A title or heading on one line.
fn heading_text(text: &str) -> String {
    label::plain(text, HEADING_CHARACTERS)
}

fn file_name(name: &Path) -> String {
    heading_text(&super::read::file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_begins_with_counts_more_than_its_name() {
        let format = |name: &str, bytes: &[u8]| Format::of(Path::new(name), bytes);
        assert_eq!(format("report.txt", b"%PDF-1.7"), Format::Pdf);
        assert_eq!(format("page", b"\n<!DOCTYPE HTML><p>"), Format::Html);
        assert_eq!(format("app.log.1", b"09:00 opened\n"), Format::Text);
        assert_eq!(format("dome.1", b".TH DOME 1\n.SH NAME\n"), Format::Man);
        assert_eq!(format("dome.1.gz", &[0x1f, 0x8b, 8]), Format::Gzip);
        assert_eq!(format("Dome.TSX", b"a"), Format::Code(Language::Tsx));
        assert_eq!(format("no extension", b"a"), Format::Text);
    }
}
