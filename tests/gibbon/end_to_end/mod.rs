//! The whole program on the default model: every test runs the real binary in a home directory of its own.
//!
//! Programs run on one thread each, since the tests themselves run in parallel; what they compute does not depend on
//! it. Nothing here waits for a time: where a test has to act in the middle of a run, it waits for what the run leaves
//! on disk.

mod background;
mod bad_files;
mod bad_input;
mod collections;
mod damage;
mod disk;
mod full_disk;
mod hostile;
mod hostile_folder;
mod incremental;
mod interrupt;
mod kill;
mod log;
mod permissions;
mod rounds;
mod screen;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    thread,
    time::Duration,
};

use gibbon::catalogue::Catalogue;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::default_model;

/// Answers long enough to differ where something is wrong, short enough to be quick.
const CONFIG: &str = "[answer]\nmax_tokens = 12\n[corpus]\nchunk_tokens = 96\n";

/// Documents with more than one chunk each at 96 tokens.
const DOCUMENTS: [(&str, &str); 5] = [
    ("boiler.md", BOILER),
    ("pump.txt", PUMP),
    ("garden/tools.md", TOOLS),
    ("garden/watering.txt", WATERING),
    ("keys.md", "# Keys\n\nThe cellar key hangs behind the blue door. The spare key is with Ms Okafor.\n"),
];

const BOILER: &str = "# Boiler\n\nThe boiler stands in the cellar, to the left of the stairs, and heats the water \
    for the whole house.\n\n## Pressure\n\nThe safety valve of the boiler opens at 7 bar. Below 1 bar the boiler \
    switches itself off, and the red lamp beside the gauge lights up until somebody fills it again.\n\n## Care\n\n\
    The boiler is swept in March and in October by the company Lindqvist, who also replace the anode. The bill goes \
    to the housing association, which shares it among the flats by the number of rooms.\n";

const PUMP: &str = "The pump in the well moves 12 litres of water a minute. It starts when the tank on the roof is \
    less than half full and stops when the float touches the lid.\n\nIn winter the pump is wrapped in felt. If it \
    hums and does not turn, the impeller has seized: switch off the fuse labelled W3, open the four screws and turn \
    the impeller by hand, never with a tool.\n";

const TOOLS: &str = "# Tools\n\n## Shears\n\nThe hedge shears are sharpened on the first Saturday of May with the grey \
    whetstone, at an angle of twenty degrees, and oiled with camellia oil afterwards.\n\n## Wheelbarrow\n\nThe \
    wheelbarrow takes 80 kilograms. Its tyre is filled to 2 bar with the bicycle pump that hangs in the shed.\n";

const WATERING: &str = "The tomatoes are watered every morning in July, the beans every second morning. The hose is \
    rolled up again because of the hedgehogs.\n";

/// Found in the pieces about the boiler.
const QUESTION: &str = "At what pressure does the safety valve of the boiler open?";

/// Gets an answer of more than 400 tokens: the default model begins to repeat itself.
const LONG_QUESTION: &str = "Tell me everything about the boiler and explain in detail how to look after it.";

/// A home directory, and a folder of documents.
struct Home {
    directory: TempDir,
}

