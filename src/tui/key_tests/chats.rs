//! The list of chats: every key, and what comes back from the engine.

use super::*;
use crate::{
    engine::{CatalogueQuery, CatalogueReply, Chat, ChatId, ChatSummary, ChatTurn, KeptTurn},
    tui::{copying::ExportFormat, keys::ChatsAction, text::Row},
};

const DAY: i64 = 86_400;

fn summary(id: i64, title: &str) -> ChatSummary {
    ChatSummary { id, started: 0, used: 100 * DAY - id, title: title.to_owned(), messages: 4 }
}

fn kept_chat(id: i64) -> Chat {
    let turn = |question: &str, answer: &str| ChatTurn {
        question: question.to_owned(),
        answer: answer.to_owned(),
        sources: vec![chunk(1)],
        timings: Some(Timings::default()),
        ..ChatTurn::default()
    };
    let long = "a line\n".repeat(80);
    let stop = if id == 2 { StopReason::Cancelled } else { StopReason::EndOfText };
    let turns = vec![
        ChatTurn { message: Some(4), ..turn("kept one", "kept answer") },
        ChatTurn { message: Some(6), stop: Some(stop), ..turn("kept two", &long) },
    ];
    Chat { id: ChatId(id), started: 0, title: format!("chat {id}"), turns }
}

/// The catalogue's answer to the query that the effects send, and the query.
fn answer_query(app: &mut App, effects: &[Effect]) -> CatalogueQuery {
    let [Effect::Send(Command::Catalogue(request))] = effects else { panic!("{effects:?}") };
    let id = RequestId(500);
    tell(app, What::Sent(Command::Catalogue(request.clone()).with_id(id)));
    let reply = match &request.query {
        CatalogueQuery::Chats { words } if words == "nothing" => CatalogueReply::Chats(Vec::new()),
        CatalogueQuery::Chats { .. } => {
            CatalogueReply::Chats(vec![summary(3, "three"), summary(2, "two"), summary(1, "one")])
        }
        CatalogueQuery::Chat { id } => CatalogueReply::Chat(kept_chat(id.0)),
        CatalogueQuery::RenameChat { .. } | CatalogueQuery::DeleteChat { .. } => CatalogueReply::Changed,
        other => panic!("{other:?}"),
    };
    let effects = engine(app, Event::Done { id, outcome: Outcome::Catalogue(reply) });
    if !effects.is_empty() {
        answer_query(app, &effects);
    }
    request.query.clone()
}

/// Lets time pass until nothing is due any more.
fn settle(app: &mut App) {
    while let Some(at) = app.chats.due() {
        let effects = app.update(Msg { at: at.max(app.now), what: What::Tick });
        if !effects.is_empty() {
            answer_query(app, &effects);
        }
    }
}

/// The list with three chats and the preview of the first; in the state of a context.
pub fn open(app: &mut App, context: Context) {
    app.opened_at(100 * DAY);
    let effects = app.open(View::Chats);
    answer_query(app, &effects);
    settle(app);
    match context {
        Context::RenamingChat => drop(app.perform(Action::Chats(ChatsAction::Rename))),
        Context::ConfirmingChat => drop(app.perform(Action::Chats(ChatsAction::Delete))),
        _ => {}
    }
}

fn listed() -> App {
    let mut app = answered();
    open(&mut app, Context::Chats);
    app
}

fn query(effects: &[Effect]) -> CatalogueQuery {
    let [Effect::Send(Command::Catalogue(request))] = effects else { panic!("{effects:?}") };
    request.query.clone()
}

