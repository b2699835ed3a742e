//! The chats that were kept.

use crossterm::event::{KeyCode, KeyModifiers};

use super::{
    Scene, Stage,
    chat::{empty, streaming},
    data::{ANSWER, QUESTION, chunks},
};
use crate::engine::{CatalogueReply, Chat, ChatId, ChatSummary, ChatTurn, Event, Outcome};

/// 12 May 2031, in the evening.
const OPENED: i64 = 1_936_467_600;
const HOUR: i64 = 3600;

#[rustfmt::skip]
pub const SCENES: &[Scene] = &[
    Scene { name: "chats", description: "The chats that were kept, and what is in the selected one.", build: chats },
    Scene { name: "chats_none", description: "No chat has been kept yet.", build: none },
    Scene { name: "chats_search", description: "Words are looked for.", build: searching },
    Scene { name: "chats_no_match", description: "No chat has the words.", build: no_match },
    Scene { name: "chats_rename", description: "A chat gets another title.", build: renaming },
    Scene { name: "chats_delete", description: "It is asked whether a chat is to be deleted.", build: deleting },
    Scene { name: "chats_leave", description: "It is asked whether the answer under way is to be cancelled.", build: leaving },
    Scene { name: "resumed", description: "A chat goes on.", build: resumed },
];

fn summaries() -> Vec<ChatSummary> {
    let titles = [
        (QUESTION, 2, 4),
        ("Who calls the duty engineer at night?", 26, 2),
        ("Where is the key of the dome’s panel?", 80, 6),
        ("What does the dew point have to do with opening in the evening, and who decides?", 400, 12),
        ("Compare the two shutters", 2000, 8),
    ];
    let summary = |(index, (title, hours, messages)): (usize, (&str, i64, usize))| ChatSummary {
        id: 9 - index as i64,
        started: OPENED - hours * HOUR,
        used: OPENED - hours * HOUR,
        title: title.to_owned(),
        messages,
    };
    titles.into_iter().enumerate().map(summary).collect()
}

fn kept() -> Chat {
    let turn = |question: &str, answer: &str| ChatTurn {
        question: question.to_owned(),
        answer: answer.to_owned(),
        sources: chunks(),
        ..ChatTurn::default()
    };
    let turns = vec![
        turn(QUESTION, ANSWER),
        turn(
            "And who opens it again?",
            "The night assistant, once the wind has been below 12 m/s for ten minutes [weather.md § Limits].",
        ),
    ];
    Chat { id: ChatId(9), started: OPENED - 2 * HOUR, title: QUESTION.to_owned(), turns }
}

fn reply(stage: &mut Stage, reply: CatalogueReply) {
    stage.engine(Event::Done { id: stage.id(), outcome: Outcome::Catalogue(reply) });
}

fn listed(stage: &mut Stage) {
    stage.opened_at(OPENED);
    stage.press(KeyCode::F(5));
    reply(stage, CatalogueReply::Chats(summaries()));
    stage.wait(10);
    reply(stage, CatalogueReply::Chat(kept()));
}

fn chats(stage: &mut Stage) {
    empty(stage);
    listed(stage);
}

fn none(stage: &mut Stage) {
    empty(stage);
    stage.press(KeyCode::F(5));
    reply(stage, CatalogueReply::Chats(Vec::new()));
}

fn searching(stage: &mut Stage) {
    chats(stage);
    stage.type_text("dew point");
    stage.wait(200);
}

fn no_match(stage: &mut Stage) {
    searching(stage);
    reply(stage, CatalogueReply::Chats(Vec::new()));
}

fn renaming(stage: &mut Stage) {
    chats(stage);
    stage.press_with(KeyModifiers::CONTROL, KeyCode::Char('r'));
    stage.press_with(KeyModifiers::CONTROL, KeyCode::Char('u'));
    stage.type_text("The dome in wind");
}

fn deleting(stage: &mut Stage) {
    chats(stage);
    stage.press(KeyCode::Delete);
}

fn leaving(stage: &mut Stage) {
    streaming(stage);
    listed(stage);
    stage.press(KeyCode::Enter);
}

fn resumed(stage: &mut Stage) {
    chats(stage);
    stage.press(KeyCode::Enter);
}
