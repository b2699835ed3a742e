//! The entries of a conversation, and how each is laid out as rows.

use std::time::Duration;

use super::{
    format,
    laid::GUTTER,
    phase_bar,
    text::{Piece, Row, flow, wrap},
    theme::Role,
};
use crate::{
    config::Strategy,
    engine::{
        CacheOrigin, Failure, KeptTurn, Progress, RequestId, RetrievedChunk, Selection, StopReason, Timings,
    },
};

/// Something in the conversation.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    Turn(Box<Turn>),
    Note(Note),
    /// A new chat begins here: what stands above is not part of it.
    Divider(String),
}

/// A question and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Known once the engine has the question.
    pub id: Option<RequestId>,
    pub question: String,
    pub strategy: Strategy,
    /// What it was asked with, for asking it again.
    pub selection: Selection,
    /// The turn in whose place this one is, and in that of all after it.
    pub replaces: Option<usize>,
    /// Where the catalogue keeps it, once it does.
    pub kept: Option<KeptTurn>,
    /// A later turn is in its place.
    pub superseded: bool,
    pub asked_at: Duration,
    /// The answer's text as far as it has come.
    pub text: String,
    /// Best first.
    pub sources: Vec<RetrievedChunk>,
    /// In the order of `sources`; empty until they are loaded.
    pub origins: Vec<CacheOrigin>,
    pub stage: Stage,
    /// What the engine says it is doing, where it says so.
    pub progress: Option<Progress>,
    pub warnings: Vec<String>,
    pub timings: Option<Timings>,
}

/// How far a question has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    Asked,
    Retrieved,
    Loaded,
    Prefilled,
    Streaming,
    Answered(StopReason),
    Cancelled,
    Failed(Failure),
}

/// What the program says of itself: help, reports, errors outside an answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Note {
    pub severity: Severity,
    pub text: String,
    pub details: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
    /// Chunks that the sources pane shows for it.
    pub sources: Vec<RetrievedChunk>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Severity {
    #[default]
    Info,
    Success,
    Warning,
    Error,
}

impl Turn {
    pub fn new(question: String, strategy: Strategy, asked_at: Duration) -> Self {
        Self {
            id: None,
            question,
            strategy,
            selection: Selection::default(),
            replaces: None,
            kept: None,
            superseded: false,
            asked_at,
            text: String::new(),
            sources: Vec::new(),
            origins: Vec::new(),
            stage: Stage::Asked,
            progress: None,
            warnings: Vec::new(),
            timings: None,
        }
    }

    pub fn is_running(&self) -> bool {
        !matches!(self.stage, Stage::Answered(_) | Stage::Cancelled | Stage::Failed(_))
    }

    /// What is being done now, for the line under a running answer.
    pub fn activity(&self) -> String {
        if let Some(Progress { phase, done, total, unit, .. }) = self.progress {
            let (phase, unit) = (format::index_phase(phase), format::unit(unit));
            return match total {
                0 => format!("{phase} · {}", format::count(done as usize, unit)),
                total => format!("{phase} · {done} of {}", format::count(total as usize, unit)),
            };
        }
        match self.stage {
            Stage::Asked => "looking for chunks".to_owned(),
            Stage::Retrieved => format!("loading {}", format::count(self.sources.len(), "chunk")),
            Stage::Loaded => "reading the question".to_owned(),
            Stage::Prefilled => "starting the answer".to_owned(),
            _ => "answering".to_owned(),
        }
    }
}

impl Note {
    pub fn info(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub fn warning(text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, text: text.into(), ..Self::default() }
    }

    pub fn failure(failure: Failure) -> Self {
        Self { severity: Severity::Error, text: failure.message, hint: failure.hint, ..Self::default() }
    }
}

impl Entry {
    /// The chunks the sources pane shows for it.
    pub fn sources(&self) -> &[RetrievedChunk] {
        match self {
            Self::Turn(turn) => &turn.sources,
            Self::Note(note) => &note.sources,
            Self::Divider(_) => &[],
        }
    }
}

/// The question, and a blank row.
pub fn question_rows(turn: &Turn, width: usize) -> Vec<Row> {
    let role = if turn.superseded { Role::Muted } else { Role::Question };
    let mut rows = marked("❯", Role::Accent, &turn.question, role, width);
    rows.push(Row { pieces: Vec::new(), at: turn.question.len() });
    rows
}

/// A line across with words in it.
pub fn divider_rows(text: &str, width: usize) -> Vec<Row> {
    let words = super::text::fit(text, width.saturating_sub(5));
    let rest = width.saturating_sub(4 + super::text::width(&words));
    vec![Row::new(vec![
        Piece::new("── ", Role::Border),
        Piece::new(words, Role::Muted),
        Piece::new(format!(" {}", "─".repeat(rest)), Role::Border),
    ])]
}

