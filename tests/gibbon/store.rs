//! The KV store through its public face: what users' disks, crashes and other processes do to it.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use gibbon::{
    catalogue::Catalogue,
    config::{CacheDtype, StoreSettings},
    corpus::ChunkId,
    model::kv::KvSegment,
    store::{
        LoadError, PutError, PutOutcome, Store, StoreTarget, Tier,
        format::KvLayout,
        key::{Fingerprint, SegmentId},
        maintain::{self, Prune},
    },
};

mod collect;
mod crash;
mod formats;
mod layers;
mod maintenance;
mod writing;

const LAYOUT: KvLayout =
    KvLayout { layers: 4, kv_heads: 2, head_dim: 32, dtype: CacheDtype::F16, max_tokens: 2048 };

/// Tokens of a test's chunk: 102,400 bytes of data and 4,096 of header, whole blocks both.
const TOKENS: usize = 100;
const FILE_BYTES: u64 = 4096 + 102_400;

/// A data directory that goes when the test ends.
struct Data(tempfile::TempDir);

impl Data {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A store that keeps nothing in memory.
    fn store(&self, files: u64) -> Store {
        self.store_of(model(1), files, 0)
    }

    fn store_of(&self, fingerprint: Fingerprint, files: u64, memory_bytes: u64) -> Store {
        let settings = StoreSettings { disk_bytes: files * FILE_BYTES, memory_bytes, gpu_memory_bytes: 0 };
        let target = StoreTarget { fingerprint, layout: LAYOUT, model: "a model".into() };
        Store::open(self.path(), &settings, target).unwrap()
    }

    fn catalogue(&self) -> Catalogue {
        Catalogue::open(self.path()).unwrap()
    }

    /// Every file below the store's directory, of whatever name.
    fn files(&self) -> Vec<PathBuf> {
        fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                match entry.file_type().unwrap().is_dir() {
                    true => walk(&entry.path(), found),
                    false => found.push(entry.path()),
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.path().join("kv"), &mut found);
        found.sort();
        found
    }

    fn allocated(&self) -> u64 {
        self.files().iter().map(|path| fs::metadata(path).unwrap().blocks() * 512).sum()
    }

    fn file(&self, fingerprint: Fingerprint, id: SegmentId) -> PathBuf {
        let (group, name) = (self.path().join("kv/v2").join(fingerprint.to_string()), id.to_string());
        match id {
            SegmentId::Prefix => group.join("prefix.safetensors"),
            SegmentId::Chunk(_) => group.join(&name[..2]).join(format!("{name}.safetensors")),
        }
    }
}

fn model(number: u8) -> Fingerprint {
    Fingerprint::from_hex(&format!("{number:02x}").repeat(32)).unwrap()
}

fn chunk(number: u64) -> SegmentId {
    SegmentId::Chunk(chunk_id(number))
}

fn chunk_id(number: u64) -> ChunkId {
    ChunkId::of(&format!("chunk {number}"))
}

/// A segment whose numbers depend on `number` and on their place.
fn segment(number: u64) -> Arc<KvSegment> {
    let shape = LAYOUT.shape(TOKENS);
    let length = shape.bytes(LAYOUT.dtype) as u64;
    let data: Vec<u8> = (0..length).map(|place| (place * 7 + place / 256 + number * 31) as u8).collect();
    Arc::new(KvSegment { shape, dtype: LAYOUT.dtype, data: data.into() })
}

fn put(store: &Store, number: u64) -> PutOutcome {
    store.put(chunk(number), segment(number)).unwrap()
}

fn put_all(store: &Store, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        put(store, number);
    }
}

fn is_cached(store: &Store, number: u64) -> bool {
    store.cached().unwrap().contains(&chunk(number))
}

#[track_caller]
fn assert_loads(store: &Store, number: u64) {
    let (loaded, tier) = store.load(chunk(number)).unwrap();
    assert_eq!(*loaded, *segment(number));
    assert_eq!(tier, Tier::Disk);
}

