use serde_json::json;

use super::*;
use crate::{
    config::Paths,
    engine::{ChunkReason, Timings},
};

fn config() -> (tempfile::TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    let paths = Paths { config_file: "".into(), data: folder.path().to_owned(), state: "".into() };
    (folder, Config::with_paths(paths))
}

fn answer(question: &str) -> Answer {
    Answer {
        question: question.into(),
        text: "At dusk.".into(),
        strategy: Strategy::Concat,
        stop: StopReason::Cancelled,
        sources: vec![RetrievedChunk {
            rank: 1,
            id: "00".into(),
            label: "dome.md § Closing".into(),
            path: "/srv/dome.md".into(),
            lines: Some((3, 9)),
            page: None,
            heading: vec!["Closing".into()],
            score: 1.5,
            tokens: 7,
            cached: true,
            text: "[dome.md § Closing]\nThe dome closes at dusk.".into(),
            cache_bytes: 4096,
            matches: vec![(4, 8)],
            reason: ChunkReason::Pinned,
        }],
        origins: vec![CacheOrigin::Disk],
        tokens: vec![1, 2],
        timings: Timings { total_seconds: 0.5, ..Timings::default() },
        kept: None,
    }
}

#[test]
fn a_chat_comes_back_as_it_was_kept_and_goes_on_in_its_row() {
    let (_folder, config) = config();
    let begin = keep(&config, Keep::NewChat, &answer("When does\nit close?")).unwrap().unwrap();
    let first = begin.chat;
    let next = keep(&config, Keep::Chat(first), &answer("And in winter?")).unwrap();
    assert_eq!((begin.message, next), (0, Some(begin.next())));
    assert_eq!(keep(&config, Keep::No, &answer("Not kept")).unwrap(), None);

    let kept = chat(&config, first).unwrap();

    assert_eq!((kept.id, kept.title.as_str()), (first, "When does it close?"));
    let questions: Vec<&str> = kept.turns.iter().map(|turn| turn.question.as_str()).collect();
    assert_eq!(questions, ["When does\nit close?", "And in winter?"]);
    let asked = answer("");
    let expected = ChatTurn {
        message: Some(2),
        question: "And in winter?".into(),
        answer: asked.text,
        strategy: Some(Strategy::Concat),
        stop: Some(StopReason::Cancelled),
        sources: vec![RetrievedChunk { matches: Vec::new(), ..asked.sources[0].clone() }],
        origins: asked.origins,
        timings: Some(asked.timings),
    };
    assert_eq!(kept.turns[1], expected);
    assert_eq!(chats(&config).unwrap().len(), 1);
    assert_eq!(chat_messages(&config, first).unwrap().len(), 4);
}

#[test]
fn a_chat_from_before_opens_with_what_it_has() {
    let (_folder, config) = config();
    let mut catalogue = Catalogue::open(&config.paths.data).unwrap();
    let id = catalogue.start_session("Dome\u{1b}[2J", 10).unwrap();
    let message = |role, text: &str, sources, timings| Message {
        role,
        text: text.into(),
        sources,
        timings,
        details: None,
    };
    // As the first version kept them: without cache_bytes, matches and reason.
    let sources = json!([{ "rank": 1, "id": "00", "label": "dome.md\u{1b}", "path": "/srv/dome.md", "lines": [3, 9],
        "page": null, "heading": ["Closing"], "score": 1.5, "tokens": 7, "cached": true, "text": "It closes." }]);
    let unreadable = Some(json!({ "of": "another version" }));
    let messages = [
        message(Role::User, "When?", None, None),
        message(Role::Assistant, "At dusk.", Some(sources), unreadable.clone()),
        message(Role::User, "Why?", None, None),
        message(Role::Assistant, "Rain.", unreadable, None),
        message(Role::User, "Who?", None, None),
    ];
    catalogue.append_messages(id, &messages, None, 10).unwrap();

    let kept = chat(&config, ChatId(id.0)).unwrap();

    assert_eq!(kept.title, "Dome␛[2J");
    assert_eq!(kept.turns[0].sources[0].label, "dome.md␛");
    assert_eq!((kept.turns[0].sources[0].cache_bytes, kept.turns[0].timings.clone()), (0, None));
    assert_eq!((kept.turns[1].answer.as_str(), kept.turns[1].sources.len()), ("Rain.", 0));
    assert_eq!((kept.turns[2].question.as_str(), kept.turns[2].answer.as_str()), ("Who?", ""));
    assert!(kept.turns.iter().all(|turn| turn.strategy.is_none() && turn.stop.is_none()));
}

