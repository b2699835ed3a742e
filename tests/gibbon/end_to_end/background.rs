//! An indexer of its own: seen, steered and asked beside by other processes, and keeping up with files that change.

use std::{
    fs::{self, File},
    thread,
    time::{Duration, Instant},
};

use gibbon::{
    config::{Config, ModelSource, Paths},
    engine::{Command, Engine, Event, Outcome, SearchRequest},
};
use rustix::process::Signal;
use serde_json::Value;

use super::{Home, QUESTION, default_model, undisturbed};

/// Longer than anything takes here on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

impl Home {
    /// The indexer's part of the status, once `is_so`.
    #[track_caller]
    fn wait_for_indexer(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.json(&["status"])["indexer"].take();
            if is_so(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{what} did not come: {status}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < deadline, "{what} did not come");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn finds(&self, word: &str) -> bool {
        self.run(&["search", word]).code == Some(0)
    }
}

fn is_watching(indexer: &Value) -> bool {
    indexer["activity"] == "watching"
}

#[test]
fn what_changes_is_indexed_and_encoded_until_it_is_told_to_stop() {
    let home = Home::with_documents();
    let running = home.start(&["index", "documents", "--watch"]);
    let status = home.wait_for_indexer("watching", is_watching);
    assert_eq!(status["watched"][0]["mode"], "events", "{status}");
    home.state().assert_same(&undisturbed().state());

    home.write("new/cellar.md", "# Cellar\n\nThe potatoes are kept in the zinc trough.\n");
    home.wait_until("a new file", || home.finds("zinc trough"));
    home.wait_until("its cache", || home.cached_chunks() == home.indexed_chunks());
    let caches = home.caches();
    fs::create_dir(home.documents().join("moved")).unwrap();
    fs::rename(home.documents().join("new/cellar.md"), home.documents().join("moved/cellar.md")).unwrap();
    home.wait_until("the moved file", || {
        // For a moment, it may be nowhere.
        let run = home.run(&["search", "zinc trough", "--json"]);
        run.stdout.contains("moved/cellar.md")
    });
    assert!(home.caches() == caches, "a file that moves keeps its caches");
    fs::remove_dir_all(home.documents().join("moved")).unwrap();
    home.wait_until("the end of a file", || !home.finds("zinc trough"));
    home.wait_until("the end of its cache", || home.cached_chunks() == home.indexed_chunks());

    running.signal(Signal::TERM);
    let run = running.finish();
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stderr.contains("watching documents"), "{run:?}");
    home.assert_usable();
    assert_eq!(home.json(&["status"])["indexer"], Value::Null);
}

#[test]
fn in_the_background_it_is_seen_paused_and_stopped_from_elsewhere() {
    let home = Home::with_documents();
    let started = home.run(&["index", "documents", "--watch", "--background"]);
    assert_eq!(started.code, Some(0), "{started:?}");
    let process: u64 = started.stdout.trim().rsplit(' ').next().unwrap().parse().unwrap();
    home.run(&["index", "--pause"]).assert_done("is pausing");
    let paused = home.wait_for_indexer("the pause", |indexer| {
        indexer["progress"]["hold"] == "paused" || is_watching(indexer)
    });
    assert_eq!(paused["process"], process);

    let busy = home.run(&["index"]);
    busy.assert_fails(5, &[&format!("(process {process}) is indexing"), "index --stop"]);
    let again = home.run(&["index", "--background"]);
    again.assert_fails(5, &[&format!("(process {process}) is indexing")]);

    home.run(&["index", "--resume"]).assert_done("goes on");
    home.wait_for_indexer("watching", is_watching);
    home.assert_usable();
    home.run(&["index", "--stop"]).assert_done("has stopped");
    assert_eq!(home.json(&["status"])["indexer"], Value::Null);
    for left in ["indexer.json", "indexer.order", "indexer.new"] {
        assert!(!home.data().join(left).exists(), "{left}");
    }
    home.run(&["index", "--stop"]).assert_fails(1, &["nothing is being indexed"]);
    home.state().assert_same(&undisturbed().state());
}

#[test]
fn in_the_background_what_cannot_be_started_says_why() {
    let home = Home::with_documents();
    home.run(&["index", "nowhere", "--background"]).assert_fails(2, &["nowhere", "does not exist"]);
    let empty = Home::new();
    empty.run(&["index", "--watch"]).assert_fails(3, &["nothing"]);
}