#[test]
fn segments_come_back_as_they_were_put() {
    let data = Data::new();
    let store = data.store(10);
    assert!(matches!(store.load(chunk(1)), Err(LoadError::Missing)));

    assert_eq!(put(&store, 1), PutOutcome::Stored { bytes: FILE_BYTES, evicted: 0 });
    store.put(SegmentId::Prefix, segment(0)).unwrap();

    assert_loads(&store, 1);
    let reopened = data.store(10);
    assert_loads(&reopened, 1);
    assert_eq!(*reopened.load(SegmentId::Prefix).unwrap().0, *segment(0));
    assert_eq!(reopened.usage().unwrap().bytes, 2 * FILE_BYTES);
    assert_eq!(data.allocated(), 2 * FILE_BYTES);
    assert_eq!(store.file_bytes(TOKENS), FILE_BYTES);
}

#[test]
fn many_load_at_once_and_are_counted() {
    let data = Data::new();
    let store = data.store(20);
    put_all(&store, 0..8);
    let ids: Vec<_> = (0..10).map(chunk).collect();

    let loaded = store.load_many(&ids, &|| false);

    assert_eq!((loaded.files, loaded.bytes), (8, 8 * 102_400));
    for (number, result) in loaded.segments.iter().enumerate() {
        match result {
            Ok((found, _)) => assert_eq!(**found, *segment(number as u64)),
            Err(error) => assert!(number >= 8 && matches!(error, LoadError::Missing), "{number}: {error}"),
        }
    }
}

#[test]
fn a_cancelled_load_reads_no_more_files() {
    let data = Data::new();
    let store = data.store(20);
    put_all(&store, 0..8);
    let ids: Vec<_> = (0..8).map(chunk).collect();
    let asked = AtomicUsize::new(0);

    let loaded = store.load_many(&ids, &|| asked.fetch_add(1, Ordering::Relaxed) >= 3);

    assert_eq!(loaded.files, 3);
    let cancelled = |result: &&Result<_, _>| matches!(result, Err(LoadError::Cancelled));
    assert_eq!(loaded.segments.iter().filter(cancelled).count(), 5);
    assert_eq!(store.cached().unwrap().len(), 8);
}

#[test]
fn memory_comes_before_files() {
    let data = Data::new();
    let store = data.store_of(model(1), 10, 1 << 20);
    put(&store, 1);
    put(&store, 2);
    let tier = |store: &Store, number| store.load(chunk(number)).unwrap().1;
    assert_eq!(tier(&store, 1), Tier::Memory);

    let reopened = data.store_of(model(1), 10, 1 << 20);
    assert_eq!((tier(&reopened, 1), tier(&reopened, 1)), (Tier::Disk, Tier::Memory));
    assert_eq!(reopened.load_many(&[chunk(1), chunk(2)], &|| false).files, 1);

    reopened.remove(&[chunk_id(1)]).unwrap();
    assert!(matches!(reopened.load(chunk(1)), Err(LoadError::Missing)));
}

#[test]
fn only_the_owner_can_read_the_cache() {
    let data = Data::new();
    put(&data.store(10), 1);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let file = data.file(model(1), chunk(1));
    assert_eq!(mode(&file), 0o600);
    for directory in file.ancestors().skip(1).take_while(|path| *path != data.path()) {
        assert_eq!(mode(directory), 0o700, "{}", directory.display());
    }
}

type Harm<'a> = &'a dyn Fn(&mut Vec<u8>);

