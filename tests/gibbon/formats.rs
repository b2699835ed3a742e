//! Every format through the real program's reading processes: title, headings, pages, rows and text.

pub mod hostile;
pub mod pdf;

use std::{fs, path::PathBuf};

use gibbon::{
    config::CorpusSettings,
    corpus::{
        Chunk, Document, FileEntry, ReadIssue,
        read::{Readers, open},
        split::split,
    },
};
use tempfile::TempDir;

use crate::support::data;

/// With the program under test as the one that reads.
fn settings() -> CorpusSettings {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_gibbon"));
    CorpusSettings { chunk_tokens: 384, max_file_bytes: 64 << 20, reader_program: Some(program) }
}

/// Files, and readers for them.
struct Shelf {
    folder: TempDir,
    settings: CorpusSettings,
    readers: Readers,
}

impl Shelf {
    fn new() -> Self {
        let settings = settings();
        let readers = Readers::new(&settings);
        Self { folder: tempfile::tempdir().unwrap(), settings, readers }
    }

    fn read(&self, name: &str, bytes: &[u8]) -> Result<Document, ReadIssue> {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let entry = FileEntry { path, relative: name.into(), bytes: bytes.len() as u64 };
        self.readers.read(open(&entry, &self.settings)?)
    }

    /// A file of `tests/data/formats`.
    fn fixture(&self, name: &str) -> Result<Document, ReadIssue> {
        self.read(name, &fs::read(data("formats").join(name)).unwrap())
    }

    fn refusal(&self, name: &str, bytes: &[u8]) -> String {
        self.read(name, bytes).expect_err(name).reason
    }
}

/// Chunks of at most `words` words; their spans cover the document.
fn chunks(document: &Document, words: usize) -> Vec<Chunk> {
    let chunks = split(document, words, &|text: &str| text.split_whitespace().count());
    let mut end = 0;
    for chunk in &chunks {
        assert_eq!(chunk.span.start, end, "{}", document.relative.display());
        end = chunk.span.end;
    }
    assert_eq!(end, document.text.len());
    chunks
}

fn headings(document: &Document) -> Vec<(u8, &str)> {
    for heading in &document.headings {
        assert!(document.text[heading.offset..].contains(&heading.text), "{heading:?}");
    }
    document.headings.iter().map(|heading| (heading.level, heading.text.as_str())).collect()
}

#[test]
fn a_word_document_has_headings_lists_and_tables() {
    let document = Shelf::new().fixture("handbook.docx").unwrap();
    assert_eq!(document.title, "Dome handbook");
    assert_eq!(headings(&document), [(1, "Dome handbook"), (1, "Wind")]);
    assert!(document.text.contains("Above fifteen metres per second the dome is closed.\n\n"));
    assert!(document.text.contains("- Tell the night assistant"));
    assert!(document.text.contains("| Sensor | Limit |\n|---|---|\n| Anemometer | 15 m/s |"));
    assert!(!document.has_lines);
}

