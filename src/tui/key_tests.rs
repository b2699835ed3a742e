//! Every key of the tables, pressed where it holds.

mod chats;
mod comparison;
mod conversation;
mod first_run;
mod indexing;
mod log;
mod overlays;
mod slash;
mod sources;
mod themes;
mod timings;

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Size;

use super::{
    app::{App, Effect, INTERRUPT_WINDOW, Msg, SPINNER_STEP, View, What},
    chips::Chip,
    entry::{Entry, Stage},
    keys::{Action, Binding, Chord, Context, OverlayAction, bindings},
    overlay::{Help, Overlay},
    panes::Focus,
    theme::Theme,
};
use crate::{
    config::Strategy,
    engine::{
        Answer, AskRequest, CacheOrigin, ChunkReason, Command, Event, Failure, FailureKind, IndexPhase,
        IndexReport, IndexRequest, Keep, ModelSummary, Outcome, Progress, RequestId, RetrievedChunk,
        SearchRequest, Status, StopReason, Timings, Unit,
    },
};

const CTRL_P: Chord = Chord { code: KeyCode::Char('p'), modifiers: KeyModifiers::CONTROL };
const ID: RequestId = RequestId(7);

fn ready() -> App {
    let size = Size { width: 120, height: 30 };
    let mut app = App::new(Theme::load("mono").expect("built in"), Strategy::Ape, size);
    let model = Some(ModelSummary { name: "tiny".to_owned(), ..ModelSummary::default() });
    engine(&mut app, Event::Ready(Status { model, files: 2, chunks: 9, ..Status::default() }));
    app
}

fn tell(app: &mut App, what: What) -> Vec<Effect> {
    app.update(Msg { at: app.now, what })
}

fn engine(app: &mut App, event: Event) -> Vec<Effect> {
    tell(app, What::Engine(Box::new(event)))
}

fn press(app: &mut App, chord: Chord) -> Vec<Effect> {
    tell(app, What::Key(KeyEvent::new(chord.code, chord.modifiers)))
}

fn press_code(app: &mut App, code: KeyCode) -> Vec<Effect> {
    press(app, Chord { code, modifiers: KeyModifiers::NONE })
}

fn type_text(app: &mut App, text: &str) {
    for character in text.chars() {
        press_code(app, KeyCode::Char(character));
    }
}

fn chunk(rank: usize) -> RetrievedChunk {
    RetrievedChunk {
        rank,
        id: format!("{rank:064}"),
        label: format!("file{rank}.md § Part"),
        path: format!("docs/file{rank}.md").into(),
        lines: Some((1, 60)),
        page: None,
        heading: vec!["Part".to_owned()],
        score: 10.0 / rank as f32,
        tokens: 100,
        cached: true,
        text: "a line of the chunk\n".repeat(60),
        cache_bytes: 0,
        matches: Vec::new(),
        reason: ChunkReason::Found,
    }
}

/// Asks; the answer is under way afterwards.
fn ask(app: &mut App, question: &str) {
    type_text(app, question);
    let effects = press_code(app, KeyCode::Enter);
    let [Effect::Send(command)] = effects.as_slice() else { panic!("{effects:?}") };
    tell(app, What::Sent(command.clone().with_id(ID)));
    engine(app, Event::Retrieved { id: ID, chunks: vec![chunk(1), chunk(2)] });
    engine(app, Event::Loaded { id: ID, origins: vec![CacheOrigin::Disk, CacheOrigin::Memory] });
    engine(app, Event::Prefilled { id: ID, tokens: 5 });
    engine(app, Event::Token { id: ID, text: " Some".to_owned() });
}

fn answer(app: &mut App, text: &str) {
    let answer = Answer {
        question: String::new(),
        text: text.to_owned(),
        strategy: Strategy::Ape,
        stop: StopReason::EndOfText,
        sources: vec![chunk(1), chunk(2)],
        origins: vec![CacheOrigin::Disk, CacheOrigin::Memory],
        tokens: Vec::new(),
        timings: Timings::default(),
        kept: None,
    };
    engine(app, Event::Done { id: ID, outcome: Outcome::Answer(answer) });
}

