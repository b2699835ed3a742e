//! What the sources may and may not contain: who uses whom, how long a file is, where things are printed.
//!
//! The checks read the source text with comments and the content of strings taken out (see [`source`]). Every check is
//! a function from sources to findings, so that it is also tried on small made-up sources that break its rule.

mod source;

use std::path::Path;

use source::Source;

/// The modules of `src/lib.rs` in the order in which data flows; each uses those before it.
const ORDER: [&str; 11] =
    ["config", "corpus", "catalogue", "index", "model", "store", "cuda", "engine", "commands", "tui", "cli"];

/// Crates, by the beginning of their names, and the only module that names them.
const OWNED_CRATES: [(&str, &str); 5] = [
    ("candle", "model"),
    ("tokenizers", "model"),
    ("rusqlite", "catalogue"),
    ("tantivy", "index"),
    ("cudarc", "cuda"),
];

/// What the front ends may use beside themselves.
const FRONT_ENDS: [&str; 2] = ["commands", "tui"];
const OPEN_TO_FRONT_ENDS: [&str; 2] = ["engine", "config"];

/// Gives what breaks a rule, a line for each finding.
type Check = fn(&[Source]) -> Vec<String>;

/// Most lines of a file.
const MAX_LINES: usize = 500;

/// Types whose statics are global state.
const MUTABLE_TYPES: [&str; 12] = [
    "Cell",
    "LazyCell",
    "LazyLock",
    "Mutex",
    "Once",
    "OnceCell",
    "OnceLock",
    "RefCell",
    "RwLock",
    "SyncUnsafeCell",
    "UnsafeCell",
    "Atomic",
];

/// Names under which the clock, the disk and the network would come into the pure part of the screen.
const OUTSIDE_WORLD: [&str; 8] =
    ["Instant::now", "SystemTime", "fs::", "net::", "process::", "stdin", "stdout", "Mutex"];
/// The files of `tui/` that are not pure: the loop, the terminal, and theme files being read before the loop starts.
const IMPURE_SCREEN: [&str; 5] =
    ["tui/run.rs", "tui/run/", "tui/stderr.rs", "tui/terminal.rs", "tui/theme.rs"];

#[test]
fn modules_use_only_those_before_them() {
    assert_none(wrong_order(&program()));
}

#[test]
fn the_library_lists_its_modules_in_that_order() {
    assert_eq!(source::documented_order(&library()), ORDER);
    assert_eq!(source::declared_modules(&library()), sorted(&ORDER));
}

#[test]
fn front_ends_use_nothing_but_the_engine_and_the_configuration() {
    assert_none(front_ends_reaching_inside(&program()));
}

#[test]
fn a_library_is_named_in_one_module() {
    assert_none(crates_outside_their_module(&program()));
}

#[test]
fn the_screen_is_pure_but_for_its_loop() {
    assert_none(impure_screen(&program()));
}

#[test]
fn files_are_short() {
    assert_none(long_files(&everything()));
}

#[test]
fn only_commands_print_and_only_main_exits() {
    assert_none(prints_and_exits(&program()));
}

#[test]
fn there_is_no_global_state() {
    assert_none(global_state(&program()));
}

#[test]
fn nothing_is_left_to_be_written() {
    assert_none(unfinished(&everything()));
}

fn wrong_order(sources: &[Source]) -> Vec<String> {
    let rank = |module: &str| ORDER.iter().position(|name| *name == module);
    let mut findings = Vec::new();
    for source in sources {
        // main.rs and lib.rs stand above all modules.
        let Some(own) = rank(source.module()) else { continue };
        for (line, used) in source.modules_used() {
            if rank(&used).is_some_and(|used| used > own) {
                findings.push(format!("{}:{line} uses {used}, which comes after it", source.path));
            }
        }
    }
    findings
}

fn front_ends_reaching_inside(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| FRONT_ENDS.contains(&source.module())) {
        for (line, used) in source.modules_used() {
            if used != source.module() && !OPEN_TO_FRONT_ENDS.contains(&used.as_str()) {
                findings.push(format!("{}:{line} uses {used}", source.path));
            }
        }
    }
    findings
}

