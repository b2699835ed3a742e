//! The keys of the timings.

use super::*;
use crate::tui::keys::TimingsAction;

/// Three answers, the timings with the keyboard, on a screen that shows only some rows of them.
fn three_answers() -> App {
    let mut app = ready();
    for question in ["first", "second", "third"] {
        ask(&mut app, question);
        answer(&mut app, "An answer.");
    }
    app.focus_on(Focus::Timings);
    tell(&mut app, What::Resized(Size { width: 60, height: 12 }));
    app
}

fn shown(app: &App) -> &str {
    &app.timed_answer().expect("there are answers").1.question
}

pub fn check(chord: Chord, action: TimingsAction) {
    let mut app = three_answers();
    assert_eq!(shown(&app), "third");
    match action {
        TimingsAction::Older => {
            let mut seen = Vec::new();
            for _ in 0..3 {
                press(&mut app, chord);
                seen.push(shown(&app).to_owned());
            }
            assert_eq!(seen, ["second", "first", "first"]);
        }
        TimingsAction::Newer => {
            app.perform(Action::Timings(TimingsAction::Oldest));
            press(&mut app, chord);
            assert_eq!(shown(&app), "second");
        }
        TimingsAction::Oldest => {
            press(&mut app, chord);
            assert_eq!(shown(&app), "first");
        }
        TimingsAction::Newest => {
            app.perform(Action::Timings(TimingsAction::Oldest));
            press(&mut app, chord);
            assert_eq!(shown(&app), "third");
        }
        TimingsAction::PageDown => {
            press(&mut app, chord);
            assert!(app.timings.top > 0);
        }
        TimingsAction::PageUp => {
            app.timings.top = 1000;
            press(&mut app, chord);
            let at_the_end = app.timings.top;
            press(&mut app, chord);
            assert!(app.timings.top < at_the_end || at_the_end == 0, "{at_the_end}");
        }
    }
}

#[test]
fn a_new_question_shows_its_own_timings() {
    let mut app = three_answers();
    app.perform(Action::Timings(TimingsAction::Oldest));
    assert_eq!(shown(&app), "first");
    app.focus_on(Focus::Input);
    ask(&mut app, "fourth");
    assert_eq!(shown(&app), "fourth");
}

#[test]
fn the_answer_under_way_is_timed_as_it_comes() {
    let mut app = ready();
    ask(&mut app, "first");
    for number in 1..=30 {
        let at = Duration::from_millis(number * 100);
        app.update(Msg { at, what: What::Engine(Box::new(Event::Token { id: ID, text: "a ".to_owned() })) });
    }
    let live = app.timings.live.as_ref().expect("it is under way");
    let speed = live.rate.per_second(app.now).expect("thirty pieces have come");
    assert!((speed - 10.0).abs() < 0.5, "{speed}");
    engine(&mut app, Event::Token { id: RequestId(99), text: "stray".to_owned() });
    assert_eq!(app.timings.live.as_ref().map(|live| live.pieces), Some(31));
}
