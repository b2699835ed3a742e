//! How an index run comes along: its phases with their speed, the estimate, what was left out, and how it ended.

use std::{path::PathBuf, time::Duration};

use super::rate::Rate;
use crate::engine::{
    EncodeEstimate, Failure, FileIssue, Hold, IndexPhase, IndexReport, IndexRequest, Progress, RequestId,
};

/// The phases in the order in which they run.
pub const PHASES: [IndexPhase; 5] =
    [IndexPhase::Walk, IndexPhase::Read, IndexPhase::Split, IndexPhase::Index, IndexPhase::Encode];
/// Files left out that are kept to be listed; the others are counted.
pub const LISTED_ISSUES: usize = 200;

/// An index run, from its request to its end and after.
#[derive(Debug, Clone)]
pub struct IndexRun {
    pub id: RequestId,
    pub purpose: Purpose,
    pub began: Duration,
    pub ended: Option<(Duration, Ending)>,
    /// The phase that the last report was about, and all that was reported of each.
    pub present: Option<IndexPhase>,
    phases: [Option<PhaseRun>; PHASES.len()],
    /// The user asked for a pause and has not asked to go on.
    pub pause_asked: bool,
    /// The user asked for its end.
    pub stop_asked: bool,
    pub estimate: Option<EncodeEstimate>,
    /// The first files that were left out.
    pub left_out: Vec<FileIssue>,
    pub left_out_in_all: usize,
}

/// What the run is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    Add(PathBuf),
    Forget(PathBuf),
    /// Everything that was added before is looked at again.
    Refresh,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    Report(IndexReport),
    Failed(Failure),
}

/// What was reported of a phase.
#[derive(Debug, Clone)]
pub struct PhaseRun {
    pub progress: Progress,
    rate: Rate,
}

/// Where a phase stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhaseState {
    Waiting,
    Present,
    /// It goes on later: phases take turns where there are many files.
    Begun,
    Done,
}

impl IndexRun {
    pub fn new(id: RequestId, purpose: Purpose, now: Duration) -> Self {
        Self {
            id,
            purpose,
            began: now,
            ended: None,
            present: None,
            phases: Default::default(),
            pause_asked: false,
            stop_asked: false,
            estimate: None,
            left_out: Vec::new(),
            left_out_in_all: 0,
        }
    }

    pub fn is_running(&self) -> bool {
        self.ended.is_none()
    }

    /// Takes note of how far it has come.
    pub fn report(&mut self, progress: Progress, now: Duration) {
        let held_before = self.hold().is_some();
        self.present = Some(progress.phase);
        let phase = self.phases[progress.phase as usize]
            .get_or_insert_with(|| PhaseRun { progress, rate: Rate::default() });
        phase.progress = progress;
        if progress.hold.is_some() {
            phase.rate.restart();
        } else {
            if held_before {
                phase.rate.restart();
            }
            phase.rate.report(now, progress.done);
        }
    }

    /// Takes note of a file that is left out.
    pub fn leave_out(&mut self, issue: FileIssue) {
        self.left_out_in_all += 1;
        if self.left_out.len() < LISTED_ISSUES {
            self.left_out.push(issue);
        }
    }

    /// Takes note of the end. A report lists again what was left out, in order.
    pub fn end(&mut self, ending: Ending, now: Duration) {
        if let Ending::Report(report) = &ending {
            self.left_out = report.issues.iter().take(LISTED_ISSUES).cloned().collect();
            self.left_out_in_all = report.issues.len();
        }
        self.ended = Some((now, ending));
    }

    /// Why nothing moves now.
    pub fn hold(&self) -> Option<Hold> {
        self.present_phase().filter(|_| self.is_running()).and_then(|phase| phase.progress.hold)
    }

    pub fn phase(&self, phase: IndexPhase) -> Option<&PhaseRun> {
        self.phases[phase as usize].as_ref()
    }

    pub fn present_phase(&self) -> Option<&PhaseRun> {
        self.phase(self.present?)
    }

    pub fn state(&self, phase: IndexPhase) -> PhaseState {
        let encoding = self.present == Some(IndexPhase::Encode) && phase != IndexPhase::Encode;
        // What had nothing to do is over once what follows it has begun.
        let unseen = if encoding { PhaseState::Done } else { PhaseState::Waiting };
        let Some(run) = self.phase(phase) else { return unseen };
        let complete = run.progress.total > 0 && run.progress.done >= run.progress.total;
        match &self.ended {
            Some((_, Ending::Report(report))) if !report.cancelled => PhaseState::Done,
            Some(_) if complete || encoding => PhaseState::Done,
            Some(_) => PhaseState::Begun,
            None if self.present == Some(phase) => PhaseState::Present,
            None if complete || encoding => PhaseState::Done,
            None => PhaseState::Begun,
        }
    }

    /// How much of the present phase is done in a second.
    pub fn per_second(&self, now: Duration) -> Option<f64> {
        self.moving()?.rate.per_second(now)
    }

