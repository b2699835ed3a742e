//! What the runs of one strategy come to, as every front end shows it.

use super::{Answer, ComparisonResult, Spread, Timings};

impl ComparisonResult {
    /// What `runs` come to beside the runs of `full`, where there are any; `None` without a run. How far the first
    /// token's distribution is from that of `full` is not in the answers and is left open.
    pub fn of(runs: &[Answer], full: Option<&[Answer]>) -> Option<Self> {
        let first_token = spread(runs, |timings| timings.time_to_first_token_seconds)?;
        let full_first_token =
            full.and_then(|full| spread(full, |timings| timings.time_to_first_token_seconds));
        let reference = full.and_then(|full| full.first());
        let answer = runs.first()?.clone();
        Some(Self {
            time_to_first_token_seconds: first_token,
            total_seconds: spread(runs, |timings| timings.total_seconds)?,
            tokens_per_second: spread(runs, |timings| timings.decode.tokens_per_second)?,
            runs: runs.iter().map(|answer| answer.timings.clone()).collect(),
            first_token_speedup: full_first_token.and_then(|full| ratio(full.median, first_token.median)),
            agreement: reference.map(|full| {
                let same = answer.tokens.iter().zip(&full.tokens).take_while(|(one, other)| one == other);
                (same.count(), full.tokens.len())
            }),
            first_token_divergence: None,
            answer,
        })
    }

    /// The run whose first token came at the median, or next to it: its phases stand for all.
    pub fn typical_first_token(&self) -> &Timings {
        self.nearest(self.time_to_first_token_seconds.median, |timings| timings.time_to_first_token_seconds)
    }

    /// The run that ended at the median, or next to it.
    pub fn typical_total(&self) -> &Timings {
        self.nearest(self.total_seconds.median, |timings| timings.total_seconds)
    }

    /// How many times sooner than `full` the answer was there as a whole, by medians.
    pub fn total_speedup(&self, full: &Self) -> Option<f64> {
        ratio(full.total_seconds.median, self.total_seconds.median)
    }

    fn nearest(&self, median: f64, figure: impl Fn(&Timings) -> f64) -> &Timings {
        let distance = |timings: &Timings| (figure(timings) - median).abs();
        let nearest = self.runs.iter().min_by(|one, other| distance(one).total_cmp(&distance(other)));
        nearest.unwrap_or(&self.answer.timings)
    }
}

fn spread(runs: &[Answer], figure: impl Fn(&Timings) -> f64) -> Option<Spread> {
    Spread::of(&runs.iter().map(|answer| figure(&answer.timings)).collect::<Vec<_>>())
}

fn ratio(full: f64, other: f64) -> Option<f64> {
    (other > 0.0).then(|| full / other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Strategy, engine::StopReason};

    fn run(first_token: f64, total: f64, tokens: &[u32]) -> Answer {
        Answer {
            question: String::new(),
            text: String::new(),
            strategy: Strategy::Ape,
            stop: StopReason::EndOfText,
            sources: Vec::new(),
            origins: Vec::new(),
            tokens: tokens.to_vec(),
            timings: Timings {
                time_to_first_token_seconds: first_token,
                total_seconds: total,
                ..Timings::default()
            },
            kept: None,
        }
    }

    #[test]
    fn runs_are_compared_with_those_of_full() {
        let full = [run(2.0, 4.0, &[1, 2, 3]), run(4.0, 5.0, &[1, 2, 3]), run(3.0, 6.0, &[1, 2, 3])];
        let ape = [run(0.5, 2.5, &[1, 2, 9, 3]), run(1.0, 2.0, &[1, 2, 9, 3])];
        let result = ComparisonResult::of(&ape, Some(&full)).expect("there are runs");
        assert_eq!(result.time_to_first_token_seconds, Spread { median: 0.75, min: 0.5, max: 1.0 });
        assert_eq!(result.first_token_speedup, Some(4.0));
        assert_eq!(result.agreement, Some((2, 3)));
        assert_eq!(result.runs.len(), 2);
        let full = ComparisonResult::of(&full, None).expect("there are runs");
        assert_eq!((full.first_token_speedup, full.agreement), (None, None));
        assert_eq!(result.total_speedup(&full), Some(5.0 / 2.25));
        assert_eq!(ComparisonResult::of(&[], None), None);
    }

    #[test]
    fn the_run_at_the_median_is_typical() {
        let runs = [run(9.0, 10.0, &[]), run(1.0, 30.0, &[]), run(2.0, 20.0, &[])];
        let result = ComparisonResult::of(&runs, None).expect("there are runs");
        assert_eq!(result.typical_first_token().time_to_first_token_seconds, 2.0);
        assert_eq!(result.typical_total().total_seconds, 20.0);
    }
}
