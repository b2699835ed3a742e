//! What was read, indexed and cached: one SQLite database in WAL mode, so that readers never wait for the writer.
//!
//! `roots` holds what the user added, `files` its files and their chunks, `sessions` the chats, and `cache` the
//! records of the KV cache; `listing` is for looking things up by path, `speed` how fast this machine encodes.
//!
//! Everything that changes files or chunks raises the *generation* in the same transaction. The search index
//! stores the generation that it shows; where the two differ, [`crate::index::Writer`] brings the index up to date.
//! Only that writer, which holds a lock, changes roots, files and chunks; sessions and cache records may be
//! written by any process.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, config::DbConfig};

mod attention;
mod cache;
mod checkpoints;
mod files;
mod listing;
mod paths;
mod roots;
mod sessions;
mod speed;
#[cfg(test)]
pub(crate) mod tests;

pub use attention::{Attention, Priorities};
pub use cache::{CacheGroupRow, CacheRecord, CacheUses};
pub(crate) use checkpoints::Checkpoints;
pub use files::{
    ChunkRecord, ChunkSummary, Counts, FailedFile, FileId, FileRecord, FileUpdate, Occurrence, Recorded,
};
pub use listing::ListedFile;
pub use roots::{AddedRoot, Root, RootId, RootKind, RootOutcome};
pub use sessions::{Message, Role, Session, SessionId};

use crate::config::{create_private_folder, private_file};

/// The database's name in the data directory.
pub const CATALOGUE_FILE: &str = "catalogue.sqlite3";

/// How long a statement waits for another process's write to end.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Of a new database, in bytes. A chunk takes about one KiB: larger pages than SQLite's own 4 KiB are fewer calls for as much.
const PAGE_BYTES: i64 = 16 << 10;

/// Memory of a connection that writes much, and how many bytes its log may have before it takes the log into the database
/// itself: by then little is left to do, see [`Checkpoints`].
const WRITER_CACHE_KIB: i64 = 64 << 10;
const WRITER_LOG_BYTES: i64 = 256 << 20;

/// One connection to the catalogue. Cheap to open; every thread opens its own.
pub struct Catalogue {
    connection: Connection,
}

/// The catalogue could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Written by a newer Gibbon; left alone.
    #[error(
        "the catalogue was written by a newer version of Gibbon (format {found}, this one knows {known}); \
         use that version, or another data directory"
    )]
    Newer { found: i64, known: i64 },
    /// Not an SQLite database, or one that was damaged.
    #[error(
        "the catalogue {} is damaged ({reason}); move it away and index your folders again (your own files \
         are not affected)", path.display()
    )]
    Damaged { path: PathBuf, reason: String },
    /// The disk is full; nothing was changed.
    #[error("the disk is full: the catalogue was not changed; make room and try again")]
    Full,
    #[error("the catalogue could not be used: {0}")]
    Database(rusqlite::Error),
    #[error("{} could not be used: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// A root that was never added, or has been removed since.
    #[error("{} is not one of the folders or files added to Gibbon", path.display())]
    UnknownRoot { path: PathBuf },
    /// A path that no indexed file is at or in.
    #[error("nothing that is indexed is in {}", path.display())]
    NotIndexed { path: PathBuf },
    /// Only folders and regular files can be added.
    #[error("{} is neither a folder nor a file", path.display())]
    NotAFile { path: PathBuf },
}

pub type Result<T> = std::result::Result<T, CatalogueError>;

impl From<rusqlite::Error> for CatalogueError {
    fn from(error: rusqlite::Error) -> Self {
        let unreadable_value = matches!(error, rusqlite::Error::FromSqlConversionFailure(..));
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::damaged(&error),
            _ if unreadable_value => Self::damaged(&error),
            _ => Self::Database(error),
        }
    }
}

impl CatalogueError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// What to do next, a sentence, where the message does not say it already.
    pub fn hint(&self) -> Option<&'static str> {
        let code = match self {
            Self::Database(error) => error.sqlite_error_code(),
            Self::NotIndexed { .. } => return Some("Index it first, or ask without it."),
            Self::Full => return Some("Make room on the disk, then run the same command again."),
            Self::Io { .. } => {
                return Some("Check that the disk has room and the data directory is a writable directory.");
            }
            _ => return None,
        };
        match code {
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
                Some("Check that the disk has room and the data directory is writable.")
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Some("Another Gibbon is writing to it; try again when it is done.")
            }
            _ => None,
        }
    }

    fn damaged(reason: &rusqlite::Error) -> Self {
        Self::Damaged { path: CATALOGUE_FILE.into(), reason: reason.to_string() }
    }

    /// The same error, with the database's full path where it names the database.
    fn at(self, path: &Path) -> Self {
        match self {
            Self::Damaged { reason, .. } => Self::Damaged { path: path.to_owned(), reason },
            other => other,
        }
    }
}

/// Each entry takes the database from one format to the next; entries are never changed, only added.
const MIGRATIONS: &[&str] = &[
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
    include_str!("schema_6.sql"),
];

