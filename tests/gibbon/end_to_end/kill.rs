//! `index` killed without warning: the next run finishes, and nothing is lost, doubled or left lying about.

use std::{collections::BTreeSet, os::unix::process::ExitStatusExt, thread, time::Duration};

use gibbon::catalogue::Catalogue;

use super::{Home, Running, names_below, undisturbed};

/// Runs `index` to its end and compares what it leaves with an undisturbed run's. `cached` are the chunks whose cache
/// was whole before: none of them is encoded again.
fn assert_finishes(home: &Home, cached: &BTreeSet<String>) {
    let report = home.json(&["index", home.documents_argument()]);
    let expected = undisturbed().state();
    assert_eq!(report["chunks_encoded"], expected.chunks.len() - cached.len(), "{report}");
    home.state().assert_same(&expected);
    home.assert_usable();
    let again = home.json(&["index"]);
    assert_eq!(again["files_unchanged"], expected.files.len(), "{again}");
    assert_eq!(again["chunks_added"], 0, "{again}");
    assert_eq!(again["chunks_encoded"], 0, "{again}");
}

#[test]
fn while_files_are_read_and_indexed() {
    // Files that differ in their folder only have the same chunks: much to read and index, nothing to encode.
    const FILES: usize = 640;
    let home = Home::new();
    for number in 0..FILES {
        home.write(&format!("{number:03}/note.md"), "# Note\n\nThe ladder leans against the plum tree.\n");
    }
    let index = ["index", home.documents_argument(), "--no-encode"];
    let files =
        || Catalogue::open(&home.data()).and_then(|catalogue| catalogue.counts()).map_or(0, |c| c.files);

    let mut running = home.start(&index);
    running.wait_until("the lock", || home.data().join("index.lock").exists());
    running.kill();

    let mut running = home.start(&index);
    running.wait_until("a first batch of files", || files() > 0);
    running.kill();
    let kept = files();
    assert!(kept < FILES, "the run was over before it was killed");

    let report = home.json(&index);
    assert_eq!(report["files_unchanged"], kept, "{report}");
    assert_eq!(report["files_added"], FILES - kept, "{report}");
    assert_eq!((files(), home.indexed_chunks().len()), (FILES, 1));
    let found = home.json(&["search", "ladder", "-k", "1000"]);
    assert_eq!(found["chunks"].as_array().unwrap().len(), 1, "one chunk, however many files hold it");
    home.assert_sound();
}

#[test]
fn while_chunks_are_encoded() {
    let home = Home::with_documents();
    let mut running = home.start(&["index", home.documents_argument()]);
    home.wait_for_cached(1, &mut running);
    running.kill();
    let cached = home.cached_chunks();
    assert!(cached.len() < undisturbed().cached_chunks().len(), "the run was over before it was killed");
    assert_finishes(&home, &cached);
}

/// The operating system ends the program in the middle of a `write`, as abruptly as `kill -9` does, because the file
/// grows over a limit that the prefix's cache file and the catalogue stay under.
#[test]
fn while_a_cache_file_is_written() {
    let home = Home::with_documents();
    let largest = |caches: &dyn Fn(&str) -> bool| {
        let files = undisturbed().caches();
        let sizes =
            files.iter().filter(|(path, _)| caches(&path.to_string_lossy())).map(|(_, file)| file.len());
        sizes.max().unwrap()
    };
    let prefix = largest(&|path| path.ends_with("prefix.safetensors"));
    let chunk = largest(&|path| !path.ends_with("prefix.safetensors"));
    assert!(prefix < chunk, "a chunk's file is cut off, the prefix's is not");
    let limit = prefix.midpoint(chunk);
    // `ulimit -f` counts in 512 bytes.
    let setup = format!("ulimit -f {}", limit / 512);
    let output = home.shell(&setup, &["index", home.documents_argument()]).output().unwrap();
    assert_eq!(output.status.signal(), Some(rustix::process::Signal::XFSZ.as_raw()), "{output:?}");
    let unfinished =
        names_below(&home.data().join("kv")).into_iter().filter(|path| super::is_temporary(path)).count();
    // Several are written at once, so others may have been on their way.
    assert!(unfinished >= 1, "the file that was being written is left");
    assert_finishes(&home, &home.cached_chunks());
}

/// Wherever it happens to be: one home is killed again and again, after ever longer times.
#[test]
fn anywhere() {
    let home = Home::with_documents();
    for milliseconds in [300, 700, 1200, 1900] {
        let running = home.start(&["index", home.documents_argument()]);
        thread::sleep(Duration::from_millis(milliseconds));
        Running::kill(running);
    }
    assert_finishes(&home, &home.cached_chunks());
}
