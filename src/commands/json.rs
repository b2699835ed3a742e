//! What `--json` prints: one object on one line, with `"schema": 1` and a `"kind"`.
//!
//! Fields are only ever added; a change of meaning raises `schema`. Times are in seconds, sizes in bytes. Control and
//! bidirectional characters in strings are escaped, so the output is safe to show on a terminal. Paths that are not
//! UTF-8 have their foreign bytes replaced.
//!
//! | kind | fields |
//! |---|---|
//! | `answer` | `question`, `answer`, `strategy`, `stop` (`end_of_text`, `max_tokens`, `context_full`, `cancelled`), `sources` (each a *chunk* with `origin`), `token_ids`, `timings`, `warnings` |
//! | `search` | `question`, `chunks` (each a *chunk*), `warnings` |
//! | `comparison` | `question`, `runs`, `sources` (each a *chunk*), `rows`, `warnings` |
//! | `index` | `files_added`, `files_changed`, `files_removed`, `files_unchanged`, `chunks_added`, `chunks_removed`, `chunks_encoded`, `tokens_encoded`, `chunks_left`, `cache_bytes`, `seconds`, `encode_seconds`, `cancelled`, `issues` (each `path`, `reason`), `status` (`files`, `chunks`, `cached_chunks`, `cache_bytes`, `cache_budget_bytes`; null while unknown), `warnings` |
//! | `cache` | `directory`, `budget_bytes`, `total_bytes`, `groups` (each `fingerprint`, `model`, `current`, `segments`, `tokens`, `bytes`, `last_used`) |
//! | `cache_verification` | `files`, `bytes`, `sound`, `damaged` and `unreadable` (paths), `adopted`, `dropped`, `unfinished`, `outdated` |
//! | `cache_collections` | `directory`, `budget_bytes`, `total_bytes`, `collections` (each `collection`, `files`, `chunks`, `cached_chunks`, `tokens`, `bytes`, `last_used` (or null)) |
//! | `cache_files` | `directory`, `budget_bytes`, `total_bytes`, `files` (each `path`, `chunks`, `cached_chunks`, `tokens`, `bytes`, `last_used` (or null)) |
//! | `cache_gc` | `dry_run`, `budget_bytes`, `removed`, `kept`, and what was removed by reason: `not_indexed`, `other_models`, `over_budget`, `outdated`, `unfinished` (each `files`, `bytes`) |
//! | `cache_prune` | `removed_files`, `removed_bytes`, `kept_files`, `kept_bytes` |
//! | `collections` | `collections` (each a *collection*) |
//! | `collection` | `collection` (a *collection*) |
//! | `models` | `models` (each a *model*) |
//! | `model` | `model` (a *model*) |
//! | `sessions` | `sessions` (each `id`, `started`, `used` (last), `title`, `messages`) |
//! | `session` | `id`, `messages` (each `role`, `text`, `sources`, `timings`, `stop`) |
//! | `chat` | `id`, `started`, `title`, `turns` (each `question`, `answer`, `strategy`, `stop`, `sources` (each a *chunk* with `origin`), `timings`) |
//! | `doctor` | `checks` (each `name`, `status` (`ok`, `warning`, `problem`), `detail`, `hint`) |
//! | `gpu_benchmark` | `report`: `device`, `driver`, `shape`, `number_format`, `parameters`, `weight_bytes`, `cache_bytes_per_token`, `ceilings`, `rows` (each `figure`, `context`, `chunk`, `from`, `measured` (`median`, `min`, `max`), `floor`, `other`, `parts`), `notes`; rates are per second |
//! | `error` | `error` (`kind`, `message`, `hint`); the exit code is not 0 |
//!
//! A *chunk* has `rank`, `id`, `label`, `path`, `lines` (first and last, or null), `page`, `heading`, `score`, `tokens`,
//! `cached`, `cache_bytes` (of its cache file, whether it is there or not), `reason` (`found`, `pinned`, `carried`), `text`.
//! `origin` is `memory`, `disk`, `encoded`, `repaired` or `unused`. A *model* has `name`, `path`,
//! `bytes`, `current`. A *collection* has `name`, `paths`, `include`, `exclude`, `system_prompt`, `chunks_retrieved`,
//! `strategy`, `max_tokens`, `attention_temperature`, `attention_scale`, `files`, `chunks`, `cached_chunks`, `bytes`. `timings` is as [`Timings`](crate::engine::Timings) has it. A comparison's row has `strategy` and either `error` or
//! `time_to_first_token_seconds`, `total_seconds` and `tokens_per_second` (each `median`, `min`, `max`),
//! `first_token_speedup`, `agreement` (`same`, `of`; or null), `first_token_divergence` (KL from `full` in nats, or null),
//! `answer`, `stop` and `timings` of every run.

