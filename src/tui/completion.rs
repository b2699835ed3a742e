//! Completing a slash command while it is typed: its name, then the words that can follow it.

use ratatui::layout::{Position, Rect, Size};

use super::{
    app::App,
    panes::{Focus, Panes},
    slash::{COMMANDS, SlashCommand},
};

/// The most that are shown at once.
const MOST_ROWS: usize = 8;

/// Something that the text in the question can be completed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The whole text after completing.
    pub text: String,
    /// As it is listed.
    pub shown: String,
    pub description: &'static str,
}

/// What `text` can be completed to; nothing where it is no beginning of a command, or is complete.
pub fn completions(text: &str) -> Vec<Completion> {
    if !text.starts_with('/') || text.contains('\n') {
        return Vec::new();
    }
    let Some((name, typed)) = text.split_once(' ') else {
        let begins = |name: &&str| name.starts_with(text);
        let by_name = COMMANDS.iter().filter(|command| begins(&command.name));
        let by_other_name =
            COMMANDS.iter().filter(|command| !begins(&command.name) && command.also.iter().any(begins));
        let found: Vec<_> = by_name
            .chain(by_other_name)
            .map(|command| Completion {
                text: if command.argument.is_empty() {
                    command.name.to_owned()
                } else {
                    format!("{} ", command.name)
                },
                shown: command.usage(),
                description: command.description,
            })
            .collect();
        return if found.len() == 1 && found[0].text == text { Vec::new() } else { found };
    };
    let Some(command) = SlashCommand::named(name) else { return Vec::new() };
    let words = (command.words)().into_iter().filter(|word| word.starts_with(typed) && *word != typed);
    words
        .map(|word| Completion { text: format!("{name} {word}"), shown: word.to_owned(), description: "" })
        .collect()
}

impl App {
    /// What the text in the question can be completed to now. A question that was called back is left alone: the
    /// arrow keys go on through the history.
    pub(super) fn completions(&self) -> Vec<Completion> {
        let is_typing = self.focus == Focus::Input && !self.input.shows_history();
        if !is_typing {
            return Vec::new();
        }
        let text = self.input.text();
        match self.collection_completions(&text) {
            names if names.is_empty() => completions(&text),
            names => names,
        }
    }

    /// Selects the completion `step` further down; after the last comes the first.
    pub(super) fn step_completion(&mut self, step: isize) {
        let count = self.completions().len();
        if count > 0 {
            let selected = self.completion.min(count - 1) as isize;
            self.completion = (selected + step).rem_euclid(count as isize) as usize;
        }
    }

    /// Puts the selected completion into the question.
    pub(super) fn complete(&mut self) {
        let completions = self.completions();
        let selected = self.completion.min(completions.len().saturating_sub(1));
        if let Some(completion) = completions.get(selected) {
            self.input.replace(&completion.text);
            self.completion = 0;
        }
    }

    /// The number of the first completion shown.
    pub(super) fn first_completion(&self) -> usize {
        (self.completion + 1).saturating_sub(MOST_ROWS)
    }
}

/// Where the list of `count` completions is: over the question, from its left.
pub fn place(count: usize, panes: &Panes, screen: Size) -> Rect {
    let free = panes.input.y.saturating_sub(panes.header.bottom());
    let height = (count.min(MOST_ROWS) as u16 + 2).min(free);
    Rect { x: 0, y: panes.input.y - height, width: screen.width.min(84), height }
}

/// The number of the completion that is drawn at `position`.
pub fn at(app: &App, panes: &Panes, position: Position) -> Option<usize> {
    let count = app.completions().len();
    let card = place(count, panes, app.size);
    let is_row = card.contains(position) && position.y > card.y && position.y + 1 < card.bottom();
    let index = app.first_completion() + usize::from(position.y.checked_sub(card.y + 1)?);
    (is_row && index < count).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        completions(text).into_iter().map(|completion| completion.text).collect()
    }

    #[test]
    fn names_are_completed() {
        assert_eq!(texts("/").len(), COMMANDS.len());
        assert_eq!(texts("/ind"), ["/index ", "/indexing"]);
        assert_eq!(texts("/hel"), ["/help"]);
        assert_eq!(texts("/ex"), ["/export ", "/quit"], "other names come after the names");
        assert_eq!(texts("/sess"), ["/chats "]);
        assert!(texts("/help").is_empty() && texts("/nonsense").is_empty());
        assert!(texts("what is /").is_empty() && texts("").is_empty() && texts("/\n").is_empty());
    }

    #[test]
    fn words_after_a_name_are_completed() {
        assert_eq!(
            texts("/strategy "),
            ["/strategy ape", "/strategy parallel", "/strategy concat", "/strategy full"]
        );
        assert_eq!(texts("/strategy p"), ["/strategy parallel"]);
        assert!(
            texts("/strategy full").is_empty() && texts("/index a").is_empty() && texts("/no a").is_empty()
        );
    }
}
