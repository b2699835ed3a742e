//! The keys of the sources and of what is chosen for the next questions.

use std::path::PathBuf;

use super::*;
use crate::{
    engine::{
        CatalogueQuery, CatalogueReply, CatalogueRequest, DocumentText, FileListing, IndexedFile, Passage,
        Pin, Selection,
    },
    tui::{
        chips::Choice,
        keys::SourcesAction,
        reader::Place,
        shelf::{DocumentState, OpenDocument},
    },
};

const DOCUMENT_ID: RequestId = RequestId(21);
const FILES_ID: RequestId = RequestId(22);

/// Presses a key of the sources and looks at what it changed. The first of two sources is selected.
pub fn check(app: &mut App, chord: Chord, action: SourcesAction) {
    let name = chord.name();
    match action {
        SourcesAction::Previous => {
            app.shelf.selected = 1;
            press(app, chord);
            assert_eq!(app.shelf.selected, 0, "{name}");
        }
        SourcesAction::Next => {
            press(app, chord);
            assert_eq!(app.shelf.selected, 1, "{name}");
        }
        SourcesAction::PageDown | SourcesAction::End => {
            press(app, chord);
            assert!(app.shelf.place > Place::default(), "{name}");
        }
        SourcesAction::PageUp | SourcesAction::Beginning => {
            press_code(app, KeyCode::End);
            let end = app.shelf.place;
            press(app, chord);
            assert!(app.shelf.place < end, "{name}");
        }
        SourcesAction::Document => {
            open_document(app, chord);
            assert!(matches!(document(app), DocumentState::Shown { found: true, .. }), "{name}");
            press(app, chord);
            assert_eq!(app.shelf.document, None, "{name}");
        }
        SourcesAction::Edit => {
            let expected = [Effect::Edit { path: "docs/file1.md".into(), line: Some(1) }];
            assert_eq!(press(app, chord), expected, "{name}");
        }
        SourcesAction::Pin => pins(app, chord, Pin::Chunk(chunk(1).id)),
        SourcesAction::PinFile => pins(app, chord, Pin::File("docs/file1.md".into())),
        SourcesAction::Drop => {
            let asked = press(app, chord);
            assert_eq!(selection(&asked).dropped, [chunk(1).id], "{name}");
        }
        SourcesAction::RemoveChip => {
            press(app, chord);
            assert!(app.chips.is_empty(), "{name}");
        }
    }
}

fn pins(app: &mut App, chord: Chord, pin: Pin) {
    press(app, chord);
    assert_eq!(app.chips.all()[0].choice, Choice::Pin(pin), "{}", chord.name());
    assert!(app.shelf_sources()[0].pinned && !app.shelf_sources()[1].pinned);
    press(app, chord);
    assert!(app.chips.is_empty(), "{}", chord.name());
}

/// An `@` opens the list of files where a word begins, and is typed in any case.
pub fn check_at(app: &mut App, chord: Chord) {
    assert_eq!(press(app, chord), []);
    assert_eq!((app.input.text().as_str(), &app.overlay), ("draft@", &None));
    type_text(app, " ");
    open_files_with(app, chord);
    assert!(matches!(app.overlay, Some(Overlay::Files(_))));
    assert_eq!(app.input.text(), "draft@ @");
}

/// Opens the list of files with two files in two folders.
pub fn open_files(app: &mut App) {
    open_files_with(app, Chord { code: KeyCode::Char('@'), modifiers: KeyModifiers::NONE });
}

fn open_files_with(app: &mut App, chord: Chord) {
    let effects = press(app, chord);
    let request = CatalogueRequest { id: RequestId::default(), query: CatalogueQuery::Files };
    let command = Command::Catalogue(request);
    assert_eq!(effects, [Effect::Send(command.clone())]);
    tell(app, What::Sent(command.with_id(FILES_ID)));
    let file =
        |name: &str| IndexedFile { path: format!("/d/{name}").into(), name: name.to_owned(), chunks: 1 };
    let files = vec![file("handbook/dome.md"), file("log/may.md")];
    let reply = CatalogueReply::Files(FileListing::new(&["/d".into()], files));
    engine(app, Event::Done { id: FILES_ID, outcome: Outcome::Catalogue(reply) });
}

