//! The answers of the session together: where their caches came from, their speed, and one line for each.

use super::{
    super::super::{
        app::App,
        entry::Turn,
        format::{bytes, count, duration, origin, strategy, thousands},
        gauge,
        panes::Focus,
        phase_bar,
        text::{Piece, Row, fit, flow, width, wrap},
        theme::Role,
    },
    rule,
};
use crate::engine::{CacheOrigin, Status, Timings};

/// From this width on an answer takes one row; below it two.
const ONE_ROW: usize = 52;
/// Cells of a row's name: `Loaded`, `Speed`.
const NAME: usize = 8;
/// Cells of the columns after the question, where an answer takes one row.
const STRATEGY: usize = 9;
const FIRST_TOKEN: usize = 8;
const SPEED: usize = 7;
const BAR: usize = 14;

/// What the answers so far add up to.
#[derive(Debug, Default, PartialEq)]
struct Sums {
    memory: usize,
    disk: usize,
    encoded: usize,
    repaired: usize,
    bytes: u64,
    load_seconds: f64,
    /// Tokens per second of each answer that has any, the oldest first.
    speeds: Vec<f64>,
}

impl Sums {
    fn of<'a>(turns: impl Iterator<Item = &'a Turn>) -> Self {
        let mut sums = Self::default();
        for turn in turns {
            for origin in &turn.origins {
                match origin {
                    CacheOrigin::Memory => sums.memory += 1,
                    CacheOrigin::Disk => sums.disk += 1,
                    CacheOrigin::Encoded => sums.encoded += 1,
                    CacheOrigin::Repaired => sums.repaired += 1,
                    CacheOrigin::Unused => {}
                }
            }
            let Some(timings) = &turn.timings else { continue };
            sums.bytes += timings.load.bytes;
            if timings.load.bytes > 0 {
                sums.load_seconds += timings.load.seconds;
            }
            if timings.decode.tokens > 0 {
                sums.speeds.push(timings.decode.tokens_per_second);
            }
        }
        sums
    }

    /// Bytes loaded per second.
    fn load_rate(&self) -> Option<f64> {
        (self.bytes > 0 && self.load_seconds > 0.0).then(|| self.bytes as f64 / self.load_seconds)
    }
}

/// The session in numbers, and the cache against its budget.
pub fn rows(app: &App, columns: usize) -> Vec<Row> {
    // The turns of a chat that goes on were answered before: they have no request.
    let turns = || app.turns().map(|(_, turn)| turn).filter(|turn| turn.id.is_some());
    let sums = Sums::of(turns());
    let mut rows = vec![Row::blank(), rule("This session", columns)];
    let before = rows.len();
    let chunks = [
        (sums.memory, CacheOrigin::Memory),
        (sums.disk, CacheOrigin::Disk),
        (sums.encoded, CacheOrigin::Encoded),
        (sums.repaired, CacheOrigin::Repaired),
    ];
    if turns().any(|turn| turn.timings.is_some() || !turn.origins.is_empty()) {
        let item = |(number, from): (usize, CacheOrigin)| {
            let (mark, word) = origin(from);
            vec![
                Piece::new(format!("{mark} {word} "), Role::Muted),
                Piece::new(thousands(number), Role::Base),
            ]
        };
        rows.extend(named("Chunks", &flow(&chunks.map(item), columns.saturating_sub(NAME), 2)));
    }
    if let Some(rate) = sums.load_rate() {
        let text = format!("{} at {}/s", bytes(sums.bytes), bytes(rate as u64));
        rows.extend(named("Loaded", &wrap(&[Piece::new(text, Role::Base)], columns.saturating_sub(NAME), 0)));
    }
    rows.extend(speed(app, &sums, columns));
    if let Some(status) = &app.status {
        rows.extend(named("Cache", &budget(app, status, columns.saturating_sub(NAME))));
    }
    if rows.len() == before { Vec::new() } else { rows }
}

/// Rows with a name before the first of them.
fn named(name: &str, rows: &[Row]) -> Vec<Row> {
    let with_name = |(index, row): (usize, &Row)| {
        let name = if index == 0 { name } else { "" };
        let mut pieces = vec![Piece::new(format!("{name:<NAME$}"), Role::Muted)];
        pieces.extend(row.pieces.iter().cloned());
        Row::new(pieces)
    };
    rows.iter().enumerate().map(with_name).collect()
}

/// The speed of the last answers as a curve, and the last one as a number: that of the answer under way, if any.
fn speed(app: &App, sums: &Sums, columns: usize) -> Option<Row> {
    let live = app.live_timings().and_then(|live| live.rate.per_second(app.now));
    let mut speeds = sums.speeds.clone();
    speeds.extend(live);
    let last = speeds.last()?;
    let about = if live.is_some() { "≈ " } else { "" };
    let text = format!(" {about}{last:.1} tok/s");
    let curve = gauge::sparkline(&speeds, columns.saturating_sub(NAME + width(&text)));
    Some(Row::new(vec![
        Piece::new(format!("{:<NAME$}", "Speed"), Role::Muted),
        Piece::new(curve, Role::Decode),
        Piece::new(text, Role::Base),
    ]))
}

