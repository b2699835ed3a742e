//! The keys of the first run.

use super::{
    super::{
        app::{App, Effect, View, What},
        first_run::Fetch,
        keys::Chord,
    },
    engine, press, press_code, ready, tell,
};
use crate::engine::{
    Command, Event, Failure, FailureKind, IndexRequest, ModelSummary, Status,
    admin::{ModelFile, PullProgress},
};

fn with_model_alone(app: &mut App) {
    let model = Some(ModelSummary { name: "tiny".to_owned(), ..ModelSummary::default() });
    engine(app, Event::Ready(Status { model, ..Status::default() }));
}

pub fn check_next_step(app: &mut App, chord: Chord) {
    assert_eq!(press(app, chord), [Effect::FetchModel]);
    assert_eq!(press(app, chord), [], "it is fetched once");
    let model = ModelFile { name: "m".into(), path: "m".into(), bytes: 1, current: true };
    assert_eq!(tell(app, What::Fetched(Ok(model))), [Effect::Send(Command::Refresh)]);
    with_model_alone(app);
    press(app, chord);
    assert!(app.view == View::Indexing && app.indexing_view.prompt.is_some());
}

pub fn check_samples(app: &mut App, chord: Chord) {
    assert_eq!(press(app, chord), [Effect::FetchModel], "the samples need a model");
    with_model_alone(app);
    assert_eq!(press(app, chord), [Effect::WriteSamples]);
    let request = IndexRequest { add: vec!["s".into()], encode: true, ..IndexRequest::default() };
    assert_eq!(tell(app, What::Samples(Ok("s".into()))), [Effect::Send(Command::Index(request))]);
}

#[test]
fn a_model_that_cannot_be_fetched_can_be_tried_again() {
    let mut app = ready();
    engine(&mut app, Event::Ready(Status::default()));
    let enter = crossterm::event::KeyCode::Enter;
    assert_eq!(press_code(&mut app, enter), [Effect::FetchModel]);
    assert!(app.deadline().is_some(), "the spinner turns");
    tell(&mut app, What::FetchProgress(PullProgress::Bytes { done: 1, total: 2 }));
    let failure = Failure { kind: FailureKind::NoModel, message: "No network.".to_owned(), hint: None };
    assert_eq!(tell(&mut app, What::Fetched(Err(failure.clone()))), []);
    assert_eq!(app.first_run.fetch, Fetch::Failed(failure));
    assert_eq!(app.deadline(), None);
    assert_eq!(press_code(&mut app, enter), [Effect::FetchModel]);
}
