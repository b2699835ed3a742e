//! The comparison of strategies: what is asked, how far it has come, and what was measured.

pub mod bars;
mod differences;
mod page;

use std::{path::PathBuf, time::Duration};

use ratatui::layout::Size;

pub use differences::Differences;
pub use page::{Page, columns, header_rows};

use super::{
    app::{App, Effect, View},
    entry::{Note, Severity},
    keys::ComparisonAction,
    panes::{Focus, Panes},
};
use crate::{
    config::Strategy,
    engine::{
        Answer, Command, CompareRequest, Comparison, ComparisonResult, ComparisonRow, EarlierTurn, Failure,
        FailureKind, RequestId, RetrievedChunk, Selection,
        export::comparison::{self as export, ComparisonFormat},
    },
};

/// The strategies in the order in which they are numbered, run and shown.
pub const ORDER: [Strategy; 4] = [Strategy::Full, Strategy::Concat, Strategy::Parallel, Strategy::Ape];
const DEFAULT_RUNS: usize = 3;
/// More runs than anybody waits for.
const MOST_RUNS: usize = 20;

/// A question to be compared, as it was, or would be, asked in the chat.
#[derive(Debug, Clone)]
pub struct Compared {
    pub question: String,
    /// What it draws on.
    pub selection: Selection,
    /// The turns before it, oldest first.
    pub history: Vec<EarlierTurn>,
}

/// The comparison as the screen shows it.
#[derive(Debug, Clone)]
pub struct ComparisonView {
    /// What is compared.
    pub question: Option<Compared>,
    /// For each strategy of [`ORDER`] whether it takes part in the next comparison.
    pub chosen: [bool; ORDER.len()],
    /// Runs of each strategy in the next comparison.
    pub runs: usize,
    pub stage: Stage,
    /// What was measured, as far as it has come.
    pub comparison: Option<Comparison>,
    pub warnings: Vec<String>,
    /// What the last key came to, where that is not seen otherwise.
    pub notice: Option<Note>,
    /// The first visible row of the page.
    pub top: usize,
    /// The first of the answers that can be moved through, where not all are shown.
    pub first_answer: usize,
    pub differences: Differences,
    /// The meaning of the numbers is shown.
    pub explained: bool,
    pub page: Page,
    /// The requests sent so far: what is said of them is not for the chat.
    sent: Vec<RequestId>,
    /// The answers of every strategy of the comparison under way, run by run.
    measured: Vec<(Strategy, Vec<Answer>)>,
}

/// How far a comparison has come.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Stage {
    #[default]
    Idle,
    Running {
        /// Known once the engine has it.
        id: Option<RequestId>,
        since: Duration,
        /// The chunks have been found.
        found: bool,
    },
    Finished,
    Cancelled,
    Failed(Failure),
}

impl Default for ComparisonView {
    fn default() -> Self {
        Self {
            question: None,
            chosen: [true; ORDER.len()],
            runs: DEFAULT_RUNS,
            stage: Stage::default(),
            comparison: None,
            warnings: Vec::new(),
            notice: None,
            top: 0,
            first_answer: 0,
            differences: Differences::default(),
            explained: false,
            page: Page::default(),
            sent: Vec::new(),
            measured: Vec::new(),
        }
    }
}

