//! Every slash command, typed where a question is asked.

use super::*;
use crate::{
    config::{Collection, Config, Paths},
    engine::{CatalogueQuery, ChatId, CompareRequest, KeptTurn},
    tui::slash::COMMANDS,
};

fn send(app: &mut App, text: &str) -> Vec<Effect> {
    app.focus_on(Focus::Input);
    type_text(app, text);
    press_code(app, KeyCode::Enter)
}

/// A chat that was kept, with one answer: a block of code and a citation.
fn kept() -> App {
    let mut app = ready();
    ask(&mut app, "first");
    let answer = Answer {
        question: String::new(),
        text: "Do [file1.md § Part]:\n\n```\nclose dome\n```".to_owned(),
        strategy: Strategy::Ape,
        stop: StopReason::EndOfText,
        sources: vec![chunk(1)],
        origins: vec![CacheOrigin::Disk],
        tokens: Vec::new(),
        timings: Timings::default(),
        kept: Some(KeptTurn { chat: ChatId(5), message: 0 }),
    };
    engine(&mut app, Event::Done { id: ID, outcome: Outcome::Answer(answer) });
    app
}

/// The chat while something is indexed.
fn indexing() -> App {
    let mut app = kept();
    let effects = send(&mut app, "/index notes");
    let [Effect::Send(command)] = effects.as_slice() else { panic!("{effects:?}") };
    tell(&mut app, What::Sent(command.clone().with_id(RequestId(8))));
    app
}

fn query(effects: &[Effect]) -> &CatalogueQuery {
    let [Effect::Send(Command::Catalogue(request))] = effects else { panic!("{effects:?}") };
    &request.query
}

fn question(effects: &[Effect]) -> &str {
    let [Effect::Send(Command::Ask(request))] = effects else { panic!("{effects:?}") };
    &request.question
}

/// A chat with two collections, one of which is answered in full.
fn with_collections() -> App {
    let paths = Paths { config_file: "c".into(), data: "d".into(), state: "s".into() };
    let mut config = Config::with_paths(paths);
    let mut answer = config.answer.clone();
    for (name, strategy) in [("notes", Strategy::Ape), ("law", Strategy::Full)] {
        answer.strategy = strategy;
        let collection =
            Collection { paths: vec!["/n".into()], include: vec![], exclude: vec![], answer: answer.clone() };
        config.collections.insert(name.to_owned(), collection);
    }
    ready().with_collections(&config)
}

fn collections(effects: &[Effect]) -> &[String] {
    let [Effect::Send(Command::Ask(request))] = effects else { panic!("{effects:?}") };
    &request.selection.collections
}

#[test]
fn collections_are_completed_chosen_and_left() {
    let mut app = with_collections();
    app.focus_on(Focus::Input);
    type_text(&mut app, "/in ");
    let texts = |app: &App| app.completions().into_iter().map(|one| one.text).collect::<Vec<_>>();
    assert_eq!(texts(&app), ["/in law", "/in notes", "/in default", "/in all"]);
    type_text(&mut app, "law,n");
    assert_eq!(texts(&app), ["/in law,notes"]);
    app.input.take();
    send(&mut app, "/in law");
    assert_eq!((app.strategy, app.chips.all()[0].text.as_str()), (Strategy::Full, "in law"));
    send(&mut app, "/in lore");
    assert_eq!(app.chips.collections(), ["law"], "a mistake changes nothing");
    send(&mut app, "/in default");
    assert_eq!((app.strategy, app.chips.collections()), (Strategy::Ape, vec!["default".to_owned()]));
    let search = send(&mut app, "/search dome");
    let [Effect::Send(Command::Search(request))] = search.as_slice() else { panic!("{search:?}") };
    assert_eq!(request.collections, ["default"]);
    send(&mut app, "/in all");
    assert!(app.chips.is_empty());
    assert!(collections(&send(&mut app, "why?")).is_empty());
}

#[test]
fn every_command_does_what_it_says() {
    for command in COMMANDS {
        for name in command.also.iter().chain([&command.name]) {
            check(command.name, name);
        }
    }
}

