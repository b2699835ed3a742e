//! Processes that end in the middle of a write, disks that are full, and two processes on one directory.

use std::process::{Command, Output};

use super::*;

/// Set for the part of a test that runs in a process of its own; gives it the data directory.
const IN_CHILD: &str = "GIBBON_TEST_STORE_CHILD";

/// 2 MB, more than the processes of these tests may write into one file; the database stays well below.
fn large_segment() -> Arc<KvSegment> {
    let shape = LAYOUT.shape(2000);
    Arc::new(KvSegment { shape, dtype: LAYOUT.dtype, data: vec![7; shape.bytes(LAYOUT.dtype)].into() })
}

/// Runs `test` once more in a process that cannot write a large file to its end. The system ends it with a signal
/// in the middle of the write or, with `ignore_signal`, refuses the rest as a full disk would.
fn run_with_small_files(test: &str, data: &Data, ignore_signal: bool) -> Output {
    let trap = if ignore_signal { "trap '' XFSZ;" } else { "" };
    // 0.5 or 1 MB: shells differ in the unit.
    let script = format!("{trap} ulimit -c 0; ulimit -f 1024; exec \"$0\" --exact \"$1\"");
    Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .arg(format!("store::crash::{test}"))
        .env(IN_CHILD, data.path())
        .output()
        .unwrap()
}

fn in_child() -> Option<PathBuf> {
    std::env::var_os(IN_CHILD).map(PathBuf::from)
}

fn open_in_child(path: &Path) -> Store {
    let settings = StoreSettings { disk_bytes: 50 * FILE_BYTES, memory_bytes: 0, gpu_memory_bytes: 0 };
    Store::open(
        path,
        &settings,
        StoreTarget { fingerprint: model(1), layout: LAYOUT, model: "a model".into() },
    )
    .unwrap()
}

#[test]
fn a_process_that_dies_while_writing_leaves_nothing_for_long() {
    if let Some(path) = in_child() {
        let outcome = open_in_child(&path).put(chunk(2), large_segment());
        panic!("this process should be gone: {outcome:?}");
    }
    let data = Data::new();
    put(&data.store(10), 1);

    let output =
        run_with_small_files("a_process_that_dies_while_writing_leaves_nothing_for_long", &data, false);

    assert_eq!(output.status.code(), None, "ended by a signal: {output:?}");
    assert_eq!(data.files().len(), 2, "the whole file and the unfinished one: {:?}", data.files());
    let store = data.store(10);
    assert_eq!(data.files(), [data.file(model(1), chunk(1))]);
    assert_eq!(store.usage().unwrap().bytes, FILE_BYTES);
    assert!(matches!(store.load(chunk(2)), Err(LoadError::Missing)));
    assert_loads(&store, 1);
    put(&store, 2);
    assert_loads(&store, 2);
}

#[test]
fn a_full_disk_leaves_no_part_of_a_file() {
    if let Some(path) = in_child() {
        let store = open_in_child(&path);
        let error = store.put(chunk(2), large_segment()).unwrap_err();
        assert!(matches!(error, PutError::Io { .. }), "{error}");
        assert!(!is_cached(&store, 2));
        assert_loads(&store, 1);
        return;
    }
    let data = Data::new();
    put(&data.store(10), 1);

    let output = run_with_small_files("a_full_disk_leaves_no_part_of_a_file", &data, true);

    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.contains("1 passed"), "{output:?}");
    assert_eq!(data.files(), [data.file(model(1), chunk(1))]);
}

#[test]
fn two_stores_on_one_directory_keep_to_one_budget() {
    const BUDGET: u64 = 5;
    let data = Data::new();
    let stores = [data.store(BUDGET), data.store(BUDGET)];
    std::thread::scope(|scope| {
        for (number, store) in stores.iter().enumerate() {
            scope.spawn(move || {
                for turn in 0..15 {
                    // Chunks of one's own, and some that both want.
                    let chunk_number = if turn % 3 == 0 { turn } else { 100 * number as u64 + turn };
                    store.put(chunk(chunk_number), segment(chunk_number)).unwrap();
                    match store.load(chunk(chunk_number)) {
                        Ok((loaded, _)) => assert_eq!(*loaded, *segment(chunk_number)),
                        Err(error) => assert!(matches!(error, LoadError::Missing), "{error}"),
                    }
                    // Each may have written a file whose room the other took while it was being written.
                    assert!(store.usage().unwrap().bytes <= (BUDGET + 2) * FILE_BYTES);
                }
            });
        }
    });
    let store = data.store(BUDGET);
    assert!(data.allocated() <= BUDGET * FILE_BYTES, "{} bytes", data.allocated());
    assert_eq!(store.usage().unwrap().bytes, data.allocated());
    let report = maintain::verify(data.path(), &mut data.catalogue(), &mut |_, _| {}).unwrap();
    assert_eq!((report.sound, report.damaged.len(), report.adopted, report.dropped), (report.files, 0, 0, 0));
}
