//! Several processes at one index: readers beside a writer, the writer's lock, and a writer that is killed.
//!
//! The second process is this test binary itself, told by an environment variable what to do.

use std::{
    collections::HashSet,
    env,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use gibbon::{
    catalogue::{FileUpdate, RootId},
    corpus::{Chunk, ChunkId, ContentHash},
    index::{Delta, IndexError, Reader, Writer},
};

const DATA: &str = "GIBBON_TEST_DATA";

fn file(name: &str, texts: &[String]) -> FileUpdate {
    let chunk = |text: &String| Chunk {
        id: ChunkId::of(text),
        span: 0..text.len(),
        lines: None,
        page: None,
        heading: Vec::new(),
        label: name.to_owned(),
        text: text.clone(),
        tokens: 4,
    };
    FileUpdate {
        relative: name.into(),
        hash: ContentHash(*blake3::hash(texts.concat().as_bytes()).as_bytes()),
        bytes: 1,
        title: name.into(),
        recipe: "test".into(),
        modified: 0,
        chunks: texts.iter().map(chunk).collect(),
    }
}

/// Version `version` of a folder of three files: every chunk names it.
fn version(root: RootId, version: usize) -> Delta {
    let text = |file: usize, chunk: usize| format!("dome version{version} file{file} chunk{chunk}");
    let texts = |file: usize| (0..5).map(|chunk| text(file, chunk)).collect::<Vec<_>>();
    let updated = (0..3).map(|number| file(&format!("{number}.md"), &texts(number))).collect();
    Delta { updated, ..Delta::new(root) }
}

/// Runs one of the two functions below in a process of its own, until it says `ready`. On their own they do nothing.
fn child(name: &str, data: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("index::{name}"), "--nocapture"])
        .env(DATA, data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    wait_for(&mut output, "ready");
    (child, output)
}

fn wait_for(output: &mut BufReader<ChildStdout>, word: &str) {
    let mut line = String::new();
    while !line.contains(word) {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the child ended before it said {word}");
    }
}

#[test]
fn hold_the_lock() {
    let Some(data) = env::var_os(DATA) else { return };
    let _writer = Writer::open(Path::new(&data)).unwrap();
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn write_until_killed() {
    let Some(data) = env::var_os(DATA) else { return };
    let mut writer = Writer::open(Path::new(&data)).unwrap();
    let root = writer.catalogue().roots().unwrap()[0].id;
    println!("ready");
    for number in 0.. {
        writer.apply(&version(root, number)).unwrap();
        println!("wrote");
    }
}

#[test]
fn another_process_that_indexes_is_named() {
    let data = tempfile::tempdir().unwrap();
    let (mut holder, _output) = child("hold_the_lock", data.path());
    let error = Writer::open(data.path()).err().expect("the lock is held");
    assert!(matches!(error, IndexError::Busy { process: Some(process) } if process == holder.id()));
    assert!(error.to_string().contains(&format!("another Gibbon (process {}) is indexing", holder.id())));
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(Writer::open(data.path()).is_ok(), "a lock does not outlive its holder");
}

#[test]
fn a_killed_writer_leaves_what_the_next_one_mends() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = Writer::open(data.path()).unwrap().add_root(folder.path(), 1).unwrap().root.id;
    for writes in 0..4 {
        let (mut killed, mut output) = child("write_until_killed", data.path());
        for _ in 0..writes {
            wait_for(&mut output, "wrote");
        }
        killed.kill().unwrap();
        killed.wait().unwrap();

        let writer = Writer::open(data.path()).unwrap();
        let known = writer.known_files(root).unwrap();
        drop(writer);
        let mut reader = Reader::open(data.path()).unwrap();
        let hits = reader.search("dome", 100).unwrap();
        assert_eq!(hits.len(), 5 * known.len(), "every chunk of the catalogue is found once");
        assert_eq!(hits.len(), reader.counts().unwrap().chunks);
        let versions: HashSet<String> = hits
            .iter()
            .map(|hit| hit.chunk.chunk.text.split(' ').nth(1).unwrap_or_default().to_owned())
            .collect();
        assert!(versions.len() <= 1, "one transaction writes all files: {versions:?}");
        assert_eq!(temporary_files(data.path()), Vec::<PathBuf>::new());
    }
}

fn temporary_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(temporary_files(&path));
        } else if name.starts_with(".tmp") {
            found.push(path);
        }
    }
    found
}

#[test]
fn readers_see_whole_versions_while_a_writer_writes() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut writer = Writer::open(data.path()).unwrap();
    let root = writer.add_root(folder.path(), 1).unwrap().root.id;
    writer.apply(&version(root, 0)).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut reader = Reader::open(data.path()).unwrap();
                let mut last = false;
                while !last {
                    last = done.load(Ordering::SeqCst);
                    // Between the two commits of a change there may be fewer hits, but never one of old text
                    // under a new row, or one twice.
                    let hits = reader.search("dome chunk3", 100).unwrap();
                    let distinct: HashSet<ChunkId> = hits.iter().map(|hit| hit.chunk.chunk.id).collect();
                    assert_eq!(distinct.len(), hits.len());
                    assert!(hits.len() <= 15);
                }
                let hits = reader.search("version7", 100).unwrap();
                assert_eq!(hits.len(), 15, "the last version is seen whole");
            });
        }
        let _end = EndReaders(&done);
        for number in 1..8 {
            writer.apply(&version(root, number)).unwrap();
        }
    });
}

/// Lets the readers end however the writer ended.
struct EndReaders<'a>(&'a AtomicBool);

impl Drop for EndReaders<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
