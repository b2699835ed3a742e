//! Slash commands: what is typed in the place of a question and begins with `/`.
//!
//! [`COMMANDS`] is their one table; completion, palette, help and mistakes are all made from it.

use std::path::PathBuf;

use super::{copying::ExportFormat, format, keys::Action, theme::Theme};
use crate::config::Strategy;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slash {
    /// This chat, into a file.
    Export(ExportFormat),
    /// What a key does, too.
    Do(Action),
    Strategy(Strategy),
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
    meaning: Meaning,
}

#[derive(Debug, Clone, Copy)]
enum Meaning {
    /// Nothing follows the name.
    Action(Action),
    /// From what follows the name, without blanks around it, or why that cannot be.
    Argument(fn(&str) -> Result<Slash, String>),
}

/// Every command.
#[rustfmt::skip]
pub const COMMANDS: &[SlashCommand] = &[
    with("/index", "PATH", "Index and encode a folder or a file", nothing, index),
    with("/search", "WORDS", "Show the chunks that hold the words", nothing, search),
    with("/compare", "[QUESTION]", "Answer with each strategy: the question, or the last one", nothing, compare),
    with("/strategy", "NAME", "Answer with ape, parallel, concat or full", strategies, strategy),
    with("/theme", "[NAME]", "Change the theme; without a name, choose one", Theme::names, theme),
    with("/export", "[md|json]", "Save this chat in the current directory", || vec!["md", "json"], export),
    action("/mouse", "Leave the mouse to the terminal, or take it back", Action::ToggleMouse),
    action("/new", "Start a new chat; this one is kept", Action::NewChat),
    action("/help", "Keys and commands", Action::OpenHelp),
    action("/quit", "Quit", Action::Quit),
];

/// A command that does what a key does.
const fn action(name: &'static str, description: &'static str, action: Action) -> SlashCommand {
    SlashCommand { name, argument: "", description, words: nothing, meaning: Meaning::Action(action) }
}

/// A command with something after its name.
const fn with(
    name: &'static str,
    argument: &'static str,
    description: &'static str,
    words: fn() -> Vec<&'static str>,
    parse: fn(&str) -> Result<Slash, String>,
) -> SlashCommand {
    SlashCommand { name, argument, description, words, meaning: Meaning::Argument(parse) }
}

impl SlashCommand {
    /// Name and argument, as the help writes them: `/index PATH`.
    pub fn usage(&self) -> String {
        format!("{} {}", self.name, self.argument).trim_end().to_owned()
    }
}

/// What `text` commands, or why it is not understood.
pub fn parse(text: &str) -> Result<Slash, String> {
    let (name, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let argument = argument.trim();
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        let known: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
        return Err(format!("There is no command `{name}`. There are {}.", known.join(", ")));
    };
    match command.meaning {
        Meaning::Argument(parse) => parse(argument),
        Meaning::Action(action) if argument.is_empty() => Ok(Slash::Do(action)),
        Meaning::Action(_) => Err(format!("`{name}` takes nothing after it.")),
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
        assert_eq!(parse("/search dome  wind"), Ok(Slash::Search("dome  wind".to_owned())));
    }

    #[test]
    fn mistakes_are_explained() {
        for (text, part) in [
            ("/strategy", "ape, parallel, concat, full"),
            ("/strategy fast", "ape"),
            ("/index", "path"),
            ("/search", "words"),
            ("/export pdf", "md"),
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
            assert!(COMMANDS[..number].iter().all(|other| other.name != command.name), "{}", command.name);
            for word in (command.words)() {
                assert!(parse(&format!("{} {word}", command.name)).is_ok(), "{} {word}", command.name);
            }
            if command.argument.is_empty() {
                assert!(parse(command.name).is_ok(), "{}", command.name);
            }
        }
    }
}
