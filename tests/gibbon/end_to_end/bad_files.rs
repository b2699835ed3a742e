//! Files and folders that cannot be indexed: each is told, and what is there otherwise works.

use std::fs::{self, File};

use super::{Home, Run};
use crate::support::data;

/// The reasons that an index run gives, by file name.
fn reasons(report: &serde_json::Value) -> Vec<(String, String)> {
    let issues = report["issues"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let name = |path: String| path.rsplit('/').next().unwrap().to_owned();
    issues.iter().map(|issue| (name(text(&issue["path"])), text(&issue["reason"]))).collect()
}

#[test]
fn an_empty_folder_and_one_without_text_hold_nothing() {
    let home = Home::new();
    let run = home.run(&["index", "documents"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.stderr.contains("no documents in documents"), "{run:?}");
    home.run(&["ask", "boiler"]).assert_fails(3, &["nothing is indexed", "gibbon index"]);

    home.write("image.bin", b"\x89PNG\0\0\0");
    let run = home.run(&["index"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.stderr.contains("image.bin: skipped: not text"), "{run:?}");
    home.run(&["ask", "boiler"]).assert_fails(3, &["nothing is indexed"]);

    home.write("boiler.md", super::BOILER);
    assert_eq!(home.run(&["index"]).code, Some(0));
    home.assert_usable();
}

#[test]
fn without_documents_there_is_nothing_to_ask_or_to_bring_up_to_date() {
    let home = Home::new();
    for command in ["ask", "search", "compare"] {
        home.run(&[command, "boiler"]).assert_fails(3, &["nothing is indexed", "gibbon index FOLDER"]);
    }
    let run = home.run(&["index"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.stderr.contains("gibbon index FOLDER"), "{run:?}");
    home.run(&["index", "no-such-folder"]).assert_fails(2, &["no-such-folder", "does not exist"]);
}

#[test]
fn files_that_are_no_text_are_listed_and_the_rest_is_indexed() {
    let home = Home::new();
    home.write("boiler.md", super::BOILER);
    File::create(home.documents().join("large.txt")).unwrap().set_len(200 << 20).unwrap();
    home.write("broken.md", b"\xfc\xfd\xfe (".repeat(50));
    home.write("latin.txt", b"The caf\xe9 beside the well opens at nine every morning but Monday.");
    home.write("program", b"\x7fELF\0\0\0\0");
    let report = home.json(&["index", "documents"]);
    let listed = reasons(&report);
    let reason = |name: &str| listed.iter().find(|(file, _)| file == name).map(|(_, reason)| reason.as_str());
    assert_eq!(
        reason("large.txt"),
        Some("skipped: 200.0 MiB, larger than the limit of 32.0 MiB; split the file or raise the limit")
    );
    assert_eq!(reason("broken.md"), Some("skipped: not text"));
    assert_eq!(reason("program"), Some("skipped: not text"));
    assert_eq!((listed.len(), &report["files_added"]), (3, &2.into()), "{report}");
    let found = home.json(&["search", "opens at nine"]);
    assert!(found["chunks"][0]["text"].as_str().unwrap().contains("café beside"), "{found}");
    home.assert_usable();

    // A file that was indexed and is too large now: what is indexed of it is no longer what it says.
    fs::OpenOptions::new()
        .write(true)
        .open(home.documents().join("latin.txt"))
        .unwrap()
        .set_len(40 << 20)
        .unwrap();
    let report = home.json(&["index"]);
    assert_eq!(report["files_removed"], 1, "{report}");
    assert_eq!(home.cached_chunks(), home.indexed_chunks());
}

#[test]
fn files_that_cannot_be_read_are_listed() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    home.write("boiler.md", super::BOILER);
    home.write("secret.txt", "The boiler is secret.");
    let secret = home.documents().join("secret.txt");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser reads everything; the path of the reader's error is tested below all the same.
    if File::open(&secret).is_ok() {
        fs::remove_file(&secret).unwrap();
    }
    let report = home.json(&["index", "documents"]);
    let expected = if secret.exists() { vec!["skipped: no permission to read it"] } else { vec![] };
    assert_eq!(reasons(&report).iter().map(|(_, reason)| reason.as_str()).collect::<Vec<_>>(), expected);

    // The memory of a process is a file that even the superuser cannot read from its start.
    if cfg!(target_os = "linux") {
        let path = format!("/proc/{}/mem", std::process::id());
        let report = home.run(&["index", &path, "--json"]).json();
        let listed = reasons(&report);
        assert!(
            matches!(&listed[..], [(_, reason)] if reason.starts_with("skipped: it cannot be read")),
            "{listed:?}"
        );
    }
    home.assert_usable();
}

#[test]
fn a_folder_that_is_gone_keeps_its_documents_until_it_is_forgotten() {
    let home = Home::indexed();
    fs::rename(home.documents(), home.path().join("away")).unwrap();
    let run = home.run(&["index"]);
    assert!(run.stderr.contains("does not exist") && run.stderr.contains("--forget"), "{run:?}");
    home.assert_usable();
    fs::rename(home.path().join("away"), home.documents()).unwrap();
    let report = home.json(&["index"]);
    assert_eq!(report["files_unchanged"], super::DOCUMENTS.len(), "{report}");
}

#[test]
fn a_damaged_catalogue_or_index_is_told() {
    let home = Home::indexed();
    for name in home.data().join("index/v1").read_dir().unwrap() {
        fs::write(name.unwrap().path(), b"not an index").unwrap();
    }
    home.run(&["ask", super::QUESTION]).assert_fails(1, &["search index", "gibbon index"]);
    let report = home.json(&["index"]);
    assert_eq!(report["chunks_encoded"], 0, "it is built again from the catalogue: {report}");
    home.assert_usable();

    fs::write(
        home.data().join("catalogue.sqlite3"),
        "not a database, and long enough to be seen as none".repeat(100),
    )
    .unwrap();
    for file in ["catalogue.sqlite3-wal", "catalogue.sqlite3-shm"] {
        let _ = fs::remove_file(home.data().join(file));
    }
    for arguments in [&["ask", "boiler"][..], &["index"], &["cache", "ls"]] {
        let run: Run = home.run(arguments);
        run.assert_fails(1, &["catalogue.sqlite3", "damaged", "move it away"]);
    }
    fs::remove_file(home.data().join("catalogue.sqlite3")).unwrap();
    let report = home.json(&["index", "documents"]);
    assert_eq!(report["chunks_encoded"], 0, "the caches are still good: {report}");
    home.assert_usable();
}

#[test]
fn a_document_that_failed_is_listed_each_time_and_read_once_it_changes() {
    let home = Home::new();
    home.write("boiler.md", super::BOILER);
    let report = fs::read(data("formats/report.pdf")).unwrap();
    home.write("report.pdf", &report[..200]);
    home.write("photo.jpg", "x");
    let first = home.json(&["index", "documents", "--no-encode"]);
    let again = home.json(&["index", "--no-encode"]);
    for listed in [reasons(&first), reasons(&again)] {
        let [(_, photos), (name, reason)] = &listed[..] else { panic!("{listed:?}") };
        assert!(photos.contains("1 image") && name == "report.pdf", "{listed:?}");
        assert!(reason.starts_with("skipped: damaged, or not a PDF"), "{reason}");
    }
    home.write("report.pdf", &report);
    let report = home.json(&["index", "--no-encode"]);
    assert_eq!((reasons(&report).len(), &report["files_added"]), (1, &1.into()), "{report}");
    let found = home.json(&["search", "who replaced the shutter motor"]);
    assert_eq!(found["chunks"][0]["page"], 1, "{found}");
}