impl Catalogue {
    /// Opens the catalogue in `data`, creating the directory (mode 0700) and the database (mode 0600) where there
    /// are none. Any number of threads and processes may do so at once.
    pub fn open(data: &Path) -> Result<Self> {
        create_private_folder(data).map_err(|error| CatalogueError::io(data, error))?;
        let path = data.join(CATALOGUE_FILE);
        create_private_file(&path).map_err(|error| CatalogueError::io(&path, error))?;
        let open = || {
            // No SQLITE_OPEN_CREATE: SQLite would create the file with the mode the umask leaves. Its -wal and
            // -shm files take the mode of the database.
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let mut catalogue = Self { connection: Connection::open_with_flags(&path, flags)? };
            catalogue.connection.busy_timeout(BUSY_TIMEOUT)?;
            // Before anything is set, which would write to it.
            refuse_newer(format_of(&catalogue.connection)?)?;
            catalogue.configure()?;
            catalogue.migrate()?;
            // A first look at the tables: damage is best noticed here, where the path is known.
            catalogue.state()?;
            Ok(catalogue)
        };
        open().map_err(|error: CatalogueError| error.at(&path))
    }

    /// True where `data` holds a catalogue. Creates nothing.
    pub fn exists(data: &Path) -> bool {
        data.join(CATALOGUE_FILE).is_file()
    }

    fn configure(&self) -> Result<()> {
        // Of no effect where there are tables.
        self.connection.pragma_update(None, "page_size", PAGE_BYTES)?;
        self.connection.pragma_update(None, "foreign_keys", true)?;
        // Statements are kept from one use to the next, and not planned anew for each value.
        self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        self.connection.pragma_update(None, "synchronous", "normal")?;
        // Two processes that turn a new database to WAL at the same time get SQLITE_BUSY at once: SQLite does not
        // wait there, since each could be waiting for the other.
        let deadline = Instant::now() + BUSY_TIMEOUT;
        loop {
            match self.connection.pragma_update(None, "journal_mode", "wal") {
                Err(error)
                    if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                        && Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
                result => return Ok(result?),
            }
        }
    }

    fn migrate(&mut self) -> Result<()> {
        let known = MIGRATIONS.len() as i64;
        // Looking first keeps a reader from waiting for the write lock that a migration needs.
        match format_of(&self.connection)? {
            found if found == known => return Ok(()),
            _ => {}
        }
        // Under the lock it is looked at again: another process may have been quicker.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = format_of(&transaction)?;
        refuse_newer(found)?;
        let done = usize::try_from(found).map_err(|_| CatalogueError::Damaged {
            path: CATALOGUE_FILE.into(),
            reason: format!("its format number is {found}"),
        })?;
        for migration in &MIGRATIONS[done..] {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "user_version", known)?;
        transaction.commit()?;
        Ok(())
    }

    /// For a connection that writes many chunks: more of the database stays in memory, and the log may be long.
    pub(crate) fn expect_much_writing(&self) -> Result<()> {
        self.connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        let pages = WRITER_LOG_BYTES / page_bytes(&self.connection)?;
        self.connection.pragma_update(None, "wal_autocheckpoint", pages)?;
        Ok(())
    }

    /// Which state of files and chunks this is; the search index stores it with each commit.
    pub fn state(&self) -> Result<CatalogueState> {
        let mut statement = self.connection.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
        let mut value = |name: &str| statement.query_row([name], |row| row.get::<_, i64>(0));
        Ok(CatalogueState { identity: value("identity")?, generation: value("generation")? })
    }
}

/// Names one state of the files and chunks of one catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogueState {
    /// A random number that the database got when it was created.
    pub identity: i64,
    /// Raised by every change of files or chunks.
    pub generation: i64,
}

/// A later version's database is left alone.
fn refuse_newer(found: i64) -> Result<()> {
    let known = MIGRATIONS.len() as i64;
    if found > known { Err(CatalogueError::Newer { found, known }) } else { Ok(()) }
}

fn format_of(connection: &Connection) -> Result<i64> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

fn page_bytes(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "page_size", |row| row.get(0))
}

/// Numbers the change that `transaction` makes.
fn raise_generation(transaction: &rusqlite::Transaction<'_>) -> Result<i64> {
    Ok(transaction.query_row(
        "UPDATE meta SET value = value + 1 WHERE name = 'generation' RETURNING value",
        [],
        |row| row.get(0),
    )?)
}

/// Creates an empty file that only the user can read. What exists is left as it is, and not even opened: closing a
/// database's file takes away the locks that SQLite holds on it anywhere in this process.
fn create_private_file(path: &Path) -> io::Result<()> {
    match private_file().write(true).create_new(true).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        // Another thread may have the database open by now, so the new file is never closed either.
        Ok(file) => {
            std::mem::forget(file);
            Ok(())
        }
        _ => Ok(()),
    }
}
