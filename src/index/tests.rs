use std::{cell::RefCell, fs, path::PathBuf};

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};

use super::*;
use crate::{
    catalogue::{Catalogue, FileUpdate, RootId, tests::file},
    corpus::ChunkId,
};

/// A data directory, and a folder that was added to it.
pub(crate) struct Library {
    data: tempfile::TempDir,
    _folder: tempfile::TempDir,
    root: RootId,
}

impl Library {
    fn empty() -> Self {
        let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = Writer::open(data.path()).unwrap().add_root(folder.path(), 1).unwrap().root.id;
        Self { data, _folder: folder, root }
    }

    pub(crate) fn with(files: &[FileUpdate]) -> Self {
        let library = Self::empty();
        library.writer().apply(&library.delta(files, &[])).unwrap();
        library
    }

    fn writer(&self) -> Writer {
        Writer::open(self.data.path()).unwrap()
    }

    fn delta(&self, updated: &[FileUpdate], removed: &[&str]) -> Delta {
        let removed = removed.iter().map(PathBuf::from).collect();
        Delta { updated: updated.to_vec(), removed, ..Delta::new(self.root) }
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::open(self.data.path()).unwrap()
    }

    fn texts(&self, question: &str, k: usize) -> Vec<String> {
        texts(&mut self.reader(), question, k)
    }

    /// Writes a change to the catalogue alone: what a run leaves that is killed before the index's commit.
    fn record_only(&self, updated: &[FileUpdate], removed: &[&str]) {
        let removed: Vec<PathBuf> = removed.iter().map(PathBuf::from).collect();
        Catalogue::open(self.data.path()).unwrap().record(self.root, updated, &removed, &[]).unwrap();
    }

    fn index(&self) -> PathBuf {
        disk::directory(self.data.path())
    }
}

fn texts(reader: &mut Reader, question: &str, k: usize) -> Vec<String> {
    reader.search(question, k).unwrap().into_iter().map(|hit| hit.chunk.chunk.text).collect()
}

fn observatory() -> Library {
    Library::with(&[
        file("dome.md", &["The dome is closed at dawn.", "Its shutter opens at dusk, by hand."]),
        file("runbooks/night.md", &["The camera cools for an hour.", "Logs go to the archive."]),
        file("src/control.rs", &["fn openShutter() { dome_controller::unlock(7); }", "struct HTTPServer;"]),
    ])
}

#[test]
fn a_question_finds_words_stems_identifiers_and_paths() {
    let library = observatory();
    assert_eq!(library.texts("When are we closing?", 9), ["The dome is closed at dawn."]);
    assert_eq!(library.texts("dome_controller", 1), ["fn openShutter() { dome_controller::unlock(7); }"]);
    assert_eq!(library.texts("unlocked", 9), ["fn openShutter() { dome_controller::unlock(7); }"]);
    let mut found = library.texts("open shutter", 9);
    found.sort();
    assert_eq!(
        found,
        ["Its shutter opens at dusk, by hand.", "fn openShutter() { dome_controller::unlock(7); }"]
    );
    assert_eq!(library.texts("OpenShutter", 1), ["fn openShutter() { dome_controller::unlock(7); }"]);
    assert_eq!(library.texts("http", 9), ["struct HTTPServer;"]);
    assert_eq!(library.texts("dome.md", 1).len(), 1);
    let runbook = ["Logs go to the archive.", "The camera cools for an hour."];
    let mut found = library.texts("runbook", 9);
    found.sort();
    assert_eq!(found, runbook);
}

#[test]
fn stop_words_do_not_dominate() {
    let library = observatory();
    assert_eq!(
        library.texts("what is it that goes to the archive, and how?", 9),
        ["Logs go to the archive."]
    );
    let library = Library::with(&[file("a.md", &["This is a well.", "This is what it is about."])]);
    assert_eq!(library.texts("what is this about?", 9), ["This is a well."], "the beginnings of files");
}

#[test]
fn headings_count() {
    let mut mirror = file("a.md", &["Twice a year, with care.", "Never in rain."]);
    mirror.chunks[0].heading = vec!["Maintenance".into(), "Washing the mirror".into()];
    mirror.chunks[1].heading = vec!["Maintenance".into(), "Opening".into()];
    let library = Library::with(&[mirror]);
    assert_eq!(library.texts("how is the mirror washed", 9), ["Twice a year, with care."]);
    assert_eq!(library.texts("maintenance", 9).len(), 2);
}

