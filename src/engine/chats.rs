//! Chats as they are kept in the catalogue: questions and answers with sources and timings.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    protocol::{
        Answer, CacheOrigin, Chat, ChatId, ChatSummary, ChatTurn, Failure, FailureKind, Keep, KeptTurn,
        RetrievedChunk, StopReason,
    },
    visible::visible,
};
use crate::{
    catalogue::{Catalogue, Message, Role, Session, SessionId},
    config::{Config, Strategy},
};

/// Longest title of a chat, in characters; until it is renamed it is the start of its first question.
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
    /// How an answer ended; `None` in chats from before this was kept.
    pub stop: Option<StopReason>,
}

/// What is kept of an answer beside its text, sources and timings.
#[derive(Serialize, Deserialize)]
struct Details {
    strategy: Strategy,
    stop: StopReason,
    origins: Vec<CacheOrigin>,
}

/// The chats, the one used last first.
pub fn chats(config: &Config) -> Result<Vec<ChatSummary>, Failure> {
    find_chats(config, "")
}

/// The chats in whose title or messages all of the words occur, the one used last first; without words, all
/// chats.
pub fn find_chats(config: &Config, words: &str) -> Result<Vec<ChatSummary>, Failure> {
    let words: Vec<&str> = words.split_whitespace().collect();
    let Some(catalogue) = existing(config)? else { return Ok(Vec::new()) };
    Ok(catalogue.sessions_with(&words)?.into_iter().map(summary).collect())
}

fn summary(session: Session) -> ChatSummary {
    ChatSummary {
        id: session.id.0,
        started: session.started,
        used: session.used,
        title: title(&session.title),
        messages: session.messages,
    }
}

/// A title as it is shown: on one line, however it was made.
fn title(title: &str) -> String {
    visible(title).replace(['\n', '\t'], " ")
}

/// The chat to go on in: the one with this id, without an id the one used last.
///
/// # Errors
/// When there is no such chat.
pub fn chat_to_resume(config: &Config, id: Option<ChatId>) -> Result<ChatId, Failure> {
    let catalogue = existing(config)?;
    match (id, catalogue) {
        (Some(id), Some(catalogue)) if catalogue.session(SessionId(id.0))?.is_some() => Ok(id),
        (Some(id), _) => Err(no_such_chat(id)),
        (None, catalogue) => {
            let chats = catalogue.map_or_else(|| Ok(Vec::new()), |catalogue| catalogue.sessions())?;
            chats.first().map(|chat| ChatId(chat.id.0)).ok_or_else(|| {
                let hint = "`gibbon chat` starts one; every answered question is kept.";
                Failure::new(FailureKind::BadRequest, "no chat has been kept yet", hint)
            })
        }
    }
}

/// The messages of a chat, in order.
///
/// # Errors
/// When there is no such chat.
pub fn chat_messages(config: &Config, id: ChatId) -> Result<Vec<ChatMessage>, Failure> {
    let (_, messages) = session(config, id)?;
    let message = |(_, message): (u32, Message)| ChatMessage {
        role: message.role.name().to_owned(),
        text: visible(&message.text).into_owned(),
        sources: message.sources,
        timings: message.timings,
        stop: read::<Details>(message.details).map(|details| details.stop),
    };
    Ok(messages.into_iter().map(message).collect())
}

/// A chat with its turns.
///
/// # Errors
/// When there is no such chat.
pub fn chat(config: &Config, id: ChatId) -> Result<Chat, Failure> {
    let (session, messages) = session(config, id)?;
    let mut turns: Vec<ChatTurn> = Vec::new();
    for (ordinal, message) in messages {
        let text = visible(&message.text).into_owned();
        match (message.role, turns.last_mut()) {
            (Role::User, _) => {
                turns.push(ChatTurn { message: Some(ordinal), question: text, ..ChatTurn::default() });
            }
            (Role::Assistant, Some(turn)) => answered(turn, text, message),
            // Every question is written before its answer, in one transaction.
            (Role::Assistant, None) => {}
        }
    }
    Ok(Chat { id, started: session.started, title: title(&session.title), turns })
}

/// Adds an answer to its question. What was kept in a form that is no longer read is left out: the text stays.
fn answered(turn: &mut ChatTurn, text: String, message: Message) {
    turn.answer = text;
    turn.sources = read::<Vec<RetrievedChunk>>(message.sources).unwrap_or_default();
    turn.sources.iter_mut().for_each(make_visible);
    turn.timings = read(message.timings);
    if let Some(details) = read::<Details>(message.details) {
        turn.strategy = Some(details.strategy);
        turn.stop = Some(details.stop);
        turn.origins = details.origins;
    }
}