/// How a run ended and what it wrote.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Home {
    /// With the default model, a configuration and an empty folder of documents.
    fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// The same in a folder of its own below `parent`.
    fn below(parent: &Path) -> Self {
        let home = Self::without_model_below(parent);
        let model = default_model();
        let models = home.data().join("models");
        fs::create_dir_all(&models).unwrap();
        let name = model.file_name().expect("a model has a name");
        let linked = models.join(name);
        fs::hard_link(&model, &linked)
            .or_else(|_| std::os::unix::fs::symlink(&model, &linked))
            .expect("a file or a link can be made");
        // The record of the check, so that the file is not hashed again for every test; without it, it is.
        let record = |path: &Path| PathBuf::from(format!("{}.verified", path.display()));
        let _ = fs::copy(record(&model), record(&linked));
        home
    }

    fn without_model() -> Self {
        Self::without_model_below(&std::env::temp_dir())
    }

    fn without_model_below(parent: &Path) -> Self {
        let home = Self { directory: tempfile::tempdir_in(parent).unwrap() };
        fs::create_dir(home.documents()).unwrap();
        home.write_config(CONFIG);
        home
    }

    /// With the documents in place and nothing indexed.
    fn with_documents() -> Self {
        let home = Self::new();
        home.write_documents();
        home
    }

    fn write_documents(&self) {
        for (name, text) in DOCUMENTS {
            self.write(name, text);
        }
    }

    /// With the documents indexed and encoded. The caches are those of one run of the whole test binary; what a home
    /// takes over is checked and recorded as any cache is.
    fn indexed() -> Self {
        let home = Self::with_documents();
        copy_folder(&undisturbed().data().join("kv"), &home.data().join("kv"));
        let report = home.json(&["index", home.documents_argument()]);
        assert_eq!(report["chunks_encoded"], 0, "caches are taken over: {report}");
        home
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    fn documents(&self) -> PathBuf {
        self.path().join("documents")
    }

    /// The folder of documents as every run of this home names it: from its own directory.
    fn documents_argument(&self) -> &'static str {
        "documents"
    }

    fn write_config(&self, text: &str) {
        fs::write(self.path().join("config.toml"), text).unwrap();
    }

    /// Writes a document.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.documents().join(name);
        fs::create_dir_all(path.parent().expect("it is below the folder")).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The program, seeing nothing of this machine but PATH.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gibbon"));
        command.args(arguments);
        self.prepare(&mut command);
        command
    }

    /// The program under `sh`, which first runs `setup`.
    fn shell(&self, setup: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", &format!("{setup}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_gibbon")])
            .args(arguments);
        self.prepare(&mut command);
        command
    }

    fn prepare(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("GIBBON_HOME", self.path())
            .env("HF_HOME", self.path().join("no-hub-cache"))
            .env("HF_HUB_OFFLINE", "1")
            .env("RAYON_NUM_THREADS", "1")
            .current_dir(self.path())
            .stdin(Stdio::null());
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&self.command(arguments).output().unwrap())
    }

    /// What a run that ends well prints with `--json`.
    fn json(&self, arguments: &[&str]) -> Value {
        let run = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
        run.json()
    }

    /// Starts a run whose output nobody reads.
    fn start(&self, arguments: &[&str]) -> Running {
        Running::start(&mut self.command(arguments))
    }

    /// A home in which nothing is broken answers, and its caches are sound.
    fn assert_usable(&self) {
        let answer = self.json(&["ask", QUESTION]);
        assert_eq!(answer["sources"][0]["label"], "boiler.md § Pressure", "{answer}");
        self.assert_sound();
    }

    /// `cache verify` finds every file sound and nothing to mend, and no temporary file is left.
    fn assert_sound(&self) {
        let found = self.json(&["cache", "verify"]);
        assert_eq!(found["sound"], found["files"], "{found}");
        for counter in ["adopted", "dropped", "unfinished"] {
            assert_eq!(found[counter], 0, "{counter}: {found}");
        }
        let left: Vec<PathBuf> =
            names_below(&self.data()).into_iter().filter(|path| is_temporary(path)).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    /// The files of the cache, by their path in it, with their content.
    fn caches(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        files_below(&self.data().join("kv"))
    }

    /// Chunks with a whole cache file.
    fn cached_chunks(&self) -> BTreeSet<String> {
        let chunks = names_below(&self.data().join("kv")).into_iter().filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(".safetensors")?.to_owned();
            (name != "prefix").then_some(name)
        });
        chunks.collect()
    }

    fn indexed_chunks(&self) -> BTreeSet<String> {
        let catalogue = Catalogue::open(&self.data()).unwrap();
        catalogue.chunk_list().unwrap().iter().map(|chunk| chunk.id.to_string()).collect()
    }

    /// What is indexed and cached, wherever the documents are.
    fn state(&self) -> State {
        let catalogue = Catalogue::open(&self.data()).unwrap();
        let mut files = BTreeMap::new();
        for root in catalogue.roots().unwrap() {
            for (path, record) in catalogue.known_files(root.id).unwrap() {
                files.insert(path, record.hash.0);
            }
        }
        State { files, chunks: self.indexed_chunks(), caches: self.caches() }
    }

    /// Waits until a run has written so many chunks' caches.
    fn wait_for_cached(&self, chunks: usize, running: &mut Running) {
        running.wait_until(&format!("{chunks} cached chunks"), || self.cached_chunks().len() >= chunks);
    }
}

