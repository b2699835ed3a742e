//! Catalogues that earlier versions wrote, and one that a later version will have written.
//!
//! `tests/data/upgrades/catalogue_N.sqlite3` was made with the `sqlite3` library from the statements of `schema_1.sql` to
//! `schema_N.sql`, as a program of that time had run them. Such files are only ever added.

use std::{fs, path::Path};

use gibbon::catalogue::{CATALOGUE_FILE, Catalogue, CatalogueError};

fn upgraded(version: usize) -> (tempfile::TempDir, Catalogue) {
    let data = tempfile::tempdir().unwrap();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("tests/data/upgrades/catalogue_{version}.sqlite3"));
    fs::copy(kept, data.path().join(CATALOGUE_FILE)).unwrap();
    let catalogue = Catalogue::open(data.path()).unwrap();
    (data, catalogue)
}

#[test]
fn a_catalogue_of_every_earlier_version_keeps_what_is_in_it() {
    for version in 1..=6 {
        let (data, mut catalogue) = upgraded(version);
        let roots = catalogue.roots().unwrap();
        assert_eq!(
            roots.iter().map(|root| root.path.as_path()).collect::<Vec<_>>(),
            [Path::new("/srv/notes")]
        );
        let files = catalogue.known_files(roots[0].id).unwrap();
        let record = &files[Path::new("well.md")];
        assert_eq!((record.title.as_str(), record.bytes), ("Well", 29), "version {version}");
        assert_eq!(catalogue.failed_files(roots[0].id).unwrap().len(), 1);
        let queue = catalogue.chunk_queue().unwrap();
        let chunk = catalogue.chunk(queue[0].id).unwrap().unwrap();
        assert_eq!(chunk.chunk.text, "[well.md]\nThe well is nine metres deep.");
        let chats = catalogue.sessions().unwrap();
        assert_eq!(
            (chats.len(), chats[0].used, chats[0].title.as_str()),
            (1, 1_700_000_100, "How deep is the well?")
        );
        assert_eq!(catalogue.messages(chats[0].id).unwrap().len(), 2);
        assert_eq!((catalogue.cache_bytes().unwrap(), catalogue.cached_chunks().unwrap()), (8192, 1));
        let state = catalogue.state().unwrap();
        assert_eq!((state.identity, state.generation), (77, 5), "the search index still belongs to it");
        // What later versions added works.
        catalogue
            .note_attention(gibbon::catalogue::Attention::Asked, &["/srv/notes/well.md".into()])
            .unwrap();
        drop(catalogue);
        Catalogue::open(data.path()).unwrap();
    }
}

#[test]
fn a_catalogue_of_a_later_version_is_named_and_left_alone() {
    let (data, catalogue) = upgraded(4);
    drop(catalogue);
    let path = data.path().join(CATALOGUE_FILE);
    let later = rusqlite::Connection::open(&path).unwrap();
    later.pragma_update(None, "user_version", 5000).unwrap();
    later.pragma_update(None, "journal_mode", "delete").unwrap();
    drop(later);
    let before = fs::read(&path).unwrap();
    let error = Catalogue::open(data.path()).err().expect("it is of a later version");
    assert!(matches!(error, CatalogueError::Newer { found: 5000, .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("newer version of Gibbon") && message.contains("5000"), "{message}");
    assert!(fs::read(&path).unwrap() == before, "not a byte was changed");
}
