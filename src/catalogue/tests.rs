use std::{ffi::OsStr, fs, path::PathBuf, sync::Barrier};

use serde_json::json;

use super::*;
use crate::corpus::{Chunk, ChunkId, ContentHash};

/// A chunk with this text under the heading `Care`.
pub(crate) fn chunk(text: &str) -> Chunk {
    Chunk {
        id: ChunkId::of(text),
        span: 0..text.len(),
        lines: Some((1, 2)),
        page: None,
        heading: vec!["Care".into()],
        label: "notes.md § Care".into(),
        text: text.into(),
        tokens: text.split_whitespace().count(),
    }
}

pub(crate) fn file_id(number: i64) -> FileId {
    FileId(number)
}

/// A file with one chunk for each text.
pub(crate) fn file(relative: &str, texts: &[&str]) -> FileUpdate {
    FileUpdate {
        relative: relative.into(),
        hash: content(&texts.concat()),
        bytes: texts.concat().len() as u64,
        title: "Handbook".into(),
        recipe: "384".into(),
        modified: 0,
        chunks: texts.iter().map(|text| chunk(text)).collect(),
    }
}

fn content(text: &str) -> ContentHash {
    ContentHash(*blake3::hash(text.as_bytes()).as_bytes())
}

/// A catalogue and a folder that was added to it.
struct Fixture {
    data: tempfile::TempDir,
    folder: tempfile::TempDir,
    catalogue: Catalogue,
    root: RootId,
}

fn fixture() -> Fixture {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut catalogue = Catalogue::open(data.path()).unwrap();
    let root = catalogue.add_root(folder.path(), 7).unwrap().0.root.id;
    Fixture { data, folder, catalogue, root }
}

fn ids(texts: &[&str]) -> Vec<ChunkId> {
    let mut ids: Vec<ChunkId> = texts.iter().map(|text| ChunkId::of(text)).collect();
    ids.sort_unstable();
    ids
}

#[cfg(unix)]
#[test]
fn only_the_user_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("new/data");
    let catalogue = Catalogue::open(&data).unwrap();
    catalogue.start_session("chat", 1).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for name in ["catalogue.sqlite3", "catalogue.sqlite3-wal", "catalogue.sqlite3-shm"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
}

