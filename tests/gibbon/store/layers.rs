//! Segments that are read layer by layer, and what becomes of damage that shows on the way.

use gibbon::store::{SegmentFile, SegmentSource};

use super::*;

const LAYER_BYTES: usize = 102_400 / LAYOUT.layers;

/// The file of a chunk, opened.
fn open(store: &Store, number: u64) -> SegmentFile {
    match store.open_segments(&[chunk(number)]).pop().unwrap().unwrap() {
        SegmentSource::File(file) => file,
        SegmentSource::Memory(_) => panic!("nothing is kept in memory"),
    }
}

fn flip(path: &Path, position: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[position] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn memory_hits_come_as_they_are_and_the_rest_as_files() {
    let data = Data::new();
    put_all(&data.store(10), 1..=3);
    let store = data.store_of(model(1), 10, 1 << 20);
    store.load(chunk(2)).unwrap();
    store.remember(chunk(3), &segment(3));

    let sources = store.open_segments(&[chunk(1), chunk(2), chunk(9), chunk(3)]);

    let [
        Ok(SegmentSource::File(file)),
        Ok(SegmentSource::Memory(two)),
        missing,
        Ok(SegmentSource::Memory(three)),
    ] = &sources[..]
    else {
        panic!("{sources:?}")
    };
    assert_eq!((&**two, &**three), (&*segment(2), &*segment(3)));
    assert!(matches!(missing, Err(LoadError::Missing)));
    assert_eq!((file.shape(), file.dtype()), (LAYOUT.shape(TOKENS), LAYOUT.dtype));
    assert_eq!((file.layer_bytes(), file.path()), (LAYER_BYTES, data.file(model(1), chunk(1)).as_path()));
    let mut out = vec![0; LAYER_BYTES];
    for layer in (0..LAYOUT.layers).rev() {
        file.read_layer(layer, &mut out).unwrap();
        let expected = segment(1);
        assert_eq!(out[..LAYER_BYTES / 2], *expected.layer_keys(layer));
        assert_eq!(out[LAYER_BYTES / 2..], *expected.layer_values(layer));
    }
    assert_eq!(file.read_all().unwrap(), *segment(1));
}

#[test]
fn a_damaged_layer_is_told_when_it_is_read_and_the_file_goes_once_it_is_reported() {
    let data = Data::new();
    let store = data.store(10);
    put_all(&store, 1..=2);
    let path = data.file(model(1), chunk(1));
    let damaged = 2;
    flip(&path, 4096 + damaged * LAYER_BYTES);

    let file = open(&store, 1);
    let mut out = vec![0; LAYER_BYTES];
    for layer in 0..damaged {
        file.read_layer(layer, &mut out).unwrap();
        assert_eq!(out, segment(1).data[layer * LAYER_BYTES..][..LAYER_BYTES]);
    }
    let Err(LoadError::Damaged { reason, .. }) = file.read_layer(damaged, &mut out) else {
        panic!("layer {damaged} is not as it was written")
    };
    assert!(path.exists());

    let error = store.discard_damaged(chunk(1), &reason);

    assert!(matches!(&error, LoadError::Damaged { path: told, .. } if *told == path), "{error}");
    assert!(error.to_string().contains("layer 2"), "{error}");
    assert!(!path.exists() && !is_cached(&store, 1));
    assert!(matches!(store.load(chunk(1)), Err(LoadError::Missing)));
    assert_loads(&store, 2);
    put(&store, 1);
    assert_loads(&store, 1);
}

#[test]
fn what_is_wrong_with_a_files_start_is_told_on_opening() {
    let data = Data::new();
    let store = data.store(10);
    put_all(&store, 1..=3);
    let (first, second) = (data.file(model(1), chunk(1)), data.file(model(1), chunk(2)));
    flip(&first, 300);
    fs::copy(data.file(model(1), chunk(3)), &second).unwrap();

    let opened = store.open_segments(&[chunk(1), chunk(2), chunk(3), chunk(4)]);

    assert!(matches!(opened[0], Err(LoadError::Damaged { .. })), "{:?}", opened[0]);
    assert!(matches!(opened[1], Err(LoadError::Incompatible { .. })), "{:?}", opened[1]);
    assert!(opened[2].is_ok() && matches!(opened[3], Err(LoadError::Missing)));
    assert!(!first.exists() && !second.exists());
    assert_eq!(store.cached().unwrap(), [chunk(3)]);
}

#[test]
fn opening_counts_as_use_and_an_open_file_stays() {
    let data = Data::new();
    let store = data.store(3);
    put_all(&store, 1..=3);
    let oldest = open(&store, 1);
    drop(open(&store, 2));
    put(&store, 4);
    assert!(!is_cached(&store, 3), "the least recently opened goes first");
    let newer = [open(&store, 2), open(&store, 4)];
    assert_eq!(put(&store, 5), PutOutcome::OverBudget);
    drop(newer);
    put(&store, 5);
    assert!(is_cached(&store, 1) && !is_cached(&store, 2), "what is open is in use");

    // Whatever happens to its name, an open file is read to its end.
    store.remove(&[chunk_id(1)]).unwrap();
    assert_eq!(oldest.read_all().unwrap(), *segment(1));
}

#[test]
fn a_file_that_is_replaced_while_it_is_read_keeps_its_content() {
    let data = Data::new();
    let store = data.store(10);
    put(&store, 1);
    let file = open(&store, 1).open_direct();
    store.put(chunk(1), segment(2)).unwrap();
    assert_eq!(file.read_all().unwrap(), *segment(1));
    // Reads past the page cache name the file once more; it is another one by now.
    let mut out = vec![0; LAYER_BYTES];
    for layer in 0..LAYOUT.layers {
        file.read_layer(layer, &mut out).unwrap();
        assert_eq!(out, segment(1).data[layer * LAYER_BYTES..][..LAYER_BYTES]);
    }
    assert_eq!(*store.load(chunk(1)).unwrap().0, *segment(2));
}
