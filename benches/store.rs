//! How fast cache files are written and read, beside `dd` on the same disk.
//!
//! `cargo bench --bench store` writes 2 GiB of files as an 8B model has them for chunks of 512 tokens (32 layers, 64
//! MiB) and reads them, from the page cache and from the disk; `-- --gib 16` takes more, `--threads 8` as many threads
//! and as many `dd`s, `--dir PATH` another disk. Each line is the median of five runs with the slowest and the
//! fastest, and what that is of `dd`'s; `dd` runs right before ours each time.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use gibbon::{
    config::{CacheDtype, StoreSettings},
    corpus::ChunkId,
    model::kv::KvSegment,
    store::{
        SegmentFile, SegmentSource, Store, StoreTarget, WriterLimits, Writers,
        format::KvLayout,
        key::{Fingerprint, SegmentId},
    },
};
use rustix::fs::{Advice, fadvise};

const LAYOUT: KvLayout =
    KvLayout { layers: 32, kv_heads: 8, head_dim: 128, dtype: CacheDtype::Bf16, max_tokens: 512 };
const TOKENS: usize = 512;
const RUNS: usize = 5;
/// What a buffer for reads past the page cache starts at.
const ALIGNMENT: usize = 4096;

struct Options {
    files: usize,
    threads: usize,
    directory: PathBuf,
}

impl Options {
    fn parse() -> Self {
        let mut options = Self { files: 32, threads: 4, directory: env!("CARGO_TARGET_TMPDIR").into() };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut number = || -> usize {
                let value = arguments.next().and_then(|value| value.parse().ok());
                value.unwrap_or_else(|| panic!("{argument} wants a number"))
            };
            match argument.as_str() {
                "--gib" => options.files = 16 * number(),
                "--threads" => options.threads = number(),
                "--dir" => options.directory = arguments.next().expect("--dir wants a path").into(),
                // Cargo's own.
                "--bench" => {}
                other => panic!("{other}: there are --gib, --threads and --dir"),
            }
        }
        options
    }
}

fn main() {
    let options = Options::parse();
    fs::create_dir_all(&options.directory).expect("the directory can be made");
    let folder = tempfile::tempdir_in(&options.directory).expect("a directory to write into");
    let bench = Bench::new(folder.path(), &options);
    println!(
        "{} files of {} MiB, {} threads, median of {RUNS} runs (slowest, fastest)",
        options.files,
        bench.segment.data.len() >> 20,
        options.threads
    );
    bench.writing();
    bench.reading_from_the_page_cache();
    bench.reading_from_the_disk();
}

struct Bench<'a> {
    folder: &'a Path,
    store: Arc<Store>,
    segment: Arc<KvSegment>,
    ids: Vec<SegmentId>,
    threads: usize,
}

impl<'a> Bench<'a> {
    fn new(folder: &'a Path, options: &Options) -> Self {
        let settings = StoreSettings { disk_bytes: u64::MAX >> 1, memory_bytes: 0, gpu_memory_bytes: 0 };
        let fingerprint = Fingerprint::from_hex(&"5a".repeat(32)).expect("hexadecimal");
        let target = StoreTarget { fingerprint, layout: LAYOUT, model: "8B".into() };
        let store = Arc::new(Store::open(folder, &settings, target).expect("a new store"));
        let ids = (0..options.files).map(|number| SegmentId::Chunk(ChunkId::of(&number.to_string())));
        Self { folder, store, segment: Arc::new(segment()), ids: ids.collect(), threads: options.threads }
    }

    fn writing(&self) {
        let source = self.folder.join("source");
        fs::write(&source, &self.segment.data[..]).expect("room on the disk");
        let written = |number: usize| self.folder.join(format!("dd-{number}"));
        let dd = |flag: &str| {
            (0..self.ids.len()).for_each(|number| drop(fs::remove_file(written(number))));
            sync();
            let started = Instant::now();
            in_parallel(self.threads, self.ids.len(), |number| {
                dd(&source, &written(number), &["bs=4M", flag]);
            });
            self.speed(started)
        };
        let ours = || {
            let chunks: Vec<ChunkId> = self.ids.iter().filter_map(chunk_of).collect();
            self.store.remove(&chunks).expect("what was written can be removed");
            sync();
            let limits = WriterLimits { threads: self.threads, ..WriterLimits::default() };
            let started = Instant::now();
            let writers = Writers::start(self.store.clone(), limits, |reason| panic!("{reason}"));
            for id in &self.ids {
                writers.put(*id, self.segment.clone());
            }
            writers.wait();
            self.speed(started)
        };
        let mut table = Table::new("writing");
        for _ in 0..RUNS {
            table.add("dd oflag=direct", dd("oflag=direct"));
            table.add("dd conv=fsync", dd("conv=fsync"));
            table.add("ours: checksums, whole files, synced", ours());
        }
        table.print("dd oflag=direct");
        (0..self.ids.len()).for_each(|number| drop(fs::remove_file(written(number))));
    }

    fn reading_from_the_page_cache(&self) {
        let mut table = Table::new("reading, from the page cache");
        self.read_with_dd("iflag=nofollow");
        for _ in 0..RUNS {
            table.add("dd bs=2M", self.read_with_dd("iflag=nofollow"));
            table.add("ours: layer by layer, checked", self.read_layers(false, Order::Layers));
            table.add("ours: file by file, checked", self.read_layers(false, Order::Files));
            table.add("ours: whole segments into new memory", self.load());
        }
        table.print("dd bs=2M");
    }

