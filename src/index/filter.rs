//! What a search may find: chunks of some files alone, and not those that were taken out.

use std::{collections::HashSet, sync::Arc};

use crate::{catalogue::FileId, corpus::ChunkId};

/// Narrows a search. The default lets everything be found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The files that are searched; all where there is no set.
    pub files: Option<Arc<FileSet>>,
    /// Chunks that are not found.
    pub without: HashSet<ChunkId>,
}

/// No set has a file with an id beyond: ids count versions of files, and a damaged catalogue must not take all memory.
const MAX_ID: u64 = 1 << 32;

/// Files, as a bit for each id: asking for one costs the same however many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileSet {
    words: Vec<u64>,
}

impl FileSet {
    pub fn insert(&mut self, file: FileId) {
        let id = file.0.unsigned_abs();
        if id > MAX_ID {
            return;
        }
        let (word, bit) = place(id);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= bit;
    }

    pub fn contains(&self, file: FileId) -> bool {
        self.has(file.0.unsigned_abs())
    }

    /// The file with this id, as the index keeps it.
    pub(super) fn has(&self, id: u64) -> bool {
        let (word, bit) = place(id);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Takes the files of `other` in.
    pub fn add(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, added) in self.words.iter_mut().zip(&other.words) {
            *word |= added;
        }
    }

    /// Leaves only the files that `other` has too.
    pub fn keep(&mut self, other: &Self) {
        self.words.truncate(other.words.len());
        for (word, kept) in self.words.iter_mut().zip(&other.words) {
            *word &= kept;
        }
    }
}

impl FromIterator<FileId> for FileSet {
    fn from_iter<I: IntoIterator<Item = FileId>>(files: I) -> Self {
        let mut set = Self::default();
        files.into_iter().for_each(|file| set.insert(file));
        set
    }
}

/// The word that has the bit of `id`, and that bit.
fn place(id: u64) -> (usize, u64) {
    (usize::try_from(id / 64).unwrap_or(usize::MAX), 1 << (id % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::tests::file,
        index::{Hit, tests::Library},
    };

    fn search(library: &Library, k: usize, filter: &Filter) -> Vec<Hit> {
        library.reader().search_within("dome", k, filter).unwrap()
    }

    /// Many files that match better than the few that may be found.
    fn library() -> Library {
        let mut files: Vec<_> = (0..300)
            .map(|number| file(&format!("{number:03}.md"), &[&format!("dome dome {number}")]))
            .collect();
        files.push(file("last/one.md", &["the dome and much else that makes it a longer text", "a mirror"]));
        files.push(file(
            "last/two.md",
            &["the dome once more, in a text that is longer still than the other"],
        ));
        Library::with(&files)
    }

    #[test]
    fn as_many_are_found_as_asked_for_and_with_their_usual_scores() {
        let library = library();
        let ids = |prefix: &str| -> FileSet {
            let listed = library.reader().catalogue().file_list().unwrap();
            listed.iter().filter(|file| file.relative.starts_with(prefix)).map(|file| file.id).collect()
        };
        let narrow = Filter { files: Some(Arc::new(ids("last"))), ..Filter::default() };

        let found = search(&library, 2, &narrow);

        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|hit| hit.chunk.relative.starts_with("last")), "{found:?}");
        let everywhere = search(&library, 400, &Filter::default());
        for hit in &found {
            let same = everywhere.iter().find(|other| other.chunk.chunk.id == hit.chunk.chunk.id).unwrap();
            assert_eq!(same.score, hit.score);
        }
        assert_eq!(search(&library, 9, &narrow).len(), 2);
        assert_eq!(search(&library, 9, &Filter { files: Some(Arc::default()), ..Filter::default() }), []);
    }

    #[test]
    fn sets_of_files_are_joined_and_cut() {
        let set = |ids: &[i64]| ids.iter().map(|id| FileId(*id)).collect::<FileSet>();
        let has = |set: &FileSet| (0..300).filter(|id| set.contains(FileId(*id))).collect::<Vec<_>>();
        let (mut one, other) = (set(&[1, 63, 64, 200]), set(&[2, 64]));
        assert_eq!(has(&one), [1, 63, 64, 200]);
        one.add(&other);
        assert_eq!(has(&one), [1, 2, 63, 64, 200]);
        one.keep(&other);
        assert_eq!(has(&one), [2, 64]);
        one.add(&set(&[250]));
        assert_eq!(has(&one), [2, 64, 250]);
    }

    #[test]
    fn others_take_the_place_of_chunks_that_were_taken_out() {
        let library = library();
        let best = search(&library, 40, &Filter::default());
        let without = best.iter().take(30).map(|hit| hit.chunk.chunk.id).collect();

        let found = search(&library, 10, &Filter { files: None, without });

        assert_eq!(found, best[30..]);
    }
}
