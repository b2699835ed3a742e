//! Chats as they are kept in the catalogue: questions and answers with sources and timings.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    protocol::{Answer, ChatId, ChatSummary, Failure, FailureKind, Keep},
    visible::visible,
};
use crate::{
    catalogue::{Catalogue, Message, Role, SessionId},
    config::Config,
};

/// Longest title of a chat, in characters; it is the start of its first question.
const TITLE_CHARACTERS: usize = 80;

/// One question or answer of a chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// `user` or `assistant`.
    pub role: String,
    pub text: String,
    /// The chunks that an answer could draw on.
    pub sources: Option<Value>,
    /// What an answer took.
    pub timings: Option<Value>,
}

/// The chats, the latest first.
pub fn chats(config: &Config) -> Result<Vec<ChatSummary>, Failure> {
    if !Catalogue::exists(&config.paths.data) {
        return Ok(Vec::new());
    }
    let sessions = Catalogue::open(&config.paths.data)?.sessions()?;
    let summary = |session: crate::catalogue::Session| ChatSummary {
        id: session.id.0,
        started: session.started,
        title: visible(&session.title).into_owned(),
        messages: session.messages,
    };
    Ok(sessions.into_iter().map(summary).collect())
}

/// The messages of a chat, in order.
///
/// # Errors
/// When there is no such chat.
pub fn chat(config: &Config, id: i64) -> Result<Vec<ChatMessage>, Failure> {
    if !chats(config)?.iter().any(|chat| chat.id == id) {
        return Err(no_such_chat(id));
    }
    let messages = Catalogue::open(&config.paths.data)?.messages(SessionId(id))?;
    let message = |message: Message| ChatMessage {
        role: message.role.name().to_owned(),
        text: visible(&message.text).into_owned(),
        sources: message.sources,
        timings: message.timings,
    };
    Ok(messages.into_iter().map(message).collect())
}

/// Removes a chat with its messages.
///
/// # Errors
/// When there is no such chat.
pub fn delete_chat(config: &Config, id: i64) -> Result<(), Failure> {
    let deleted = Catalogue::exists(&config.paths.data)
        && Catalogue::open(&config.paths.data)?.delete_session(SessionId(id))?;
    if deleted { Ok(()) } else { Err(no_such_chat(id)) }
}

fn no_such_chat(id: i64) -> Failure {
    Failure::new(
        FailureKind::BadRequest,
        format!("there is no chat {id}"),
        "`gibbon sessions ls` lists the chats.",
    )
}

/// Keeps a question and its answer where `keep` says, and says in which chat they are.
pub(super) fn keep(config: &Config, keep: Keep, answer: &Answer) -> Result<Option<ChatId>, Failure> {
    let known = match keep {
        Keep::No => return Ok(None),
        Keep::NewChat => None,
        Keep::Chat(id) => Some(SessionId(id.0)),
    };
    let mut catalogue = Catalogue::open(&config.paths.data)?;
    let question = Message { role: Role::User, text: answer.question.clone(), sources: None, timings: None };
    let reply = Message {
        role: Role::Assistant,
        text: answer.text.clone(),
        sources: serde_json::to_value(&answer.sources).ok(),
        timings: serde_json::to_value(&answer.timings).ok(),
    };
    let session = match known {
        Some(session) if catalogue.append_message(session, &question)?.is_some() => session,
        _ => {
            let title: String = answer.question.chars().take(TITLE_CHARACTERS).collect();
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
            let session = catalogue.start_session(&title, now)?;
            catalogue.append_message(session, &question)?;
            session
        }
    };
    catalogue.append_message(session, &reply)?;
    Ok(Some(ChatId(session.0)))
}
