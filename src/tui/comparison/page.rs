//! The comparison as rows: bars, numbers and answers, laid out once for what was measured and a size.

use ratatui::layout::Size;

use super::{
    super::{
        entry::{Note, Severity},
        format::duration,
        panes::Panes,
        phase_bar::LOOKS,
        text::{Piece, Row, cut, fit, flow, width as cells_of, wrap},
        theme::Role,
    },
    ComparisonView, Differences, ORDER, Stage,
    bars::{BETWEEN, Until, bar},
    differences::{Compared, Words},
};
use crate::engine::{Comparison, ComparisonResult, ComparisonRow, Failure, Spread, Timings};

/// From this width of the screen on every answer has a column of its own.
const WIDE: u16 = 140;
/// From this width on two answers stand beside each other.
const MIDDLE: u16 = 90;
/// Cells of the column with the strategies' names.
const NAME: usize = 10;
/// Cells for a time and its spread, after a bar.
const FIGURES: usize = 25;
/// Between two columns of answers.
const DIVIDER: &str = " │ ";

const MEANINGS: [&str; 6] = [
    "To the first token: from the question to the first word. The bar is the run nearest to the median; the numbers are \
     the median and, in brackets, the smallest and the largest of the runs.",
    "To the end: from the question to the last word. Answers of different lengths take different times.",
    "Sooner: how many times sooner than full, by medians; below 1 it was later.",
    "Tok/s: tokens of the answer each second, after the first.",
    "KL: how far the odds of every possible first token are from those under full, in nats; 0 is the same.",
    "Same tokens: how many tokens from the beginning are those of full's answer, of how many.",
];

/// The rows under the header, and what they were made for.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub rows: Vec<Row>,
    /// The row with the names over the answers: it stays in sight while they are read.
    pub heading: Option<usize>,
    /// Rows of it that are visible at once.
    pub height: usize,
    size: Option<Size>,
}

impl Page {
    /// Something that it shows has changed.
    pub fn forget(&mut self) {
        self.size = None;
    }

    pub fn update(&mut self, view: &ComparisonView, size: Size) {
        if self.size == Some(size) {
            return;
        }
        let width = usize::from(Panes::body(size).width);
        *self = Self { size: Some(size), height: self.height, ..Self::default() };
        for warning in &view.warnings {
            self.rows.extend(wrap(&[Piece::new(format!("! {warning}"), Role::Warning)], width, 2));
        }
        if let Stage::Failed(failure) = &view.stage {
            self.rows.extend(failure_rows(failure, width));
        }
        if !self.rows.is_empty() {
            self.rows.push(Row::blank());
        }
        match view.comparison.as_ref().filter(|comparison| !comparison.rows.is_empty()) {
            Some(comparison) => self.measured(view, comparison, size, width),
            None => self.rows.extend(nothing_measured(view, width)),
        }
    }

    fn measured(&mut self, view: &ComparisonView, comparison: &Comparison, size: Size, width: usize) {
        self.rows.extend(both_bars(comparison, size, width));
        self.rows.push(Row::blank());
        self.rows.extend(numbers(comparison, width));
        self.rows.extend(match view.explained {
            true => {
                MEANINGS.iter().flat_map(|text| wrap(&[Piece::new(*text, Role::Muted)], width, 2)).collect()
            }
            false => vec![Row::new(vec![
                Piece::new("?", Role::Key),
                Piece::new(" what the numbers mean", Role::Muted),
            ])],
        });
        self.rows.push(Row::blank());
        self.answers(view, comparison, size, width);
    }

    fn answers(&mut self, view: &ComparisonView, comparison: &Comparison, size: Size, width: usize) {
        let shown = shown(view, comparison, size);
        let words: Vec<_> = comparison
            .rows
            .iter()
            .map(|row| {
                row.result.as_ref().ok().map(|result| Words::of(&result.answer.text, &comparison.sources))
            })
            .collect();
        let reference = words.iter().position(Option::is_some);
        self.rows.push(cut(answers_title(view, comparison, shown.len()), width));
        let column = (width - cells_of(DIVIDER) * (shown.len() - 1)) / shown.len();
        let mut columns = Vec::new();
        let mut heads = Vec::new();
        for index in shown {
            let row = &comparison.rows[index];
            let (head, body) = match (&row.result, &words[index], reference.and_then(|at| words[at].as_ref()))
            {
                (Ok(_), Some(own), Some(other)) => {
                    let is_reference = Some(index) == reference;
                    let compared =
                        if is_reference { Compared::alone(own) } else { Compared::with(own, other) };
                    (
                        head(row, comparison.runs, &compared, is_reference),
                        compared.rows(view.differences, column),
                    )
                }
                (Err(failure), ..) => {
                    let head = vec![
                        Piece::new(row.strategy.name(), Role::Title),
                        Piece::new("  failed", Role::Error),
                    ];
                    (Row::new(head), failure_rows(failure, column))
                }
                _ => (Row::blank(), Vec::new()),
            };
            heads.push(cut(head, column));
            columns.push(body);
        }
        self.heading = Some(self.rows.len());
        self.rows.push(beside(&heads.iter().map(Some).collect::<Vec<_>>(), column));
        let longest = columns.iter().map(Vec::len).max().unwrap_or(0);
        for number in 0..longest {
            let cells: Vec<_> = columns.iter().map(|rows| rows.get(number)).collect();
            self.rows.push(beside(&cells, column));
        }
    }
}

