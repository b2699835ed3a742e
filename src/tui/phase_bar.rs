//! Where the time of an answer went, in short: key figures, a bar with a segment for each phase, and what the longest
//! segments are. The timings pane has the rest.

use super::{
    format::{bytes, count, duration, thousands},
    text::{Piece, Row, flow},
    theme::Role,
};
use crate::engine::Timings;

/// Phases as bar and legend show them, in the order of [`Timings::phases`]. Their heights differ, so that the bar can
/// be read without colours.
pub const LOOKS: [(Role, &str); 7] = [
    (Role::Retrieve, "▂"),
    (Role::Load, "▃"),
    (Role::Encode, "▆"),
    (Role::Assemble, "▁"),
    (Role::Prefill, "▇"),
    (Role::FirstToken, "▅"),
    (Role::Decode, "▄"),
];

/// The widest bar; longer ones say nothing more.
const MAX_BAR: usize = 72;

/// Key figures, bar and legend of one answer, in rows of at most `width` cells.
pub fn rows(timings: &Timings, strategy: &str, width: usize) -> Vec<Row> {
    let mut rows = flow(&headline(timings, strategy), width, 2);
    rows.push(bar(timings, width.min(MAX_BAR)));
    rows.extend(legend(timings, width));
    rows
}

/// Time to the first token, speed, time in all, strategy.
pub fn headline(timings: &Timings, strategy: &str) -> Vec<Vec<Piece>> {
    let figure =
        |text: String, what: &str| vec![Piece::new(text, Role::Title), Piece::new(what, Role::Muted)];
    let mut items = Vec::new();
    if timings.time_to_first_token_seconds > 0.0 {
        items.push(figure(duration(timings.time_to_first_token_seconds), " to first token"));
    }
    if timings.decode.tokens > 0 {
        items.push(figure(format!("{:.1}", timings.decode.tokens_per_second), " tok/s"));
    }
    items.push(figure(duration(timings.total_seconds), " total"));
    items.push(vec![Piece::new(strategy, Role::Muted)]);
    items
}

/// A segment for each phase, in proportion to its time.
pub fn bar(timings: &Timings, width: usize) -> Row {
    let seconds = timings.phases().map(|phase| phase.seconds);
    let cells = segments(&seconds, width);
    let pieces = LOOKS.iter().zip(cells).filter(|(_, cells)| *cells > 0);
    Row::new(pieces.map(|((role, glyph), cells)| Piece::new(glyph.repeat(cells), *role)).collect())
}

/// Shares `width` cells out in proportion to `seconds`. A phase that took any time gets a cell at least, where there
/// are enough; the longest phase pays for it.
fn segments<const N: usize>(seconds: &[f64; N], width: usize) -> [usize; N] {
    let usable = seconds.map(|value| if value.is_finite() && value > 0.0 { value } else { 0.0 });
    let total: f64 = usable.iter().sum();
    if total <= 0.0 {
        return [0; N];
    }
    let mut cells = usable.map(|value| match (value / total * width as f64).round() as usize {
        0 if value > 0.0 => 1,
        cells => cells,
    });
    let longest = (0..N).max_by(|a, b| usable[*a].total_cmp(&usable[*b])).unwrap_or(0);
    let others: usize = cells.iter().sum::<usize>() - cells[longest];
    cells[longest] = width.saturating_sub(others).max(1);
    cells
}

/// What the segments are, in one row: as many phases as fit, the longest first chosen, in the order in which they run.
/// `None` where nothing took any time.
fn legend(timings: &Timings, width: usize) -> Option<Row> {
    let phases = timings.phases();
    let mut by_time: Vec<usize> = (0..phases.len()).filter(|index| phases[*index].seconds > 0.0).collect();
    by_time.sort_by(|a, b| phases[*b].seconds.total_cmp(&phases[*a].seconds));
    let item = |index: &usize| {
        let (role, glyph) = LOOKS[*index];
        vec![
            Piece::new(glyph, role),
            Piece::new(format!(" {} ", phases[*index].name), Role::Muted),
            Piece::new(duration(phases[*index].seconds), Role::Base),
        ]
    };
    while !by_time.is_empty() {
        let mut in_order = by_time.clone();
        in_order.sort_unstable();
        let mut row = flow(&in_order.iter().map(item).collect::<Vec<_>>(), width, 2);
        if row.len() == 1 {
            return row.pop();
        }
        by_time.pop();
    }
    None
}

/// What a phase worked on, in the order of the phases.
pub fn details(timings: &Timings) -> [Option<String>; 7] {
    let Timings { load, encode, prefill, decode, .. } = timings;
    let files = (load.files > 0).then(|| format!("{}, {}", count(load.files, "file"), bytes(load.bytes)));
    let memory = (load.memory_hits > 0).then(|| format!("{} from memory", load.memory_hits));
    let damaged = (load.damaged > 0).then(|| format!("{} damaged", load.damaged));
    let load: Vec<_> = [files, memory, damaged].into_iter().flatten().collect();
    let tokens = |number: usize| format!("{} tokens", thousands(number));
    [
        None,
        (!load.is_empty()).then(|| load.join(", ")),
        (encode.chunks > 0).then(|| format!("{}, {}", count(encode.chunks, "chunk"), tokens(encode.tokens))),
        None,
        (prefill.tokens > 0).then(|| tokens(prefill.tokens)),
        None,
        (decode.tokens > 0).then(|| tokens(decode.tokens)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_fill_the_bar_in_proportion() {
        assert_eq!(segments(&[1.0, 1.0, 2.0], 40), [10, 10, 20]);
        assert_eq!(segments(&[0.0, 3.0, 1.0], 40), [0, 30, 10]);
        assert_eq!(segments(&[0.0, 0.0], 40), [0, 0]);
        assert_eq!(segments(&[f64::NAN, 1.0], 40), [0, 40]);
    }

    #[test]
    fn a_short_phase_is_seen() {
        let cells = segments(&[0.001, 10.0, 0.001], 40);
        assert_eq!(cells, [1, 38, 1]);
    }

    #[test]
    fn glyphs_differ() {
        let glyphs: std::collections::BTreeSet<_> = LOOKS.iter().map(|(_, glyph)| glyph).collect();
        assert_eq!(glyphs.len(), LOOKS.len());
    }

    #[test]
    fn the_legend_keeps_the_longest_phases_in_their_order() {
        let mut timings = Timings { retrieve_seconds: 0.002, assemble_seconds: 0.5, ..Timings::default() };
        timings.decode.seconds = 4.2;
        let legend = |width| legend(&timings, width).map(|row| row.text());
        assert_eq!(legend(60).as_deref(), Some("▂ retrieve 2.0 ms  ▁ assemble 500 ms  ▄ decode 4.20 s"));
        assert_eq!(legend(50).as_deref(), Some("▁ assemble 500 ms  ▄ decode 4.20 s"));
        assert_eq!(legend(20).as_deref(), Some("▄ decode 4.20 s"));
        assert_eq!(legend(9), None);
    }

    #[test]
    fn nothing_is_wider_than_asked() {
        let timings = Timings { retrieve_seconds: 0.002, total_seconds: 75.0, ..Timings::default() };
        for width in 10..100 {
            assert!(rows(&timings, "ape", width).iter().all(|row| row.width() <= width), "{width}");
        }
    }
}