#[test]
fn a_damaged_file_is_a_miss_once_and_is_replaced() {
    let data = Data::new();
    let store = data.store(10);
    let path = data.file(model(1), chunk(1));
    let length = FILE_BYTES as usize;
    let flip = |position: usize| move |bytes: &mut Vec<u8>| bytes[position] ^= 0x10;
    let harms: [Harm<'_>; 8] = [
        &flip(0),
        &flip(20),
        &flip(4000),
        &flip(4096),
        &flip(length - 1),
        &|bytes| bytes.truncate(length - 1),
        &|bytes| bytes.clear(),
        &|bytes| bytes.push(0),
    ];
    for (number, harm) in harms.iter().enumerate() {
        put(&store, 1);
        put(&store, 2);
        let mut bytes = fs::read(&path).unwrap();
        harm(&mut bytes);
        fs::write(&path, bytes).unwrap();

        let error = store.load(chunk(1)).unwrap_err();

        assert!(matches!(error, LoadError::Damaged { .. }), "harm {number}: {error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        assert!(!path.exists() && !is_cached(&store, 1));
        assert!(matches!(store.load(chunk(1)), Err(LoadError::Missing)));
        assert_loads(&store, 2);
    }
}

#[test]
fn a_file_of_another_model_chunk_or_version_is_not_used() {
    let data = Data::new();
    let (store, other) = (data.store(10), data.store_of(model(2), 10, 0));
    let path = data.file(model(1), chunk(1));
    let newer = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let version = br#""version":"2""#;
        let at = bytes.windows(version.len()).position(|window| window == version).unwrap();
        bytes[at + version.len() - 2] = b'3';
        fs::write(path, bytes).unwrap();
    };
    let copy = |from: &Path, to: &Path| assert!(fs::copy(from, to).is_ok());
    let put_in_place: [&dyn Fn(); 3] = [
        &|| copy(&data.file(model(2), chunk(1)), &path),
        &|| copy(&data.file(model(1), chunk(2)), &path),
        &|| newer(&path),
    ];
    for (number, wrong) in put_in_place.iter().enumerate() {
        put(&other, 1);
        put(&store, 1);
        put(&store, 2);
        wrong();

        let error = store.load(chunk(1)).unwrap_err();

        assert!(matches!(error, LoadError::Incompatible { .. }), "case {number}: {error}");
        assert!(!path.exists());
        assert_loads(&other, 1);
        assert_loads(&store, 2);
    }
}

#[test]
fn a_record_without_a_file_is_a_miss_that_drops_the_record() {
    let data = Data::new();
    let store = data.store(10);
    put(&store, 1);
    put(&store, 2);
    fs::remove_file(data.file(model(1), chunk(1))).unwrap();
    assert!(is_cached(&store, 1));

    assert!(matches!(store.load(chunk(1)), Err(LoadError::Missing)));

    assert!(!is_cached(&store, 1));
    assert_eq!(store.usage().unwrap().bytes, FILE_BYTES);
    assert_loads(&store, 2);
}

