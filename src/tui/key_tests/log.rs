//! The keys of the log.

use std::time::Duration;

use super::{App, Chord, Effect, Msg, View, What, answered, press, press_code, tell};
use crate::tui::{keys::LogAction, log::LogTail};
use crossterm::event::KeyCode;

fn lines(number: usize) -> What {
    let lines = (0..number).map(|number| format!("line {number}")).collect();
    What::LogRead(Ok(LogTail { path: "today.log".into(), lines }))
}

/// The last line on the screen, and how many are under it.
fn seen(app: &App) -> (String, usize) {
    let (rows, below) = app.log.visible(20);
    (rows.last().expect("there are lines").text(), below)
}

/// Presses the key in the middle of a log of a hundred lines.
pub fn check(app: &mut App, chord: Chord, action: LogAction) {
    tell(app, lines(100));
    app.perform_log(LogAction::PageUp);
    app.perform_log(LogAction::PageUp);
    let (_, before) = seen(app);
    press(app, chord);
    let (last, below) = seen(app);
    match action {
        LogAction::Up => assert_eq!(below, before + 1),
        LogAction::Down => assert_eq!(below, before - 1),
        LogAction::PageUp => assert!(below > before + 10, "{below}"),
        LogAction::PageDown => assert!(below < before - 10, "{below}"),
        LogAction::Oldest => assert!(below > 70, "{below}"),
        LogAction::Newest => assert_eq!((last.as_str(), below), ("line 99", 0)),
    }
}

#[test]
fn the_log_is_read_again_while_it_is_looked_at_and_not_otherwise() {
    let mut app = answered();
    assert_eq!(press_code(&mut app, KeyCode::F(6)), [Effect::ReadLog]);
    let tick =
        |app: &mut App, seconds| app.update(Msg { at: Duration::from_secs(seconds), what: What::Tick });
    assert_eq!(tick(&mut app, 5), [], "one reading at a time");
    tell(&mut app, lines(3));
    assert_eq!(seen(&app).0, "line 2");
    assert_eq!(app.deadline(), Some(Duration::from_secs(6)));
    assert_eq!(tick(&mut app, 6), [Effect::ReadLog]);
    tell(&mut app, What::LogRead(Err("gone".to_owned())));
    app.open(View::Chat);
    assert_eq!(app.deadline(), None);
    assert_eq!(tick(&mut app, 60), []);
}