impl ComparisonView {
    pub fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Running { .. })
    }

    /// The strategies of the next comparison.
    pub fn strategies(&self) -> Vec<Strategy> {
        ORDER
            .into_iter()
            .zip(self.chosen)
            .filter_map(|(strategy, chosen)| chosen.then_some(strategy))
            .collect()
    }

    /// The run that goes on, from 1, and its strategy. The engine takes the strategies in turn.
    pub fn now_running(&self) -> Option<(usize, Strategy)> {
        let Stage::Running { found: true, .. } = self.stage else { return None };
        let done = self.measured.iter().map(|(_, answers)| answers.len());
        let (most, least) = (done.clone().max()?, done.min()?);
        if most == least {
            return Some((most + 1, self.measured.first()?.0));
        }
        // A strategy before the one measured last that is behind has failed.
        let last = self.measured.iter().rposition(|(_, answers)| answers.len() == most)?;
        let next = self.measured.get(last + 1);
        Some(next.map_or((most + 1, self.measured[0].0), |(strategy, _)| (most, *strategy)))
    }

    /// Whether events about this request are about the comparison under way.
    pub fn expects(&self, id: RequestId) -> bool {
        matches!(self.stage, Stage::Running { id: Some(own), .. } if own == id)
    }

    /// Whether this request is a comparison, under way or not.
    pub fn knows(&self, id: RequestId) -> bool {
        self.sent.contains(&id)
    }

    /// Something that is said of a file, until the next key.
    pub fn on_note(&mut self, note: &Note) {
        self.notice = Some(note.clone());
        self.page.forget();
    }

    /// How saving it ended.
    pub fn on_saved(&mut self, saved: &Result<PathBuf, String>) {
        self.on_note(&match saved {
            Ok(path) => {
                Note { severity: Severity::Success, ..Note::info(format!("Saved {}", path.display())) }
            }
            Err(reason) => Note::warning(format!("It was not saved: {reason}.")),
        });
    }

    fn begin(&mut self, strategies: &[Strategy], since: Duration) {
        self.stage = Stage::Running { id: None, since, found: false };
        self.measured = strategies.iter().map(|strategy| (*strategy, Vec::new())).collect();
        self.comparison = None;
        self.warnings.clear();
        (self.top, self.first_answer) = (0, 0);
    }

    pub fn on_sent(&mut self, sent: RequestId) {
        self.sent.push(sent);
        if let Stage::Running { id, .. } = &mut self.stage {
            *id = Some(sent);
        }
    }

    /// The chunks were found that every strategy answers from.
    pub fn on_retrieved(&mut self, chunks: Vec<RetrievedChunk>) {
        if let Stage::Running { found, .. } = &mut self.stage {
            *found = true;
        }
        let question = self.question.as_ref().map(|compared| compared.question.clone()).unwrap_or_default();
        self.comparison = Some(Comparison { question, runs: self.runs, sources: chunks, rows: Vec::new() });
        self.page.forget();
    }

    /// One run is done: everything measured so far is summed up anew.
    pub fn on_measured(&mut self, runs: usize, answer: Answer) {
        let strategy = answer.strategy;
        if let Some((_, answers)) = self.measured.iter_mut().find(|(each, _)| *each == strategy) {
            answers.push(answer);
        }
        let full = self.measured.iter().find(|(strategy, _)| *strategy == Strategy::Full);
        let full = full.map(|(_, answers)| answers.as_slice()).filter(|answers| !answers.is_empty());
        let row = |(strategy, answers): &(Strategy, Vec<Answer>)| {
            let result = ComparisonResult::of(answers, full)?;
            Some(ComparisonRow { strategy: *strategy, result: Ok(result) })
        };
        let rows = self.measured.iter().filter_map(row).collect();
        if let Some(comparison) = &mut self.comparison {
            comparison.runs = runs;
            comparison.rows = rows;
        }
        self.page.forget();
    }

    pub fn on_warning(&mut self, message: String) {
        self.warnings.push(message);
        self.page.forget();
    }

    pub fn on_done(&mut self, comparison: Comparison) {
        self.stage = Stage::Finished;
        self.comparison = Some(comparison);
        self.page.forget();
    }

    pub fn on_failed(&mut self, failure: Failure) {
        self.stage = match failure.kind {
            FailureKind::Cancelled => Stage::Cancelled,
            _ => Stage::Failed(failure),
        };
        self.page.forget();
    }

    /// Lays the page out for a screen of this size, where anything has changed, and keeps what is scrolled within it.
    pub fn reflow(&mut self, size: Size) {
        let body = Panes::body(size);
        let answers = self.comparison.as_ref().map_or(0, |comparison| comparison.rows.len());
        let shown = columns(size, answers);
        self.first_answer = self.first_answer.min(answers.saturating_sub(shown));
        let mut page = std::mem::take(&mut self.page);
        page.update(self, size);
        let height = usize::from(body.height).saturating_sub(header_rows(self, "", body.width.into()).len());
        self.top = self.top.min(page.rows.len().saturating_sub(height));
        page.height = height;
        self.page = page;
    }

    fn scroll(&mut self, rows: isize) {
        self.top = self.top.saturating_add_signed(rows);
    }

    fn scroll_pages(&mut self, pages: isize) {
        self.scroll(pages * self.page.height.saturating_sub(1).max(1) as isize);
    }
}

