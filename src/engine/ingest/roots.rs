//! Which folders and files a run looks at.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    super::{
        failure::nothing_to_watch,
        protocol::{Failure, FailureKind, IndexReport, IndexRequest},
    },
    Surroundings, remove_caches,
};
use crate::{
    catalogue::{Root, RootOutcome},
    config::Config,
    corpus::{
        collections::Collections,
        walk::{Scope, WalkError},
    },
    index::Writer,
};

/// What is to be looked at, and paths of collections that do not exist.
pub(super) type Wanted = (Vec<(Root, Scope)>, Vec<PathBuf>);

/// Takes out and adds what the request says; gives what is to be looked at, all of which is watched from here on where
/// the request watches.
pub(super) fn roots_of(
    request: &IndexRequest,
    writer: &mut Writer,
    collections: &Collections,
    around: &Surroundings,
    report: &mut IndexReport,
) -> Result<Wanted, Failure> {
    for path in &request.forget {
        forget(writer, path, around, report)?;
    }
    let (mut roots, missing) = roots_to_visit(writer, request, collections, around.config)?;
    if let Some(watch) = &around.watch {
        let all = writer.catalogue().roots()?;
        if all.is_empty() {
            return Err(nothing_to_watch());
        }
        watch.watch(all.clone());
        let others = all.into_iter().filter(|root| !roots.contains(root)).collect::<Vec<_>>();
        roots.extend(others);
    }
    Ok((roots.into_iter().map(|root| (root, Scope::default())).collect(), missing))
}

/// The roots of the paths to add, each once; all known roots and the paths of all collections where there are no paths and
/// nothing was forgotten. A path of a collection that does not exist comes back as the second: one that was typed is an
/// error, the other may be on a disk that is not there today.
fn roots_to_visit(
    writer: &mut Writer,
    request: &IndexRequest,
    collections: &Collections,
    config: &Config,
) -> Result<(Vec<Root>, Vec<PathBuf>), Failure> {
    for path in &request.add {
        check_exists(path)?;
    }
    let is_all = request.add.is_empty() && request.collections.is_empty() && request.forget.is_empty();
    let names: Vec<&String> =
        if is_all { config.collections.keys().collect() } else { request.collections.iter().collect() };
    let mut configured = Vec::new();
    for name in names {
        let collection = config.collections.get(name).ok_or_else(|| unknown_collection(name))?;
        configured.extend(&collection.paths);
    }
    let (configured, missing): (Vec<_>, Vec<_>) =
        configured.into_iter().partition(|path| check_exists(path).is_ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
    let mut roots: Vec<Root> = Vec::new();
    for path in request.add.iter().chain(configured) {
        let added = writer.add_root(path, now)?;
        let mut root = added.root;
        if added.outcome != RootOutcome::Inside {
            root.for_collection = collections.choose_in(&root.path);
            writer.set_for_collection(root.id, root.for_collection)?;
        }
        if !roots.iter().any(|known| known.id == root.id) {
            roots.push(root);
        }
    }
    if is_all {
        // All of them, as they are after some were added.
        roots = writer.catalogue().roots()?;
    }
    // A root that was taken over by one added after it is gone.
    let left: HashSet<_> = writer.catalogue().roots()?.into_iter().map(|root| root.id).collect();
    roots.retain(|root| left.contains(&root.id));
    Ok((roots, missing.into_iter().cloned().collect()))
}

fn unknown_collection(name: &str) -> Failure {
    Failure::new(
        FailureKind::BadRequest,
        format!("there is no collection `{name}`"),
        "`gibbon collection ls` lists them, `gibbon collection add NAME PATH` makes one.",
    )
}

/// A mistyped path is told before anything is added.
fn check_exists(path: &Path) -> Result<(), WalkError> {
    let path = path.to_owned();
    match std::fs::metadata(&path) {
        Ok(_) => Ok(()),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Err(WalkError::Missing { path }),
        Err(source) => Err(WalkError::Unreadable { path, source }),
    }
}

fn forget(
    writer: &mut Writer,
    path: &Path,
    around: &Surroundings,
    report: &mut IndexReport,
) -> Result<(), Failure> {
    let root = writer.catalogue().root_at(path)?;
    report.files_removed += writer.known_files(root.id)?.len();
    let applied = writer.remove_root(root.id)?;
    report.chunks_removed += applied.chunks_removed;
    remove_caches(&applied.orphaned, around)
}
