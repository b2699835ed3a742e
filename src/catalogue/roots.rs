//! The folders and files that the user added.
//!
//! Roots never overlap, so that no file is indexed twice. A path inside a folder that was already added is not
//! added again (it is indexed with that folder, by that folder's ignore rules). A folder above others takes them
//! over: their files change hands with their chunks, so that nothing is read or encoded anew.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use rusqlite::{Transaction, TransactionBehavior, params};

use super::{
    Catalogue, CatalogueError, FileId, Recorded, Result,
    files::{require_root, take_out, unreferenced},
    paths, raise_generation,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RootId(pub(super) i64);

/// Something the user added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    pub id: RootId,
    /// Absolute and without symbolic links, as it was when it was added.
    pub path: PathBuf,
    pub kind: RootKind,
    /// Seconds since the Unix epoch.
    pub added: i64,
    /// It is, or was, a path of a collection.
    pub for_collection: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RootKind {
    Folder,
    /// A single file. Its path from the root is its file name.
    File,
}

/// What adding a path came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedRoot {
    /// The root that the path is indexed with.
    pub root: Root,
    pub outcome: RootOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootOutcome {
    /// It is new. The roots that lay inside it are part of it now.
    New { taken_over: Vec<PathBuf> },
    /// It had been added before.
    Known,
    /// It lies inside `root`, which had been added before; nothing was changed.
    Inside,
}

impl RootKind {
    fn name(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::File => "file",
        }
    }
}

impl Root {
    /// Where the file with this path from the root is.
    pub fn locate(&self, relative: &Path) -> PathBuf {
        match self.kind {
            RootKind::Folder => self.path.join(relative),
            RootKind::File => self.path.clone(),
        }
    }

    fn contains(&self, path: &Path) -> bool {
        self.kind == RootKind::Folder && path.starts_with(&self.path)
    }
}

impl Catalogue {
    /// What the user added, in the order of the paths.
    pub fn roots(&self) -> Result<Vec<Root>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT id, path, kind, added, for_collection FROM root ORDER BY path")?;
        let rows = statement.query_map([], |row| {
            let kind: String = row.get(2)?;
            Ok(Root {
                id: RootId(row.get(0)?),
                path: paths::from_bytes(row.get(1)?),
                kind: if kind == "file" { RootKind::File } else { RootKind::Folder },
                added: row.get(3)?,
                for_collection: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The root that was added as `path` (relative, or through symbolic links).
    ///
    /// # Errors
    /// [`CatalogueError::UnknownRoot`] where there is none.
    pub fn root_at(&self, path: &Path) -> Result<Root> {
        let canonical = canonical_or_absolute(path).map_err(|error| CatalogueError::io(path, error))?;
        self.roots()?
            .into_iter()
            .find(|root| root.path == canonical)
            .ok_or_else(|| CatalogueError::UnknownRoot { path: path.to_owned() })
    }

    /// Adds a folder or a file that exists; `now` is in seconds since the Unix epoch.
    pub(crate) fn add_root(&mut self, path: &Path, now: i64) -> Result<(AddedRoot, Recorded)> {
        let canonical = fs::canonicalize(path).map_err(|error| CatalogueError::io(path, error))?;
        let kind = match fs::metadata(&canonical).map_err(|error| CatalogueError::io(path, error))? {
            metadata if metadata.is_dir() => RootKind::Folder,
            metadata if metadata.is_file() => RootKind::File,
            _ => return Err(CatalogueError::NotAFile { path: path.to_owned() }),
        };
        let roots = self.roots()?;
        if let Some(root) = roots.iter().find(|root| root.path == canonical || root.contains(&canonical)) {
            let outcome = if root.path == canonical { RootOutcome::Known } else { RootOutcome::Inside };
            return Ok((AddedRoot { root: root.clone(), outcome }, Recorded::default()));
        }

        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            "INSERT INTO root (path, kind, added) VALUES (?1, ?2, ?3)",
            params![paths::to_bytes(&canonical), kind.name(), now],
        )?;
        let root = Root {
            id: RootId(transaction.last_insert_rowid()),
            path: canonical,
            kind,
            added: now,
            for_collection: false,
        };
        let mut recorded = Recorded::default();
        let mut taken_over = Vec::new();
        for inner in roots.into_iter().filter(|inner| root.contains(&inner.path)) {
            take_over(&transaction, &root, &inner, &mut recorded)?;
            taken_over.push(inner.path);
        }
        if !recorded.is_empty() {
            raise_generation(&transaction)?;
        }
        transaction.commit()?;
        Ok((AddedRoot { root, outcome: RootOutcome::New { taken_over } }, recorded))
    }

    /// Says whether a root is a path of a collection.
    pub(crate) fn set_for_collection(&mut self, root: RootId, for_collection: bool) -> Result<()> {
        self.connection.execute(
            "UPDATE root SET for_collection = ?2 WHERE id = ?1 AND for_collection <> ?2",
            params![root.0, for_collection],
        )?;
        Ok(())
    }

    /// Takes a root out, with its files, chunks and issues.
    pub(crate) fn remove_root(&mut self, root: RootId) -> Result<Recorded> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        require_root(&transaction, root)?;
        let files: Vec<FileId> = transaction
            .prepare_cached("SELECT id FROM file WHERE root = ?1 ORDER BY id")?
            .query_map([root.0], |row| row.get(0).map(FileId))?
            .collect::<rusqlite::Result<_>>()?;
        let mut recorded = Recorded::default();
        for file in files {
            take_out(&transaction, file, &mut recorded)?;
        }
        transaction.execute("DELETE FROM root WHERE id = ?1", [root.0])?;
        raise_generation(&transaction)?;
        recorded.unreferenced = unreferenced(&transaction, &recorded.candidates)?;
        transaction.commit()?;
        Ok(recorded)
    }
}

/// Makes the files of `inner` files of `outer`, which lies above it. They get new ids, since their paths change.
fn take_over(
    transaction: &Transaction<'_>,
    outer: &Root,
    inner: &Root,
    recorded: &mut Recorded,
) -> Result<()> {
    let files: Vec<(i64, Vec<u8>)> = transaction
        .prepare_cached("SELECT id, relative FROM file WHERE root = ?1 ORDER BY id")?
        .query_map([inner.id.0], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (file, relative) in files {
        let path = inner.locate(&paths::from_bytes(relative));
        let relative = path.strip_prefix(&outer.path).unwrap_or(&path);
        transaction
            .prepare_cached(
                "INSERT INTO file (root, relative, hash, bytes, title, recipe, generation, modified)
                 SELECT ?1, ?2, hash, bytes, title, recipe,
                        (SELECT value + 1 FROM meta WHERE name = 'generation'), modified
                 FROM file WHERE id = ?3",
            )?
            .execute(params![outer.id.0, paths::to_bytes(relative), file])?;
        let moved = transaction.last_insert_rowid();
        transaction
            .prepare_cached("UPDATE chunk SET file = ?1 WHERE file = ?2")?
            .execute(params![moved, file])?;
        transaction.prepare_cached("DELETE FROM file WHERE id = ?1")?.execute([file])?;
        recorded.removed.push(FileId(file));
        recorded.added.push(FileId(moved));
    }
    transaction.execute("DELETE FROM root WHERE id = ?1", [inner.id.0])?;
    Ok(())
}

/// The path without symbolic links where it exists; else the absolute path, so that a root whose folder is gone
/// can still be named.
pub(super) fn canonical_or_absolute(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => without_dots(&std::path::absolute(path)?),
        result => result,
    }
}

fn without_dots(path: &Path) -> io::Result<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    Ok(clean)
}
