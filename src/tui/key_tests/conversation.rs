//! Turns that go along with a question, asking again, editing, new chats, copying and saving.

use super::*;
use crate::{
    engine::{ChatId, EarlierTurn, KeptTurn, Selection},
    tui::{copying::ExportFormat, keys::ConversationAction},
};

/// The keys of the conversation's turns, in a chat with one answered question, "first".
pub fn check(mut app: App, chord: Chord, action: Action) {
    match action {
        Action::NewChat => {
            assert_eq!(app.earlier_turns(None).len(), 1);
            press(&mut app, chord);
            assert_eq!(app.earlier_turns(None).len(), 0);
            assert!(matches!(app.transcript.entries().last(), Some(Entry::Divider(_))));
        }
        Action::RetryLast => {
            let effects = press(&mut app, chord);
            let [Effect::Send(Command::Ask(request))] = effects.as_slice() else { panic!("{effects:?}") };
            assert_eq!((request.question.as_str(), request.history.len()), ("first", 0));
        }
        Action::EditLast => {
            press(&mut app, chord);
            assert_eq!(app.input.text(), "first");
            assert!(app.editing.is_some());
        }
        Action::LeaveEditing => {
            assert_eq!(app.input.text(), "first");
            press(&mut app, chord);
            assert_eq!((app.input.is_empty(), &app.editing), (true, &None));
        }
        other => panic!("{other:?} is looked at elsewhere"),
    }
}

fn request(app: &mut App, question: &str) -> AskRequest {
    type_text(app, question);
    sent(app, press_code)
}

/// The question that a key sends; the engine has it afterwards.
fn sent(app: &mut App, key: fn(&mut App, KeyCode) -> Vec<Effect>) -> AskRequest {
    let effects = key(app, KeyCode::Enter);
    taken(app, &effects)
}

fn taken(app: &mut App, effects: &[Effect]) -> AskRequest {
    let [Effect::Send(Command::Ask(request))] = effects else { panic!("{effects:?}") };
    let id = RequestId(app.transcript.entries().len() as u64 + 100);
    tell(app, What::Sent(Command::Ask(request.clone()).with_id(id)));
    request.clone()
}

/// Ends the running answer with this text.
fn end(app: &mut App, text: &str) {
    let id = app.turns().next_back().and_then(|(_, turn)| turn.id).expect("the engine has the question");
    let message = 2 * app.turns().filter(|(_, turn)| turn.kept.is_some()).count() as u32;
    let answer = Answer {
        question: String::new(),
        text: text.to_owned(),
        strategy: Strategy::Ape,
        stop: StopReason::EndOfText,
        sources: vec![chunk(1), chunk(2)],
        origins: Vec::new(),
        tokens: Vec::new(),
        timings: Timings::default(),
        kept: Some(KeptTurn { chat: ChatId(5), message }),
    };
    engine(app, Event::Done { id, outcome: Outcome::Answer(answer) });
}

fn fail(app: &mut App) {
    let id = app.turns().next_back().and_then(|(_, turn)| turn.id).expect("the engine has the question");
    let failure = Failure { kind: FailureKind::NoMatch, message: "nothing".to_owned(), hint: None };
    engine(app, Event::Failed { id, failure });
}

fn questions(history: &[EarlierTurn]) -> Vec<&str> {
    history.iter().map(|turn| turn.question.as_str()).collect()
}

fn chord(control: char) -> Chord {
    Chord { code: KeyCode::Char(control), modifiers: KeyModifiers::CONTROL }
}

/// Two answered questions, "one" and "two".
fn two_turns() -> App {
    let mut app = ready();
    for question in ["one", "two"] {
        request(&mut app, question);
        end(&mut app, &format!("answer to {question}"));
    }
    app
}

fn superseded(app: &App) -> Vec<bool> {
    app.turns().map(|(_, turn)| turn.superseded).collect()
}

#[test]
fn earlier_turns_and_their_chunks_go_along() {
    let mut app = two_turns();
    let three = request(&mut app, "three");
    assert_eq!(questions(&three.history), ["one", "two"]);
    assert_eq!(three.history[1].answer, "answer to two");
    assert_eq!(three.selection.carried, [chunk(1).id, chunk(2).id]);
    assert_eq!(three.keep, Keep::Chat(ChatId(5)));
    let mut app = ready();
    let first = request(&mut app, "one");
    assert_eq!((first.history, first.selection, first.keep), (vec![], Selection::default(), Keep::NewChat));
}

