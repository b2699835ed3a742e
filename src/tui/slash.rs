//! Slash commands: what is typed in the place of a question and begins with `/`.
//!
//! [`COMMANDS`] is their one table; completion, palette, help and mistakes are all made from it.

use std::path::PathBuf;

use super::{
    app::View,
    copying::ExportFormat,
    format,
    keys::{Action, ConversationAction},
    panes::Focus,
    theme::Theme,
};
use crate::config::{ALL_COLLECTIONS, Strategy};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slash {
    /// What is shown, the comparison or this chat, into a file.
    Export(ExportFormat),
    /// What a key does, too.
    Do(Action),
    /// What a key of the chat does, too; the chat is shown.
    InChat(Action),
    /// A pane of the chat gets the keyboard.
    Pane(Focus),
    /// The chats that were kept; with words, those that have them.
    Chats(String),
    /// Another title for this chat.
    Rename(String),
    /// Cancels the running answer.
    Cancel,
    /// Holds the index run, or lets it go on.
    Pause(bool),
    Strategy(Strategy),
    /// Questions are about these collections; about all where there is none.
    In(Vec<String>),
    Theme(&'static str),
    Index(PathBuf),
    Search(String),
    Compare(Option<String>),
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct SlashCommand {
    /// With the slash: `/index`.
    pub name: &'static str,
    /// What follows the name, as the help writes it: `PATH`, `[md|json]`; empty where nothing does.
    pub argument: &'static str,
    /// What it does, for help, completion and palette.
    pub description: &'static str,
    /// The words that can follow it, where they are few and known.
    pub words: fn() -> Vec<&'static str>,
    /// Other names for it, which are completed to the first.
    pub also: &'static [&'static str],
    meaning: Meaning,
}

#[derive(Debug, Clone, Copy)]
enum Meaning {
    /// Nothing follows the name.
    Alone(fn() -> Slash),
    /// From what follows the name, without blanks around it, or why that cannot be.
    Argument(fn(&str) -> Result<Slash, String>),
}

/// Every command.
#[rustfmt::skip]
pub const COMMANDS: &[SlashCommand] = &[
    with("/index", "PATH", "Index and encode a folder or a file", nothing, index),
    with("/search", "WORDS", "Show the chunks that hold the words", nothing, search),
    with("/compare", "[QUESTION]", "Answer a question, or the last one, with each strategy", nothing, compare),
    with("/strategy", "NAME", "Answer with ape, parallel, concat or full", strategies, strategy),
    with("/in", "NAMES", "Ask only these collections, or all of them", || vec![ALL_COLLECTIONS], collections),
    alone("/retry", "Ask the last question again", || Slash::InChat(Action::RetryLast)).or(&["/again"]),
    alone("/edit", "Edit the last question and ask it again", || Slash::InChat(Action::EditLast)),
    with("/copy", "[WHAT]", "Copy the last answer; or its code, or a citation", || vec!["code", "citation"], copy),
    with("/export", "[md|json]", "Save this chat, or the comparison shown", || vec!["md", "json"], export).or(&["/save"]),
    alone("/cancel", "Cancel the running answer; its text stays", || Slash::Cancel).or(&["/stop"]),
    alone("/new", "Start a new chat; this one is kept", || Slash::InChat(Action::NewChat)).or(&["/clear"]),
    with("/chats", "[WORDS]", "The chats that were kept, or those with the words", nothing, chats).or(&["/sessions"]),
    with("/rename", "TITLE", "Give this chat another title", nothing, rename),
    alone("/sources", "Go to the sources", || Slash::Pane(Focus::Sources)),
    alone("/timings", "Go to the timings", || Slash::Pane(Focus::Timings)),
    alone("/indexing", "What is indexed, and the run under way", || Slash::Do(Action::Open(View::Indexing))),
    alone("/pause", "Pause the indexing", || Slash::Pause(true)),
    alone("/resume", "Let the indexing go on", || Slash::Pause(false)),
    alone("/log", "The log", || Slash::Do(Action::Open(View::Log))),
    with("/theme", "[NAME]", "Change the theme; without a name, choose one", Theme::names, theme),
    alone("/mouse", "Leave the mouse to the terminal, or take it back", || Slash::Do(Action::ToggleMouse)),
    alone("/help", "Keys and commands", || Slash::Do(Action::OpenHelp)),
    alone("/quit", "Quit", || Slash::Do(Action::Quit)).or(&["/exit"]),
];

/// A command with nothing after its name.
const fn alone(name: &'static str, description: &'static str, meaning: fn() -> Slash) -> SlashCommand {
    let meaning = Meaning::Alone(meaning);
    SlashCommand { name, argument: "", description, words: nothing, also: &[], meaning }
}

/// A command with something after its name.
const fn with(
    name: &'static str,
    argument: &'static str,
    description: &'static str,
    words: fn() -> Vec<&'static str>,
    parse: fn(&str) -> Result<Slash, String>,
) -> SlashCommand {
    SlashCommand { name, argument, description, words, also: &[], meaning: Meaning::Argument(parse) }
}

impl SlashCommand {
    /// The same command, with other names.
    const fn or(self, also: &'static [&'static str]) -> Self {
        Self { also, ..self }
    }

    /// The command of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        COMMANDS.iter().find(|command| command.name == name || command.also.contains(&name))
    }

    /// Name and argument, as the help writes them: `/index PATH`.
    pub fn usage(&self) -> String {
        format!("{} {}", self.name, self.argument).trim_end().to_owned()
    }
}