/// What follows the answer's text. While the answer is under way, the last row is for what it is doing.
pub fn tail_rows(turn: &Turn, width: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    if !turn.text.is_empty() {
        rows.push(Row::blank());
    }
    for warning in &turn.warnings {
        rows.extend(marked("!", Role::Warning, warning, Role::Warning, width));
    }
    if !turn.warnings.is_empty() {
        rows.push(Row::blank());
    }
    if turn.is_running() {
        rows.push(Row::blank());
        return rows;
    }
    if turn.superseded {
        rows.extend(marked(
            "↻",
            Role::Muted,
            "asked again below; not part of the chat any more",
            Role::Muted,
            width,
        ));
        rows.push(Row::blank());
    }
    rows.extend(ending_rows(turn, width));
    if let Some(timings) = &turn.timings {
        let bar = phase_bar::rows(timings, format::strategy(turn.strategy), width.saturating_sub(GUTTER));
        rows.extend(bar.into_iter().map(|row| indented(row, "  ", Role::Base, 0)));
    }
    if !turn.sources.is_empty() {
        // They stand apart from what is above them, and not twice.
        let is_apart = rows.last().is_some_and(|row| row.text().is_empty());
        rows.extend(source_rows(&turn.sources, width).into_iter().skip(is_apart.into()));
    }
    rows
}

/// How the answer ended, unless it simply came to its end.
fn ending_rows(turn: &Turn, width: usize) -> Vec<Row> {
    let notice = |text| marked("◌", Role::Warning, text, Role::Warning, width);
    let mut rows = match &turn.stage {
        Stage::Cancelled => notice("cancelled"),
        Stage::Answered(StopReason::MaxTokens) => notice("cut off: the answer reached its longest length"),
        Stage::Answered(StopReason::ContextFull) => notice("cut off: the model's context is full"),
        Stage::Answered(_) if turn.text.is_empty() => notice("no answer: the model ended it at once"),
        Stage::Failed(failure) => failure_rows(failure, width),
        _ => return Vec::new(),
    };
    rows.push(Row::blank());
    rows
}

fn failure_rows(failure: &Failure, width: usize) -> Vec<Row> {
    let mut rows = marked("✗", Role::Error, &failure.message, Role::Error, width);
    if let Some(hint) = &failure.hint {
        rows.extend(marked("→", Role::Muted, hint, Role::Base, width));
    }
    rows
}

/// The numbers of the answer's sources and what they stand for.
fn source_rows(sources: &[RetrievedChunk], width: usize) -> Vec<Row> {
    let item = |source: &RetrievedChunk| {
        let label = super::text::fit(&source.label, 40);
        vec![
            Piece::new(format!("[{}]", source.rank), Role::Citation),
            Piece::new(format!(" {label}"), Role::Muted),
        ]
    };
    let items: Vec<_> = sources.iter().map(item).collect();
    let rows = flow(&items, width.saturating_sub(GUTTER), 2);
    std::iter::once(Row::blank())
        .chain(rows.into_iter().map(|row| indented(row, "  ", Role::Base, 0)))
        .collect()
}

/// What the program says of itself.
pub fn note_rows(note: &Note, width: usize) -> Vec<Row> {
    let (mark, role) = match note.severity {
        Severity::Info => ("·", Role::Base),
        Severity::Success => ("✓", Role::Success),
        Severity::Warning => ("!", Role::Warning),
        Severity::Error => ("✗", Role::Error),
    };
    let text_role = if note.severity == Severity::Success { Role::Base } else { role };
    let mut rows = marked(mark, role, &note.text, text_role, width);
    for detail in &note.details {
        rows.extend(marked(" ", Role::Muted, detail, Role::Muted, width));
    }
    if let Some(hint) = &note.hint {
        rows.extend(marked("→", Role::Muted, hint, Role::Base, width));
    }
    for (index, row) in rows.iter_mut().enumerate() {
        row.at = index;
    }
    rows
}

/// Text (of several paragraphs, perhaps) with a mark in the gutter of its first row.
fn marked(mark: &str, mark_role: Role, text: &str, role: Role, width: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut at = 0;
    for paragraph in text.split('\n') {
        for row in wrap(&[Piece::new(paragraph, role)], width.saturating_sub(GUTTER), 0) {
            let gutter = if rows.is_empty() { format!("{mark} ") } else { " ".repeat(GUTTER) };
            rows.push(indented(row, &gutter, mark_role, at));
        }
        at += paragraph.len() + 1;
    }
    rows
}

fn indented(mut row: Row, gutter: &str, role: Role, base: usize) -> Row {
    row.pieces.insert(0, Piece::new(gutter, role));
    row.at += base;
    row
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// An answer with sources of these labels.
    pub fn answered(text: &str, labels: &[&str]) -> Entry {
        let source = |(index, label): (usize, &&str)| RetrievedChunk {
            rank: index + 1,
            id: index.to_string(),
            label: (*label).to_owned(),
            path: "a.md".into(),
            lines: None,
            page: None,
            heading: Vec::new(),
            score: 1.0,
            tokens: 0,
            cached: true,
            text: String::new(),
            cache_bytes: 0,
            matches: Vec::new(),
            reason: Default::default(),
        };
        let mut turn = Turn::new("How?".to_owned(), Strategy::Ape, Duration::ZERO);
        turn.text = text.to_owned();
        turn.stage = Stage::Answered(StopReason::EndOfText);
        turn.sources = labels.iter().enumerate().map(source).collect();
        Entry::Turn(Box::new(turn))
    }
}
