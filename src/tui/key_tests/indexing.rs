//! The keys of the indexing.

use std::path::PathBuf;

use super::*;
use crate::{
    engine::{CatalogueReply, FileIssue, FileListing, Hold, IndexedFile},
    tui::{indexing::Prompt, keys::IndexingAction},
};

/// The view with two folders, on a screen that shows only some of its rows.
pub fn two_folders() -> App {
    let mut app = ready();
    tell(&mut app, What::Resized(Size { width: 60, height: 14 }));
    app.open(View::Indexing);
    let file = |path: &str| IndexedFile { path: path.into(), name: String::new(), chunks: 4 };
    let files = vec![file("/a/1.md"), file("/b/2.md"), file("/b/3.md")];
    let reply = CatalogueReply::Files(FileListing::new(&["/a".into(), "/b".into()], files));
    engine(&mut app, Event::Done { id: ID, outcome: Outcome::Catalogue(reply) });
    app
}

/// The same with the field for a path open and `text` typed.
pub fn typing(text: &str) -> App {
    let mut app = two_folders();
    app.perform(Action::Indexing(IndexingAction::Add));
    type_text(&mut app, text);
    app
}

/// The same with the question whether to take out the second folder.
pub fn forgetting() -> App {
    let mut app = two_folders();
    app.perform(Action::Indexing(IndexingAction::Down));
    app.perform(Action::Indexing(IndexingAction::Forget));
    app
}

/// A run that the engine knows of, in its first phase.
fn running() -> App {
    let mut app = two_folders();
    let command = Command::Index(IndexRequest { encode: true, ..IndexRequest::default() });
    tell(&mut app, What::Sent(command.with_id(ID)));
    app
}

fn progress(done: u64, hold: Option<Hold>) -> Event {
    let (phase, unit) = (IndexPhase::Encode, Unit::Tokens);
    Event::Progress { id: ID, progress: Progress { phase, done, total: 9, unit, cache_bytes: 0, hold } }
}

fn typed(app: &App) -> Option<&str> {
    match &app.indexing_view.prompt {
        Some(Prompt::Add(path)) => Some(path.field.text()),
        _ => None,
    }
}

fn index(request: IndexRequest) -> Vec<Effect> {
    vec![Effect::Send(Command::Index(request))]
}

fn add(path: &str) -> Vec<Effect> {
    index(IndexRequest { add: vec![path.into()], encode: true, ..IndexRequest::default() })
}

pub fn check(chord: Chord, action: IndexingAction) {
    match action {
        IndexingAction::Up | IndexingAction::Down => {
            let mut app = two_folders();
            app.indexing_view.selected = usize::from(action == IndexingAction::Up);
            press(&mut app, chord);
            assert_eq!(app.indexing_view.selected, usize::from(action == IndexingAction::Down));
            press(&mut app, chord);
            assert!(app.indexing_view.selected < 2, "it stops at the ends");
        }
        IndexingAction::PageUp | IndexingAction::PageDown => {
            let mut app = running();
            let issue = FileIssue { path: "a.bin".into(), reason: "not text".to_owned() };
            (0..40).for_each(|_| drop(engine(&mut app, Event::LeftOut { id: ID, issue: issue.clone() })));
            app.indexing_view.top = 20;
            press(&mut app, chord);
            assert_eq!(app.indexing_view.top > 20, action == IndexingAction::PageDown);
        }
        IndexingAction::Add => {
            let mut app = two_folders();
            press(&mut app, chord);
            assert_eq!(typed(&app), Some(""));
        }
        IndexingAction::Refresh => {
            let refresh = index(IndexRequest { encode: true, ..IndexRequest::default() });
            assert_eq!(press(&mut two_folders(), chord), refresh);
        }
        IndexingAction::Forget => {
            let mut app = two_folders();
            assert_eq!(press(&mut app, chord), []);
            let Some(Prompt::Forget(root)) = &app.indexing_view.prompt else { panic!("it asks first") };
            assert_eq!((root.path.clone(), root.files), (PathBuf::from("/a"), 1));
        }
        IndexingAction::Pause => {
            let mut app = running();
            assert_eq!(press(&mut app, chord), [Effect::Send(Command::Pause(ID))]);
            assert_eq!(press(&mut app, chord), [Effect::Send(Command::Resume(ID))]);
        }
        IndexingAction::Stop => assert_eq!(press(&mut running(), chord), [Effect::Cancel(ID)]),
        IndexingAction::AddPath => {
            let mut app = typing(" ~/notes ");
            assert_eq!(press(&mut app, chord), add("~/notes"));
            assert_eq!(app.indexing_view.prompt, None);
        }
        IndexingAction::CompletePath => {
            let mut app = typing("no");
            assert_eq!(press(&mut app, chord), [Effect::ListFolders("no".to_owned())]);
            let found = vec!["notes/".to_owned(), "nodes/".to_owned()];
            tell(&mut app, What::Folders { typed: "no".to_owned(), found });
            assert_eq!(press(&mut app, chord), []);
            assert_eq!(typed(&app), Some("notes/"));
        }
        IndexingAction::ClosePath => {
            let mut app = typing("no");
            press(&mut app, chord);
            assert_eq!((app.indexing_view.prompt.clone(), app.view), (None, View::Indexing));
        }
        IndexingAction::ConfirmForget => {
            let request = IndexRequest { forget: vec!["/b".into()], ..IndexRequest::default() };
            assert_eq!(press(&mut forgetting(), chord), index(request));
        }
        IndexingAction::KeepFolder => {
            let mut app = forgetting();
            assert_eq!(press(&mut app, chord), []);
            assert_eq!((app.indexing_view.prompt.clone(), app.view), (None, View::Indexing));
        }
    }
}

