//! What `full` would have cost for a question: measured where it is known, else estimated on a basis that is named.

use super::entry::Turn;
use crate::{
    config::Strategy,
    engine::{Answer, Comparison, RetrievedChunk, Status, Timings},
};

/// What answering with `full` takes, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FullCost {
    pub first_token_seconds: f64,
    pub total_seconds: f64,
    pub basis: Basis,
}

/// How the cost is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Basis {
    /// The question was answered with `full` over the same chunks.
    Answered,
    /// The median of a comparison's runs.
    Compared { runs: usize },
    /// So many tokens at this speed; decoding as measured for the answer.
    Estimated { tokens: usize, tokens_per_second: f64, speed: Speed },
}

/// What the speed of an estimate is the speed of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speed {
    /// Prefill with `full`, for other questions of this chat.
    Prefill,
    /// The last encoding of an index run on this machine.
    Indexing,
    /// Chunks encoded while answering in this chat.
    Encoding,
}

/// Why the cost is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// There is nothing that `full` would have read in another way.
    NoChunks,
    /// The answer did not come as far as its first token, or is one by `full` itself.
    NotMeasured,
    /// How many tokens a chunk has is not known.
    Uncounted,
    /// Nothing says how fast this machine reads tokens.
    NoSpeed,
}

/// What `full` took for a question in a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    question: String,
    chunks: Vec<String>,
    runs: usize,
    first_token_seconds: f64,
    total_seconds: f64,
}

impl Compared {
    /// What the comparison says of `full`; `None` where it was not among its strategies or failed.
    pub fn of(comparison: &Comparison) -> Option<Self> {
        let row = comparison.rows.iter().find(|row| row.strategy == Strategy::Full)?;
        let result = row.result.as_ref().ok()?;
        Some(Self {
            question: comparison.question.trim().to_owned(),
            chunks: ids(&result.answer.sources),
            runs: result.runs.len(),
            first_token_seconds: result.time_to_first_token_seconds.median,
            total_seconds: result.total_seconds.median,
        })
    }

    /// The same for a single run.
    pub fn of_run(answer: &Answer) -> Option<Self> {
        (answer.strategy == Strategy::Full).then(|| Self {
            question: answer.question.trim().to_owned(),
            chunks: ids(&answer.sources),
            runs: 1,
            first_token_seconds: answer.timings.time_to_first_token_seconds,
            total_seconds: answer.timings.total_seconds,
        })
    }
}

/// What `full` would have cost for `turn`.
///
/// # Errors
/// Why that is not known.
pub fn full_cost<'a>(
    turn: &Turn,
    turns: impl Iterator<Item = &'a Turn> + Clone,
    compared: &[Compared],
    status: Option<&Status>,
) -> Result<FullCost, Unknown> {
    let chunks = ids(&turn.sources);
    if chunks.is_empty() {
        return Err(Unknown::NoChunks);
    }
    compared_cost(turn, &chunks, compared)
        .or_else(|| answered_cost(turn, &chunks, turns.clone()))
        .map_or_else(|| estimate(turn, turns, status), Ok)
}

fn compared_cost(turn: &Turn, chunks: &[String], compared: &[Compared]) -> Option<FullCost> {
    let same = |one: &&Compared| one.question == turn.question.trim() && one.chunks == chunks;
    let found = compared.iter().rev().find(same)?;
    Some(FullCost {
        first_token_seconds: found.first_token_seconds,
        total_seconds: found.total_seconds,
        basis: Basis::Compared { runs: found.runs },
    })
}

fn answered_cost<'a>(
    turn: &Turn,
    chunks: &[String],
    turns: impl Iterator<Item = &'a Turn>,
) -> Option<FullCost> {
    let same = turns.filter(|other| {
        other.strategy == Strategy::Full
            && other.question.trim() == turn.question.trim()
            && ids(&other.sources) == chunks
    });
    let timings = same.filter_map(|other| other.timings.as_ref()).filter(|timings| began(timings)).last()?;
    Some(FullCost {
        first_token_seconds: timings.time_to_first_token_seconds,
        total_seconds: timings.total_seconds,
        basis: Basis::Answered,
    })
}

