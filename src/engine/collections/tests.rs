use std::collections::BTreeMap;

use super::*;
use crate::{
    catalogue::{RootId, tests::file},
    config::{Collection, Paths},
    index::{Delta, Writer},
};

/// Name, patterns to include, patterns to exclude, system prompt.
type Listed<'a> = (&'a str, &'a [&'a str], &'a [&'a str], Option<&'a str>);

struct Fixture {
    config: Config,
    data: tempfile::TempDir,
    folder: tempfile::TempDir,
}

impl Fixture {
    /// A folder, and these collections of it.
    fn new(collections: &[Listed]) -> Self {
        let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let paths = Paths { config_file: "".into(), data: data.path().to_owned(), state: "".into() };
        let mut config = Config::with_paths(paths);
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let mut list = BTreeMap::new();
        for (name, include, exclude, prompt) in collections {
            let mut answer = config.answer.clone();
            if let Some(prompt) = prompt {
                answer.system_prompt = (*prompt).to_owned();
            }
            let (include, exclude) = (owned(include), owned(exclude));
            let collection = Collection { paths: vec![folder.path().to_owned()], include, exclude, answer };
            list.insert((*name).to_owned(), collection);
        }
        config.collections = list;
        Self { config, data, folder }
    }

    fn root(&self) -> RootId {
        Writer::open(self.data.path()).unwrap().add_root(self.folder.path(), 1).unwrap().root.id
    }

    fn index(&self, updated: &[(&str, &str)], removed: &[&str]) {
        let root = self.root();
        let updated = updated.iter().map(|(name, text)| file(name, &[text])).collect();
        let removed = removed.iter().map(Into::into).collect();
        let delta = Delta { updated, removed, ..Delta::new(root) };
        Writer::open(self.data.path()).unwrap().apply(&delta).unwrap();
    }

    fn catalogue(&self) -> Catalogue {
        Catalogue::open(self.data.path()).unwrap()
    }

    /// The names of the indexed files that are in these collections.
    fn files(&self, memberships: &mut Memberships, names: &[&str]) -> Vec<String> {
        let catalogue = self.catalogue();
        memberships.look_again(&catalogue).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let set = memberships.files(&names).unwrap();
        let listed = catalogue.file_list().unwrap();
        let inside = listed.iter().filter(|file| set.as_ref().is_none_or(|set| set.contains(file.id)));
        inside.map(|file| file.relative.display().to_string()).collect()
    }
}

#[test]
fn files_are_found_by_collection_also_after_the_index_changed() {
    let fixture = Fixture::new(&[("notes", &["*.md"], &["old/"], None), ("logs", &["*.log"], &[], None)]);
    fixture.index(&[("a.md", "a"), ("old/b.md", "b"), ("c.log", "c"), ("d.txt", "d")], &[]);
    let mut memberships = Memberships::new(&fixture.config);
    let mut files = |names: &[&str]| fixture.files(&mut memberships, names);
    assert_eq!(files(&["notes"]), ["a.md"]);
    assert_eq!(files(&["logs", "notes"]), ["a.md", "c.log"]);
    assert_eq!(files(&[DEFAULT_COLLECTION]), ["d.txt", "old/b.md"]);
    assert_eq!(files(&[]), ["a.md", "c.log", "d.txt", "old/b.md"]);

    fixture.index(&[("a.md", "changed"), ("new.md", "e")], &["c.log"]);
    assert_eq!(files(&["notes"]), ["a.md", "new.md"]);
    assert!(files(&["logs"]).is_empty());
}

#[test]
fn another_catalogue_is_looked_at_from_the_beginning() {
    let fixture = Fixture::new(&[("notes", &["*.md"], &[], None)]);
    fixture.index(&[("a.md", "a"), ("b.md", "b")], &[]);
    let mut memberships = Memberships::new(&fixture.config);
    assert_eq!(fixture.files(&mut memberships, &["notes"]), ["a.md", "b.md"]);
    for name in std::fs::read_dir(fixture.data.path()).unwrap().flatten() {
        if name.file_name().to_string_lossy().starts_with("catalogue") {
            std::fs::remove_file(name.path()).unwrap();
        }
    }
    fixture.index(&[("x.txt", "x"), ("y.md", "y")], &[]);
    assert_eq!(fixture.files(&mut memberships, &["notes"]), ["y.md"]);
}

#[test]
fn an_unknown_name_is_told_with_those_there_are() {
    let fixture = Fixture::new(&[("notes", &[], &[], None)]);
    let memberships = Memberships::new(&fixture.config);
    let failure = memberships.files(&["notes".to_owned(), "lore\u{1b}".to_owned()]).unwrap_err();
    assert_eq!(failure.kind, FailureKind::BadRequest);
    assert!(failure.message.ends_with("there are `notes`, `default`"), "{}", failure.message);
    assert!(!failure.message.contains('\u{1b}'));
}

#[test]
fn a_chunk_is_encoded_after_the_prompts_of_its_collections() {
    let fixture = Fixture::new(&[
        ("law", &["law/"], &[], Some("You are a clerk.")),
        ("notes", &["*.md"], &[], None),
        ("recent", &["law/new.md"], &[], Some("You are a clerk.")),
    ]);
    fixture
        .index(&[("law/new.md", "one"), ("law/old.txt", "two"), ("a.md", "three"), ("b.txt", "four")], &[]);
    let (events, _received) = tokio::sync::mpsc::unbounded_channel();
    let mut resources = Resources::new(
        fixture.config.clone(),
        crate::engine::keeper::Events::new(events, crate::engine::board::Board::default()),
    );
    let wanted = chunks_by_prompt(&mut resources).unwrap();
    let prompts: Vec<&str> = wanted.iter().map(|wanted| wanted.system_prompt.as_str()).collect();
    assert_eq!(prompts, [fixture.config.answer.system_prompt.as_str(), "You are a clerk."]);
    let reader = resources.reader().unwrap();
    let texts = |wanted: &PromptChunks| -> Vec<String> {
        wanted.chunks.iter().map(|chunk| reader.chunk(chunk.id).unwrap().unwrap().chunk.text).collect()
    };
    // A note of the law is also one of the notes, which have no prompt of their own.
    assert_eq!(texts(&wanted[0]), ["three", "four", "one"]);
    assert_eq!(texts(&wanted[1]), ["one", "two"]);
}