#[test]
fn one_run_at_a_time_and_what_was_typed_stays() {
    let mut app = running();
    for key in ['r', 'd'] {
        assert_eq!(press_code(&mut app, KeyCode::Char(key)), []);
        assert!(app.indexing_view.notice.is_some(), "{key} is refused where the user looks");
    }
    press_code(&mut app, KeyCode::Char('a'));
    type_text(&mut app, "more");
    assert_eq!(press_code(&mut app, KeyCode::Enter), []);
    assert_eq!(typed(&app), Some("more"));
    engine(&mut app, Event::Done { id: ID, outcome: Outcome::Indexed(IndexReport::default()) });
    assert_eq!(press_code(&mut app, KeyCode::Enter), add("more"));
}

#[test]
fn nothing_runs_and_so_nothing_is_paused_or_stopped() {
    let mut app = two_folders();
    for key in ['p', 'x'] {
        assert_eq!(press_code(&mut app, KeyCode::Char(key)), []);
        assert!(app.indexing_view.notice.take().is_some(), "{key}");
    }
    app.perform(Action::Indexing(IndexingAction::Add));
    assert_eq!(press_code(&mut app, KeyCode::Enter), [], "a path is needed");
    assert!(app.indexing_view.notice.is_some());
}

#[test]
fn what_is_indexed_is_asked_for_when_it_is_looked_at_and_when_it_changed() {
    let mut app = ready();
    let asks = |effects: &[Effect]| matches!(effects, [Effect::Send(Command::Catalogue(_))]);
    assert!(!asks(&engine(&mut app, Event::Ready(Status::default()))), "nobody looks");
    assert!(asks(&press_code(&mut app, KeyCode::F(4))));
    assert!(asks(&engine(&mut app, Event::Ready(Status::default()))));
}

#[test]
fn a_run_is_followed_to_its_end_whatever_is_looked_at() {
    let mut app = running();
    app.open(View::Chat);
    engine(&mut app, progress(3, Some(Hold::Question)));
    let hold = |app: &App| app.indexing_view.run.as_ref().and_then(|run| run.hold());
    assert_eq!(hold(&app), Some(Hold::Question));
    engine(&mut app, progress(4, None));
    assert_eq!(hold(&app), None);
    let failure = Failure { kind: FailureKind::Storage, message: "The disk is full.".to_owned(), hint: None };
    engine(&mut app, Event::Failed { id: ID, failure });
    assert!(app.indexing_view.run.as_ref().is_some_and(|run| !run.is_running()));
    let before =
        app.indexing_view.run.as_ref().and_then(|run| run.present_phase().map(|phase| phase.progress.done));
    engine(&mut app, progress(5, None));
    let after =
        app.indexing_view.run.as_ref().and_then(|run| run.present_phase().map(|phase| phase.progress.done));
    assert_eq!(after, before, "what comes after the end changes nothing");
}

#[test]
fn a_pasted_path_goes_into_the_field() {
    let mut app = typing("~/");
    tell(&mut app, What::Paste("notes\n".to_owned()));
    assert_eq!(typed(&app), Some("~/notes"));
}
