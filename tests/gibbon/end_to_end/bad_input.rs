//! Questions, flags and models that cannot work: a clear message, the documented exit code, and nothing broken.

use std::{fs, path::PathBuf, process::Stdio};

use gibbon::index::Writer;

use super::{Home, QUESTION, Running};
use crate::support::default_model;

#[test]
fn questions_that_cannot_be_answered() {
    let home = Home::indexed();
    home.run(&["ask", "xylophone zeppelin"]).assert_fails(3, &["no indexed document has a word", "hint:"]);
    home.run(&["compare", "xylophone zeppelin"]).assert_fails(3, &["no indexed document has a word"]);
    let search = home.run(&["search", "xylophone zeppelin"]);
    assert_eq!((search.code, search.stdout.as_str()), (Some(3), ""), "{search:?}");
    assert!(search.stderr.contains("No document matches"), "{search:?}");
    home.run(&["ask", "?!"]).assert_fails(3, &["no indexed document has a word"]);
    for empty in ["", "  \n\t "] {
        home.run(&["ask", empty]).assert_fails(2, &["no question", "hint:"]);
    }
    home.run(&["ask", "-k", "0", "boiler"]).assert_fails(2, &["--chunks must be at least 1"]);

    let same_word = "boiler ".repeat(100_000 / 7);
    home.run(&["ask", &same_word])
        .assert_fails(1, &["tokens do not fit the model's context of 8192", "hint:"]);
    let many_words: String = (0..12_000).map(|number| format!("{number:07} ")).collect();
    home.run(&["ask", &format!("boiler {many_words}")]).assert_fails(1, &["do not fit the model's context"]);
    home.assert_usable();
}

#[test]
fn more_chunks_than_there_are_is_all_of_them() {
    let home = Home::indexed();
    let answer = home.json(&["ask", "-k", "1000000", "boiler pump shears wheelbarrow tomatoes key"]);
    let sources = answer["sources"].as_array().unwrap().len();
    assert!(sources > 6 && sources <= home.indexed_chunks().len(), "{answer}");
    let most = home.run(&["search", "-k", "18446744073709551615", QUESTION]);
    assert_eq!(most.code, Some(0), "{most:?}");
}

/// Enough text that all of it does not fit the model's context. None of it is encoded to find that out.
#[test]
fn a_context_larger_than_the_models_is_refused_before_any_work() {
    let home = Home::new();
    let long = |title: &str| {
        let paragraph =
            |number: usize| format!("The {title} log of day {number} says that the boiler ran well.\n\n");
        (0..400).map(paragraph).collect::<String>()
    };
    home.write("first.txt", long("first"));
    home.write("second.txt", long("second"));
    home.json(&["index", "documents", "--no-encode"]);
    for strategy in ["full", "concat"] {
        let run = home.run(&["ask", "--strategy", strategy, "-k", "1000", "boiler"]);
        run.assert_fails(1, &["do not fit the model's context of 8192", "fewer chunks (-k)"]);
        assert!(home.cached_chunks().is_empty(), "{strategy} encoded what it cannot use");
    }
    let compared = home.run(&[
        "compare",
        "-k",
        "1000",
        "--strategies",
        "full,concat",
        "--runs",
        "1",
        "--json",
        "boiler",
    ]);
    assert_eq!(compared.code, Some(1), "{compared:?}");
    assert!(home.cached_chunks().is_empty());
    let answer = home.json(&["ask", "-k", "2", "boiler"]);
    assert_eq!(answer["sources"].as_array().unwrap().len(), 2);
    home.assert_sound();
}

/// A GGUF file with one metadata entry, the architecture, and no tensors.
fn gguf_of(architecture: &str) -> Vec<u8> {
    const VERSION: u32 = 3;
    const STRING: u32 = 8;
    let string = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    [
        b"GGUF".to_vec(),
        VERSION.to_le_bytes().to_vec(),
        0u64.to_le_bytes().to_vec(),
        1u64.to_le_bytes().to_vec(),
        string("general.architecture"),
        STRING.to_le_bytes().to_vec(),
        string(architecture),
        vec![0; 64],
    ]
    .concat()
}

#[test]
fn models_that_cannot_be_used() {
    let home = Home::indexed();
    let file = |name: &str, content: &[u8]| -> PathBuf {
        let path = home.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let whole = fs::read(default_model()).unwrap();
    let mut flipped = whole[..1 << 20].to_vec();
    flipped[4..].iter_mut().step_by(7).for_each(|byte| *byte ^= 0xa5);
    let cases = [
        (file("mamba.gguf", &gguf_of("mamba")), "architecture mamba"),
        (file("empty.gguf", b""), "empty.gguf"),
        (file("cut.gguf", &whole[..20 << 20]), "cut.gguf"),
        (file("flipped.gguf", &flipped), "flipped.gguf"),
        (file("text.gguf", &b"this is no model\n".repeat(100)), "text.gguf"),
        (home.path().join("none.gguf"), "none.gguf"),
        (home.documents(), "documents"),
    ];
    for (path, gist) in &cases {
        let model = path.to_str().unwrap();
        for command in [&["ask", "boiler"][..], &["index"]] {
            let run = home.run(&[command, &["--model", model]].concat());
            run.assert_fails(4, &[gist, "hint:"]);
        }
    }
    // What needs no model works without.
    let search = home.run(&["search", "boiler", "--model", cases[0].0.to_str().unwrap()]);
    assert_eq!(search.code, Some(0), "{search:?}");
    home.assert_usable();
}

#[test]
fn a_model_that_is_not_there_and_may_not_be_fetched() {
    let home = Home::without_model();
    home.write("boiler.md", super::BOILER);
    for arguments in [&["index", "documents"][..], &["ask", "boiler"], &["demo"], &["model", "pull"]] {
        home.run(arguments).assert_fails(4, &["SmolLM2-135M-Instruct", "hint:"]);
    }
    let run = home.run(&["ask", "boiler", "--json"]);
    assert_eq!((run.code, run.json()["error"]["kind"].as_str()), (Some(4), Some("no_model")), "{run:?}");

    // A file of the right name that is not the model.
    fs::create_dir_all(home.data().join("models")).unwrap();
    fs::write(home.data().join("models").join(gibbon::model::hub::DEFAULT_MODEL.file), b"GGUF").unwrap();
    home.run(&["ask", "boiler"]).assert_fails(4, &["4 bytes", "hint:"]);
}

#[test]
fn one_index_run_at_a_time() {
    let home = Home::indexed();
    let writer = Writer::open(&home.data()).unwrap();
    let process = format!("process {}", std::process::id());
    home.run(&["index"]).assert_fails(5, &["is indexing", &process, "wait"]);
    let refused = home.run(&["index", "--json"]);
    assert_eq!((refused.code, refused.json()["error"]["kind"].as_str()), (Some(5), Some("busy")));
    home.assert_usable();
    drop(writer);
    assert_eq!(home.run(&["index"]).code, Some(0));
}

#[test]
fn questions_are_answered_while_another_process_indexes() {
    let home = Home::with_documents();
    let mut running = home.start(&["index", "documents", "--json"]);
    home.wait_for_cached(1, &mut running);
    let mut asking = home.command(&["ask", QUESTION, "--json"]);
    let answer = Running::start(asking.stdin(Stdio::null())).finish();
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert_eq!(answer.json()["sources"][0]["label"], "boiler.md § Pressure");
    let indexed = running.finish();
    assert_eq!(indexed.code, Some(0), "{indexed:?}");
    home.state().assert_same(&super::undisturbed().state());
    home.assert_sound();
}
