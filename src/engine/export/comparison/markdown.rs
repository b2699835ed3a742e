//! A comparison as Markdown. Text from the model and from documents cannot become markup: on a line it is escaped, in
//! blocks it stands between fences longer than any in it.

use super::{agreement, divergence, full, place, rates, speedup, times};
use crate::engine::{Comparison, ComparisonResult, Failure, Timings, duration, visible};

/// What Markdown or HTML reads as more than itself.
const MARKUP: &str = "\\`*_{}[]<>#|!&~$";

const NUMBERS: &str = "\
Times are medians, with the smallest and the largest in brackets. Sooner: how many times, against `full`. Tokens/s: \
how fast the answer's tokens after the first were generated. KL: how far the distribution of the first token is from \
that of `full`, in nats over the whole vocabulary; 0 is the same. Same tokens: leading tokens of the greedy answer \
that are those of `full`.\n";

pub fn text(comparison: &Comparison, model: &str) -> String {
    let mut out = String::from("# Comparison of strategies\n\n");
    out += &format!("- Question: {}\n", line(&comparison.question));
    out += &format!("- Model: {}\n", line(model));
    out += &format!("- Runs of each strategy: {}\n\n", comparison.runs);
    out += "## Times\n\n";
    out += &table(&TIMES, comparison.rows.iter().map(|row| row_of_times(comparison, row)));
    out += &failures(comparison);
    out += &format!("\n{NUMBERS}\n## Phases\n\n");
    out += "Of the run whose first token came nearest to the median.\n\n";
    let names = Timings::default().phases().map(|phase| phase.name);
    let head: Vec<_> = ["strategy"].into_iter().chain(names).collect();
    out += &table(&head, results(comparison).map(|(name, result)| row_of_phases(name, result)));
    out += "\n## Answers\n";
    for (name, result) in results(comparison) {
        out += &format!("\n### {name}\n\n{}", block(result.answer.text.trim()));
    }
    out += "\n## Sources\n\n";
    for source in &comparison.sources {
        out += &format!("{}. {} ({})\n", source.rank, line(&source.label), line(&place(source)));
    }
    if comparison.sources.is_empty() {
        out += "No chunk holds a word of the question.\n";
    }
    out
}

const TIMES: [&str; 8] =
    ["strategy", "first token", "sooner", "total", "sooner", "tokens/s", "KL, nats", "same tokens"];

fn row_of_times(comparison: &Comparison, row: &crate::engine::ComparisonRow) -> Vec<String> {
    let name = row.strategy.name().to_owned();
    let Ok(result) = &row.result else { return vec![name, "failed".to_owned()] };
    vec![
        name,
        times(&result.time_to_first_token_seconds),
        speedup(result.first_token_speedup),
        times(&result.total_seconds),
        speedup(full(comparison).and_then(|full| result.total_speedup(full))),
        rates(&result.tokens_per_second),
        divergence(result.first_token_divergence),
        agreement(result.agreement),
    ]
}

fn row_of_phases(name: &str, result: &ComparisonResult) -> Vec<String> {
    let phases = result.typical_first_token().phases();
    std::iter::once(name.to_owned()).chain(phases.map(|phase| duration(phase.seconds))).collect()
}

fn results(comparison: &Comparison) -> impl Iterator<Item = (&'static str, &ComparisonResult)> {
    comparison.rows.iter().filter_map(|row| Some((row.strategy.name(), row.result.as_ref().ok()?)))
}

fn failures(comparison: &Comparison) -> String {
    let failed = |failure: &Failure| {
        let hint = failure.hint.as_deref().map(|hint| format!(" {}", line(hint))).unwrap_or_default();
        format!("{}{hint}", line(&failure.message))
    };
    let failures: Vec<_> = comparison
        .rows
        .iter()
        .filter_map(|row| {
            Some(format!("\n`{}` failed: {}\n", row.strategy.name(), failed(row.result.as_ref().err()?)))
        })
        .collect();
    failures.concat()
}

/// A table whose first column is words and whose others are numbers. Short rows are filled up.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut out = format!("| {} |\n|---|{}\n", head.join(" | "), "---:|".repeat(head.len() - 1));
    for mut row in rows {
        row.resize(head.len(), String::new());
        out += &format!("| {} |\n", row.join(" | "));
    }
    out
}

/// `text` on one line, as it is and nothing more.
fn line(text: &str) -> String {
    let mut out = String::new();
    for word in visible(text).split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        for character in word.chars() {
            if MARKUP.contains(character) {
                out.push('\\');
            }
            out.push(character);
        }
    }
    out
}

/// `text` between fences that it cannot close.
fn block(text: &str) -> String {
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n", visible(text))
}
