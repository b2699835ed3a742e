//! Answers and events for tests, as an engine would make them.

use crate::{config::Strategy, engine::*};

pub fn ape_timings() -> Timings {
    Timings {
        retrieve_seconds: 0.0012,
        load: LoadTiming {
            seconds: 0.0048,
            bytes: 11_744_051,
            files: 4,
            memory_hits: 0,
            disk_hits: 3,
            misses: 1,
            damaged: 0,
        },
        encode: EncodeTiming { seconds: 0.31, chunks: 1, tokens: 240 },
        assemble_seconds: 0.0031,
        prefill: PrefillTiming { seconds: 0.081, tokens: 23 },
        first_token_seconds: 0.0099,
        decode: DecodeTiming { seconds: 1.2, tokens: 41, tokens_per_second: 34.1667 },
        time_to_first_token_seconds: 0.41,
        total_seconds: 1.61,
    }
}

pub fn full_timings() -> Timings {
    Timings {
        retrieve_seconds: 0.0011,
        prefill: PrefillTiming { seconds: 2.3, tokens: 1043 },
        first_token_seconds: 0.0101,
        decode: DecodeTiming { seconds: 1.25, tokens: 41, tokens_per_second: 32.8 },
        time_to_first_token_seconds: 2.3112,
        total_seconds: 3.5612,
        ..Timings::default()
    }
}

pub fn chunks() -> Vec<RetrievedChunk> {
    let chunk = |rank: usize, name: &str, lines, score, cached| RetrievedChunk {
        cache_bytes: 0,
        matches: Vec::new(),
        reason: Default::default(),
        rank,
        id: format!("{rank:064x}"),
        label: format!("{name} § Closing"),
        path: format!("/home/ada/handbook/{name}").into(),
        lines,
        page: None,
        heading: vec!["Dome".into(), "Closing".into()],
        score,
        tokens: 240,
        cached,
        text: "[dome.md § Closing]\nThe dome closes at 45 km/h.\nOr when it rains.".into(),
    };
    let mut page = chunk(3, "survey.pdf", None, 0.5, false);
    page.page = Some(3);
    vec![
        chunk(1, "dome.md", Some((12, 40)), 7.314, true),
        chunk(2, "runbook-wind.md", Some((7, 7)), 12.02, false),
        page,
    ]
}

pub fn answer() -> Answer {
    Answer {
        kept: None,
        question: "When does the dome close?".into(),
        text: "At 45 km/h of wind [dome.md § Closing].".into(),
        strategy: Strategy::Ape,
        stop: StopReason::EndOfText,
        sources: chunks(),
        origins: vec![CacheOrigin::Disk, CacheOrigin::Encoded, CacheOrigin::Repaired],
        tokens: vec![17, 4, 99],
        timings: ape_timings(),
    }
}

pub fn full_answer() -> Answer {
    Answer {
        strategy: Strategy::Full,
        origins: vec![CacheOrigin::Unused; 3],
        timings: full_timings(),
        ..answer()
    }
}

/// The events of an answer, its text in two parts.
pub fn answer_events(id: u64, answer: Answer) -> Vec<Event> {
    let id = RequestId(id);
    let middle = answer.text.find(' ').unwrap_or(0);
    let (head, tail) = answer.text.split_at(middle);
    vec![
        Event::Retrieved { id, chunks: answer.sources.clone() },
        Event::Loaded { id, origins: answer.origins.clone() },
        Event::Prefilled { id, tokens: answer.timings.prefill.tokens },
        Event::Token { id, text: head.to_owned() },
        Event::Token { id, text: tail.to_owned() },
        Event::Done { id, outcome: Outcome::Answer(answer) },
    ]
}

pub fn status() -> Status {
    Status {
        encode_tokens_per_second: None,
        model: Some(ModelSummary {
            name: "SmolLM2-135M-Instruct".into(),
            architecture: "llama".into(),
            parameters: 134_515_008,
            context_tokens: 8192,
            cache_bytes_per_token: 23_040,
        }),
        files: 12,
        chunks: 41,
        cached_chunks: 41,
        cache_bytes: 227_473_920,
        cache_budget_bytes: 20 << 30,
    }
}

pub fn failure(kind: FailureKind) -> Failure {
    Failure { kind, message: "it does not work \u{1b}[2J".into(), hint: Some("Do this.".into()) }
}
