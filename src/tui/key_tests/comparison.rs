//! The keys of the comparison.

use super::*;
use crate::{
    engine::{
        CompareRequest, Comparison, ComparisonResult, ComparisonRow, Selection,
        export::comparison::ComparisonFormat,
    },
    tui::{
        comparison::{Differences, Stage, columns},
        keys::ComparisonAction,
    },
};

const COMPARISON_ID: RequestId = RequestId(31);

fn answer_of(strategy: Strategy) -> Answer {
    Answer {
        question: "first".to_owned(),
        text: format!("The answer of {}.\n", strategy.name()).repeat(40),
        strategy,
        stop: StopReason::EndOfText,
        sources: vec![chunk(1)],
        origins: vec![CacheOrigin::Disk],
        tokens: vec![1, 2, 3],
        timings: Timings { time_to_first_token_seconds: 1.0, total_seconds: 2.0, ..Timings::default() },
        kept: None,
    }
}

/// A comparison of the last question is under way, and nothing was measured.
pub fn comparing() -> App {
    let mut app = answered();
    let effects = press(&mut app, Chord { code: KeyCode::Char('t'), modifiers: KeyModifiers::CONTROL });
    let [Effect::Send(command)] = effects.as_slice() else { panic!("{effects:?}") };
    tell(&mut app, What::Sent(command.clone().with_id(COMPARISON_ID)));
    engine(&mut app, Event::Retrieved { id: COMPARISON_ID, chunks: vec![chunk(1)] });
    app
}

/// A comparison with every strategy's answer.
pub fn compared() -> App {
    let mut app = comparing();
    let rows = ["full", "concat", "parallel", "ape"].map(|name| {
        let strategy = crate::tui::format::strategy_named(name).expect(name);
        let result = ComparisonResult::of(&[answer_of(strategy)], None).expect("there is a run");
        ComparisonRow { strategy, result: Ok(result) }
    });
    let comparison =
        Comparison { question: "first".to_owned(), runs: 1, sources: vec![chunk(1)], rows: rows.to_vec() };
    engine(&mut app, Event::Done { id: COMPARISON_ID, outcome: Outcome::Comparison(comparison) });
    assert_eq!(app.comparison.stage, Stage::Finished);
    app
}

