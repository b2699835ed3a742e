//! What the answers took: the selected one phase by phase, what `full` would have cost, the session in numbers, and
//! the last answers.

mod session;

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
};

use super::{
    super::{
        app::App,
        entry::Turn,
        format::{duration, strategy, thousands},
        full_cost::{Basis, FullCost, Speed, Unknown},
        gauge,
        phase_bar::{self, LOOKS},
        text::{Piece, Row, fit, flow, width, wrap},
        theme::Role,
        timings::Live,
    },
    draw_rows, hint_at_rows_below, spinner,
};
use crate::{config::Strategy, engine::Timings};

/// Cells of a phase's mark and name.
const NAME: usize = 14;
/// The widest bar of a phase.
const WIDEST_BAR: usize = 20;
/// Two first tokens came equally soon when their times are so close, as parts of one.
const EQUAL: std::ops::Range<f64> = 0.95..1.05;

pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let rows = rows(app, area.width.into());
    let height = usize::from(area.height);
    let top = app.timings.top.min(rows.len().saturating_sub(height));
    draw_rows(&rows[top..], &app.theme, area, buffer);
    if top + height < rows.len() {
        hint_at_rows_below(&app.theme, area, buffer);
    }
}

/// The place among the listed answers of the one that is drawn at `position`.
pub fn answer_at(app: &App, area: Rect, position: Position) -> Option<usize> {
    let columns = usize::from(area.width);
    let rows = rows(app, columns).len();
    let listed = app.listed_answers().count();
    let each = session::answer_rows(columns);
    let top = app.timings.top.min(rows.saturating_sub(area.height.into()));
    let row = top + usize::from(position.y.checked_sub(area.y)?);
    // They are the last of the rows.
    let place = row.checked_sub(rows.checked_sub(listed * each)?)? / each;
    (place < listed).then_some(place)
}

/// Rows of the timings that a pane of this size does not show at once.
pub fn overflow(app: &App, area: Rect) -> usize {
    rows(app, area.width.into()).len().saturating_sub(area.height.into())
}

fn rows(app: &App, columns: usize) -> Vec<Row> {
    let Some((index, turn)) = app.timed_answer() else {
        let mut rows = vec![Row::new(vec![Piece::new("Timings", Role::Title)]), Row::blank()];
        let text = "Where the time of an answer went appears here, phase by phase.";
        rows.extend(wrap(&[Piece::new(text, Role::Muted)], columns, 0));
        rows.extend(session::rows(app, columns));
        return rows;
    };
    let mut rows = vec![title(app, index, turn, columns), Row::blank()];
    match &turn.timings {
        Some(timings) => {
            rows.extend(flow(&phase_bar::headline(timings, strategy(turn.strategy)), columns, 2));
            rows.push(Row::blank());
            rows.extend(phase_rows(&phases(timings), columns));
            rows.extend(full_rows(app, turn, timings, columns));
        }
        None if turn.is_running() => rows.extend(live_rows(app, turn, columns)),
        None => {
            let text = "There are no timings: the answer did not come so far.";
            rows.extend(wrap(&[Piece::new(text, Role::Muted)], columns, 0));
        }
    }
    rows.extend(session::rows(app, columns));
    rows.extend(session::answers(app, index, columns));
    rows
}

/// Whose timings these are, and the how-manieth answer that is where there are several.
fn title(app: &App, index: usize, turn: &Turn, columns: usize) -> Row {
    let answers: Vec<usize> = app.listed_answers().map(|(index, _)| index).collect();
    let place = answers.iter().position(|listed| *listed == index);
    let place = place.filter(|_| answers.len() > 1).map(|place| format!("{}/{}", place + 1, answers.len()));
    let place = place.unwrap_or_default();
    let free = columns.saturating_sub("Timings  ".len() + 1 + place.len());
    let question = fit(&turn.question, free);
    let gap = " ".repeat(1 + free.saturating_sub(width(&question)));
    Row::new(vec![
        Piece::new("Timings", Role::Title),
        Piece::new(format!("  {question}{gap}{place}"), Role::Muted),
    ])
}

/// A line between two parts of the pane with the name of the second.
fn rule(name: &str, columns: usize) -> Row {
    let fill = "─".repeat(columns.saturating_sub(4 + width(name)));
    Row::new(vec![
        Piece::new("── ", Role::Border),
        Piece::new(name, Role::Title),
        Piece::new(format!(" {fill}"), Role::Border),
    ])
}

