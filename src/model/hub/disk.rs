//! Space, locks, hashes and whole-or-absent files.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::HubError;
use super::{PullEvent, Pulling};
use crate::config::create_private_folder;

const LOCK_FILE: &str = ".lock";
/// Directories of unfinished downloads begin with this; whoever holds the lock may remove them.
pub(super) const UNFINISHED: &str = ".unfinished-";
const BUFFER_BYTES: usize = 256 * 1024;

/// The directory under the data directory in which models are kept.
pub(super) fn models_directory(data: &Path) -> PathBuf {
    data.join("models")
}

/// Creates `directory` and checks that its file system has `needed_bytes` free.
pub(super) fn ensure_space(directory: &Path, needed_bytes: u64) -> Result<(), HubError> {
    create_private_folder(directory).map_err(|error| HubError::storage(directory, error))?;
    let status =
        rustix::fs::statvfs(directory).map_err(|error| HubError::storage(directory, error.into()))?;
    let free_bytes = status.f_bavail.saturating_mul(status.f_frsize);
    // Some network file systems report no size at all; the write itself then tells.
    if status.f_blocks > 0 && free_bytes < needed_bytes {
        return Err(HubError::DiskFull { path: directory.to_owned(), needed_bytes, free_bytes });
    }
    Ok(())
}

/// Takes turns with other processes that fetch models, and removes what a killed one left. The turn ends when the
/// returned file is dropped.
pub(super) fn take_turn(models: &Path, progress: Pulling<'_>) -> Result<File, HubError> {
    create_private_folder(models).map_err(|error| HubError::storage(models, error))?;
    let path = models.join(LOCK_FILE);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| HubError::storage(&path, error))?;
    match file.try_lock() {
        Ok(()) => remove_unfinished(models),
        Err(TryLockError::WouldBlock) => {
            progress(PullEvent::Warning("another process is fetching a model; waiting for it".to_owned()));
            file.lock().map_err(|error| HubError::storage(&path, error))?;
            remove_unfinished(models);
        }
        // A file system without locks: files are put in place whole, so two processes do no harm to each other,
        // and what looks unfinished may be at work.
        Err(TryLockError::Error(_)) => {}
    }
    Ok(file)
}

fn remove_unfinished(models: &Path) {
    for entry in fs::read_dir(models).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED)
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "an unfinished download cannot be removed");
        }
    }
}

/// SHA-256 of a whole file, in lower-case hexadecimal.
pub(super) fn sha256_of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    copy_hashed(&mut file, &mut io::sink()).map(|(_, hash)| hash)
}

/// Copies everything and gives the number of bytes and their SHA-256 in lower-case hexadecimal.
pub(super) fn copy_hashed(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<(u64, String)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut bytes = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        bytes += read as u64;
    }
    Ok((bytes, hexadecimal(&hasher.finalize())))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a rename in `directory` survive a power cut.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_sha_256() {
        let mut copy = Vec::new();
        let (bytes, hash) = copy_hashed(&mut &b"abc"[..], &mut copy).unwrap();
        assert_eq!((bytes, copy.as_slice()), (3, &b"abc"[..]));
        // The example of FIPS 180-4.
        assert_eq!(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn more_than_is_free_is_refused_with_both_numbers() {
        let directory = tempfile::tempdir().unwrap();
        ensure_space(directory.path(), 1).unwrap();
        let error = ensure_space(directory.path(), u64::MAX).unwrap_err();
        assert!(matches!(error, HubError::DiskFull { needed_bytes: u64::MAX, .. }), "{error:?}");
    }

    #[test]
    fn taking_a_turn_removes_what_a_killed_process_left() {
        let models = tempfile::tempdir().unwrap();
        let left = models.path().join(format!("{UNFINISHED}1"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("half.whl"), "half").unwrap();
        fs::write(models.path().join("kept.gguf"), "GGUF").unwrap();
        let _turn = take_turn(models.path(), &mut |_| {}).unwrap();
        assert!(!left.exists());
        assert!(models.path().join("kept.gguf").exists());
    }
}
