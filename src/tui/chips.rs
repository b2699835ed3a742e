//! What the user chose for the next questions: pinned chunks and files, and the collections, files and folders they are about. It
//! goes along with every question until it is taken away.

use std::path::{Path, PathBuf};

use crate::engine::{Pin, RetrievedChunk, Selection};

/// One thing chosen, as it is shown and as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chip {
    /// `+dome.md:14`, `@handbook/`.
    pub text: String,
    pub choice: Choice,
}

/// What a chip stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    Pin(Pin),
    /// An indexed file, or a folder of some.
    Scope(PathBuf),
    /// A collection by its name.
    Collection(String),
}

/// The chips, in the order in which they were chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chips(Vec<Chip>);

impl Chip {
    pub fn chunk(chunk: &RetrievedChunk) -> Self {
        let place = match (chunk.lines, chunk.page) {
            (Some((first, _)), _) => format!(":{first}"),
            (None, Some(page)) => format!(" page {page}"),
            (None, None) => String::new(),
        };
        let text = format!("+{}{place}", name(&chunk.path));
        Self { text, choice: Choice::Pin(Pin::Chunk(chunk.id.clone())) }
    }

    pub fn file(path: &Path) -> Self {
        Self { text: format!("+{}", name(path)), choice: Choice::Pin(Pin::File(path.to_owned())) }
    }

    /// A collection that questions are about.
    pub fn collection(name: &str) -> Self {
        Self { text: format!("in {name}"), choice: Choice::Collection(name.to_owned()) }
    }

    /// A file or folder that questions are about; `shown` is its name from what the user added.
    pub fn scope(path: &Path, shown: &str) -> Self {
        Self { text: format!("@{shown}"), choice: Choice::Scope(path.to_owned()) }
    }
}

impl Chips {
    pub fn all(&self) -> &[Chip] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Questions are about this file or folder.
    pub fn is_scope(&self, path: &Path) -> bool {
        self.0.iter().any(|chip| matches!(&chip.choice, Choice::Scope(scope) if scope == path))
    }

    /// The chunk is pinned, or its whole file is.
    pub fn pins(&self, chunk: &RetrievedChunk) -> bool {
        self.0.iter().any(|chip| match &chip.choice {
            Choice::Pin(Pin::Chunk(id)) => *id == chunk.id,
            Choice::Pin(Pin::File(path)) => *path == chunk.path,
            Choice::Scope(_) | Choice::Collection(_) => false,
        })
    }

    /// Adds the chip, or takes away the one that stands for the same; true where it was added.
    pub fn toggle(&mut self, chip: Chip) -> bool {
        let before = self.0.len();
        self.0.retain(|other| other.choice != chip.choice);
        let added = self.0.len() == before;
        if added {
            self.0.push(chip);
        }
        added
    }

    /// The collections that questions are about; none for all.
    pub fn collections(&self) -> Vec<String> {
        let name = |chip: &Chip| match &chip.choice {
            Choice::Collection(name) => Some(name.clone()),
            Choice::Pin(_) | Choice::Scope(_) => None,
        };
        self.0.iter().filter_map(name).collect()
    }

    /// Puts these in the place of the collections chosen before.
    pub fn set_collections(&mut self, chips: impl Iterator<Item = Chip>) {
        self.0.retain(|chip| !matches!(chip.choice, Choice::Collection(_)));
        self.0.splice(0..0, chips);
    }

    pub fn remove_last(&mut self) -> Option<Chip> {
        self.0.pop()
    }

    /// Puts what was chosen into what a question draws on.
    pub fn apply(&self, selection: &mut Selection) {
        for chip in &self.0 {
            match &chip.choice {
                Choice::Pin(pin) => selection.pinned.push(pin.clone()),
                Choice::Scope(path) => selection.scope.push(path.clone()),
                Choice::Collection(name) => selection.collections.push(name.clone()),
            }
        }
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
