//! Files that were made to break a reader: each ends within its limits, with a reason, and the next file is read.

use std::{
    fs,
    io::{Cursor, Read, Write},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use flate2::{Compression, write::ZlibEncoder};
use gibbon::corpus::{
    FileEntry,
    fence::WORKER_ARGUMENT,
    read::{Readers, open},
};
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{
    Shelf,
    pdf::{object, pages, pdf, stream},
    settings,
};
use crate::support::data;

const TEXT: &[u8] = b"BT /F 12 Tf 72 700 Td (The dome is closed at dawn.) Tj ET";

pub fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// `content` as PDF streams are compressed.
fn deflated(content: &[u8], times: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..times {
        encoder.write_all(content).unwrap();
    }
    encoder.finish().unwrap()
}

/// Every file is refused with a reason that has this in it, and a sound one is read afterwards.
#[track_caller]
fn refused(cases: &[(&str, Vec<u8>, &str)]) {
    let shelf = Shelf::new();
    for (name, bytes, expected) in cases {
        let begin = Instant::now();
        let reason = shelf.refusal(name, bytes);
        assert!(reason.contains(expected), "{name}: {reason}");
        assert!(begin.elapsed() < Duration::from_secs(60), "{name}: {:?}", begin.elapsed());
    }
    assert!(shelf.fixture("report.pdf").is_ok(), "what comes after is read");
}

#[test]
fn bombs_are_refused() {
    let spaces = vec![b' '; 64 << 20];
    let laughs =
        "<!DOCTYPE a [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;&b;\">]><a>&c;</a>";
    let one = zip(&[("xl/workbook.xml", &spaces)]);
    refused(&[
        ("a.docx", zip(&[("word/document.xml", &spaces)]), "200 times"),
        ("a.xlsx", one, "200 times"),
        ("laughs.docx", zip(&[("word/document.xml", laughs.as_bytes())]), "document type"),
        ("laughs.pptx", zip(&[("ppt/presentation.xml", laughs.as_bytes())]), "document type"),
    ]);
}

#[test]
fn a_large_document_is_refused_for_its_text_and_not_for_memory() {
    // Words in no order: what compresses too well is refused before.
    let mut number = 1_u32;
    let mut word = || {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ["well ", "pump ", "dome ", "crank "][(number >> 30) as usize]
    };
    let words: String = (0..40_000).map(|_| word()).collect();
    let paragraph = format!("<w:p><w:r><w:t>{words}</w:t></w:r></w:p>");
    let body = paragraph.repeat((240 << 20) / paragraph.len());
    let document = format!(
        r#"<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>{body}</w:body></w:document>"#
    );
    refused(&[(
        "large.docx",
        zip(&[("word/document.xml", document.as_bytes())]),
        "its text is longer than the limit of 64 MiB",
    )]);
}

#[test]
fn deep_files_are_refused() {
    let deep = "<w:p>".repeat(10_000);
    refused(&[
        ("deep.docx", zip(&[("word/document.xml", deep.as_bytes())]), "256 levels"),
        ("deep.html", "<div>".repeat(10_000).into_bytes(), "512 levels"),
        ("deep.ipynb", "[".repeat(1_000_000).into_bytes(), "notebook"),
    ]);
}

#[test]
fn truncated_files_are_refused() {
    let shelf = Shelf::new();
    for name in ["handbook.docx", "washing.pptx", "prices.xlsx", "night.epub"] {
        let whole = fs::read(data("formats").join(name)).unwrap();
        for part in [1, 2, 3] {
            let reason = shelf.refusal(name, &whole[..whole.len() * part / 4]);
            assert!(reason.starts_with("skipped: damaged"), "{name}: {reason}");
        }
        let reason = shelf.refusal(name, b"just some text");
        assert!(reason.starts_with("skipped: damaged"), "{name}: {reason}");
    }
    let whole = fs::read(data("formats/report.pdf")).unwrap();
    for length in (0..whole.len()).step_by(97) {
        // A PDF can be repaired to some degree: what counts is that an end is reached.
        if let Err(issue) = shelf.read("report.pdf", &whole[..length]) {
            assert!(issue.reason.starts_with("skipped: "), "{}", issue.reason);
        }
    }
}

#[test]
fn pdf_page_trees_that_loop_or_never_end_are_bounded() {
    let sound = pages(1, stream("", TEXT));
    assert_eq!(Shelf::new().read("a.pdf", &sound).unwrap().text.trim(), "The dome is closed at dawn.");
    // A tree whose root is its own child, twice.
    let looped = pdf(&[
        object("<< /Type /Catalog /Pages 2 0 R >>"),
        object("<< /Type /Pages /Count 2 /Kids [2 0 R 2 0 R] >>"),
    ]);
    // A page that inherits from itself, without end.
    let heir = pdf(&[
        object("<< /Type /Catalog /Pages 2 0 R >>"),
        object("<< /Type /Pages /Count 1 /Kids [3 0 R] /Parent 3 0 R >>"),
        object("<< /Type /Page /Parent 2 0 R >>"),
    ]);
    refused(&[
        ("looped.pdf", looped, "skipped: "),
        ("heir.pdf", heir, "skipped: "),
        ("long.pdf", pages(6_000, stream("", TEXT)), "6000 pages, more than the limit of 5000"),
    ]);
}

#[test]
fn what_needs_too_much_memory_is_refused_and_named() {
    let bomb = deflated(&vec![b' '; 64 << 20], 40);
    refused(&[("bomb.pdf", pages(1, stream("/Filter /FlateDecode", &bomb)), "memory")]);
}

#[test]
fn what_takes_too_long_is_ended_and_the_next_file_is_read() {
    let settings = settings();
    let folder = tempfile::tempdir().unwrap();
    let readers = Readers::with_time(&settings, Duration::from_millis(200));
    let path = folder.path().join("slow.pdf");
    // Text is shown over and over: some hundred million operators.
    let slow = deflated(&b"(a) Tj ".repeat(100_000), 100);
    let slow = pages(1, stream("/Filter /FlateDecode", &slow));
    fs::write(&path, slow).unwrap();
    let entry = FileEntry { path, relative: "slow.pdf".into(), bytes: 1 };
    let begin = Instant::now();
    let issue = readers.read(open(&entry, &settings).unwrap()).expect_err("too slow");
    assert_eq!(issue.reason, "skipped: the PDF reader took longer than 0.2 s");
    assert!(issue.attempt.is_some(), "the same content need not be tried again");
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert!(Shelf::new().fixture("report.pdf").is_ok());
}

#[test]
fn a_reading_process_ends_when_nobody_hands_it_documents() {
    let status = Command::new(env!("CARGO_BIN_EXE_gibbon"))
        .arg(WORKER_ARGUMENT)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn nonsense_ends_a_reading_process() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_gibbon"))
        .arg(WORKER_ARGUMENT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(&[0xff; 64]).unwrap();
    let mut answer = Vec::new();
    process.stdout.take().unwrap().read_to_end(&mut answer).unwrap();
    assert!(answer.is_empty() && !process.wait().unwrap().success());
}

#[cfg(target_os = "linux")]
#[test]
fn a_reading_process_can_open_nothing_and_has_limits() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_gibbon"))
        .arg(WORKER_ARGUMENT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let limit = |name: &str| {
        let limits = fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        line[name.len()..].split_whitespace().next().unwrap().to_owned()
    };
    // The last one that it sets.
    while limit("Max open files") != "0" {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(limit("Max address space"), (1_u64 << 30).to_string());
    assert_eq!(limit("Max file size"), "0");
    assert_eq!(limit("Max core file size"), "0");
    assert_ne!(limit("Max cpu time"), "unlimited");
    drop(process.stdin.take());
    process.wait().unwrap();
}

#[test]
fn a_program_that_cannot_be_started_is_a_reason_that_does_not_last() {
    let mut settings = settings();
    settings.reader_program = Some("/nowhere/gibbon".into());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.html");
    fs::write(&path, "<p>text").unwrap();
    let entry = FileEntry { path, relative: "a.html".into(), bytes: 7 };
    let issue = Readers::new(&settings).read(open(&entry, &settings).unwrap()).expect_err("nothing reads it");
    assert!(issue.reason.contains("could not be started"), "{}", issue.reason);
    assert_eq!(issue.attempt, None);
}
