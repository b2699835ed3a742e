//! How fast something goes and when it will be done, from what was said of it and when.

use std::{collections::VecDeque, time::Duration};

/// What is older than this says nothing about the present speed.
const WINDOW: Duration = Duration::from_secs(12);
/// Two reports closer together than this count as one; keeps the window small however often something is said.
const CLOSE: Duration = Duration::from_millis(100);
/// A speed is known from so many reports on,
const LEAST_REPORTS: usize = 3;
/// over so long a time at least.
const LEAST_TIME: Duration = Duration::from_secs(1);

/// The speed of something that counts up, over the last seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rate {
    /// When how much was done, in order of time.
    reports: VecDeque<(Duration, u64)>,
}

impl Rate {
    /// Takes note that `done` is done by now. Counting down means that something else is counted: begins anew.
    pub fn report(&mut self, now: Duration, done: u64) {
        if self.reports.back().is_some_and(|(at, before)| done < *before || now < *at) {
            self.restart();
        }
        let last_but_one = self.reports.len().checked_sub(2).map(|index| self.reports[index].0);
        if last_but_one.is_some_and(|at| now - at < CLOSE) {
            self.reports.pop_back();
        }
        self.reports.push_back((now, done));
        while self.reports.len() > LEAST_REPORTS && now - self.reports[0].0 > WINDOW {
            self.reports.pop_front();
        }
    }

    /// Forgets what was reported: the time in which nothing could move says nothing about the speed.
    pub fn restart(&mut self) {
        self.reports.clear();
    }

    /// How much is done in a second; `None` until that is known.
    pub fn per_second(&self, now: Duration) -> Option<f64> {
        let ((first, from), (last, to)) = (self.reports.front()?, self.reports.back()?);
        let span = *last - *first;
        if self.reports.len() < LEAST_REPORTS || span < LEAST_TIME {
            return None;
        }
        // Where a report is overdue, the time since the last one counts too, so that what stands still is seen to.
        let usual_gap = span / (self.reports.len() as u32 - 1);
        let overdue = now.saturating_sub(*last) > usual_gap * 3;
        let span = if overdue { now - *first } else { span };
        Some((to - from) as f64 / span.as_secs_f64())
    }

    /// How long it takes until `total` is done; `None` while that means nothing.
    pub fn remaining(&self, now: Duration, total: u64) -> Option<Duration> {
        let rate = self.per_second(now).filter(|rate| *rate > 0.0)?;
        let (last, done) = self.reports.back()?;
        let seconds = total.saturating_sub(*done) as f64 / rate;
        let since = now.saturating_sub(*last);
        Duration::try_from_secs_f64(seconds).ok().map(|left| left.saturating_sub(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn steady(reports: u64, gap: u64, step: u64) -> Rate {
        let mut rate = Rate::default();
        (0..reports).for_each(|number| rate.report(at(number * gap), number * step));
        rate
    }

    #[test]
    fn a_steady_pace_is_measured() {
        let rate = steady(11, 500, 20);
        assert_eq!(rate.per_second(at(5000)), Some(40.0));
        assert_eq!(rate.remaining(at(5000), 600), Some(at(10_000)));
        assert_eq!(rate.remaining(at(5400), 600), Some(at(9600)), "it goes down between two reports");
    }

    #[test]
    fn nothing_is_said_before_it_means_something() {
        assert_eq!(Rate::default().per_second(at(0)), None);
        assert_eq!(steady(2, 5000, 9).per_second(at(5000)), None, "too few reports");
        assert_eq!(steady(9, 100, 9).remaining(at(900), 1000), None, "too short a time");
        let stuck = steady(9, 1000, 0);
        assert_eq!((stuck.per_second(at(8000)), stuck.remaining(at(8000), 10)), (Some(0.0), None));
    }

    #[test]
    fn the_past_is_forgotten() {
        let mut rate = steady(100, 1000, 1);
        (1..=40).for_each(|number| rate.report(at(99_000 + number * 1000), 99 + number * 10));
        assert_eq!(rate.per_second(at(139_000)), Some(10.0));
    }

    #[test]
    fn reports_far_apart_are_kept() {
        let rate = steady(5, 30_000, 60);
        assert_eq!(rate.per_second(at(120_000)), Some(2.0));
    }

    #[test]
    fn many_reports_take_little_room() {
        let rate = steady(100_000, 1, 1);
        assert!(rate.reports.len() < 300, "{}", rate.reports.len());
        let measured = rate.per_second(at(100_000)).expect("a steady pace");
        assert!((measured - 1000.0).abs() < 1.0, "{measured}");
    }

    #[test]
    fn what_stands_still_is_seen_to() {
        let rate = steady(11, 500, 20);
        assert_eq!(rate.per_second(at(20_000)), Some(10.0));
        assert_eq!(rate.remaining(at(20_000), 200), Some(Duration::ZERO));
    }

    #[test]
    fn no_report_makes_it_negative_or_not_a_number() {
        let mut rate = Rate::default();
        for (milliseconds, done) in [(0, 5), (0, 5), (2000, 9), (1000, 9), (4000, 2), (9000, 4), (9000, 4)] {
            rate.report(at(milliseconds), done);
            for now in [0, 500, 100_000] {
                let speed = rate.per_second(at(now));
                assert!(speed.is_none_or(|speed| speed.is_finite() && speed >= 0.0), "{speed:?}");
                assert!(rate.remaining(at(now), u64::MAX).is_none_or(|left| left > Duration::ZERO));
                assert!(rate.remaining(at(now), 0).is_none_or(|left| left == Duration::ZERO));
            }
        }
    }
}
