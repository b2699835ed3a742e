//! Everything below the data and state directories is its owner's alone, whatever the shell's mask.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// Every file and directory below a home but the documents, the configuration and the model that was put there.
fn modes(home: &Home) -> BTreeMap<PathBuf, u32> {
    let mut modes = BTreeMap::new();
    let mut open = vec![home.data(), home.path().join("state")];
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_symlink() {
            continue;
        }
        if metadata.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        modes.insert(path, metadata.permissions().mode() & 0o7777);
    }
    modes
}

#[track_caller]
fn assert_private(home: &Home) {
    let modes = modes(home);
    for (path, mode) in &modes {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(*mode, expected, "{} is {mode:o}", path.display());
    }
    for part in ["catalogue.sqlite3", "index", "kv", "state/gibbon."] {
        let is_there = |path: &PathBuf| path.to_string_lossy().contains(part);
        assert!(modes.keys().any(is_there), "{part} is looked at");
    }
}

#[test]
fn nothing_can_be_read_by_others_whatever_the_mask() {
    for mask in ["000", "022"] {
        let home = Home::with_documents();
        let umask = format!("umask {mask}");
        for arguments in [
            &["index", "documents"][..],
            &["ask", QUESTION],
            &["collection", "add", "garden", "documents/garden", "--system-prompt", "Be brief."],
            &["index"],
            &["ask", "--in", "garden", "What is oiled?"],
            &["cache", "verify"],
            &["cache", "gc"],
            &["doctor"],
        ] {
            let run = Run::of(&home.shell(&umask, arguments).output().unwrap());
            assert!(matches!(run.code, Some(0 | 1)), "{arguments:?}: {run:?}");
            assert_private(&home);
        }
        // A run in the middle of encoding: what it is writing is private, too.
        let furnace = |number| format!("# Furnace {number}\n\n{}\n\n", BOILER.replace("boiler", "furnace"));
        home.write("more.md", (0..20).map(furnace).collect::<String>().replace("cellar", "attic"));
        let before = home.cached_chunks().len();
        let mut running = Running::start(&mut home.shell(&umask, &["index"]));
        running.wait_until("a file that is being written or has been", || {
            home.cached_chunks().len() > before + 2
        });
        drop(running);
        assert_private(&home);
    }
}

#[test]
fn what_an_earlier_version_left_open_is_closed() {
    let home = Home::indexed();
    for (path, mode) in modes(&home) {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o055)).unwrap();
    }
    home.json(&["cache", "ls"]);
    assert_private(&home);
}
