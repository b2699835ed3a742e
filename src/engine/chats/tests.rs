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
        chat: None,
    }
}

#[test]
fn a_chat_comes_back_as_it_was_kept_and_goes_on_in_its_row() {
    let (_folder, config) = config();
    let first = keep(&config, Keep::NewChat, &answer("When does\nit close?")).unwrap().unwrap();
    assert_eq!(keep(&config, Keep::Chat(first), &answer("And in winter?")).unwrap(), Some(first));
    assert_eq!(keep(&config, Keep::No, &answer("Not kept")).unwrap(), None);

    let kept = chat(&config, first).unwrap();

    assert_eq!((kept.id, kept.title.as_str()), (first, "When does it close?"));
    let questions: Vec<&str> = kept.turns.iter().map(|turn| turn.question.as_str()).collect();
    assert_eq!(questions, ["When does\nit close?", "And in winter?"]);
    let asked = answer("");
    let expected = ChatTurn {
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
    catalogue.append_messages(id, &messages).unwrap();

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
    let id = keep(&config, Keep::NewChat, &answer("When does it close?")).unwrap().unwrap();
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
    assert_ne!(next, id);
    assert_eq!(chat(&config, next).unwrap().turns.len(), 1);
}