fn crates_outside_their_module(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        for (line, word) in source.words() {
            for (owned, owner) in OWNED_CRATES {
                let is_crate = word == owned || word.strip_prefix(owned).is_some_and(|s| s.starts_with('_'));
                if is_crate && source.module() != owner {
                    findings.push(format!("{}:{line} names {word}, which only {owner}/ may", source.path));
                }
            }
        }
    }
    findings
}

fn impure_screen(sources: &[Source]) -> Vec<String> {
    let pure = |source: &&Source| {
        source.module() == "tui" && !IMPURE_SCREEN.iter().any(|path| source.path.contains(path))
    };
    let mut findings = Vec::new();
    for source in sources.iter().filter(pure) {
        for (line, code) in source.lines() {
            for name in OUTSIDE_WORLD.iter().filter(|name| code.contains(**name)) {
                findings.push(format!("{}:{line} names {name}", source.path));
            }
        }
    }
    findings
}

fn long_files(sources: &[Source]) -> Vec<String> {
    let long = sources.iter().filter(|source| source.lines().count() > MAX_LINES);
    long.map(|source| format!("{} has {} lines", source.path, source.lines().count())).collect()
}

fn prints_and_exits(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        for (line, name) in source.macros() {
            let prints = matches!(name.as_str(), "print" | "println" | "eprint" | "eprintln");
            let allowed = ["commands", "main"].contains(&source.module());
            if name == "dbg" || prints && !allowed {
                findings.push(format!("{}:{line} has {name}!", source.path));
            }
        }
        for (line, code) in source.lines() {
            let exits = code.contains("process::exit") || code.contains("process::abort");
            if exits && source.module() != "main" {
                findings.push(format!("{}:{line} ends the process", source.path));
            }
        }
    }
    findings
}

fn global_state(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        for (line, item) in source.statics() {
            let is_mutable = source::words_of(&item)
                .any(|word| word == "mut" || MUTABLE_TYPES.contains(&word) || word.starts_with("Atomic"));
            if is_mutable {
                findings.push(format!("{}:{line} has {item}", source.path));
            }
        }
        for (line, name) in source.macros() {
            if matches!(name.as_str(), "lazy_static" | "thread_local") {
                findings.push(format!("{}:{line} has {name}!", source.path));
            }
        }
    }
    findings
}

fn unfinished(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        for (line, name) in source.macros() {
            if matches!(name.as_str(), "todo" | "unimplemented") {
                findings.push(format!("{}:{line} has {name}!", source.path));
            }
        }
        // What takes a GPU, or root to mount a file system, cannot run everywhere: `just test-gpu`, `just test-full-disk`.
        let is_special = source.path.starts_with("tests/gibbon/cuda")
            || source.path == "tests/gibbon/end_to_end/full_disk.rs";
        for (line, code) in source.lines() {
            if code.replace(' ', "").contains("#[ignore") && !is_special {
                findings.push(format!("{}:{line} has a test that does not run", source.path));
            }
        }
    }
    findings
}

/// The sources of the program.
fn program() -> Vec<Source> {
    source::read(Path::new(env!("CARGO_MANIFEST_DIR")), &["src"])
}

/// The sources of the program and of its tests.
fn everything() -> Vec<Source> {
    source::read(Path::new(env!("CARGO_MANIFEST_DIR")), &["src", "tests"])
}

fn library() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap()
}

fn sorted(names: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    names.sort();
    names
}