/// Presses a key of the list of files, whose second choice is selected.
pub fn check_files(app: &mut App, chord: Chord, action: OverlayAction) {
    let selected = |app: &App| match &app.overlay {
        Some(Overlay::Files(picker)) => Some(picker.chooser.selected()),
        _ => None,
    };
    press_code(app, KeyCode::Down);
    assert_eq!(selected(app), Some(1));
    press(app, chord);
    let name = chord.name();
    match action {
        OverlayAction::Close => {
            assert_eq!(app.overlay, None, "{name}");
            assert_eq!((app.input.text().as_str(), app.chips.is_empty()), ("@", true), "{name}");
        }
        OverlayAction::Up | OverlayAction::PageUp => assert_eq!(selected(app), Some(0), "{name}"),
        OverlayAction::Down => assert_eq!(selected(app), Some(2), "{name}"),
        OverlayAction::PageDown => assert_eq!(selected(app), Some(3), "{name}"),
        OverlayAction::Choose => {
            assert_eq!(app.overlay, None, "{name}");
            assert!(app.chips.is_scope("/d/log".as_ref()), "{name}");
            assert!(app.input.is_empty(), "the `@` is gone");
        }
        OverlayAction::TakeBack => {
            assert_eq!((&app.overlay, app.input.is_empty()), (&None, true), "{name}");
        }
        OverlayAction::Back => unreachable!("no key of the list of files"),
    }
}

#[test]
fn backspace_in_the_list_of_files_deletes_what_was_typed_before_the_at() {
    let mut app = ready();
    type_text(&mut app, "in ");
    open_files(&mut app);
    type_text(&mut app, "d");
    press_code(&mut app, KeyCode::Backspace);
    assert!(matches!(app.overlay, Some(Overlay::Files(_))));
    press_code(&mut app, KeyCode::Backspace);
    assert_eq!((&app.overlay, app.input.text().as_str()), (&None, "in "));
}

/// The state of the document that is open.
fn document(app: &App) -> &DocumentState {
    &app.shelf.document.as_ref().expect("a document is open").state
}

/// What the engine is asked for to show the document of a chunk.
fn document_query(rank: usize) -> CatalogueQuery {
    let chunk = chunk(rank);
    let passage = Passage { line: Some(1), text: chunk.text.trim_end().to_owned() };
    CatalogueQuery::Document { path: chunk.path, passage }
}

fn document_text(text: String, is_whole: bool) -> DocumentText {
    DocumentText { path: "docs/file1.md".into(), text, first_line: 1, is_whole }
}

#[test]
fn a_part_of_a_document_is_asked_for_again_for_another_chunk_of_it() {
    let mut app = at_sources();
    app.shelf.document = Some(OpenDocument::asked("docs/file2.md".into()));
    if let Some(document) = &mut app.shelf.document {
        document.show(document_text(chunk(2).text, false), &chunk(1));
    }
    let effects = press_code(&mut app, KeyCode::Down);
    let request = CatalogueRequest { id: RequestId::default(), query: document_query(2) };
    assert_eq!(effects, [Effect::Send(Command::Catalogue(request))]);
}

fn open_document(app: &mut App, chord: Chord) {
    let effects = press(app, chord);
    let query = document_query(1);
    let command = Command::Catalogue(CatalogueRequest { id: RequestId::default(), query });
    assert_eq!(effects, [Effect::Send(command.clone())]);
    tell(app, What::Sent(command.with_id(DOCUMENT_ID)));
    let text = format!("{}the end\n", chunk(1).text);
    let reply = CatalogueReply::Document(document_text(text, true));
    engine(app, Event::Done { id: DOCUMENT_ID, outcome: Outcome::Catalogue(reply) });
}

/// What the question that was sent draws on.
#[track_caller]
fn selection(effects: &[Effect]) -> Selection {
    let [Effect::Send(Command::Ask(request))] = effects else { panic!("{effects:?}") };
    request.selection.clone()
}

fn at_sources() -> App {
    let mut app = answered();
    app.focus_on(Focus::Sources);
    app
}

const ENTER: Chord = Chord { code: KeyCode::Enter, modifiers: KeyModifiers::NONE };

#[test]
fn what_is_chosen_goes_along_with_every_question_until_it_is_removed() {
    let mut app = at_sources();
    press_code(&mut app, KeyCode::Char('p'));
    press_code(&mut app, KeyCode::Down);
    press_code(&mut app, KeyCode::Char('P'));
    press_code(&mut app, KeyCode::Esc);
    for path in [1, 2] {
        open_files(&mut app);
        for _ in 0..path {
            press_code(&mut app, KeyCode::Down);
        }
        press_code(&mut app, KeyCode::Enter);
    }
    for question in ["one", "two"] {
        type_text(&mut app, question);
        let selection = selection(&press_code(&mut app, KeyCode::Enter));
        assert_eq!(selection.pinned, [Pin::Chunk(chunk(1).id), Pin::File("docs/file2.md".into())]);
        assert_eq!(selection.scope, [PathBuf::from("/d/log"), "/d/handbook/dome.md".into()]);
        assert!(selection.dropped.is_empty());
        press_code(&mut app, KeyCode::Esc);
    }
    for left in [3, 2, 1, 0] {
        press_code(&mut app, KeyCode::Backspace);
        assert_eq!(app.chips.all().len(), left);
    }
    type_text(&mut app, "three");
    let selection = selection(&press_code(&mut app, KeyCode::Enter));
    assert!(selection.pinned.is_empty() && selection.scope.is_empty());
}

