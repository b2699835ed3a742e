//! Where cache files are, and how they come and go: whole or not at all, readable by their owner only.
//!
//! A name says whose a file is. Nothing but names made here is ever opened or deleted, and no link is followed.

use std::{
    fs::{self, DirEntry, File, OpenOptions, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::OFlags,
    io::Errno,
    process::{Pid, test_kill_process},
};

use super::{
    format::FORMAT_VERSION,
    key::{Fingerprint, KvKey, SegmentId},
};
use crate::config::create_private_folder;

const EXTENSION: &str = ".safetensors";
const UNFINISHED: &str = ".unfinished";

/// A file that is being written is locked; it is unlocked for the moment between being made and being locked. An
/// unlocked file of this age is nobody's, even where some process has the number of its owner.
const ABANDONED_AFTER: Duration = Duration::from_secs(600);

/// The directory of all cache files of this format version under the data directory.
pub(super) fn root(data: &Path) -> PathBuf {
    root_of(data, FORMAT_VERSION)
}

/// Those of earlier versions, in which names were made in the same way.
pub(super) fn outdated_roots(data: &Path) -> impl Iterator<Item = PathBuf> {
    let is_directory = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    (1..FORMAT_VERSION).map(move |version| root_of(data, version)).filter(is_directory)
}

fn root_of(data: &Path, version: u32) -> PathBuf {
    data.join("kv").join(format!("v{version}"))
}

/// Where a segment's file is.
pub(super) fn path(root: &Path, key: &KvKey) -> PathBuf {
    let group = root.join(key.fingerprint.to_string());
    let name = key.segment.to_string();
    match key.segment {
        SegmentId::Prefix => group.join(name + EXTENSION),
        SegmentId::Chunk(_) => group.join(&name[..2]).join(name + EXTENSION),
    }
}

/// Puts what `fill` writes at `path`, replacing what is there. The file appears under its name only when all of it
/// is on the disk; on any error nothing is left behind. Returns the bytes allocated for it.
pub(super) fn replace(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<u64> {
    let directory = path.parent().ok_or(ErrorKind::InvalidInput)?;
    let mut unfinished = create_unfinished(directory, path)?;
    // Held until the file is closed, by the end of this process at the latest. Without it (on a file system that
    // has no locks) the owner's number still speaks for the file.
    let _ = unfinished.as_file().try_lock();
    fill(unfinished.as_file_mut())?;
    unfinished.as_file().sync_all()?;
    let bytes = unfinished.as_file().metadata()?.blocks() * 512;
    unfinished.persist(path).map_err(|error| error.error)?;
    File::open(directory)?.sync_all()?;
    Ok(bytes)
}

fn create_unfinished(directory: &Path, path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let stem = path.file_stem().ok_or(ErrorKind::InvalidInput)?.to_string_lossy();
    let prefix = format!("{stem}.{}.", std::process::id());
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(UNFINISHED).permissions(fs::Permissions::from_mode(0o600));
    create_private_folder(directory)?;
    match builder.tempfile_in(directory) {
        // Another process has pruned the directory in this moment, empty as it was.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            create_private_folder(directory)?;
            builder.tempfile_in(directory)
        }
        result => result,
    }
}

/// Removes a file. `Ok(false)`: there was none, or its directory is a link, which is not followed.
pub(super) fn remove(path: &Path) -> io::Result<bool> {
    let directory = path.parent().map(fs::symlink_metadata);
    if !directory.is_some_and(|directory| directory.is_ok_and(|directory| directory.is_dir())) {
        return Ok(false);
    }
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a file, or says in the log why it stays.
pub(super) fn remove_or_warn(path: &Path) -> bool {
    remove(path).unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), %error, "a cache file could not be removed");
        false
    })
}

/// What is in the store's directory and is the store's.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub files: Vec<(KvKey, PathBuf)>,
    /// Files that some process is writing or was writing when it ended.
    pub unfinished: Vec<Unfinished>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfinished {
    pub path: PathBuf,
    pub process: i32,
}

