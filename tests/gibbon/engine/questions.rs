//! What a question draws on, what came before it, and how strategies compare.

use gibbon::{
    config::Strategy,
    engine::{
        AskRequest, CatalogueQuery, CatalogueReply, ChunkReason, Command, CompareRequest, EarlierTurn, Event,
        FailureKind, Keep, Outcome, Passage, Pin, Selection,
    },
};

use super::{QUESTION, Running, labels};

fn ask(question: &str, selection: Selection) -> AskRequest {
    AskRequest { question: question.into(), selection, ..AskRequest::default() }
}

#[test]
fn a_question_draws_on_what_was_selected() {
    let mut running = Running::indexed();
    let plain = running.ask(ask(QUESTION, Selection::default())).unwrap();
    assert_eq!(labels(&plain)[0], "boiler.md § Pressure");
    let best = &plain.sources[0];
    let marked: Vec<&str> = best.matches.iter().map(|(from, to)| &best.text[*from..*to]).collect();
    assert!(marked.contains(&"valve") && marked.contains(&"opens"), "{marked:?}");
    assert!(best.cache_bytes > 4096 && best.reason == ChunkReason::Found, "{best:?}");

    let keys = running.document("keys.md");
    let scope = Selection { scope: vec![keys.clone()], ..Selection::default() };
    let answer = running.ask(ask("Where is the boiler's key?", scope)).unwrap();
    assert_eq!(labels(&answer), ["keys.md § Keys"]);

    let dropped = Selection { dropped: vec![best.id.clone()], ..Selection::default() };
    let answer = running.ask(ask(QUESTION, dropped)).unwrap();
    assert!(!labels(&answer).contains(&"boiler.md § Pressure") && answer.sources.len() == 2, "{answer:?}");

    let pinned = vec![Pin::File(keys), Pin::Chunk(best.id.clone())];
    let pins = Selection { pinned, ..Selection::default() };
    let answer = running.ask(ask("Xylophone?", pins)).unwrap();
    assert_eq!(labels(&answer), ["keys.md § Keys", "boiler.md § Pressure"]);
    assert!(answer.sources.iter().all(|chunk| chunk.reason == ChunkReason::Pinned));
    assert_eq!(running.warnings(), [""; 0]);
}

#[test]
fn a_selection_that_leaves_nothing_says_so() {
    let mut running = Running::indexed();
    let unknown = Selection { scope: vec![running.document("other.md")], ..Selection::default() };
    let failure = running.ask(ask(QUESTION, unknown)).unwrap_err();
    assert_eq!(failure.kind, FailureKind::BadRequest);
    assert!(failure.message.contains("other.md"), "{failure:?}");

    let keys = Selection { scope: vec![running.document("keys.md")], ..Selection::default() };
    let failure = running.ask(ask("Whetstone?", keys)).unwrap_err();
    assert_eq!((failure.kind, failure.message.contains("may draw on")), (FailureKind::NoMatch, true));

    let gone = Selection { pinned: vec![Pin::Chunk("00".repeat(32))], ..Selection::default() };
    assert_eq!(running.ask(ask(QUESTION, gone)).unwrap().sources.len(), 2);
    assert_eq!(running.warnings(), ["a pinned chunk is no longer indexed and is left out"]);
}

#[test]
fn the_chunks_of_the_turn_before_help_a_question_that_finds_little() {
    let mut running = Running::indexed();
    let first = running.ask(AskRequest { chunks: Some(1), ..ask(QUESTION, Selection::default()) }).unwrap();
    let carried: Vec<String> = first.sources.iter().map(|chunk| chunk.id.clone()).collect();
    let carry = || Selection { carried: carried.clone(), ..Selection::default() };
    let reasons = |answer: &gibbon::engine::Answer| -> Vec<ChunkReason> {
        answer.sources.iter().map(|chunk| chunk.reason).collect()
    };

    let weak = running.ask(AskRequest { chunks: Some(1), ..ask("And in winter?", carry()) }).unwrap();
    assert_eq!(labels(&weak), ["tools.md § Tools", "boiler.md § Pressure"]);
    assert_eq!(reasons(&weak), [ChunkReason::Found, ChunkReason::Carried]);

    let only_stop_words = running.ask(ask("Why is that?", carry())).unwrap();
    assert_eq!(reasons(&only_stop_words), [ChunkReason::Carried]);
    let nothing_found = running.ask(ask("Xylophone?", carry())).unwrap();
    assert_eq!(reasons(&nothing_found), [ChunkReason::Carried]);

    let good = running.ask(ask("Where does the cellar key hang?", carry())).unwrap();
    assert!(!reasons(&good).contains(&ChunkReason::Carried), "{:?}", labels(&good));
}

#[test]
fn earlier_turns_are_read_with_the_question_by_every_strategy() {
    let mut running = Running::indexed();
    let turn = EarlierTurn { question: "Who is Ms Okafor?".into(), answer: "She has the spare key.".into() };
    for strategy in [Strategy::Full, Strategy::Concat, Strategy::Ape] {
        let request = |history: &[EarlierTurn]| AskRequest {
            strategy: Some(strategy),
            history: history.to_vec(),
            ..ask(QUESTION, Selection::default())
        };
        let alone = running.ask(request(&[])).unwrap();
        let after = running.ask(request(std::slice::from_ref(&turn))).unwrap();
        let (less, more) = (alone.timings.prefill.tokens, after.timings.prefill.tokens);
        assert!((less + 10..less + 60).contains(&more), "{strategy:?}: {less}, {more}");
        assert_eq!(alone.origins, after.origins, "the caches are the same with and without earlier turns");
    }
}

