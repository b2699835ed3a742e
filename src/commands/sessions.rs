//! `sessions`: the chats that were kept.

use std::path::Path;

use serde_json::json;

use super::{
    Console, Error, Exit, Stream, json,
    text::{age, now, table},
};
use crate::{
    config::Config,
    engine::{
        ChatId, ChatSummary, Failure, FailureKind,
        admin::{self, ChatMessage},
        export::{chat_json, chat_markdown, ending},
    },
};

pub fn ls(config: &Config, as_json: bool, console: &mut Console) -> Result<Exit, Error> {
    let chats = admin::chats(config)?;
    list(&chats, "No chat has been kept yet; `gibbon chat` starts one.", as_json, console)?;
    Ok(Exit::Done)
}

pub fn search(config: &Config, words: &str, as_json: bool, console: &mut Console) -> Result<Exit, Error> {
    let chats = admin::find_chats(config, words)?;
    list(&chats, "No chat has all of these words; `gibbon sessions ls` lists all chats.", as_json, console)?;
    Ok(if chats.is_empty() { Exit::NothingFound } else { Exit::Done })
}

/// The chats as a table, or `none` where there are none.
fn list(chats: &[ChatSummary], none: &str, as_json: bool, console: &mut Console) -> Result<(), Error> {
    if as_json {
        return json::print(console, "sessions", json!({ "sessions": chats }));
    }
    if chats.is_empty() {
        console.note(none);
        return Ok(());
    }
    let rows: Vec<Vec<String>> = chats.iter().map(row).collect();
    let style = console.style(Stream::Output);
    console.output(&table(&["id", "messages", "used", "title"], "><<<", &rows, style))?;
    Ok(())
}

fn row(chat: &ChatSummary) -> Vec<String> {
    let title = chat.title.lines().next().unwrap_or_default();
    vec![chat.id.to_string(), chat.messages.to_string(), age(chat.used, now()), title.to_owned()]
}

pub fn show(config: &Config, id: i64, as_json: bool, console: &mut Console) -> Result<Exit, Error> {
    let messages = admin::chat_messages(config, ChatId(id))?;
    if as_json {
        json::print(console, "session", json!({ "id": id, "messages": messages }))?;
    } else {
        console.output(&markdown(&messages))?;
    }
    Ok(Exit::Done)
}

/// The chat as Markdown: questions as headings, answers below, and what is not whole is marked.
fn markdown(messages: &[ChatMessage]) -> String {
    let parts = messages.iter().map(|message| match (message.role.as_str(), message.stop.and_then(ending)) {
        ("user", _) => format!("## {}\n", message.text.trim()),
        (_, None) => format!("{}\n", message.text.trim()),
        (_, Some(ending)) => format!("{}\n\n*({ending})*\n", message.text.trim()),
    });
    parts.collect::<Vec<_>>().join("\n")
}

/// Prints a whole chat, or writes it into a file.
pub fn export(
    config: &Config,
    id: i64,
    as_json: bool,
    output: Option<&Path>,
    console: &mut Console,
) -> Result<Exit, Error> {
    let chat = admin::chat(config, ChatId(id))?;
    let text = match as_json {
        true => chat_json(&chat).map_err(|error| Error::Output(error.into()))? + "\n",
        false => chat_markdown(&chat),
    };
    let Some(path) = output else {
        console.output(&text)?;
        return Ok(Exit::Done);
    };
    std::fs::write(path, text).map_err(|error| Failure {
        kind: FailureKind::Storage,
        message: format!("{} could not be written: {error}", console.path(path)),
        hint: Some("Name a file in a folder that is there and can be written.".into()),
    })?;
    console.note(&format!("chat {id} written to {}", console.path(path)));
    Ok(Exit::Done)
}

pub fn rename(config: &Config, id: i64, title: &str, console: &mut Console) -> Result<Exit, Error> {
    admin::rename_chat(config, ChatId(id), title)?;
    console.note(&format!("chat {id} renamed"));
    Ok(Exit::Done)
}

pub fn rm(config: &Config, id: i64, console: &mut Console) -> Result<Exit, Error> {
    admin::delete_chat(config, ChatId(id))?;
    console.note(&format!("chat {id} removed"));
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::StopReason;

    #[test]
    fn a_chat_is_shown_as_markdown() {
        let message = |role: &str, text: &str, stop| ChatMessage {
            role: role.into(),
            text: text.into(),
            sources: None,
            timings: None,
            stop,
        };
        let shown = markdown(&[
            message("user", "How heavy is it?\n", None),
            message("assistant", "38 tonnes.", Some(StopReason::EndOfText)),
            message("user", "And the mirror?", None),
            message("assistant", "It is", Some(StopReason::Cancelled)),
        ]);
        let expected = "## How heavy is it?\n\n38 tonnes.\n\n## And the mirror?\n\nIt is\n\n*(cancelled)*\n";
        assert_eq!(shown, expected);
    }
}