/// Finds the files of all fingerprints. A directory that cannot be read is left out, with a warning in the log.
pub(super) fn scan(root: &Path) -> Scan {
    let mut scan = Scan::default();
    for (name, group) in directories(root) {
        let Some(fingerprint) = Fingerprint::from_hex(&name) else { continue };
        scan.files_of(fingerprint, &group, |name| name == "prefix");
        for (two_digits, directory) in directories(&group).filter(|(name, _)| name.len() == 2) {
            scan.files_of(fingerprint, &directory, |name| {
                name.len() == 64 && name.starts_with(two_digits.as_str())
            });
        }
    }
    scan
}

/// The fingerprints that have a directory.
pub(super) fn fingerprints(root: &Path) -> impl Iterator<Item = Fingerprint> {
    directories(root).filter_map(|(name, _)| Fingerprint::from_hex(&name))
}

impl Scan {
    /// Takes the files of one directory whose segment's name `belongs` there.
    fn files_of(&mut self, fingerprint: Fingerprint, directory: &Path, belongs: impl Fn(&str) -> bool) {
        for entry in entries(directory) {
            // A directory under a file's name cannot be ours.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let (stem, rest) = name.split_once('.').unwrap_or((&name, ""));
            let Some(segment) = SegmentId::parse(stem).filter(|_| belongs(stem)) else { continue };
            let path = entry.path();
            if name[stem.len()..] == *EXTENSION {
                self.files.push((KvKey { fingerprint, segment }, path));
            } else if let Some(process) = owner_of_unfinished(rest) {
                self.unfinished.push(Unfinished { path, process });
            }
        }
    }
}

/// The process in `<process>.<random>.unfinished`.
fn owner_of_unfinished(rest: &str) -> Option<i32> {
    let (process, random) = rest.strip_suffix(UNFINISHED)?.split_once('.')?;
    let well_formed = !random.is_empty() && random.bytes().all(|byte| byte.is_ascii_alphanumeric());
    process.parse().ok().filter(|process| well_formed && *process > 0)
}

fn directories(path: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    entries(path)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
}

fn entries(path: &Path) -> impl Iterator<Item = DirEntry> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => Some(entries),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a cache directory could not be read");
            None
        }
    };
    entries.into_iter().flatten().flatten()
}

impl Unfinished {
    /// True when nobody will finish the file: no one has it locked, and its process is gone or it is old.
    pub fn is_abandoned(&self) -> bool {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
        let Ok(file) = OpenOptions::new().read(true).custom_flags(flags as i32).open(&self.path) else {
            return false;
        };
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return false;
        }
        let age = file.metadata().and_then(|metadata| metadata.modified()).map(|time| time.elapsed());
        let is_old = matches!(age, Ok(Ok(age)) if age > ABANDONED_AFTER);
        is_old || !is_alive(self.process)
    }
}

fn is_alive(process: i32) -> bool {
    Pid::from_raw(process).is_some_and(|process| test_kill_process(process) != Err(Errno::SRCH))
}