/// Types the command by one of its names, with what can follow it, and looks at what it changed.
fn check(command: &str, name: &str) {
    let mut app = kept();
    let typed = |rest: &str| format!("{name} {rest}");
    match command {
        "/index" => {
            let request = IndexRequest { add: vec!["notes".into()], encode: true, ..IndexRequest::default() };
            assert_eq!(send(&mut app, &typed("notes")), [Effect::Send(Command::Index(request))]);
        }
        "/pause" | "/resume" => {
            assert_eq!(send(&mut app, name), [], "nothing is indexed");
            let mut app = indexing();
            let (id, pause) = (RequestId(8), command == "/pause");
            let expected = if pause { Command::Pause(id) } else { Command::Resume(id) };
            assert_eq!(send(&mut app, name), [Effect::Send(expected)]);
            assert_eq!(app.indexing_view.run.as_ref().map(|run| run.pause_asked), Some(pause));
        }
        "/search" => {
            let request = SearchRequest { question: "dome".to_owned(), ..SearchRequest::default() };
            assert_eq!(send(&mut app, &typed("dome")), [Effect::Send(Command::Search(request))]);
        }
        "/compare" => {
            for (text, question) in [(typed("why?"), "why?"), (typed(""), "first")] {
                let mut app = kept();
                let effects = send(&mut app, &text);
                assert!(
                    matches!(effects.as_slice(), [Effect::Send(Command::Compare(CompareRequest { question: asked, .. }))]
                        if asked == question)
                );
                assert_eq!(app.view, View::Comparison);
            }
        }
        "/strategy" => {
            send(&mut app, &typed("full"));
            assert_eq!(app.strategy, Strategy::Full);
        }
        "/in" => {
            send(&mut app, &typed("notes"));
            assert!(app.chips.is_empty(), "there are no collections");
            let mut app = with_collections();
            send(&mut app, &typed("notes, law"));
            assert_eq!(app.chips.collections(), ["notes", "law"]);
            assert_eq!(app.strategy, Strategy::Ape);
            assert_eq!(collections(&send(&mut app, "why?")), ["notes", "law"]);
        }
        "/retry" => assert_eq!(question(&send(&mut app, name)), "first"),
        "/edit" => {
            assert_eq!(send(&mut app, name), []);
            assert_eq!((app.input.text().as_str(), app.editing.is_some()), ("first", true));
        }
        "/cancel" => {
            assert_eq!(send(&mut app, name), []);
            assert!(app.flash.is_some(), "nothing is there to cancel");
            ask(&mut app, "second");
            assert_eq!(send(&mut app, name), [Effect::Cancel(ID)]);
            assert_eq!(stage(&app), Stage::Cancelled);
        }
        "/copy" => {
            let [Effect::Copy(text)] = &send(&mut app, name)[..] else { panic!("it is copied") };
            assert!(text.starts_with("Do ["));
            assert_eq!(send(&mut app, &typed("code")), [Effect::Copy("close dome\n".to_owned())]);
            assert_eq!(send(&mut app, &typed("citation")), []);
            assert!(app.flash.as_ref().is_some_and(|(text, _)| text.contains("→ or n")), "none is chosen");
            app.focus_on(Focus::Conversation);
            press_code(&mut app, KeyCode::Right);
            let reference = "file1.md § Part (docs/file1.md:1)".to_owned();
            assert_eq!(send(&mut app, &typed("citation")), [Effect::Copy(reference)]);
        }
        "/export" => {
            for (format, expected) in [("", "md"), ("md", "md"), ("json", "json")] {
                let effects = send(&mut app, &typed(format));
                let [Effect::Save { stem, extension, .. }] = effects.as_slice() else {
                    panic!("{effects:?}")
                };
                assert_eq!((stem.as_str(), *extension), ("chat-first", expected));
            }
        }
        "/new" => {
            send(&mut app, name);
            assert_eq!((app.chat, app.earlier_turns(None).len()), (None, 0));
        }
        "/chats" => {
            let words = |words: &str| CatalogueQuery::Chats { words: words.to_owned() };
            assert_eq!(query(&send(&mut app, &typed("dome wind"))), &words("dome wind"));
            assert_eq!((app.view, app.chats.field.text()), (View::Chats, "dome wind"));
            app.open(View::Chat);
            assert_eq!(query(&send(&mut app, name)), &words(""), "all of them");
        }
        "/rename" => {
            let renamed = CatalogueQuery::RenameChat { id: ChatId(5), title: "The dome".to_owned() };
            assert_eq!(query(&send(&mut app, &typed("The dome"))), &renamed);
            let mut new = ready();
            assert_eq!(send(&mut new, &typed("The dome")), []);
            assert!(new.flash.is_some(), "a chat without an answer is not kept");
        }
        "/sources" | "/timings" => {
            send(&mut app, name);
            let expected = if command == "/sources" { Focus::Sources } else { Focus::Timings };
            assert_eq!(app.focus, expected);
        }
        "/indexing" => {
            send(&mut app, name);
            assert_eq!(app.view, View::Indexing);
        }
        "/log" => {
            assert_eq!(send(&mut app, name), [Effect::ReadLog]);
            assert_eq!(app.view, View::Log);
        }
        "/theme" => {
            send(&mut app, &typed("light"));
            assert_eq!(app.theme.name(), "light");
            send(&mut app, name);
            assert!(matches!(app.overlay, Some(Overlay::Themes(_))));
        }
        "/mouse" => assert_eq!(send(&mut app, name), [Effect::CaptureMouse(false)]),
        "/help" => {
            send(&mut app, name);
            assert_eq!(app.overlay, Some(Overlay::Help(Help::default())));
        }
        "/quit" => assert_eq!(send(&mut app, name), [Effect::Quit]),
        other => panic!("{other} is not looked at"),
    }
}

#[test]
fn commands_go_for_what_is_shown() {
    let mut app = comparison::compared();
    for (text, expected) in [("/export md", "md"), ("/export json", "json")] {
        let effects = app.obey(crate::tui::slash::parse(text));
        let [Effect::Save { stem, extension, .. }] = effects.as_slice() else { panic!("{effects:?}") };
        assert_eq!((stem.as_str(), *extension), ("gibbon-comparison", expected));
    }
    app.obey(crate::tui::slash::parse("/sources"));
    assert_eq!((app.view, app.focus), (View::Chat, Focus::Sources));
    let mut app = comparison::comparing();
    app.view = View::Comparison;
    app.obey(crate::tui::slash::parse("/cancel"));
    assert!(!app.comparison.is_running());
    let mut app = kept();
    app.open(View::Log);
    app.obey(crate::tui::slash::parse("/edit"));
    assert_eq!((app.view, app.input.text().as_str()), (View::Chat, "first"));
}