/// A phase as a row shows it.
struct PhaseRow {
    look: (Role, &'static str),
    name: &'static str,
    seconds: f64,
    /// What the time was spent on.
    detail: Option<String>,
}

/// The phases that took any time or did anything.
fn phases(timings: &Timings) -> Vec<PhaseRow> {
    let phases = timings.phases().into_iter().zip(LOOKS).zip(phase_bar::details(timings));
    phases
        .map(|((phase, look), detail)| PhaseRow { look, name: phase.name, seconds: phase.seconds, detail })
        .filter(|row| row.seconds > 0.0 || row.detail.is_some())
        .collect()
}

/// Name, time and bar of each phase, the bars on one scale; beside or under them what the time was spent on.
fn phase_rows(phases: &[PhaseRow], columns: usize) -> Vec<Row> {
    let longest = phases.iter().map(|phase| phase.seconds).fold(0.0, f64::max);
    let times: Vec<_> = phases.iter().map(|phase| duration(phase.seconds)).collect();
    let time_cells = times.iter().map(|time| width(time)).max().unwrap_or(0);
    let cells = columns.saturating_sub(NAME + time_cells + 1).min(WIDEST_BAR);
    let mut rows = Vec::new();
    for (PhaseRow { look: (role, glyph), name, seconds, detail }, time) in phases.iter().zip(times) {
        let bar = gauge::bar(seconds / longest, cells);
        let rest = " ".repeat(cells - width(&bar));
        let mut pieces = vec![
            Piece::new(*glyph, *role),
            Piece::new(format!(" {name:<0$}", NAME - 2), Role::Muted),
            Piece::new(format!("{time:>time_cells$} "), Role::Base),
            Piece::new(bar, *role),
        ];
        let detail = detail.as_deref().unwrap_or_default();
        let beside = NAME + time_cells + 1 + cells + 2 + width(detail) <= columns;
        if beside && !detail.is_empty() {
            pieces.push(Piece::new(format!("{rest}  {detail}"), Role::Muted));
        }
        rows.push(Row::new(pieces));
        if !beside && !detail.is_empty() {
            let under = wrap(&[Piece::new(detail, Role::Muted)], columns.saturating_sub(2), 0);
            rows.extend(under.into_iter().map(indented));
        }
    }
    rows
}

fn indented(mut row: Row) -> Row {
    row.pieces.insert(0, Piece::new("  ", Role::Base));
    row
}

/// The phases of the answer under way, as the screen was told of them.
fn live_rows(app: &App, turn: &Turn, columns: usize) -> Vec<Row> {
    let elapsed = app.now.saturating_sub(turn.asked_at).as_secs_f64();
    let activity = format!(" {} · {elapsed:.1} s", app.activity(turn));
    let mut rows = vec![Row::new(vec![
        Piece::new(spinner(app), Role::Accent),
        Piece::new(fit(&activity, columns.saturating_sub(1)), Role::Muted),
    ])];
    let Some(live) = app.live_timings() else { return rows };
    if let Some(speed) = live.rate.per_second(app.now) {
        rows.push(Row::new(vec![
            Piece::new(format!("≈ {speed:.1}"), Role::Title),
            Piece::new(" tok/s now", Role::Muted),
        ]));
    }
    rows.push(Row::blank());
    rows.extend(phase_rows(&live_phases(app, turn, live), columns));
    rows
}

/// What is between two moments of which the screen was told; the last phase goes on until now.
fn live_phases(app: &App, turn: &Turn, live: &Live) -> Vec<PhaseRow> {
    let looks = |index: usize| LOOKS[index];
    let pieces = format!("about {} tokens", thousands(live.pieces as usize));
    let ends = [
        (looks(0), "retrieve", live.retrieved, None),
        (looks(1), if live.encoded { "load, encode" } else { "load" }, live.loaded, None),
        (looks(4), "prefill", live.prefilled, None),
        (looks(5), "first token", live.first_token, None),
        (looks(6), "decode", None, (live.pieces > 0).then_some(pieces)),
    ];
    let mut began = turn.asked_at;
    let mut rows = Vec::new();
    for (look, name, end, detail) in ends {
        let seconds = end.unwrap_or(app.now).saturating_sub(began).as_secs_f64();
        rows.push(PhaseRow { look, name, seconds, detail });
        match end {
            Some(end) => began = end,
            None => break,
        }
    }
    rows
}

/// What `full` would have cost for the same question, and how that is known.
fn full_rows(app: &App, turn: &Turn, timings: &Timings, columns: usize) -> Vec<Row> {
    let own = timings.time_to_first_token_seconds;
    if turn.strategy == Strategy::Full || own <= 0.0 {
        return Vec::new();
    }
    let mut rows = vec![Row::blank(), rule("With full", columns)];
    let cost = match app.cost_of_full(turn) {
        Ok(cost) => cost,
        Err(why) => {
            rows.extend(wrap(&[Piece::new(unknown(why), Role::Muted)], columns, 0));
            return rows;
        }
    };
    let about = if matches!(cost.basis, Basis::Estimated { .. }) { "≈ " } else { "" };
    let figure = |seconds: f64, what: &str| {
        vec![Piece::new(format!("{about}{}", duration(seconds)), Role::Title), Piece::new(what, Role::Muted)]
    };
    let figures = [figure(cost.first_token_seconds, " to first token"), figure(cost.total_seconds, " total")];
    rows.extend(flow(&figures, columns, 2));
    let sooner =
        format!("{} came {about}{}", strategy(turn.strategy), sooner(cost.first_token_seconds / own));
    rows.extend(wrap(&[Piece::new(sooner, Role::Base)], columns, 0));
    rows.extend(wrap(&[Piece::new(basis(&cost), Role::Muted)], columns, 0));
    rows
}

/// How much sooner a first token came than another, whose time is `times` as long.
fn sooner(times: f64) -> String {
    let factor = |times: f64| match times {
        large if large >= 9.95 => format!("{large:.0}×"),
        small => format!("{small:.1}×"),
    };
    match times {
        equal if EQUAL.contains(&equal) => "as soon".to_owned(),
        more if more > 1.0 => format!("{} sooner", factor(more)),
        less => format!("{} later", factor(1.0 / less)),
    }
}

fn unknown(why: Unknown) -> &'static str {
    match why {
        Unknown::NoChunks => "The same: the answer drew on no chunk.",
        Unknown::NotMeasured => "Not known: the answer did not come far enough.",
        Unknown::Uncounted => {
            "Not known yet: full has not answered this, and the tokens of a chunk have not been counted."
        }
        Unknown::NoSpeed => {
            "Not known yet: full has not answered this, and nothing was encoded here to tell the speed from."
        }
    }
}

