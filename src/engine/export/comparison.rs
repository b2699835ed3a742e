//! A comparison as Markdown to read, JSON to compute with, or SVG to show.

mod markdown;
mod svg;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::engine::{Comparison, ComparisonResult, ComparisonRow, RetrievedChunk, Spread, duration};

/// What a comparison can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ComparisonFormat {
    Markdown,
    Json,
    Svg,
}

impl ComparisonFormat {
    pub const ALL: [Self; 3] = [Self::Markdown, Self::Json, Self::Svg];

    /// The end of the file's name, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            Self::Json => "json",
            Self::Svg => "svg",
        }
    }

    /// The format of files whose name ends so; upper or lower case.
    pub fn with_extension(extension: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.extension().eq_ignore_ascii_case(extension))
    }
}

/// The text of a file with `comparison` in it; `model` is the name of the model that answered.
///
/// # Errors
/// When the comparison cannot be written as JSON, which would be a defect.
pub fn text(comparison: &Comparison, model: &str, format: ComparisonFormat) -> serde_json::Result<String> {
    match format {
        ComparisonFormat::Markdown => Ok(markdown::text(comparison, model)),
        ComparisonFormat::Json => json(comparison, model),
        ComparisonFormat::Svg => Ok(svg::text(comparison, model)),
    }
}

/// What is in a JSON file. It reads back as a [`Comparison`].
#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    kind: &'static str,
    model: &'a str,
    #[serde(flatten)]
    comparison: Comparison,
}

fn json(comparison: &Comparison, model: &str) -> serde_json::Result<String> {
    let comparison = with_utf8_paths(comparison.clone());
    let document = Document { schema: 1, kind: "comparison_export", model, comparison };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// Serde refuses paths that are not UTF-8; their foreign bytes are replaced.
fn with_utf8_paths(mut comparison: Comparison) -> Comparison {
    let in_answers = comparison
        .rows
        .iter_mut()
        .filter_map(|row| row.result.as_mut().ok())
        .flat_map(|result| result.answer.sources.iter_mut());
    for source in in_answers.chain(comparison.sources.iter_mut()) {
        source.path = PathBuf::from(utf8(&source.path));
    }
    comparison
}

fn utf8(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The row of `full`, where it could be run.
fn full(comparison: &Comparison) -> Option<&ComparisonResult> {
    let is_full = |row: &&ComparisonRow| row.strategy == crate::config::Strategy::Full;
    comparison.rows.iter().find(is_full)?.result.as_ref().ok()
}

/// `1.17 s (1.07 s–1.18 s)`; the median alone where the runs do not differ.
fn times(spread: &Spread) -> String {
    around(duration(spread.median), duration(spread.min), duration(spread.max))
}

/// `32.8 (31.0–33.1)`.
fn rates(spread: &Spread) -> String {
    let rate = |value: f64| format!("{value:.1}");
    around(rate(spread.median), rate(spread.min), rate(spread.max))
}

fn around(median: String, min: String, max: String) -> String {
    if min == max { median } else { format!("{median} ({min}–{max})") }
}

/// `5.6 ×`, and nothing where there is no `full`.
fn speedup(times: Option<f64>) -> String {
    times.map_or(String::new(), |times| format!("{times:.1} ×"))
}

fn divergence(nats: Option<f64>) -> String {
    nats.map_or(String::new(), |nats| format!("{nats:.4}"))
}

/// `12 of 42`.
fn agreement(same: Option<(usize, usize)>) -> String {
    same.map_or(String::new(), |(same, of)| format!("{same} of {of}"))
}

/// `/handbook/dome.md:12-40`, `survey.pdf page 3`.
fn place(chunk: &RetrievedChunk) -> String {
    let path = utf8(&chunk.path);
    match (chunk.lines, chunk.page) {
        (Some((first, last)), _) if first == last => format!("{path}:{first}"),
        (Some((first, last)), _) => format!("{path}:{first}-{last}"),
        (None, Some(page)) => format!("{path} page {page}"),
        (None, None) => path,
    }
}

#[cfg(test)]
mod tests;