#[test]
fn failed_turns_stay_behind_and_cancelled_ones_with_text_go_along() {
    let mut app = two_turns();
    request(&mut app, "fails");
    fail(&mut app);
    request(&mut app, "cut short");
    let id = app.turns().next_back().and_then(|(_, turn)| turn.id).expect("asked");
    engine(&mut app, Event::Token { id, text: "Some".to_owned() });
    press_code(&mut app, KeyCode::Esc);
    request(&mut app, "cut at once");
    press_code(&mut app, KeyCode::Esc);
    let last = request(&mut app, "last");
    assert_eq!(questions(&last.history), ["one", "two", "cut short"]);
    assert_eq!(last.history[2].answer, "Some");
}

#[test]
fn a_new_chat_begins_without_the_turns_before() {
    let mut app = two_turns();
    type_text(&mut app, "/new");
    press_code(&mut app, KeyCode::Enter);
    let three = request(&mut app, "three");
    assert_eq!((three.history, three.keep), (vec![], Keep::NewChat));
    assert_eq!(three.selection, Selection::default());
    // Nothing was asked since: there is nothing to divide.
    let mut app = ready();
    press(&mut app, chord('n'));
    press(&mut app, chord('n'));
    assert!(app.transcript.is_empty());
}

#[test]
fn a_late_answer_does_not_bring_its_chat_back() {
    let mut app = ready();
    request(&mut app, "one");
    let id = app.turns().next_back().and_then(|(_, turn)| turn.id).expect("asked");
    press_code(&mut app, KeyCode::Esc);
    press(&mut app, chord('n'));
    let answer = Answer {
        question: String::new(),
        text: "late".to_owned(),
        strategy: Strategy::Ape,
        stop: StopReason::Cancelled,
        sources: Vec::new(),
        origins: Vec::new(),
        tokens: Vec::new(),
        timings: Timings::default(),
        kept: Some(KeptTurn { chat: ChatId(5), message: 0 }),
    };
    engine(&mut app, Event::Done { id, outcome: Outcome::Answer(answer) });
    assert_eq!(request(&mut app, "two").keep, Keep::NewChat);
}

#[test]
fn no_new_chat_begins_under_a_running_answer() {
    let mut app = two_turns();
    request(&mut app, "three");
    press(&mut app, chord('n'));
    assert!(!app.transcript.entries().iter().any(|entry| matches!(entry, Entry::Divider(_))));
    assert_eq!(app.chat, Some(ChatId(5)));
}

#[test]
fn asking_again_takes_the_turns_place_and_gives_it_back_on_failure() {
    let mut app = two_turns();
    let effects = press(&mut app, chord('r'));
    let again = taken(&mut app, &effects);
    assert_eq!((again.question.as_str(), questions(&again.history)), ("two", vec!["one"]));
    assert_eq!(
        again.selection.carried,
        [chunk(1).id, chunk(2).id],
        "the selection is that of the first time"
    );
    assert_eq!(superseded(&app), [false, true, false]);
    fail(&mut app);
    assert_eq!(superseded(&app), [false, false, false]);
    let effects = press(&mut app, chord('r'));
    taken(&mut app, &effects);
    end(&mut app, "better");
    assert_eq!(superseded(&app), [false, true, true, false], "the place that the failed one was meant for");
    assert_eq!(app.transcript.entries().len(), 4, "nothing went away");
}

#[test]
fn an_edited_question_takes_its_own_place_and_that_of_all_after_it() {
    let mut app = two_turns();
    type_text(&mut app, "draft");
    app.edit(0);
    assert_eq!((app.input.text().as_str(), app.earlier_turns(Some(0)).len()), ("one", 0));
    press_code(&mut app, KeyCode::Esc);
    assert_eq!(app.input.text(), "draft", "the draft comes back");
    app.edit(0);
    let edited = request(&mut app, " more");
    assert_eq!((edited.question.as_str(), edited.history.len()), ("one more", 0));
    assert_eq!(superseded(&app), [true, true, false]);
    end(&mut app, "answer");
    assert_eq!(questions(&request(&mut app, "next").history), ["one more"]);
}

#[test]
fn what_takes_a_turns_place_is_kept_in_its_place() {
    let in_place_of = |message| Keep::InPlaceOf(KeptTurn { chat: ChatId(5), message });
    let mut app = two_turns();
    let effects = press(&mut app, chord('r'));
    assert_eq!(taken(&mut app, &effects).keep, in_place_of(2));
    fail(&mut app);
    // What failed was not kept.
    let effects = press(&mut app, chord('r'));
    assert_eq!(taken(&mut app, &effects).keep, in_place_of(2));
    end(&mut app, "better");
    assert_eq!(request(&mut app, "three").keep, Keep::Chat(ChatId(5)));
    end(&mut app, "answer");
    // After "one" and the better "two", which is the third of those kept.
    let effects = press(&mut app, chord('r'));
    assert_eq!(taken(&mut app, &effects).keep, in_place_of(6));
    end(&mut app, "answer");
    app.edit(0);
    assert_eq!(request(&mut app, ", edited").keep, in_place_of(0));
    press_code(&mut app, KeyCode::Esc);
    // One that was superseded is asked again after the turns before it.
    let effects = app.retry(1);
    let again = taken(&mut app, &effects);
    assert_eq!((questions(&again.history), again.keep), (vec!["one"], in_place_of(2)));
}

