//! Keeping questions to collections: `/in notes,work`, and `/in all`.

use super::{app::App, chips::Chip, completion::Completion, entry::Note};
use crate::config::{ALL_COLLECTIONS, Config, Strategy};

/// The collections that can be asked, each with the strategy that answers a question to it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    each: Vec<(String, Strategy)>,
    /// For several collections, or all.
    general: Strategy,
}

impl Known {
    pub fn none(general: Strategy) -> Self {
        Self { each: Vec::new(), general }
    }

    fn new(config: &Config) -> Self {
        let strategy = |name: &str| config.answer_for(&[name.to_owned()]).strategy;
        let each = match config.collections.is_empty() {
            true => Vec::new(),
            false => config.collection_names().map(|name| (name.to_owned(), strategy(name))).collect(),
        };
        Self { each, general: config.answer.strategy }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.each.iter().map(|(name, _)| name.as_str())
    }

    fn strategy(&self, names: &[String]) -> Strategy {
        let own = match names {
            [name] => self.each.iter().find(|(known, _)| known == name),
            _ => None,
        };
        own.map_or(self.general, |(_, strategy)| *strategy)
    }
}

impl App {
    /// The same screen for a configuration with collections.
    #[must_use]
    pub fn with_collections(self, config: &Config) -> Self {
        Self { collections: Known::new(config), ..self }
    }

    /// Keeps the next questions to these collections; to none where no name is given.
    pub(super) fn choose_collections(&mut self, names: &[String]) {
        let known: Vec<&str> = self.collections.names().collect();
        if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
            let text = match known.as_slice() {
                [] => "There are no collections yet; `gibbon collection add NAME PATH` makes one.".to_owned(),
                known => format!("There is no collection `{unknown}`. There are {}.", known.join(", ")),
            };
            return self.warn(text);
        }
        let before = self.collections.strategy(&self.chips.collections());
        self.chips.set_collections(names.iter().map(|name| Chip::collection(name)));
        let strategy = self.collections.strategy(names);
        if strategy != before {
            self.strategy = strategy;
        }
        let asked = match names {
            [] => "all collections".to_owned(),
            names => names.join(", "),
        };
        self.note(Note::info(format!("Questions are now about {asked}.")));
    }

    /// What the names after `/in` can be completed to.
    pub(super) fn collection_completions(&self, text: &str) -> Vec<Completion> {
        let Some(typed) = text.strip_prefix("/in ") else { return Vec::new() };
        let (before, last) = typed
            .rsplit_once(',')
            .map_or(("", typed), |(_, last)| (&typed[..typed.len() - last.len()], last));
        let chosen: Vec<&str> = before.split(',').collect();
        let all = [ALL_COLLECTIONS].into_iter().filter(|_| before.is_empty());
        let names = self.collections.names().chain(all);
        names
            .filter(|name| name.starts_with(last) && *name != last && !chosen.contains(name))
            .map(|name| Completion {
                text: format!("/in {before}{name}"),
                shown: name.to_owned(),
                description: "",
            })
            .collect()
    }
}
