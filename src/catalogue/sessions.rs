//! The chats: what was asked and answered, so that a chat can be read and continued later.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, TransactionBehavior, params, types::Type};
use serde_json::Value;

use super::{Catalogue, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub i64);

/// A chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    /// Seconds since the Unix epoch.
    pub started: i64,
    /// When messages were added last, in seconds since the Unix epoch.
    pub used: i64,
    pub title: String,
    /// Without those that are superseded.
    pub messages: usize,
}

/// One question or answer of a chat.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub role: Role,
    pub text: String,
    /// The chunks that an answer could draw on.
    pub sources: Option<Value>,
    /// What an answer took.
    pub timings: Option<Value>,
    /// What else is known of an answer; `None` in chats from before this was kept.
    pub details: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    User,
    Assistant,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

impl Catalogue {
    /// Starts a chat; `started` is in seconds since the Unix epoch.
    pub fn start_session(&self, title: &str, started: i64) -> Result<SessionId> {
        self.connection.execute(
            "INSERT INTO session (started, used, title) VALUES (?1, ?1, ?2)",
            params![started, title],
        )?;
        Ok(SessionId(self.connection.last_insert_rowid()))
    }

    /// The chats, the one used last first.
    pub fn sessions(&self) -> Result<Vec<Session>> {
        let mut statement = self.connection.prepare_cached(&format!("{SESSION_QUERY} {LATEST_FIRST}"))?;
        let rows = statement.query_map([], session)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// One chat; `None` where there is none with this id.
    pub fn session(&self, id: SessionId) -> Result<Option<Session>> {
        let mut statement = self.connection.prepare_cached(&format!("{SESSION_QUERY} WHERE id = ?1"))?;
        Ok(statement.query_row([id.0], session).optional()?)
    }

    /// The chats in whose title or messages every one of `words` occurs, in upper or lower case, the one used
    /// last first. Parts of words count: `clos` finds `closing`.
    pub fn sessions_with(&self, words: &[&str]) -> Result<Vec<Session>> {
        let words: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
        // SQLite folds the case of ASCII letters alone, so the texts are looked at here.
        let mut missing: HashMap<SessionId, Vec<&str>> = HashMap::new();
        let sessions = self.sessions()?;
        for session in &sessions {
            let left =
                missing.entry(session.id).or_insert_with(|| words.iter().map(String::as_str).collect());
            take_out_found(left, &session.title);
        }
        let mut statement =
            self.connection.prepare_cached("SELECT session, text FROM message WHERE superseded = 0")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if let Some(left) = missing.get_mut(&SessionId(row.get(0)?)).filter(|left| !left.is_empty()) {
                take_out_found(left, row.get_ref(1)?.as_str().unwrap_or_default());
            }
        }
        let found = |session: &Session| missing.get(&session.id).is_some_and(Vec::is_empty);
        Ok(sessions.into_iter().filter(found).collect())
    }

    /// Gives a chat another title; false where there is no such chat.
    pub fn rename_session(&self, session: SessionId, title: &str) -> Result<bool> {
        let changed = self
            .connection
            .execute("UPDATE session SET title = ?2 WHERE id = ?1", params![session.0, title])?;
        Ok(changed > 0)
    }

    /// Removes a chat with its messages; false where there is no such chat.
    pub fn delete_session(&self, session: SessionId) -> Result<bool> {
        Ok(self.connection.execute("DELETE FROM session WHERE id = ?1", [session.0])? > 0)
    }

    /// Writes messages at the end of a chat at the time `now`, in seconds since the Unix epoch, all or none, and returns
    /// the ordinal of the first, from 0. They take the place of those from the ordinal `supersedes` on, which stay in
    /// the database and are read no more. `None` where the chat was deleted.
    pub fn append_messages(
        &mut self,
        session: SessionId,
        messages: &[Message],
        supersedes: Option<u32>,
        now: i64,
    ) -> Result<Option<u32>> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let first: Option<u32> = transaction
            .query_row(
                "SELECT (SELECT COALESCE(MAX(ordinal) + 1, 0) FROM message WHERE session = ?1)
                 FROM session WHERE id = ?1",
                [session.0],
                |row| row.get(0),
            )
            .optional()?;
        let Some(first) = first else { return Ok(None) };
        if let Some(supersedes) = supersedes {
            transaction.execute(
                "UPDATE message SET superseded = 1 WHERE session = ?1 AND ordinal >= ?2",
                params![session.0, supersedes],
            )?;
        }
        transaction.execute("UPDATE session SET used = ?2 WHERE id = ?1", params![session.0, now])?;
        for (ordinal, message) in (first..).zip(messages) {
            transaction.execute(
                "INSERT INTO message (session, ordinal, role, text, sources, timings, details)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    session.0,
                    ordinal,
                    message.role.name(),
                    message.text,
                    message.sources.as_ref().map(Value::to_string),
                    message.timings.as_ref().map(Value::to_string),
                    message.details.as_ref().map(Value::to_string)
                ],
            )?;
        }
        transaction.commit()?;
        Ok(Some(first))
    }

    /// The messages of a chat in order, each with its ordinal, without those that are superseded; none where there is
    /// no such chat.
    pub fn messages(&self, session: SessionId) -> Result<Vec<(u32, Message)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT ordinal, role, text, sources, timings, details FROM message
             WHERE session = ?1 AND superseded = 0 ORDER BY ordinal",
        )?;
        let rows = statement.query_map([session.0], |row| {
            let role = if row.get_ref(1)?.as_str()? == "user" { Role::User } else { Role::Assistant };
            let message = Message {
                role,
                text: row.get(2)?,
                sources: json(row, 3)?,
                timings: json(row, 4)?,
                details: json(row, 5)?,
            };
            Ok((row.get(0)?, message))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

const SESSION_QUERY: &str = "SELECT id, started, used, title,
    (SELECT COUNT(*) FROM message WHERE session = session.id AND superseded = 0) FROM session";
const LATEST_FIRST: &str = "ORDER BY used DESC, id DESC";

/// Reads a row of [`SESSION_QUERY`].
fn session(row: &rusqlite::Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: SessionId(row.get(0)?),
        started: row.get(1)?,
        used: row.get(2)?,
        title: row.get(3)?,
        messages: row.get::<_, u32>(4)? as usize,
    })
}

/// Takes those of `words`, which are in lower case, out of the list that occur in `text`.
fn take_out_found(words: &mut Vec<&str>, text: &str) {
    let text = text.to_lowercase();
    words.retain(|word| !text.contains(word));
}

fn json(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<Value>> {
    let Some(text) = row.get_ref(column)?.as_str_or_null()? else { return Ok(None) };
    serde_json::from_str(text)
        .map(Some)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}