/// A long conversation, read to its end.
fn answered() -> App {
    let mut app = ready();
    ask(&mut app, "first");
    answer(&mut app, &"A line.\n".repeat(100));
    app
}

fn stage(app: &App) -> Stage {
    app.turns().next_back().expect("a question was asked").1.stage.clone()
}

/// A state in which the binding's context holds, and in which its key makes a difference.
fn state_for(binding: &Binding) -> App {
    let mut app = match binding.context {
        Context::Answering => {
            let mut app = ready();
            ask(&mut app, "first");
            app
        }
        Context::Comparing => comparison::comparing(),
        Context::Comparison => comparison::compared(),
        Context::FirstRun => {
            let mut app = ready();
            engine(&mut app, Event::Ready(Status::default()));
            app
        }
        _ => answered(),
    };
    match binding.context {
        Context::Help => drop(press_code(&mut app, KeyCode::F(1))),
        Context::Palette => drop(press(&mut app, CTRL_P)),
        Context::Conversation => app.focus_on(Focus::Conversation),
        Context::Sources => app.focus_on(Focus::Sources),
        Context::Timings => app.focus_on(Focus::Timings),
        Context::Indexing => app = indexing::two_folders(),
        Context::TypingPath => app = indexing::typing("no"),
        Context::Forgetting => app = indexing::forgetting(),
        Context::Chats | Context::RenamingChat | Context::ConfirmingChat => {
            chats::open(&mut app, binding.context);
        }
        Context::Log | Context::OtherView | Context::Browsing => drop(app.open(View::Log)),
        Context::Input => type_text(&mut app, "draft"),
        Context::Editing => app.edit_last(),
        Context::Code => conversation::open_code(&mut app),
        Context::Completion => type_text(&mut app, "/re"),
        Context::Chips => drop(app.chips.toggle(Chip::file("docs/file1.md".as_ref()))),
        Context::EmptyFiles | Context::Files => sources::open_files(&mut app),
        Context::Themes => app.open_themes(),
        _ => {}
    }
    assert!(app.contexts().contains(&binding.context), "{binding:?}");
    app
}

#[test]
fn every_key_of_the_table_does_what_it_says() {
    for binding in bindings() {
        for chord in binding.chords {
            check(binding, *chord);
        }
    }
}

