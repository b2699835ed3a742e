//! Timings as tables and bars.

use super::{
    console::Style,
    text::{bytes, count, pad, pad_left, seconds, table},
};
use crate::engine::{Phase, Timings};

/// Phases as columns of letters, where colour is not to be had.
const LETTERS: [char; 7] = ['r', 'l', 'e', 'a', 'p', 'f', 'd'];

/// One answer's phases, one a line, with what each handled.
pub fn details(timings: &Timings, style: Style) -> String {
    let mut rows: Vec<Vec<String>> = timings
        .phases()
        .iter()
        .zip(remarks(timings))
        .map(|(phase, remark)| vec![phase.name.to_owned(), length(phase.seconds), remark])
        .collect();
    let first =
        vec!["to first token".to_owned(), seconds(timings.time_to_first_token_seconds), String::new()];
    let decode = rows.len() - 1;
    rows.insert(decode, first);
    rows.push(vec!["total".to_owned(), seconds(timings.total_seconds), String::new()]);
    table(&["phase", "time", ""], "<><", &rows, style)
}

/// What each phase handled, in the order of [`Timings::phases`].
fn remarks(timings: &Timings) -> [String; 7] {
    let decoded = match timings.decode.tokens {
        0 => String::new(),
        tokens => {
            format!("{}, {:.1} tokens/s", count(tokens as u64, "token"), timings.decode.tokens_per_second)
        }
    };
    let encoded = match timings.encode.chunks {
        0 => String::new(),
        chunks => {
            format!("{}, {}", count(chunks as u64, "chunk"), count(timings.encode.tokens as u64, "token"))
        }
    };
    [
        String::new(),
        loaded(timings),
        encoded,
        String::new(),
        count(timings.prefill.tokens as u64, "token"),
        String::new(),
        decoded,
    ]
}

/// `11.2 MiB from 4 files; 4 hits, 0 misses`.
fn loaded(timings: &Timings) -> String {
    let load = &timings.load;
    let hits = load.memory_hits + load.disk_hits;
    if hits + load.misses + load.damaged == 0 {
        return "no cache used".to_owned();
    }
    let mut text = format!("{} from {}; ", bytes(load.bytes), count(load.files as u64, "file"));
    text += &count(hits as u64, "hit");
    if load.memory_hits > 0 {
        text += &format!(" ({} in memory)", load.memory_hits);
    }
    let misses = load.misses as u64;
    text += &format!(", {misses} {}", if misses == 1 { "miss" } else { "misses" });
    if load.damaged > 0 {
        text += &format!(", {} damaged", load.damaged);
    }
    text
}

/// Several answers' phases beside each other.
pub fn side_by_side(columns: &[(&str, &Timings)], style: Style) -> String {
    let row = |name: &str, value: &dyn Fn(&Timings) -> String| {
        let mut row = vec![name.to_owned()];
        row.extend(columns.iter().map(|(_, timings)| value(timings)));
        row
    };
    let mut rows: Vec<Vec<String>> = Timings::default()
        .phases()
        .iter()
        .enumerate()
        .map(|(at, phase)| row(phase.name, &|timings| length(timings.phases()[at].seconds)))
        .collect();
    let decode = rows.len() - 1;
    rows.insert(decode, row("to first token", &|timings| seconds(timings.time_to_first_token_seconds)));
    rows.push(row("total", &|timings| seconds(timings.total_seconds)));
    rows.push(row("read from disk", &|timings| bytes(timings.load.bytes)));
    rows.push(row("files", &|timings| timings.load.files.to_string()));
    rows.push(row("hits / misses", &|timings| {
        let load = &timings.load;
        format!("{} / {}", load.memory_hits + load.disk_hits, load.misses + load.damaged)
    }));
    rows.push(row("prefill tokens", &|timings| timings.prefill.tokens.to_string()));
    rows.push(row("tokens/s", &|timings| format!("{:.1}", timings.decode.tokens_per_second)));
    let header: Vec<&str> = std::iter::once("phase").chain(columns.iter().map(|(name, _)| *name)).collect();
    table(&header, &format!("<{}", ">".repeat(columns.len())), &rows, style)
}

