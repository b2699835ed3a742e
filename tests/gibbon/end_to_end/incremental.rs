//! `index` again: only what changed is done, and nothing of what is gone stays.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use super::{BOILER, DOCUMENTS, Home};

#[track_caller]
fn assert_counts(report: &Value, counts: &[(&str, usize)]) {
    for (counter, expected) in counts {
        assert_eq!(report[counter], *expected, "{counter}: {report}");
    }
}

fn files_cited(found: &Value) -> BTreeSet<String> {
    let name = |chunk: &Value| {
        Path::new(chunk["path"].as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_owned()
    };
    found["chunks"].as_array().or(found["sources"].as_array()).unwrap().iter().map(name).collect()
}

#[test]
fn an_unchanged_folder_is_no_work_and_the_run_says_so() {
    let home = Home::indexed();
    let before = home.state();
    let report = home.json(&["index"]);
    let nothing =
        ["files_added", "files_changed", "files_removed", "chunks_added", "chunks_removed", "chunks_encoded"];
    assert_counts(&report, &nothing.map(|counter| (counter, 0)));
    assert_counts(&report, &[("files_unchanged", DOCUMENTS.len()), ("chunks_left", 0)]);
    home.state().assert_same(&before);
    let run = home.run(&["index"]);
    assert!(run.stdout.starts_with("nothing changed: 5 files"), "{run:?}");
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
}

#[test]
fn an_edited_files_old_chunks_and_caches_go() {
    let home = Home::indexed();
    let before = home.indexed_chunks();
    home.write("boiler.md", BOILER.replace("7 bar", "9 bar"));
    let report = home.json(&["index"]);
    assert_counts(&report, &[("files_changed", 1), ("files_unchanged", DOCUMENTS.len() - 1)]);
    assert_counts(&report, &[("chunks_added", 1), ("chunks_removed", 1), ("chunks_encoded", 1)]);
    let after = home.indexed_chunks();
    assert_eq!((before.difference(&after).count(), after.difference(&before).count()), (1, 1));
    assert_eq!(home.cached_chunks(), after, "the old cache file is gone, the new one there");
    let found = home.json(&["search", "bar safety valve"]).to_string();
    assert!(found.contains("9 bar") && !found.contains("7 bar"), "{found}");
    home.assert_sound();
}

#[test]
fn a_deleted_file_is_in_no_answer() {
    let home = Home::indexed();
    fs::remove_file(home.documents().join("pump.txt")).unwrap();
    let report = home.json(&["index"]);
    assert_counts(
        &report,
        &[("files_removed", 1), ("files_unchanged", DOCUMENTS.len() - 1), ("chunks_encoded", 0)],
    );
    assert_eq!(home.cached_chunks(), home.indexed_chunks());
    assert_eq!(home.run(&["search", "impeller seized"]).code, Some(3), "its words are not found");
    let answer = home.json(&["ask", "How much water does the pump in the well move?", "-k", "100"]);
    assert!(!files_cited(&answer).contains("pump.txt"), "{answer}");
    home.assert_sound();
}

#[test]
fn a_moved_file_keeps_its_caches() {
    let home = Home::indexed();
    let (before, chunks) = (home.caches(), home.indexed_chunks());
    fs::create_dir(home.documents().join("cellar")).unwrap();
    fs::rename(home.documents().join("boiler.md"), home.documents().join("cellar/boiler.md")).unwrap();
    let report = home.json(&["index"]);
    assert_counts(&report, &[("files_added", 1), ("files_removed", 1), ("chunks_encoded", 0)]);
    assert_eq!(home.indexed_chunks(), chunks);
    assert!(home.caches() == before, "not a cache file was touched");
    let found = home.json(&["search", "safety valve"]);
    assert!(found["chunks"][0]["path"].as_str().unwrap().ends_with("documents/cellar/boiler.md"), "{found}");
    home.assert_sound();
}

#[test]
fn two_files_with_the_same_text_share_one_cache() {
    let home = Home::indexed();
    let before = home.caches();
    home.write("copies/boiler.md", BOILER);
    let report = home.json(&["index"]);
    assert_counts(&report, &[("files_added", 1), ("chunks_encoded", 0)]);
    assert!(home.caches() == before);

    fs::remove_file(home.documents().join("boiler.md")).unwrap();
    assert_counts(&home.json(&["index"]), &[("files_removed", 1), ("chunks_encoded", 0)]);
    assert!(home.caches() == before, "the copy still needs them");
    home.assert_usable();

    fs::remove_file(home.documents().join("copies/boiler.md")).unwrap();
    assert_counts(&home.json(&["index"]), &[("files_removed", 1), ("chunks_encoded", 0)]);
    assert_eq!(home.cached_chunks(), home.indexed_chunks(), "nobody needs them any more");
    assert!(home.caches().len() < before.len());
    home.assert_sound();
}

#[test]
fn a_forgotten_folder_leaves_nothing() {
    let home = Home::indexed();
    let report = home.json(&["index", "--forget", home.documents_argument()]);
    assert_counts(&report, &[("files_removed", DOCUMENTS.len()), ("chunks_encoded", 0)]);
    assert!(home.indexed_chunks().is_empty() && home.cached_chunks().is_empty());
    home.run(&["ask", "boiler"]).assert_fails(3, &["nothing is indexed", "hint:"]);
    assert!(home.documents().join("boiler.md").exists(), "the files themselves are the user's");
    home.assert_sound();
}

#[test]
fn chunks_left_by_no_encode_are_encoded_when_they_are_needed() {
    let home = Home::with_documents();
    let report = home.json(&["index", home.documents_argument(), "--no-encode"]);
    assert_counts(&report, &[("chunks_encoded", 0), ("chunks_left", home.indexed_chunks().len())]);
    assert!(home.cached_chunks().is_empty());
    let answer = home.json(&["ask", "blue door", "-k", "1"]);
    assert_eq!(answer["sources"][0]["origin"], "encoded");
    assert_eq!(home.cached_chunks().len(), 1);
    let again = home.json(&["ask", "blue door", "-k", "1"]);
    assert_eq!(again["sources"][0]["origin"], "disk");
    assert_eq!(again["token_ids"], answer["token_ids"]);
    home.assert_sound();
}
