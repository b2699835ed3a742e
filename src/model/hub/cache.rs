//! The Hub's cache on disk, `models--owner--name/{refs,blobs,snapshots}`: what is in it. Reads only.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use hf_hub::{Cache, Repo, RepoType};

use super::error::HubError;
use super::selection::{Selection, Wanted, is_plain_name, select};
use super::{FoundModel, local};
use crate::config::HubAccess;

pub(super) fn repository_of(wanted: &Wanted) -> Repo {
    Repo::with_revision(wanted.repository.clone(), RepoType::Model, wanted.revision.clone())
}

/// The directory in which a snapshot with this commit is, or would be.
pub(super) fn snapshot_directory(wanted: &Wanted, commit: &str, access: &HubAccess) -> PathBuf {
    Cache::new(access.cache.clone()).repo(repository_of(wanted)).pointer_path(commit)
}

/// Where the content with this etag is, or would be.
pub(super) fn blob(wanted: &Wanted, etag: &str, access: &HubAccess) -> PathBuf {
    Cache::new(access.cache.clone()).repo(repository_of(wanted)).blob_path(etag)
}

/// The snapshot of the wanted revision, if the cache has one.
pub(super) fn snapshot(wanted: &Wanted, access: &HubAccess) -> Option<PathBuf> {
    let folder = access.cache.join(repository_of(wanted).folder_name());
    let of_reference = fs::read_to_string(folder.join("refs").join(&wanted.revision)).ok();
    // Other tools keep no reference for a revision that is a commit.
    let commit = of_reference.as_deref().map_or(wanted.revision.as_str(), str::trim);
    if !is_plain_name(commit) {
        return None;
    }
    Some(snapshot_directory(wanted, commit, access)).filter(|directory| directory.is_dir())
}

/// The model in the cache.
///
/// # Errors
/// [`HubError::Absent`] where a file is missing, [`HubError::Damaged`] where a file is not what its name says.
pub(super) fn locate(wanted: &Wanted, access: &HubAccess) -> Result<FoundModel, HubError> {
    let absent = || HubError::Absent {
        name: wanted.display_name(),
        looked_for: format!("it in the Hub's cache, {}", access.cache.display()),
    };
    let snapshot = snapshot(wanted, access).ok_or_else(absent)?;
    let selection = match &wanted.file {
        Some(file) => Selection::Gguf(file.clone()),
        None => select(&wanted.repository, &local::file_names(&snapshot)).map_err(|_| absent())?,
    };
    match selection {
        Selection::Gguf(file) => {
            let path = snapshot.join(file);
            if !path.is_file() {
                return Err(absent());
            }
            local::open_gguf(&path, wanted.display_name()).map_err(|error| match error {
                HubError::NotAModel { path, reason } => HubError::Damaged { path, reason },
                other => other,
            })
        }
        Selection::Directory { .. } => {
            local::open_directory(&snapshot, wanted.display_name()).map_err(|error| match error {
                HubError::NotAModel { .. } => absent(),
                other => other,
            })
        }
    }
}

/// Every GGUF file and every whole safetensors directory in the cache. A file that several snapshots share is listed
/// once.
pub(super) fn list(access: &HubAccess) -> Vec<FoundModel> {
    let mut models = Vec::new();
    for folder in local::file_names(&access.cache) {
        let Some(repository) = folder.strip_prefix("models--") else { continue };
        let repository = repository.replace("--", "/");
        let snapshots = access.cache.join(&folder).join("snapshots");
        let mut seen = HashSet::new();
        for snapshot in local::file_names(&snapshots) {
            let found = models_of_snapshot(&repository, &snapshots.join(snapshot));
            models.extend(found.into_iter().filter(|model| {
                fs::canonicalize(model.files.path()).is_ok_and(|content| seen.insert(content))
            }));
        }
    }
    models
}

