//! An index run: where its phases stand, how fast it goes and for how long still, the estimate, and how it ended.

use std::time::Duration;

use super::{
    super::{
        super::{
            app::App,
            format::{bytes, count, duration, index_phase, thousands, unit},
            gauge,
            index_run::{Ending, IndexRun, PHASES, PhaseState, Purpose},
            text::{Piece, Row, fit, flow, width, wrap},
            theme::Role,
        },
        spinner,
    },
    WIDEST_BAR, rule, said,
};
use crate::engine::{EncodeEstimate, Hold, IndexPhase, IndexReport, Progress};

/// Cells of a phase's mark and name.
const NAME: usize = 20;

/// The run under way or the last one, but for the files that were left out.
pub fn rows(app: &App, columns: usize) -> Vec<Row> {
    let Some(run) = &app.indexing_view.run else {
        let mut rows = vec![rule("Run", columns)];
        rows.extend(said("Nothing was indexed since the screen was opened.", Role::Muted, columns));
        rows.push(Row::blank());
        return rows;
    };
    let mut rows = vec![rule(&purpose(&run.purpose), columns)];
    rows.extend(standing(app, run, columns));
    rows.push(Row::blank());
    for phase in PHASES {
        rows.push(phase_row(app, run, phase, columns));
        if run.state(phase) == PhaseState::Present {
            rows.extend(pace(app, run, columns));
        }
    }
    if let Some(estimate) = &run.estimate {
        rows.push(Row::blank());
        rows.extend(estimate_rows(estimate, columns));
    }
    if let Some((_, Ending::Report(report))) = &run.ended {
        rows.push(Row::blank());
        rows.extend(report_rows(report, columns));
    }
    rows.push(Row::blank());
    rows
}

/// The files that were left out and why.
pub fn left_out(app: &App, columns: usize) -> Vec<Row> {
    let Some(run) = app.indexing_view.run.as_ref().filter(|run| run.left_out_in_all > 0) else {
        return Vec::new();
    };
    let mut rows = vec![rule(&format!("Left out: {}", count(run.left_out_in_all, "file")), columns)];
    for issue in &run.left_out {
        let path = Piece::new(issue.path.to_string_lossy(), Role::Base);
        rows.extend(wrap(&[path, Piece::new(format!("  {}", issue.reason), Role::Muted)], columns, 4));
    }
    let more = run.left_out_in_all - run.left_out.len();
    if more > 0 {
        rows.extend(said(format!("and {} more", count(more, "file")), Role::Muted, columns));
    }
    rows
}

fn purpose(purpose: &Purpose) -> String {
    match purpose {
        Purpose::Add(path) => format!("Indexing {}", path.display()),
        Purpose::Forget(path) => format!("Taking out {}", path.display()),
        Purpose::Refresh => "Looking at everything again".to_owned(),
    }
}

/// Whether it goes on, and for how long it has, or how it ended.
fn standing(app: &App, run: &IndexRun, columns: usize) -> Vec<Row> {
    let took = |until: Duration| duration(until.saturating_sub(run.began).as_secs_f64());
    let (mark, role, text) = match &run.ended {
        Some((at, Ending::Report(report))) if report.cancelled => {
            ("◌", Role::Warning, format!("stopped after {}: what is done stays done", took(*at)))
        }
        Some((at, Ending::Report(_))) => ("✓", Role::Success, format!("done in {}", took(*at))),
        Some((_, Ending::Failed(failure))) => {
            let mut rows = said(format!("✗ {}", failure.message), Role::Error, columns);
            let hint = failure.hint.iter();
            rows.extend(hint.flat_map(|hint| said(format!("→ {hint}"), Role::Base, columns)));
            return rows;
        }
        None if app.engine_gone => ("✗", Role::Error, "the engine has stopped".to_owned()),
        None if run.stop_asked => (spinner(app), Role::Warning, "stopping …".to_owned()),
        None => match run.hold() {
            Some(Hold::Paused) => ("‖", Role::Warning, "paused".to_owned()),
            Some(Hold::Battery) => {
                let text = "the machine runs on its battery; it goes on once that is plugged in";
                ("‖", Role::Warning, text.to_owned())
            }
            Some(Hold::Question) => {
                let text = "gives way to a question; it goes on after the answer";
                ("‖", Role::Warning, text.to_owned())
            }
            None if run.pause_asked => (spinner(app), Role::Warning, "pausing …".to_owned()),
            // The engine says so itself when the chunk that it is at is done.
            None if app.running().is_some() && run.present == Some(IndexPhase::Encode) => {
                let text = "gives way to a question after this chunk";
                (spinner(app), Role::Warning, text.to_owned())
            }
            None => (spinner(app), Role::Accent, format!("for {}", span(app.now.saturating_sub(run.began)))),
        },
    };
    wrap(&[Piece::new(format!("{mark} "), role), Piece::new(text, Role::Base)], columns, 2)
}

