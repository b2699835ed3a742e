//! Takes what was written from the database's log into the database while the writer goes on writing: it would wait for the
//! disk a fifth of its time.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, Row};

use super::{BUSY_TIMEOUT, Catalogue, Result, page_bytes};

/// Bytes of text after which the log is taken into the database.
const STEP_BYTES: usize = 64 << 20;

/// Bytes of a long log.
const LONG_LOG_BYTES: i64 = 128 << 20;

/// Bytes left in the log from which on the writer waits, so that a slow disk does not fill up with it.
const MOST_LEFT_BYTES: i64 = 1 << 30;

/// Does so after each step, on a thread that there is from the first one on and for as long as this lives.
pub(crate) struct Checkpoints {
    database: Option<PathBuf>,
    /// Bytes written since the last step.
    written: usize,
    running: Option<Running>,
}

struct Running {
    wake: SyncSender<()>,
    thread: JoinHandle<()>,
    /// Bytes that the last step left in the log: what was written meanwhile.
    left: Arc<AtomicI64>,
}

impl Checkpoints {
    /// So many bytes of text are in a transaction that has ended. Waits where the disk cannot keep up.
    pub fn written(&mut self, bytes: usize) {
        self.written += bytes;
        if self.written < STEP_BYTES {
            return;
        }
        self.written = 0;
        if self.running.as_ref().is_some_and(|it| it.left.load(Ordering::Relaxed) > MOST_LEFT_BYTES) {
            self.end();
        }
        if self.running.is_none() {
            self.running = self.database.clone().map(start);
        }
        // One that is under way or waits will do, and so will none where the thread has ended.
        let _ = self.running.as_ref().map(|running| running.wake.try_send(()));
    }

    /// Waits for the step under way; true where there was one.
    pub fn end(&mut self) -> bool {
        let Some(Running { wake, thread, .. }) = self.running.take() else { return false };
        drop(wake);
        let _ = thread.join();
        true
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.end();
    }
}

fn start(database: PathBuf) -> Running {
    let (wake, steps) = sync_channel(1);
    let left = Arc::new(AtomicI64::new(0));
    let tell = left.clone();
    let thread = thread::spawn(move || {
        if let Err(error) = take_steps(&database, &steps, &tell) {
            // The log stays, and the writer takes it over when it is long.
            tracing::debug!("the catalogue's log is not taken into it ahead of time: {error}");
        }
    });
    Running { wake, thread, left }
}

fn take_steps(database: &Path, steps: &Receiver<()>, left: &AtomicI64) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.pragma_update(None, "synchronous", "normal")?;
    let page = page_bytes(&connection)?;
    // Waits for nobody, and keeps nobody waiting. Bytes in the log, and those of them that are in the database.
    let take = || -> rusqlite::Result<(i64, i64)> {
        let bytes = |row: &Row<'_>, at: usize| row.get(at).map(|pages: i64| pages * page);
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((bytes(row, 1)?, bytes(row, 2)?)))
    };
    for () in steps {
        let (mut log, mut taken) = take()?;
        let mut before = 0;
        left.store(log - taken, Ordering::Relaxed);
        // A log of which nothing is left begins anew with the next transaction; a long one should. What somebody still reads
        // stays in it.
        while log > LONG_LOG_BYTES && taken < log && taken > before {
            before = taken;
            (log, taken) = take()?;
            left.store(log - taken, Ordering::Relaxed);
        }
    }
    Ok(())
}

impl Catalogue {
    /// For who writes much.
    pub(crate) fn checkpoints(&self) -> Checkpoints {
        Checkpoints { database: self.connection.path().map(PathBuf::from), written: 0, running: None }
    }

    /// Takes the log into the database and makes it as short as it can be while others read.
    pub(crate) fn shorten_log(&self) {
        let shorten = || -> Result<()> {
            self.connection.busy_timeout(Duration::ZERO)?;
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            Ok(())
        };
        if let Err(error) = shorten() {
            tracing::debug!("the catalogue's log stays long: {error}");
        }
        let _ = self.connection.busy_timeout(BUSY_TIMEOUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{CATALOGUE_FILE, tests::file};

    #[test]
    fn the_log_is_taken_into_the_database_and_cut() {
        let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut catalogue = Catalogue::open(data.path()).unwrap();
        catalogue.expect_much_writing().unwrap();
        let root = catalogue.add_root(folder.path(), 7).unwrap().0.root;
        let size = |suffix: &str| {
            data.path().join(format!("{CATALOGUE_FILE}{suffix}")).metadata().map_or(0, |file| file.len())
        };
        let (mut checkpoints, text) = (catalogue.checkpoints(), "well ".repeat(200_000));
        catalogue.record(root.id, &[file("a", &[&text])], &[], &[]).unwrap();
        assert!(size("") < text.len() as u64 && size("-wal") > text.len() as u64);
        checkpoints.written(STEP_BYTES - 1);
        assert!(!checkpoints.end(), "it is no step yet");
        checkpoints.written(1);
        assert!(checkpoints.end());
        assert!(size("") > text.len() as u64, "ending it waits for the step");
        catalogue.shorten_log();
        assert_eq!(size("-wal"), 0);
        assert_eq!(catalogue.counts().unwrap().chunks, 1);
    }
}