/// Presses a key of the comparison and looks at what it changed.
pub fn check(app: &mut App, chord: Chord, action: ComparisonAction) {
    let name = chord.name();
    match action {
        ComparisonAction::Compare => {
            let request = CompareRequest {
                question: "first".to_owned(),
                strategies: vec![Strategy::Full, Strategy::Concat, Strategy::Parallel, Strategy::Ape],
                runs: 3,
                ..CompareRequest::default()
            };
            assert_eq!(press(app, chord), [Effect::Send(Command::Compare(request))]);
            assert_eq!(app.view, View::Comparison);
        }
        ComparisonAction::Cancel => {
            assert_eq!(press(app, chord), [Effect::Cancel(COMPARISON_ID)]);
            assert_eq!((&app.comparison.stage, app.view), (&Stage::Cancelled, View::Comparison));
        }
        ComparisonAction::Start => {
            press_code(app, KeyCode::Char('2'));
            press_code(app, KeyCode::Char('+'));
            let [Effect::Send(Command::Compare(request))] = &press(app, chord)[..] else { panic!("{name}") };
            assert_eq!(request.strategies, [Strategy::Full, Strategy::Parallel, Strategy::Ape]);
            assert_eq!((request.runs, request.question.as_str()), (4, "first"));
            tell(app, What::Sent(Command::Compare(request.clone()).with_id(COMPARISON_ID)));
            let again = press(app, chord);
            assert!(matches!(again[..], [Effect::Cancel(COMPARISON_ID), Effect::Send(_)]), "{again:?}");
        }
        ComparisonAction::Toggle(number) => {
            press(app, chord);
            assert!(!app.comparison.chosen[number], "{name}");
            press(app, chord);
            assert!(app.comparison.chosen[number], "{name}");
        }
        ComparisonAction::MoreRuns | ComparisonAction::FewerRuns => {
            press(app, chord);
            let expected = if action == ComparisonAction::MoreRuns { 4 } else { 2 };
            assert_eq!(app.comparison.runs, expected, "{name}");
            for _ in 0..50 {
                press(app, chord);
            }
            assert!((1..=20).contains(&app.comparison.runs), "{name}");
        }
        ComparisonAction::Question => {
            press(app, chord);
            assert_eq!((app.view, app.input.text().as_str()), (View::Chat, "/compare "));
        }
        ComparisonAction::Up | ComparisonAction::PageUp | ComparisonAction::Top => {
            press_code(app, KeyCode::End);
            let end = app.comparison.top;
            press(app, chord);
            assert!(app.comparison.top < end, "{name}");
            assert_eq!(app.comparison.top == 0, action == ComparisonAction::Top, "{name}");
        }
        ComparisonAction::Down | ComparisonAction::PageDown | ComparisonAction::Bottom => {
            press(app, chord);
            let down = app.comparison.top;
            assert!(down > 0, "{name}");
            assert_eq!(down == 1, action == ComparisonAction::Down, "{name}");
            press_code(app, KeyCode::End);
            press(app, chord);
            assert!(
                app.comparison.top + app.comparison.page.height == app.comparison.page.rows.len(),
                "{name}"
            );
        }
        ComparisonAction::Left | ComparisonAction::Right => {
            assert_eq!(columns(app.size, 4), 2);
            for _ in 0..9 {
                press_code(app, KeyCode::Right);
            }
            assert_eq!(app.comparison.first_answer, 2, "the last of those beside full");
            press_code(app, KeyCode::Left);
            press(app, chord);
            let expected = if action == ComparisonAction::Left { 0 } else { 2 };
            assert_eq!(app.comparison.first_answer, expected, "{name}");
        }
        ComparisonAction::Differences => {
            for expected in [Differences::Whole, Differences::Hidden, Differences::Marked] {
                press(app, chord);
                assert_eq!(app.comparison.differences, expected);
            }
        }
        ComparisonAction::Explain => {
            let rows = app.comparison.page.rows.len();
            press(app, chord);
            assert!(app.comparison.page.rows.len() > rows);
        }
        ComparisonAction::Export(format) => {
            let [Effect::Save { stem, extension, text }] = &press(app, chord)[..] else { panic!("{name}") };
            assert_eq!((stem.as_str(), *extension), ("gibbon-comparison", format.extension()));
            assert!(text.contains("first"), "{text}");
            tell(app, What::Saved(Ok("gibbon-comparison.md".into())));
            let notice = app.comparison.notice.as_ref().map(|note| note.text.as_str());
            assert_eq!(notice, Some("Saved gibbon-comparison.md"), "{name}");
        }
    }
}

#[test]
fn runs_appear_one_by_one_and_are_summed_up() {
    let mut app = comparing();
    assert_eq!(app.comparison.now_running(), Some((1, Strategy::Full)));
    let measured = |app: &mut App, run, strategy, seconds| {
        let mut answer = answer_of(strategy);
        answer.timings.time_to_first_token_seconds = seconds;
        engine(app, Event::Measured { id: COMPARISON_ID, run, runs: 3, answer: Box::new(answer) });
    };
    measured(&mut app, 1, Strategy::Full, 3.0);
    assert_eq!(app.comparison.now_running(), Some((1, Strategy::Concat)));
    // Concat fails: the next that is heard of is the one after it.
    measured(&mut app, 1, Strategy::Parallel, 2.0);
    measured(&mut app, 1, Strategy::Ape, 1.0);
    assert_eq!(app.comparison.now_running(), Some((2, Strategy::Full)));
    measured(&mut app, 2, Strategy::Full, 5.0);
    let rows = &app.comparison.comparison.as_ref().expect("something was measured").rows;
    let result = |row: usize| rows[row].result.as_ref().expect("it worked");
    assert_eq!((rows.len(), result(0).runs.len()), (3, 2));
    assert_eq!((result(0).first_token_speedup, result(2).first_token_speedup), (Some(1.0), Some(4.0)));
}

#[test]
fn a_cancelled_comparison_keeps_what_was_measured_and_takes_no_more() {
    let mut app = comparing();
    let measured = |strategy| Event::Measured {
        id: COMPARISON_ID,
        run: 1,
        runs: 3,
        answer: Box::new(answer_of(strategy)),
    };
    engine(&mut app, measured(Strategy::Full));
    press_code(&mut app, KeyCode::Esc);
    engine(&mut app, measured(Strategy::Concat));
    let failure = Failure { kind: FailureKind::Cancelled, message: "cancelled".to_owned(), hint: None };
    engine(&mut app, Event::Failed { id: COMPARISON_ID, failure });
    assert_eq!(app.comparison.stage, Stage::Cancelled);
    assert_eq!(app.comparison.comparison.as_ref().map(|comparison| comparison.rows.len()), Some(1));
    assert_eq!(app.deadline(), None);
    press_code(&mut app, KeyCode::Esc);
    assert_eq!(app.view, View::Chat);
}