#[test]
fn a_saved_chat_is_without_turns_that_others_took_the_place_of() {
    let mut app = two_turns();
    let effects = press(&mut app, chord('r'));
    taken(&mut app, &effects);
    end(&mut app, "better");
    request(&mut app, "cut short");
    let id = app.turns().next_back().and_then(|(_, turn)| turn.id).expect("asked");
    engine(&mut app, Event::Token { id, text: "Some".to_owned() });
    press_code(&mut app, KeyCode::Esc);
    let effects = app.export_chat(ExportFormat::Markdown);
    let [Effect::Save { text, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(text.contains("better") && !text.contains("answer to two"), "{text}");
    assert!(text.contains("## cut short\n\nSome\n\n*(cancelled)*"), "{text}");
    let effects = app.export_chat(ExportFormat::Json);
    let [Effect::Save { text, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(text.contains(r#""stop":"cancelled""#) && !text.contains("answer to two"), "{text}");
}

#[test]
fn what_was_done_outside_is_said() {
    let mut app = ready();
    tell(&mut app, What::Saved(Ok("chat.md".into())));
    assert!(app.flash.as_ref().is_some_and(|(text, _)| text == "Saved chat.md"));
    assert!(app.deadline().is_some(), "the words go away by themselves");
    let later = app.deadline().expect("just checked");
    app.update(Msg { at: later, what: What::Tick });
    assert_eq!((&app.flash, app.deadline()), (&None, None));
    for what in [What::Saved(Err("disk full".to_owned())), What::Copied(Err("too long".to_owned()))] {
        tell(&mut app, what);
        assert!(
            matches!(app.transcript.entries().last(), Some(Entry::Note(note)) if note.text.contains("It was not"))
        );
    }
    tell(&mut app, What::Copied(Ok(())));
    assert_eq!(app.transcript.entries().len(), 2);
}

const CITED: &str = "Shut it [file1.md § Part].\n\n```sh\nclose dome\n```\n\nThen look [file2.md § Part].";

/// Two turns, the conversation with the keyboard; the second answer has two citations and two rows of code.
fn cited() -> App {
    let mut app = ready();
    for question in ["one", "two"] {
        request(&mut app, question);
        end(&mut app, &format!("{CITED}\n{}", "\n\nmore".repeat(30)));
    }
    app.focus_on(Focus::Conversation);
    app
}

/// The keys of the conversation.
pub fn check_conversation(chord: Chord, action: ConversationAction) {
    let mut app = cited();
    let entry = |app: &App| app.selected_turn().map(|(index, _)| index);
    let top = |app: &App| app.transcript.position().0;
    let newest = top(&app);
    let name = chord.name();
    match action {
        ConversationAction::Up => {
            press(&mut app, chord);
            assert_eq!(top(&app), newest - 1, "{name}");
        }
        ConversationAction::PageUp => {
            press(&mut app, chord);
            assert!(top(&app) < newest - 1);
        }
        ConversationAction::Oldest => {
            press(&mut app, chord);
            assert_eq!(top(&app), 0, "{name}");
        }
        ConversationAction::Down | ConversationAction::PageDown | ConversationAction::Newest => {
            app.transcript.show_oldest();
            press(&mut app, chord);
            match action {
                ConversationAction::Down => assert_eq!(top(&app), 1, "{name}"),
                ConversationAction::PageDown => assert!(top(&app) > 1),
                _ => assert_eq!(app.transcript.rows_below(), 0, "{name}"),
            }
        }
        ConversationAction::PreviousTurn => {
            press(&mut app, chord);
            assert_eq!((entry(&app), top(&app)), (Some(0), 0));
            assert_eq!((app.shelf.entry, app.timings.selected), (Some(0), Some(0)));
        }
        ConversationAction::NextTurn => {
            app.selected = Some(0);
            press(&mut app, chord);
            assert_eq!(entry(&app), Some(1));
        }
        ConversationAction::NextCitation | ConversationAction::PreviousCitation => {
            app.transcript.show_oldest();
            press_code(&mut app, KeyCode::Right);
            press_code(&mut app, KeyCode::Right);
            press(&mut app, chord);
            let ranks = app.transcript.chosen().map(|(entry, citation)| (entry, citation.rank));
            let expected = if action == ConversationAction::NextCitation { (1, 1) } else { (0, 1) };
            assert_eq!(ranks, Some(expected), "{name}");
            assert_eq!(app.shelf.entry, Some(expected.0));
        }
        ConversationAction::OpenCitation => {
            press(&mut app, chord);
            assert!(app.flash.is_some(), "without a citation it says how to choose one");
            app.transcript.show_oldest();
            press_code(&mut app, KeyCode::Right);
            press_code(&mut app, KeyCode::Right);
            press(&mut app, chord);
            assert_eq!((app.focus, app.shelf.entry, app.shelf.selected), (Focus::Sources, Some(0), 1));
        }
        ConversationAction::CopyAnswer => {
            if chord.modifiers.contains(KeyModifiers::CONTROL) {
                app.focus_on(Focus::Input);
            }
            let effects = press(&mut app, chord);
            assert!(matches!(effects.as_slice(), [Effect::Copy(text)] if text.starts_with(CITED)), "{name}");
            assert!(app.flash.as_ref().is_some_and(|(text, _)| text.starts_with("Copied the answer")));
        }
        ConversationAction::CopyCode => {
            assert_eq!(press(&mut app, chord), [Effect::Copy("close dome\n".to_owned())]);
        }
        ConversationAction::CopyCitation => {
            assert_eq!(press(&mut app, chord), []);
            app.transcript.show_oldest();
            press_code(&mut app, KeyCode::Right);
            let text = "file1.md § Part (docs/file1.md:1)".to_owned();
            assert_eq!(press(&mut app, chord), [Effect::Copy(text)]);
        }
        ConversationAction::Retry => {
            app.selected = Some(0);
            let effects = press(&mut app, chord);
            assert_eq!(taken(&mut app, &effects).question, "one");
        }
        ConversationAction::Edit => {
            app.selected = Some(0);
            press(&mut app, chord);
            assert_eq!((app.input.text().as_str(), app.focus), ("one", Focus::Input));
        }
        ConversationAction::Export(format) => {
            let effects = press(&mut app, chord);
            let [Effect::Save { stem, extension, text }] = effects.as_slice() else { panic!("{effects:?}") };
            let expected = if format == ExportFormat::Json { "json" } else { "md" };
            assert_eq!((stem.as_str(), *extension), ("chat-one", expected));
            assert!(text.contains("close dome"));
        }
    }
}

/// An answer with forty blocks of code, one of which is being chosen.
pub fn open_code(app: &mut App) {
    request(app, "code");
    let block = |number| format!("```sh\nblock {number}\n```\n");
    end(app, &(0..40).map(block).collect::<Vec<_>>().join("\n"));
    app.focus_on(Focus::Conversation);
    press_code(app, KeyCode::Char('c'));
}

/// The keys of the list of blocks.
pub fn check_code(app: &mut App, chord: Chord, action: OverlayAction) {
    press_code(app, KeyCode::Down);
    let effects = press(app, chord);
    let chosen = match &app.overlay {
        Some(Overlay::Code(choice)) => choice.chooser.chosen(),
        _ => None,
    };
    match action {
        OverlayAction::Choose => assert_eq!(effects, [Effect::Copy("block 1\n".to_owned())]),
        OverlayAction::Close => assert_eq!((&app.overlay, effects), (&None, vec![])),
        OverlayAction::Up | OverlayAction::PageUp => assert_eq!(chosen, Some(0)),
        OverlayAction::Down => assert_eq!(chosen, Some(2)),
        OverlayAction::PageDown => assert!(chosen > Some(2)),
        OverlayAction::Back | OverlayAction::TakeBack => unreachable!("no key of the chooser"),
    }
}

#[test]
fn one_of_several_blocks_of_code_is_chosen() {
    let mut app = ready();
    request(&mut app, "code");
    end(&mut app, "```rust\nfn one() {}\n```\n\n```sh\ntwo\n```");
    app.focus_on(Focus::Conversation);
    assert_eq!(press_code(&mut app, KeyCode::Char('c')), []);
    press_code(&mut app, KeyCode::Down);
    assert_eq!(press_code(&mut app, KeyCode::Enter), [Effect::Copy("two\n".to_owned())]);
    assert_eq!(app.overlay, None);
}

#[test]
fn there_is_nothing_to_copy_or_export_before_the_first_answer() {
    let mut app = ready();
    app.focus_on(Focus::Conversation);
    for key in ['y', 'c', 'Y', 'x', 'X', 'r', 'e', '[', ']', 'n', 'N'] {
        assert_eq!(press_code(&mut app, KeyCode::Char(key)), [], "{key}");
    }
    assert!(app.transcript.is_empty());
}
