//! Whatever happens to the cache changes how long an answer takes, never the answer.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::Value;

use super::{CONFIG, Home, QUESTION, undisturbed};

/// What an answer drew on, by the sources' ranks.
fn origins(answer: &Value) -> Vec<&str> {
    answer["sources"].as_array().unwrap().iter().map(|source| source["origin"].as_str().unwrap()).collect()
}

/// Where the cache of an answer's source is.
fn cache_of(home: &Home, source: &Value) -> PathBuf {
    let file = format!("{}.safetensors", source["id"].as_str().unwrap());
    let files = home.caches();
    let path = files.keys().find(|path| path.ends_with(&file)).expect("every source is cached");
    home.data().join("kv").join(path)
}

/// A home, the answer that its whole cache gives, and what the cache holds.
struct Sound {
    home: Home,
    answer: Value,
    caches: BTreeMap<PathBuf, Vec<u8>>,
}

impl Sound {
    fn new() -> Self {
        let home = Home::indexed();
        let answer = home.json(&["ask", QUESTION]);
        assert!(
            origins(&answer).len() >= 3 && origins(&answer).iter().all(|origin| *origin == "disk"),
            "{answer}"
        );
        assert!(answer["token_ids"].as_array().unwrap().len() > 4, "an answer of some length: {answer}");
        let caches = home.caches();
        Self { home, answer, caches }
    }

    fn cache(&self, rank: usize) -> PathBuf {
        cache_of(&self.home, &self.answer["sources"][rank - 1])
    }

    /// Asks again: the same tokens, a warning for each damaged file that names it, these origins; afterwards the
    /// cache is what it was.
    #[track_caller]
    fn assert_same_answer(&self, what: &str, expected: &[&str], damaged: &[PathBuf]) {
        let run = self.home.run(&["ask", QUESTION, "--json"]);
        assert_eq!(run.code, Some(0), "{what}: {run:?}");
        let answer = run.json();
        assert_eq!(answer["token_ids"], self.answer["token_ids"], "{what}: {answer}");
        assert_eq!(origins(&answer), expected, "{what}: {answer}");
        assert_eq!(
            run.stderr.lines().filter(|line| line.starts_with("warning:")).count(),
            damaged.len(),
            "{run:?}"
        );
        let warnings: Vec<&str> =
            answer["warnings"].as_array().unwrap().iter().map(|warning| warning.as_str().unwrap()).collect();
        assert_eq!(warnings.len(), damaged.len(), "{what}: {warnings:?}");
        for path in damaged {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert_eq!(
                warnings.iter().filter(|warning| warning.contains(name)).count(),
                1,
                "{what}: {warnings:?}"
            );
        }
        assert!(self.home.caches() == self.caches, "{what}: every file is back as it was");
        self.home.assert_sound();
    }
}

/// The origins with that of one rank replaced.
fn with(origins: &[&'static str], rank: usize, origin: &'static str) -> Vec<&'static str> {
    let mut changed = origins.to_vec();
    changed[rank - 1] = origin;
    changed
}

#[test]
fn a_damaged_file_is_told_encoded_again_and_changes_nothing() {
    let sound = Sound::new();
    let all_from_disk = vec!["disk"; origins(&sound.answer).len()];
    type Damage = fn(&mut Vec<u8>);
    let kinds: [(&str, Damage); 6] = [
        ("cut short", |file| file.truncate(file.len() / 2)),
        ("empty", Vec::clear),
        ("a flipped bit in the data", |file| {
            let middle = file.len() * 3 / 4;
            file[middle] ^= 4;
        }),
        ("a flipped bit in the header", |file| file[100] ^= 1),
        ("a flipped bit in the header's length", |file| file[1] ^= 0x20),
        ("something else", |file| *file = b"not a cache file at all".repeat(4000)),
    ];
    for (number, (what, damage)) in kinds.into_iter().enumerate() {
        let rank = 1 + number % all_from_disk.len();
        let path = sound.cache(rank);
        let mut content = fs::read(&path).unwrap();
        damage(&mut content);
        fs::write(&path, content).unwrap();
        sound.assert_same_answer(what, &with(&all_from_disk, rank, "repaired"), &[path]);
    }
}

