//! What processes tell each other about an index run: orders to it, and that a question is being answered.
//!
//! Both are files in the data directory. An order names the process it is for, so that one which comes too late does
//! nothing to the next. That a question is being answered is an advisory lock, which the system releases however the
//! process ends.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    board,
    protocol::{Failure, FailureKind, IndexerOrder, IndexerStatus},
};
use crate::{config::private_file, index::WriterLock};

const ORDER_FILE: &str = "indexer.order";
const QUESTION_FILE: &str = "question.lock";

/// How long an indexer may take to stop: it finishes the chunk, the file and the transaction that it is at.
const STOP_PATIENCE: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

#[derive(Serialize, Deserialize)]
struct Addressed {
    process: u32,
    order: IndexerOrder,
}

/// Gives an order to the process that indexes in the data directory, and returns its status before that. `Stop` waits
/// until it has ended.
///
/// # Errors
/// When nobody indexes, or the indexer does not end in time.
pub(super) fn give(data: &Path, order: IndexerOrder) -> Result<IndexerStatus, Failure> {
    let Some(status) = board::read(data) else { return Err(nobody()) };
    let order_text = serde_json::to_vec(&Addressed { process: status.process, order })
        .map_err(|error| Failure::new(FailureKind::Internal, error.to_string(), None))?;
    let path = data.join(ORDER_FILE);
    board::replace(&path, &order_text).map_err(|error| {
        let message = format!("the order could not be written to {}: {error}", path.display());
        Failure::new(
            FailureKind::Storage,
            message,
            "Check that the disk has room and the data directory is writable.",
        )
    })?;
    if order == IndexerOrder::Stop {
        wait_for_end(data, status.process)?;
    }
    Ok(status)
}

fn wait_for_end(data: &Path, process: u32) -> Result<(), Failure> {
    let deadline = Instant::now() + STOP_PATIENCE;
    while WriterLock::holder(data).is_some_and(|holder| holder.process == Some(process)) {
        if Instant::now() >= deadline {
            return Err(Failure::new(
                FailureKind::Busy,
                format!("the indexer (process {process}) was told to stop and has not ended yet"),
                "`gibbon status` shows what it is at; what it has done is kept however it ends.",
            ));
        }
        thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

fn nobody() -> Failure {
    Failure::new(FailureKind::NoIndexer, "nothing is being indexed", "`gibbon index` starts an indexer.")
}

/// The order that was given to this process since the last call.
pub(super) fn take(data: &Path) -> Option<IndexerOrder> {
    let path = data.join(ORDER_FILE);
    let text = fs::read(&path).ok()?;
    let given: Option<Addressed> = serde_json::from_slice(&text).ok();
    if let Err(error) = fs::remove_file(&path) {
        tracing::warn!(%error, "an order to the indexer could not be removed");
    }
    given.filter(|given| given.process == std::process::id()).map(|given| given.order)
}

/// Says that a question is being answered for as long as it lives.
#[must_use]
pub(super) struct Asking {
    _file: Option<File>,
}

impl Asking {
    /// Not being able to say so is no reason not to answer.
    pub fn begin(data: &Path) -> Self {
        let path = data.join(QUESTION_FILE);
        let opened = private_file().read(true).write(true).create(true).truncate(false).open(path);
        let locked = opened.and_then(|file| file.lock_shared().map(|()| file));
        Self {
            _file: locked.inspect_err(|error| tracing::debug!(%error, "an indexer may not give way")).ok(),
        }
    }

    /// Whether any process is answering a question.
    pub fn is_under_way(data: &Path) -> bool {
        let Ok(file) = File::open(data.join(QUESTION_FILE)) else { return false };
        matches!(file.try_lock(), Err(TryLockError::WouldBlock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_reaches_the_process_it_is_for_and_no_other() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(give(data.path(), IndexerOrder::Pause).unwrap_err().kind, FailureKind::NoIndexer);
        let _lock = WriterLock::take(data.path()).unwrap();
        assert_eq!(take(data.path()), None);
        give(data.path(), IndexerOrder::Pause).unwrap();
        assert_eq!((take(data.path()), take(data.path())), (Some(IndexerOrder::Pause), None));
        let late = Addressed { process: 1, order: IndexerOrder::Stop };
        fs::write(data.path().join(ORDER_FILE), serde_json::to_vec(&late).unwrap()).unwrap();
        assert_eq!(take(data.path()), None);
        fs::write(data.path().join(ORDER_FILE), "stop").unwrap();
        assert_eq!(take(data.path()), None);
        assert!(!data.path().join(ORDER_FILE).exists(), "what makes no sense is not looked at for ever");
    }

    #[test]
    fn a_question_is_seen_while_it_is_answered() {
        let data = tempfile::tempdir().unwrap();
        assert!(!Asking::is_under_way(data.path()));
        let first = Asking::begin(data.path());
        let second = Asking::begin(data.path());
        drop(first);
        assert!(Asking::is_under_way(data.path()), "another goes on");
        drop(second);
        assert!(!Asking::is_under_way(data.path()));
    }
}
