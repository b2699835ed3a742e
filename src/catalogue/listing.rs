//! The indexed files by path: all of them for choosing one, and one of them for reading it again.

use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, params};

use super::{
    Catalogue, CatalogueError, ChunkSummary, FileId, FileRecord, Result, Root, RootKind, files::Hex, paths,
    roots::canonical_or_absolute,
};

/// An indexed file, for lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    pub id: FileId,
    /// Where the file is.
    pub path: PathBuf,
    /// The same, from its root.
    pub relative: PathBuf,
    pub chunks: usize,
    /// When it was last changed, in seconds since the Unix epoch; 0 while unknown.
    pub modified: i64,
}

/// A file holds the chunk of a record of the cache.
const CACHE_HAS_CHUNK: &str = "EXISTS (
    SELECT 1 FROM chunk
    WHERE substr(chunk.id, 1, 16) = substr(cache.segment, 1, 16) AND +chunk.id = cache.segment
)";

impl Catalogue {
    /// Every indexed file, in the order of the paths.
    pub fn file_list(&self) -> Result<Vec<ListedFile>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT file.id, file.relative, root.path, root.kind,
                    (SELECT COUNT(*) FROM chunk WHERE chunk.file = file.id), file.modified
             FROM file JOIN root ON root.id = file.root ORDER BY root.path, file.relative",
        )?;
        let rows = statement.query_map([], |row| {
            let relative = paths::from_bytes(row.get(1)?);
            let root = paths::from_bytes(row.get(2)?);
            let path = if row.get_ref(3)?.as_str()? == "file" { root } else { root.join(&relative) };
            let chunks = usize::try_from(row.get::<_, i64>(4)?).unwrap_or(0);
            Ok(ListedFile { id: FileId(row.get(0)?), path, relative, chunks, modified: row.get(5)? })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Cache records (fingerprint, segment) of chunks that no file holds: left behind by an interrupted run.
    pub fn unreferenced_cache(&self) -> Result<Vec<(String, String)>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT fingerprint, segment FROM cache WHERE segment <> 'prefix' AND NOT {CACHE_HAS_CHUNK}
             ORDER BY fingerprint, segment"
        ))?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Different chunks that are indexed and have a cache file, for whichever model.
    pub fn cached_chunks(&self) -> Result<usize> {
        let count: i64 = self.connection.query_row(
            &format!("SELECT count(DISTINCT segment) FROM cache WHERE {CACHE_HAS_CHUNK}"),
            [],
            |row| row.get(0),
        )?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// The indexed files that were added after `last`, in that order, with where they are. A file's id never stands for
    /// another file or place.
    pub fn files_after(&self, last: FileId) -> Result<Vec<(FileId, PathBuf)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT file.id, file.relative, root.path, root.kind FROM file JOIN root ON root.id = file.root
             WHERE file.id > ?1 ORDER BY file.id",
        )?;
        let rows = statement.query_map([last.0], |row| {
            let (relative, root) = (paths::from_bytes(row.get(1)?), paths::from_bytes(row.get(2)?));
            let is_file = row.get_ref(3)?.as_str()? == "file";
            Ok((FileId(row.get(0)?), if is_file { root } else { root.join(relative) }))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Every chunk with each file that has it, in the order of paths and, within a file, of the text.
    pub fn chunk_files(&self) -> Result<Vec<(FileId, ChunkSummary)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT chunk.file, chunk.id, chunk.tokens FROM chunk
             JOIN file ON file.id = chunk.file JOIN root ON root.id = file.root
             ORDER BY root.path, file.relative, chunk.ordinal",
        )?;
        let rows = statement.query_map([], |row| {
            let tokens = usize::try_from(row.get::<_, i64>(2)?).unwrap_or(0);
            Ok((FileId(row.get(0)?), ChunkSummary { id: row.get::<_, Hex>(1)?.chunk(), tokens }))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The indexed file that is at `path`, which is compared as it stands: its root, its path from there, and what is
    /// known of it. `None` for any other path, so that nothing outside of what the user added is ever named by this.
    pub fn file_at(&self, path: &Path) -> Result<Option<(Root, PathBuf, FileRecord)>> {
        for root in self.roots()? {
            let relative = match root.kind {
                RootKind::Folder => path.strip_prefix(&root.path).ok(),
                RootKind::File => path.file_name().map(Path::new).filter(|_| path == root.path),
            };
            if let Some(relative) = relative
                && let Some(record) = self.known_file(&root, relative)?
            {
                return Ok(Some((root, relative.to_owned(), record)));
            }
        }
        Ok(None)
    }

    /// The indexed files that are, or lie inside, any of `paths` (relative, or through symbolic links).
    ///
    /// # Errors
    /// [`CatalogueError::NotIndexed`] for the first path that no indexed file is in.
    pub fn files_within(&self, paths: &[PathBuf]) -> Result<Vec<ListedFile>> {
        let all = self.file_list()?;
        let mut within = vec![false; all.len()];
        for path in paths {
            let canonical = canonical_or_absolute(path).map_err(|error| CatalogueError::io(path, error))?;
            let mut found = false;
            for (file, within) in all.iter().zip(&mut within) {
                if file.path.starts_with(&canonical) {
                    *within = true;
                    found = true;
                }
            }
            if !found {
                return Err(CatalogueError::NotIndexed { path: path.clone() });
            }
        }
        Ok(all.into_iter().zip(within).filter(|(_, within)| *within).map(|(file, _)| file).collect())
    }

    fn known_file(&self, root: &Root, relative: &Path) -> Result<Option<FileRecord>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, hash, bytes, title, recipe FROM file WHERE root = ?1 AND relative = ?2",
        )?;
        let record = statement.query_row(params![root.id.0, paths::to_bytes(relative)], |row| {
            super::files::file_record(row, 0)
        });
        Ok(record.optional()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::tests::file;

    #[test]
    fn files_are_listed_and_found_by_their_paths_alone() {
        let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut catalogue = Catalogue::open(data.path()).unwrap();
        let root = catalogue.add_root(folder.path(), 7).unwrap().0.root;
        let single = folder.path().with_extension("single.md");
        std::fs::write(&single, "x").unwrap();
        let other = catalogue.add_root(&single, 7).unwrap().0.root;
        let name = other.path.file_name().unwrap().to_str().unwrap().to_owned();
        catalogue.record(root.id, &[file("b/two.md", &["x", "y"]), file("a.md", &["x"])], &[], &[]).unwrap();
        catalogue.record(other.id, &[file(&name, &["z"])], &[], &[]).unwrap();
        std::fs::remove_file(&single).unwrap();

        let listed = catalogue.file_list().unwrap();
        let short: Vec<_> = listed.iter().map(|file| (file.path.clone(), file.chunks)).collect();
        let expected =
            [(root.path.join("a.md"), 1), (root.path.join("b/two.md"), 2), (other.path.clone(), 1)];
        assert_eq!(short, expected);
        assert_eq!(listed[1].relative, Path::new("b/two.md"));

        let (_, relative, record) = catalogue.file_at(&root.path.join("b/two.md")).unwrap().unwrap();
        assert_eq!((relative.as_path(), record.id), (Path::new("b/two.md"), listed[1].id));
        assert_eq!(catalogue.file_at(&other.path).unwrap().unwrap().2.id, listed[2].id);
        for path in ["/etc/passwd", "a.md", ""] {
            assert!(catalogue.file_at(Path::new(path)).unwrap().is_none(), "{path}");
        }
        assert!(catalogue.file_at(&root.path.join("b/../a.md")).unwrap().is_none());
        assert!(catalogue.file_at(&root.path).unwrap().is_none());
    }

    #[test]
    fn paths_inside_and_above_the_roots_name_files_and_others_are_refused() {
        let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let inner = folder.path().join("notes");
        std::fs::create_dir_all(inner.join("deep")).unwrap();
        let mut catalogue = Catalogue::open(data.path()).unwrap();
        let root = catalogue.add_root(&inner, 7).unwrap().0.root;
        let files = [file("a.md", &["x"]), file("ab.md", &["y"]), file("deep/b.md", &["z"])];
        catalogue.record(root.id, &files, &[], &[]).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&inner, &link).unwrap();
        let names = |paths: &[PathBuf]| -> std::result::Result<Vec<String>, String> {
            let files = catalogue.files_within(paths).map_err(|error| error.to_string())?;
            Ok(files.iter().map(|file| file.relative.display().to_string()).collect())
        };
        assert_eq!(names(&[folder.path().to_owned()]).unwrap(), ["a.md", "ab.md", "deep/b.md"]);
        assert_eq!(names(&[link.join("deep"), root.path.join("a.md")]).unwrap(), ["a.md", "deep/b.md"]);
        assert_eq!(names(&[root.path.join("deep/../a.md")]).unwrap(), ["a.md"]);
        let unknown = root.path.join("a");
        let refused = names(&[root.path.clone(), unknown.clone()]).unwrap_err();
        assert_eq!(refused, format!("nothing that is indexed is in {}", unknown.display()));
    }
}
