//! The chat screen with the default model, in a pseudo-terminal: asking, watching, looking things up, comparing, stopping.

use std::fs;

use rustix::process::Signal;

use super::{Home, LONG_QUESTION, QUESTION};
use crate::terminal::Terminal;

const CTRL_C: &str = "\u{3}";
const CTRL_T: &str = "\u{14}";
const TAB: &str = "\t";
const ENTER: &str = "\r";
const ESCAPE: &str = "\u{1b}";
/// Long enough to be stopped in the middle.
const LONG: &str = "[answer]\nmax_tokens = 400\n[corpus]\nchunk_tokens = 96\n";
/// What the screen says while the answer comes.
const ANSWERING: &str = "answering";

/// The chat over the indexed documents.
fn chat(home: &Home, variables: &[(&str, &str)], size: (u16, u16)) -> Terminal {
    let terminal = Terminal::start(home.directory.path(), &["chat"], variables, size);
    terminal.shows("SmolLM2");
    assert!(terminal.is_raw(), "keys come one by one");
    terminal
}

fn quit(mut terminal: Terminal) {
    terminal.press(&CTRL_C.repeat(2));
    assert!(terminal.ends().success());
}

/// Asks, and waits until the answer is being written.
fn ask(terminal: &mut Terminal, question: &str) {
    terminal.press(&format!("{question}{ENTER}"));
    terminal.shows(ANSWERING);
}

#[test]
fn an_answer_comes_with_its_sources_and_an_editor_opens_one() {
    let home = Home::indexed();
    let seen = home.directory.path().join("opened");
    let editor = home.directory.path().join("editor.sh");
    fs::write(&editor, format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > '{}'\n", seen.display())).unwrap();
    let editor = format!("sh {}", editor.display());
    let mut terminal = chat(&home, &[("VISUAL", &editor)], (160, 48));
    terminal.press(&format!("{QUESTION}{ENTER}"));
    let screen = terminal.shows("tok/s");
    assert!(screen.contains("boiler.md"), "{screen}");
    terminal.press(&TAB.repeat(2));
    terminal.shows("Sources");
    // The whole file around the chunk, of which another chunk would not tell.
    terminal.press(ENTER);
    terminal.shows("stands in the cellar");
    terminal.press("e");
    terminal.shows_when("what the editor was called with", |_| seen.exists());
    terminal.shows("Sources");
    let called = fs::read_to_string(&seen).unwrap();
    assert!(called.trim_end().ends_with("boiler.md"), "{called}");
    assert!(terminal.is_raw(), "the screen has the terminal again");
    quit(terminal);
}

#[test]
fn an_answer_is_seen_as_it_comes_can_be_cancelled_and_survives_resizing() {
    let home = Home::indexed();
    home.write_config(LONG);
    let mut terminal = chat(&home, &[], (100, 30));
    ask(&mut terminal, LONG_QUESTION);
    let mut picture = terminal.picture();
    for _ in 0..2 {
        // Other words than before, not more: a full screen scrolls.
        let other = |now: &str| words(now) != words(&picture) && now.contains(ANSWERING);
        picture = terminal.shows_when("more of the answer", other).0;
    }
    for (columns, rows) in [(60, 20), (30, 8), (160, 48), (100, 30)] {
        terminal.resize(columns, rows);
        match rows {
            8 => terminal.shows("Too small"),
            _ => terminal.shows(ANSWERING),
        };
    }
    terminal.press(ESCAPE);
    let screen = terminal.shows("cancelled");
    assert!(!screen.contains(ANSWERING), "{screen}");
    // The next question is answered to its end. That may be over in no time, so that nobody sees it being written.
    terminal.press(&format!("{QUESTION}{ENTER}"));
    terminal.shows("with 2 earlier turns");
    quit(terminal);
}

#[test]
fn the_strategies_are_compared_and_a_comparison_can_be_stopped() {
    let home = Home::indexed();
    home.write_config("[answer]\nmax_tokens = 12\n[corpus]\nchunk_tokens = 96\n");
    let mut terminal = chat(&home, &[], (160, 48));
    terminal.press(&format!("{QUESTION}{ENTER}"));
    terminal.shows("tok/s");
    terminal.press(CTRL_T);
    let screen = terminal.shows("finished");
    for shown in ["To the first token", "full", "concat", "parallel", "ape", "KL of first token", "Answers"] {
        assert!(screen.contains(shown), "no {shown} in\n{screen}");
    }
    terminal.press("M");
    let exported = || {
        let mut files = fs::read_dir(home.directory.path()).unwrap().map(|entry| entry.unwrap().path());
        files.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains("comparison")))
    };
    terminal.shows_when("the exported file", |_| {
        exported().is_some_and(|path| fs::read_to_string(path).is_ok_and(|text| text.contains(QUESTION)))
    });
    // Once more, and stopped before it is done.
    terminal.press(&"+".repeat(9));
    terminal.press(ENTER);
    terminal.shows_when("the comparison under way", |picture| !picture.contains("finished"));
    terminal.press(ESCAPE);
    terminal.shows("cancelled");
    terminal.press(ESCAPE);
    terminal.shows("Sources");
    quit(terminal);
}

#[test]
fn told_to_end_in_the_middle_of_an_answer_it_gives_the_terminal_back() {
    let home = Home::indexed();
    home.write_config(LONG);
    for signal in [Signal::TERM, Signal::HUP] {
        let mut terminal = chat(&home, &[], (100, 30));
        ask(&mut terminal, LONG_QUESTION);
        terminal.signal(signal);
        terminal.ends();
    }
    home.assert_sound();
}

/// Words on the screen.
fn words(picture: &str) -> usize {
    picture.split_whitespace().count()
}