/// What `text` commands, or why it is not understood.
pub fn parse(text: &str) -> Result<Slash, String> {
    let (name, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let argument = argument.trim();
    let Some(command) = SlashCommand::named(name) else {
        let known: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
        return Err(format!("There is no command `{name}`. There are {}.", known.join(", ")));
    };
    match command.meaning {
        Meaning::Argument(parse) => parse(argument),
        Meaning::Alone(command) if argument.is_empty() => Ok(command()),
        Meaning::Alone(_) => Err(format!("`{name}` takes nothing after it.")),
    }
}

fn nothing() -> Vec<&'static str> {
    Vec::new()
}

fn strategies() -> Vec<&'static str> {
    format::STRATEGIES.map(format::strategy).to_vec()
}

fn strategy(name: &str) -> Result<Slash, String> {
    format::strategy_named(name)
        .map(Slash::Strategy)
        .ok_or_else(|| format!("`/strategy` takes the name of a strategy: {}.", strategies().join(", ")))
}

fn collections(names: &str) -> Result<Slash, String> {
    let mut chosen: Vec<String> = Vec::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if !chosen.iter().any(|known| known == name) {
            chosen.push(name.to_owned());
        }
    }
    match chosen.as_slice() {
        [] => Err("`/in` takes the names of collections, or `all`: `/in notes,work`.".to_owned()),
        _ if chosen.iter().any(|name| name == ALL_COLLECTIONS) => Ok(Slash::In(Vec::new())),
        _ => Ok(Slash::In(chosen)),
    }
}

fn theme(name: &str) -> Result<Slash, String> {
    if name.is_empty() {
        return Ok(Slash::Do(Action::OpenThemes));
    }
    let known = Theme::names();
    known
        .iter()
        .find(|known| **known == name)
        .map(|name| Slash::Theme(name))
        .ok_or_else(|| format!("There is no theme `{name}`. There are {}.", known.join(", ")))
}

fn index(path: &str) -> Result<Slash, String> {
    match path {
        "" => Err("`/index` takes the path of a folder or a file: `/index ~/notes`.".to_owned()),
        path => Ok(Slash::Index(path.into())),
    }
}

fn compare(question: &str) -> Result<Slash, String> {
    Ok(Slash::Compare((!question.is_empty()).then(|| question.to_owned())))
}

fn export(format: &str) -> Result<Slash, String> {
    match format {
        "" | "md" => Ok(Slash::Export(ExportFormat::Markdown)),
        "json" => Ok(Slash::Export(ExportFormat::Json)),
        _ => Err("`/export` takes `md` or `json`: `/export json`.".to_owned()),
    }
}

