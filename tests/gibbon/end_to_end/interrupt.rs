//! Exit codes, the two streams, readers that go away, and Ctrl-C.

use std::io::Read;

use rustix::process::Signal;

use super::{CONFIG, Home, LONG_QUESTION, QUESTION, undisturbed};

#[test]
fn the_answer_is_on_standard_output_and_all_else_on_standard_error() {
    let home = Home::indexed();
    let json = home.json(&["ask", QUESTION]);
    let plain = home.run(&["ask", QUESTION]);
    assert_eq!(plain.code, Some(0));
    assert_eq!(plain.stdout, format!("{}\n", json["answer"].as_str().unwrap()));
    assert!(plain.stderr.contains("Sources") && plain.stderr.contains("first token"), "{plain:?}");
    assert!(
        !plain.stderr.contains('\r') && !plain.stderr.contains('\u{1b}'),
        "no progress outside a terminal"
    );
    let quiet = home.run(&["ask", QUESTION, "--quiet"]);
    assert_eq!((quiet.stdout, quiet.stderr), (plain.stdout, String::new()));

    let index = home.run(&["index", "--json"]);
    assert_eq!((index.code, index.stderr.as_str(), index.stdout.lines().count()), (Some(0), "", 1));
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let home = Home::indexed();
    for arguments in [
        &["ask", LONG_QUESTION][..],
        &["ask", LONG_QUESTION, "--json"],
        &["search", LONG_QUESTION],
        &["index", "documents"],
    ] {
        let mut running = home.start(arguments);
        drop(running.0.stdout.take());
        let run = running.finish();
        assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
        assert!(!run.stderr.contains("error") && !run.stderr.contains("panic"), "{arguments:?}: {run:?}");
    }
    home.assert_usable();
}

#[test]
fn ctrl_c_ends_an_answer_and_keeps_what_is_there() {
    let home = Home::indexed();
    home.write_config(&CONFIG.replace("max_tokens = 12", "max_tokens = 4000"));
    let whole = home.json(&["ask", LONG_QUESTION, "--max-tokens", "60"]);
    assert_eq!(whole["stop"], "max_tokens", "the answer is long: {whole}");
    let mut running = home.start(&["ask", LONG_QUESTION]);
    let mut first = [0];
    running.0.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    running.signal(Signal::INT);
    let run = running.finish();
    assert_eq!(run.code, Some(130), "{run:?}");
    assert!(run.stderr.contains("(cancelled)"), "{run:?}");
    let said = format!("{}{}", char::from(first[0]), run.stdout);
    let expected = whole["answer"].as_str().unwrap();
    let common = said.trim_end().len().min(expected.len());
    assert_eq!(said.trim_end()[..common], expected[..common], "what is there is the answer's beginning");
    home.assert_usable();
}

#[test]
fn ctrl_c_ends_an_index_run_and_the_next_goes_on() {
    let home = Home::with_documents();
    let mut running = home.start(&["index", "documents"]);
    home.wait_for_cached(1, &mut running);
    running.signal(Signal::INT);
    let run = running.finish();
    assert_eq!(run.code, Some(130), "{run:?}");
    assert!(run.stdout.contains("cancelled, run `gibbon index` to go on"), "{run:?}");
    home.assert_sound();
    let (cached, all) = (home.cached_chunks().len(), undisturbed().state());
    let report = home.json(&["index"]);
    assert_eq!(report["chunks_encoded"], all.chunks.len() - cached, "{report}");
    home.state().assert_same(&all);
}

#[test]
fn ctrl_c_before_the_first_token_is_a_cancelled_question() {
    let home = Home::with_documents();
    home.json(&["index", "documents", "--no-encode"]);
    // Every chunk has to be encoded first, which leaves time to press Ctrl-C.
    let mut running = home.start(&["ask", QUESTION, "-k", "100"]);
    running.wait_until("the first cache file", || !home.caches().is_empty());
    running.signal(Signal::INT);
    let run = running.finish();
    assert_eq!((run.code, run.stdout.as_str()), (Some(130), ""), "{run:?}");
    home.assert_usable();
}