/// Answers that stand beside each other on a screen of this size.
pub fn columns(size: Size, answers: usize) -> usize {
    let most = match size.width {
        width if width >= WIDE => ORDER.len(),
        width if width >= MIDDLE => 2,
        _ => 1,
    };
    answers.min(most)
}

/// The numbers of the rows whose answers are shown. Where two are, the first stays: the other is compared with it.
fn shown(view: &ComparisonView, comparison: &Comparison, size: Size) -> Vec<usize> {
    let all = comparison.rows.len();
    let count = columns(size, all);
    let first = view.first_answer.min(all - count);
    match count {
        2 => vec![0, 1 + first],
        _ => (first..first + count).collect(),
    }
}

/// The question, the choices for the next comparison, and how far this one has come; `spinner` turns while it runs.
pub fn header_rows(view: &ComparisonView, activity: &str, columns: usize) -> Vec<Row> {
    let question = view.question.as_ref().map_or("", |compared| compared.question.as_str());
    let title = "Comparison";
    let question = fit(question, columns.saturating_sub(cells_of(title) + 2));
    let mut rows = vec![Row::new(vec![
        Piece::new(title, Role::Title),
        Piece::new(format!("  {question}"), Role::Question),
    ])];
    let mut items: Vec<_> = ORDER
        .iter()
        .zip(view.chosen)
        .enumerate()
        .map(|(number, (strategy, chosen))| {
            let (mark, role) = if chosen { ("●", Role::Base) } else { ("○", Role::Muted) };
            vec![
                Piece::new(format!("{} ", number + 1), Role::Key),
                Piece::new(format!("{mark} {}", strategy.name()), role),
            ]
        })
        .collect();
    let runs = if view.runs == 1 { "run of each" } else { "runs of each" };
    items.push(vec![Piece::new("- + ", Role::Key), Piece::new(format!("{} {runs}", view.runs), Role::Base)]);
    items.push(stage(view, activity));
    rows.extend(flow(&items, columns, 2));
    rows.push(view.notice.as_ref().map_or_else(Row::blank, |note| notice(note, columns)));
    rows
}

/// What the last key came to, in one row; of a path the end is kept.
fn notice(note: &Note, columns: usize) -> Row {
    let (mark, role) = match note.severity {
        Severity::Success => ("✓ ", Role::Success),
        _ => ("! ", Role::Warning),
    };
    Row::new(vec![Piece::new(mark, role), Piece::new(fit(&note.text, columns.saturating_sub(2)), Role::Base)])
}

fn stage(view: &ComparisonView, activity: &str) -> Vec<Piece> {
    let measured = view.comparison.as_ref().is_some_and(|comparison| !comparison.rows.is_empty());
    let word = |text: &str, role| vec![Piece::new(text, role)];
    match &view.stage {
        _ if view.strategies().is_empty() => word("choose a strategy", Role::Warning),
        Stage::Idle => Vec::new(),
        Stage::Running { .. } => {
            let doing = match view.now_running() {
                Some((run, strategy)) => {
                    let runs = view.comparison.as_ref().map_or(view.runs, |comparison| comparison.runs);
                    format!("run {} of {runs} · {}", run.min(runs), strategy.name())
                }
                None => "looking for chunks".to_owned(),
            };
            vec![Piece::new(format!("{activity} "), Role::Accent), Piece::new(doing, Role::Base)]
        }
        Stage::Finished => word("✓ finished", Role::Success),
        Stage::Cancelled if measured => word("cancelled; what was measured stays", Role::Warning),
        Stage::Cancelled => word("cancelled", Role::Warning),
        Stage::Failed(_) => word("✗ failed", Role::Error),
    }
}