#[test]
fn many_may_open_a_new_catalogue_at_once() {
    for _ in 0..40 {
        let data = tempfile::tempdir().unwrap();
        let barrier = Barrier::new(16);
        let states: Vec<CatalogueState> = std::thread::scope(|scope| {
            let open = || {
                barrier.wait();
                Catalogue::open(data.path()).unwrap().state().unwrap()
            };
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(states.iter().all(|state| *state == states[0]), "all see the same database");
    }
}

#[test]
fn a_reader_does_not_wait_for_a_writer() {
    let mut fixture = fixture();
    fixture.catalogue.record(fixture.root, &[file("a.md", &["one"])], &[], &[]).unwrap();
    let writing =
        fixture.catalogue.connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    writing.execute("DELETE FROM file", []).unwrap();
    let reader = Catalogue::open(fixture.data.path()).unwrap();
    assert_eq!(reader.counts().unwrap(), Counts { files: 1, chunks: 1 });
}

#[test]
fn a_newer_format_is_left_alone() {
    let fixture = fixture();
    fixture.catalogue.connection.pragma_update(None, "user_version", 99).unwrap();
    let error = Catalogue::open(fixture.data.path()).err().expect("a newer format");
    assert!(matches!(error, CatalogueError::Newer { found: 99, known: 6 }), "{error}");
    assert_eq!(format_of(&fixture.catalogue.connection).unwrap(), 99);
}

#[test]
fn what_is_no_database_is_named_and_left_alone() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join(CATALOGUE_FILE);
    fs::write(&path, "my shopping list, long enough to be taken for a header".repeat(100)).unwrap();
    let before = fs::read(&path).unwrap();
    let error = Catalogue::open(data.path()).err().expect("not a database").to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    assert!(error.contains("file is not a database") && error.contains("move it away"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_database_with_garbled_pages_is_named() {
    let Fixture { data, catalogue, .. } = fixture();
    drop(catalogue);
    let path = data.path().join(CATALOGUE_FILE);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100..].fill(0xaa);
    fs::write(&path, bytes).unwrap();
    let error = Catalogue::open(data.path()).err().expect("its pages are garbled");
    assert!(matches!(&error, CatalogueError::Damaged { path: named, .. } if *named == path), "{error}");
}

#[test]
fn a_full_disk_changes_nothing_and_says_so() {
    let mut fixture = fixture();
    fixture.catalogue.record(fixture.root, &[file("a.md", &["one"])], &[], &[]).unwrap();
    let before = fixture.catalogue.state().unwrap();
    fixture.catalogue.connection.pragma_update(None, "max_page_count", 1).unwrap();
    let big = "a long text ".repeat(100_000);
    let error = fixture.catalogue.record(fixture.root, &[file("b.md", &[&big])], &[], &[]).unwrap_err();
    assert!(matches!(error, CatalogueError::Full), "{error}");
    assert_eq!(fixture.catalogue.state().unwrap(), before);
    assert_eq!(fixture.catalogue.counts().unwrap().files, 1);
    fixture.catalogue.connection.pragma_update(None, "max_page_count", 1 << 30).unwrap();
    fixture.catalogue.record(fixture.root, &[file("b.md", &[&big])], &[], &[]).unwrap();
}

#[test]
fn everything_about_a_chunk_comes_back() {
    let mut fixture = fixture();
    #[cfg(unix)]
    let name = <OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"runbooks/caf\xe9 \xff.md");
    #[cfg(not(unix))]
    let name = OsStr::new("runbooks/café.md");
    let mut update = file("", &["first", "second\0\u{1b}[31m\nline"]);
    update.relative = PathBuf::from(name);
    update.chunks[0].lines = None;
    update.chunks[1].page = Some(12);
    update.chunks[1].heading = vec!["A \"quoted\" / heading".into(), "日本".into()];
    let recorded = fixture.catalogue.record(fixture.root, &[update.clone()], &[], &[]).unwrap();

    let place = |ordinal| Occurrence { file: recorded.added[0], ordinal };
    for (ordinal, chunk) in (0..).zip(&update.chunks) {
        let found = fixture.catalogue.chunk_at(place(ordinal)).unwrap().unwrap();
        assert_eq!(&found.chunk, chunk);
        assert_eq!(found.relative, update.relative);
        assert_eq!(found.path, fixture.folder.path().canonicalize().unwrap().join(&update.relative));
        assert_eq!(fixture.catalogue.chunk(chunk.id).unwrap(), Some(found));
    }
    assert_eq!(fixture.catalogue.chunk_at(place(2)).unwrap(), None);
    assert_eq!(fixture.catalogue.chunk(ChunkId::of("other")).unwrap(), None);
    let known = &fixture.catalogue.known_files(fixture.root).unwrap()[&update.relative];
    assert_eq!((known.hash, known.bytes, known.recipe.as_str()), (update.hash, update.bytes, "384"));
}

#[test]
fn a_chunk_is_unreferenced_once_its_last_occurrence_goes() {
    let mut fixture = fixture();
    let (catalogue, root) = (&mut fixture.catalogue, fixture.root);
    let added = [file("a.md", &["shared", "shared", "only a"]), file("b.md", &["shared", "only b"])];
    let recorded = catalogue.record(root, &added, &[], &[]).unwrap();
    assert_eq!((recorded.chunks_added, recorded.chunks_removed), (5, 0));
    assert_eq!(catalogue.counts().unwrap(), Counts { files: 2, chunks: 3 });
    let listed: Vec<ChunkId> =
        catalogue.chunk_list().unwrap().into_iter().map(|summary| summary.id).collect();
    assert_eq!(listed, [ChunkId::of("shared"), ChunkId::of("only a"), ChunkId::of("only b")]);

    let recorded = catalogue.record(root, &[file("a.md", &["shared", "new"])], &[], &[]).unwrap();
    assert_eq!((recorded.chunks_added, recorded.chunks_removed), (1, 2));
    assert_eq!(recorded.unreferenced, ids(&["only a"]));

    let recorded = catalogue.record(root, &[], &["b.md".into(), "never was".into()], &[]).unwrap();
    assert_eq!(recorded.unreferenced, ids(&["only b"]), "a.md still has the shared one");
    let recorded = catalogue.remove_root(root).unwrap();
    assert_eq!(recorded.unreferenced, ids(&["new", "shared"]));
    assert_eq!(catalogue.counts().unwrap(), Counts::default());
}

#[test]
fn a_chunk_that_moves_to_another_file_stays_referenced() {
    let mut fixture = fixture();
    fixture.catalogue.record(fixture.root, &[file("old.md", &["text"])], &[], &[]).unwrap();
    let recorded = fixture
        .catalogue
        .record(fixture.root, &[file("new.md", &["text"])], &["old.md".into()], &[])
        .unwrap();
    assert_eq!(recorded.candidates, ids(&["text"]));
    assert_eq!(recorded.unreferenced, []);
}

#[test]
fn only_changes_of_files_raise_the_generation() {
    let mut fixture = fixture();
    let (catalogue, root) = (&mut fixture.catalogue, fixture.root);
    let failed = FailedFile { relative: "bad.md".into(), hash: None, reason: "unreadable".into() };
    let before = catalogue.state().unwrap();
    catalogue.record(root, &[], &["never was".into()], std::slice::from_ref(&failed)).unwrap();
    assert_eq!(catalogue.state().unwrap(), before);
    catalogue.record(root, &[file("a.md", &["one"])], &[], &[]).unwrap();
    assert_eq!(catalogue.state().unwrap().generation, before.generation + 1);
}

#[test]
fn issues_stay_until_the_file_is_read_or_gone() {
    let mut fixture = fixture();
    let (catalogue, root) = (&mut fixture.catalogue, fixture.root);
    let failed = |name: &str, hash| FailedFile { relative: name.into(), hash, reason: "too large".into() };
    let issues = [failed("a.md", None), failed("b.md", Some(content("b"))), failed("c.md", None)];
    catalogue.record(root, &[], &[], &issues).unwrap();
    assert_eq!(catalogue.failed_files(root).unwrap(), issues);
    catalogue.record(root, &[file("a.md", &["one"])], &["c.md".into()], &[]).unwrap();
    assert_eq!(catalogue.failed_files(root).unwrap(), issues[1..2]);
    catalogue.record(root, &[], &["a.md".into()], &[failed("a.md", None)]).unwrap();
    assert_eq!(catalogue.failed_files(root).unwrap(), issues[..2]);
    assert_eq!(catalogue.counts().unwrap().files, 0);
}

#[test]
fn roots_never_overlap() {
    let mut fixture = fixture();
    let catalogue = &mut fixture.catalogue;
    let outer = fixture.folder.path().canonicalize().unwrap();
    fs::create_dir_all(outer.join("x/docs")).unwrap();
    fs::write(outer.join("x/todo.md"), "todo").unwrap();
    fs::create_dir_all(outer.join("x-ray")).unwrap();
    catalogue.remove_root(fixture.root).unwrap();

    let docs = catalogue.add_root(&outer.join("x/../x/docs"), 1).unwrap().0;
    assert_eq!(docs.root.path, outer.join("x/docs"));
    let todo = catalogue.add_root(&outer.join("x/todo.md"), 1).unwrap().0;
    assert_eq!(todo.root.kind, RootKind::File);
    catalogue.add_root(&outer.join("x-ray"), 1).unwrap();
    let first = catalogue.record(docs.root.id, &[file("sub/a.md", &["a"])], &[], &[]).unwrap();
    catalogue.record(todo.root.id, &[file("todo.md", &["b"])], &[], &[]).unwrap();
    let found = catalogue.chunk(ChunkId::of("b")).unwrap().unwrap();
    assert_eq!(found.path, outer.join("x/todo.md"));

    let (above, recorded) = catalogue.add_root(&outer.join("x"), 2).unwrap();
    let taken_over = vec![outer.join("x/docs"), outer.join("x/todo.md")];
    assert_eq!(above.outcome, RootOutcome::New { taken_over });
    assert!(recorded.removed.contains(&first.added[0]), "a moved file has another id");
    let mut names: Vec<PathBuf> = catalogue.known_files(above.root.id).unwrap().into_keys().collect();
    names.sort();
    assert_eq!(names, [PathBuf::from("docs/sub/a.md"), PathBuf::from("todo.md")]);
    let found = catalogue.chunk(ChunkId::of("a")).unwrap().unwrap();
    assert_eq!(found.path, outer.join("x/docs/sub/a.md"));

    for inside in ["x/docs", "x/todo.md"] {
        let again = catalogue.add_root(&outer.join(inside), 3).unwrap().0;
        assert_eq!((again.root, again.outcome), (above.root.clone(), RootOutcome::Inside));
    }
    assert_eq!(catalogue.add_root(&outer.join("x"), 3).unwrap().0.outcome, RootOutcome::Known);
    let paths: Vec<PathBuf> = catalogue.roots().unwrap().into_iter().map(|root| root.path).collect();
    assert_eq!(paths, [outer.join("x"), outer.join("x-ray")]);
}

#[test]
fn a_root_whose_folder_is_gone_can_still_be_named() {
    let fixture = fixture();
    let path = fixture.folder.path().canonicalize().unwrap();
    fixture.folder.close().unwrap();
    assert_eq!(fixture.catalogue.root_at(&path.join("sub/..")).unwrap().id, fixture.root);
    let error = fixture.catalogue.root_at(&path.join("other")).unwrap_err();
    assert!(error.to_string().contains("other is not one of the folders"), "{error}");
}

#[test]
fn what_does_not_exist_cannot_be_added() {
    let mut fixture = fixture();
    let missing = fixture.folder.path().join("missing");
    let error = fixture.catalogue.add_root(&missing, 1).unwrap_err();
    assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");
    let error = fixture.catalogue.record(RootId(99), &[], &[], &[]).unwrap_err();
    assert!(matches!(error, CatalogueError::UnknownRoot { .. }));
}

#[test]
fn cache_records_without_a_chunk_are_found() {
    let mut fixture = fixture();
    fixture.catalogue.record(fixture.root, &[file("a.md", &["kept"])], &[], &[]).unwrap();
    for segment in ["prefix".to_owned(), ChunkId::of("kept").to_string(), ChunkId::of("lost").to_string()] {
        let insert = "INSERT INTO cache VALUES ('model', ?1, 1, 1, 1, 1)";
        fixture.catalogue.connection.execute(insert, [segment]).unwrap();
    }
    let lost = ChunkId::of("lost").to_string();
    assert_eq!(fixture.catalogue.unreferenced_cache().unwrap(), [("model".to_owned(), lost)]);
}

fn message(role: Role, text: &str) -> Message {
    Message { role, text: text.into(), sources: None, timings: None, details: None }
}

#[test]
fn chats_are_kept_in_order() {
    let mut fixture = fixture();
    let catalogue = &mut fixture.catalogue;
    let first = catalogue.start_session("Dome", 10).unwrap();
    let second = catalogue.start_session("Mirror", 20).unwrap();
    let question = message(Role::User, "When?\u{1b}");
    let answer = Message {
        sources: Some(json!([{ "label": "dome.md § Closing", "score": 1.5 }])),
        timings: Some(json!({ "total_seconds": 0.25 })),
        details: Some(json!({ "strategy": "ape" })),
        ..message(Role::Assistant, "At dusk.")
    };
    let turn = [question.clone(), answer];
    assert_eq!(catalogue.append_messages(first, &turn, None, 15).unwrap(), Some(0));
    assert_eq!(catalogue.append_messages(first, &turn[..1], None, 16).unwrap(), Some(2));
    let [asked, answered] = turn.clone();
    assert_eq!(catalogue.messages(first).unwrap(), [(0, asked.clone()), (1, answered), (2, asked)]);
    assert!(catalogue.rename_session(first, "Closing the dome").unwrap());
    let listed: Vec<(String, usize)> =
        catalogue.sessions().unwrap().into_iter().map(|chat| (chat.title, chat.messages)).collect();
    assert_eq!(listed, [("Mirror".into(), 0), ("Closing the dome".into(), 3)]);
    assert_eq!(catalogue.session(first).unwrap().map(|chat| chat.title), Some("Closing the dome".into()));

    assert!(catalogue.delete_session(first).unwrap());
    assert_eq!(catalogue.messages(first).unwrap(), []);
    assert_eq!(catalogue.session(first).unwrap(), None);
    assert_eq!(catalogue.append_messages(first, &turn, None, 20).unwrap(), None);
    assert!(!catalogue.rename_session(first, "").unwrap());
    assert_eq!(catalogue.append_messages(second, &turn, None, 20).unwrap(), Some(0));
}

#[test]
fn the_chat_used_last_is_the_first() {
    let mut fixture = fixture();
    let catalogue = &mut fixture.catalogue;
    let first = catalogue.start_session("Dome", 10).unwrap();
    let second = catalogue.start_session("Mirror", 20).unwrap();
    let order = |catalogue: &Catalogue| -> Vec<SessionId> {
        catalogue.sessions().unwrap().into_iter().map(|chat| chat.id).collect()
    };
    assert_eq!(order(catalogue), [second, first]);
    catalogue.append_messages(first, &[message(Role::User, "When?")], None, 30).unwrap();
    assert_eq!(order(catalogue), [first, second]);
    let chat = catalogue.session(first).unwrap().unwrap();
    assert_eq!((chat.started, chat.used), (10, 30));
}

#[test]
fn superseded_messages_are_kept_and_read_no_more() {
    let mut fixture = fixture();
    let catalogue = &mut fixture.catalogue;
    let chat = catalogue.start_session("Dome", 10).unwrap();
    let other = catalogue.start_session("Mirror", 10).unwrap();
    let turn = |question: &str| [message(Role::User, question), message(Role::Assistant, "At dusk.")];
    for (question, supersedes) in [("one", None), ("two", None), ("three", None), ("again", Some(2))] {
        catalogue.append_messages(chat, &turn(question), supersedes, 20).unwrap();
        catalogue.append_messages(other, &turn(question), None, 20).unwrap();
    }
    let read = |chat| -> Vec<(u32, String)> {
        catalogue.messages(chat).unwrap().into_iter().map(|(at, message)| (at, message.text)).collect()
    };
    let expected = [(0, "one"), (1, "At dusk."), (6, "again"), (7, "At dusk.")];
    assert_eq!(read(chat), expected.map(|(at, text)| (at, text.to_owned())));
    assert_eq!((read(other).len(), catalogue.session(chat).unwrap().unwrap().messages), (8, 4));
    let found: Vec<_> = catalogue.sessions_with(&["two"]).unwrap().into_iter().map(|chat| chat.id).collect();
    assert_eq!(found, [other]);
    let count = "SELECT COUNT(*) FROM message WHERE session = ?1";
    let rows: u32 = catalogue.connection.query_row(count, [chat.0], |row| row.get(0)).unwrap();
    assert_eq!(rows, 8, "nothing is lost");
}

#[test]
fn chats_are_found_by_all_words_in_title_or_messages() {
    let mut fixture = fixture();
    let catalogue = &mut fixture.catalogue;
    let dome = catalogue.start_session("The Kuppel ÖFFNET", 10).unwrap();
    catalogue
        .append_messages(
            dome,
            &[message(Role::User, "When?"), message(Role::Assistant, "Closing at dusk")],
            None,
            10,
        )
        .unwrap();
    let mirror = catalogue.start_session("Mirror", 20).unwrap();
    catalogue.append_messages(mirror, &[message(Role::User, "Is 50 % of it clean?")], None, 20).unwrap();
    let found = |words: &[&str]| -> Vec<SessionId> {
        catalogue.sessions_with(words).unwrap().into_iter().map(|chat| chat.id).collect()
    };
    assert_eq!(found(&[]), [mirror, dome]);
    assert_eq!(found(&["öffnet", "DUSK"]), [dome]);
    assert_eq!(found(&["clos", "when"]), [dome]);
    assert_eq!(found(&["dusk", "mirror"]), []);
    assert_eq!(found(&["%"]), [mirror]);
}

#[test]
fn catalogues_of_earlier_formats_keep_their_chats() {
    let message_of = ["(3, 0, 'user', 'When?', NULL, NULL)", "(3, 0, 'user', 'When?', NULL, NULL, NULL)"];
    for (format, row) in (1..).zip(message_of) {
        let folder = tempfile::tempdir().unwrap();
        let old = Connection::open(folder.path().join(CATALOGUE_FILE)).unwrap();
        MIGRATIONS[..format].iter().for_each(|migration| old.execute_batch(migration).unwrap());
        old.execute_batch(&format!(
            "INSERT INTO session VALUES (3, 10, 'Dome'), (4, 8, 'Mirror');
             INSERT INTO message VALUES {row};
             PRAGMA user_version = {format}"
        ))
        .unwrap();
        drop(old);
        let catalogue = Catalogue::open(folder.path()).unwrap();
        assert_eq!(catalogue.messages(SessionId(3)).unwrap(), [(0, message(Role::User, "When?"))]);
        let chats: Vec<_> = catalogue.sessions().unwrap().iter().map(|chat| (chat.id.0, chat.used)).collect();
        assert_eq!(chats, [(3, 10), (4, 8)], "format {format}");
    }
}

#[test]
fn new_catalogues_have_large_pages_and_old_ones_keep_theirs() {
    let new = tempfile::tempdir().unwrap();
    assert_eq!(page_bytes(&Catalogue::open(new.path()).unwrap().connection).unwrap(), PAGE_BYTES);
    let old = tempfile::tempdir().unwrap();
    let connection = Connection::open(old.path().join(CATALOGUE_FILE)).unwrap();
    connection.execute_batch("PRAGMA page_size = 4096; PRAGMA journal_mode = wal").unwrap();
    connection.execute_batch(MIGRATIONS[0]).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    let mut catalogue = Catalogue::open(old.path()).unwrap();
    catalogue.expect_much_writing().unwrap();
    let root = catalogue.add_root(new.path(), 7).unwrap().0.root.id;
    catalogue.record(root, &[file("a.md", &["well"])], &[], &[]).unwrap();
    assert_eq!((page_bytes(&catalogue.connection).unwrap(), catalogue.counts().unwrap().chunks), (4096, 1));
}