#[test]
fn the_slash_command_compares_with_what_is_chosen() {
    let mut app = ready();
    app.chips.toggle(crate::tui::chips::Chip::file(std::path::Path::new("docs/a.md")));
    type_text(&mut app, "/compare When?");
    let effects = press_code(&mut app, KeyCode::Enter);
    let [Effect::Send(Command::Compare(request))] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(request.question, "When?");
    assert_ne!(request.selection, Selection::default());
}

#[test]
fn nothing_is_compared_or_saved_where_there_is_nothing() {
    let mut app = ready();
    type_text(&mut app, "/compare");
    assert_eq!(press_code(&mut app, KeyCode::Enter), []);
    assert_eq!(app.view, View::Comparison);
    assert_eq!(press_code(&mut app, KeyCode::Enter), []);
    assert_eq!(press_code(&mut app, KeyCode::Char('M')), []);
    assert!(app.comparison.notice.as_ref().is_some_and(|note| note.text.contains("nothing to save")));
    for format in ComparisonFormat::ALL {
        assert_eq!(app.export_comparison(format), []);
    }
}

#[test]
fn the_end_of_the_engine_is_the_end_of_its_comparison() {
    let mut app = comparing();
    tell(&mut app, What::EngineGone);
    assert!(matches!(app.comparison.stage, Stage::Failed(_)));
    assert_eq!(press_code(&mut app, KeyCode::Enter), []);
    assert_eq!(app.deadline(), None);
}

#[test]
fn the_selected_turn_is_compared_and_from_the_question_the_last() {
    let compare = Chord { code: KeyCode::Char('t'), modifiers: KeyModifiers::CONTROL };
    for (focus, expected) in [
        (Focus::Input, "second"),
        (Focus::Conversation, "first"),
        (Focus::Sources, "first"),
        (Focus::Timings, "first"),
    ] {
        let mut app = answered();
        ask(&mut app, "second");
        answer(&mut app, "done");
        app.focus_on(Focus::Conversation);
        press_code(&mut app, KeyCode::Char('['));
        app.focus_on(focus);
        let effects = press(&mut app, compare);
        let [Effect::Send(Command::Compare(request))] = effects.as_slice() else { panic!("{effects:?}") };
        assert_eq!(request.question, expected, "{focus:?}");
        // A follow-up is compared after the turns before it, as it was answered.
        let before: Vec<&str> = request.history.iter().map(|turn| turn.question.as_str()).collect();
        assert_eq!(before, if expected == "second" { vec!["first"] } else { Vec::new() }, "{focus:?}");
    }
}

#[test]
fn a_question_that_waits_for_the_comparison_says_so() {
    let mut app = comparing();
    app.open(View::Chat);
    type_text(&mut app, "second");
    let effects = press_code(&mut app, KeyCode::Enter);
    let [Effect::Send(command)] = effects.as_slice() else { panic!("{effects:?}") };
    tell(&mut app, What::Sent(command.clone().with_id(ID)));
    let activity = |app: &App| app.activity(app.turns().next_back().expect("asked").1);
    assert_eq!(activity(&app), "waiting for the comparison; F3 Esc stops it");
    press_code(&mut app, KeyCode::F(3));
    assert_eq!(press_code(&mut app, KeyCode::Esc), [Effect::Cancel(COMPARISON_ID)]);
    assert_eq!(activity(&app), "looking for chunks");
}

#[test]
fn an_answer_under_way_waits_for_no_comparison() {
    let mut app = ready();
    let compare = Chord { code: KeyCode::Char('t'), modifiers: KeyModifiers::CONTROL };
    ask(&mut app, "first");
    app.update(Msg { at: Duration::from_secs(1), what: What::Tick });
    press(&mut app, compare);
    assert!(app.comparison.is_running());
    assert_eq!(app.activity(app.turns().next_back().expect("asked").1), "answering");
}

#[test]
fn another_comparison_has_to_wait() {
    let mut app = comparing();
    app.obey(crate::tui::slash::parse("/compare why?"));
    assert_eq!(app.comparison.question.as_ref().map(|compared| compared.question.as_str()), Some("first"));
    assert!(app.comparison.notice.is_some());
}