fn phase_row(app: &App, run: &IndexRun, phase: IndexPhase, columns: usize) -> Row {
    let (mark, role) = match run.state(phase) {
        PhaseState::Waiting => ("·", Role::Muted),
        PhaseState::Begun => ("◌", Role::Muted),
        PhaseState::Done => ("✓", Role::Success),
        PhaseState::Present if run.hold().is_some() => ("‖", Role::Warning),
        PhaseState::Present => (spinner(app), Role::Accent),
    };
    let name = format!(" {:<1$}", index_phase(phase), NAME - 2);
    let numbers = run.phase(phase).map(|run| numbers(&run.progress)).unwrap_or_default();
    let name_role = if run.state(phase) == PhaseState::Waiting { Role::Muted } else { Role::Base };
    Row::new(vec![
        Piece::new(mark, role),
        Piece::new(name, name_role),
        Piece::new(fit(&numbers, columns.saturating_sub(NAME)), Role::Muted),
    ])
}

/// `117 of 260 chunks`, `43 files`.
fn numbers(progress: &Progress) -> String {
    let Progress { done, total, unit: counted, .. } = *progress;
    let counted = unit(counted);
    match total {
        total if total == 0 || done >= total => count(done as usize, counted),
        total => format!("{} of {}", thousands(done as usize), count(total as usize, counted)),
    }
}

/// The present phase's bar, speed and remaining time.
fn pace(app: &App, run: &IndexRun, columns: usize) -> Vec<Row> {
    let Some(phase) = run.present_phase() else { return Vec::new() };
    let Progress { done, total, unit: counted, .. } = phase.progress;
    let mut rows = Vec::new();
    if total > 0 {
        let percent = format!("  {} %", u128::from(done.min(total)) * 100 / u128::from(total));
        let cells = columns.saturating_sub(2 + width(&percent)).min(WIDEST_BAR);
        let (full, open) = gauge::progress(done, total, cells);
        rows.push(Row::new(vec![
            Piece::new(format!("  {full}"), Role::Accent),
            Piece::new(open, Role::Border),
            Piece::new(percent, Role::Base),
        ]));
    }
    let mut items = Vec::new();
    if let Some(speed) = run.per_second(app.now) {
        items.push(vec![Piece::new(format!("{} {}s/s", pace_number(speed), unit(counted)), Role::Base)]);
    }
    if let Some(left) = run.remaining(app.now) {
        items.push(vec![Piece::new(format!("about {} left", remaining(left)), Role::Base)]);
    }
    rows.extend(flow(&items, columns.saturating_sub(2), 2).into_iter().map(|mut row| {
        row.pieces.insert(0, Piece::new("  ", Role::Base));
        row
    }));
    rows
}

fn pace_number(speed: f64) -> String {
    if speed < 9.95 { format!("{speed:.1}") } else { thousands(speed.round() as usize) }
}

/// Rounded up, so that it is 0 only when nothing is left.
fn remaining(left: Duration) -> String {
    span(left.saturating_add(Duration::from_nanos(999_999_999)))
}