/// Removes the directories that have become empty, below the root.
pub(super) fn remove_empty_directories(root: &Path) {
    for (_, group) in directories(root).filter(|(name, _)| Fingerprint::from_hex(name).is_some()) {
        for (_, directory) in directories(&group).filter(|(name, _)| name.len() == 2) {
            // Fails for one that is not empty, as it should.
            let _ = fs::remove_dir(directory);
        }
        let _ = fs::remove_dir(group);
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, process::Command, time::SystemTime};

    use super::*;
    use crate::corpus::ChunkId;

    fn key(segment: SegmentId) -> KvKey {
        KvKey { fingerprint: Fingerprint::from_hex(&"ab".repeat(32)).unwrap(), segment }
    }

    fn chunk() -> SegmentId {
        SegmentId::Chunk(ChunkId([0xcd; 32]))
    }

    fn names_in(directory: &Path) -> Vec<String> {
        entries(directory).map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn files_are_found_under_their_names_and_strangers_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut keys = [key(SegmentId::Prefix), key(chunk())];
        for key in &keys {
            replace(&path(folder.path(), key), |file| file.write_all(b"x")).unwrap();
        }
        let group = folder.path().join("ab".repeat(32));
        let chunk_file = format!("{}{EXTENSION}", "cd".repeat(32));
        for stranger in [
            "notes.txt",
            "prefix.txt",
            "prefix.safetensors.bak",
            "prefix.-1.abc.unfinished",
            "prefix.1..unfinished",
        ] {
            fs::write(group.join(stranger), "").unwrap();
        }
        // A chunk's file in another chunk's directory, and one that is a directory.
        fs::create_dir(group.join("00")).unwrap();
        fs::write(group.join("00").join(&chunk_file), "").unwrap();
        fs::create_dir_all(group.join("ee").join(format!("{}{EXTENSION}", "ee".repeat(32)))).unwrap();
        fs::create_dir(folder.path().join("elsewhere")).unwrap();
        fs::write(folder.path().join("elsewhere").join("prefix.safetensors"), "").unwrap();

        let scan = scan(folder.path());

        let mut found: Vec<_> = scan.files.iter().map(|(key, _)| *key).collect();
        found.sort();
        keys.sort();
        assert_eq!(found, keys);
        assert_eq!(scan.unfinished, []);
    }

    #[test]
    fn links_to_directories_are_not_followed() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        replace(&path(elsewhere.path(), &key(chunk())), |file| file.write_all(b"x")).unwrap();
        let group = "ab".repeat(32);
        std::os::unix::fs::symlink(elsewhere.path().join(&group), folder.path().join(&group)).unwrap();
        assert!(scan(folder.path()).files.is_empty());

        let (inner, two_digits) = (tempfile::tempdir().unwrap(), "cd");
        fs::create_dir(inner.path().join(&group)).unwrap();
        let target = elsewhere.path().join(&group).join(two_digits);
        std::os::unix::fs::symlink(&target, inner.path().join(&group).join(two_digits)).unwrap();
        assert!(scan(inner.path()).files.is_empty());
        assert!(!remove(&path(inner.path(), &key(chunk()))).unwrap());
        assert!(path(elsewhere.path(), &key(chunk())).exists());
    }

    #[test]
    fn a_write_that_fails_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(folder.path(), &key(chunk()));
        replace(&path, |file| file.write_all(b"old")).unwrap();

        let error = replace(&path, |file| {
            file.write_all(b"half of the new")?;
            Err(ErrorKind::StorageFull.into())
        });

        assert_eq!(error.unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names_in(path.parent().unwrap()).len(), 1);
    }

    #[test]
    fn only_the_owner_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = root(folder.path());
        let file = path(&root, &key(chunk()));
        replace(&file, |file| file.write_all(b"x")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&file), 0o600);
        for directory in file.ancestors().skip(1).take_while(|path| *path != folder.path()) {
            assert_eq!(mode(directory), 0o700, "{}", directory.display());
        }
    }

    #[test]
    fn unfinished_files_are_left_to_a_living_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(folder.path(), &key(chunk()));
        let mut gone = Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let unfinished = |process: u32, random: &str| {
            let path = path.with_extension(format!("{process}.{random}{UNFINISHED}"));
            create_private_folder(path.parent().unwrap()).unwrap();
            (File::create(&path).unwrap(), path)
        };
        let (_, _dead) = unfinished(gone.id(), "dead");
        let (_, _new) = unfinished(std::process::id(), "new");
        let (old, _) = unfinished(std::process::id(), "old");
        old.set_modified(SystemTime::now() - 2 * ABANDONED_AFTER).unwrap();
        let (locked, _) = unfinished(gone.id(), "locked");
        locked.lock().unwrap();

        let mut abandoned: Vec<String> = scan(folder.path())
            .unfinished
            .iter()
            .filter(|file| file.is_abandoned())
            .map(|file| file.path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();

        abandoned.sort_by_key(|name| name.ends_with("old"));
        assert_eq!(abandoned.len(), 2, "{abandoned:?}");
        assert!(abandoned[0].ends_with("dead") && abandoned[1].ends_with("old"), "{abandoned:?}");
    }

    #[test]
    fn a_file_being_written_is_not_abandoned() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(folder.path(), &key(chunk()));
        replace(&path, |_| {
            let scan = scan(folder.path());
            assert_eq!((scan.files.len(), scan.unfinished.len()), (0, 1));
            assert!(!scan.unfinished[0].is_abandoned());
            Ok(())
        })
        .unwrap();
        assert!(scan(folder.path()).unfinished.is_empty());
    }
}
