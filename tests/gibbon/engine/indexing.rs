//! An index run as it is told, paused, cancelled, and put behind questions.

use std::fs;

use gibbon::engine::{
    AskRequest, Command, Event, FailureKind, Hold, IndexPhase, Outcome, Progress, RequestId, Unit,
};

use super::{QUESTION, Running};

/// Waits for a progress event of this request that `wanted` is true of.
fn progress(running: &mut Running, of: RequestId, wanted: impl Fn(&Progress) -> bool) -> Progress {
    running.wait_for(|event| match event {
        Event::Progress { id, progress } if *id == of && wanted(progress) => Some(*progress),
        _ => None,
    })
}

fn question() -> AskRequest {
    AskRequest { question: QUESTION.into(), ..AskRequest::default() }
}

/// Engines that are tried before a message is said never to come in time.
const ATTEMPTS: usize = 20;

/// What `attempt` makes of an engine of its own; `None` where its message came when the run was past the place that it
/// is about, which says nothing of the engine: then it is tried again.
fn in_time<T>(attempt: impl Fn(Running) -> Option<T>) -> T {
    (0..ATTEMPTS).find_map(|_| attempt(Running::start())).expect("a run that takes longer than a message")
}

/// The hold that a run is in, for the first time; `None` where it ended without one.
fn first_hold(running: &mut Running, of: RequestId) -> Option<Progress> {
    running.wait_for(|event| match event {
        Event::Progress { id, progress } if *id == of && progress.hold.is_some() => Some(Some(*progress)),
        Event::Done { id, .. } if *id == of => Some(None),
        _ => None,
    })
}

/// An engine whose index run is paused in its encoding.
fn paused_in_encoding() -> (Running, RequestId) {
    in_time(|mut running| {
        let id = running.send(running.index_request(true));
        running.wait_for(|event| matches!(event, Event::Estimated { .. }).then_some(()));
        running.engine().send(Command::Pause(id));
        let at = first_hold(&mut running, id)?;
        assert_eq!((at.phase, at.hold), (IndexPhase::Encode, Some(Hold::Paused)));
        (at.done < at.total).then_some((running, id))
    })
}

/// An engine whose index run is paused before its first file.
fn paused_at_once() -> (Running, RequestId) {
    in_time(|mut running| {
        let id = running.send(running.index_request(true));
        running.engine().send(Command::Pause(id));
        let at = first_hold(&mut running, id)?;
        assert_eq!(at.hold, Some(Hold::Paused));
        (at.phase == IndexPhase::Walk).then_some((running, id))
    })
}