/// The phases up to the first token as bars on one scale, one bar for each answer.
pub fn bars(rows: &[(&str, &Timings)], style: Style) -> String {
    let to_first_token = |timings: &Timings| -> Vec<Phase> {
        timings.phases().into_iter().filter(|phase| phase.name != "decode").collect()
    };
    let sum = |timings: &Timings| to_first_token(timings).iter().map(|phase| phase.seconds).sum::<f64>();
    let longest = rows.iter().map(|(_, timings)| sum(timings)).fold(0.0, f64::max);
    if longest <= 0.0 {
        return String::new();
    }
    let names = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let columns = style.width.saturating_sub(names + 12).clamp(10, 60);
    let scale = columns as f64 / longest;

    let legend: Vec<String> = Timings::default()
        .phases()
        .iter()
        .zip(LETTERS)
        .filter(|(phase, _)| phase.name != "decode")
        .map(|(phase, letter)| format!("{letter} {}", phase.name))
        .collect();
    let mut text = style.dim(&format!(
        "Time to the first token; a letter is {}: {}",
        seconds(longest / columns as f64),
        legend.join(", ")
    ));
    text.push('\n');
    for (name, timings) in rows {
        let bar = bar(&to_first_token(timings), scale);
        text += &format!(
            "{}  {}{}  {}\n",
            pad(name, names),
            style.good(&bar),
            " ".repeat(columns - bar.len().min(columns)),
            pad_left(&seconds(timings.time_to_first_token_seconds), 8)
        );
    }
    text
}

/// A phase's time; a dash for one that did not run.
fn length(time: f64) -> String {
    if time > 0.0 { seconds(time) } else { "–".to_owned() }
}

/// Letters for each phase, `scale` of them a second. Ends are rounded, not lengths, so that the whole has its length.
fn bar(phases: &[Phase], scale: f64) -> String {
    let mut bar = String::new();
    let mut end = 0.0;
    for (phase, letter) in phases.iter().zip(LETTERS) {
        end += phase.seconds * scale;
        while (bar.len() as f64) + 0.5 < end {
            bar.push(letter);
        }
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::fixtures::{ape_timings, full_timings};

    #[test]
    fn the_details_of_an_answer() {
        insta::assert_snapshot!(details(&ape_timings(), Style::PLAIN));
    }

    #[test]
    fn two_answers_beside_each_other() {
        insta::assert_snapshot!(side_by_side(
            &[("ape", &ape_timings()), ("full", &full_timings())],
            Style::PLAIN
        ));
    }

    #[test]
    fn bars_share_a_scale() {
        let (ape, full) = (ape_timings(), full_timings());
        insta::assert_snapshot!(bars(&[("full", &full), ("ape", &ape)], Style::PLAIN));
        assert_eq!(bars(&[("ape", &Timings::default())], Style::PLAIN), "");
    }

    #[test]
    fn a_bar_is_as_long_as_its_sum() {
        let phase = |seconds| Phase { name: "x", seconds };
        assert_eq!(bar(&[phase(0.4), phase(0.4), phase(1.2)], 1.0), "le");
        assert_eq!(bar(&[phase(3.0), phase(0.0), phase(2.0)], 1.0), "rrree");
    }

    #[test]
    fn damage_and_memory_are_told() {
        let mut timings = ape_timings();
        timings.load.memory_hits = 2;
        timings.load.damaged = 1;
        assert_eq!(loaded(&timings), "11.2 MiB from 4 files; 5 hits (2 in memory), 1 miss, 1 damaged");
        assert_eq!(loaded(&full_timings()), "no cache used");
    }
}