#[test]
fn backspace_in_a_question_deletes_what_was_typed() {
    let mut app = ready();
    app.chips.toggle(Chip::file("docs/file1.md".as_ref()));
    type_text(&mut app, "ab");
    press_code(&mut app, KeyCode::Backspace);
    assert_eq!((app.input.text().as_str(), app.chips.all().len()), ("a", 1));
}

#[test]
fn choosing_what_is_chosen_takes_it_away() {
    let mut app = ready();
    for count in [1, 0] {
        open_files(&mut app);
        press_code(&mut app, KeyCode::Enter);
        assert_eq!(app.chips.all().len(), count);
    }
}

#[test]
fn what_is_dropped_is_listed_and_can_be_taken_in_again() {
    let mut app = at_sources();
    let asked = press_code(&mut app, KeyCode::Char('x'));
    let [Effect::Send(command)] = asked.as_slice() else { panic!("{asked:?}") };
    let Command::Ask(request) = command else { panic!("{command:?}") };
    assert_eq!(request.question, "first");
    tell(&mut app, What::Sent(command.clone().with_id(ID)));
    engine(&mut app, Event::Retrieved { id: ID, chunks: vec![chunk(2)] });
    let listed: Vec<_> =
        app.shelf_sources().iter().map(|source| (source.chunk.id.clone(), source.dropped)).collect();
    assert_eq!(listed, [(chunk(2).id, false), (chunk(1).id, true)]);

    assert_eq!(press_code(&mut app, KeyCode::Char('x')), [], "an answer is under way");
    press_code(&mut app, KeyCode::Esc);
    let both = selection(&press_code(&mut app, KeyCode::Char('x')));
    assert_eq!(both.dropped, [chunk(1).id, chunk(2).id]);
}

#[test]
fn a_dropped_source_is_taken_in_again() {
    let mut app = at_sources();
    press_code(&mut app, KeyCode::Char('x'));
    press_code(&mut app, KeyCode::Esc);
    assert_eq!(app.shelf_sources().len(), 1);
    let again = selection(&press_code(&mut app, KeyCode::Char('x')));
    assert!(again.dropped.is_empty());
}

#[test]
fn a_document_that_cannot_be_had_says_why() {
    let mut app = at_sources();
    let effects = press(&mut app, ENTER);
    let [Effect::Send(command)] = effects.as_slice() else { panic!("{effects:?}") };
    tell(&mut app, What::Sent(command.clone().with_id(DOCUMENT_ID)));
    let entries = app.transcript.entries().len();
    let failure = Failure { kind: FailureKind::Storage, message: "It has changed.".to_owned(), hint: None };
    engine(&mut app, Event::Failed { id: DOCUMENT_ID, failure: failure.clone() });
    assert_eq!(document(&app), &DocumentState::Failed(failure));
    assert_eq!(app.transcript.entries().len(), entries, "it is said in the pane alone");
}

#[test]
fn an_open_document_follows_the_selection_and_takes_no_late_reply() {
    let mut app = at_sources();
    open_document(&mut app, ENTER);
    let effects = press_code(&mut app, KeyCode::Down);
    let query = document_query(2);
    let command = Command::Catalogue(CatalogueRequest { id: RequestId::default(), query });
    assert_eq!(effects, [Effect::Send(command)]);
    assert_eq!(app.shelf.document, Some(OpenDocument::asked("docs/file2.md".into())));
    let late = document_text("late".to_owned(), true);
    let outcome = Outcome::Catalogue(CatalogueReply::Document(late));
    engine(&mut app, Event::Done { id: DOCUMENT_ID, outcome });
    assert_eq!(document(&app), &DocumentState::Asked(None));
}

#[test]
fn the_editor_opens_at_the_line_that_is_read() {
    let mut app = at_sources();
    press_code(&mut app, KeyCode::End);
    let effects = press_code(&mut app, KeyCode::Char('e'));
    let [Effect::Edit { line: Some(line), .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(*line > 1, "{line}");
    tell(&mut app, What::Edited(Ok(())));
    let entries = app.transcript.entries().len();
    tell(&mut app, What::Edited(Err("`vi` could not be started.".to_owned())));
    assert_eq!(app.transcript.entries().len(), entries + 1);
}

#[test]
fn files_that_cannot_be_listed_are_said_to_be_so() {
    let mut app = ready();
    press_code(&mut app, KeyCode::Char('@'));
    let request = CatalogueRequest { id: FILES_ID, query: CatalogueQuery::Files };
    tell(&mut app, What::Sent(Command::Catalogue(request)));
    let failure = Failure { kind: FailureKind::Storage, message: "No.".to_owned(), hint: None };
    engine(&mut app, Event::Failed { id: FILES_ID, failure });
    assert_eq!((app.overlay.is_none(), app.input.text().as_str()), (true, "@"));
    assert!(matches!(app.transcript.entries().last(), Some(Entry::Note(note)) if note.text == "No."));
}