#[test]
fn it_gives_way_to_a_question_of_another_process() {
    let home = Home::with_documents();
    home.json(&["index", "documents", "--no-encode"]);
    let asking = File::create(home.data().join("question.lock")).unwrap();
    asking.lock_shared().unwrap();
    let running = home.start(&["index", "documents"]);
    home.wait_for_indexer("giving way", |indexer| indexer["progress"]["hold"] == "question");
    drop(asking);
    let run = running.finish();
    assert_eq!(run.code, Some(0), "{run:?}");
    home.state().assert_same(&undisturbed().state());
}

#[test]
fn a_process_that_runs_already_finds_what_another_one_indexes() {
    let home = Home::indexed();
    let mut config = Config::with_paths(Paths {
        config_file: home.path().join("config.toml"),
        data: home.data(),
        state: home.path().join("state"),
    });
    config.model.source = ModelSource::Path(default_model());
    config.corpus.chunk_tokens = 96;
    let (engine, mut events) = Engine::start(config);
    let mut search = |question: &str| {
        let id = engine.next_request();
        engine.send(Command::Search(SearchRequest {
            id,
            question: question.into(),
            ..SearchRequest::default()
        }));
        loop {
            match events.blocking_recv().expect("the engine runs") {
                Event::Done { id: done, outcome: Outcome::Found(found) } if done == id => return found.len(),
                Event::Failed { failure, .. } => panic!("{failure}"),
                _ => {}
            }
        }
    };
    assert!(search(QUESTION) > 0);
    assert_eq!(search("zinc trough"), 0);
    home.write("cellar.md", "The potatoes are kept in the zinc trough.\n");
    home.json(&["index", "--no-encode"]);
    assert_eq!(search("zinc trough"), 1);
    fs::remove_file(home.documents().join("cellar.md")).unwrap();
    home.json(&["index", "--no-encode"]);
    assert_eq!(search("zinc trough"), 0);
}

#[test]
fn many_programs_that_start_at_once_are_done_or_busy() {
    let home = Home::with_documents();
    let running: Vec<_> = (0..8)
        .map(|number| match number % 4 {
            3 => home.start(&["status", "--json"]),
            _ => home.start(&["index", "documents", "--no-encode"]),
        })
        .collect();
    let runs: Vec<_> = running.into_iter().map(super::Running::finish).collect();
    assert!(runs.iter().all(|run| matches!(run.code, Some(0 | 5))), "{runs:?}");
    assert!(runs.iter().filter(|run| run.code == Some(0)).count() >= 3, "{runs:?}");
    let report = home.json(&["index", "--no-encode"]);
    assert_eq!(report["files_unchanged"], super::DOCUMENTS.len(), "{report}");
    home.assert_usable();
}

#[test]
fn a_renamed_file_is_encoded_again_and_its_old_caches_are_gone() {
    let home = Home::indexed();
    let before = home.cached_chunks();
    fs::rename(home.documents().join("boiler.md"), home.documents().join("heating.md")).unwrap();
    let report = home.json(&["index"]);
    assert_eq!(
        (&report["files_added"], &report["files_removed"]),
        (&Value::from(1), &Value::from(1)),
        "{report}"
    );
    let after = home.cached_chunks();
    assert_eq!(after, home.indexed_chunks());
    let encoded = report["chunks_encoded"].as_u64().unwrap() as usize;
    assert!(encoded > 0, "the label names the file");
    assert_eq!((before.difference(&after).count(), after.difference(&before).count()), (encoded, encoded));
    home.assert_sound();
}

#[test]
fn the_data_directory_inside_a_folder_is_not_indexed() {
    let home = Home::with_documents();
    fs::write(home.path().join("beside.md"), "The attic is insulated with hemp.\n").unwrap();
    fs::write(home.data().join("readme.md"), "hemp hemp hemp\n").unwrap();
    let report = home.json(&["index", ".", "--no-encode"]);
    assert!(report["files_added"].as_u64() >= Some(6), "{report}");
    let found = home.json(&["search", "hemp", "-k", "10"]);
    assert_eq!(found["chunks"].as_array().unwrap().len(), 1, "{found}");
}
