//! Where files may have changed. Only hints: what has changed is seen by hash.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::{catalogue::Root, corpus::walk::Scope};

/// With more hints than this, whole roots are looked at.
const MOST_PATHS: usize = 2000;

/// Files and folders to look at again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Roots to look at as a whole.
    pub roots: BTreeSet<PathBuf>,
    /// Files and folders in roots.
    pub paths: BTreeSet<PathBuf>,
    /// No file may have changed, but something was left to do.
    pub unfinished: bool,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty() && self.paths.is_empty() && !self.unfinished
    }

    pub fn add(&mut self, root: &Path, path: PathBuf) {
        if self.roots.contains(root) {
            return;
        }
        if path == root || self.paths.len() >= MOST_PATHS {
            self.paths.retain(|path| !path.starts_with(root));
            self.roots.insert(root.to_owned());
        } else {
            self.paths.insert(path);
        }
    }

    pub fn merge(&mut self, other: Self) {
        self.roots.extend(other.roots);
        self.paths.extend(other.paths);
        self.unfinished |= other.unfinished;
    }

    /// What of the root is to be looked at; `None` for nothing.
    pub fn scope_of(&self, root: &Root) -> Option<Scope> {
        if self.roots.contains(&root.path) {
            return Some(Scope::default());
        }
        let within: BTreeSet<PathBuf> =
            self.paths.iter().filter(|path| path.starts_with(&root.path)).cloned().collect();
        (!within.is_empty()).then(|| Scope { within: Some(within), ..Scope::default() })
    }
}
