//! Collections: named sets of folders, with patterns that choose files in them, a system prompt and settings of their
//! own.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use serde::Deserialize;
use toml::Spanned;

use super::{
    AnswerSettings, Config, ConfigError, Strategy,
    file::Place,
    resolve::{Given, Layer},
    source::expand,
};

/// The collection of what belongs to no other; it has the settings under `[answer]`.
pub const DEFAULT_COLLECTION: &str = "default";
/// Stands for every collection where one is chosen.
pub const ALL_COLLECTIONS: &str = "all";

/// Most characters of a name.
const MAX_NAME: usize = 64;

/// A named set of folders.
#[derive(Debug, Clone, PartialEq)]
pub struct Collection {
    /// Folders and files, absolute; they need not exist.
    pub paths: Vec<PathBuf>,
    /// Files that belong to it, as in a `.gitignore`, from each path; every file where there are none.
    pub include: Vec<String>,
    /// Files that do not, whatever `include` says.
    pub exclude: Vec<String>,
    /// How a question to it alone is answered: its own settings, and the configuration's where it has none.
    pub answer: AnswerSettings,
}

/// What the configuration file says of a collection.
#[derive(Debug, Clone, Default)]
pub(super) struct CollectionLayer {
    pub paths: Vec<PathBuf>,
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    /// Its settings of answers; nothing else is set.
    pub answer: Layer,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CollectionSection {
    paths: Option<Spanned<Vec<String>>>,
    include: Option<Spanned<Vec<String>>>,
    exclude: Option<Spanned<Vec<String>>>,
    system_prompt: Option<Spanned<String>>,
    chunks: Option<Spanned<usize>>,
    strategy: Option<Spanned<Strategy>>,
    max_tokens: Option<Spanned<usize>>,
    attention_temperature: Option<Spanned<f32>>,
    attention_scale: Option<Spanned<f32>>,
}

impl Config {
    /// How a question to these collections is answered; to all of them where none is named. One alone has settings of its
    /// own, several together those of the configuration, with their system prompt where they have the same.
    pub fn answer_for(&self, collections: &[String]) -> AnswerSettings {
        match collections {
            [] => self.answer.clone(),
            [name] => self.own_answer(name).clone(),
            [first, ..] => match self.prompts_differ(collections) {
                true => self.answer.clone(),
                false => AnswerSettings {
                    system_prompt: self.own_answer(first).system_prompt.clone(),
                    ..self.answer.clone()
                },
            },
        }
    }

    /// The settings of one collection; the configuration's where there is none of this name, as for [`DEFAULT_COLLECTION`].
    pub fn own_answer(&self, name: &str) -> &AnswerSettings {
        self.collections.get(name).map_or(&self.answer, |collection| &collection.answer)
    }

    /// True where these collections, or all where none is named, do not have the same system prompt.
    pub fn prompts_differ(&self, collections: &[String]) -> bool {
        let mut prompts: Vec<&str> = match collections {
            [] => self.collection_names().map(|name| self.own_answer(name).system_prompt.as_str()).collect(),
            names => names.iter().map(|name| self.own_answer(name).system_prompt.as_str()).collect(),
        };
        prompts.dedup();
        prompts.len() > 1
    }

    /// The system prompts that questions may be asked with, each once, the configuration's own first.
    pub fn system_prompts(&self) -> Vec<&str> {
        let mut prompts = vec![self.answer.system_prompt.as_str()];
        for collection in self.collections.values() {
            let prompt = collection.answer.system_prompt.as_str();
            if !prompts.contains(&prompt) {
                prompts.push(prompt);
            }
        }
        prompts
    }

    /// The names that a question can be kept to: those of the collections, then [`DEFAULT_COLLECTION`].
    pub fn collection_names(&self) -> impl Iterator<Item = &str> {
        self.collections.keys().map(String::as_str).chain([DEFAULT_COLLECTION])
    }
}

/// Why no collection can have this name; `None` where one can.
pub fn wrong_name(name: &str) -> Option<&'static str> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match name {
        DEFAULT_COLLECTION => Some("is the collection of what belongs to no other"),
        ALL_COLLECTIONS => Some("stands for every collection"),
        "" => Some("is empty"),
        _ if name.len() > MAX_NAME => Some("is longer than 64 characters"),
        _ if !name.chars().all(is_good) => Some("has other characters than letters, digits, `-` and `_`"),
        _ => None,
    }
}

/// Patterns as in a `.gitignore`, to be matched with paths from the folder that they are about.
///
/// # Errors
/// Says which pattern is not understood, and why.
pub fn patterns(lines: &[String]) -> Result<Gitignore, String> {
    let mut builder = GitignoreBuilder::new("");
    for line in lines {
        builder.add_line(None, line).map_err(|error| format!("`{line}` is not understood: {error}"))?;
    }
    builder.build().map_err(|error| error.to_string())
}

/// The collections of a configuration file at `place`, whose relative paths start at `base`.
pub(super) fn read(
    sections: BTreeMap<Spanned<String>, CollectionSection>,
    place: &Place,
    base: &Path,
    home: Option<&Path>,
) -> Result<BTreeMap<String, CollectionLayer>, ConfigError> {
    let mut collections = BTreeMap::new();
    for (name, section) in sections {
        let key = format!("collections.{}", name.get_ref());
        if let Some(reason) = wrong_name(name.get_ref()) {
            let origin = place.origin(key, name.span());
            let message = format!("cannot be the name of a collection: it {reason}");
            return Err(ConfigError::Invalid { origin, message });
        }
        let folders = place.given(format!("{key}.paths"), section.paths);
        let Some(folders) = folders.filter(|given| !given.value.is_empty()) else {
            let origin = place.origin(format!("{key}.paths"), name.span());
            let message = "must name at least one folder or file".to_owned();
            return Err(ConfigError::Invalid { origin, message });
        };
        let globs = |kind: &str, value: Option<Spanned<Vec<String>>>| -> Result<Vec<String>, ConfigError> {
            let Some(Given { value, origin }) = place.given(format!("{key}.{kind}"), value) else {
                return Ok(Vec::new());
            };
            match patterns(&value) {
                Ok(_) => Ok(value),
                Err(message) => Err(ConfigError::Invalid { origin, message }),
            }
        };
        let layer = CollectionLayer {
            paths: folders.value.iter().map(|path| expand(Path::new(path), base, home)).collect(),
            include: globs("include", section.include)?,
            exclude: globs("exclude", section.exclude)?,
            answer: Layer {
                system_prompt: place.given(format!("{key}.system_prompt"), section.system_prompt),
                chunks: place.given(format!("{key}.chunks"), section.chunks),
                strategy: place.given(format!("{key}.strategy"), section.strategy),
                max_tokens: place.given(format!("{key}.max_tokens"), section.max_tokens),
                attention_temperature: place
                    .given(format!("{key}.attention_temperature"), section.attention_temperature),
                attention_scale: place.given(format!("{key}.attention_scale"), section.attention_scale),
                ..Layer::default()
            },
        };
        collections.insert(name.into_inner(), layer);
    }
    Ok(collections)
}

#[cfg(test)]
mod tests;
