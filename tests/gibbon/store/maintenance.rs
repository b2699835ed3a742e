//! Listing, verifying and pruning, and chunks that are no longer indexed.

use super::*;

/// Two models: the first with a prefix and three chunks, the second with two.
fn two_models() -> (Data, Store, Store) {
    let data = Data::new();
    let (first, second) = (data.store(20), data.store_of(model(2), 20, 0));
    first.put(SegmentId::Prefix, segment(0)).unwrap();
    put_all(&first, 1..=3);
    put_all(&second, 1..=2);
    (data, first, second)
}

#[test]
fn the_list_adds_up_by_model() {
    let (data, ..) = two_models();
    let groups = maintain::list(data.path(), &mut data.catalogue()).unwrap();
    let summary: Vec<_> = groups
        .iter()
        .map(|group| (group.fingerprint.clone(), group.segments, group.tokens, group.bytes))
        .collect();
    assert_eq!(
        summary,
        [(model(2).to_string(), 2, 200, 2 * FILE_BYTES), (model(1).to_string(), 4, 400, 4 * FILE_BYTES)]
    );
    assert_eq!(groups[0].model.as_deref(), Some("a model"));
    assert!(groups[0].last_used > 1_700_000_000, "seconds since 1970: {}", groups[0].last_used);
}

#[test]
fn chunks_that_are_no_longer_indexed_go_under_every_model() {
    let (data, first, second) = two_models();
    first.remove(&[chunk_id(1), chunk_id(77)]).unwrap();
    for store in [&first, &second] {
        assert!(matches!(store.load(chunk(1)), Err(LoadError::Missing)));
        assert_loads(store, 2);
    }
    maintain::remove_chunks(data.path(), &mut data.catalogue(), &[chunk_id(2)]).unwrap();
    assert_eq!((first.cached().unwrap().len(), second.cached().unwrap().len()), (2, 0));
    assert_eq!(data.files().len(), 2);
}

#[test]
fn verify_finds_what_is_wrong_and_mends_it() {
    let (data, first, second) = two_models();
    let damaged = data.file(model(1), chunk(1));
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[50_000] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    let foreign = data.file(model(1), chunk(2));
    fs::copy(data.file(model(2), chunk(2)), &foreign).unwrap();
    fs::remove_file(data.file(model(2), chunk(1))).unwrap();
    data.catalogue().cache_forget(&[(model(1).to_string(), chunk(3).to_string())]).unwrap();
    let mut progress = Vec::new();

    let report =
        maintain::verify(data.path(), &mut data.catalogue(), &mut |done, total| progress.push((done, total)))
            .unwrap();

    assert_eq!((report.files, report.sound, report.bytes), (5, 3, 5 * FILE_BYTES));
    assert_eq!((report.adopted, report.dropped, report.unfinished), (1, 1, 0));
    let found: HashSet<_> = report.damaged.iter().cloned().collect();
    assert_eq!(found, HashSet::from([damaged.clone(), foreign.clone()]));
    assert!(!damaged.exists() && !foreign.exists());
    assert_eq!(progress, [(0, 5), (5, 5)]);
    assert_loads(&first, 3);
    assert_loads(&second, 2);
    assert_eq!(first.usage().unwrap().bytes, 3 * FILE_BYTES);

    let again = maintain::verify(data.path(), &mut data.catalogue(), &mut |_, _| {}).unwrap();
    assert_eq!((again.files, again.sound, again.damaged.len()), (3, 3, 0));
}

#[test]
fn verify_leaves_alone_what_is_not_the_stores() {
    let (data, ..) = two_models();
    let group = data.path().join("kv/v2").join(model(1).to_string());
    let (outside, name) = (data.path().join("diary.txt"), format!("{}.safetensors", "ef".repeat(32)));
    fs::write(&outside, "dear diary").unwrap();
    fs::write(group.join("notes.txt"), "mine").unwrap();
    fs::create_dir_all(data.path().join("kv/v3")).unwrap();
    fs::write(data.path().join("kv/v3/prefix.safetensors"), "of a newer version").unwrap();
    fs::create_dir(group.join("ef")).unwrap();
    std::os::unix::fs::symlink(&outside, group.join("ef").join(&name)).unwrap();
    std::os::unix::fs::symlink(data.path(), group.join("00")).unwrap();

    let report = maintain::verify(data.path(), &mut data.catalogue(), &mut |_, _| {}).unwrap();

    // The link has one of the store's names and goes; what it points to stays.
    assert_eq!(report.damaged, [group.join("ef").join(&name)]);
    assert!(!group.join("ef").join(&name).is_symlink());
    assert_eq!(fs::read_to_string(&outside).unwrap(), "dear diary");

    maintain::prune(data.path(), &mut data.catalogue(), Prune::All).unwrap();
    assert_eq!(fs::read_to_string(&outside).unwrap(), "dear diary");
    assert!(group.join("notes.txt").exists() && data.path().join("kv/v3/prefix.safetensors").exists());
}

#[test]
fn prune_removes_what_nobody_will_ask_for() {
    let (data, first, second) = two_models();
    let indexed = HashSet::from([chunk_id(1), chunk_id(2)]);
    let unused = Prune::Unused { current: &[model(1)], indexed: &indexed };

    let report = maintain::prune(data.path(), &mut data.catalogue(), unused).unwrap();

    assert_eq!((report.removed_files, report.removed_bytes), (3, 3 * FILE_BYTES));
    assert_eq!((report.kept_files, report.kept_bytes), (3, 3 * FILE_BYTES));
    let left: HashSet<_> = first.cached().unwrap().into_iter().collect();
    assert_eq!(left, HashSet::from([SegmentId::Prefix, chunk(1), chunk(2)]));
    assert!(second.cached().unwrap().is_empty());
    assert!(!data.path().join("kv/v2").join(model(2).to_string()).exists());
    // A store that was open all along goes on working.
    put(&second, 5);
    assert_loads(&second, 5);
}

#[test]
fn prune_without_a_known_model_keeps_every_models_chunks() {
    let (data, first, second) = two_models();
    let indexed = HashSet::from([chunk_id(1)]);
    let unused = Prune::Unused { current: &[], indexed: &indexed };
    maintain::prune(data.path(), &mut data.catalogue(), unused).unwrap();
    assert_eq!((first.cached().unwrap().len(), second.cached().unwrap().len()), (2, 1));
}

#[test]
fn prune_all_leaves_nothing() {
    let (data, first, _second) = two_models();
    let report = maintain::prune(data.path(), &mut data.catalogue(), Prune::All).unwrap();
    assert_eq!((report.removed_files, report.kept_files), (6, 0));
    assert!(data.files().is_empty());
    assert!(maintain::list(data.path(), &mut data.catalogue()).unwrap().is_empty());
    put(&first, 1);
    assert_loads(&first, 1);
}
