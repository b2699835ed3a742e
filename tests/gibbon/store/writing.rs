//! Several segments written at once, within a bound, and by several writers.

use std::sync::{Mutex, atomic::AtomicBool};

use gibbon::store::{WriterLimits, Writers};

use super::*;

const SEGMENT_BYTES: u64 = 102_400;

/// Writers of a store, and what they said went wrong.
fn writers(
    store: &Arc<Store>,
    threads: usize,
    segments_in_flight: u64,
) -> (Writers, Arc<Mutex<Vec<String>>>) {
    let failures = Arc::new(Mutex::new(Vec::new()));
    let told = failures.clone();
    let limits = WriterLimits { threads, bytes_in_flight: segments_in_flight * SEGMENT_BYTES };
    let failed = move |reason: &str| told.lock().unwrap().push(reason.to_owned());
    (Writers::start(store.clone(), limits, failed), failures)
}

#[test]
fn everything_is_written_when_the_wait_is_over() {
    let data = Data::new();
    let store = Arc::new(data.store(100));
    for threads in [0, 1, 4] {
        let (writers, failures) = writers(&store, threads, 3);
        let numbers = 100 * threads as u64..100 * threads as u64 + 20;
        for number in numbers.clone() {
            writers.put(chunk(number), segment(number));
        }
        writers.wait();
        assert_eq!(writers.bytes_in_flight(), 0);
        for number in numbers {
            assert_loads(&store, number);
        }
        assert_eq!(*failures.lock().unwrap(), [""; 0]);
    }
}

#[test]
fn what_waits_is_written_before_the_writers_go() {
    let data = Data::new();
    let store = Arc::new(data.store(100));
    let (writers, _) = writers(&store, 2, 100);
    for number in 0..30 {
        writers.put(chunk(number), segment(number));
    }
    drop(writers);
    for number in 0..30 {
        assert_loads(&store, number);
    }
}

#[test]
fn no_more_bytes_are_on_their_way_than_the_bound() {
    let data = Data::new();
    let store = Arc::new(data.store(100));
    for bound in [0, 1, 3] {
        let (writers, _) = writers(&store, 4, bound);
        let (done, most) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    most.fetch_max(writers.bytes_in_flight() as usize, Ordering::Relaxed);
                }
            });
            for number in 0..40 {
                writers.put(chunk(number), segment(number));
                most.fetch_max(writers.bytes_in_flight() as usize, Ordering::Relaxed);
            }
            writers.wait();
            done.store(true, Ordering::Relaxed);
        });
        let most = most.into_inner() as u64;
        // A segment that is larger than the bound goes alone.
        assert!(
            most > 0 && most <= bound.max(1) * SEGMENT_BYTES,
            "{most} bytes with a bound of {bound} segments"
        );
    }
}

#[test]
fn a_segment_that_two_write_is_whole() {
    let data = Data::new();
    let store = Arc::new(data.store(100));
    let (writers, failures) = writers(&store, 8, 100);
    for turn in 0..40 {
        // Two contents under each of two names.
        writers.put(chunk(turn % 2), segment(turn % 4));
    }
    writers.wait();
    assert_eq!(*failures.lock().unwrap(), [""; 0]);
    for number in 0..2 {
        let (loaded, _) = store.load(chunk(number)).unwrap();
        assert!(*loaded == *segment(number) || *loaded == *segment(number + 2));
    }
    assert_eq!(data.files().len(), 2, "nothing unfinished is left: {:?}", data.files());
    assert_eq!(store.usage().unwrap().bytes, 2 * FILE_BYTES);
}

#[test]
fn a_segment_that_cannot_be_written_is_told_and_holds_nothing_up() {
    let data = Data::new();
    let store = Arc::new(data.store(100));
    put(&store, 1);
    let directory = data.file(model(1), chunk(1)).parent().unwrap().to_path_buf();
    fs::remove_dir_all(&directory).unwrap();
    fs::write(&directory, "in the way").unwrap();
    let (writers, failures) = writers(&store, 2, 1);
    let other_shape = KvSegment { dtype: CacheDtype::Bf16, ..(*segment(2)).clone() };

    writers.put(chunk(1), segment(1));
    writers.put(chunk(2), Arc::new(other_shape));
    for number in 3..8 {
        writers.put(chunk(number), segment(number));
    }
    writers.wait();

    let failures = failures.lock().unwrap();
    assert_eq!(failures.len(), 2, "{failures:?}");
    assert!(failures.iter().any(|reason| reason.contains("could not be written")), "{failures:?}");
    for number in 3..8 {
        assert_loads(&store, number);
    }
}