#[test]
fn several_damaged_files_are_told_one_by_one() {
    let sound = Sound::new();
    let paths = [sound.cache(1), sound.cache(3)];
    for path in &paths {
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(5000).unwrap();
    }
    let all_from_disk = vec!["disk"; origins(&sound.answer).len()];
    let expected = with(&with(&all_from_disk, 1, "repaired"), 3, "repaired");
    sound.assert_same_answer("two files", &expected, &paths);

    let caches = sound.home.data().join("kv");
    let prefix = sound.caches.keys().find(|path| path.ends_with("prefix.safetensors")).unwrap();
    let prefix = caches.join(prefix);
    let mut content = fs::read(&prefix).unwrap();
    let last = content.len() - 1;
    content[last] ^= 0x40;
    fs::write(&prefix, content).unwrap();
    sound.assert_same_answer("the prefix's file", &all_from_disk, &[prefix]);
}

#[test]
fn a_file_of_another_prompt_or_chunk_is_not_taken_for_the_chunks_own() {
    let sound = Sound::new();
    let all_from_disk = vec!["disk"; origins(&sound.answer).len()];
    let (first, second) = (sound.cache(1), sound.cache(2));

    fs::copy(&second, &first).unwrap();
    sound.assert_same_answer(
        "another chunk's file",
        &with(&all_from_disk, 1, "repaired"),
        std::slice::from_ref(&first),
    );

    // The same chunk behind another system prompt: the same name in another directory.
    sound
        .home
        .write_config(&CONFIG.replace("[answer]", "[answer]\nsystem_prompt = 'You are a terse plumber.'"));
    let other = sound.home.json(&["ask", QUESTION]);
    assert!(origins(&other).iter().all(|origin| *origin == "encoded"), "no cache is shared: {other}");
    sound.home.write_config(CONFIG);
    let name = first.file_name().unwrap();
    let files = sound.home.caches();
    let mut same_name = files.keys().filter(|path| path.file_name() == Some(name));
    let foreign = same_name.find(|path| !first.ends_with(path)).expect("the other prompt's file is there");
    let foreign = sound.home.data().join("kv").join(foreign);
    fs::copy(&foreign, &first).unwrap();
    let sound = Sound { caches: files, ..sound };
    sound.assert_same_answer("another prompt's file", &with(&all_from_disk, 1, "repaired"), &[first]);
}

#[test]
fn deleting_the_cache_changes_no_answer() {
    let home = Home::indexed();
    for strategy in ["concat", "parallel", "ape"] {
        let cached = home.json(&["ask", QUESTION, "--strategy", strategy]);
        assert!(origins(&cached).iter().all(|origin| *origin == "disk"), "{cached}");
        fs::remove_dir_all(home.data().join("kv")).unwrap();
        let run = home.run(&["ask", QUESTION, "--strategy", strategy, "--json"]);
        let encoded = run.json();
        assert!(origins(&encoded).iter().all(|origin| *origin == "encoded"), "{encoded}");
        assert_eq!(cached["token_ids"], encoded["token_ids"], "{strategy}");
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "a cache that is gone is no damage");
    }
}

#[test]
fn files_that_were_deleted_are_encoded_again() {
    let sound = Sound::new();
    let caches = sound.home.data().join("kv");
    for path in sound.caches.keys() {
        fs::remove_file(caches.join(path)).unwrap();
    }
    let run = sound.home.run(&["ask", QUESTION, "--json"]);
    let answer = run.json();
    assert_eq!(answer["token_ids"], sound.answer["token_ids"]);
    assert!(origins(&answer).iter().all(|origin| *origin == "encoded"), "{answer}");
    assert_eq!(run.stderr, "");
    let used = origins(&answer).len();
    let report = sound.home.json(&["index"]);
    assert_eq!(
        report["chunks_encoded"],
        sound.caches.len() - 1 - used,
        "what was not needed is left: {report}"
    );
    assert!(sound.home.caches() == undisturbed().caches());
    sound.home.assert_sound();
}
