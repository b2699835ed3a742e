//! The searchable index: chunks in, a question's best chunks out. The only code that knows tantivy.
//!
//! The catalogue holds the chunks; the index on disk holds only what BM25 needs, and where each chunk is in the
//! catalogue. So the index can always be built again from the catalogue, and is, when it is missing, damaged or of
//! another format. [`Writer`] keeps the two in step, [`Reader`] searches, [`Hit`]s carry the catalogue's row.
//!
//! What happens when a run is killed: a batch is first one transaction of the catalogue, which raises the
//! generation, then one commit of the index, which stores the generation. The next [`Writer::open`] sees that they
//! differ, compares which files each holds, and gives the index what it missed. A file's id is never used for
//! another content, so a document of the index whose file is gone from the catalogue is known to be out of date:
//! a search drops it.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::catalogue::CatalogueError;

mod disk;
mod document;
mod feed;
mod filter;
mod lock;
mod matches;
mod merging;
mod query;
mod reader;
mod schema;
mod stems;
mod stop_words;
mod terms;
#[cfg(test)]
pub(crate) mod tests;
mod words;
mod writer;

pub use filter::{FileSet, Filter};
pub use lock::{LockHolder, WriterLock};
pub use matches::Matches;
pub use reader::{Hit, Reader};
pub use writer::{Applied, Delta, Writer};

/// Searching or writing the index failed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// No folder was ever indexed in this data directory.
    #[error("nothing is indexed yet; run `gibbon index FOLDER` first")]
    NothingIndexed,
    /// Another process, or another part of this one, holds the writer's lock.
    #[error("another Gibbon{} is indexing; wait until it is done", of_process(*process))]
    Busy {
        /// `None` in the moment between taking the lock and writing the id down.
        process: Option<u32>,
    },
    /// Missing, damaged, or not this catalogue's. The next [`Writer::open`] builds it again.
    #[error(
        "the search index {} cannot be used ({reason}); run `gibbon index` to build it again", path.display()
    )]
    Damaged { path: PathBuf, reason: String },
    /// The disk is full. The catalogue has the files; the index gets them at the next try.
    #[error("the disk is full: the search index {} could not be written; make room and run `gibbon index` again", path.display())]
    Full { path: PathBuf },
    /// Writing failed otherwise. The catalogue has the files; the index gets them at the next try.
    #[error(
        "the search index {} could not be written ({reason}); run `gibbon index` again once that is mended",
        path.display()
    )]
    Write { path: PathBuf, reason: String },
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    #[error("{} could not be used: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

pub type Result<T> = std::result::Result<T, IndexError>;

impl IndexError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

fn of_process(process: Option<u32>) -> String {
    process.map(|process| format!(" (process {process})")).unwrap_or_default()
}