/// What an index run leaves.
#[derive(PartialEq)]
struct State {
    files: BTreeMap<PathBuf, [u8; 32]>,
    chunks: BTreeSet<String>,
    caches: BTreeMap<PathBuf, Vec<u8>>,
}

impl State {
    #[track_caller]
    fn assert_same(&self, other: &Self) {
        assert_eq!(self.files.keys().collect::<Vec<_>>(), other.files.keys().collect::<Vec<_>>());
        assert_eq!(self.chunks, other.chunks);
        assert_eq!(self.caches.keys().collect::<Vec<_>>(), other.caches.keys().collect::<Vec<_>>());
        assert!(self == other, "some file's content differs");
    }
}

/// A home in which the documents were indexed without disturbance.
fn undisturbed() -> &'static Home {
    static HOME: OnceLock<Home> = OnceLock::new();
    HOME.get_or_init(|| {
        let home = Home::with_documents();
        let report = home.json(&["index", home.documents_argument()]);
        assert_eq!(report["files_added"], DOCUMENTS.len(), "{report}");
        assert_eq!(report["chunks_encoded"], report["chunks_added"], "{report}");
        home
    })
}

impl Run {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("only UTF-8 is written");
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "one object on one line: {self:?}");
        let value: Value = serde_json::from_str(&self.stdout).unwrap();
        assert_eq!(value["schema"], 1);
        value
    }

    /// The run ended well and said this.
    #[track_caller]
    fn assert_done(&self, gist: &str) {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert!(self.stdout.contains(gist), "{self:?}");
    }

    /// The run failed with this code and said all of this, with a hint, and nothing on standard output.
    #[track_caller]
    fn assert_fails(&self, code: i32, gist: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(self.stderr.contains("error: "), "{self:?}");
        for part in gist {
            assert!(self.stderr.contains(part), "`{part}` is not in {self:?}");
        }
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {:?}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// A program that runs; killed when the test ends before it.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Looks again and again until `is_so`.
    #[track_caller]
    fn wait_until(&mut self, what: &str, is_so: impl Fn() -> bool) {
        while !is_so() {
            if let Some(status) = self.0.try_wait().unwrap() {
                panic!("the program ended ({status}) before this: {what}");
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let process = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(process, signal).unwrap();
    }

    /// As `kill -9` does.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn finish(mut self) -> Run {
        let mut output = Output { status: Default::default(), stdout: Vec::new(), stderr: Vec::new() };
        use std::io::Read;
        // What these runs write to standard error fits the pipe.
        if let Some(mut stdout) = self.0.stdout.take() {
            stdout.read_to_end(&mut output.stdout).unwrap();
        }
        if let Some(mut stderr) = self.0.stderr.take() {
            stderr.read_to_end(&mut output.stderr).unwrap();
        }
        output.status = self.0.wait().unwrap();
        Run::of(&output)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Files of unfinished work: those of the cache, of the search index and of downloads.
fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".unfinished") || name.starts_with(".tmp") || name.starts_with(".unfinished-")
}

/// The files below `folder`, by their path from it. What disappears meanwhile is left out.
fn names_below(folder: &Path) -> Vec<PathBuf> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                _ => names.push(entry.path().strip_prefix(folder).expect("it is below").to_owned()),
            }
        }
    }
    names
}

fn files_below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let read = |name: PathBuf| Some((name.clone(), fs::read(folder.join(name)).ok()?));
    names_below(folder).into_iter().filter_map(read).collect()
}

fn copy_folder(from: &Path, to: &Path) {
    for name in names_below(from) {
        let target = to.join(&name);
        fs::create_dir_all(target.parent().expect("it is below a folder")).unwrap();
        fs::copy(from.join(&name), target).unwrap();
    }
}
