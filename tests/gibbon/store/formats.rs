//! Files of other versions of the format.

use gibbon::catalogue::CacheRecord;

use super::*;

/// A file as version 1 wrote it: `chunk(1)` of `model(1)`, two tokens of `LAYOUT`.
const VERSION_1: &[u8] = include_bytes!("../../data/kv_v1/chunk.safetensors");

/// Puts the old file where its version kept it, and says where.
fn with_old_file(data: &Data) -> PathBuf {
    let current = data.file(model(1), chunk(1));
    let below_root = current.strip_prefix(data.path().join("kv/v2")).unwrap();
    let old = data.path().join("kv/v1").join(below_root);
    fs::create_dir_all(old.parent().unwrap()).unwrap();
    fs::write(&old, VERSION_1).unwrap();
    old
}

#[test]
fn a_store_that_opens_removes_what_earlier_versions_left_and_says_so() {
    let data = Data::new();
    let old = with_old_file(&data);
    let kept = data.path().join("kv/v1/notes.txt");
    fs::write(&kept, "mine").unwrap();
    // As that version recorded it.
    let (fingerprint, segment) = (model(1).to_string(), chunk(1).to_string());
    let record = CacheRecord { fingerprint, segment, tokens: 2, bytes: 2 * 4096, last_used: 1 };
    data.catalogue().cache_record(&[record]).unwrap();

    let store = data.store(10);

    assert_eq!((store.outdated().files, store.outdated().bytes), (1, 2 * 4096));
    assert!(!old.exists() && !old.parent().unwrap().exists(), "with its empty directories");
    assert!(kept.exists());
    assert!(matches!(store.load(chunk(1)), Err(LoadError::Missing)));
    assert_eq!(store.usage().unwrap().bytes, 0);
    put(&store, 1);
    assert_loads(&store, 1);
    assert_eq!(data.store(10).outdated().files, 0);
}

#[test]
fn the_last_old_file_takes_its_directory_along() {
    let data = Data::new();
    with_old_file(&data);
    data.store(10);
    assert!(!data.path().join("kv/v1").exists());
}

#[test]
fn verify_and_prune_count_what_they_remove_of_earlier_versions() {
    let data = Data::new();
    put(&data.store(10), 2);
    with_old_file(&data);
    let report = maintain::verify(data.path(), &mut data.catalogue(), &mut |_, _| {}).unwrap();
    assert_eq!((report.outdated.files, report.files, report.sound), (1, 1, 1));

    let old = with_old_file(&data);
    let indexed = HashSet::from([chunk_id(1), chunk_id(2)]);
    let unused = Prune::Unused { current: &[model(1)], indexed: &indexed };
    let report = maintain::prune(data.path(), &mut data.catalogue(), unused).unwrap();
    assert_eq!((report.removed_files, report.removed_bytes, report.kept_files), (1, 2 * 4096, 1));
    assert!(!old.exists());
}

#[test]
fn links_in_an_old_directory_are_not_followed() {
    let (data, elsewhere) = (Data::new(), Data::new());
    let old = with_old_file(&elsewhere);
    fs::create_dir_all(data.path().join("kv")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path().join("kv/v1"), data.path().join("kv/v1")).unwrap();
    assert_eq!(data.store(10).outdated().files, 0);
    assert!(old.exists());
}

#[test]
fn a_later_version_is_left_alone() {
    let data = Data::new();
    let later = data.path().join("kv/v3").join(model(1).to_string()).join("prefix.safetensors");
    fs::create_dir_all(later.parent().unwrap()).unwrap();
    fs::write(&later, "of a later version").unwrap();

    let store = data.store(10);
    maintain::verify(data.path(), &mut data.catalogue(), &mut |_, _| {}).unwrap();
    maintain::prune(data.path(), &mut data.catalogue(), Prune::All).unwrap();

    assert_eq!((store.outdated().files, store.usage().unwrap().bytes), (0, 0));
    assert_eq!(fs::read_to_string(&later).unwrap(), "of a later version");
}

#[test]
fn an_old_file_under_a_name_of_today_is_not_used() {
    let data = Data::new();
    let store = data.store(10);
    put(&store, 1);
    let path = data.file(model(1), chunk(1));
    fs::write(&path, VERSION_1).unwrap();

    let error = store.load(chunk(1)).unwrap_err();

    assert!(matches!(error, LoadError::Incompatible { .. }), "{error}");
    assert!(error.to_string().contains("another version of the format"), "{error}");
    assert!(!path.exists());
}
