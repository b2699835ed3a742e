use std::{fs, sync::mpsc::channel};

use super::*;
use crate::catalogue::Catalogue;

/// A watched folder with a folder in it.
struct Fixture {
    folder: tempfile::TempDir,
    root: PathBuf,
    watcher: Watcher,
    changes: Receiver<Changes>,
    board: Board,
}

/// Longer than any event takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn fixture(prepare: impl Fn(&Path)) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(folder.path()).unwrap().join("documents");
    fs::create_dir_all(root.join("inner")).unwrap();
    prepare(&root);
    let data = folder.path().join("data");
    let mut catalogue = Catalogue::open(&data).unwrap();
    let roots = vec![catalogue.add_root(&root, 1).unwrap().0.root];
    let (send, changes) = channel();
    let board = Board::default();
    board.begin(crate::engine::RequestId(1));
    let watcher = Watcher::start(data, Duration::from_secs(3600), board.clone(), move |changes| {
        drop(send.send(changes));
    });
    watcher.handle().watch(roots);
    Fixture { folder, root, watcher, changes, board }
}

impl Fixture {
    /// Waits until `path` is among what may have changed.
    #[track_caller]
    fn assert_seen(&self, path: &Path) {
        loop {
            let changes = self.changes.recv_timeout(PATIENCE).expect("a change is seen");
            if changes.paths.iter().chain(&changes.roots).any(|seen| path.starts_with(seen)) {
                return;
            }
        }
    }
}

#[test]
fn files_that_are_written_moved_and_removed_are_seen_in_new_folders_too() {
    let fixture = fixture(|_| {});
    let watched = fixture.board.watched();
    assert_eq!((watched.len(), watched[0].mode), (1, WatchMode::Events), "{watched:?}");
    let file = fixture.root.join("inner/a.md");
    fs::write(&file, "a").unwrap();
    fixture.assert_seen(&file);
    let deep = fixture.root.join("new/deeper");
    fs::create_dir_all(&deep).unwrap();
    fixture.assert_seen(&deep);
    let inside = deep.join("b.md");
    fs::rename(&file, &inside).unwrap();
    fixture.assert_seen(&inside);
    fs::remove_file(&inside).unwrap();
    fixture.assert_seen(&inside);
}

#[test]
fn what_is_hidden_or_ignored_is_not_watched_and_a_new_rule_is_seen() {
    let fixture = fixture(|root| {
        fs::create_dir_all(root.join(".git/objects")).unwrap();
        fs::create_dir_all(root.join("target")).unwrap();
        fs::write(root.join(".gitignore"), "target\n").unwrap();
    });
    fs::write(fixture.root.join(".git/objects/a"), "a").unwrap();
    fs::write(fixture.root.join("target/a.md"), "a").unwrap();
    fs::write(fixture.root.join(".hidden"), "a").unwrap();
    fs::write(fixture.root.join("a.md"), "a").unwrap();
    let changes = fixture.changes.recv_timeout(PATIENCE).unwrap();
    assert_eq!(changes.paths.iter().collect::<Vec<_>>(), [&fixture.root.join("a.md")]);
    fs::write(fixture.root.join("inner/.gibbonignore"), "*.txt\n").unwrap();
    let changes = fixture.changes.recv_timeout(PATIENCE).unwrap();
    assert_eq!(changes.paths.iter().collect::<Vec<_>>(), [&fixture.root.join("inner")]);
}

#[test]
fn what_was_to_be_looked_at_again_comes_back() {
    let fixture = fixture(|_| {});
    let mut changes = Changes::default();
    changes.add(&fixture.root, fixture.root.join("a.md"));
    fixture.watcher.again(changes.clone(), Duration::from_millis(10));
    assert_eq!(fixture.changes.recv_timeout(PATIENCE).unwrap(), changes);
    assert!(fixture.folder.path().exists());
}

#[test]
fn lost_events_make_whole_roots_be_looked_at() {
    let fixture = fixture(|_| {});
    let lost = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
    fixture.watcher.notes.send(Note::Event(Ok(lost))).unwrap();
    let changes = fixture.changes.recv_timeout(PATIENCE).unwrap();
    assert_eq!(changes.roots.iter().collect::<Vec<_>>(), [&fixture.root]);
}

#[test]
fn hints_above_the_limit_become_their_root() {
    let root = PathBuf::from("/srv/notes");
    let mut changes = Changes::default();
    for number in 0..5000 {
        changes.add(&root, root.join(number.to_string()));
    }
    assert_eq!((changes.roots.len(), changes.paths.len()), (1, 0));
}
