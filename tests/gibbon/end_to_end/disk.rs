//! Disks that are full or cannot be written.
//!
//! A limit on the size of files stands for a full disk: what exceeds it fails to be written. It needs no rights and
//! leaves nothing mounted.

use std::fs;

use super::{Home, QUESTION, Run, undisturbed};

impl Home {
    /// A run in which no file can grow over `bytes`; writes beyond fail instead of ending the program.
    fn run_with_files_up_to(&self, bytes: usize, arguments: &[&str]) -> Run {
        // `ulimit -f` counts in 512 bytes.
        Run::of(&self.shell(&format!("trap '' XFSZ; ulimit -f {}", bytes / 512), arguments).output().unwrap())
    }
}

/// Bytes between the size of the prefix's cache file, which is still written, and that of the smallest chunk's.
fn between_prefix_and_chunk() -> usize {
    let files = undisturbed().caches();
    let prefix = files.iter().find(|(path, _)| path.ends_with("prefix.safetensors")).unwrap().1.len();
    let chunks = files.iter().filter(|(path, _)| !path.ends_with("prefix.safetensors"));
    let smallest = chunks.map(|(_, file)| file.len()).min().unwrap();
    assert!(prefix + 1024 < smallest, "a chunk's file is larger than the prefix's");
    prefix.midpoint(smallest)
}

#[test]
fn an_answer_is_given_although_its_cache_cannot_be_kept() {
    let home = Home::with_documents();
    home.json(&["index", "documents", "--no-encode"]);
    let run = home.run_with_files_up_to(between_prefix_and_chunk(), &["ask", QUESTION, "--json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let warnings = run.stderr.matches("warning:").count();
    assert_eq!(warnings, 1, "one warning for the series: {run:?}");
    assert!(run.stderr.contains("could not be written") && run.stderr.contains("free some space"), "{run:?}");
    let expected = Home::indexed().json(&["ask", QUESTION]);
    assert_eq!(run.json()["token_ids"], expected["token_ids"]);
    home.assert_usable();
}

#[test]
fn index_says_that_the_disk_is_full_and_goes_on_later() {
    let home = Home::with_documents();
    let run = home.run_with_files_up_to(between_prefix_and_chunk(), &["index", "documents"]);
    run.assert_fails(1, &["could not be written", "hint:", "Make room", "goes on where it was"]);
    home.assert_sound();
    let report = home.json(&["index"]);
    assert_eq!(report["files_unchanged"], super::DOCUMENTS.len(), "what was indexed stays: {report}");
    home.state().assert_same(&undisturbed().state());
    home.assert_usable();
}

#[test]
fn a_disk_with_no_room_at_all_is_told_and_nothing_is_lost() {
    let home = Home::indexed();
    let before = home.state();
    for arguments in [&["ask", QUESTION][..], &["index"], &["search", "boiler"], &["cache", "ls"]] {
        let run = home.run_with_files_up_to(0, arguments);
        // What has nothing to write may work; what fails says why and what to do.
        if run.code != Some(0) {
            run.assert_fails(1, &["hint:", "room"]);
        }
    }
    let new = Home::with_documents();
    new.run_with_files_up_to(0, &["index", "documents"]).assert_fails(1, &["hint:", "room"]);
    assert_eq!(new.run(&["index", "documents", "--no-encode"]).code, Some(0));
    home.state().assert_same(&before);
    home.assert_usable();
}

#[test]
fn room_for_the_catalogue_but_not_for_the_search_index() {
    // What is added to the catalogue's files takes less than this, the index of a large document more.
    const BYTES: usize = 64 << 10;
    let home = Home::with_documents();
    let words: String = (0..150_000).map(|number| format!("word{number} ")).collect();
    home.write("large.txt", words);
    home.json(&["index", "documents", "--no-encode"]);
    fs::remove_dir_all(home.data().join("index")).unwrap();
    let run = home.run_with_files_up_to(BYTES, &["index", "--no-encode"]);
    run.assert_fails(1, &["search index", "room", "gibbon index"]);
    let report = home.json(&["index", "--no-encode"]);
    assert_eq!(report["files_unchanged"], super::DOCUMENTS.len() + 1, "{report}");
    assert_eq!(home.run(&["search", "word149999"]).code, Some(0));
    home.assert_usable();
}

#[test]
fn a_data_directory_that_cannot_be_written() {
    let home = Home::indexed();
    let data = home.data();
    let away = home.path().join("away");
    fs::rename(&data, &away).unwrap();
    fs::write(&data, "a file where the directory should be").unwrap();
    for arguments in [&["index", "documents"][..], &["ask", "boiler"], &["cache", "ls"]] {
        let run = home.run(arguments);
        assert!(matches!(run.code, Some(1 | 4)), "{run:?}");
        assert!(run.stderr.contains("data") && run.stderr.contains("hint:"), "{run:?}");
    }
    fs::remove_file(&data).unwrap();
    fs::rename(&away, &data).unwrap();
    home.assert_usable();

    // The superuser writes everywhere; for everybody else a directory can be closed.
    use std::os::unix::fs::PermissionsExt;
    let close = |mode| fs::set_permissions(&data, fs::Permissions::from_mode(mode)).unwrap();
    close(0o500);
    if fs::write(data.join("probe"), "").is_err() {
        let run = home.run(&["index", "documents"]);
        run.assert_fails(1, &["hint:", "writable"]);
    } else {
        fs::remove_file(data.join("probe")).unwrap();
    }
    close(0o700);
    home.assert_usable();
}