/// Presses the key and looks at what it changed. A new action does not compile until it is looked at here.
fn check(binding: &Binding, chord: Chord) {
    let mut app = state_for(binding);
    let before = app.transcript.position().0;
    let name = chord.name();
    match binding.action {
        Action::Send => {
            let effects = press(&mut app, chord);
            let [Effect::Send(Command::Ask(request))] = effects.as_slice() else { panic!("{effects:?}") };
            assert_eq!((request.question.as_str(), request.strategy), ("draft", Some(Strategy::Ape)));
            assert_eq!(request.keep, Keep::NewChat);
            assert!(app.input.is_empty());
        }
        Action::Newline => {
            press(&mut app, chord);
            assert_eq!(app.input.text(), "draft\n", "{name}");
        }
        Action::DeleteWord | Action::DeleteToLineStart => {
            type_text(&mut app, " of two");
            press(&mut app, chord);
            let expected = if binding.action == Action::DeleteWord { "draft of " } else { "" };
            assert_eq!(app.input.text(), expected, "{name}");
        }
        Action::Cancel => {
            assert_eq!(press(&mut app, chord), [Effect::Cancel(ID)]);
            assert_eq!(stage(&app), Stage::Cancelled);
        }
        Action::Complete => {
            press(&mut app, chord);
            assert_eq!(app.input.text(), "/retry");
        }
        Action::PreviousCompletion | Action::NextCompletion => {
            press(&mut app, chord);
            press_code(&mut app, KeyCode::Tab);
            let is_next = binding.action == Action::NextCompletion;
            assert_eq!(app.input.text(), if is_next { "/rename " } else { "/resume" }, "of three");
        }
        Action::OlderQuestion => {
            press(&mut app, chord);
            assert_eq!(app.input.text(), "first");
        }
        Action::NewerQuestion => {
            press_code(&mut app, KeyCode::Up);
            press(&mut app, chord);
            assert!(app.input.is_empty());
        }
        Action::PageUp => {
            press(&mut app, chord);
            assert!(app.transcript.position().0 < before);
        }
        Action::PageDown => {
            app.transcript.show_oldest();
            press(&mut app, chord);
            assert!(app.transcript.position().0 > 0);
        }
        Action::Oldest => {
            press(&mut app, chord);
            assert_eq!(app.transcript.position().0, 0);
        }
        Action::Newest => {
            app.transcript.show_oldest();
            press(&mut app, chord);
            assert_eq!(app.transcript.position().0, before);
        }
        Action::NextPane | Action::PreviousPane => {
            let mut seen = vec![app.focus];
            for _ in 0..4 {
                press(&mut app, chord);
                seen.push(app.focus);
            }
            use Focus::{Conversation, Input, Sources, Timings};
            let mut expected = [Input, Conversation, Sources, Timings, Input];
            if binding.action == Action::PreviousPane {
                expected.reverse();
            }
            assert_eq!(seen, expected);
        }
        Action::Conversation(action) => conversation::check_conversation(chord, action),
        Action::Sources(action) => sources::check(&mut app, chord, action),
        Action::TypeAt => sources::check_at(&mut app, chord),
        Action::ToQuestion => {
            press(&mut app, chord);
            assert_eq!(app.focus, Focus::Input);
        }
        Action::NewChat | Action::RetryLast | Action::EditLast | Action::LeaveEditing => {
            conversation::check(app, chord, binding.action);
        }
        Action::NextStrategy => {
            let mut seen = vec![app.strategy];
            for _ in 0..4 {
                press(&mut app, chord);
                seen.push(app.strategy);
            }
            use Strategy::{Ape, Concat, Full, Parallel};
            assert_eq!(seen, [Ape, Parallel, Concat, Full, Ape]);
        }
        Action::Open(view) => {
            press(&mut app, chord);
            assert_eq!(app.view, view, "{name}");
        }
        Action::OpenHelp => {
            press(&mut app, chord);
            assert_eq!(app.overlay, Some(Overlay::Help(Help::default())), "{name}");
        }
        Action::OpenPalette => {
            press(&mut app, chord);
            assert!(matches!(app.overlay, Some(Overlay::Palette(_))), "{name}");
        }
        Action::OpenThemes => {
            press(&mut app, chord);
            assert!(matches!(app.overlay, Some(Overlay::Themes(_))), "{name}");
        }
        Action::NextStep => first_run::check_next_step(&mut app, chord),
        Action::IndexSamples => first_run::check_samples(&mut app, chord),
        Action::ToggleMouse => {
            assert_eq!(press(&mut app, chord), [Effect::CaptureMouse(false)], "{name}");
            assert!(app.flash.as_ref().is_some_and(|(text, _)| text.contains("drag")), "{name}");
            assert_eq!(press(&mut app, chord), [Effect::CaptureMouse(true)], "{name}");
        }
        Action::Comparison(action) => comparison::check(&mut app, chord, action),
        Action::Chats(action) => chats::check(chord, action),
        Action::Indexing(action) => indexing::check(chord, action),
        Action::Log(action) => log::check(&mut app, chord, action),
        Action::Timings(action) => timings::check(chord, action),
        Action::Overlay(action) if binding.context == Context::Palette => {
            overlays::check_palette(&mut app, chord, action);
        }
        Action::Overlay(action) if matches!(binding.context, Context::EmptyFiles | Context::Files) => {
            sources::check_files(&mut app, chord, action);
        }
        Action::Overlay(action) if binding.context == Context::Themes => {
            themes::check(&mut app, chord, action)
        }
        Action::Overlay(action) if binding.context == Context::Code => {
            conversation::check_code(&mut app, chord, action);
        }
        Action::Overlay(action) => overlays::check_help(&mut app, chord, action),
        Action::Redraw => assert_eq!(press(&mut app, chord), [Effect::Redraw]),
        Action::Suspend => assert_eq!(press(&mut app, chord), [Effect::Suspend]),
        Action::Interrupt => {
            assert_eq!(press(&mut app, chord), []);
            assert_eq!(press(&mut app, chord), [Effect::Quit]);
        }
        Action::Quit => assert_eq!(press(&mut app, chord), [Effect::Quit]),
    }
}

