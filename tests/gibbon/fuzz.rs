//! Hostile input for everything that reads what a person or a file supplies: mutated documents, caches, models, settings.
//!
//! Each target gets fifty inputs beside those, the same every time. `GIBBON_FUZZ_SECONDS=600 cargo test --test gibbon fuzz::`
//! (`just fuzz`) goes on for so long with each, and `GIBBON_FUZZ_SEED` makes others. Inputs begin with the files of
//! `tests/data` and of the sources; members of ZIP archives are mutated inside and packed again.
//!
//! A target must come back for every input. Each input is written down before it is run, so that even an abort names it:
//! `target/tmp/fuzz-TARGET.input`. What was found once is kept under `tests/data/fuzz/TARGET/` and is among the first inputs.

mod mutate;
mod targets;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::{Duration, Instant},
};

use mutate::Mutator;
use targets::target;

use crate::support::named_number;

/// Inputs of a target where no time is given.
const INPUTS: usize = 50;
/// Inputs longer than this are cut.
const MOST_INPUT_BYTES: usize = 1 << 20;
/// Longest time of one input; what is fenced is stopped after 30 s.
const MOST_TIME: Duration = Duration::from_secs(30);
/// Bytes by which the process may grow over a run of its own: caches of libraries, and no leak.
const MOST_GROWTH: u64 = 256 << 20;

/// Bytes of memory that this process has; 0 where nobody says.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn fuzz(name: &str) {
    let target = target(name);
    let seeds = target.seeds();
    assert!(!seeds.is_empty(), "{name} has no input to begin with");
    let current = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}.input"));
    let mut mutator = Mutator::new(named_number("GIBBON_FUZZ_SEED").unwrap_or(1), &seeds);
    let time = named_number("GIBBON_FUZZ_SECONDS").map(Duration::from_secs);
    let (started, mut inputs, mut accepted, mut slowest, mut before) =
        (Instant::now(), 0, 0, Duration::ZERO, 0);
    while time.map_or(inputs < seeds.len() + INPUTS, |time| started.elapsed() < time) {
        let input = seeds.get(inputs).cloned().unwrap_or_else(|| mutator.next(MOST_INPUT_BYTES));
        fs::write(&current, &input).unwrap();
        let begun = Instant::now();
        match catch_unwind(AssertUnwindSafe(|| (target.run)(&input))) {
            Ok(read) => accepted += usize::from(read),
            Err(_) => panic!("{name} panicked at {}", current.display()),
        }
        slowest = slowest.max(begun.elapsed());
        // A machine that does much else at the same time may be slow.
        assert!(time.is_none() || slowest < MOST_TIME, "{name} took {slowest:?} for {}", current.display());
        inputs += 1;
        // What is made once, tables and caches, is there by then.
        if inputs == seeds.len() + INPUTS {
            before = resident();
        }
    }
    assert!(accepted > 0, "{name} refuses even what it begins with: nothing behind the first check is tried");
    let growth = if before == 0 { 0 } else { resident().saturating_sub(before) };
    println!(
        "{name}: {inputs} inputs in {:.0} s, {accepted} of them read; slowest {slowest:.1?}; grew by {} KiB",
        started.elapsed().as_secs_f64(),
        growth >> 10
    );
    // Other tests of the same process take memory as well: only a run of its own says whose it is.
    assert!(time.is_none() || growth <= MOST_GROWTH, "{name} keeps memory: {} MiB", growth >> 20);
}

macro_rules! targets {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { fuzz($name); })*
    };
}

targets! {
    text: "text", markdown: "markdown", html: "html", rst: "rst", org: "org", json: "json", yaml: "yaml", toml: "toml",
    csv: "csv", notebook: "notebook", mail: "mail", mbox: "mbox", man: "man", pdf: "pdf", docx: "docx", pptx: "pptx",
    xlsx: "xlsx", ods: "ods", epub: "epub", gzip: "gzip", bash: "bash", c: "c", cpp: "cpp", csharp: "csharp",
    elixir: "elixir", go: "go", java: "java", javascript: "javascript", kotlin: "kotlin", lua: "lua", php: "php",
    python: "python", ruby: "ruby", rust: "rust", scala: "scala", typescript: "typescript", zig: "zig",
    cache_header: "cache-header", gguf: "gguf", safetensors: "safetensors", model_config: "model-config",
    config: "config", keys: "keys",
}
