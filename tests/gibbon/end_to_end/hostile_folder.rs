//! A folder with everything in it that was made to keep a reader busy: the run ends, tells of each, and reads the rest.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use super::Home;
use crate::formats::{
    hostile::zip,
    pdf::{object, pages, pdf, stream},
};

/// Longest time of a run over all of it: each fenced file may take 30 s.
const BOUNDED: Duration = Duration::from_secs(300);

/// Entities that would grow to gigabytes.
fn laughs() -> String {
    let mut text = "<!DOCTYPE a [<!ENTITY l0 \"ha\">".to_owned();
    for level in 1..30 {
        text += &format!("<!ENTITY l{level} \"{}\">", format!("&l{};", level - 1).repeat(10));
    }
    text + "]><a>&l29;</a>"
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Writes the files whose content is hostile; each with a part of the reason that is expected.
fn write_files(home: &Home) -> Vec<(&'static str, &'static str)> {
    let spaces = vec![b' '; 64 << 20];
    home.write("bomb.docx", zip(&[("word/document.xml", &spaces)]));
    home.write("bomb.txt.gz", gzip(&spaces));
    home.write("laughs.docx", zip(&[("word/document.xml", laughs().as_bytes())]));
    home.write("deep.html", "<div>".repeat(10_000));
    let looped = pdf(&[
        object("<< /Type /Catalog /Pages 2 0 R >>"),
        object("<< /Type /Pages /Count 2 /Kids [2 0 R 2 0 R] >>"),
    ]);
    home.write("looped.pdf", looped);
    home.write("long.pdf", pages(100_000, stream("", b"BT /F 12 Tf (a) Tj ET")));
    File::create(home.documents().join("sparse.txt")).unwrap().set_len(10 << 30).unwrap();
    vec![
        ("bomb.docx", "200 times"),
        ("bomb.txt.gz", "200 times"),
        ("laughs.docx", "document type"),
        ("deep.html", "512 levels"),
        ("looped.pdf", "skipped: "),
        // By the number of pages or, where the library was not optimised, by the time that they take to be counted.
        ("long.pdf", "skipped: "),
        ("sparse.txt", "10240.0 MiB, larger than the limit"),
    ]
}

/// Makes what is no regular file.
fn make_special(home: &Home) -> Vec<(&'static str, &'static str)> {
    let at = |name: &str| home.documents().join(name);
    mknodat(CWD, at("pipe.txt"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    drop(UnixListener::bind(at("socket.txt")).unwrap());
    symlink("one", at("two")).unwrap();
    symlink("two", at("one")).unwrap();
    symlink(".", at("itself")).unwrap();
    symlink("/dev/zero", at("zero.txt")).unwrap();
    let mut made = vec![
        ("pipe.txt", "a named pipe"),
        ("socket.txt", "a socket"),
        ("one", "leads nowhere"),
        ("two", "leads nowhere"),
        ("zero.txt", "leads out of the folder"),
    ];
    // /dev/zero, which never ends. Only the superuser can make it.
    if mknodat(CWD, at("device.txt"), FileType::CharacterDevice, Mode::RUSR, makedev(1, 5)).is_ok() {
        made.push(("device.txt", "a device"));
    }
    made
}

/// Writes to a file again and again until `done`, so that it is never twice the same.
fn keep_writing(home: &Home, done: &AtomicBool) {
    let path = home.documents().join("growing.txt");
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    while !done.load(Ordering::Relaxed) {
        file.write_all(b"Another line of the log.\n").unwrap();
        if file.metadata().unwrap().len() > 4 << 20 {
            file.set_len(1 << 20).unwrap();
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_run_over_hostile_files_ends_and_tells_of_each() {
    let home = Home::new();
    let mut expected = write_files(&home);
    expected.extend(make_special(&home));
    // Long enough that nobody reads and cuts it between two writes.
    home.write("growing.txt", "Another line of the log.\n".repeat(40_000));
    expected.push(("growing.txt", "being written while it was read"));
    let name = OsStr::from_bytes(b"note\n\x1b[2J\x1b]0;owned\x07 \xff.md");
    fs::write(home.documents().join(name), "The lantern hangs in the hall.").unwrap();
    home.write("boiler.md", super::BOILER);

    let (done, begin) = (AtomicBool::new(false), Instant::now());
    let run = thread::scope(|threads| {
        threads.spawn(|| keep_writing(&home, &done));
        let run = home.run(&["index", "documents", "--json"]);
        done.store(true, Ordering::Relaxed);
        run
    });
    assert!(begin.elapsed() < BOUNDED, "{:?}", begin.elapsed());
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(!run.stdout.contains(|character: char| character.is_control() && character != '\n'), "{run:?}");
    let report = run.json();
    let issues = report["issues"].as_array().unwrap();
    for (name, reason) in &expected {
        let found =
            issues.iter().find(|issue| issue["path"].as_str().unwrap().ends_with(&format!("/{name}")));
        let found = found.unwrap_or_else(|| panic!("{name} is told of: {report}"));
        assert!(found["reason"].as_str().unwrap().contains(reason), "{found}");
    }
    assert_eq!(issues.len(), expected.len(), "{report}");
    assert_eq!(report["files_added"], 2, "{report}");
    for (question, text) in [("lantern hall", "lantern"), ("safety valve", "boiler")] {
        let found = home.json(&["search", question]);
        assert!(found["chunks"][0]["text"].as_str().unwrap().contains(text), "{found}");
    }
    home.assert_usable();
}
