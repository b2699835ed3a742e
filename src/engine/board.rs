//! What this process tells others of its index run: a small file in the data directory, replaced a few times a second
//! at most. It is believed only while its writer has the lock of the data directory, so a crash leaves nothing to mend.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use super::protocol::{Activity, Event, IndexPhase, IndexerStatus, Progress, RequestId, WatchedRoot};
use crate::{config::private_file, index::WriterLock};

/// The status file's name in the data directory.
const STATUS_FILE: &str = "indexer.json";

/// The status of this process's index run; empty while there is none.
#[derive(Debug, Clone, Default)]
pub(super) struct Board(Arc<Mutex<Posting>>);

#[derive(Debug, Default)]
struct Posting {
    /// The index run's; events about other requests are none of the board's business.
    id: Option<RequestId>,
    status: IndexerStatus,
    /// Since it was last taken to be written.
    changed: bool,
    measured: Option<Measured>,
}

/// Where the measuring of a phase's speed began.
#[derive(Debug, Clone, Copy)]
struct Measured {
    phase: IndexPhase,
    began: Instant,
    done: u64,
}

impl Board {
    /// From here on, what happens to this request is posted.
    pub fn begin(&self, id: RequestId) {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        let status = IndexerStatus { process: std::process::id(), started, ..IndexerStatus::default() };
        *self.locked() = Posting { id: Some(id), status, changed: true, measured: None };
    }

    /// Nothing is posted any more.
    pub fn end(&self) {
        *self.locked() = Posting::default();
    }

    /// Takes in what the front end is told.
    pub fn note(&self, event: &Event) {
        let mut posting = self.locked();
        let own = posting.id;
        match event {
            Event::Progress { id, progress } if Some(*id) == own => posting.advance(*progress),
            Event::LeftOut { id, .. } if Some(*id) == own => posting.change(|status| status.left_out += 1),
            Event::Ready(now) if own.is_some() => posting.change(|status| {
                status.files = now.files;
                status.chunks = now.chunks;
                status.cached_chunks = now.cached_chunks;
                status.cache_bytes = now.cache_bytes;
            }),
            Event::Warning { message, .. } if own.is_some() => {
                posting.change(|status| status.last_error = Some(message.clone()));
            }
            _ => {}
        }
    }

    pub fn set_activity(&self, activity: Activity) {
        self.locked().change(|status| {
            status.activity = activity;
            if activity == Activity::Watching {
                (status.rate, status.seconds_left) = (None, None);
            }
        });
    }

    pub fn set_watched(&self, watched: Vec<WatchedRoot>) {
        self.locked().change(|status| status.watched = watched);
    }

    pub fn watched(&self) -> Vec<WatchedRoot> {
        self.locked().status.watched.clone()
    }

    /// The status, where it has changed since this was last called.
    pub fn take_changed(&self) -> Option<IndexerStatus> {
        let mut posting = self.locked();
        let is_news = posting.id.is_some() && std::mem::take(&mut posting.changed);
        is_news.then(|| posting.status.clone())
    }

    fn locked(&self) -> MutexGuard<'_, Posting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Posting {
    fn change(&mut self, change: impl FnOnce(&mut IndexerStatus)) {
        change(&mut self.status);
        self.changed = true;
    }

    /// Takes note of progress, and of how fast it is. What stands still is not measured.
    fn advance(&mut self, progress: Progress) {
        let now = Instant::now();
        let same =
            self.measured.filter(|measured| measured.phase == progress.phase && progress.hold.is_none());
        let began = same.unwrap_or(Measured { phase: progress.phase, began: now, done: progress.done });
        self.measured = progress.hold.is_none().then_some(began);
        let seconds = now.duration_since(began.began).as_secs_f64();
        let rate = (progress.done.saturating_sub(began.done)) as f64 / seconds;
        let rate = Some(rate).filter(|rate| rate.is_normal() && seconds >= 1.0);
        let left = progress.total.saturating_sub(progress.done);
        self.change(|status| {
            if status.activity == Activity::Watching {
                status.activity = Activity::Indexing;
            }
            status.progress = Some(progress);
            status.cache_bytes = progress.cache_bytes;
            status.rate = rate;
            status.seconds_left = rate.filter(|_| progress.total > 0).map(|rate| left as f64 / rate);
        });
    }
}

