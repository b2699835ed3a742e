//! One question through several strategies, run after run.

use std::{collections::HashSet, time::Instant};

use super::{
    answer::{Asking, check_fits, encode_chunk},
    divergence::divergence,
    protocol::*,
    resources::{Loaded, Resources},
    retrieve::{Retrieval, Wanted, retrieve},
    visible::visible,
};
use crate::{config::Strategy, model::session::Cancelled, store::key::SegmentId};

/// What the runs of one strategy gave so far.
struct Row {
    strategy: Strategy,
    runs: Vec<Answer>,
    /// Logits of the first token of the first run.
    first_logits: Vec<f32>,
    failure: Option<Failure>,
}

/// Runs every strategy `runs` times, in turn, so that a machine that gets slower does so for all of them. Chunks that
/// are not cached are encoded before the first measurement, and a warning says so: what is compared is answering.
///
/// # Errors
/// When nothing is found or the request is cancelled. A strategy that fails is a row with its reason.
pub(super) fn compare(
    resources: &mut Resources,
    request: &CompareRequest,
    cancelled: Cancelled,
    emit: &dyn Fn(Event),
) -> Result<Comparison, Failure> {
    if request.strategies.is_empty() || request.runs == 0 {
        return Err(Failure::new(
            FailureKind::BadRequest,
            "there is nothing to compare",
            "Name at least one strategy and one run.",
        ));
    }
    let settings = resources.config.answer_for(&request.selection.collections);
    let prompt = &settings.system_prompt;
    let max_tokens = request.max_tokens.unwrap_or(settings.max_tokens);
    let wanted = Wanted {
        question: &request.question,
        chunks: request.chunks.unwrap_or(settings.chunks),
        max_tokens,
        selection: &request.selection,
        system_prompt: prompt,
    };
    resources.loaded_for(prompt)?;
    let first = retrieve(resources, &wanted)?;
    for message in &first.warnings {
        warn(request.id, message, emit);
    }
    emit(Event::Retrieved { id: request.id, chunks: first.sources.clone() });
    encode_missing(resources.loaded_for(prompt)?, request, &first, cancelled, emit)?;

    let mut rows: Vec<Row> = unique(&request.strategies)
        .into_iter()
        .map(|strategy| Row { strategy, runs: Vec::new(), first_logits: Vec::new(), failure: None })
        .collect();
    for run in 1..=request.runs {
        for row in rows.iter_mut().filter(|row| row.failure.is_none()) {
            let started = Instant::now();
            let retrieval = retrieve(resources, &wanted)?;
            let asking = Asking {
                id: request.id,
                question: &request.question,
                history: &request.history,
                strategy: row.strategy,
                max_tokens,
                cancelled,
                // The answers of a comparison are shown whole, not as they come.
                emit: &|event| {
                    if matches!(event, Event::Warning { .. }) {
                        emit(event);
                    }
                },
            };
            match asking.answer(resources.loaded_for(prompt)?, &settings, &retrieval, started) {
                Ok((answer, _)) if answer.stop == StopReason::Cancelled => return Err(Failure::cancelled()),
                Ok((answer, logits)) => {
                    if row.runs.is_empty() {
                        row.first_logits = logits;
                    }
                    let (id, runs) = (request.id, request.runs);
                    emit(Event::Measured { id, run, runs, answer: Box::new(answer.clone()) });
                    row.runs.push(answer);
                }
                Err(failure) if failure.kind == FailureKind::Cancelled => return Err(failure),
                Err(failure) => row.failure = Some(failure),
            }
        }
    }
    Ok(Comparison {
        question: visible(&request.question).into_owned(),
        runs: request.runs,
        sources: first.sources,
        rows: summarise(rows),
    })
}

fn encode_missing(
    loaded: &mut Loaded,
    request: &CompareRequest,
    retrieval: &Retrieval,
    cancelled: Cancelled,
    emit: &dyn Fn(Event),
) -> Result<(), Failure> {
    let mut note = |message: String| warn(request.id, &message, emit);
    let model = loaded.model.clone();
    let query = model.prompt.query(&request.question, &model.tokenizer)?.len();
    let uses_caches = |strategy: &Strategy| {
        *strategy != Strategy::Full && check_fits(&model, *strategy, retrieval, query).is_ok()
    };
    if !request.strategies.iter().any(uses_caches) {
        return Ok(());
    }
    let mut encoded = 0;
    for hit in &retrieval.hits {
        let chunk = &hit.chunk.chunk;
        if !loaded.store.contains(SegmentId::Chunk(chunk.id)) {
            encode_chunk(loaded, chunk.id, &chunk.text, cancelled, &mut note)?;
            encoded += 1;
        }
    }
    if encoded > 0 {
        note(format!("{encoded} chunks had no cache and were encoded before the first run"));
        // What could not be written has been reported; the runs then encode it again, and their timings say so.
        let _ = loaded.written();
    }
    Ok(())
}

fn warn(id: RequestId, message: &str, emit: &dyn Fn(Event)) {
    let message = visible(message).into_owned();
    tracing::warn!("{message}");
    emit(Event::Warning { id: Some(id), message });
}

fn unique(strategies: &[Strategy]) -> Vec<Strategy> {
    let mut seen = HashSet::new();
    strategies.iter().copied().filter(|strategy| seen.insert(*strategy)).collect()
}

fn summarise(rows: Vec<Row>) -> Vec<ComparisonRow> {
    let full = rows.iter().find(|row| row.strategy == Strategy::Full && row.failure.is_none());
    rows.iter()
        .map(|row| ComparisonRow {
            strategy: row.strategy,
            result: match &row.failure {
                Some(failure) => Err(failure.clone()),
                None => summary(row, full),
            },
        })
        .collect()
}

fn summary(row: &Row, full: Option<&Row>) -> Result<ComparisonResult, Failure> {
    let runs = full.map(|full| full.runs.as_slice());
    let mut result = ComparisonResult::of(&row.runs, runs)
        .ok_or_else(|| Failure::new(FailureKind::Internal, "no run was measured", None))?;
    result.first_token_divergence = full.and_then(|full| divergence(&full.first_logits, &row.first_logits));
    Ok(result)
}