fn models_of_snapshot(repository: &str, snapshot: &Path) -> Vec<FoundModel> {
    let ggufs = local::file_names(snapshot).into_iter().filter(|file| local::is_gguf_name(file));
    let mut models: Vec<FoundModel> = ggufs
        .filter_map(|file| local::open_gguf(&snapshot.join(&file), format!("{repository}/{file}")).ok())
        .collect();
    models.extend(local::open_directory(snapshot, repository.to_owned()).ok());
    models
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::hub::ModelFiles;

    /// A cache as the Hub's tools lay it out; a file is (commit, name, content).
    fn cache(reference: Option<&str>, files: &[(&str, &str, &str)]) -> (tempfile::TempDir, HubAccess) {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("models--owner--name");
        for (commit, name, content) in files {
            let path = folder.join("snapshots").join(commit).join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        if let Some(commit) = reference {
            fs::create_dir_all(folder.join("refs")).unwrap();
            fs::write(folder.join("refs/main"), commit).unwrap();
        }
        let access = HubAccess { endpoint: None, cache: directory.path().to_owned(), token: None };
        (directory, access)
    }

    fn wanted(file: Option<&str>, revision: Option<&str>) -> Wanted {
        Wanted::new("owner/name", file, revision).unwrap()
    }

    #[test]
    fn a_revision_is_found_by_its_reference_or_as_a_commit() {
        let files = [("c1", "m.gguf", "GGUF-old"), ("c2", "m.gguf", "GGUF-newer")];
        let (_directory, access) = cache(Some("c2\n"), &files);
        assert_eq!(locate(&wanted(None, None), &access).unwrap().bytes, 10);
        assert_eq!(locate(&wanted(Some("m.gguf"), Some("c1")), &access).unwrap().bytes, 8);
        let absent = locate(&wanted(None, Some("c3")), &access).unwrap_err();
        assert!(matches!(absent, HubError::Absent { .. }), "{absent:?}");
    }

    #[test]
    fn a_reference_cannot_lead_out_of_the_cache() {
        let (directory, access) = cache(Some("../../../elsewhere"), &[("c1", "m.gguf", "GGUF")]);
        let elsewhere = directory.path().join("elsewhere");
        fs::create_dir_all(&elsewhere).unwrap();
        fs::write(elsewhere.join("m.gguf"), "GGUF").unwrap();
        assert!(matches!(locate(&wanted(None, None), &access), Err(HubError::Absent { .. })));
    }

    #[test]
    fn a_directory_that_is_not_whole_is_absent_and_a_wrong_file_is_damaged() {
        let index = r#"{"weight_map":{"a":"model-1.safetensors"}}"#;
        let files = [
            ("c1", "config.json", "{}"),
            ("c1", "tokenizer.json", "{}"),
            ("c1", "model.safetensors.index.json", index),
        ];
        let (directory, access) = cache(Some("c1"), &files);
        assert!(matches!(locate(&wanted(None, None), &access), Err(HubError::Absent { .. })));
        let snapshot = directory.path().join("models--owner--name/snapshots/c1");
        fs::write(snapshot.join("model-1.safetensors"), "weights").unwrap();
        let found = locate(&wanted(None, None), &access).unwrap();
        assert_eq!((found.files, found.bytes), (ModelFiles::Directory(snapshot.clone()), 7));
        fs::write(snapshot.join("bad.gguf"), "<html>").unwrap();
        let damaged = locate(&wanted(Some("bad.gguf"), None), &access).unwrap_err();
        assert!(matches!(damaged, HubError::Damaged { .. }), "{damaged:?}");
    }

    #[test]
    fn the_list_has_usable_models_only() {
        let files = [("c1", "m.gguf", "GGUF"), ("c1", "bad.gguf", "html"), ("c1", "config.json", "{}")];
        let (_directory, access) = cache(None, &files);
        let names: Vec<_> = list(&access).into_iter().map(|model| model.name).collect();
        assert_eq!(names, ["owner/name/m.gguf"]);
    }
}
