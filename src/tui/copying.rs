//! What leaves the screen: copied to the clipboard, or saved as a file.

use std::path::PathBuf;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use super::{
    app::{App, Effect, View},
    chooser::{Choice, Chooser},
    entry::{Stage, Turn},
    format::{count, thousands},
    overlay::Overlay,
};
use crate::engine::{
    Chat, ChatId, ChatTurn, RetrievedChunk, StopReason,
    export::{chat_json, chat_markdown},
    visible,
};

/// Longest title of a chat, in characters: the start of its first question.
const TITLE_CHARACTERS: usize = 80;
/// Longest part of a file's name that comes from a title, in characters.
const STEM_CHARACTERS: usize = 40;

/// What a chat is saved as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExportFormat {
    Markdown,
    Json,
}

/// A block of code in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeBlock {
    /// As the answer names it; empty where it does not.
    pub language: String,
    pub text: String,
}

/// The blocks of an answer while one is being chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct CodeChoice {
    pub chooser: Chooser,
    blocks: Vec<CodeBlock>,
}

impl CodeChoice {
    fn new(blocks: Vec<CodeBlock>) -> Self {
        let choice = |block: &CodeBlock| {
            let first = block.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            Choice::new(first.trim()).note(lines(block)).key(visible(&block.language).into_owned())
        };
        let choices = blocks.iter().map(choice).collect();
        Self { chooser: Chooser::new("Copy code", "Which block?", choices), blocks }
    }
}

impl App {
    pub(super) fn copy_answer(&mut self) -> Vec<Effect> {
        match self.turn_at_hand().map(|(_, turn)| turn.text.clone()) {
            Some(text) if !text.is_empty() => {
                let size = count(text.chars().count(), "character");
                self.copy(text, &format!("the answer · {size}"))
            }
            _ => self.nothing_to_copy("There is no answer to copy"),
        }
    }

    /// Copies the answer's block of code; where there are several, one is chosen first.
    pub(super) fn copy_code(&mut self) -> Vec<Effect> {
        let mut blocks = self.turn_at_hand().map_or_else(Vec::new, |(_, turn)| code_blocks(&turn.text));
        match blocks.len() {
            0 => self.nothing_to_copy("The answer has no block of code"),
            1 => self.copy_block(blocks.remove(0)),
            _ => {
                self.overlay = Some(Overlay::Code(CodeChoice::new(blocks)));
                Vec::new()
            }
        }
    }

    /// Copies the block that was chosen.
    pub(super) fn copy_chosen_code(&mut self, choice: CodeChoice) -> Vec<Effect> {
        let chosen = choice.chooser.chosen().and_then(|index| choice.blocks.get(index).cloned());
        chosen.map_or_else(Vec::new, |block| self.copy_block(block))
    }

    fn copy_block(&mut self, block: CodeBlock) -> Vec<Effect> {
        let size = lines(&block);
        self.copy(block.text, &format!("a block of code · {size}"))
    }

    /// Copies the label of the chosen citation with the file and the line that it stands for.
    pub(super) fn copy_citation(&mut self) -> Vec<Effect> {
        let chosen = self.transcript.chosen().and_then(|(entry, citation)| {
            let sources = self.transcript.entries().get(entry)?.sources();
            sources.iter().find(|source| source.rank == citation.rank).map(reference)
        });
        match chosen {
            Some(text) => self.copy(text, "the citation"),
            None => self.nothing_to_copy(&self.no_citation_chosen()),
        }
    }

    fn copy(&mut self, text: String, what: &str) -> Vec<Effect> {
        self.flash(format!("Copied {what}"));
        vec![Effect::Copy(text)]
    }

    pub(super) fn on_copied(&mut self, copied: Result<(), String>) -> Vec<Effect> {
        if let Err(reason) = copied {
            self.flash = None;
            self.warn(format!("It was not copied: {reason}."));
        }
        Vec::new()
    }

    pub(super) fn on_saved(&mut self, saved: Result<PathBuf, String>) -> Vec<Effect> {
        if self.view == View::Comparison {
            self.comparison.on_saved(&saved);
        }
        match saved {
            Ok(path) => self.flash(format!("Saved {}", path.display())),
            Err(reason) => self.warn(format!("It was not saved: {reason}.")),
        }
        Vec::new()
    }

    fn nothing_to_copy(&mut self, why: &str) -> Vec<Effect> {
        self.flash(why);
        Vec::new()
    }