/// Writes the status whole or not at all. Only for the holder of the lock.
pub(super) fn write(data: &Path, status: &IndexerStatus) -> io::Result<()> {
    let text = serde_json::to_vec(status).map_err(io::Error::other)?;
    replace(&data.join(STATUS_FILE), &text)
}

/// Removes the status: the run is over.
pub(super) fn remove(data: &Path) {
    for path in [data.join(STATUS_FILE), unfinished(&data.join(STATUS_FILE))] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "the status of the index run could not be removed");
            }
            _ => {}
        }
    }
}

/// The status of the process that indexes in this data directory; `None` where none does. A process that has only
/// just begun has posted nothing but its id.
pub(super) fn read(data: &Path) -> Option<IndexerStatus> {
    let holder = WriterLock::holder(data)?;
    let posted = fs::read(data.join(STATUS_FILE)).ok();
    let status: Option<IndexerStatus> = posted.and_then(|text| serde_json::from_slice(&text).ok());
    let of_holder = status.filter(|status| Some(status.process) == holder.process);
    Some(
        of_holder
            .unwrap_or(IndexerStatus { process: holder.process.unwrap_or(0), ..IndexerStatus::default() }),
    )
}

/// Puts a file of the user's alone in the place of another.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = unfinished(path);
    let opened = private_file().write(true).create(true).truncate(true).open(&unfinished);
    let written = opened.and_then(|mut file| file.write_all(content));
    written.and_then(|()| fs::rename(&unfinished, path)).inspect_err(|_| drop(fs::remove_file(&unfinished)))
}

fn unfinished(path: &Path) -> PathBuf {
    path.with_extension("new")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::protocol::{Hold, Unit};

    fn progress(done: u64, hold: Option<Hold>) -> Event {
        let progress = Progress {
            phase: IndexPhase::Encode,
            done,
            total: 100,
            unit: Unit::Tokens,
            cache_bytes: 7,
            hold,
        };
        Event::Progress { id: RequestId(4), progress }
    }

    #[test]
    fn a_run_is_posted_and_other_requests_are_not() {
        let board = Board::default();
        board.note(&progress(1, None));
        assert_eq!(board.take_changed(), None, "nothing is indexed");
        board.begin(RequestId(4));
        assert!(board.take_changed().is_some_and(|status| status.process == std::process::id()));
        assert_eq!(board.take_changed(), None, "told once");
        let Event::Progress { progress: other, .. } = progress(9, None) else { return };
        board.note(&Event::Progress { id: RequestId(5), progress: other });
        assert_eq!(board.take_changed(), None);
        board.note(&progress(10, Some(Hold::Battery)));
        let status = board.take_changed().unwrap();
        assert_eq!((status.progress.unwrap().hold, status.rate), (Some(Hold::Battery), None));
        board.end();
        board.set_activity(Activity::Watching);
        assert_eq!(board.take_changed(), None);
    }

    #[test]
    fn what_is_posted_counts_only_while_its_writer_has_the_lock() {
        let data = tempfile::tempdir().unwrap();
        let status = IndexerStatus { process: std::process::id(), files: 3, ..IndexerStatus::default() };
        write(data.path(), &status).unwrap();
        assert_eq!(read(data.path()), None, "a crash left it behind");
        let lock = WriterLock::take(data.path()).unwrap();
        assert_eq!(read(data.path()), Some(status.clone()));
        write(data.path(), &IndexerStatus { process: 1, ..status }).unwrap();
        assert_eq!(read(data.path()).map(|status| status.files), Some(0), "another process's");
        std::fs::write(data.path().join(STATUS_FILE), "{\"process\": ").unwrap();
        assert_eq!(read(data.path()).map(|status| status.process), Some(std::process::id()));
        drop(lock);
        remove(data.path());
        assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 1, "the lock file is left");
    }
}