/// Whole seconds: `0 s`, `45 s`, `2 min 05 s`, `1 h 20 min`.
fn span(time: Duration) -> String {
    match time.as_secs() {
        s if s < 60 => format!("{s} s"),
        s if s < 3600 => format!("{} min {:02} s", s / 60, s % 60),
        s => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

fn estimate_rows(estimate: &EncodeEstimate, columns: usize) -> Vec<Row> {
    if estimate.chunks == 0 {
        return said("Every chunk has its cache already.", Role::Muted, columns);
    }
    let (chunks, tokens) = (count(estimate.chunks, "chunk"), count(estimate.tokens as usize, "token"));
    let size = bytes(estimate.bytes);
    let time = match estimate.seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0) {
        Some(seconds) => format!(", about {} at the speed of the last time", duration(seconds)),
        None => "; how long that takes is known after the first time".to_owned(),
    };
    let text = format!("Estimate: {chunks} to encode, {tokens}, {size} of cache{time}.");
    let mut rows = said(text, Role::Muted, columns);
    if estimate.bytes > estimate.free_bytes {
        let free = bytes(estimate.free_bytes);
        let text = format!(
            "The budget has room for {free} of it: the other chunks are encoded when they are first retrieved."
        );
        rows.extend(said(text, Role::Warning, columns));
    }
    rows
}

fn report_rows(report: &IndexReport, columns: usize) -> Vec<Row> {
    let files = [
        (report.files_added, "added"),
        (report.files_changed, "changed"),
        (report.files_removed, "removed"),
        (report.files_unchanged, "unchanged"),
    ];
    let item = |text: String| vec![Piece::new(text, Role::Base)];
    let files = files.iter().filter(|(number, _)| *number > 0);
    let mut items: Vec<_> =
        files.map(|(number, what)| item(format!("{} {what}", count(*number, "file")))).collect();
    if items.is_empty() {
        items.push(item("no files found".to_owned()));
    }
    let mut rows = flow(&items, columns, 2);
    let changed = [(report.chunks_added, "added"), (report.chunks_removed, "removed")];
    let changed = changed.iter().filter(|(number, _)| *number > 0);
    let mut items: Vec<_> =
        changed.map(|(number, what)| item(format!("{} {what}", count(*number, "chunk")))).collect();
    if report.chunks_encoded > 0 {
        let (chunks, tokens) = (count(report.chunks_encoded, "chunk"), count(report.tokens_encoded, "token"));
        items.push(item(format!("{chunks} encoded ({tokens}) in {}", duration(report.encode_seconds))));
    }
    rows.extend(flow(&items, columns, 2));
    if report.chunks_left > 0 {
        let text = format!("{} left to be encoded when first retrieved", count(report.chunks_left, "chunk"));
        rows.extend(said(text, Role::Muted, columns));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Unit;

    #[test]
    fn remaining_times_are_rounded_up() {
        let text = |milliseconds| remaining(Duration::from_millis(milliseconds));
        assert_eq!([text(0), text(1), text(59_500)], ["0 s", "1 s", "1 min 00 s"]);
        assert_eq!([text(125_000), text(4_800_000)], ["2 min 05 s", "1 h 20 min"]);
    }

    #[test]
    fn numbers_say_what_is_known() {
        let progress = |done, total| {
            numbers(&Progress {
                phase: IndexPhase::Read,
                done,
                total,
                unit: Unit::Files,
                cache_bytes: 0,
                hold: None,
            })
        };
        assert_eq!([progress(3, 0), progress(1, 9), progress(9, 9)], ["3 files", "1 of 9 files", "9 files"]);
        assert_eq!([pace_number(0.4), pace_number(1234.5)], ["0.4", "1,235"]);
    }

    #[test]
    fn an_estimate_says_when_the_budget_is_too_small() {
        let estimate = EncodeEstimate {
            chunks: 10,
            tokens: 3000,
            bytes: 60 << 20,
            free_bytes: 20 << 20,
            seconds: Some(6.0),
        };
        let text = |estimate: &EncodeEstimate| {
            estimate_rows(estimate, 200).iter().map(Row::text).collect::<Vec<_>>().join("\n")
        };
        assert!(text(&estimate).contains("about 6.00 s") && text(&estimate).contains("room for 20 MiB"));
        let enough = EncodeEstimate { free_bytes: 1 << 30, seconds: None, ..estimate };
        assert!(!text(&enough).contains("room") && text(&enough).contains("known after"));
        assert!(!text(&EncodeEstimate { seconds: Some(f64::NAN), ..estimate }).contains("NaN"));
    }
}