/// The caches' bytes against what they may take, with what an index run has added so far.
fn budget(app: &App, status: &Status, columns: usize) -> Vec<Row> {
    let running = app.indexing.and_then(|indexing| indexing.progress);
    let used = running.map_or(0, |progress| progress.cache_bytes).max(status.cache_bytes);
    let (done, left) = gauge::progress(used, status.cache_budget_bytes, columns.min(24));
    let bar = vec![Piece::new(done, Role::Load), Piece::new(left, Role::Border)];
    let of = format!("{} of {}", bytes(used), bytes(status.cache_budget_bytes));
    flow(&[vec![Piece::new(of, Role::Base)], bar], columns, 2)
}

/// The last answers, the newest first; `shown` is the entry whose timings stand above.
pub fn answers(app: &App, shown: usize, columns: usize) -> Vec<Row> {
    let all = app.turns().count();
    let listed: Vec<_> = app.listed_answers().collect();
    let name = match all > listed.len() {
        true => format!("Last {} of {}", listed.len(), count(all, "answer")),
        false => count(all, "answer"),
    };
    let mut rows = vec![Row::blank(), rule(&name, columns)];
    for (index, turn) in listed {
        let chosen = index == shown;
        let focused = app.focus == Focus::Timings;
        rows.extend(answer(turn, chosen, chosen && focused, columns));
    }
    rows
}

/// Rows of each answer of the list.
pub fn answer_rows(columns: usize) -> usize {
    if columns >= ONE_ROW { 1 } else { 2 }
}

fn answer(turn: &Turn, chosen: bool, selected: bool, columns: usize) -> Vec<Row> {
    let marker = if chosen { "▸ " } else { "  " };
    let after = STRATEGY + FIRST_TOKEN + SPEED + 2 + BAR;
    let one_row = answer_rows(columns) == 1;
    let free = columns.saturating_sub(2 + if one_row { after + 1 } else { 0 });
    let question = fit(&turn.question, free);
    let rest = " ".repeat(free.saturating_sub(width(&question)));
    let question = match selected {
        true => vec![Piece::new(format!("{marker}{question}{rest}"), Role::Selection)],
        false => vec![Piece::new(marker, Role::Accent), Piece::new(format!("{question}{rest}"), Role::Base)],
    };
    if one_row {
        let mut pieces = question;
        pieces.push(Piece::new(format!(" {}", figures(turn, true)), Role::Muted));
        pieces.extend(small_bar(turn, BAR));
        return vec![Row::new(pieces)];
    }
    let text = format!("  {}", figures(turn, false));
    let cells = columns.saturating_sub(width(&text)).min(BAR);
    let mut pieces = vec![Piece::new(text, Role::Muted)];
    pieces.extend(small_bar(turn, cells));
    vec![Row::new(question), Row::new(pieces)]
}

/// Strategy, time to the first token and speed; in columns where they stand in one row with the question.
fn figures(turn: &Turn, in_columns: bool) -> String {
    let empty = Timings::default();
    let timings = turn.timings.as_ref().unwrap_or(&empty);
    let first = match timings.time_to_first_token_seconds {
        seconds if seconds > 0.0 => duration(seconds),
        _ => "–".to_owned(),
    };
    let speed = match timings.decode.tokens {
        0 => "–".to_owned(),
        _ if timings.decode.tokens_per_second < 9.95 => format!("{:.1}/s", timings.decode.tokens_per_second),
        _ => format!("{:.0}/s", timings.decode.tokens_per_second),
    };
    let strategy = strategy(turn.strategy);
    match in_columns {
        true => format!("{strategy:<STRATEGY$}{first:>FIRST_TOKEN$}{speed:>SPEED$}  "),
        false => format!("{strategy} {first} {speed} "),
    }
}

fn small_bar(turn: &Turn, cells: usize) -> Vec<Piece> {
    turn.timings.as_ref().map_or_else(Vec::new, |timings| phase_bar::bar(timings, cells).pieces)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        config::Strategy,
        engine::{DecodeTiming, LoadTiming},
    };

    fn turn(origins: &[CacheOrigin], bytes: u64, tokens: usize) -> Turn {
        let mut turn = Turn::new("How?".to_owned(), Strategy::Ape, Duration::ZERO);
        turn.origins = origins.to_vec();
        turn.timings = Some(Timings {
            load: LoadTiming { seconds: 0.5, bytes, ..LoadTiming::default() },
            decode: DecodeTiming { seconds: 1.0, tokens, tokens_per_second: tokens as f64 },
            ..Timings::default()
        });
        turn
    }

    #[test]
    fn the_answers_are_added_up() {
        use CacheOrigin::{Disk, Encoded, Memory, Repaired, Unused};
        let turns = [
            turn(&[Memory, Disk, Disk], 1000, 20),
            turn(&[Encoded, Repaired, Unused], 0, 0),
            turn(&[Disk], 500, 30),
        ];
        let sums = Sums::of(turns.iter());
        assert_eq!((sums.memory, sums.disk, sums.encoded, sums.repaired), (1, 3, 1, 1));
        assert_eq!(sums.load_rate(), Some(1500.0), "what loaded nothing took no time to load");
        assert_eq!(sums.speeds, [20.0, 30.0]);
        assert_eq!(Sums::default().load_rate(), None);
    }

    #[test]
    fn an_answer_fits_its_columns() {
        let turn = turn(&[], 1, 30);
        for columns in 20..120 {
            for row in answer(&turn, true, true, columns) {
                assert!(row.width() <= columns.max(25), "{columns}: {}", row.text());
            }
        }
    }
}