    /// Saves this chat, as far as it is on the screen and without turns that others have taken the place of, in the
    /// current directory.
    pub(super) fn export_chat(&mut self, format: ExportFormat) -> Vec<Effect> {
        let start = self.chat_start();
        let turns = self.turns().filter(|(index, turn)| *index >= start && is_kept(turn));
        let turns: Vec<&Turn> = turns.map(|(_, turn)| turn).collect();
        let Some(first) = turns.first() else {
            self.flash("There is nothing to export yet");
            return Vec::new();
        };
        let open = self.chats.open.clone();
        let chat = Chat {
            id: self.chat.unwrap_or(ChatId(0)),
            started: open.started.unwrap_or(self.opened + first.asked_at.as_secs() as i64),
            title: open.title.unwrap_or_else(|| first.question.chars().take(TITLE_CHARACTERS).collect()),
            turns: turns.into_iter().map(chat_turn).collect(),
        };
        self.save_chat(&chat, format)
    }

    pub(super) fn save_chat(&mut self, chat: &Chat, format: ExportFormat) -> Vec<Effect> {
        let stem = stem(&chat.title);
        let (extension, text) = match format {
            ExportFormat::Markdown => ("md", Ok(chat_markdown(chat))),
            ExportFormat::Json => ("json", chat_json(chat)),
        };
        match text {
            Ok(text) => vec![Effect::Save { stem, extension, text }],
            Err(error) => {
                self.warn(format!("The chat could not be written as JSON: {error}."));
                Vec::new()
            }
        }
    }
}

/// True for what a chat is made of: answers, and what there was of them when they were cancelled.
fn is_kept(turn: &Turn) -> bool {
    matches!(turn.stage, Stage::Answered(_) | Stage::Cancelled) && !turn.superseded
}

fn chat_turn(turn: &Turn) -> ChatTurn {
    ChatTurn {
        message: turn.kept.map(|kept| kept.message),
        question: turn.question.clone(),
        answer: turn.text.clone(),
        strategy: Some(turn.strategy),
        stop: match turn.stage {
            Stage::Answered(stop) => Some(stop),
            Stage::Cancelled => Some(StopReason::Cancelled),
            _ => None,
        },
        sources: turn.sources.clone(),
        origins: turn.origins.clone(),
        timings: turn.timings.clone(),
    }
}

/// A label with its file and line, or page: `dome.md § Closing (/home/ada/dome.md:14)`.
fn reference(chunk: &RetrievedChunk) -> String {
    let path = chunk.path.display().to_string();
    let place = match (chunk.lines, chunk.page) {
        (Some((first, _)), _) => format!(":{first}"),
        (None, Some(page)) => format!(" page {page}"),
        (None, None) => String::new(),
    };
    format!("{} ({}{place})", chunk.label, visible(&path))
}

fn lines(block: &CodeBlock) -> String {
    let lines = block.text.lines().count();
    format!("{} {}", thousands(lines), if lines == 1 { "line" } else { "lines" })
}

/// The fenced and indented blocks of code of a Markdown text, in order. One that is not closed goes to the end.
pub fn code_blocks(markdown: &str) -> Vec<CodeBlock> {
    let mut blocks = Vec::new();
    let mut open: Option<CodeBlock> = None;
    for event in Parser::new(markdown) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match kind {
                    CodeBlockKind::Fenced(language) => language.to_string(),
                    CodeBlockKind::Indented => String::new(),
                };
                open = Some(CodeBlock { language, text: String::new() });
            }
            Event::Text(text) => {
                if let Some(block) = &mut open {
                    block.text.push_str(&text);
                }
            }
            Event::End(TagEnd::CodeBlock) => blocks.extend(open.take()),
            _ => {}
        }
    }
    blocks.retain(|block| !block.text.is_empty());
    blocks
}

/// The beginning of a file's name: the title's letters and digits in lower case, words joined by `-`.
fn stem(title: &str) -> String {
    let mut stem = String::from("chat");
    let mut letters = 0;
    for word in title.split(|each: char| !each.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        if letters + length > STEM_CHARACTERS {
            break;
        }
        letters += length + 1;
        stem.push('-');
        stem.extend(word.chars().flat_map(char::to_lowercase));
    }
    stem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_code_are_found() {
        let text = "One:\n\n```rust\nfn a() {}\n```\n\n- in a list\n\n  ```\n  b\n  ```\n\n    indented\n\n```sh\nopen\n";
        let blocks = code_blocks(text);
        let found: Vec<_> =
            blocks.iter().map(|block| (block.language.as_str(), block.text.as_str())).collect();
        assert_eq!(found[..2], [("rust", "fn a() {}\n"), ("", "b\n")]);
        assert_eq!(found.last(), Some(&("sh", "open\n")));
        assert!(code_blocks("no `code` block").is_empty());
    }

    #[test]
    fn names_of_files_are_plain() {
        assert_eq!(stem("When must I close the dome?"), "chat-when-must-i-close-the-dome");
        assert_eq!(stem("../../etc/passwd\u{1b}[m"), "chat-etc-passwd-m");
        assert_eq!(stem("ドームは？"), "chat-ドームは");
        assert_eq!(stem("???"), "chat");
        assert!(stem(&"word ".repeat(40)).chars().count() <= STEM_CHARACTERS + 6);
    }
}