/// Chunks and question at the speed at which this machine reads tokens. The few tokens of the prompt around them are
/// left out.
fn estimate<'a>(
    turn: &Turn,
    turns: impl Iterator<Item = &'a Turn> + Clone,
    status: Option<&Status>,
) -> Result<FullCost, Unknown> {
    let measured = turn.timings.as_ref().filter(|timings| began(timings) && turn.strategy != Strategy::Full);
    let timings = measured.ok_or(Unknown::NotMeasured)?;
    if turn.sources.iter().any(|chunk| chunk.tokens == 0) {
        return Err(Unknown::Uncounted);
    }
    let chunks: usize = turn.sources.iter().map(|chunk| chunk.tokens).sum();
    let tokens = chunks + timings.prefill.tokens;
    let (tokens_per_second, speed) = speed(turns, status).ok_or(Unknown::NoSpeed)?;
    let first_token_seconds =
        timings.retrieve_seconds + tokens as f64 / tokens_per_second + timings.first_token_seconds;
    Ok(FullCost {
        first_token_seconds,
        total_seconds: first_token_seconds + timings.decode.seconds,
        basis: Basis::Estimated { tokens, tokens_per_second, speed },
    })
}

/// Tokens per second, from what is nearest to a prefill with `full`.
fn speed<'a>(turns: impl Iterator<Item = &'a Turn> + Clone, status: Option<&Status>) -> Option<(f64, Speed)> {
    let all = |count: fn(&Turn, &Timings) -> (usize, f64)| {
        let counted = turns.clone().filter_map(|turn| Some(count(turn, turn.timings.as_ref()?)));
        let (tokens, seconds) = counted.fold((0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        tokens as f64 / seconds
    };
    let prefilled = || {
        all(|turn, timings| match turn.strategy {
            Strategy::Full => (timings.prefill.tokens, timings.prefill.seconds),
            _ => (0, 0.0),
        })
    };
    let indexed = || status.and_then(|status| status.encode_tokens_per_second).unwrap_or(f64::NAN);
    let encoded = || {
        all(|_, timings| match timings.encode.chunks {
            0 => (0, 0.0),
            _ => (timings.encode.tokens, timings.encode.seconds),
        })
    };
    let known = |speed: f64| speed.is_finite() && speed > 0.0;
    [(prefilled(), Speed::Prefill), (indexed(), Speed::Indexing), (encoded(), Speed::Encoding)]
        .into_iter()
        .find(|(speed, _)| known(*speed))
}

/// The answer has a first token, so that its times say what they say of a whole one.
fn began(timings: &Timings) -> bool {
    timings.time_to_first_token_seconds > 0.0
}

/// The chunks in an order that is the same whatever their ranks were: it changes nothing of the cost.
fn ids(chunks: &[RetrievedChunk]) -> Vec<String> {
    let mut ids: Vec<_> = chunks.iter().map(|chunk| chunk.id.clone()).collect();
    ids.sort_unstable();
    ids
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::{ChunkReason, DecodeTiming, EncodeTiming, PrefillTiming};

    fn chunk(id: &str, tokens: usize) -> RetrievedChunk {
        RetrievedChunk {
            rank: 1,
            id: id.to_owned(),
            label: String::new(),
            path: "a.md".into(),
            lines: None,
            page: None,
            heading: Vec::new(),
            score: 1.0,
            tokens,
            cached: true,
            text: String::new(),
            cache_bytes: 0,
            matches: Vec::new(),
            reason: ChunkReason::Found,
        }
    }

    fn turn(strategy: Strategy, question: &str, chunks: &[&str]) -> Turn {
        let mut turn = Turn::new(question.to_owned(), strategy, Duration::ZERO);
        turn.sources = chunks.iter().map(|id| chunk(id, 200)).collect();
        turn.timings = Some(Timings {
            retrieve_seconds: 0.01,
            prefill: PrefillTiming { seconds: 0.1, tokens: 40 },
            first_token_seconds: 0.02,
            decode: DecodeTiming { seconds: 3.0, tokens: 60, tokens_per_second: 20.0 },
            time_to_first_token_seconds: 0.15,
            total_seconds: 3.15,
            ..Timings::default()
        });
        turn
    }

    fn machine(encode_tokens_per_second: Option<f64>) -> Status {
        Status { encode_tokens_per_second, ..Status::default() }
    }

    fn cost(turns: &[Turn], compared: &[Compared], status: Option<&Status>) -> Result<FullCost, Unknown> {
        full_cost(&turns[0], turns.iter(), compared, status)
    }

    #[test]
    fn an_answer_with_full_to_the_same_question_is_a_measurement() {
        let ape = turn(Strategy::Ape, "Why?", &["a", "b"]);
        let mut full = turn(Strategy::Full, "Why? ", &["b", "a"]);
        if let Some(timings) = &mut full.timings {
            timings.time_to_first_token_seconds = 2.5;
        }
        let found = cost(&[ape.clone(), full.clone()], &[], None).expect("measured");
        assert_eq!((found.first_token_seconds, found.basis), (2.5, Basis::Answered));
        let mut unfinished = full.clone();
        unfinished.timings = Some(Timings::default());
        let found = cost(&[ape.clone(), full, unfinished], &[], None).expect("measured");
        assert_eq!(found.first_token_seconds, 2.5, "an answer without a first token measures nothing");
        for other in [turn(Strategy::Full, "How?", &["a", "b"]), turn(Strategy::Full, "Why?", &["a", "c"])] {
            let found = cost(&[ape.clone(), other], &[], None).expect("an estimate");
            assert!(matches!(found.basis, Basis::Estimated { speed: Speed::Prefill, .. }));
        }
    }

    #[test]
    fn a_comparison_is_a_measurement() {
        let ape = turn(Strategy::Ape, "Why?", &["a", "b"]);
        let compared = Compared {
            question: "Why?".to_owned(),
            chunks: vec!["a".to_owned(), "b".to_owned()],
            runs: 3,
            first_token_seconds: 2.0,
            total_seconds: 5.0,
        };
        let found =
            cost(std::slice::from_ref(&ape), std::slice::from_ref(&compared), None).expect("measured");
        assert_eq!((found.total_seconds, found.basis), (5.0, Basis::Compared { runs: 3 }));
        let other = Compared { chunks: vec!["a".to_owned()], ..compared };
        assert_eq!(cost(&[ape], &[other], None), Err(Unknown::NoSpeed));
    }

    #[test]
    fn an_estimate_names_its_tokens_and_its_speed() {
        let ape = turn(Strategy::Ape, "Why?", &["a", "b"]);
        let status = machine(Some(440.0));
        let found = cost(std::slice::from_ref(&ape), &[], Some(&status)).expect("an estimate");
        assert_eq!(
            found.basis,
            Basis::Estimated { tokens: 440, tokens_per_second: 440.0, speed: Speed::Indexing }
        );
        assert!((found.first_token_seconds - 1.03).abs() < 1e-9);
        assert!((found.total_seconds - 4.03).abs() < 1e-9, "decoding as measured");

        let mut encoded = turn(Strategy::Ape, "Where?", &["c"]);
        if let Some(timings) = &mut encoded.timings {
            timings.encode = EncodeTiming { seconds: 0.5, chunks: 1, tokens: 110 };
        }
        let found = cost(&[ape.clone(), encoded], &[], Some(&machine(None))).expect("an estimate");
        assert!(matches!(
            found.basis,
            Basis::Estimated { tokens_per_second: 220.0, speed: Speed::Encoding, .. }
        ));
    }

    #[test]
    fn without_a_basis_it_is_said_what_is_missing() {
        let ape = turn(Strategy::Ape, "Why?", &["a"]);
        assert_eq!(cost(std::slice::from_ref(&ape), &[], None), Err(Unknown::NoSpeed));
        for useless in [0.0, f64::NAN, f64::INFINITY, -3.0] {
            assert_eq!(
                cost(std::slice::from_ref(&ape), &[], Some(&machine(Some(useless)))),
                Err(Unknown::NoSpeed),
                "{useless}"
            );
        }
        let status = machine(Some(440.0));
        let mut unknown = ape.clone();
        unknown.sources[0].tokens = 0;
        let mut stopped = ape.clone();
        stopped.timings = Some(Timings::default());
        let running = Turn { timings: None, ..ape };
        for (turn, why) in [
            (unknown, Unknown::Uncounted),
            (stopped, Unknown::NotMeasured),
            (running, Unknown::NotMeasured),
            (turn(Strategy::Ape, "Why?", &[]), Unknown::NoChunks),
        ] {
            assert_eq!(cost(&[turn], &[], Some(&status)), Err(why));
        }
    }
}
