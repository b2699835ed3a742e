//! One writer at a time: an advisory lock on a file that names its holder. The operating system releases it when
//! the holder ends, however it ends, so the file alone means nothing.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::Path,
};

use super::{IndexError, Result};

/// The lock file's name in the data directory.
const LOCK_FILE: &str = "index.lock";

/// Held while it lives.
pub(super) struct WriterLock {
    _file: File,
}

impl WriterLock {
    /// Takes the lock of the data directory, or says who has it, without waiting.
    pub(super) fn take(data: &Path) -> Result<Self> {
        let path = data.join(LOCK_FILE);
        let mut file = open_private(&path).map_err(|error| IndexError::io(&path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(IndexError::Busy { process: holder(&mut file) }),
            Err(TryLockError::Error(error)) => return Err(IndexError::io(&path, error)),
        }
        sign(&mut file).map_err(|error| IndexError::io(&path, error))?;
        Ok(Self { _file: file })
    }
}

/// Opens the file, creating it for the user alone.
fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> Option<u32> {
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
        let error = WriterLock::take(data.path()).err().expect("the lock is held");
        let process = std::process::id();
        assert_eq!(
            error.to_string(),
            format!("another Gibbon (process {process}) is indexing; wait until it is done")
        );
        drop(first);
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