#[test]
fn slides_are_pages_and_their_notes_are_read() {
    let document = Shelf::new().fixture("washing.pptx").unwrap();
    assert_eq!(document.title, "Mirror washing");
    assert_eq!(headings(&document), [(1, "Mirror washing"), (1, "Costs"), (1, "Rota")]);
    assert!(
        document.text.contains("Every October\nWith deionised water\n\nNotes: Order the water in August.")
    );
    assert!(document.text.contains("| Monday | Okafor |"));
    let pages: Vec<_> =
        chunks(&document, 14).iter().map(|chunk| (chunk.page, chunk.heading.clone())).collect();
    assert!(pages.contains(&(Some(2), vec!["Costs".to_owned()])), "{pages:?}");
    assert_eq!(document.pages.iter().map(|page| page.number).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn rows_of_sheets_have_their_header_and_are_cited_by_sheet_and_row() {
    let shelf = Shelf::new();
    let document = shelf.fixture("prices.xlsx").unwrap();
    assert_eq!(document.title, "prices.xlsx");
    assert_eq!(headings(&document), [(1, "Prices"), (1, "Suppliers")]);
    assert!(
        document.text.contains("\nItem: Bolt M3; Price: 0.5; Ordered: 2026-03-02\n"),
        "{}",
        document.text
    );
    let chunks = chunks(&document, 100);
    let places: Vec<String> = chunks.iter().map(|chunk| chunk.heading.join(" › ")).collect();
    assert!(places[0].starts_with("Prices › rows 2–"), "{places:?}");
    assert_eq!(places.last().map(String::as_str), Some("Suppliers › row 2"));
    assert!(chunks.iter().all(|chunk| !chunk.label.contains("row")), "rows that move make no other chunks");
    let open_document = shelf.fixture("filters.ods").unwrap();
    assert_eq!(open_document.text, "# Filters\n\nFilter: H alpha; Width: 3 nm");
}

#[test]
fn a_pdf_has_pages_and_a_title() {
    let shelf = Shelf::new();
    let document = shelf.fixture("report.pdf").unwrap();
    assert_eq!(document.title, "Night report");
    let pages: Vec<_> = chunks(&document, 12).iter().map(|chunk| (chunk.page, chunk.text.clone())).collect();
    assert_eq!(pages.len(), 3, "{pages:?}");
    assert_eq!(pages[1].0, Some(2));
    assert!(pages[1].1.contains("replaced by Ms Okafor"), "{pages:?}");
    assert!(shelf.fixture("scan.pdf").unwrap_err().reason.contains("it may be a scan"));
    assert!(shelf.fixture("locked.pdf").unwrap_err().reason.contains("encrypted"));
}

#[test]
fn a_book_is_read_in_its_own_order() {
    let document = Shelf::new().fixture("night.epub").unwrap();
    assert_eq!(document.title, "The Night Watch");
    assert_eq!(headings(&document), [(1, "Dusk"), (1, "Dawn")]);
    assert!(document.text.contains("# Dusk\n\nSomebody had left the lantern burning."));
}

#[test]
fn an_archive_is_read_as_what_it_holds_whatever_it_is_called() {
    let shelf = Shelf::new();
    let bytes = fs::read(data("formats/handbook.docx")).unwrap();
    assert_eq!(shelf.read("handbook", &bytes).unwrap().title, "Dome handbook");
    let bytes = fs::read(data("formats/report.pdf")).unwrap();
    assert_eq!(shelf.read("report.txt", &bytes).unwrap().title, "Night report");
}

#[test]
fn formats_of_text_keep_their_text_and_lines() {
    let shelf = Shelf::new();
    let cases = [
        (
            "dome.rst",
            "Dome\n====\n\nClosed.\n\nWind\n----\n\n15 m/s\n",
            vec![(1, "Dome"), (2, "Wind")],
            "Dome",
        ),
        ("dome.org", "* Dome\nClosed.\n** Wind\n15 m/s\n", vec![(1, "Dome"), (2, "Wind")], "Dome"),
        ("dome.toml", "[dome]\nwind = 15\n", vec![(1, "dome")], "dome.toml"),
        ("dome.yaml", "dome:\n  wind: 15\n", vec![(1, "dome")], "dome.yaml"),
        ("dome.json", "{\n  \"dome\": {\n    \"wind\": 15\n  }\n}\n", vec![(1, "dome")], "dome.json"),
    ];
    for (name, text, expected, title) in cases {
        let document = shelf.read(name, text.as_bytes()).unwrap();
        assert_eq!((document.text.as_str(), document.has_lines), (text, true), "{name}");
        assert_eq!(headings(&document), expected, "{name}");
        assert_eq!(document.title, title);
        assert!(chunks(&document, 200)[0].lines.is_some());
    }
}

#[test]
fn converted_formats_of_text_have_titles_and_headings() {
    let shelf = Shelf::new();
    let page = shelf.read("dome.1", b".TH DOME 1\n.SH NAME\ndome \\- closes the dome\n").unwrap();
    assert_eq!((page.title.as_str(), page.text.as_str()), ("DOME(1)", "# NAME\n\ndome - closes the dome"));
    let table = shelf.read("prices.csv", b"Item;Price\nBolt;3,50\n").unwrap();
    assert_eq!((table.title.as_str(), table.text.as_str()), ("prices.csv", "Item: Bolt; Price: 3,50"));
    assert_eq!(chunks(&table, 50)[0].heading, ["row 2"]);
    let notebook =
        shelf.read("a.ipynb", br###"{"cells": [{"cell_type": "markdown", "source": "# Wind"}]}"###).unwrap();
    assert_eq!(headings(&notebook), [(1, "Wind")]);
    let mail = shelf.read("a.eml", b"From: a@b.c\nSubject: Dome\n\nClosed at dawn.\n").unwrap();
    assert_eq!(
        (mail.title.as_str(), mail.text.as_str()),
        ("Dome", "# Dome\n\nFrom: a@b.c\n\nClosed at dawn.")
    );
    let mailbox = shelf
        .read("a.mbox", b"From a@b Tue\nSubject: One\n\nx\n\nFrom a@b Wed\nSubject: Two\n\ny\n")
        .unwrap();
    assert_eq!((mailbox.title.as_str(), headings(&mailbox)), ("a.mbox", vec![(1, "One"), (1, "Two")]));
    let page = shelf.read("a.html", b"<title>Hours</title><h1>Opening</h1><p>Daily.").unwrap();
    assert_eq!((page.title.as_str(), page.text.as_str()), ("Opening", "# Opening\n\nDaily."));
}

#[test]
fn a_manual_page_of_this_machine_is_read_compressed() {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(b".TH DOME 1\n.SH NAME\ndome \\- closes\n").unwrap();
    let page = Shelf::new().read("dome.1.gz", &encoder.finish().unwrap()).unwrap();
    assert_eq!((page.title.as_str(), page.text.as_str()), ("DOME(1)", "# NAME\n\ndome - closes"));
}

#[test]
fn older_encodings_are_read() {
    let shelf = Shelf::new();
    assert_eq!(
        shelf.read("a.txt", b"The caf\xe9 by the dome opens at noon.").unwrap().text,
        "The café by the dome opens at noon."
    );
    let japanese = "# 天文台\n\nドームは日の出に閉まります。風速が十五メートルを超えるときも閉めます。\n";
    let (bytes, _, _) = encoding_rs::SHIFT_JIS.encode(japanese);
    let document = shelf.read("a.md", &bytes).unwrap();
    assert_eq!((document.text.as_str(), document.title.as_str()), (japanese, "天文台"));
}