    /// How long the present phase still takes.
    pub fn remaining(&self, now: Duration) -> Option<Duration> {
        let phase = self.moving()?;
        phase.rate.remaining(now, phase.progress.total).filter(|_| phase.progress.total > 0)
    }

    /// Bytes of cache on disk by the last report; `None` before one.
    pub fn cache_bytes(&self) -> Option<u64> {
        let reported = self.present_phase().map(|phase| phase.progress.cache_bytes);
        let ended = match &self.ended {
            Some((_, Ending::Report(report))) => Some(report.cache_bytes),
            _ => reported,
        };
        ended.filter(|bytes| *bytes > 0)
    }

    /// The present phase, while it moves.
    fn moving(&self) -> Option<&PhaseRun> {
        self.present_phase().filter(|phase| self.is_running() && phase.progress.hold.is_none())
    }
}

impl Purpose {
    pub fn of(request: &IndexRequest) -> Self {
        match (request.add.first(), request.forget.first()) {
            (Some(path), _) => Self::Add(path.clone()),
            (None, Some(path)) => Self::Forget(path.clone()),
            (None, None) => Self::Refresh,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Unit;

    fn progress(phase: IndexPhase, done: u64, total: u64) -> Progress {
        Progress { phase, done, total, unit: Unit::Tokens, cache_bytes: 0, hold: None }
    }

    fn run() -> IndexRun {
        IndexRun::new(RequestId(1), Purpose::Refresh, Duration::ZERO)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A run that has encoded 100 tokens a second for five seconds.
    fn encoding() -> IndexRun {
        let mut run = run();
        (0..=5).for_each(|second| {
            run.report(progress(IndexPhase::Encode, second * 100, 2000), seconds(second));
        });
        run
    }

    #[test]
    fn phases_follow_each_other_and_may_take_turns() {
        use IndexPhase::{Encode, Index, Read, Split, Walk};
        let mut run = run();
        assert!(PHASES.iter().all(|phase| run.state(*phase) == PhaseState::Waiting));
        run.report(progress(Walk, 100, 100), seconds(1));
        run.report(progress(Read, 64, 100), seconds(2));
        run.report(progress(Index, 64, 100), seconds(3));
        assert_eq!(
            [Walk, Read, Index, Encode].map(|phase| run.state(phase)),
            [PhaseState::Done, PhaseState::Begun, PhaseState::Present, PhaseState::Waiting]
        );
        run.report(progress(Encode, 1, 9), seconds(4));
        assert_eq!(run.state(Read), PhaseState::Done, "encoding begins when all is indexed");
        assert_eq!(run.state(Split), PhaseState::Done, "there was nothing to split");
        run.end(Ending::Report(IndexReport::default()), seconds(5));
        assert_eq!(run.state(Encode), PhaseState::Done);
    }

    #[test]
    fn speed_and_remaining_time_are_those_of_the_present_phase() {
        let run = encoding();
        assert_eq!(run.per_second(seconds(5)), Some(100.0));
        assert_eq!(run.remaining(seconds(5)), Some(seconds(15)));
    }

    #[test]
    fn a_pause_does_not_count_as_slowness() {
        let mut run = encoding();
        let held = Progress { hold: Some(Hold::Question), ..progress(IndexPhase::Encode, 500, 2000) };
        run.report(held, seconds(6));
        assert_eq!(run.hold(), Some(Hold::Question));
        assert_eq!((run.per_second(seconds(60)), run.remaining(seconds(60))), (None, None));
        for second in 0..=4 {
            run.report(progress(IndexPhase::Encode, 500 + second * 100, 2000), seconds(60 + second));
        }
        assert_eq!(run.hold(), None);
        assert_eq!(run.per_second(seconds(64)), Some(100.0));
    }

    #[test]
    fn without_a_total_nothing_remains_to_be_told() {
        let mut run = run();
        (0..=5).for_each(|second| run.report(progress(IndexPhase::Walk, second * 9, 0), seconds(second)));
        assert_eq!(run.per_second(seconds(5)), Some(9.0));
        assert_eq!(run.remaining(seconds(5)), None);
        run.end(Ending::Report(IndexReport { cancelled: true, ..IndexReport::default() }), seconds(6));
        assert_eq!(run.per_second(seconds(6)), None, "what has ended has no speed");
    }

    #[test]
    fn files_left_out_are_listed_up_to_a_bound_and_counted_beyond() {
        let mut run = run();
        let issue = FileIssue { path: "a.bin".into(), reason: "not text".to_owned() };
        (0..LISTED_ISSUES + 7).for_each(|_| run.leave_out(issue.clone()));
        assert_eq!((run.left_out.len(), run.left_out_in_all), (LISTED_ISSUES, LISTED_ISSUES + 7));
        let report = IndexReport { issues: vec![issue], ..IndexReport::default() };
        run.end(Ending::Report(report), seconds(1));
        assert_eq!((run.left_out.len(), run.left_out_in_all), (1, 1));
    }
}