fn nothing_measured(view: &ComparisonView, width: usize) -> Vec<Row> {
    let text = match (&view.question, &view.stage) {
        (None, _) => {
            "No question yet: ask one in the chat and type /compare there, or /compare QUESTION in the place of a \
             question."
        }
        (_, Stage::Running { .. }) => "Every run is shown as soon as it is done.",
        _ => "Nothing was measured.",
    };
    let about = "The same question is answered by each strategy in turn, several times. Then their times stand under \
        each other, and their answers beside each other with the differences marked.";
    let mut rows = wrap(&[Piece::new(text, Role::Base)], width, 0);
    rows.push(Row::blank());
    rows.extend(wrap(&[Piece::new(about, Role::Muted)], width, 0));
    rows
}

fn failure_rows(failure: &Failure, width: usize) -> Vec<Row> {
    let mut rows = wrap(&[Piece::new(&failure.message, Role::Error)], width, 0);
    if let Some(hint) = &failure.hint {
        rows.extend(wrap(&[Piece::new(hint, Role::Muted)], width, 0));
    }
    rows
}

/// The bars to the first token and to the end, beside each other where there is room, and their legend.
fn both_bars(comparison: &Comparison, size: Size, width: usize) -> Vec<Row> {
    let first = |width| bars(comparison, Until::FirstToken, width);
    let end = |width| bars(comparison, Until::End, width);
    let mut rows = if size.width >= WIDE {
        let column = (width - cells_of(DIVIDER)) / 2;
        let (first, end) = (first(column), end(column));
        first.iter().zip(&end).map(|(one, other)| beside(&[Some(one), Some(other)], column)).collect()
    } else {
        let mut rows = first(width);
        rows.extend(end(width));
        rows
    };
    let names = Timings::default().phases().map(|phase| phase.name);
    let items: Vec<_> = LOOKS
        .into_iter()
        .zip(names)
        .chain([(BETWEEN, "between")])
        .map(|((role, glyph), name)| {
            vec![Piece::new(glyph, role), Piece::new(format!(" {name}"), Role::Muted)]
        })
        .collect();
    rows.extend(flow(&items, width, 2));
    rows
}

/// One bar for each strategy, with its time after it. All have one scale: the longest fills the width.
fn bars(comparison: &Comparison, until: Until, width: usize) -> Vec<Row> {
    let good = comparison.rows.iter().filter_map(|row| row.result.as_ref().ok());
    let scale = good.map(|result| until.seconds(typical(result, until))).fold(0.0, f64::max);
    let cells = width.saturating_sub(NAME + FIGURES + 1).max(4);
    let title = match until {
        Until::FirstToken => "To the first token",
        Until::End => "To the end of the answer",
    };
    let note = format!("  one scale, 0 to {}", duration(scale));
    let mut rows =
        vec![cut(Row::new(vec![Piece::new(title, Role::Title), Piece::new(note, Role::Muted)]), width)];
    for row in &comparison.rows {
        let mut pieces = vec![Piece::new(padded(row.strategy.name(), NAME), Role::Base)];
        match &row.result {
            Ok(result) => {
                let bar = bar(typical(result, until), until, scale, cells);
                let gap = " ".repeat(cells - bar.width() + 1);
                pieces.extend(bar.pieces);
                pieces.push(Piece::new(gap, Role::Base));
                pieces.extend(times(spread(result, until)));
            }
            Err(failure) => pieces.push(Piece::new(
                fit(&format!("failed: {}", failure.message), width.saturating_sub(NAME)),
                Role::Error,
            )),
        }
        rows.push(cut(Row::new(pieces), width));
    }
    rows
}

fn typical(result: &ComparisonResult, until: Until) -> &Timings {
    match until {
        Until::FirstToken => result.typical_first_token(),
        Until::End => result.typical_total(),
    }
}

fn spread(result: &ComparisonResult, until: Until) -> &Spread {
    match until {
        Until::FirstToken => &result.time_to_first_token_seconds,
        Until::End => &result.total_seconds,
    }
}

/// The median, and the smallest and the largest where they differ.
fn times(spread: &Spread) -> Vec<Piece> {
    let (min, max) = (duration(spread.min), duration(spread.max));
    let mut pieces = vec![Piece::new(duration(spread.median), Role::Title)];
    if min != max {
        pieces.push(Piece::new(format!(" ({min}–{max})"), Role::Muted));
    }
    pieces
}