#[test]
fn chats_are_found_renamed_and_deleted() {
    let (_folder, config) = config();
    assert_eq!(chats(&config).unwrap(), []);
    assert!(!Catalogue::exists(&config.paths.data), "looking creates nothing");
    let id = keep(&config, Keep::NewChat, &answer("When does it close?")).unwrap().unwrap().chat;
    let titles = |words: &str| -> Vec<String> {
        find_chats(&config, words).unwrap().into_iter().map(|chat| chat.title).collect()
    };
    assert_eq!(titles(" DUSK  close "), ["When does it close?"]);
    assert_eq!(titles("mirror"), [""; 0]);

    rename_chat(&config, id, &format!(" The\ndome {}", "x".repeat(200))).unwrap();
    assert!(titles("")[0].starts_with("The dome x") && titles("")[0].len() == TITLE_CHARACTERS);
    assert_eq!(rename_chat(&config, id, " \n").unwrap_err().kind, FailureKind::BadRequest);

    delete_chat(&config, id).unwrap();
    for failure in [
        delete_chat(&config, id).unwrap_err(),
        rename_chat(&config, id, "x").unwrap_err(),
        chat(&config, id).unwrap_err(),
    ] {
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::BadRequest, "there is no chat 1"));
    }
    // A chat that was deleted meanwhile goes on in a new one.
    let next = keep(&config, Keep::Chat(id), &answer("And now?")).unwrap().unwrap();
    assert_ne!(next.chat, id);
    assert_eq!(chat(&config, next.chat).unwrap().turns.len(), 1);
}

#[test]
fn a_turn_takes_the_place_of_another_and_of_all_after_it() {
    let (_folder, config) = config();
    let first = keep(&config, Keep::NewChat, &answer("one")).unwrap().unwrap();
    let second = keep(&config, Keep::Chat(first.chat), &answer("two")).unwrap().unwrap();
    keep(&config, Keep::Chat(first.chat), &answer("three")).unwrap().unwrap();
    let questions = || -> Vec<String> {
        chat(&config, first.chat).unwrap().turns.into_iter().map(|turn| turn.question).collect()
    };

    // Cancelled before there was a word of it, it takes no place.
    let nothing = Answer { text: " \n".into(), ..answer("two, cancelled") };
    keep(&config, Keep::InPlaceOf(second), &nothing).unwrap();
    assert_eq!(questions(), ["one", "two", "three", "two, cancelled"]);

    let edited = keep(&config, Keep::InPlaceOf(second), &answer("two, edited")).unwrap().unwrap();
    assert_eq!(questions(), ["one", "two, edited"]);
    keep(&config, Keep::Chat(first.chat), &answer("four")).unwrap();
    keep(&config, Keep::InPlaceOf(edited), &answer("two, again")).unwrap();
    assert_eq!(questions(), ["one", "two, again"]);
    assert_eq!(chats(&config).unwrap()[0].messages, 4);
    assert_eq!(chat_messages(&config, first.chat).unwrap().len(), 4);
    assert_eq!(find_chats(&config, "edited").unwrap(), []);

    let all = KeptTurn { message: 0, ..first };
    keep(&config, Keep::InPlaceOf(all), &answer("one, again")).unwrap();
    assert_eq!(questions(), ["one, again"]);
}

#[test]
fn the_chat_to_go_on_in_is_found() {
    let (_folder, config) = config();
    for id in [None, Some(ChatId(3))] {
        let failure = chat_to_resume(&config, id).unwrap_err();
        assert!(failure.kind == FailureKind::BadRequest && failure.hint.is_some(), "{failure:?}");
    }
    assert!(!Catalogue::exists(&config.paths.data), "looking creates nothing");
    let kept = keep(&config, Keep::NewChat, &answer("one")).unwrap().unwrap();
    assert_eq!(chat_to_resume(&config, None), Ok(kept.chat));
    assert_eq!(chat_to_resume(&config, Some(kept.chat)), Ok(kept.chat));
    assert_eq!(chat_to_resume(&config, Some(ChatId(9))).unwrap_err().message, "there is no chat 9");
}
