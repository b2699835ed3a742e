use std::fs;

use super::*;
use crate::{catalogue::tests::file, index::Reader};

#[test]
fn a_batch_is_bounded_in_files_and_in_bytes_and_never_empty() {
    let (small, large) = (file("a", &["x"]), file("b", &[&"x".repeat(10 << 20)]));
    let huge = file("c", &[&"x".repeat(40 << 20)]);
    let length = |files: &[FileUpdate]| batch_length(files, 16 << 20);
    assert_eq!(length(&[]), 0);
    assert_eq!(length(&vec![small.clone(); 9000]), BATCH_FILES);
    assert_eq!(length(&[small.clone(), large.clone(), large.clone()]), 2);
    assert_eq!(length(&[huge.clone(), small.clone()]), 1);
    assert_eq!(length(&[small, huge]), 1);
}

#[test]
fn what_was_read_in_part_stays_on_record_in_a_later_batch() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut writer = Writer::open(data.path()).unwrap();
    let root = writer.add_root(folder.path(), 7).unwrap().root;
    let large = "x".repeat(40 << 20);
    let failed = FailedFile { relative: "b".into(), hash: None, reason: "cut short".into() };
    let delta = Delta {
        updated: vec![file("a", &[&large]), file("b", &[&large])],
        failed: vec![failed.clone()],
        ..Delta::new(root.id)
    };
    assert_eq!(batch_length(&delta.updated, BATCH_BYTES), 1);
    writer.apply(&delta).unwrap();
    assert_eq!(writer.catalogue().failed_files(root.id).unwrap(), [failed]);
}

/// A writer that commits in the background after each change, and a root.
fn busy_writer(data: &Path, folder: &Path) -> (Writer, RootId) {
    let mut writer = Writer::open(data).unwrap();
    writer.commit_bytes = 1;
    let root = writer.add_root(folder, 7).unwrap().root.id;
    (writer, root)
}

fn one_file(root: RootId, name: &str, text: &str) -> Delta {
    Delta { updated: vec![file(name, &[text])], ..Delta::new(root) }
}

fn assert_found_once(data: &Path, texts: &[&str]) {
    let mut reader = Reader::open(data).unwrap();
    for text in texts {
        let found = reader.search(text, 9).unwrap();
        assert_eq!(found.iter().map(|hit| hit.chunk.chunk.text.as_str()).collect::<Vec<_>>(), [*text]);
    }
    let held: usize = disk::files_held(&disk::open(&disk::directory(data), &Fields::new()).unwrap())
        .unwrap()
        .values()
        .sum();
    assert_eq!((held, reader.is_behind().unwrap()), (texts.len(), false));
}

#[test]
fn commits_in_the_background_lose_nothing() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut writer, root) = busy_writer(data.path(), folder.path());
    for (name, text) in [("a.md", "well"), ("b.md", "pump"), ("a.md", "dome")] {
        writer.stage(&one_file(root, name, text)).unwrap();
    }
    writer.flush().unwrap();
    assert_found_once(data.path(), &["pump", "dome"]);
}

#[test]
fn a_commit_that_failed_in_the_background_is_said_and_made_up_for() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut writer, root) = busy_writer(data.path(), folder.path());
    writer.apply(&one_file(root, "a.md", "well")).unwrap();
    fs::remove_dir_all(disk::directory(data.path())).unwrap();
    let staged = writer.stage(&one_file(root, "b.md", "pump"));
    assert!(staged.and_then(|_| writer.flush()).is_err());
    writer.flush().unwrap();
    writer.apply(&one_file(root, "c.md", "dome")).unwrap();
    assert_found_once(data.path(), &["well", "pump", "dome"]);
}

#[test]
fn what_was_staged_before_a_rest_is_not_lost() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut writer = Writer::open(data.path()).unwrap();
    let root = writer.add_root(folder.path(), 7).unwrap().root.id;
    writer.stage(&one_file(root, "a.md", "well")).unwrap();
    writer.rest();
    writer.stage(&one_file(root, "b.md", "pump")).unwrap();
    writer.flush().unwrap();
    assert_found_once(data.path(), &["well", "pump"]);
    writer.stage(&one_file(root, "c.md", "dome")).unwrap();
    drop(writer);
    drop(Writer::open(data.path()).unwrap());
    assert_found_once(data.path(), &["well", "pump", "dome"]);
}
