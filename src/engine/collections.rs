//! Collections at work: which files a question may draw on, and with which system prompts each chunk is encoded.

use std::{collections::HashSet, sync::Arc};

use super::{
    protocol::{Failure, FailureKind},
    resources::Resources,
    retrieve::Retrieval,
    visible::visible,
};
use crate::{
    catalogue::{Catalogue, ChunkSummary, FileId},
    config::{Config, DEFAULT_COLLECTION},
    corpus::collections::Collections,
    index::FileSet,
    store::key::SegmentId,
};

/// The indexed files of each collection. A file's id never stands for another file, so only what was indexed since the
/// last look has to be compared with patterns: looking again costs one query of the catalogue.
pub(super) struct Memberships {
    collections: Collections,
    /// Of the catalogue that was looked at.
    identity: Option<i64>,
    last: FileId,
    /// In the order of the collections; at the end, the files of none.
    sets: Vec<Arc<FileSet>>,
}

impl Memberships {
    pub fn new(config: &Config) -> Self {
        let collections = Collections::new(&config.collections);
        let sets = vec![Arc::default(); config.collections.len() + 1];
        Self { collections, identity: None, last: FileId::NONE, sets }
    }

    /// Takes in what was indexed since the last time.
    pub fn look_again(&mut self, catalogue: &Catalogue) -> Result<(), Failure> {
        let identity = Some(catalogue.state()?.identity);
        if identity != self.identity {
            self.sets.iter_mut().for_each(|set| *set = Arc::default());
            (self.identity, self.last) = (identity, FileId::NONE);
        }
        let none = self.sets.len() - 1;
        for (file, path) in catalogue.files_after(self.last)? {
            let numbers: Vec<usize> = self.collections.of(&path).collect();
            for number in numbers.iter().copied().chain(numbers.is_empty().then_some(none)) {
                Arc::make_mut(&mut self.sets[number]).insert(file);
            }
            self.last = file;
        }
        Ok(())
    }

    /// The files of these collections together; `None` for all files, where no collection is named.
    ///
    /// # Errors
    /// When there is no collection of one of the names.
    pub fn files(&self, names: &[String]) -> Result<Option<Arc<FileSet>>, Failure> {
        let mut sets = Vec::new();
        for name in names {
            sets.push(&self.sets[self.number(name).ok_or_else(|| self.unknown(name))?]);
        }
        Ok(match sets.split_first() {
            None => None,
            Some((one, [])) => Some((*one).clone()),
            Some((one, others)) => {
                let mut joined = FileSet::clone(one);
                others.iter().for_each(|other| joined.add(other));
                Some(Arc::new(joined))
            }
        })
    }

    /// The names of all sets with their files.
    pub fn each(&self) -> impl Iterator<Item = (&str, &FileSet)> {
        let names = self.collections.names().chain([DEFAULT_COLLECTION]);
        names.zip(self.sets.iter().map(|set| &**set))
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.collections.names().chain([DEFAULT_COLLECTION]).position(|known| known == name)
    }

    fn unknown(&self, name: &str) -> Failure {
        let known: Vec<String> =
            self.collections.names().chain([DEFAULT_COLLECTION]).map(|name| format!("`{name}`")).collect();
        Failure::new(
            FailureKind::BadRequest,
            format!("there is no collection `{}`; there are {}", visible(name), known.join(", ")),
            "`gibbon collection ls` lists them, `gibbon collection add NAME PATH` makes one.",
        )
    }
}

/// What is to be cached under one system prompt.
pub(super) struct PromptChunks {
    pub system_prompt: String,
    pub chunks: Vec<ChunkSummary>,
}

/// Every chunk under the prompts of the collections that it belongs to: those with a prompt of their own, and the
/// configuration's for any other. The latter comes first.
pub(super) fn chunks_by_prompt(resources: &mut Resources) -> Result<Vec<PromptChunks>, Failure> {
    let config = resources.config.clone();
    let prompts = config.system_prompts();
    let (reader, memberships) = resources.reader_and_memberships()?;
    if let [system_prompt] = prompts[..] {
        let chunks = reader.chunks()?;
        return Ok(vec![PromptChunks { system_prompt: system_prompt.to_owned(), chunks }]);
    }
    memberships.look_again(reader.catalogue())?;
    let occurrences = reader.catalogue().chunk_files()?;
    let mut by_prompt = Vec::new();
    for prompt in prompts {
        let mut files = FileSet::default();
        for (name, set) in memberships.each() {
            if config.own_answer(name).system_prompt == prompt {
                files.add(set);
            }
        }
        let mut seen = HashSet::new();
        let wanted = occurrences.iter().filter(|(file, _)| files.contains(*file)).map(|(_, chunk)| *chunk);
        let chunks = wanted.filter(|chunk| seen.insert(chunk.id)).collect();
        by_prompt.push(PromptChunks { system_prompt: prompt.to_owned(), chunks });
    }
    Ok(by_prompt)
}

/// What to say where a question to several collections makes chunks be encoded that one of them has cached under its own
/// prompt. `None` where nothing is encoded for that reason.
pub(super) fn mixed_prompts(
    resources: &mut Resources,
    collections: &[String],
    retrieval: &Retrieval,
) -> Result<Option<String>, Failure> {
    if !resources.config.prompts_differ(collections) {
        return Ok(None);
    }
    let prompt = resources.config.answer.system_prompt.clone();
    let store = &resources.loaded_for(&prompt)?.store;
    let missing: Vec<SegmentId> = retrieval
        .hits
        .iter()
        .map(|hit| SegmentId::Chunk(hit.chunk.chunk.id))
        .filter(|id| !store.contains(*id))
        .collect();
    let elsewhere: HashSet<SegmentId> = resources.cached_anywhere()?;
    let count = missing.iter().filter(|id| elsewhere.contains(id)).count();
    Ok((count > 0).then(|| {
        let chunks = if count == 1 { "1 chunk is".into() } else { format!("{count} chunks are") };
        format!(
            "collections with different system prompts are asked together, so the general prompt is used: {chunks} \
             cached for another one and encoded for it now"
        )
    }))
}

#[cfg(test)]
mod tests;
