//! `sessions`: the chats that were kept.

use serde_json::json;

use super::{
    Console, Error, Exit, Stream, json,
    text::{age, now, table},
};
use crate::{
    config::Config,
    engine::admin::{self, ChatMessage, ChatSummary},
};

pub fn ls(config: &Config, as_json: bool, console: &mut Console) -> Result<Exit, Error> {
    let chats = admin::chats(config)?;
    if as_json {
        json::print(console, "sessions", json!({ "sessions": chats }))?;
    } else if chats.is_empty() {
        console.note("No chat has been kept yet; `gibbon chat` starts one.");
    } else {
        let rows: Vec<Vec<String>> = chats.iter().map(row).collect();
        let style = console.style(Stream::Output);
        console.output(&table(&["id", "messages", "started", "title"], "><<<", &rows, style))?;
    }
    Ok(Exit::Done)
}

fn row(chat: &ChatSummary) -> Vec<String> {
    let title = chat.title.lines().next().unwrap_or_default();
    vec![chat.id.to_string(), chat.messages.to_string(), age(chat.started, now()), title.to_owned()]
}

pub fn show(config: &Config, id: i64, as_json: bool, console: &mut Console) -> Result<Exit, Error> {
    let messages = admin::chat(config, id)?;
    if as_json {
        json::print(console, "session", json!({ "id": id, "messages": messages }))?;
    } else {
        console.output(&markdown(&messages))?;
    }
    Ok(Exit::Done)
}

/// The chat as Markdown: questions as headings, answers below.
fn markdown(messages: &[ChatMessage]) -> String {
    let parts = messages.iter().map(|message| match message.role.as_str() {
        "user" => format!("## {}\n", message.text.trim()),
        _ => format!("{}\n", message.text.trim()),
    });
    parts.collect::<Vec<_>>().join("\n")
}

pub fn rm(config: &Config, id: i64, console: &mut Console) -> Result<Exit, Error> {
    admin::delete_chat(config, id)?;
    console.note(&format!("chat {id} removed"));
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_is_shown_as_markdown() {
        let message = |role: &str, text: &str| ChatMessage {
            role: role.into(),
            text: text.into(),
            sources: None,
            timings: None,
        };
        let shown = markdown(&[message("user", "How heavy is it?\n"), message("assistant", "38 tonnes.")]);
        assert_eq!(shown, "## How heavy is it?\n\n38 tonnes.\n");
    }
}
