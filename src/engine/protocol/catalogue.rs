//! What front ends look up in the catalogue and change in it: files, documents, chats.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{CacheOrigin, ChatId, FileListing, RequestId, RetrievedChunk, StopReason};
use crate::{config::Strategy, engine::timing::Timings};

#[derive(Debug, Clone, PartialEq)]
pub struct CatalogueRequest {
    pub id: RequestId,
    pub query: CatalogueQuery,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogueQuery {
    /// What the user added, with everything indexed in it.
    Files,
    /// The text of an indexed file, at its path as the index has it: all of it, or what is around a passage of it where
    /// that is too much to be shown.
    Document {
        path: PathBuf,
        passage: Passage,
    },
    /// The chats, the one used last first; with words, those in whose title or messages all of them occur.
    Chats {
        words: String,
    },
    /// One chat with its turns.
    Chat {
        id: ChatId,
    },
    RenameChat {
        id: ChatId,
        title: String,
    },
    DeleteChat {
        id: ChatId,
    },
}

/// The answer to a [`CatalogueQuery`], in the same order.
#[derive(Debug, Clone, PartialEq)]
pub enum CatalogueReply {
    Files(FileListing),
    Document(DocumentText),
    Chats(Vec<ChatSummary>),
    Chat(Chat),
    /// The chat was renamed or deleted.
    Changed,
}

/// A place in a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passage {
    /// The line from which on it is looked for, from 1, where the format has lines.
    pub line: Option<u32>,
    pub text: String,
}

/// An indexed file's text, as it was cut into chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentText {
    pub path: PathBuf,
    /// Lines are those that [`RetrievedChunk::lines`] counts, where the format has lines.
    pub text: String,
    /// The number of the first line of `text`, from 1.
    pub first_line: u32,
    /// `text` is all that the document has.
    pub is_whole: bool,
}

/// A chat, for lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatSummary {
    pub id: i64,
    /// Seconds since the Unix epoch.
    pub started: i64,
    /// When it was asked last, in seconds since the Unix epoch.
    pub used: i64,
    pub title: String,
    /// Questions and answers.
    pub messages: usize,
}

/// A chat with everything in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chat {
    pub id: ChatId,
    /// Seconds since the Unix epoch.
    pub started: i64,
    pub title: String,
    /// Without those that another has taken the place of.
    pub turns: Vec<ChatTurn>,
}

/// A question of a chat and its answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatTurn {
    /// The number of the question among the messages of the chat, from 0; `None` where it is not kept.
    #[serde(default)]
    pub message: Option<u32>,
    pub question: String,
    /// Empty where there is none.
    pub answer: String,
    /// `None` in chats from before this was kept.
    pub strategy: Option<Strategy>,
    /// How the answer ended; `None` where there is none, and in chats from before this was kept.
    #[serde(default)]
    pub stop: Option<StopReason>,
    /// The chunks that the answer could draw on.
    pub sources: Vec<RetrievedChunk>,
    /// Where each source's cache came from, in the order of `sources`; empty in chats from before this was kept.
    #[serde(default)]
    pub origins: Vec<CacheOrigin>,
    pub timings: Option<Timings>,
}
