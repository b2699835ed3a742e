//! Collections: which files they choose, which caches are made for them, and that a cache is used after its own prefix
//! alone.

use super::*;

const PROMPT: &str = "You are the gardener and answer in one short sentence.";

/// Two collections of the documents: the garden, with a prompt of its own, and texts about the house.
fn config() -> String {
    format!(
        "{CONFIG}\n[collections.garden]\npaths = ['documents/garden']\nsystem_prompt = '{PROMPT}'\nchunks = 2\n\n\
         [collections.house]\npaths = ['documents']\ninclude = ['*.md']\nexclude = ['garden/', 'keys.md']\n"
    )
}

fn home() -> Home {
    let home = Home::with_documents();
    home.write_config(&config());
    home
}

/// Labels of the chunks that an answer or a search drew on.
fn labels(value: &Value, field: &str) -> Vec<String> {
    let chunks = value[field].as_array().expect("there are chunks");
    chunks.iter().map(|chunk| chunk["label"].as_str().unwrap().to_owned()).collect()
}

/// Cached chunks by fingerprint.
fn cached(home: &Home) -> BTreeMap<String, usize> {
    let mut groups = BTreeMap::new();
    for path in home.caches().keys().filter(|path| !path.ends_with("prefix.safetensors")) {
        let group = path.components().nth(1).expect("version, fingerprint, file");
        *groups.entry(group.as_os_str().to_string_lossy().into_owned()).or_default() += 1;
    }
    groups
}

#[test]
fn every_chunk_is_encoded_for_the_collections_it_is_in() {
    let home = home();
    let report = home.json(&["index"]);
    // The pump belongs to no collection, and the keys are left out: nobody added their folder but the collections.
    assert_eq!(report["files_added"], 3, "{report}");
    assert_eq!(report["chunks_encoded"], report["chunks_added"], "{report}");
    let rows = home.json(&["cache", "ls", "--by", "collection"]);
    let row = |name: &str| {
        let rows = rows["collections"].as_array().unwrap();
        rows.iter().find(|row| row["collection"] == name).unwrap().clone()
    };
    for (name, files) in [("garden", 2), ("house", 1), ("default", 0)] {
        let row = row(name);
        assert_eq!((&row["files"], &row["cached_chunks"]), (&files.into(), &row["chunks"]), "{row}");
    }
    let groups = cached(&home);
    let mut counts: Vec<usize> = groups.values().copied().collect();
    counts.sort_unstable();
    let mut expected =
        ["garden", "house"].map(|name| row(name)["chunks"].as_u64().unwrap() as usize).to_vec();
    expected.sort_unstable();
    assert_eq!(counts, expected, "each under the prefix of its own collection");

    let again = home.json(&["index"]);
    assert_eq!(again["chunks_encoded"], 0, "{again}");
    assert_eq!(again["status"]["cached_chunks"], again["status"]["chunks"], "{again}");
    // What is indexed as a whole belongs to no collection where none wants it.
    let whole = home.json(&["index", "documents/pump.txt", "documents/keys.md"]);
    assert_eq!(whole["files_added"], 0, "they lie in a folder that collections choose from: {whole}");
}

#[test]
fn a_question_is_kept_to_its_collections_and_uses_the_caches_of_their_prefix() {
    let home = home();
    home.json(&["index"]);
    let before = home.caches();
    let question =
        "At what pressure does the safety valve open, what is oiled, and when are tomatoes watered?";

    let garden = home.json(&["ask", "--in", "garden", question]);
    assert_eq!(garden["sources"].as_array().unwrap().len(), 2, "{garden}");
    assert!(labels(&garden, "sources").iter().all(|label| !label.contains("boiler")), "{garden}");
    assert_eq!(garden["timings"]["encode"]["chunks"], 0, "{garden}");
    let house = home.json(&["ask", "--in", "house", question]);
    assert!(labels(&house, "sources").iter().all(|label| label.contains("boiler")), "{house}");
    assert_eq!(home.caches(), before, "nothing was encoded anew");

    // All of them are asked with the general prompt, for which the garden's chunks are not cached.
    let all = home.json(&["ask", "-k", "9", question]);
    let encoded = all["timings"]["encode"]["chunks"].as_u64().unwrap();
    assert!(encoded > 0, "{all}");
    let note = all["warnings"][0].as_str().unwrap();
    assert!(note.contains("different system prompts") && note.contains("general prompt"), "{note}");
    let again = home.json(&["ask", "-k", "9", "--in", "garden,house", question]);
    assert_eq!(
        (&again["warnings"], &again["timings"]["encode"]["chunks"]),
        (&Value::Array(vec![]), &0.into())
    );
    assert_eq!(again["token_ids"], all["token_ids"]);

    // Without any cache the answers are the same: none was ever made after one prefix and used after another.
    fs::remove_dir_all(home.data().join("kv")).unwrap();
    for (names, expected) in [("garden", &garden), ("house", &house)] {
        let answer = home.json(&["ask", "--in", names, question]);
        assert_eq!(answer["token_ids"], expected["token_ids"], "{names}");
        assert_eq!(
            answer["timings"]["encode"]["chunks"].as_u64(),
            Some(answer["sources"].as_array().unwrap().len() as u64)
        );
    }
    let all_again = home.json(&["ask", "-k", "9", question]);
    assert_eq!(all_again["token_ids"], all["token_ids"]);
    home.assert_sound();

    // The general prompt's caches are those that a home without collections makes.
    let plain = Home::indexed();
    let general = cached(&plain).into_keys().next().unwrap();
    assert!(cached(&home).contains_key(&general), "the same prefix is the same directory");
    home.run(&["ask", "--in", "lore", question]).assert_fails(2, &["`lore`", "`garden`, `house`, `default`"]);
    let found = home.json(&["search", "--in", "house", "key oil valve"]);
    assert!(labels(&found, "chunks").iter().all(|label| label.contains("boiler")), "{found}");
    let compared = home.json(&["compare", "--in", "garden", "--runs", "1", "--strategies", "ape", question]);
    assert!(labels(&compared, "sources").iter().all(|label| !label.contains("boiler")), "{compared}");
}

