//! The indexed files, their chunks, and the files that could not be read.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use rusqlite::{
    OptionalExtension, Row, Transaction, TransactionBehavior, params,
    types::{FromSql, FromSqlError, FromSqlResult, ValueRef},
};

use super::{Catalogue, CatalogueError, Result, RootId, paths, raise_generation};
use crate::corpus::{Chunk, ChunkId, ContentHash};

/// Names one version of one file; never used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub(crate) i64);

impl FileId {
    /// Before the id of any file.
    pub const NONE: Self = Self(0);
}

/// What is known of an indexed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    pub id: FileId,
    pub hash: ContentHash,
    pub bytes: u64,
    pub title: String,
    /// How it was cut (chunk size, tokenizer): with another recipe the same content gives other chunks.
    pub recipe: String,
}

/// A file that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedFile {
    /// From the root.
    pub relative: PathBuf,
    /// Of the content that failed: the same content need not be tried again. `None` where not even the bytes
    /// could be read.
    pub hash: Option<ContentHash>,
    pub reason: String,
}

/// A new or changed file with all its chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileUpdate {
    /// From the root.
    pub relative: PathBuf,
    pub hash: ContentHash,
    pub bytes: u64,
    pub title: String,
    pub recipe: String,
    /// When it was last changed, in seconds since the Unix epoch; 0 while unknown.
    pub modified: i64,
    /// In the order of the text.
    pub chunks: Vec<Chunk>,
}

/// A chunk and the file that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkRecord {
    pub chunk: Chunk,
    /// Where the file is.
    pub path: PathBuf,
    /// The same, from its root.
    pub relative: PathBuf,
    /// The document's title.
    pub title: String,
}

/// What encoding has to know of a chunk before it reads its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSummary {
    pub id: ChunkId,
    pub tokens: usize,
}

/// One place where a chunk occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Occurrence {
    pub file: FileId,
    /// From 0, in the order of the file's text.
    pub ordinal: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub files: usize,
    /// Different chunks: one that occurs in several files counts once.
    pub chunks: usize,
}

/// What one transaction changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    pub added: Vec<FileId>,
    pub removed: Vec<FileId>,
    pub chunks_added: usize,
    pub chunks_removed: usize,
    /// Chunks that an occurrence was taken from.
    pub candidates: Vec<ChunkId>,
    /// Those of them that no file holds any more.
    pub unreferenced: Vec<ChunkId>,
}

