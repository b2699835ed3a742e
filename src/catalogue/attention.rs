//! Which files come first: those that questions drew on, those that were opened, those that changed last.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{TransactionBehavior, params};

use super::{Catalogue, ChunkSummary, Result, files::summary, paths};

/// So many files are remembered.
const REMEMBERED: i64 = 500;
/// So many files come before the others because they changed last.
const CHANGED_LAST: usize = 1000;
/// How long noting what was used waits for another process that is writing: it is not worth making anybody wait.
const PATIENCE: Duration = Duration::from_millis(20);

/// What somebody did with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attention {
    /// A question drew on it.
    Asked,
    /// It was opened in the reader.
    Opened,
}

/// In which order files are read and encoded.
#[derive(Debug, Default)]
pub struct Priorities {
    /// The place of each file that comes before the others.
    first: HashMap<PathBuf, usize>,
}

impl Priorities {
    /// Orders things of files by path: those asked about last come first, then those opened last, then those changed
    /// last (`changed` gives when, in seconds), then the others, in the order that they have.
    pub fn order<T>(&self, files: &mut [T], path: impl Fn(&T) -> &Path, changed: impl Fn(&T) -> i64) {
        let newest = {
            let mut times: Vec<i64> = files.iter().map(&changed).collect();
            times.sort_unstable_by_key(|time| Reverse(*time));
            times.get(CHANGED_LAST).copied().unwrap_or(i64::MIN)
        };
        let rank = |file: &T| {
            let place = self.first.get(path(file)).copied().unwrap_or(usize::MAX);
            let changed = changed(file);
            (place, Reverse(if changed > newest { changed } else { i64::MIN }))
        };
        files.sort_by_cached_key(rank);
    }
}

impl Catalogue {
    /// Remembers that something was done with these files, the last of them last. Soon gives up where another process
    /// is writing: only an order is lost.
    pub fn note_attention(&mut self, what: Attention, files: &[PathBuf]) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let patience: i64 = self.connection.pragma_query_value(None, "busy_timeout", |row| row.get(0))?;
        self.connection.busy_timeout(PATIENCE)?;
        let noted = self.note(what, files);
        self.connection.busy_timeout(Duration::from_millis(patience.unsigned_abs()))?;
        noted
    }

    fn note(&mut self, what: Attention, files: &[PathBuf]) -> Result<()> {
        let column = match what {
            Attention::Asked => "asked",
            Attention::Opened => "opened",
        };
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for file in files {
            transaction
                .prepare_cached(&format!(
                    "INSERT INTO attention (path, {column})
                     VALUES (?1, (SELECT 1 + coalesce(max(max(asked, opened)), 0) FROM attention))
                     ON CONFLICT (path) DO UPDATE SET {column} = excluded.{column}"
                ))?
                .execute([paths::to_bytes(file)])?;
        }
        transaction.execute(
            "DELETE FROM attention WHERE path NOT IN
             (SELECT path FROM attention ORDER BY max(asked, opened) DESC LIMIT ?1)",
            params![REMEMBERED],
        )?;
        Ok(transaction.commit()?)
    }

    /// The order for files that are read or encoded now.
    pub fn priorities(&self) -> Result<Priorities> {
        let mut statement =
            self.connection.prepare_cached("SELECT path FROM attention ORDER BY asked DESC, opened DESC")?;
        let rows = statement.query_map([], |row| row.get(0).map(paths::from_bytes))?;
        let paths: Vec<PathBuf> = rows.collect::<rusqlite::Result<_>>()?;
        Ok(Priorities { first: paths.into_iter().zip(0..).collect() })
    }

    /// Every different chunk once, in the order in which they are to be encoded: by the priorities of the files and,
    /// within a file, in the order of the text.
    pub fn chunk_queue(&self) -> Result<Vec<ChunkSummary>> {
        let mut files = self.file_list()?;
        self.priorities()?.order(&mut files, |file| &file.path, |file| file.modified);
        let place: HashMap<_, usize> = files.iter().zip(0..).map(|(file, place)| (file.id, place)).collect();
        let mut statement =
            self.connection.prepare_cached("SELECT file, id, tokens FROM chunk ORDER BY file, ordinal")?;
        let rows = statement.query_map([], summary)?;
        let mut chunks: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
        chunks.sort_by_key(|(file, _)| place.get(file).copied().unwrap_or(usize::MAX));
        let mut seen = HashSet::new();
        Ok(chunks.into_iter().map(|(_, chunk)| chunk).filter(|chunk| seen.insert(chunk.id)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{FileUpdate, tests::file};

    #[test]
    fn files_asked_about_come_first_then_opened_then_changed_ones() {
        let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut catalogue = Catalogue::open(data.path()).unwrap();
        let root = catalogue.add_root(folder.path(), 7).unwrap().0.root;
        let names = ["a", "b", "c", "d", "e"];
        let files: Vec<FileUpdate> = names
            .iter()
            .zip(1..)
            .map(|(name, modified)| FileUpdate { modified, ..file(name, &[name, "same"]) })
            .collect();
        catalogue.record(root.id, &files, &[], &[]).unwrap();
        let at = |name: &str| root.path.join(name);
        catalogue.note_attention(Attention::Opened, &[at("a"), at("b")]).unwrap();
        catalogue.note_attention(Attention::Asked, &[at("c"), at("a")]).unwrap();
        let queue: Vec<ChunkSummary> = catalogue.chunk_queue().unwrap();
        let ids = ["a", "same", "c", "b", "e", "d"].map(crate::corpus::ChunkId::of);
        assert_eq!(queue.iter().map(|chunk| chunk.id).collect::<Vec<_>>(), ids);
    }

    #[test]
    fn only_so_many_files_are_remembered() {
        let data = tempfile::tempdir().unwrap();
        let mut catalogue = Catalogue::open(data.path()).unwrap();
        let files: Vec<PathBuf> =
            (0..REMEMBERED + 20).map(|number| format!("/srv/{number}").into()).collect();
        catalogue.note_attention(Attention::Opened, &files).unwrap();
        let priorities = catalogue.priorities().unwrap();
        assert_eq!(priorities.first.len(), REMEMBERED as usize);
        assert_eq!(priorities.first.get(files.last().unwrap()), Some(&0));
        assert!(!priorities.first.contains_key(&files[0]));
    }
}
