//! What a search takes in an index that is there already.
//!
//! `cargo bench --bench search -- --data DIR` asks 2,000 questions of three to eight words, taken from chunks of the index in
//! the data directory DIR, for 10 chunks each, and prints the median, the 99th percentile and the slowest, in a line of JSON.
//! Half of the questions are sentences as they stand, with the words that every document has. `benches/large_tree.py` makes an
//! index of a million chunks and calls this.

use std::{path::PathBuf, time::Instant};

use gibbon::index::Reader;

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const QUESTIONS: usize = 2000;
const FOUND: usize = 10;

fn main() {
    let mut data: Option<PathBuf> = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--data" => data = arguments.next().map(PathBuf::from),
            "--bench" => {}
            other => panic!("{other}: there is --data"),
        }
    }
    let Some(data) = data else {
        println!("Name a data directory that has an index: cargo bench --bench search -- --data DIR");
        return;
    };
    let mut reader = Reader::open(&data).expect("the data directory has an index");
    let chunks = reader.counts().expect("the catalogue can be read").chunks;
    let questions = questions(&reader);
    assert!(!questions.is_empty(), "the index has text");
    let mut seconds = Vec::with_capacity(QUESTIONS);
    let mut found = 0;
    for number in 0..QUESTIONS {
        let started = Instant::now();
        let hits =
            reader.search(&questions[number % questions.len()], FOUND).expect("a question is no error");
        seconds.push(started.elapsed().as_secs_f64());
        found += hits.len();
    }
    seconds.sort_by(f64::total_cmp);
    let milliseconds =
        |share: f64| (seconds[(share * (QUESTIONS - 1) as f64) as usize] * 1e5).round() / 100.0;
    println!(
        "{{\"step\": \"searched\", \"chunks\": {chunks}, \"questions\": {QUESTIONS}, \"hits\": {found}, \"median_ms\": {}, \
         \"p99_ms\": {}, \"slowest_ms\": {}}}",
        milliseconds(0.5),
        milliseconds(0.99),
        milliseconds(1.0)
    );
}

/// Questions of what the index holds: found by searching for common words and taking runs of words from the hits.
fn questions(reader: &Reader) -> Vec<String> {
    let list = reader.chunks().expect("the catalogue can be read");
    let step = (list.len() / 250).max(1);
    let mut questions = Vec::new();
    for summary in list.iter().step_by(step) {
        let Ok(Some(record)) = reader.chunk(summary.id) else { continue };
        let words: Vec<&str> = record.chunk.text.split_whitespace().skip(8).collect();
        for (turn, length) in [3, 4, 5, 6, 7, 8, 3, 5].into_iter().enumerate() {
            let Some(run) = words.get(turn * 9..turn * 9 + length) else { break };
            let long = turn % 2 == 1;
            let kept = run.iter().filter(|word| !long || word.len() > 3).copied().collect::<Vec<_>>();
            if !kept.is_empty() {
                questions.push(kept.join(" "));
            }
        }
    }
    questions
}
