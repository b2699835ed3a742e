use std::fs;

use super::*;
use crate::{
    catalogue::FileUpdate,
    config::Paths,
    corpus::{split::split, walk::walk},
    index::{Delta, Writer},
};

/// A data directory, and a folder that is indexed in it.
struct Fixture {
    _data: tempfile::TempDir,
    folder: tempfile::TempDir,
    config: Config,
}

impl Fixture {
    fn new(files: &[(&str, &str)]) -> Self {
        let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let paths = Paths { config_file: "".into(), data: data.path().to_owned(), state: "".into() };
        let fixture = Self { config: Config::with_paths(paths), _data: data, folder };
        for (name, text) in files {
            let path = fixture.root().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut writer = Writer::open(&fixture.config.paths.data).unwrap();
        let root = writer.add_root(&fixture.root(), 1).unwrap().root;
        let mut delta = Delta::new(root.id);
        for entry in walk(&root.path, &fixture.config.corpus).unwrap().files {
            let document = read(&entry, &fixture.config.corpus).unwrap();
            delta.updated.push(FileUpdate {
                relative: document.relative.clone(),
                hash: document.hash,
                bytes: entry.bytes,
                title: document.title.clone(),
                recipe: "test".into(),
                modified: 0,
                chunks: split(&document, 384, &|text: &str| text.split_whitespace().count()),
            });
        }
        writer.apply(&delta).unwrap();
        fixture
    }

    fn root(&self) -> PathBuf {
        fs::canonicalize(self.folder.path()).unwrap()
    }

    fn document(&self, name: &str) -> Result<String, String> {
        let path = self.root().join(name);
        let text = document(&self.config, &path, &Passage::default(), 80).map(|document| document.text);
        text.map_err(|failure| failure.message)
    }
}

fn document_query(path: &str) -> CatalogueQuery {
    CatalogueQuery::Document { path: path.into(), passage: Passage::default() }
}

#[test]
fn files_are_listed_with_their_roots() {
    let fixture = Fixture::new(&[("a.md", "# A\n\none"), ("deep/b.txt", "two"), ("empty.txt", "")]);
    let root = fixture.root();
    let file = |name: &str, chunks| IndexedFile { path: root.join(name), name: name.into(), chunks };
    let files = vec![file("a.md", 1), file("deep/b.txt", 1), file("empty.txt", 0)];
    assert_eq!(
        look_up(&fixture.config, CatalogueQuery::Files).unwrap(),
        CatalogueReply::Files(FileListing::new(&[root], files))
    );
}

#[test]
fn nothing_indexed_is_an_empty_list_and_creates_nothing() {
    let data = tempfile::tempdir().unwrap();
    let paths = Paths { config_file: "".into(), data: data.path().to_owned(), state: "".into() };
    let config = Config::with_paths(paths);
    let empty = CatalogueReply::Files(FileListing::default());
    assert_eq!(look_up(&config, CatalogueQuery::Files).unwrap(), empty);
    let missing = look_up(&config, document_query("/etc/passwd")).unwrap_err();
    assert_eq!(missing.kind, FailureKind::BadRequest);
    assert_eq!(fs::read_dir(data.path()).unwrap().count(), 0);
}

#[test]
fn a_document_comes_as_it_was_cut_and_visible() {
    let fixture = Fixture::new(&[
        ("a.md", "# A\r\n\r\nred \u{1b}[31m text\r\n"),
        ("page.html", "<h1>Dome</h1><p>Closed at night.</p>"),
    ]);
    assert_eq!(fixture.document("a.md").unwrap(), "# A\n\nred ␛[31m text\n");
    assert!(fixture.document("page.html").unwrap().starts_with("# Dome\n\nClosed at night."));
}

#[test]
fn only_what_was_indexed_is_read() {
    let fixture = Fixture::new(&[("a.md", "one"), ("sub/b.md", "two"), ("c.md", "three")]);
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("b.md"), "two").unwrap();
    fs::write(fixture.root().join("later.md"), "not indexed").unwrap();