#[test]
fn every_phase_is_told_and_encoding_is_estimated() {
    let mut running = Running::start();
    fs::write(running.document("binary.txt"), b"\0\0\0").unwrap();
    let report = running.index(true);
    let told: Vec<Progress> = running
        .told
        .iter()
        .filter_map(|event| match event {
            Event::Progress { progress, .. } => Some(*progress),
            _ => None,
        })
        .collect();
    let last = |phase| *told.iter().rfind(|progress| progress.phase == phase).unwrap();
    for (phase, done, total, unit) in [
        (IndexPhase::Walk, 4, 4, Unit::Files),
        (IndexPhase::Read, 4, 4, Unit::Files),
        (IndexPhase::Split, report.chunks_added as u64, 0, Unit::Chunks),
        (IndexPhase::Index, 4, 4, Unit::Files),
    ] {
        let found = last(phase);
        assert_eq!((found.done, found.total, found.unit), (done, total, unit), "{phase:?}");
    }
    let encoded = last(IndexPhase::Encode);
    assert!(encoded.done == encoded.total && encoded.cache_bytes > 0, "{encoded:?}");

    let estimate = running.told.iter().find_map(|event| match event {
        Event::Estimated { estimate, .. } => Some(*estimate),
        _ => None,
    });
    let estimate = estimate.unwrap();
    assert_eq!((estimate.chunks, estimate.tokens), (report.chunks_encoded, encoded.total));
    assert_eq!(estimate.seconds, None, "nothing was encoded before");
    assert!(estimate.free_bytes > estimate.bytes, "{estimate:?}");
    // The prefix is encoded as well, and is not part of the estimate.
    assert!(
        estimate.bytes < report.cache_bytes && report.cache_bytes < 2 * estimate.bytes,
        "{estimate:?} {report:?}"
    );

    let left_out: Vec<_> = running
        .told
        .iter()
        .filter_map(|event| match event {
            Event::LeftOut { issue, .. } => Some(issue.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(left_out, report.issues);
    assert_eq!(left_out.len(), 1);

    let speed = running.status().encode_tokens_per_second;
    match report.tokens_encoded {
        0..256 => assert_eq!(speed, None),
        _ => assert!(speed.is_some_and(|speed| speed > 1.0), "{speed:?}"),
    }
}

#[test]
fn the_speed_of_the_last_encoding_makes_the_next_estimate() {
    let mut running = Running::start();
    let long: String =
        (0..60).map(|number| format!("Line {number} says that the pump moves {number} litres.\n")).collect();
    fs::write(running.document("long.txt"), long).unwrap();
    assert!(running.index(true).tokens_encoded >= 256);
    let speed = running.status().encode_tokens_per_second.unwrap();
    fs::write(running.document("new.md"), "# New\n\nThe well is nine metres deep.\n").unwrap();
    let id = running.send(running.index_request(true));
    let estimate = running.wait_for(|event| match event {
        Event::Estimated { id: of, estimate } if *of == id => Some(*estimate),
        _ => None,
    });
    assert_eq!(estimate.seconds, Some(estimate.tokens as f64 / speed));
    running.report_of(id);
}

#[test]
fn a_run_that_is_paused_before_its_first_file_waits() {
    let (mut running, id) = paused_at_once();
    let failure = running.ask(question()).unwrap_err();
    assert_eq!(failure.kind, FailureKind::NoDocuments, "questions are answered meanwhile");
    running.engine().send(Command::Resume(id));
    progress(&mut running, id, |progress| progress.phase == IndexPhase::Walk && progress.hold.is_none());
    let report = running.report_of(id);
    assert_eq!((report.files_added, report.chunks_left), (3, 0));
}

#[test]
fn a_question_is_answered_while_encoding_is_paused_and_the_run_goes_on_after() {
    let (mut running, id) = paused_in_encoding();
    assert_eq!(running.ask(question()).unwrap().sources[0].label, "boiler.md § Pressure");
    running.engine().send(Command::Resume(id));
    progress(&mut running, id, |progress| progress.hold.is_none());
    let report = running.report_of(id);
    assert_eq!((report.chunks_left, report.cancelled), (0, false));
}

#[test]
fn encoding_gives_way_to_a_question_and_says_so() {
    let (running, report) = in_time(|mut running| {
        let id = running.send(running.index_request(true));
        running.wait_for(|event| matches!(event, Event::Estimated { .. }).then_some(()));
        let few = AskRequest { chunks: Some(2), max_tokens: Some(4), ..question() };
        let asked = running.send(Command::Ask(few));
        let hold = first_hold(&mut running, id)?;
        assert_eq!((hold.phase, hold.hold), (IndexPhase::Encode, Some(Hold::Question)));
        let Ok(Outcome::Answer(answer)) = running.end_of(asked) else { panic!("the question is answered") };
        assert_eq!(answer.sources[0].label, "boiler.md § Pressure");
        let report = running.report_of(id);
        Some((running, report))
    });
    assert_eq!((report.chunks_left, report.cancelled), (0, false));
    let holds: Vec<Option<Hold>> = running
        .told
        .iter()
        .filter_map(|event| match event {
            Event::Progress { progress, .. } if progress.phase == IndexPhase::Encode => Some(progress.hold),
            _ => None,
        })
        .collect();
    let held = holds.iter().position(|hold| *hold == Some(Hold::Question)).unwrap();
    assert_eq!(holds[held + 1], None, "{holds:?}");
}

#[test]
fn a_paused_run_can_be_cancelled() {
    let (mut running, id) = paused_in_encoding();
    running.engine().send(Command::Cancel(id));
    let report = running.report_of(id);
    assert!(report.cancelled && report.chunks_left > 0, "{report:?}");

    let next = running.index(true);
    assert_eq!((next.cancelled, next.chunks_left), (false, 0), "the next run goes on");
}

#[test]
fn the_engine_ends_while_a_run_is_paused() {
    let (mut running, _) = paused_in_encoding();
    running.engine = None;
    let (mut running, _) = paused_at_once();
    running.engine = None;
}