#[test]
fn two_presses_of_ctrl_c_must_be_close_together() {
    let ctrl_c = Chord { code: KeyCode::Char('c'), modifiers: KeyModifiers::CONTROL };
    let mut app = answered();
    press(&mut app, ctrl_c);
    assert_eq!(app.deadline(), Some(INTERRUPT_WINDOW));
    app.update(Msg { at: INTERRUPT_WINDOW, what: What::Tick });
    assert_eq!(app.deadline(), None);
    assert_eq!(press(&mut app, ctrl_c), []);
    press_code(&mut app, KeyCode::Char('x'));
    press(&mut app, Chord { code: KeyCode::Char('s'), modifiers: KeyModifiers::CONTROL });
    assert_eq!(press(&mut app, ctrl_c), [], "another key in between begins anew");
}

#[test]
fn nothing_moves_while_nothing_happens() {
    let mut app = answered();
    assert_eq!(app.deadline(), None);
    ask(&mut app, "again");
    assert_eq!(app.deadline(), Some(SPINNER_STEP));
    app.update(Msg { at: Duration::from_millis(1234), what: What::Tick });
    assert_eq!(app.deadline(), Some(Duration::from_millis(1300)));
}

#[test]
fn one_answer_at_a_time_and_the_next_question_stays() {
    let mut app = ready();
    ask(&mut app, "first");
    type_text(&mut app, "second");
    assert_eq!(press_code(&mut app, KeyCode::Enter), []);
    assert_eq!(app.input.text(), "second");
    answer(&mut app, "done");
    assert_eq!(press_code(&mut app, KeyCode::Enter).len(), 1);
}

#[test]
fn a_cancelled_answer_keeps_its_text_and_takes_no_more() {
    let mut app = ready();
    ask(&mut app, "first");
    press_code(&mut app, KeyCode::Esc);
    engine(&mut app, Event::Token { id: ID, text: " late".to_owned() });
    let text = |app: &App| app.turns().next_back().expect("asked").1.text.clone();
    assert_eq!(text(&app), "Some");
    let failure = Failure { kind: FailureKind::Cancelled, message: "cancelled".to_owned(), hint: None };
    engine(&mut app, Event::Failed { id: ID, failure });
    assert_eq!((text(&app), stage(&app)), ("Some".to_owned(), Stage::Cancelled));
}

#[test]
fn events_of_unknown_requests_change_no_answer() {
    let mut app = answered();
    let rows = app.transcript.position().1;
    engine(&mut app, Event::Token { id: RequestId(99), text: "stray".to_owned() });
    engine(&mut app, Event::Retrieved { id: RequestId(99), chunks: Vec::new() });
    assert_eq!(app.transcript.position().1, rows);
    assert_eq!(app.sources().len(), 2);
}

