//! How a model is named: by a path, or by its repository on the Hugging Face Hub.

use std::{
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
};

use super::ModelSource;

impl ModelSource {
    /// Reads `default`, a path, or `owner/name[@revision][:file]`. What exists as a path is a path; relative paths
    /// start at `base`, and `~/` is `home`, since no shell has expanded it in a configuration file.
    pub(super) fn parse(text: &OsStr, base: &Path, home: Option<&Path>) -> Result<Self, String> {
        if text.is_empty() {
            return Err("names no model; give a path or owner/name".into());
        }
        if text == "default" {
            return Ok(Self::Default);
        }
        let path = expand(Path::new(text), base, home);
        if path.exists() {
            return Ok(Self::Path(path));
        }
        match text.to_str().and_then(hub_repository) {
            Some(hub) => Ok(hub),
            None => Ok(Self::Path(path)),
        }
    }
}

/// `path` with `~/` replaced by `home` and taken from `base` when it is relative.
pub(super) fn expand(path: &Path, base: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => base.join(path),
    }
}

/// `owner/name[@revision][:file]`, unless it looks like the path of a file.
fn hub_repository(text: &str) -> Option<ModelSource> {
    let (repository, file) = match text.split_once(':') {
        Some((repository, file)) => (repository, Some(file)),
        None => (text, None),
    };
    let (repository, revision) = match repository.split_once('@') {
        Some((repository, revision)) => (repository, Some(revision)),
        None => (repository, None),
    };
    let (owner, name) = repository.split_once('/')?;
    let is_file = [".gguf", ".safetensors", ".bin"].iter().any(|suffix| name.ends_with(suffix));
    let parts_are_names = is_name(owner) && is_name(name) && !is_file;
    let options_are_given = file.is_none_or(is_inner_path) && revision.is_none_or(is_inner_path);
    (parts_are_names && options_are_given).then(|| ModelSource::Hub {
        repository: repository.to_owned(),
        file: file.map(str::to_owned),
        revision: revision.map(str::to_owned),
    })
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// A path that stays inside the repository.
fn is_inner_path(text: &str) -> bool {
    !text.is_empty() && text.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Hub { repository, file, revision } => {
                f.write_str(repository)?;
                if let Some(revision) = revision {
                    write!(f, "@{revision}")?;
                }
                if let Some(file) = file {
                    write!(f, ":{file}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ModelSource {
        ModelSource::parse(OsStr::new(text), Path::new("/base"), Some(Path::new("/home/ada"))).unwrap()
    }

    fn hub(repository: &str, revision: Option<&str>, file: Option<&str>) -> ModelSource {
        ModelSource::Hub {
            repository: repository.into(),
            file: file.map(str::to_owned),
            revision: revision.map(str::to_owned),
        }
    }

    #[test]
    fn names_of_the_hub_and_paths_are_told_apart() {
        assert_eq!(parse("default"), ModelSource::Default);
        assert_eq!(parse("owner/name-1.5"), hub("owner/name-1.5", None, None));
        assert_eq!(parse("owner/name:sub/q4.gguf"), hub("owner/name", None, Some("sub/q4.gguf")));
        assert_eq!(parse("owner/name@main:q4.gguf"), hub("owner/name", Some("main"), Some("q4.gguf")));
        assert_eq!(parse("model.gguf"), ModelSource::Path("/base/model.gguf".into()));
        assert_eq!(parse("models/tiny.gguf"), ModelSource::Path("/base/models/tiny.gguf".into()));
        assert_eq!(parse("./owner/name"), ModelSource::Path("/base/./owner/name".into()));
        assert_eq!(parse("~/tiny.gguf"), ModelSource::Path("/home/ada/tiny.gguf".into()));
        assert_eq!(parse("a/b/c"), ModelSource::Path("/base/a/b/c".into()));
    }

    #[test]
    fn a_file_outside_the_repository_is_no_hub_name() {
        assert!(matches!(parse("owner/name:../../etc/passwd"), ModelSource::Path(_)));
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in ["default", "owner/name", "owner/name@v1:a/b.gguf", "/models/tiny.gguf"] {
            assert_eq!(parse(text).to_string(), text);
        }
    }

    #[test]
    fn an_existing_path_wins_over_the_hub() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("owner/name")).unwrap();
        let source = ModelSource::parse(OsStr::new("owner/name"), folder.path(), None).unwrap();
        assert_eq!(source, ModelSource::Path(folder.path().join("owner/name")));
    }
}