use std::io;

use serde_json::{Value, json};

use super::{Console, Error};
pub use crate::engine::export::json::path;
use crate::engine::{
    Answer, Comparison, ComparisonRow, Failure, FailureKind, IndexReport, RetrievedChunk, Status,
    admin::ModelFile,
    export::json::{chunks as sources, document},
};

/// Prints `body`, an object, with its schema and kind added.
pub fn print(console: &mut Console, kind: &str, body: Value) -> Result<(), Error> {
    let text = document(kind, body).map_err(|error| Error::Output(io::Error::other(error)))?;
    console.output(&format!("{text}\n"))?;
    Ok(())
}

/// Prints what went wrong as JSON.
pub fn print_error(console: &mut Console, error: &Error) -> Result<(), Error> {
    let failure = match error {
        Error::Failed(failure) => failure.clone(),
        Error::Output(error) => {
            Failure { kind: FailureKind::Internal, message: error.to_string(), hint: None }
        }
    };
    print(console, "error", json!({ "error": failure }))
}

pub fn answer(answer: &Answer, warnings: &[String]) -> Value {
    json!({
        "question": answer.question,
        "answer": answer.text,
        "strategy": answer.strategy,
        "stop": answer.stop,
        "sources": sources(&answer.sources, &answer.origins),
        "token_ids": answer.tokens,
        "timings": answer.timings,
        "warnings": warnings,
    })
}

pub fn search(question: &str, chunks: &[RetrievedChunk], warnings: &[String]) -> Value {
    json!({ "question": question, "chunks": sources(chunks, &[]), "warnings": warnings })
}

pub fn comparison(comparison: &Comparison, warnings: &[String]) -> Value {
    json!({
        "question": comparison.question,
        "runs": comparison.runs,
        "sources": sources(&comparison.sources, &[]),
        "rows": comparison.rows.iter().map(row).collect::<Vec<_>>(),
        "warnings": warnings,
    })
}

fn row(row: &ComparisonRow) -> Value {
    match &row.result {
        Err(failure) => json!({ "strategy": row.strategy, "error": failure }),
        Ok(result) => json!({
            "strategy": row.strategy,
            "time_to_first_token_seconds": result.time_to_first_token_seconds,
            "total_seconds": result.total_seconds,
            "tokens_per_second": result.tokens_per_second,
            "first_token_speedup": result.first_token_speedup,
            "agreement": result.agreement.map(|(same, of)| json!({ "same": same, "of": of })),
            "first_token_divergence": result.first_token_divergence,
            "answer": result.answer.text,
            "stop": result.answer.stop,
            "timings": result.runs,
        }),
    }
}

pub fn index(report: &IndexReport, status: Option<&Status>, warnings: &[String]) -> Value {
    let IndexReport {
        files_added,
        files_changed,
        files_removed,
        files_unchanged,
        chunks_added,
        chunks_removed,
        chunks_encoded,
        tokens_encoded,
        chunks_left,
        cache_bytes,
        seconds,
        encode_seconds,
        cancelled,
        issues,
    } = report;
    let issues: Vec<Value> =
        issues.iter().map(|issue| json!({ "path": path(&issue.path), "reason": issue.reason })).collect();
    let status = status.map(|status| {
        json!({
            "files": status.files,
            "chunks": status.chunks,
            "cached_chunks": status.cached_chunks,
            "cache_bytes": status.cache_bytes,
            "cache_budget_bytes": status.cache_budget_bytes,
        })
    });
    json!({
        "files_added": files_added,
        "files_changed": files_changed,
        "files_removed": files_removed,
        "files_unchanged": files_unchanged,
        "chunks_added": chunks_added,
        "chunks_removed": chunks_removed,
        "chunks_encoded": chunks_encoded,
        "tokens_encoded": tokens_encoded,
        "chunks_left": chunks_left,
        "cache_bytes": cache_bytes,
        "seconds": seconds,
        "encode_seconds": encode_seconds,
        "cancelled": cancelled,
        "issues": issues,
        "status": status,
        "warnings": warnings,
    })
}

pub fn model(model: &ModelFile) -> Value {
    json!({ "name": model.name, "path": path(&model.path), "bytes": model.bytes, "current": model.current })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::fixtures;

    #[test]
    fn the_schema_of_an_answer_stays() {
        let body = answer(&fixtures::answer(), &["careful".to_owned()]);
        insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_not_utf8_does_not_fail() {
        use std::os::unix::ffi::OsStrExt;
        let mut chunk = fixtures::chunks().remove(0);
        chunk.path = std::ffi::OsStr::from_bytes(b"/srv/caf\xe9.md").into();
        assert_eq!(search("q", &[chunk], &[])["chunks"][0]["path"], "/srv/caf\u{fffd}.md");
    }
}