#[test]
fn a_chat_of_any_length_takes_a_quarter_of_the_context_at_most() {
    let mut running = Running::indexed();
    let endless = vec![EarlierTurn { question: "Why?".into(), answer: "word ".repeat(900) }; 200];
    let request = AskRequest { history: endless, max_tokens: Some(1), ..ask(QUESTION, Selection::default()) };
    let context = running.status().model.unwrap().context_tokens;
    let read = running.ask(request).unwrap().timings.prefill.tokens;
    assert!((context / 8..context / 4 + 60).contains(&read), "{read} of {context}");
}

#[test]
fn a_chat_goes_on_where_it_was() {
    let mut running = Running::indexed();
    let kept = |keep| AskRequest { keep, ..ask(QUESTION, Selection::default()) };
    let first = running.ask(kept(Keep::NewChat)).unwrap().kept.unwrap();
    let chat = first.chat;
    let replaced = running.ask(kept(Keep::Chat(chat))).unwrap().kept.unwrap();
    assert_eq!(replaced, first.next());
    let answer = running.ask(kept(Keep::InPlaceOf(replaced))).unwrap();
    assert_eq!(answer.kept, Some(replaced.next()));
    let CatalogueReply::Chat(found) = running.look_up(CatalogueQuery::Chat { id: chat }).unwrap() else {
        panic!("no chat")
    };
    assert_eq!((found.turns.len(), found.title.as_str()), (2, QUESTION));
    let turn = &found.turns[1];
    assert_eq!(
        (&turn.answer, turn.strategy, turn.stop),
        (&answer.text, Some(answer.strategy), Some(answer.stop))
    );
    // What is kept has been JSON, which may change the last digit of a number.
    let json = serde_json::to_string(&answer.timings).unwrap();
    let timings = serde_json::from_str(&json).unwrap();
    assert_eq!((&turn.origins, turn.timings.as_ref()), (&answer.origins, Some(&timings)));
    assert!(turn.sources.iter().zip(&answer.sources).all(|(kept, told)| kept.text == told.text));
}

#[test]
fn the_catalogue_answers_while_a_question_is_answered() {
    let mut running = Running::indexed();
    let asked = running.send(Command::Ask(AskRequest {
        max_tokens: Some(4000),
        ..ask("Tell me everything about the boiler and how to look after it.", Selection::default())
    }));
    running.wait_for(|event| matches!(event, Event::Token { .. }).then_some(()));
    let CatalogueReply::Files(listing) = running.look_up(CatalogueQuery::Files).unwrap() else {
        panic!("no files")
    };
    assert_eq!((listing.files.len(), listing.roots.len(), listing.folders.len()), (3, 1, 1));
    let document = running
        .look_up(CatalogueQuery::Document {
            path: running.document("boiler.md"),
            passage: Passage::default(),
        })
        .unwrap();
    assert!(matches!(document, CatalogueReply::Document(found) if found.text == super::BOILER));
    let is_done = |event: &Event| matches!(event, Event::Done { id, .. } if *id == asked);
    assert!(!running.told.iter().any(is_done), "the answer was still under way");
    running.engine().send(Command::Cancel(asked));
    assert!(running.end_of(asked).is_ok(), "a cancelled answer keeps its text");
}

#[test]
fn a_comparison_tells_each_run_and_how_far_answers_are_from_full() {
    let mut running = Running::indexed();
    let strategies = vec![Strategy::Ape, Strategy::Full, Strategy::Concat];
    let compare = CompareRequest {
        question: QUESTION.into(),
        strategies: strategies.clone(),
        runs: 2,
        chunks: Some(2),
        max_tokens: Some(3),
        ..CompareRequest::default()
    };
    let id = running.send(Command::Compare(compare.clone()));
    let Outcome::Comparison(comparison) = running.end_of(id).unwrap() else { panic!("no comparison") };
    let measured: Vec<(usize, usize, Strategy)> = running
        .told
        .iter()
        .filter_map(|event| match event {
            Event::Measured { id: of, run, runs, answer } if *of == id => {
                Some((*run, *runs, answer.strategy))
            }
            _ => None,
        })
        .collect();
    let expected: Vec<_> = [1, 2].iter().flat_map(|run| strategies.iter().map(|s| (*run, 2, *s))).collect();
    assert_eq!(measured, expected);
    let divergence =
        |row: usize| comparison.rows[row].result.as_ref().unwrap().first_token_divergence.unwrap();
    assert_eq!(divergence(1), 0.0, "full from itself");
    for row in [0, 2] {
        assert!(divergence(row) > 1e-6 && divergence(row) < 5.0, "{row}: {}", divergence(row));
    }

    let pinned = Selection { pinned: vec![Pin::File(running.document("keys.md"))], ..Selection::default() };
    let id = running.send(Command::Compare(CompareRequest { runs: 1, selection: pinned, ..compare.clone() }));
    let Outcome::Comparison(comparison) = running.end_of(id).unwrap() else { panic!("no comparison") };
    assert_eq!(comparison.sources[0].label, "keys.md § Keys");

    let id = running.send(Command::Compare(CompareRequest { runs: 1000, ..compare }));
    running.wait_for(|event| matches!(event, Event::Measured { id: of, .. } if *of == id).then_some(()));
    running.engine().send(Command::Cancel(id));
    assert_eq!(running.end_of(id).unwrap_err().kind, FailureKind::Cancelled);
}
