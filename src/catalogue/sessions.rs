//! The chats: what was asked and answered, so that a chat can be read and continued later.

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
    pub title: String,
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
        self.connection
            .execute("INSERT INTO session (started, title) VALUES (?1, ?2)", params![started, title])?;
        Ok(SessionId(self.connection.last_insert_rowid()))
    }

    /// The chats, the latest first.
    pub fn sessions(&self) -> Result<Vec<Session>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, started, title, (SELECT COUNT(*) FROM message WHERE session = session.id)
             FROM session ORDER BY started DESC, id DESC",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(Session {
                id: SessionId(row.get(0)?),
                started: row.get(1)?,
                title: row.get(2)?,
                messages: row.get::<_, u32>(3)? as usize,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
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

    /// Writes a message at the end of a chat and returns its ordinal, from 0. `None` where the chat was deleted.
    pub fn append_message(&mut self, session: SessionId, message: &Message) -> Result<Option<u32>> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let ordinal: Option<u32> = transaction
            .query_row(
                "SELECT (SELECT COALESCE(MAX(ordinal) + 1, 0) FROM message WHERE session = ?1)
                 FROM session WHERE id = ?1",
                [session.0],
                |row| row.get(0),
            )
            .optional()?;
        let Some(ordinal) = ordinal else { return Ok(None) };
        transaction.execute(
            "INSERT INTO message (session, ordinal, role, text, sources, timings) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                session.0,
                ordinal,
                message.role.name(),
                message.text,
                message.sources.as_ref().map(Value::to_string),
                message.timings.as_ref().map(Value::to_string)
            ],
        )?;
        transaction.commit()?;
        Ok(Some(ordinal))
    }

    /// The messages of a chat in order; none where there is no such chat.
    pub fn messages(&self, session: SessionId) -> Result<Vec<Message>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT role, text, sources, timings FROM message WHERE session = ?1 ORDER BY ordinal",
        )?;
        let rows = statement.query_map([session.0], |row| {
            let role = if row.get_ref(0)?.as_str()? == "user" { Role::User } else { Role::Assistant };
            Ok(Message { role, text: row.get(1)?, sources: json(row, 2)?, timings: json(row, 3)? })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

fn json(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Option<Value>> {
    let Some(text) = row.get_ref(column)?.as_str_or_null()? else { return Ok(None) };
    serde_json::from_str(text)
        .map(Some)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}