impl Recorded {
    /// No file was added, changed or removed.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

impl Catalogue {
    /// The indexed files of a root, by their path from it.
    pub fn known_files(&self, root: RootId) -> Result<HashMap<PathBuf, FileRecord>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT relative, id, hash, bytes, title, recipe FROM file WHERE root = ?1")?;
        let rows = statement
            .query_map([root.0], |row| Ok((paths::from_bytes(row.get(0)?), file_record(row, 1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The same of what is at `relative` and below it.
    pub fn known_files_below(&self, root: RootId, relative: &Path) -> Result<HashMap<PathBuf, FileRecord>> {
        let at = paths::to_bytes(relative);
        // A path below begins with this one and a slash; the byte after the slash is the first that none of them has.
        let (from, to) = ([&at[..], b"/"].concat(), [&at[..], b"0"].concat());
        let mut statement = self.connection.prepare_cached(
            "SELECT relative, id, hash, bytes, title, recipe FROM file
             WHERE root = ?1 AND (relative = ?2 OR (relative >= ?3 AND relative < ?4))",
        )?;
        let rows = statement.query_map(params![root.0, at, from, to], |row| {
            Ok((paths::from_bytes(row.get(0)?), file_record(row, 1)?))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// The files of a root that could not be read, in the order of their paths.
    pub fn failed_files(&self, root: RootId) -> Result<Vec<FailedFile>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT relative, hash, reason FROM issue WHERE root = ?1 ORDER BY relative")?;
        let rows = statement.query_map([root.0], |row| {
            Ok(FailedFile {
                relative: paths::from_bytes(row.get(0)?),
                hash: row.get::<_, Option<Hex>>(1)?.map(Hex::content),
                reason: row.get(2)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    pub fn counts(&self) -> Result<Counts> {
        let count = |sql: &str| -> Result<usize> {
            let count: i64 = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
            Ok(unsigned(count))
        };
        Ok(Counts {
            files: count("SELECT COUNT(*) FROM file")?,
            chunks: count("SELECT COUNT(DISTINCT substr(id, 1, 16)) FROM chunk")?,
        })
    }

    /// Every different chunk once, in the order of paths and, within a file, of the text.
    pub fn chunk_list(&self) -> Result<Vec<ChunkSummary>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT chunk.id, chunk.tokens FROM chunk
             JOIN file ON file.id = chunk.file JOIN root ON root.id = file.root
             ORDER BY root.path, file.relative, chunk.ordinal",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(ChunkSummary { id: row.get::<_, Hex>(0)?.chunk(), tokens: unsigned(row.get(1)?) })
        })?;
        let mut seen = HashSet::new();
        let mut chunks = Vec::new();
        for chunk in rows {
            let chunk = chunk?;
            if seen.insert(chunk.id) {
                chunks.push(chunk);
            }
        }
        Ok(chunks)
    }

    /// The chunk with this id, in the first file (by path) that holds it.
    pub fn chunk(&self, id: ChunkId) -> Result<Option<ChunkRecord>> {
        self.one_chunk(
            "WHERE substr(chunk.id, 1, 16) = substr(?1, 1, 16) AND +chunk.id = ?1
             ORDER BY root.path, file.relative, chunk.ordinal LIMIT 1",
            [id.to_string()],
        )
    }

    /// The chunk at this place; `None` once the file was changed or removed.
    pub fn chunk_at(&self, place: Occurrence) -> Result<Option<ChunkRecord>> {
        self.one_chunk("WHERE chunk.file = ?1 AND chunk.ordinal = ?2", params![place.file.0, place.ordinal])
    }

    fn one_chunk(&self, condition: &str, values: impl rusqlite::Params) -> Result<Option<ChunkRecord>> {
        let mut statement = self.connection.prepare_cached(&format!("{CHUNK_QUERY} {condition}"))?;
        Ok(statement.query_row(values, |row| Ok(chunk_record(row)?.1)).optional()?)
    }

    /// Hands over the chunks of a file in order, with the ordinal of each, without holding them all in memory.
    pub fn each_chunk<E: From<CatalogueError>>(
        &self,
        file: FileId,
        mut visit: impl FnMut(u32, ChunkRecord) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let query = format!("{CHUNK_QUERY} WHERE chunk.file = ?1 ORDER BY chunk.ordinal");
        let mut statement = self.connection.prepare_cached(&query).map_err(CatalogueError::from)?;
        let rows = statement.query_map([file.0], chunk_record).map_err(CatalogueError::from)?;
        for row in rows {
            let (ordinal, record) = row.map_err(CatalogueError::from)?;
            visit(ordinal, record)?;
        }
        Ok(())
    }

    /// Every indexed file and how many chunks it has.
    pub fn file_sizes(&self) -> Result<HashMap<FileId, usize>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT file.id, COUNT(chunk.file) FROM file LEFT JOIN chunk ON chunk.file = file.id GROUP BY file.id",
        )?;
        let rows = statement.query_map([], |row| Ok((FileId(row.get(0)?), unsigned(row.get(1)?))))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Those of `chunks` that no file holds, each once.
    pub fn unreferenced(&self, chunks: &[ChunkId]) -> Result<Vec<ChunkId>> {
        unreferenced(&self.connection, chunks)
    }

    /// Writes one batch of changes to a root's files in one transaction. A path of `removed` that is not known is
    /// skipped; a path in `failed` keeps what is indexed of it unless it is in `removed` as well.
    pub(crate) fn record(
        &mut self,
        root: RootId,
        updated: &[FileUpdate],
        removed: &[PathBuf],
        failed: &[FailedFile],
    ) -> Result<Recorded> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        require_root(&transaction, root)?;
        let mut recorded = Recorded::default();
        for relative in removed {
            if let Some(file) = file_at(&transaction, root, relative)? {
                take_out(&transaction, file, &mut recorded)?;
            }
            clear_issue(&transaction, root, relative)?;
        }
        for file in updated {
            put(&transaction, root, file, &mut recorded)?;
            clear_issue(&transaction, root, &file.relative)?;
        }
        for failure in failed {
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO issue (root, relative, hash, reason) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![
                    root.0,
                    paths::to_bytes(&failure.relative),
                    failure.hash.map(|hash| hash.to_string()),
                    failure.reason
                ])?;
        }
        if !recorded.is_empty() {
            let generation = raise_generation(&transaction)?;
            let mut stamp = transaction.prepare_cached("UPDATE file SET generation = ?1 WHERE id = ?2")?;
            for file in &recorded.added {
                stamp.execute(params![generation, file.0])?;
            }
        }
        recorded.unreferenced = unreferenced(&transaction, &recorded.candidates)?;
        transaction.commit()?;
        Ok(recorded)
    }
}

pub(super) fn require_root(transaction: &Transaction<'_>, root: RootId) -> Result<()> {
    let known = transaction.prepare_cached("SELECT 1 FROM root WHERE id = ?1")?.exists([root.0])?;
    match known {
        true => Ok(()),
        false => Err(CatalogueError::UnknownRoot { path: PathBuf::from(format!("root {}", root.0)) }),
    }
}

fn file_at(transaction: &Transaction<'_>, root: RootId, relative: &Path) -> Result<Option<FileId>> {
    let mut statement =
        transaction.prepare_cached("SELECT id FROM file WHERE root = ?1 AND relative = ?2")?;
    Ok(statement
        .query_row(params![root.0, paths::to_bytes(relative)], |row| row.get(0).map(FileId))
        .optional()?)
}

fn chunk_ids(transaction: &Transaction<'_>, file: FileId) -> Result<Vec<ChunkId>> {
    let mut statement = transaction.prepare_cached("SELECT id FROM chunk WHERE file = ?1")?;
    let rows = statement.query_map([file.0], |row| row.get::<_, Hex>(0).map(Hex::chunk))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Removes a file with its chunks.
pub(super) fn take_out(transaction: &Transaction<'_>, file: FileId, recorded: &mut Recorded) -> Result<()> {
    let chunks = chunk_ids(transaction, file)?;
    transaction.prepare_cached("DELETE FROM file WHERE id = ?1")?.execute([file.0])?;
    recorded.removed.push(file);
    recorded.chunks_removed += chunks.len();
    recorded.candidates.extend(chunks);
    Ok(())
}

/// Adds a file, or replaces the one with its path: under a new id, so that what the search index still holds of
/// the old content is known to be old.
fn put(
    transaction: &Transaction<'_>,
    root: RootId,
    update: &FileUpdate,
    recorded: &mut Recorded,
) -> Result<()> {
    let mut old: HashMap<ChunkId, usize> = HashMap::new();
    if let Some(file) = file_at(transaction, root, &update.relative)? {
        for id in chunk_ids(transaction, file)? {
            *old.entry(id).or_default() += 1;
        }
        transaction.prepare_cached("DELETE FROM file WHERE id = ?1")?.execute([file.0])?;
        recorded.removed.push(file);
    }
    transaction
        .prepare_cached(
            "INSERT INTO file (root, relative, hash, bytes, title, recipe, generation, modified)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7)",
        )?
        .execute(params![
            root.0,
            paths::to_bytes(&update.relative),
            update.hash.to_string(),
            signed(update.bytes),
            update.title,
            update.recipe,
            update.modified
        ])?;
    let file = FileId(transaction.last_insert_rowid());
    recorded.added.push(file);
    for (ordinal, chunk) in (0u32..).zip(&update.chunks) {
        insert_chunk(transaction, Occurrence { file, ordinal }, chunk)?;
        match old.get_mut(&chunk.id) {
            Some(count) if *count > 0 => *count -= 1,
            _ => recorded.chunks_added += 1,
        }
    }
    recorded.chunks_removed += old.values().sum::<usize>();
    recorded.candidates.extend(old.into_iter().filter(|(_, count)| *count > 0).map(|(id, _)| id));
    Ok(())
}

fn insert_chunk(transaction: &Transaction<'_>, place: Occurrence, chunk: &Chunk) -> Result<()> {
    let (first_line, last_line) = chunk.lines.unzip();
    transaction
        .prepare_cached(
            "INSERT INTO chunk (file, ordinal, id, start, stop, first_line, last_line, page, heading, label,
                                text, tokens)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            place.file.0,
            place.ordinal,
            chunk.id.to_string(),
            signed(chunk.span.start as u64),
            signed(chunk.span.end as u64),
            first_line,
            last_line,
            chunk.page,
            serde_json::Value::from(chunk.heading.as_slice()).to_string(),
            chunk.label,
            chunk.text,
            signed(chunk.tokens as u64)
        ])?;
    Ok(())
}

fn clear_issue(transaction: &Transaction<'_>, root: RootId, relative: &Path) -> Result<()> {
    transaction
        .prepare_cached("DELETE FROM issue WHERE root = ?1 AND relative = ?2")?
        .execute(params![root.0, paths::to_bytes(relative)])?;
    Ok(())
}

/// Those of `chunks` that no file holds, each once, in order.
pub(super) fn unreferenced(connection: &rusqlite::Connection, chunks: &[ChunkId]) -> Result<Vec<ChunkId>> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM chunk WHERE substr(id, 1, 16) = substr(?1, 1, 16) AND +id = ?1 LIMIT 1",
    )?;
    let mut left = Vec::new();
    for chunk in chunks {
        if !statement.exists([chunk.to_string()])? {
            left.push(*chunk);
        }
    }
    left.sort_unstable();
    left.dedup();
    Ok(left)
}

const CHUNK_QUERY: &str =
    "SELECT chunk.ordinal, chunk.id, start, stop, first_line, last_line, page, heading, label,
        text, tokens, file.relative, file.title, root.path, root.kind
    FROM chunk JOIN file ON file.id = chunk.file JOIN root ON root.id = file.root";

/// Reads id, hash, bytes, title and recipe of a file from column `at` on.
pub(super) fn file_record(row: &Row<'_>, at: usize) -> rusqlite::Result<FileRecord> {
    Ok(FileRecord {
        id: FileId(row.get(at)?),
        hash: row.get::<_, Hex>(at + 1)?.content(),
        bytes: row.get::<_, i64>(at + 2)?.unsigned_abs(),
        title: row.get(at + 3)?,
        recipe: row.get(at + 4)?,
    })
}

/// Reads file, id and tokens of a chunk.
pub(super) fn summary(row: &Row<'_>) -> rusqlite::Result<(FileId, ChunkSummary)> {
    let chunk = ChunkSummary { id: row.get::<_, Hex>(1)?.chunk(), tokens: unsigned(row.get(2)?) };
    Ok((FileId(row.get(0)?), chunk))
}

/// Reads a row of [`CHUNK_QUERY`].
fn chunk_record(row: &Row<'_>) -> rusqlite::Result<(u32, ChunkRecord)> {
    let chunk = Chunk {
        id: row.get::<_, Hex>(1)?.chunk(),
        span: unsigned(row.get(2)?)..unsigned(row.get(3)?),
        lines: row.get::<_, Option<u32>>(4)?.zip(row.get(5)?),
        page: row.get(6)?,
        heading: row.get::<_, Heading>(7)?.0,
        label: row.get(8)?,
        text: row.get(9)?,
        tokens: unsigned(row.get(10)?),
    };
    let relative = paths::from_bytes(row.get(11)?);
    let root = paths::from_bytes(row.get(13)?);
    let path = if row.get_ref(14)?.as_str()? == "file" { root } else { root.join(&relative) };
    Ok((row.get(0)?, ChunkRecord { chunk, path, relative, title: row.get(12)? }))
}

/// A hash as the database keeps it.
pub(super) struct Hex([u8; 32]);

impl Hex {
    pub(super) fn chunk(self) -> ChunkId {
        ChunkId(self.0)
    }

    fn content(self) -> ContentHash {
        ContentHash(self.0)
    }
}

impl FromSql for Hex {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let hash = blake3::Hash::from_hex(value.as_str()?).map_err(FromSqlError::other)?;
        Ok(Self(*hash.as_bytes()))
    }
}

/// A heading path as the database keeps it.
struct Heading(Vec<String>);

impl FromSql for Heading {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Self).map_err(FromSqlError::other)
    }
}

/// SQLite has signed integers only; no size or offset here comes near their end.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}