impl App {
    pub(super) fn perform_comparison(&mut self, action: ComparisonAction) -> Vec<Effect> {
        let view = &mut self.comparison;
        view.notice = None;
        match action {
            ComparisonAction::Compare => return self.compare_turn(),
            ComparisonAction::Cancel => return self.cancel_comparison(),
            ComparisonAction::Start => return self.restart_comparison(),
            ComparisonAction::Export(format) => return self.export_comparison(format),
            ComparisonAction::Question => self.type_comparison(),
            ComparisonAction::Toggle(strategy) => {
                if let Some(chosen) = view.chosen.get_mut(strategy) {
                    *chosen = !*chosen;
                }
            }
            ComparisonAction::MoreRuns => view.runs = (view.runs + 1).min(MOST_RUNS),
            ComparisonAction::FewerRuns => view.runs = (view.runs - 1).max(1),
            ComparisonAction::Up => view.scroll(-1),
            ComparisonAction::Down => view.scroll(1),
            ComparisonAction::PageUp => view.scroll_pages(-1),
            ComparisonAction::PageDown => view.scroll_pages(1),
            ComparisonAction::Top => view.top = 0,
            ComparisonAction::Bottom => view.top = view.page.rows.len(),
            ComparisonAction::Left => view.first_answer = view.first_answer.saturating_sub(1),
            ComparisonAction::Right => view.first_answer += 1,
            ComparisonAction::Differences => view.differences = view.differences.next(),
            ComparisonAction::Explain => view.explained = !view.explained,
        }
        self.comparison.page.forget();
        Vec::new()
    }

    /// Compares the strategies on a question of its own, with what is chosen for the next question.
    pub(super) fn compare(&mut self, question: String) -> Vec<Effect> {
        let mut selection = Selection::default();
        self.chips.apply(&mut selection);
        self.compare_with(Compared { question, selection, history: Vec::new() })
    }

    fn compare_turn(&mut self) -> Vec<Effect> {
        let compared = self.turn_at_hand().map(|(index, turn)| Compared {
            question: turn.question.clone(),
            selection: turn.selection.clone(),
            history: self.history(Some(turn.replaces.unwrap_or(index))),
        });
        match compared {
            Some(compared) => self.compare_with(compared),
            None => self.open(View::Comparison),
        }
    }

    fn compare_with(&mut self, compared: Compared) -> Vec<Effect> {
        self.view = View::Comparison;
        if self.comparison.is_running() {
            self.comparison
                .on_note(&Note::warning("One comparison at a time: wait for it, or cancel it first."));
            return Vec::new();
        }
        self.comparison.question = Some(compared);
        self.start_comparison()
    }

    /// Starts with what is chosen; the one under way is cancelled.
    fn restart_comparison(&mut self) -> Vec<Effect> {
        if self.comparison.strategies().is_empty() {
            return Vec::new();
        }
        let mut effects = self.cancel_comparison();
        effects.extend(self.start_comparison());
        effects
    }

    fn start_comparison(&mut self) -> Vec<Effect> {
        let view = &self.comparison;
        let strategies = view.strategies();
        let Some(Compared { question, selection, history }) = view.question.clone() else {
            return Vec::new();
        };
        if view.is_running() || strategies.is_empty() {
            return Vec::new();
        }
        let request = CompareRequest {
            question,
            selection,
            history,
            strategies: strategies.clone(),
            runs: view.runs,
            ..CompareRequest::default()
        };
        if self.engine_gone {
            let failure = Failure {
                kind: FailureKind::Internal,
                message: "The engine has stopped.".to_owned(),
                hint: Some("Quit and start Gibbon again.".to_owned()),
            };
            self.comparison.on_failed(failure);
            return Vec::new();
        }
        self.comparison.begin(&strategies, self.now);
        self.comparison.page.forget();
        vec![Effect::Send(Command::Compare(request))]
    }

    /// Marks the comparison as cancelled at once; the engine stops within a token.
    fn cancel_comparison(&mut self) -> Vec<Effect> {
        let Stage::Running { id, .. } = self.comparison.stage else { return Vec::new() };
        self.comparison.stage = Stage::Cancelled;
        self.comparison.page.forget();
        id.map(Effect::Cancel).into_iter().collect()
    }

    /// Goes to the question with the slash command typed.
    fn type_comparison(&mut self) {
        self.view = View::Chat;
        self.focus_on(Focus::Input);
        if self.input.is_empty() {
            self.input.paste("/compare ");
        }
    }

    /// Saves what was measured, where there is anything.
    pub(super) fn export_comparison(&mut self, format: ComparisonFormat) -> Vec<Effect> {
        let Some(comparison) = self.comparison.comparison.as_ref().filter(|each| !each.rows.is_empty())
        else {
            self.comparison.on_note(&Note::warning("There is nothing to save yet."));
            return Vec::new();
        };
        let model = self.status.as_ref().and_then(|status| status.model.as_ref());
        let model = model.map_or("unknown", |model| model.name.as_str());
        match export::text(comparison, model, format) {
            Ok(text) => {
                let (stem, extension) = ("gibbon-comparison".to_owned(), format.extension());
                vec![Effect::Save { stem, extension, text }]
            }
            Err(error) => {
                self.comparison
                    .on_note(&Note::warning(format!("The comparison could not be written: {error}")));
                Vec::new()
            }
        }
    }
}