#[test]
fn slash_commands_ask_for_what_they_say() {
    let mut app = ready();
    type_text(&mut app, "/index notes");
    let command =
        Command::Index(IndexRequest { add: vec!["notes".into()], encode: true, ..IndexRequest::default() });
    assert_eq!(press_code(&mut app, KeyCode::Enter), [Effect::Send(command.clone())]);
    tell(&mut app, What::Sent(command.with_id(ID)));
    let progress = Progress {
        phase: IndexPhase::Encode,
        done: 3,
        total: 10,
        unit: Unit::Chunks,
        cache_bytes: 0,
        hold: None,
    };
    engine(&mut app, Event::Progress { id: ID, progress });
    assert_eq!(app.indexing.and_then(|indexing| indexing.progress), Some(progress));
    type_text(&mut app, "/index more");
    assert_eq!(press_code(&mut app, KeyCode::Enter), [], "one at a time");
    engine(&mut app, Event::Done { id: ID, outcome: Outcome::Indexed(IndexReport::default()) });
    assert_eq!(app.indexing, None);

    type_text(&mut app, "/search dome");
    let command = Command::Search(SearchRequest { question: "dome".to_owned(), ..SearchRequest::default() });
    assert_eq!(press_code(&mut app, KeyCode::Enter), [Effect::Send(command.clone())]);
    tell(&mut app, What::Sent(command.with_id(RequestId(8))));
    engine(&mut app, Event::Done { id: RequestId(8), outcome: Outcome::Found(vec![chunk(1)]) });
    assert_eq!(app.sources().len(), 1);

    type_text(&mut app, "/strategy full");
    assert_eq!(press_code(&mut app, KeyCode::Enter), []);
    assert_eq!(app.strategy, Strategy::Full);
    type_text(&mut app, "/nonsense");
    assert_eq!(press_code(&mut app, KeyCode::Enter), []);
    let Some(Entry::Note(note)) = app.transcript.entries().last() else { panic!("a mistake is answered") };
    assert!(note.text.contains("/nonsense"));
    type_text(&mut app, "/help");
    press_code(&mut app, KeyCode::Enter);
    assert_eq!(app.overlay, Some(Overlay::Help(Help::default())));
    press_code(&mut app, KeyCode::Esc);
    type_text(&mut app, "/quit");
    assert_eq!(press_code(&mut app, KeyCode::Enter), [Effect::Quit]);
}

#[test]
fn the_end_of_the_engine_is_the_end_of_its_answer() {
    let mut app = ready();
    ask(&mut app, "first");
    tell(&mut app, What::EngineGone);
    assert!(matches!(stage(&app), Stage::Failed(_)));
    assert_eq!(app.deadline(), None);
    type_text(&mut app, "more");
    assert_eq!(press_code(&mut app, KeyCode::Enter), []);
}

#[test]
fn an_engine_that_cannot_start_says_why_and_spins_no_more() {
    let mut app =
        App::new(Theme::load("mono").expect("built in"), Strategy::Ape, Size { width: 90, height: 20 });
    assert!(app.deadline().is_some(), "it is starting");
    let failure = Failure { kind: FailureKind::Storage, message: "No room.".to_owned(), hint: None };
    engine(&mut app, Event::Failed { id: RequestId(0), failure });
    assert_eq!(app.deadline(), None);
    let Some(Entry::Note(note)) = app.transcript.entries().last() else { panic!("the reason is shown") };
    assert_eq!(note.text, "No room.");
}

#[test]
fn an_empty_question_is_not_sent() {
    let mut app = ready();
    type_text(&mut app, "   ");
    assert_eq!(press_code(&mut app, KeyCode::Enter), []);
    assert!(app.transcript.is_empty());
}

#[test]
fn a_paste_goes_to_the_question_whatever_has_the_keyboard() {
    let mut app = answered();
    press_code(&mut app, KeyCode::Tab);
    tell(&mut app, What::Paste("one\r\ntwo".to_owned()));
    assert_eq!(app.input.text(), "one\ntwo");
    assert_eq!(app.focus, Focus::Input);
}