#[test]
fn a_collection_that_is_gone_lets_nothing_in_that_it_left_out() {
    let home = home();
    home.json(&["index"]);
    let removed = home.run(&["collection", "remove", "house"]);
    assert_eq!(removed.code, Some(0), "{removed:?}");
    let report = home.json(&["index"]);
    assert_eq!((&report["files_added"], &report["files_removed"]), (&0.into(), &0.into()), "{report}");
    let issue = report["issues"][0]["reason"].as_str().unwrap();
    assert!(issue.contains("no collection any more") && issue.contains("--forget"), "{issue}");
    let whole = home.json(&["index", "documents"]);
    assert_eq!(whole["files_added"], 2, "now it was added as a whole: {whole}");
    assert_eq!(home.json(&["index"])["issues"].as_array().unwrap().len(), 0);
}

#[test]
fn the_budget_is_spent_eagerly_and_then_by_use_with_several_prompts() {
    let home = home();
    home.json(&["index"]);
    let sizes: Vec<u64> = home.json(&["cache", "ls"])["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["bytes"].as_u64().unwrap())
        .collect();
    assert_eq!(sizes.len(), 2, "{sizes:?}");
    let half = (sizes.iter().sum::<u64>() / 2).to_string();
    let would = home.json(&["cache", "gc", "--dry-run", "--budget", &half]);
    let caches = home.caches().len();
    assert!(would["over_budget"]["files"].as_u64().unwrap() > 0, "{would}");
    assert_eq!(home.caches().len(), caches, "a dry run");
    let done = home.json(&["cache", "gc", "--budget", &half]);
    assert_eq!(done["over_budget"], would["over_budget"]);
    assert!(done["kept"]["bytes"].as_u64().unwrap() <= half.parse().unwrap(), "{done}");

    // Encoding ahead fills what is left and pushes out neither prompt's caches.
    let kept = home.cached_chunks();
    let report = home.json(&["index", "--budget", &half]);
    assert!(report["chunks_left"].as_u64().unwrap() > 0, "{report}");
    assert!(home.cached_chunks().is_superset(&kept));
    assert!(report["cache_bytes"].as_u64().unwrap() <= half.parse().unwrap(), "{report}");

    // A question encodes what it needs in the place of what was used longest ago; with no budget nothing is kept.
    let asked = ["ask", "--in", "garden", "What is oiled?", "--budget", "0"];
    let nothing = home.json(&asked);
    assert!(nothing["timings"]["encode"]["chunks"].as_u64().unwrap() > 0, "{nothing}");
    assert!(home.cached_chunks().is_empty());
    home.assert_sound();
}

#[test]
fn a_configuration_inside_the_folder_changes_nothing() {
    let home = Home::with_documents();
    let expected = home.json(&["index", "documents", "--no-encode"]);
    let other = Home::with_documents();
    let hostile = "[model]\nsource = '/nowhere.gguf'\n[collections.all-of-it]\npaths = ['/etc']\n[screen]\ntheme = '/x'\n";
    for name in [
        "gibbon.toml",
        "config.toml",
        ".gibbon/config.toml",
        ".config/gibbon/config.toml",
        "garden/gibbon.toml",
    ] {
        other.write(name, hostile);
    }
    other.write(".gibbonignore", "gibbon.toml\nconfig.toml\n!.gibbon\n!../../**\n");
    let mut inside = other.command(&["index", ".", "--no-encode", "--json"]);
    let run = Run::of(&inside.current_dir(other.documents()).output().unwrap());
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.json()["files_added"], expected["files_added"]);
    let collections = other.json(&["collection", "ls"]);
    assert_eq!(collections["collections"].as_array().unwrap().len(), 1, "{collections}");
}