#[test]
fn chinese_and_accents_are_found() {
    let library = Library::with(&[file("a.md", &["天文台在山上", "Le résumé du soir", "plain"])]);
    assert_eq!(library.texts("天文台", 9), ["天文台在山上"]);
    assert_eq!(library.texts("resume", 9), ["Le résumé du soir"]);
}

#[test]
fn words_of_two_characters_find_what_has_them_and_nothing_else() {
    // Each other document has the same characters, or some of them, in other words.
    let cases = [
        (["ドームは風速十五メートルで閉まる。", "速い風が吹く。"], "風速"),
        (["镜子每年十月清洗一次。", "他洗了脸，天很清。"], "清洗"),
        (["천문대의 돔은 새벽에 닫힌다.", "문이 대단히 천천히 열린다."], "천문"),
    ];
    for (texts, question) in cases {
        let library = Library::with(&[file("a.md", &texts)]);
        assert_eq!(library.texts(question, 9), texts[..1], "{question}");
    }
}

#[test]
fn the_number_of_hits_is_bounded_by_k_and_by_the_matches() {
    let library = observatory();
    assert_eq!(library.texts("dome", 0), Vec::<String>::new());
    assert_eq!(library.texts("dome", 1).len(), 1);
    // Three chunks' texts and one path: `dome.md` has two chunks, `control.rs` one with the word.
    assert_eq!(library.texts("dome", 1_000_000).len(), 3);
    assert_eq!(library.texts("dome", usize::MAX).len(), 3);
    assert_eq!(library.texts("zebra", 5), Vec::<String>::new());
    assert_eq!(Library::empty().texts("dome", 5), Vec::<String>::new());
}

#[test]
fn a_chunk_in_several_files_is_one_hit_of_the_first() {
    let files = ["c.md", "a.md", "b.md"].map(|name| file(name, &["same words", "same words"]));
    let library = Library::with(&files);
    let hits = library.reader().search("words", 9).unwrap();
    assert_eq!(hits.len(), 1);
    assert_eq!(hits[0].chunk.relative, PathBuf::from("a.md"));
}