fn basis(cost: &FullCost) -> String {
    match cost.basis {
        Basis::Answered => "Measured: the same question, answered with full over the same chunks.".to_owned(),
        Basis::Compared { runs: 1 } => "Measured: a run of a comparison.".to_owned(),
        Basis::Compared { runs } => format!("Measured: the median of {runs} runs of a comparison."),
        Basis::Estimated { tokens, tokens_per_second, speed } => {
            let tokens = thousands(tokens);
            let rate = thousands(tokens_per_second.round() as usize);
            let speed = match speed {
                Speed::Prefill => "as full had for other questions",
                Speed::Indexing => "as in encoding here",
                Speed::Encoding => "as in encoding while answering",
            };
            format!("Estimate: {tokens} tokens at {rate} tok/s, {speed}; decoding as measured.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sooner_and_later_are_said_as_they_are() {
        assert_eq!(sooner(30.4), "30× sooner");
        assert_eq!(sooner(4.24), "4.2× sooner");
        assert_eq!(sooner(1.02), "as soon");
        assert_eq!(sooner(0.5), "2.0× later");
    }

    #[test]
    fn bars_of_phases_are_on_one_scale_and_fit() {
        let phase =
            |name, seconds| PhaseRow { look: LOOKS[0], name, seconds, detail: Some("12 things".into()) };
        let phases = [phase("retrieve", 1.0), phase("first token", 0.5), phase("decode", 75.0)];
        for columns in 20..90 {
            let rows = phase_rows(&phases, columns);
            assert!(rows.iter().all(|row| row.width() <= columns.max(NAME + 11)), "{columns}");
        }
        let bars: Vec<_> =
            phase_rows(&phases[..2], 60).iter().map(|row| row.pieces[3].text.clone()).collect();
        assert_eq!(bars, ["████████████████████", "██████████"]);
    }
}
