//! Phases as bars under each other, all of one scale.

use super::super::{
    phase_bar::LOOKS,
    text::{Piece, Row},
    theme::Role,
};
use crate::engine::{Phase, Timings};

/// Time between the phases, which is part of none.
pub const BETWEEN: (Role, &str) = (Role::Muted, "·");

/// Up to where a bar goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    FirstToken,
    End,
}

impl Until {
    /// Seconds that the whole bar stands for.
    pub fn seconds(self, timings: &Timings) -> f64 {
        let seconds = match self {
            Self::FirstToken => timings.time_to_first_token_seconds,
            Self::End => timings.total_seconds,
        };
        if seconds.is_finite() { seconds.max(0.0) } else { 0.0 }
    }

    /// The phases that are part of it.
    fn phases(self, timings: &Timings) -> impl Iterator<Item = Phase> {
        let last = if self == Self::FirstToken { LOOKS.len() - 1 } else { LOOKS.len() };
        timings.phases().into_iter().take(last)
    }
}

/// The bar of one run where `scale` seconds take `width` cells. It ends where its time ends, to the cell; a phase that
/// is shorter than half a cell may not be seen. A time that is not nothing has a cell at least.
pub fn bar(timings: &Timings, until: Until, scale: f64, width: usize) -> Row {
    let seconds = until.seconds(timings);
    if scale <= 0.0 || seconds <= 0.0 {
        return Row::blank();
    }
    let cells_until = |at: f64| ((at / scale * width as f64).round() as usize).min(width);
    let end = cells_until(seconds).max(1);
    let mut pieces = Vec::new();
    let (mut at, mut drawn) = (0.0, 0);
    let mut longest = (0.0, BETWEEN);
    for (phase, look) in until.phases(timings).zip(LOOKS) {
        at += phase.seconds.max(0.0);
        let next = cells_until(at).min(end);
        push(&mut pieces, look, next - drawn);
        drawn = next;
        if phase.seconds > longest.0 {
            longest = (phase.seconds, look);
        }
    }
    // A bar of one cell is its longest phase.
    let rest = if pieces.is_empty() { longest.1 } else { BETWEEN };
    push(&mut pieces, rest, end - drawn);
    Row::new(pieces)
}

fn push(pieces: &mut Vec<Piece>, (role, glyph): (Role, &str), cells: usize) {
    if cells > 0 {
        pieces.push(Piece::new(glyph.repeat(cells), role));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::PrefillTiming;

    fn timings(retrieve: f64, prefill: f64, decode: f64, between: f64) -> Timings {
        let mut timings = Timings {
            retrieve_seconds: retrieve,
            prefill: PrefillTiming { seconds: prefill, tokens: 9 },
            time_to_first_token_seconds: retrieve + prefill + between,
            total_seconds: retrieve + prefill + between + decode,
            ..Timings::default()
        };
        timings.decode.seconds = decode;
        timings
    }

    fn widths(timings: &Timings, until: Until, scale: f64, width: usize) -> Vec<usize> {
        bar(timings, until, scale, width).pieces.iter().map(|piece| piece.text.chars().count()).collect()
    }

    #[test]
    fn bars_of_one_scale_can_be_compared() {
        let (slow, quick) = (timings(1.0, 3.0, 4.0, 0.0), timings(1.0, 1.0, 2.0, 0.0));
        assert_eq!(widths(&slow, Until::FirstToken, 4.0, 40), [10, 30]);
        assert_eq!(widths(&quick, Until::FirstToken, 4.0, 40), [10, 10]);
        assert_eq!(widths(&slow, Until::End, 8.0, 40), [5, 15, 20]);
        assert_eq!(widths(&quick, Until::End, 8.0, 40), [5, 5, 10]);
    }

    #[test]
    fn segments_add_up_to_the_whole() {
        for width in 1..90 {
            for prefill in [0.0, 0.013, 0.4, 2.7] {
                let timings = timings(0.011, prefill, 1.3, 0.1);
                for until in [Until::FirstToken, Until::End] {
                    let cells = (until.seconds(&timings) / 5.0 * width as f64).round() as usize;
                    let sum: usize = widths(&timings, until, 5.0, width).iter().sum();
                    assert_eq!(sum, cells.max(1), "{width} {prefill}");
                }
            }
        }
    }

    #[test]
    fn time_between_phases_is_seen_as_such() {
        let row = bar(&timings(1.0, 1.0, 0.0, 2.0), Until::FirstToken, 4.0, 8);
        assert_eq!(row.pieces.last(), Some(&Piece::new("····", Role::Muted)));
    }

    #[test]
    fn what_is_no_time_has_no_bar() {
        let nothing = Timings::default();
        assert_eq!(bar(&nothing, Until::End, 1.0, 40), Row::blank());
        assert_eq!(bar(&timings(1.0, 0.0, 0.0, 0.0), Until::End, 0.0, 40), Row::blank());
        let odd = Timings { total_seconds: f64::NAN, retrieve_seconds: f64::NAN, ..Timings::default() };
        assert_eq!(bar(&odd, Until::End, 1.0, 40), Row::blank());
        let short = bar(&timings(0.0, 0.001, 0.0, 0.0), Until::End, 10.0, 40);
        assert_eq!(short.pieces, [Piece::new("▇", Role::Prefill)]);
    }
}
