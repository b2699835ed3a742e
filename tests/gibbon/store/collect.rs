//! Garbage collection, and the budget with several models and prompts.

use std::collections::HashSet;

use gibbon::store::collect::{Amount, Collect, Collected, collect};

use super::*;

fn files(files: usize) -> Amount {
    Amount { files, bytes: files as u64 * FILE_BYTES }
}

/// Collects with everything indexed but chunk 9, and the first model in use.
fn run(data: &Data, budget: u64, only_current: bool, dry_run: bool) -> Collected {
    let indexed: HashSet<ChunkId> = (1..=8).map(chunk_id).collect();
    let budget = budget * FILE_BYTES;
    let by = Collect { budget, indexed: &indexed, current: &[model(1)], only_current, dry_run };
    collect(data.path(), &mut data.catalogue(), by).unwrap()
}

/// The first model with its prefix and the chunks 1, 2, 3 and 9, the second, used after it, with 1 and 2.
fn two_models() -> Data {
    let data = Data::new();
    let (first, second) = (data.store(20), data.store_of(model(2), 20, 0));
    first.put(SegmentId::Prefix, segment(0)).unwrap();
    put_all(&first, [1, 2, 3, 9]);
    put_all(&second, 1..=2);
    data
}

#[test]
fn what_is_not_indexed_goes_and_other_models_stay_while_there_is_room() {
    let data = two_models();
    let expected = Collected { not_indexed: files(1), kept: files(6), ..Collected::default() };
    let before = data.files();
    assert_eq!(run(&data, 20, false, true), expected);
    assert_eq!(data.files(), before, "a dry run removes nothing");
    assert_eq!(run(&data, 20, false, false), expected);
    assert_eq!(data.files().len(), 6);
    assert_eq!(data.catalogue().cache_bytes().unwrap(), 6 * FILE_BYTES);
    assert_eq!(run(&data, 20, false, false), Collected { kept: files(6), ..Collected::default() });
}

#[test]
fn other_models_go_when_they_are_to() {
    let data = two_models();
    let expected =
        Collected { not_indexed: files(1), other_models: files(2), kept: files(4), ..Collected::default() };
    assert_eq!(run(&data, 20, true, false), expected);
    let groups = maintain::list(data.path(), &mut data.catalogue()).unwrap();
    assert_eq!(groups.iter().map(|group| group.segments).collect::<Vec<_>>(), [4]);
}

#[test]
fn beyond_the_budget_the_least_recently_used_goes_and_the_prefix_stays() {
    let data = two_models();
    data.store(20).load(chunk(1)).unwrap();
    let expected =
        Collected { not_indexed: files(1), over_budget: files(3), kept: files(3), ..Collected::default() };
    assert_eq!(run(&data, 3, false, false), expected);
    let first = data.store(20);
    // Chunks 2 and 3 of the first model and 1 of the second were used before these.
    assert_eq!(first.cached().unwrap().len(), 2);
    assert!(is_cached(&first, 1) && first.contains(SegmentId::Prefix));
    assert!(is_cached(&data.store_of(model(2), 20, 0), 2));

    let nothing = run(&data, 0, false, false);
    assert_eq!((nothing.over_budget, nothing.kept), (files(2), files(1)), "the prefix in use");
}

#[test]
fn abandoned_files_and_earlier_formats_go_too() {
    let data = two_models();
    let earlier = data.path().join("kv/v1").join(model(1).to_string());
    fs::create_dir_all(&earlier).unwrap();
    fs::write(earlier.join("prefix.safetensors"), vec![0; 8192]).unwrap();
    let mut gone = std::process::Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let unfinished = data.file(model(1), chunk(1)).with_extension(format!("{}.abc.unfinished", gone.id()));
    fs::write(&unfinished, vec![0; 4096]).unwrap();
    for dry_run in [true, false] {
        let done = run(&data, 20, false, dry_run);
        assert_eq!((done.outdated.files, done.unfinished.files), (1, 1), "{done:?}");
        assert!(done.outdated.bytes >= 8192 && done.unfinished.bytes >= 4096);
        assert_eq!(unfinished.exists(), dry_run);
        assert_eq!(earlier.exists(), dry_run);
    }
}

#[test]
fn encoding_ahead_spares_the_caches_of_the_prompts_in_use() {
    let data = Data::new();
    let first = data.store(4);
    put_all(&first, 1..=2);
    let beside = |number| {
        let target = StoreTarget { fingerprint: model(number), layout: LAYOUT, model: "a model".into() };
        first.beside(data.path(), target).unwrap()
    };
    let (second, third) = (beside(2), beside(3));
    put_all(&third, 1..=2);
    // The cache is full; room could be made only by pushing something out.
    assert!(second.has_room_beside(TOKENS, 0, &[]).unwrap(), "others may go");
    assert!(
        second.has_room_beside(TOKENS, 0, &[model(1)]).is_ok_and(|has_room| !has_room),
        "used longest ago"
    );
    first.load(chunk(1)).unwrap();
    first.load(chunk(2)).unwrap();
    assert!(second.has_room_beside(TOKENS, 0, &[model(1)]).unwrap(), "the third model's goes");
    assert!(!second.has_room_beside(TOKENS, 0, &[model(1), model(3)]).unwrap());
}

#[test]
fn the_same_chunk_after_two_prefixes_is_two_segments_in_memory_too() {
    let data = Data::new();
    let first = data.store_of(model(1), 20, 1 << 20);
    let target = StoreTarget { fingerprint: model(2), layout: LAYOUT, model: "a model".into() };
    let second = first.beside(data.path(), target).unwrap();
    first.put(chunk(1), segment(1)).unwrap();
    assert!(matches!(second.load(chunk(1)), Err(LoadError::Missing)));
    second.put(chunk(1), segment(2)).unwrap();
    assert_eq!(first.load(chunk(1)).unwrap().0.data[..], segment(1).data[..]);
    assert_eq!(second.load(chunk(1)).unwrap().0.data[..], segment(2).data[..]);
}

#[test]
fn a_budget_lowered_below_what_is_used_is_kept_at_the_next_start() {
    let data = two_models();
    let first = data.store(3);
    assert_eq!(data.allocated(), 3 * FILE_BYTES);
    assert!(first.contains(SegmentId::Prefix));
    drop(first);
    let none = data.store(0);
    assert_eq!(put(&none, 5), PutOutcome::OverBudget);
    assert_eq!(data.files().len(), 1, "the prefix in use stays");
}
