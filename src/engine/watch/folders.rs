//! The folders that the system watches for us.
//!
//! On Linux every folder takes a watch of its own, of which there is a limited number, so only those that a walk goes
//! through are watched: no hidden and no ignored ones. Elsewhere the system watches a folder with all that is below it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::{
    catalogue::{Root, RootKind},
    corpus::walk::{self, Scope},
};

/// A watch of one folder does for those below it as well.
const WATCHES_ARE_RECURSIVE: bool = !cfg!(any(target_os = "linux", target_os = "android"));
/// A new folder is listed again until nothing is new in it, since what comes before its watch is not told; so often.
const LISTINGS: usize = 5;

/// Why the system does not watch a folder, and what can be done about it.
pub(super) struct Refused {
    pub reason: String,
}

/// What tells a folder from another that has taken its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

pub(super) struct Folders {
    watcher: Result<RecommendedWatcher, String>,
    watched: BTreeSet<PathBuf>,
    /// Never watched.
    data: PathBuf,
}

impl Folders {
    pub fn new(watcher: notify::Result<RecommendedWatcher>, data: &Path) -> Self {
        let watcher = watcher.map_err(|error| advice(&error));
        let data = fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
        Self { watcher, watched: BTreeSet::new(), data }
    }

    /// Watches a root. On a failure none of its folders is watched.
    pub fn watch_root(&mut self, root: &Root) -> Result<(), Refused> {
        if let Some(system) = network_file_system(&root.path) {
            let reason = format!(
                "{} is on a network file system ({system}), which does not tell of changes made elsewhere",
                root.path.display()
            );
            return Err(Refused { reason });
        }
        let watched = match root.kind {
            // The folder, since programs put a new file in the place of the old one.
            RootKind::File => self.watch(root.path.parent().unwrap_or(&root.path)),
            RootKind::Folder => self.watch_below(&root.path, &root.path),
        };
        watched.inspect_err(|_| self.forget(&root.path))
    }

    /// Watches a folder of a root with those below it.
    pub fn watch_below(&mut self, root: &Path, folder: &Path) -> Result<(), Refused> {
        if WATCHES_ARE_RECURSIVE {
            return self.watch(root);
        }
        let within = (folder != root).then(|| BTreeSet::from([folder.to_owned()]));
        let scope = Scope { within, without: Some(self.data.clone()), wanted: None };
        for _ in 0..LISTINGS {
            let new = walk::folders(root, &scope).into_iter().filter(|folder| !self.watched.contains(folder));
            let new: Vec<PathBuf> = new.collect();
            if new.is_empty() {
                break;
            }
            for folder in new {
                self.watch(&folder)?;
            }
        }
        Ok(())
    }

    fn watch(&mut self, folder: &Path) -> Result<(), Refused> {
        let watcher = match &mut self.watcher {
            Ok(watcher) => watcher,
            Err(reason) => return Err(Refused { reason: reason.clone() }),
        };
        if self.watched.contains(folder) {
            return Ok(());
        }
        let mode = if WATCHES_ARE_RECURSIVE { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        match watcher.watch(folder, mode) {
            Ok(()) => {
                self.watched.insert(folder.to_owned());
                Ok(())
            }
            // A folder that is gone by now, or cannot be read, has nothing that could be indexed.
            Err(_) if fs::read_dir(folder).is_err() && folder.parent().is_some_and(Path::exists) => Ok(()),
            Err(error) => Err(Refused { reason: format!("{}: {}", folder.display(), advice(&error)) }),
        }
    }

    /// Watches neither this folder nor those below it any more.
    pub fn forget(&mut self, folder: &Path) {
        let gone: Vec<PathBuf> = self
            .watched
            .range(folder.to_owned()..)
            .take_while(|path| path.starts_with(folder))
            .cloned()
            .collect();
        for path in gone {
            self.watched.remove(&path);
            if let Ok(watcher) = &mut self.watcher {
                // The system has let go of what was removed.
                let _ = watcher.unwatch(&path);
            }
        }
    }
}

/// The folder or file at `path`; `None` where there is none.
pub(super) fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).ok()?;
    Some(Identity { device: metadata.dev(), inode: metadata.ino() })
}

/// What an error means for the user.
fn advice(error: &notify::Error) -> String {
    // EMFILE and ENOSPC, which stand for other things than they say.
    let code = match &error.kind {
        ErrorKind::Io(error) => error.raw_os_error(),
        _ => None,
    };
    match (&error.kind, code) {
        (ErrorKind::MaxFilesWatch, _) | (_, Some(28)) => {
            "the system's limit of watched folders is reached; raise \
            fs.inotify.max_user_watches with sysctl, then start the indexer again"
                .to_owned()
        }
        (_, Some(24)) => {
            "the system's limit of watchers is reached; raise fs.inotify.max_user_instances with \
            sysctl, then start the indexer again"
                .to_owned()
        }
        _ => format!("the system cannot watch it ({error})"),
    }
}

/// The name of the network file system that `path` is on, if it is.
#[cfg(target_os = "linux")]
fn network_file_system(path: &Path) -> Option<&'static str> {
    let kind = rustix::fs::statfs(path).ok()?.f_type;
    // As in <linux/magic.h>; CIFS, SMB2, Ceph, AFS and Lustre have theirs elsewhere.
    let name = match kind as u32 {
        0x6969 => "NFS",
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => "SMB",
        0x6573_5546 => "FUSE",
        0x0102_1997 => "9P",
        0x00C3_6400 => "Ceph",
        0x5346_414F => "AFS",
        0x0BD0_0BD0 => "Lustre",
        _ => return None,
    };
    Some(name)
}

#[cfg(not(target_os = "linux"))]
fn network_file_system(_path: &Path) -> Option<&'static str> {
    None
}