/// The keys of the list.
pub fn check(chord: Chord, action: ChatsAction) {
    let mut app = listed();
    let title = |app: &App| app.chats.selected_chat().map(|chat| chat.title.clone()).unwrap_or_default();
    let name = chord.name();
    match action {
        ChatsAction::Down => {
            press(&mut app, chord);
            assert_eq!(title(&app), "two");
        }
        ChatsAction::Up => {
            press_code(&mut app, KeyCode::Down);
            press(&mut app, chord);
            assert_eq!(title(&app), "three");
        }
        ChatsAction::PageDown | ChatsAction::PageUp => {
            let first = |app: &App| app.chats.preview(5).map(|rows| rows[0].text());
            let top = first(&app);
            press_code(&mut app, KeyCode::PageDown);
            assert_ne!(first(&app), top, "{name}");
            if action == ChatsAction::PageUp {
                press(&mut app, chord);
                assert_eq!(first(&app), top);
            }
        }
        ChatsAction::Resume => {
            assert_eq!(press(&mut app, chord), [], "it has been read for the preview");
            assert_eq!((app.view, app.chat), (View::Chat, Some(ChatId(3))));
        }
        ChatsAction::Rename => {
            press(&mut app, chord);
            assert!(app.contexts().contains(&Context::RenamingChat));
        }
        ChatsAction::KeepTitle => {
            app.perform(Action::Chats(ChatsAction::Rename));
            type_text(&mut app, " and more");
            let renamed = CatalogueQuery::RenameChat { id: ChatId(3), title: "three and more".to_owned() };
            assert_eq!(query(&press(&mut app, chord)), renamed);
        }
        ChatsAction::LeaveTitle => {
            app.perform(Action::Chats(ChatsAction::Rename));
            assert_eq!(press(&mut app, chord), []);
            assert!(app.contexts().contains(&Context::Chats));
        }
        ChatsAction::Delete => {
            assert_eq!(press(&mut app, chord), [], "{name}");
            assert!(app.contexts().contains(&Context::ConfirmingChat));
        }
        ChatsAction::Yes => {
            app.perform(Action::Chats(ChatsAction::Delete));
            let effects = press(&mut app, chord);
            assert_eq!(answer_query(&mut app, &effects), CatalogueQuery::DeleteChat { id: ChatId(3) });
        }
        ChatsAction::No => {
            app.perform(Action::Chats(ChatsAction::Delete));
            assert_eq!(press(&mut app, chord), [], "{name}");
            assert!(app.contexts().contains(&Context::Chats));
        }
        ChatsAction::Export(format) => {
            let effects = press(&mut app, chord);
            let [Effect::Save { extension, text, .. }] = effects.as_slice() else { panic!("{effects:?}") };
            let expected = if format == ExportFormat::Json { "json" } else { "md" };
            assert_eq!(*extension, expected);
            assert!(text.contains("kept answer"), "{text}");
            assert_eq!(text.starts_with('{'), format == ExportFormat::Json);
        }
        ChatsAction::New => {
            press(&mut app, chord);
            assert_eq!((app.view, app.chat, app.earlier_turns(None).len()), (View::Chat, None, 0));
        }
    }
}

#[test]
fn words_are_looked_for_once_typing_stops() {
    let mut app = listed();
    type_text(&mut app, "nothing");
    assert!(app.chats.is_searching());
    let at = app.chats.due().expect("something is due");
    let effects = app.update(Msg { at, what: What::Tick });
    assert_eq!(answer_query(&mut app, &effects), CatalogueQuery::Chats { words: "nothing".to_owned() });
    assert_eq!((app.chats.chats.as_ref().map(Vec::len), app.chats.is_searching()), (Some(0), false));
    assert_eq!(app.deadline(), None);
    for key in [KeyCode::Enter, KeyCode::Down, KeyCode::Up, KeyCode::Delete] {
        assert_eq!(press_code(&mut app, key), [], "{key}");
    }
}

#[test]
fn a_resumed_chat_goes_on() {
    let mut app = listed();
    press_code(&mut app, KeyCode::Enter);
    let texts: Vec<_> = app.turns().map(|(_, turn)| turn.question.as_str()).collect();
    assert_eq!(texts, ["kept one", "kept two"]);
    assert_eq!(app.sources().len(), 1, "with its sources");
    type_text(&mut app, "next");
    let effects = press_code(&mut app, KeyCode::Enter);
    let [Effect::Send(Command::Ask(request))] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((request.keep, request.history.len()), (Keep::Chat(ChatId(3)), 2));
    assert_eq!(request.selection.carried, [chunk(1).id]);
}

#[test]
fn a_chat_to_resume_is_opened_at_the_start() {
    let mut app = ready();
    app.timings.selected = Some(4);
    type_text(&mut app, "draft");
    let effects = tell(&mut app, What::Resume(ChatId(2)));
    assert_eq!(answer_query(&mut app, &effects), CatalogueQuery::Chat { id: ChatId(2) });
    assert_eq!((app.view, app.chat, app.focus), (View::Chat, Some(ChatId(2)), Focus::Input));
    assert_eq!((app.turns().count(), app.timings.selected, app.selected), (2, None, None));
    assert_eq!(app.input.text(), "draft", "what was typed meanwhile stays");
    assert_eq!(app.timed_answer().map(|(index, _)| index), Some(2), "the last of the two");
}

#[test]
fn a_question_sent_while_the_chat_is_read_is_not_taken_away() {
    let mut app = ready();
    let effects = tell(&mut app, What::Resume(ChatId(2)));
    ask(&mut app, "first");
    answer_query(&mut app, &effects);
    assert_eq!((app.chat, app.running().is_some()), (None, true));
    assert!(app.flash.is_some());
}

#[test]
fn a_chat_that_went_away_before_it_was_opened_is_reported() {
    let mut app = ready();
    let effects = tell(&mut app, What::Resume(ChatId(2)));
    let [Effect::Send(command)] = effects.as_slice() else { panic!("{effects:?}") };
    tell(&mut app, What::Sent(command.clone().with_id(RequestId(9))));
    let failure = Failure { kind: FailureKind::BadRequest, message: "no chat 2".to_owned(), hint: None };
    engine(&mut app, Event::Failed { id: RequestId(9), failure });
    assert!(matches!(app.transcript.entries().last(), Some(Entry::Note(note)) if note.text == "no chat 2"));
}

