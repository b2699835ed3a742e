//! One writer at a time: an advisory lock on a file that names its holder. The operating system releases it when
//! the holder ends, however it ends, so the file alone means nothing.

use std::{
    fs::{File, TryLockError},
    io::{self, Read, Seek, Write},
    path::Path,
    thread,
    time::Duration,
};

use super::{IndexError, Result};
use crate::config::{create_private_folder, private_file};

/// The lock file's name in the data directory.
const LOCK_FILE: &str = "index.lock";

/// Whoever only looks who has the lock holds it for a moment: so often it is tried again, and so long after.
const ATTEMPTS: usize = 5;
const PAUSE: Duration = Duration::from_millis(10);

/// The right to index in a data directory. Held while it lives.
#[derive(Debug)]
pub struct WriterLock {
    _file: File,
}

/// Who has the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockHolder {
    /// `None` in the moment between taking the lock and writing the id down.
    pub process: Option<u32>,
}

impl WriterLock {
    /// Takes the lock of the data directory, which is created where there is none, or says who has it.
    ///
    /// # Errors
    /// [`IndexError::Busy`] where another process, or another part of this one, has it.
    pub fn take(data: &Path) -> Result<Self> {
        create_private_folder(data).map_err(|error| IndexError::io(data, error))?;
        let path = data.join(LOCK_FILE);
        let opened = private_file().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(|error| IndexError::io(&path, error))?;
        for attempt in 1.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < ATTEMPTS => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(IndexError::Busy { process: signature(&mut file) });
                }
                Err(TryLockError::Error(error)) => return Err(IndexError::io(&path, error)),
            }
        }
        sign(&mut file).map_err(|error| IndexError::io(&path, error))?;
        Ok(Self { _file: file })
    }

    /// Who is indexing in the data directory; `None` where nobody is. Creates nothing.
    pub fn holder(data: &Path) -> Option<LockHolder> {
        let mut file = File::open(data.join(LOCK_FILE)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(LockHolder { process: signature(&mut file) }),
            _ => None,
        }
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn signature(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_taker_learns_who_has_it_and_gets_it_afterwards() {
        let data = tempfile::tempdir().unwrap();
        let first = WriterLock::take(data.path()).unwrap();
        let error = WriterLock::take(data.path()).expect_err("the lock is held");
        let process = std::process::id();
        assert_eq!(
            error.to_string(),
            format!("another Gibbon (process {process}) is indexing; wait until it is done")
        );
        assert_eq!(WriterLock::holder(data.path()), Some(LockHolder { process: Some(process) }));
        drop(first);
        assert_eq!(WriterLock::holder(data.path()), None);
        assert!(WriterLock::take(data.path()).is_ok());
    }

    #[test]
    fn a_lock_file_that_nobody_holds_is_no_lock() {
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join(LOCK_FILE), "4711 and a longer text that a crash left behind")
            .unwrap();
        let _lock = WriterLock::take(data.path()).unwrap();
        let text = std::fs::read_to_string(data.path().join(LOCK_FILE)).unwrap();
        assert_eq!(text.trim(), std::process::id().to_string());
    }
}