fn copy(what: &str) -> Result<Slash, String> {
    let action = match what {
        "" => ConversationAction::CopyAnswer,
        "code" => ConversationAction::CopyCode,
        "citation" => ConversationAction::CopyCitation,
        _ => return Err("`/copy` takes `code` or `citation`, or nothing for the answer.".to_owned()),
    };
    Ok(Slash::InChat(Action::Conversation(action)))
}

fn chats(words: &str) -> Result<Slash, String> {
    Ok(Slash::Chats(words.to_owned()))
}

fn rename(title: &str) -> Result<Slash, String> {
    match title {
        "" => Err("`/rename` takes the new title: `/rename The dome in wind`.".to_owned()),
        title => Ok(Slash::Rename(title.to_owned())),
    }
}

fn search(words: &str) -> Result<Slash, String> {
    match words {
        "" => Err("`/search` takes words to look for: `/search dome wind`.".to_owned()),
        words => Ok(Slash::Search(words.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_understood() {
        assert_eq!(parse("/help"), Ok(Slash::Do(Action::OpenHelp)));
        assert_eq!(parse("/export"), Ok(Slash::Export(ExportFormat::Markdown)));
        assert_eq!(parse("/export json"), Ok(Slash::Export(ExportFormat::Json)));
        assert_eq!(parse("/quit "), Ok(Slash::Do(Action::Quit)));
        assert_eq!(parse("/strategy full"), Ok(Slash::Strategy(Strategy::Full)));
        assert_eq!(parse("/index  my notes/2026 "), Ok(Slash::Index("my notes/2026".into())));
        assert_eq!(parse("/compare"), Ok(Slash::Compare(None)));
        assert_eq!(parse("/compare When? "), Ok(Slash::Compare(Some("When?".to_owned()))));
        assert_eq!(parse("/pause"), Ok(Slash::Pause(true)));
        assert_eq!(parse("/chats"), Ok(Slash::Chats(String::new())));
        assert_eq!(parse("/sessions dome wind"), Ok(Slash::Chats("dome wind".to_owned())));
        assert_eq!(parse("/rename The dome"), Ok(Slash::Rename("The dome".to_owned())));
        assert_eq!(
            parse("/in notes, work,notes"),
            Ok(Slash::In(vec!["notes".to_owned(), "work".to_owned()]))
        );
        assert_eq!(parse("/in notes,all"), Ok(Slash::In(Vec::new())));
        assert_eq!(parse("/exit"), parse("/quit"));
        assert_eq!(parse("/search dome  wind"), Ok(Slash::Search("dome  wind".to_owned())));
    }

    #[test]
    fn mistakes_are_explained() {
        for (text, part) in [
            ("/strategy", "ape, parallel, concat, full"),
            ("/strategy fast", "ape"),
            ("/index", "path"),
            ("/in ,", "notes,work"),
            ("/search", "words"),
            ("/export pdf", "md"),
            ("/copy that", "citation"),
            ("/rename ", "title"),
            ("/help me", "nothing after it"),
            ("/indx a", "/index"),
        ] {
            let message = parse(text).expect_err(text);
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn every_command_takes_the_words_it_lists_and_has_a_name_of_its_own() {
        for (number, command) in COMMANDS.iter().enumerate() {
            assert!(command.name.starts_with('/') && !command.description.is_empty(), "{command:?}");
            for name in command.also.iter().chain([&command.name]) {
                let is_taken = |other: &SlashCommand| other.name == *name || other.also.contains(name);
                assert!(!COMMANDS[..number].iter().any(is_taken), "{name}");
                assert_eq!(SlashCommand::named(name).map(|found| found.name), Some(command.name));
            }
            for word in (command.words)() {
                assert!(parse(&format!("{} {word}", command.name)).is_ok(), "{} {word}", command.name);
            }
            if command.argument.is_empty() {
                assert!(parse(command.name).is_ok(), "{}", command.name);
            }
        }
    }
}