#[test]
fn equal_scores_come_in_the_order_of_path_and_place() {
    // Written in an order that is not theirs, in many commits, more of them than are looked at first.
    let library = Library::empty();
    let mut writer = library.writer();
    for number in [3, 0, 4, 1, 2] {
        let texts: Vec<String> = (0..20).map(|place| format!("twin{number}x{place} word")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        writer.apply(&library.delta(&[file(&format!("{number}.md"), &texts)], &[])).unwrap();
    }
    let expected: Vec<String> = (0..7).map(|place| format!("twin0x{place} word")).collect();
    assert_eq!(library.texts("word", 7), expected);
    assert_eq!(library.texts("word", 100)[..7], expected);
    assert_eq!(library.texts("word", 100)[99], "twin4x19 word");
}

#[test]
fn no_question_is_an_error() {
    let library = observatory();
    let reader = RefCell::new(library.reader());
    for question in
        ["what's (the) AND: foo?*", "\"", "a^b~2", "[x TO", "text:dome", "", "\0", "-dome", "((", "\\"]
    {
        reader.borrow_mut().search(question, 5).unwrap();
    }
    assert_eq!(library.texts("(dome) AND: +\"shutter", 9).len(), 3);
    TestRunner::new(same_cases(256))
        .run(&any::<String>(), |question| {
            let hits = reader.borrow_mut().search(&question, 5).unwrap();
            assert!(hits.len() <= 5);
            Ok(())
        })
        .unwrap();
    let long = "dome shutter camera ".repeat(100_000);
    assert_eq!(reader.borrow_mut().search(&long, 3).unwrap().len(), 3);
}

#[test]
fn a_reader_sees_each_commit_at_its_next_search() {
    let library = Library::empty();
    let (mut first, mut writer, mut second) = (library.reader(), library.writer(), library.reader());
    assert_eq!(texts(&mut first, "dome", 9), Vec::<String>::new());

    let applied = writer.apply(&library.delta(&[file("a.md", &["dome one", "dome two"])], &[])).unwrap();
    assert_eq!((applied.chunks_added, applied.chunks_removed), (2, 0));
    for reader in [&mut first, &mut second] {
        assert_eq!(texts(reader, "dome", 9), ["dome one", "dome two"]);
    }
    let applied = writer.apply(&library.delta(&[file("a.md", &["dome one", "dome three"])], &[])).unwrap();
    assert_eq!((applied.chunks_added, applied.chunks_removed), (1, 1));
    assert_eq!(applied.orphaned, [ChunkId::of("dome two")]);
    assert_eq!(texts(&mut first, "dome", 9), ["dome one", "dome three"]);

    let applied = writer.apply(&library.delta(&[], &["a.md"])).unwrap();
    assert_eq!(applied.orphaned.len(), 2);
    assert_eq!(texts(&mut first, "dome", 9), Vec::<String>::new());
    assert_eq!(first.counts().unwrap().chunks, 0);
}

#[test]
fn a_change_that_only_the_catalogue_has_reaches_the_index_when_it_is_next_opened() {
    let library = observatory();
    library.record_only(&[file("dome.md", &["The dome is painted."]), file("new.md", &["A new dome."])], &[]);
    library.record_only(&[], &["src/control.rs"]);
    // Until then a reader finds what both have, and nothing that is gone.
    assert_eq!(library.texts("dome painted shutter", 9), Vec::<String>::new());
    drop(library.writer());
    assert_eq!(library.texts("new", 9), ["A new dome."]);
    assert_eq!(library.texts("paint", 9), ["The dome is painted."]);
    assert_eq!(library.texts("dome", 9).len(), 2);
    assert_eq!(library.texts("shutter controller", 9), Vec::<String>::new());
    assert_in_step(&library);
}

#[test]
fn a_reader_knows_when_the_index_is_behind_the_catalogue() {
    let library = observatory();
    assert!(!library.reader().is_behind().unwrap());
    library.record_only(&[file("late.md", &["The weather mast was moved."])], &[]);
    assert!(library.reader().is_behind().unwrap());
    drop(library.writer());
    assert!(!library.reader().is_behind().unwrap());
}

#[test]
fn any_sequence_of_changes_and_interruptions_ends_where_a_fresh_index_would() {
    // A step gives one of three files one of four contents (the last is: removed), whole or interrupted.
    let contents = [&["red one", "shared"][..], &["green two", "shared", "shared"], &[]];
    let names = ["a.md", "b.md", "c.md"];
    let steps = vec((0..3usize, 0..4usize, any::<bool>()), 1..8);
    TestRunner::new(same_cases(12))
        .run(&steps, |steps| {
            let library = Library::empty();
            let mut state = [None; 3];
            for (name, content, whole) in steps {
                state[name] = contents.get(content);
                let updated: Vec<FileUpdate> =
                    state[name].iter().map(|texts| file(names[name], texts)).collect();
                let removed = if updated.is_empty() { &names[name..=name] } else { &[] };
                match whole {
                    true => drop(library.writer().apply(&library.delta(&updated, removed)).unwrap()),
                    false => library.record_only(&updated, removed),
                }
            }
            drop(library.writer());
            assert_in_step(&library);
            let files = names.iter().zip(state).filter_map(|(name, texts)| Some(file(name, texts?)));
            let fresh = Library::with(&files.collect::<Vec<_>>());
            for question in ["red", "green", "shared", "one two", "a.md"] {
                let mut found = [library.texts(question, 99), fresh.texts(question, 99)];
                found.iter_mut().for_each(|texts| texts.sort());
                prop_assert_eq!(&found[0], &found[1], "{}", question);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn hits_that_are_gone_are_replaced_by_the_next_ones() {
    let gone: Vec<FileUpdate> = (0..60)
        .map(|number| file(&format!("gone{number}.md"), &[&format!("dome dome dome {number}")]))
        .collect();
    let library = Library::with(&gone);
    let kept = file("kept.md", &["the dome, described at some length and with many other words"]);
    library.writer().apply(&library.delta(&[kept], &[])).unwrap();
    let names: Vec<String> = (0..60).map(|number| format!("gone{number}.md")).collect();
    library.record_only(&[], &names.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(library.texts("dome", 1).len(), 1);
}

#[test]
fn a_missing_or_damaged_index_is_built_again() {
    let library = observatory();
    let questions = ["dome", "shutter opens", "camera", "controller"];
    let answers = |library: &Library| questions.map(|question| library.reader().search(question, 9).unwrap());
    let before = answers(&library);
    let segment_files = |extension: &str| -> Vec<PathBuf> {
        let entries = fs::read_dir(library.index()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
    };
    let meta = library.index().join("meta.json");
    type Damage<'a> = (&'a str, Box<dyn Fn() + 'a>);
    let damages: [Damage; 7] = [
        ("missing", Box::new(|| fs::remove_dir_all(library.index()).unwrap())),
        ("no meta", Box::new(|| fs::remove_file(&meta).unwrap())),
        ("garbled meta", Box::new(|| fs::write(&meta, "{]").unwrap())),
        ("empty meta", Box::new(|| fs::write(&meta, "").unwrap())),
        ("flipped byte", Box::new(|| flip_byte(&segment_files("idx")[0]))),
        ("short file", Box::new(|| fs::write(&segment_files("fast")[0], "x").unwrap())),
        ("missing file", Box::new(|| fs::remove_file(&segment_files("term")[0]).unwrap())),
    ];
    for (name, damage) in damages {
        damage();
        let error = Reader::open(library.data.path()).err().unwrap_or_else(|| panic!("{name} is noticed"));
        assert!(matches!(error, IndexError::Damaged { .. }), "{name}: {error}");
        assert!(error.to_string().contains("run `gibbon index`"), "{name}: {error}");
        drop(library.writer());
        assert_eq!(answers(&library), before, "{name}");
        assert_in_step(&library);
    }
}

#[test]
fn a_reader_answers_while_the_index_is_built_again_under_it() {
    let library = observatory();
    let mut reader = library.reader();
    let before = reader.search("dome", 9).unwrap();
    fs::remove_dir_all(library.index()).unwrap();
    assert_eq!(reader.search("dome", 9).unwrap(), before);
    disk::create(&library.index(), &schema::Fields::new()).unwrap();
    assert_eq!(reader.search("dome", 9).unwrap(), before, "an index without a commit shows nothing");
    let mut writer = library.writer();
    assert_eq!(reader.search("dome", 9).unwrap(), before);
    writer.apply(&library.delta(&[file("new.md", &["zenith"])], &[])).unwrap();
    assert_eq!(texts(&mut reader, "zenith", 9), ["zenith"]);
}

#[test]
fn an_index_of_another_schema_or_catalogue_is_built_again() {
    let library = observatory();
    fs::remove_dir_all(library.index()).unwrap();
    fs::create_dir_all(library.index()).unwrap();
    let mut builder = tantivy::schema::Schema::builder();
    builder.add_text_field("other", tantivy::schema::TEXT);
    tantivy::Index::create_in_dir(library.index(), builder.build()).unwrap();
    drop(library.writer());
    assert_eq!(library.texts("camera", 9), ["The camera cools for an hour."]);

    let other = Library::with(&[file("a.md", &["camera of another catalogue"])]);
    fs::remove_dir_all(library.index()).unwrap();
    copy_files(&other.index(), &library.index());
    assert!(matches!(Reader::open(library.data.path()).err(), Some(IndexError::Damaged { .. })));
    drop(library.writer());
    assert_eq!(library.texts("camera", 9), ["The camera cools for an hour."]);
}

#[test]
fn a_commit_that_fails_leaves_a_usable_state() {
    let library = observatory();
    let mut writer = library.writer();
    writer.apply(&library.delta(&[file("a.md", &["first dome"])], &[])).unwrap();
    fs::remove_dir_all(library.index()).unwrap();
    let error = writer.apply(&library.delta(&[file("b.md", &["second dome"])], &[])).unwrap_err();
    assert!(matches!(error, IndexError::Write { .. }), "{error}");
    let applied = writer.apply(&library.delta(&[file("c.md", &["third dome"])], &[])).unwrap();
    assert_eq!(applied.chunks_added, 1);
    drop(writer);
    for question in ["first", "second", "third", "camera"] {
        assert_eq!(library.texts(question, 9).len(), 1, "{question}");
    }
    assert_in_step(&library);
}

#[test]
fn many_files_are_written_in_batches() {
    let library = Library::empty();
    let files: Vec<FileUpdate> =
        (0..9000).map(|number| file(&format!("{number}.md"), &[&format!("page {number}")])).collect();
    let generation = || Catalogue::open(library.data.path()).unwrap().state().unwrap().generation;
    let before = generation();
    library.writer().apply(&library.delta(&files, &[])).unwrap();
    assert_eq!(generation() - before, 2, "8,192 files each");
    assert_eq!(library.texts("page", 9999).len(), 9000);
}

#[test]
fn temporary_files_of_a_killed_run_go() {
    let library = observatory();
    let left = library.index().join(".tmpLeft0");
    fs::write(&left, "half a meta file").unwrap();
    drop(library.writer());
    assert!(!left.exists());
}

#[test]
fn segments_of_a_killed_run_go() {
    let library = observatory();
    let name = "00112233445566778899aabbccddeeff.idx";
    fs::write(library.index().join(name), "half a segment").unwrap();
    let managed = library.index().join(".managed.json");
    let mut files: Vec<String> = serde_json::from_str(&fs::read_to_string(&managed).unwrap()).unwrap();
    files.push(name.into());
    fs::write(&managed, serde_json::to_string(&files).unwrap()).unwrap();
    drop(library.writer());
    assert!(!library.index().join(name).exists());
    assert_eq!(library.texts("camera", 9).len(), 1);
    let index = disk::open(&library.index(), &schema::Fields::new()).unwrap();
    assert!(!disk::has_leftovers(&library.index(), &index));
}

/// What a run leaves that is killed after it wrote which documents are gone, and before it named that in a commit.
#[test]
fn a_list_of_removed_documents_that_no_commit_names_is_written_again() {
    let library = observatory();
    let meta = library.index().join("meta.json");
    let before = fs::read(&meta).unwrap();
    library.writer().apply(&library.delta(&[], &["dome.md"])).unwrap();
    fs::write(&meta, before).unwrap();
    drop(library.writer());
    assert_in_step(&library);
    assert!(library.texts("dawn", 9).is_empty());
}

#[test]
fn looking_for_changes_writes_nothing() {
    let library = observatory();
    let stamp = disk::Stamp::of(&library.index());
    library.writer().apply(&Delta::new(library.root)).unwrap();
    assert_eq!(disk::Stamp::of(&library.index()), stamp);
}

#[test]
fn taking_a_root_out_takes_its_chunks_out() {
    let library = observatory();
    let mut writer = library.writer();
    let applied = writer.remove_root(library.root).unwrap();
    assert_eq!((applied.chunks_removed, applied.orphaned.len()), (6, 6));
    assert_eq!(library.texts("dome", 9), Vec::<String>::new());
}

#[test]
fn a_folder_above_takes_the_files_over() {
    let data = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("telescope");
    fs::create_dir(&inner).unwrap();
    let mut writer = Writer::open(data.path()).unwrap();
    let root = writer.add_root(&inner, 1).unwrap().root.id;
    let delta = Delta { updated: vec![file("dome.md", &["closing"])], ..Delta::new(root) };
    writer.apply(&delta).unwrap();
    let root = writer.add_root(folder.path(), 2).unwrap().root.id;
    assert!(writer.known_files(root).unwrap().contains_key(&PathBuf::from("telescope/dome.md")));
    let mut reader = Reader::open(data.path()).unwrap();
    assert_eq!(texts(&mut reader, "closed", 9), ["closing"]);
    assert_eq!(texts(&mut reader, "telescope", 9), ["closing"]);
}

#[test]
fn nothing_indexed_is_said_and_nothing_created() {
    let data = tempfile::tempdir().unwrap();
    let missing = data.path().join("none");
    let error = Reader::open(&missing).err().expect("nothing is there");
    assert!(matches!(error, IndexError::NothingIndexed), "{error}");
    assert!(!missing.exists());
    Catalogue::open(data.path()).unwrap();
    assert!(matches!(Reader::open(data.path()).err(), Some(IndexError::NothingIndexed)));
}

/// So many cases, the same ones in every run.
fn same_cases(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Config::default() }
}

/// Catalogue and index show the same state and hold the same chunks of the same files.
fn assert_in_step(library: &Library) {
    let catalogue = Catalogue::open(library.data.path()).unwrap();
    let index = disk::open(&library.index(), &schema::Fields::new()).unwrap();
    assert_eq!(disk::shown_state(&index).unwrap(), Some(catalogue.state().unwrap()));
    let mut sizes = catalogue.file_sizes().unwrap();
    sizes.retain(|_, chunks| *chunks > 0);
    assert_eq!(disk::files_held(&index).unwrap(), sizes);
}

fn flip_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[3] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