#[test]
fn a_file_without_a_record_is_adopted_when_loaded_and_when_opened() {
    let data = Data::new();
    put(&data.store(10), 1);
    let store = data.store(10);
    data.catalogue().cache_forget(&[(model(1).to_string(), chunk(1).to_string())]).unwrap();
    assert!(!is_cached(&store, 1));
    assert_loads(&store, 1);
    assert!(is_cached(&store, 1));

    drop(store);
    for entry in fs::read_dir(data.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let store = data.store(10);
    assert!(is_cached(&store, 1));
    assert_eq!(store.usage().unwrap().bytes, FILE_BYTES);
}

#[test]
fn a_disk_error_costs_one_segment_only() {
    let data = Data::new();
    let store = data.store(10);
    put(&store, 1);
    put(&store, 2);
    // A file where a directory should be: every access below it fails.
    let directory = data.file(model(1), chunk(1)).parent().unwrap().to_path_buf();
    fs::remove_dir_all(&directory).unwrap();
    fs::write(&directory, "in the way").unwrap();

    let loaded = store.load_many(&[chunk(1), chunk(2)], &|| false).segments;

    assert!(matches!(loaded[0], Err(LoadError::Io { .. })), "{:?}", loaded[0]);
    assert_eq!(*loaded[1].as_ref().unwrap().0, *segment(2));
    assert!(matches!(store.put(chunk(1), segment(1)), Err(PutError::Io { .. })));
    assert!(!is_cached(&store, 1), "room was given back for a file that was not written");
    assert_loads(&store, 2);
}

#[test]
fn the_least_recently_used_goes_first() {
    let data = Data::new();
    let store = data.store(3);
    put_all(&store, 1..=3);
    store.load_many(&[chunk(1), chunk(2)], &|| false);

    assert_eq!(put(&store, 4), PutOutcome::Stored { bytes: FILE_BYTES, evicted: 1 });

    assert!(!is_cached(&store, 3) && !data.file(model(1), chunk(3)).exists());
    for number in [1, 2, 4] {
        assert_loads(&store, number);
    }
    assert_eq!(data.allocated(), 3 * FILE_BYTES);
}

#[test]
fn neither_the_prefix_nor_what_is_in_use_goes() {
    for memory_bytes in [0, 1 << 20] {
        let data = Data::new();
        let store = data.store_of(model(1), 3, memory_bytes);
        store.put(SegmentId::Prefix, segment(0)).unwrap();
        put(&store, 1);
        put(&store, 2);
        let in_use = store.load(chunk(1)).unwrap();

        // 2 goes before 1, though it was put later and nothing was used since.
        assert_eq!(put(&store, 3), PutOutcome::Stored { bytes: FILE_BYTES, evicted: 1 });
        assert!(is_cached(&store, 1) && !is_cached(&store, 2));

        let also_in_use = store.load(chunk(3)).unwrap();
        assert!(!store.has_room(TOKENS).unwrap());
        assert_eq!(put(&store, 4), PutOutcome::OverBudget);
        assert!(!is_cached(&store, 4) && !data.file(model(1), chunk(4)).exists());
        assert_eq!(data.allocated(), 3 * FILE_BYTES);

        drop((in_use, also_in_use));
        assert!(matches!(put(&store, 4), PutOutcome::Stored { evicted: 1, .. }));
        assert!(store.cached().unwrap().contains(&SegmentId::Prefix));
    }
}

#[test]
fn encoding_ahead_may_push_out_other_models_but_not_its_own() {
    let data = Data::new();
    let old = data.store_of(model(2), 3, 0);
    put_all(&old, 1..=3);
    let store = data.store(3);

    let mut encoded = 0;
    while store.has_room(TOKENS).unwrap() {
        assert!(matches!(put(&store, encoded), PutOutcome::Stored { evicted: 1, .. }));
        encoded += 1;
    }

    assert_eq!((encoded, store.cached().unwrap().len(), old.cached().unwrap().len()), (3, 3, 0));
}

#[test]
fn a_smaller_budget_is_kept_from_the_next_start() {
    let data = Data::new();
    let store = data.store(4);
    store.put(SegmentId::Prefix, segment(0)).unwrap();
    put_all(&store, 1..=3);

    let smaller = data.store(2);

    assert_eq!(data.allocated(), 2 * FILE_BYTES);
    let cached: HashSet<_> = smaller.cached().unwrap().into_iter().collect();
    assert_eq!(cached, HashSet::from([SegmentId::Prefix, chunk(3)]));
    assert_eq!(data.store(0).put(chunk(9), segment(9)).unwrap(), PutOutcome::OverBudget);
}

#[test]
fn a_segment_of_another_shape_is_refused() {
    let data = Data::new();
    let store = data.store(4);
    let other = Arc::new(KvSegment { dtype: CacheDtype::Bf16, ..(*segment(1)).clone() });
    assert!(matches!(store.put(chunk(1), other), Err(PutError::Layout)));
    let short = Arc::new(KvSegment { data: vec![0; 10].into(), ..(*segment(1)).clone() });
    assert!(matches!(store.put(chunk(1), short), Err(PutError::Layout)));
    assert!(data.files().is_empty());
}