fn read<T: DeserializeOwned>(value: Option<Value>) -> Option<T> {
    serde_json::from_value(value?)
        .map_err(|error| tracing::debug!("part of a chat is not read: {error}"))
        .ok()
}

/// It was visible when it was kept; the catalogue may have been changed since.
fn make_visible(chunk: &mut RetrievedChunk) {
    for text in [&mut chunk.label, &mut chunk.text].into_iter().chain(&mut chunk.heading) {
        *text = visible(text).into_owned();
    }
    chunk.matches.clear();
}

/// Gives a chat another title.
///
/// # Errors
/// When there is no such chat or the title is blank.
pub fn rename_chat(config: &Config, id: ChatId, new: &str) -> Result<(), Failure> {
    let new = title(new.trim());
    if new.is_empty() {
        let hint = "Give it at least one character.";
        return Err(Failure::new(FailureKind::BadRequest, "a chat needs a title", hint));
    }
    let new: String = new.chars().take(TITLE_CHARACTERS).collect();
    let renamed = match existing(config)? {
        Some(catalogue) => catalogue.rename_session(SessionId(id.0), &new)?,
        None => false,
    };
    if renamed { Ok(()) } else { Err(no_such_chat(id)) }
}

/// Removes a chat with its messages.
///
/// # Errors
/// When there is no such chat.
pub fn delete_chat(config: &Config, id: ChatId) -> Result<(), Failure> {
    let deleted = match existing(config)? {
        Some(catalogue) => catalogue.delete_session(SessionId(id.0))?,
        None => false,
    };
    if deleted { Ok(()) } else { Err(no_such_chat(id)) }
}

fn session(config: &Config, id: ChatId) -> Result<(Session, Vec<(u32, Message)>), Failure> {
    let catalogue = existing(config)?.ok_or_else(|| no_such_chat(id))?;
    let session = catalogue.session(SessionId(id.0))?.ok_or_else(|| no_such_chat(id))?;
    let messages = catalogue.messages(session.id)?;
    Ok((session, messages))
}

/// The catalogue where there is one: looking for chats creates nothing.
fn existing(config: &Config) -> Result<Option<Catalogue>, Failure> {
    let data = &config.paths.data;
    Ok(if Catalogue::exists(data) { Some(Catalogue::open(data)?) } else { None })
}

fn no_such_chat(id: ChatId) -> Failure {
    Failure::new(
        FailureKind::BadRequest,
        format!("there is no chat {}", id.0),
        "`gibbon sessions ls` lists the chats.",
    )
}

/// Keeps a question and its answer where `keep` says, and says where they are. An answer that was cancelled before
/// there was any of it takes the place of no other.
pub(super) fn keep(config: &Config, keep: Keep, answer: &Answer) -> Result<Option<KeptTurn>, Failure> {
    let (known, supersedes) = match keep {
        Keep::No => return Ok(None),
        Keep::NewChat => (None, None),
        Keep::Chat(id) => (Some(id), None),
        Keep::InPlaceOf(KeptTurn { chat, message }) => {
            (Some(chat), (!answer.text.trim().is_empty()).then_some(message))
        }
    };
    let mut catalogue = Catalogue::open(&config.paths.data)?;
    let messages = messages(answer);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
    if let Some(chat) = known
        && let Some(message) = catalogue.append_messages(SessionId(chat.0), &messages, supersedes, now)?
    {
        return Ok(Some(KeptTurn { chat, message }));
    }
    let start: String = title(answer.question.trim()).chars().take(TITLE_CHARACTERS).collect();
    let session = catalogue.start_session(&start, now)?;
    let message = catalogue.append_messages(session, &messages, None, now)?;
    Ok(message.map(|message| KeptTurn { chat: ChatId(session.0), message }))
}

fn messages(answer: &Answer) -> [Message; 2] {
    // Where words of the question stand is found again more cheaply than kept.
    let bare = |chunk: &RetrievedChunk| RetrievedChunk { matches: Vec::new(), ..chunk.clone() };
    let sources: Vec<RetrievedChunk> = answer.sources.iter().map(bare).collect();
    let Answer { strategy, stop, .. } = *answer;
    let details = Details { strategy, stop, origins: answer.origins.clone() };
    let question = Message {
        role: Role::User,
        text: answer.question.clone(),
        sources: None,
        timings: None,
        details: None,
    };
    let reply = Message {
        role: Role::Assistant,
        text: answer.text.clone(),
        sources: serde_json::to_value(sources).ok(),
        timings: serde_json::to_value(&answer.timings).ok(),
        details: serde_json::to_value(details).ok(),
    };
    [question, reply]
}

#[cfg(test)]
mod tests;