#[test]
fn what_was_cancelled_is_marked_in_a_chat_that_goes_on() {
    let mut app = listed();
    let effects = press_code(&mut app, KeyCode::Down);
    assert_eq!(effects, []);
    settle(&mut app);
    let preview: Vec<_> = app.chats.preview(500).expect("read").iter().map(Row::text).collect();
    assert!(preview.contains(&"cancelled".to_owned()), "{preview:?}");
    press_code(&mut app, KeyCode::Enter);
    assert_eq!(stage(&app), Stage::Cancelled);
    let rows: Vec<_> = app.transcript.visible().map(|visible| visible.row.text()).collect();
    assert!(rows.iter().any(|row| row.contains("◌ cancelled")), "{rows:?}");
    for (format, marked) in
        [(ExportFormat::Markdown, "*(cancelled)*"), (ExportFormat::Json, r#""stop":"cancelled""#)]
    {
        let effects = app.export_chat(format);
        assert!(matches!(effects.as_slice(), [Effect::Save { text, .. }] if text.contains(marked)));
    }
}

#[test]
fn a_saved_chat_has_its_title_and_its_beginning() {
    let mut app = listed();
    let saved = |app: &mut App| match app.export_chat(ExportFormat::Markdown).as_slice() {
        [Effect::Save { text, .. }] => text.clone(),
        other => panic!("{other:?}"),
    };
    press_code(&mut app, KeyCode::Enter);
    let text = saved(&mut app);
    assert!(text.starts_with("# chat 3\n\nChat 3 of 1970-01-01"), "{text}");
    let effects = app.rename_this_chat("The dome".to_owned());
    answer_query(&mut app, &effects);
    assert!(saved(&mut app).starts_with("# The dome\n"));
    open(&mut app, Context::RenamingChat);
    type_text(&mut app, " again");
    press_code(&mut app, KeyCode::Enter);
    let text = saved(&mut app);
    assert!(text.starts_with("# three again\n"), "renamed in the list: {text}");
    app.perform(Action::Chats(ChatsAction::New));
    ask(&mut app, "first of a new one");
    answer(&mut app, "done");
    assert!(saved(&mut app).starts_with("# first of a new one\n"));
}

#[test]
fn a_turn_of_a_resumed_chat_gives_its_place_to_another() {
    let mut app = listed();
    press_code(&mut app, KeyCode::Enter);
    let effects = app.retry_last();
    let [Effect::Send(Command::Ask(request))] = effects.as_slice() else { panic!("{effects:?}") };
    // The turn before it was kept as the third: one had been superseded.
    assert_eq!(request.keep, Keep::InPlaceOf(KeptTurn { chat: ChatId(3), message: 6 }));
}

#[test]
fn a_chat_that_has_not_been_read_is_read_first() {
    let mut app = listed();
    press_code(&mut app, KeyCode::Down);
    let effects = press_code(&mut app, KeyCode::Enter);
    assert_eq!(answer_query(&mut app, &effects), CatalogueQuery::Chat { id: ChatId(2) });
    assert_eq!((app.view, app.chat), (View::Chat, Some(ChatId(2))));
}

#[test]
fn a_running_answer_is_not_left_unasked() {
    let mut app = answered();
    ask(&mut app, "runs");
    open(&mut app, Context::Chats);
    assert_eq!(press_code(&mut app, KeyCode::Enter), []);
    press_code(&mut app, KeyCode::Char('n'));
    assert_eq!((app.view, app.running().is_some()), (View::Chats, true));
    press_code(&mut app, KeyCode::Enter);
    assert_eq!(press_code(&mut app, KeyCode::Char('y')), [Effect::Cancel(ID)]);
    assert_eq!((app.view, app.chat), (View::Chat, Some(ChatId(3))));
    // What the engine still says about it changes nothing.
    engine(&mut app, Event::Token { id: ID, text: "late".to_owned() });
    answer(&mut app, "late");
    assert_eq!(app.chat, Some(ChatId(3)));
}

#[test]
fn a_lookup_that_fails_says_why() {
    let mut app = answered();
    let effects = app.open(View::Chats);
    let [Effect::Send(command)] = effects.as_slice() else { panic!("{effects:?}") };
    tell(&mut app, What::Sent(command.clone().with_id(RequestId(9))));
    let failure = Failure { kind: FailureKind::Storage, message: "locked".to_owned(), hint: None };
    engine(&mut app, Event::Failed { id: RequestId(9), failure });
    assert_eq!((app.chats.failure.as_deref(), app.chats.is_searching()), (Some("locked"), false));
}