    fn reading_from_the_disk(&self) {
        let mut table = Table::new("reading, from the disk");
        for _ in 0..RUNS {
            let mut cold = |name: &str, read: &dyn Fn() -> f64| {
                self.evict();
                table.add(name, read());
            };
            cold("dd bs=2M", &|| self.read_with_dd("iflag=nofollow"));
            cold("ours: layer by layer", &|| self.read_layers(false, Order::Layers));
            cold("ours: file by file", &|| self.read_layers(false, Order::Files));
            cold("ours: whole segments into new memory", &|| self.load());
            cold("dd bs=2M iflag=direct", &|| self.read_with_dd("iflag=direct"));
            cold("ours: layer by layer, direct", &|| self.read_layers(true, Order::Layers));
            cold("ours: file by file, direct", &|| self.read_layers(true, Order::Files));
        }
        table.print("dd bs=2M");
    }

    fn read_with_dd(&self, flag: &str) -> f64 {
        let files = self.open();
        let started = Instant::now();
        in_parallel(self.threads, files.len(), |number| {
            dd(files[number].path(), Path::new("/dev/null"), &["bs=2M", flag]);
        });
        self.speed(started)
    }

    fn read_layers(&self, direct: bool, order: Order) -> f64 {
        let started = Instant::now();
        let files = self.open().into_iter().map(|file| if direct { file.open_direct() } else { file });
        let files: Vec<SegmentFile> = files.collect();
        let (count, layers, next) = (files.len(), LAYOUT.layers, AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    let mut memory = vec![0; files[0].layer_bytes() + ALIGNMENT];
                    let start = memory.as_ptr().align_offset(ALIGNMENT);
                    let out = &mut memory[start..][..files[0].layer_bytes()];
                    loop {
                        // Files one by one are handed out whole.
                        let task = next.fetch_add(1, Ordering::Relaxed);
                        match order {
                            Order::Layers if task < count * layers => {
                                files[task % count].read_layer(task / count, out).expect("a sound file");
                            }
                            Order::Files if task < count => (0..layers).for_each(|layer| {
                                files[task].read_layer(layer, out).expect("a sound file");
                            }),
                            _ => break,
                        }
                    }
                });
            }
        });
        self.speed(started)
    }

    /// As an answer on the processor does: on rayon's threads, into memory that is asked for.
    fn load(&self) -> f64 {
        let started = Instant::now();
        let loaded = self.store.load_many(&self.ids, &|| false);
        assert_eq!(loaded.files, self.ids.len());
        self.speed(started)
    }

    fn open(&self) -> Vec<SegmentFile> {
        let sources = self.store.open_segments(&self.ids).into_iter();
        let files = sources.map(|source| match source.expect("a sound file") {
            SegmentSource::File(file) => file,
            SegmentSource::Memory(_) => panic!("nothing is kept in memory"),
        });
        files.collect()
    }

    /// Drops the files from the page cache.
    fn evict(&self) {
        for file in self.open() {
            let file = File::open(file.path()).expect("it was there just now");
            fadvise(&file, 0, None, Advice::DontNeed).expect("the file system takes advice");
        }
    }

    /// Bytes of all segments in a second, in GB/s.
    fn speed(&self, started: Instant) -> f64 {
        (self.ids.len() * self.segment.data.len()) as f64 / started.elapsed().as_secs_f64() / 1e9
    }
}

/// In which order layers are read.
#[derive(Clone, Copy)]
enum Order {
    /// Every file's first layer, then every file's second: as a device wants them.
    Layers,
    Files,
}

/// Bytes that no disk can make less of.
fn segment() -> KvSegment {
    let shape = LAYOUT.shape(TOKENS);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let data: Vec<u8> = (0..shape.bytes(LAYOUT.dtype) / 8).flat_map(|_| next()).collect();
    KvSegment { shape, dtype: LAYOUT.dtype, data: data.into() }
}

fn chunk_of(id: &SegmentId) -> Option<ChunkId> {
    match id {
        SegmentId::Chunk(id) => Some(*id),
        SegmentId::Prefix => None,
    }
}

/// Does `0..tasks` on so many threads.
fn in_parallel(threads: usize, tasks: usize, task: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(number) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < tasks) {
                    task(number);
                }
            });
        }
    });
}

fn dd(from: &Path, to: &Path, options: &[&str]) {
    let status = Command::new("dd")
        .arg(format!("if={}", from.display()))
        .arg(format!("of={}", to.display()))
        .args(options)
        .stderr(Stdio::null())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "dd {} {options:?}", from.display());
}

fn sync() {
    let _ = Command::new("sync").status();
}

/// Speeds by name, in the order in which they first came.
struct Table {
    title: &'static str,
    rows: Vec<(String, Vec<f64>)>,
}

impl Table {
    fn new(title: &'static str) -> Self {
        Self { title, rows: Vec::new() }
    }

    fn add(&mut self, name: &str, speed: f64) {
        match self.rows.iter_mut().find(|(row, _)| row == name) {
            Some((_, speeds)) => speeds.push(speed),
            None => self.rows.push((name.to_owned(), vec![speed])),
        }
    }

    /// Prints all rows and what each is of the row `reference`.
    fn print(mut self, reference: &str) {
        self.rows.iter_mut().for_each(|(_, speeds)| speeds.sort_by(f64::total_cmp));
        let median = |speeds: &[f64]| speeds[speeds.len() / 2];
        let all = self.rows.iter().find(|(name, _)| name == reference).map(|(_, speeds)| median(speeds));
        println!("\n{}", self.title);
        for (name, speeds) in &self.rows {
            let (slowest, fastest) = (speeds[0], speeds[speeds.len() - 1]);
            let speed = median(speeds);
            let ratio = speed / all.unwrap_or(speed);
            println!("  {name:<38} {speed:6.2} GB/s ({slowest:.2}, {fastest:.2})  {ratio:5.2}");
        }
    }
}