#[track_caller]
fn assert_none(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn every_rule_can_be_broken() {
    let broken: &[(Check, &str, &str)] = &[
        (wrong_order, "src/corpus/read.rs", "use crate::store::Store;"),
        (wrong_order, "src/config.rs", "use crate::{\n    corpus::{Chunk, Document},\n};"),
        (wrong_order, "src/model/kv.rs", "fn a() { crate::engine::run() }"),
        (wrong_order, "src/store/mod.rs", "use super::engine::Engine;"),
        (wrong_order, "src/store/key.rs", "use super::super::tui;"),
        (wrong_order, "src/index/reader.rs", "pub(in crate::store) fn a() {}"),
        (front_ends_reaching_inside, "src/commands/ask.rs", "use crate::model::Model;"),
        (front_ends_reaching_inside, "src/tui/view/mod.rs", "use crate::{config::Config, store};"),
        (front_ends_reaching_inside, "src/tui/app.rs", "use crate::commands::Console;"),
        (front_ends_reaching_inside, "src/commands/a.rs", "mod tests { use super::super::super::corpus; }"),
        (crates_outside_their_module, "src/engine/answer.rs", "use candle_core::Tensor;"),
        (crates_outside_their_module, "src/tui/app.rs", "fn a(_: tantivy::Index) {}"),
        (crates_outside_their_module, "src/corpus/split.rs", "use tokenizers::Tokenizer;"),
        (crates_outside_their_module, "src/store/mod.rs", "use rusqlite::Connection;"),
        (impure_screen, "src/tui/app.rs", "fn now() { std::time::Instant::now(); }"),
        (impure_screen, "src/tui/view/help.rs", "use std::fs::read;"),
        (prints_and_exits, "src/engine/mod.rs", "fn a() { println!(\"\") }"),
        (prints_and_exits, "src/commands/ask.rs", "fn a() { dbg!(1); }"),
        (prints_and_exits, "src/commands/ask.rs", "fn a() { std::process::exit(1) }"),
        (global_state, "src/model/mod.rs", "static mut COUNT: u32 = 0;"),
        (global_state, "src/model/mod.rs", "pub static MODEL: std::sync::OnceLock<u32> = OnceLock::new();"),
        (global_state, "src/model/mod.rs", "static NEXT: AtomicU64 = AtomicU64::new(0);"),
        (global_state, "src/model/mod.rs", "thread_local! { static A: u8 = 1; }"),
        (unfinished, "src/model/mod.rs", "fn a() { todo!() }"),
        (unfinished, "tests/gibbon/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn a() {}"),
    ];
    for (check, path, text) in broken {
        assert_eq!(check(&[Source::new(path, text)]).len(), 1, "{path}: {text}");
    }
    let long = Source::new("src/a.rs", &"\n".repeat(MAX_LINES + 1));
    assert_eq!(long_files(&[long]).len(), 1);
}

#[test]
fn what_follows_the_rules_is_left_alone() {
    let kept = [
        Source::new("src/engine/mod.rs", "use crate::{config, corpus::{self, Chunk}, store::Store};"),
        Source::new("src/commands/ask.rs", "use crate::engine::Engine; fn a() { println!(\"{}\", 1) }"),
        Source::new("src/tui/view/footer.rs", "use super::super::app::App;"),
        Source::new("src/index/schema.rs", "fn a(index: &Index) { index.tokenizers().register() }"),
        Source::new("src/model/mod.rs", "use candle_core::Tensor; static NAMES: [&'static str; 1] = [\"\"];"),
        // Neither comments nor strings count.
        Source::new(
            "src/corpus/mod.rs",
            "//! todo!() of [`crate::engine`]\n/* println!() /* dbg!() */ tantivy */",
        ),
        Source::new(
            "src/config.rs",
            "const A: &str = r#\"static mut \" crate::tui tantivy\"#; const B: char = '\"';",
        ),
        Source::new("src/main.rs", "use gibbon::tui; fn main() { std::process::exit(1) }"),
        Source::new("tests/gibbon/cuda/heads.rs", "#[test]\n#[ignore = \"needs an NVIDIA GPU\"]\nfn a() {}"),
        Source::new("src/a.rs", &"\n".repeat(MAX_LINES)),
    ];
    let checks: [Check; 8] = [
        wrong_order,
        front_ends_reaching_inside,
        crates_outside_their_module,
        impure_screen,
        long_files,
        prints_and_exits,
        global_state,
        unfinished,
    ];
    for check in checks {
        assert_none(check(&kept));
    }
}
