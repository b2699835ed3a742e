//! What was read, indexed and cached: one SQLite database in WAL mode, so that readers never wait for the writer.
//!
//! [`files`] holds folders, files and chunks, [`cache`] the records of the KV cache, [`sessions`] the chats.

use std::{path::Path, time::Duration};

use rusqlite::Connection;

/// One connection to the catalogue. Cheap to open; every thread opens its own.
pub struct Catalogue {
    connection: Connection,
}

/// The catalogue could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Written by a newer Gibbon; left alone.
    #[error(
        "the catalogue was written by a newer version of Gibbon (format {found}, this one knows {known})"
    )]
    Newer { found: i64, known: i64 },
    #[error("the catalogue could not be used: {0}")]
    Database(#[from] rusqlite::Error),
    #[error("the catalogue's directory could not be used: {0}")]
    Io(#[from] std::io::Error),
}

pub type Result<T> = std::result::Result<T, CatalogueError>;

/// Each entry takes the database from one format to the next; entries are never changed, only added.
const MIGRATIONS: &[&str] = &[include_str!("schema_1.sql")];

impl Catalogue {
    /// Opens the catalogue in `data`, creating it (mode 0600) where there is none.
    pub fn open(data: &Path) -> Result<Self> {
        std::fs::create_dir_all(data)?;
        let path = data.join("catalogue.sqlite3");
        let connection = Connection::open(&path)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        let mut catalogue = Self { connection };
        catalogue.migrate()?;
        Ok(catalogue)
    }

    fn migrate(&mut self) -> Result<()> {
        let known = MIGRATIONS.len() as i64;
        let transaction =
            self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found > known {
            return Err(CatalogueError::Newer { found, known });
        }
        for migration in &MIGRATIONS[found as usize..] {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "user_version", known)?;
        transaction.commit()?;
        Ok(())
    }
}
