//! Slash commands: what is typed in the place of a question and begins with `/`.

use std::path::PathBuf;

use super::format;
use crate::config::Strategy;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slash {
    Help,
    Quit,
    Strategy(Strategy),
    Index(PathBuf),
    Search(String),
    Compare(Option<String>),
}

/// The commands and what they do, for the help.
pub const COMMANDS: [(&str, &str); 6] = [
    ("/index PATH", "Index and encode a folder or a file"),
    ("/search WORDS", "Show the chunks that hold the words"),
    ("/compare [QUESTION]", "Answer with each strategy: the question, or the last one"),
    ("/strategy NAME", "Answer with ape, parallel, concat or full"),
    ("/help", "This help"),
    ("/quit", "Quit"),
];

/// What `text` commands, or why it is not understood.
pub fn parse(text: &str) -> Result<Slash, String> {
    let (name, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let argument = argument.trim();
    match (name, argument) {
        ("/help", "") => Ok(Slash::Help),
        ("/quit", "") => Ok(Slash::Quit),
        ("/strategy", name) => format::strategy_named(name).map(Slash::Strategy).ok_or_else(|| {
            let known = format::STRATEGIES.map(format::strategy).join(", ");
            format!("`/strategy` takes the name of a strategy: {known}.")
        }),
        ("/index", "") => Err("`/index` takes the path of a folder or a file: `/index ~/notes`.".to_owned()),
        ("/index", path) => Ok(Slash::Index(path.into())),
        ("/search", "") => Err("`/search` takes words to look for: `/search dome wind`.".to_owned()),
        ("/search", words) => Ok(Slash::Search(words.to_owned())),
        ("/compare", "") => Ok(Slash::Compare(None)),
        ("/compare", question) => Ok(Slash::Compare(Some(question.to_owned()))),
        ("/help" | "/quit", _) => Err(format!("`{name}` takes nothing after it.")),
        _ => {
            let known = COMMANDS.map(|(command, _)| command.split(' ').next().unwrap_or(command)).join(", ");
            Err(format!("There is no command `{name}`. There are {known}."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_understood() {
        assert_eq!(parse("/help"), Ok(Slash::Help));
        assert_eq!(parse("/quit "), Ok(Slash::Quit));
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
            ("/help me", "nothing after it"),
            ("/indx a", "/index"),
        ] {
            let message = parse(text).expect_err(text);
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