    for name in ["later.md", "/etc/passwd", "sub/../a.md", ".."] {
        assert!(fixture.document(name).unwrap_err().ends_with("is not indexed"), "{name}");
    }
    fs::write(fixture.root().join("a.md"), "other").unwrap();
    assert!(fixture.document("a.md").unwrap_err().contains("has changed since"));
    fs::remove_dir_all(fixture.root().join("sub")).unwrap();
    std::os::unix::fs::symlink(outside.path(), fixture.root().join("sub")).unwrap();
    assert!(
        fixture.document("sub/b.md").unwrap_err().contains("has changed since"),
        "the same text elsewhere"
    );
    fs::remove_file(fixture.root().join("c.md")).unwrap();
    assert!(fixture.document("c.md").unwrap_err().contains("cannot be read"));
}

#[test]
fn of_a_document_that_no_screen_should_hold_comes_what_is_around_the_passage() {
    let text: String = (1..=100).map(|number| format!("line {number}\n")).collect();
    let fixture = Fixture::new(&[("long.txt", &text)]);
    let shown = |line, passage: &str| {
        let passage = Passage { line, text: passage.to_owned() };
        document(&fixture.config, &fixture.root().join("long.txt"), &passage, 40).unwrap()
    };
    let middle = shown(Some(50), "line 50");
    assert_eq!((middle.text.as_str(), middle.first_line), ("line 48\nline 49\nline 50\nline 51\n", 48));
    assert!(!middle.is_whole);
    assert_eq!(shown(None, "line 50"), middle, "formats without lines");
    assert_eq!(shown(Some(1), "").text, "line 1\nline 2\nline 3\nline 4\nline 5\n");
    assert!(shown(Some(100), "line 100").text.ends_with("line 99\nline 100\n"));
    assert_eq!(shown(Some(70), "not there").first_line, 68, "where it was");
}

#[test]
fn windows_are_stretches_of_the_text() {
    let passage = |line, text: &str| Passage { line, text: text.to_owned() };
    for text in
        ["äöü".repeat(40), "日本語の文書\n".repeat(9), "x".repeat(100), format!("a\n{}\nb", "é".repeat(60))]
    {
        for most in 16..text.len() + 2 {
            for passage in
                [passage(None, "語"), passage(Some(3), ""), passage(Some(900), "b"), passage(None, "é")]
            {
                let window = window(&text, &passage, most);
                assert!(text.get(window.clone()).is_some_and(|shown| !shown.is_empty()), "{window:?}");
                assert!(window.len() <= most, "{window:?}");
            }
        }
    }
}

#[test]
fn requests_are_answered_in_order_and_a_bad_one_ends_none() {
    let fixture = Fixture::new(&[("a.md", "one")]);
    let (send, requests) = std::sync::mpsc::channel();
    let (events, mut told) = tokio::sync::mpsc::unbounded_channel();
    let queries = [
        document_query("/nowhere"),
        CatalogueQuery::RenameChat { id: crate::engine::ChatId(9), title: "x".into() },
        CatalogueQuery::Chats { words: String::new() },
    ];
    for (number, query) in (1..).zip(queries) {
        send.send(CatalogueRequest { id: crate::engine::RequestId(number), query }).unwrap();
    }
    drop(send);
    run(&fixture.config, &requests, &Events::new(events, crate::engine::board::Board::default()));
    let mut next = || told.try_recv().unwrap();
    assert!(matches!(next(), Event::Failed { id: crate::engine::RequestId(1), .. }));
    assert!(matches!(next(), Event::Failed { id: crate::engine::RequestId(2), .. }));
    let Event::Done { outcome: Outcome::Catalogue(CatalogueReply::Chats(chats)), .. } = next() else {
        panic!("no list of chats")
    };
    assert_eq!(chats, []);
}