/// What can be said in numbers: a row for each strategy that worked, in columns as wide as they need to be.
fn numbers(comparison: &Comparison, width: usize) -> Vec<Row> {
    let full = comparison.rows.iter().find(|row| row.strategy == crate::config::Strategy::Full);
    let full = full.and_then(|row| row.result.as_ref().ok());
    let wide = width >= MIDDLE.into();
    let heads = match wide {
        true => ["strategy", "first token sooner", "end sooner", "tok/s", "KL of first token", "same tokens"],
        false => ["", "1st tok", "end", "tok/s", "KL", "same"],
    };
    let mut table = vec![heads.map(str::to_owned)];
    for row in &comparison.rows {
        let Ok(result) = &row.result else { continue };
        table.push(cells(row, result, full, wide));
    }
    let widths: Vec<usize> = (0..heads.len())
        .map(|column| table.iter().map(|row| cells_of(&row[column])).max().unwrap_or(0))
        .collect();
    let gap = if wide { "   " } else { "  " };
    let line = |(number, row): (usize, &[String; 6])| {
        let role = if number == 0 { Role::Muted } else { Role::Base };
        let mut text = padded(&row[0], NAME - if wide { 0 } else { 1 });
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            text += &format!("{gap}{}{cell}", " ".repeat(width - cells_of(cell)));
        }
        cut(Row::new(vec![Piece::new(text, role)]), width)
    };
    table.iter().enumerate().map(line).collect()
}

fn cells(
    row: &ComparisonRow,
    result: &ComparisonResult,
    full: Option<&ComparisonResult>,
    wide: bool,
) -> [String; 6] {
    let missing = || "–".to_owned();
    let times = |times: Option<f64>| times.map_or_else(missing, |times| format!("{times:.1} ×"));
    let Spread { median, min, max } = result.tokens_per_second;
    let speed = match wide && min != max {
        true => format!("{median:.1} ({min:.1}–{max:.1})"),
        false => format!("{median:.1}"),
    };
    [
        row.strategy.name().to_owned(),
        times(result.first_token_speedup),
        times(full.and_then(|full| result.total_speedup(full))),
        speed,
        result.first_token_divergence.map_or_else(missing, |nats| format!("{nats:.3}")),
        result.agreement.map_or_else(missing, |(same, of)| format!("{same} of {of}")),
    ]
}

/// The row over the answers: which of them are shown, and what the marks mean.
fn answers_title(view: &ComparisonView, comparison: &Comparison, shown: usize) -> Row {
    let mut pieces = vec![Piece::new("Answers", Role::Title)];
    let all = comparison.rows.len();
    if shown < all {
        let moving = if shown == 2 { (view.first_answer + 2, all) } else { (view.first_answer + 1, all) };
        pieces.push(Piece::new("  ← → ", Role::Key));
        pieces.push(Piece::new(format!("{} of {}", moving.0, moving.1), Role::Muted));
    }
    let reference =
        comparison.rows.iter().find(|row| row.result.is_ok()).map_or("", |row| row.strategy.name());
    match view.differences {
        Differences::Hidden => pieces.push(Piece::new("  differences not shown", Role::Muted)),
        how => {
            let missing = if how == Differences::Whole { "[-only there-]" } else { "[-words missing-]" };
            pieces.push(Piece::new(format!("  against {reference}: "), Role::Muted));
            pieces.push(Piece::new("{+only here+}", Role::Success));
            pieces.push(Piece::new(" ", Role::Base));
            pieces.push(Piece::new(missing, Role::Warning));
        }
    }
    Row::new(pieces)
}

/// A strategy's name, and how many words its answer has more and less than the one that it is compared with.
fn head(row: &ComparisonRow, runs: usize, compared: &Compared, is_reference: bool) -> Row {
    let (added, missing) = compared.counts();
    let note = match (is_reference, added, missing) {
        (true, ..) => "the others against it".to_owned(),
        (false, 0, 0) => "the same words".to_owned(),
        (false, added, missing) => format!("+{added} −{missing} words"),
    };
    let done = row.result.as_ref().map_or(0, |result| result.runs.len());
    let note = if done < runs { format!("{note} · {done} of {runs} runs") } else { note };
    Row::new(vec![Piece::new(row.strategy.name(), Role::Title), Piece::new(format!("  {note}"), Role::Muted)])
}

/// Rows of columns that are `column` cells wide, with a line between them.
fn beside(cells: &[Option<&Row>], column: usize) -> Row {
    let mut pieces = Vec::new();
    for (number, cell) in cells.iter().enumerate() {
        if number > 0 {
            pieces.push(Piece::new(DIVIDER, Role::Border));
        }
        let used = cell.map_or(0, Row::width);
        pieces.extend(cell.iter().flat_map(|row| row.pieces.iter().cloned()));
        if number + 1 < cells.len() {
            pieces.push(Piece::new(" ".repeat(column.saturating_sub(used)), Role::Base));
        }
    }
    Row::new(pieces)
}

fn padded(text: &str, cells: usize) -> String {
    let text = fit(text, cells);
    let gap = cells - cells_of(&text);
    text + &" ".repeat(gap)
}
