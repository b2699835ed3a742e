//! How a command ends: its exit code, and the errors that lead to one.

use std::io;

use crate::engine::{Failure, FailureKind};

/// The exit codes. Scripts rely on them: a code never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done,
    Failed,
    Usage,
    NothingFound,
    NoModel,
    Busy,
    Cancelled,
}

impl Exit {
    pub const ALL: [Self; 7] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::NothingFound,
        Self::NoModel,
        Self::Busy,
        Self::Cancelled,
    ];

    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NothingFound => 3,
            Self::NoModel => 4,
            Self::Busy => 5,
            Self::Cancelled => 130,
        }
    }

    /// What the code says, for the help text.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed; or `doctor` or `cache verify` found a problem",
            Self::Usage => "the command line or the configuration is wrong",
            Self::NothingFound => "nothing is indexed, or no document matches the question",
            Self::NoModel => "the model is not on this machine or cannot be used",
            Self::Busy => "another process is indexing",
            Self::Cancelled => "cancelled by Ctrl-C",
        }
    }
}

/// Why a command stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Failed(#[from] Failure),
    #[error("the output could not be written: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    /// The request makes no sense as it is.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Failed(Failure {
            kind: FailureKind::BadRequest,
            message: message.into(),
            hint: Some(hint.into()),
        })
    }

    /// The exit code. A reader that went away, as in `gibbon ... | head`, is no failure.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Output(_) => Exit::Failed,
            Self::Failed(failure) => match failure.kind {
                FailureKind::NoModel | FailureKind::UnsupportedModel => Exit::NoModel,
                FailureKind::NoDocuments | FailureKind::NoMatch => Exit::NothingFound,
                FailureKind::Busy => Exit::Busy,
                FailureKind::Cancelled => Exit::Cancelled,
                FailureKind::BadRequest => Exit::Usage,
                FailureKind::ContextTooLong
                | FailureKind::NoIndexer
                | FailureKind::Storage
                | FailureKind::Internal => Exit::Failed,
            },
        }
    }

    /// What to do next, a sentence.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Failed(failure) => failure.hint.as_deref(),
            Self::Output(_) => None,
        }
    }

    /// Nobody is left to read what went wrong.
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_stay() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 130]);
    }

    #[test]
    fn a_closed_pipe_is_quiet_and_a_full_disk_is_not() {
        let closed = Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(closed.is_silent());
        assert_eq!(closed.exit(), Exit::Done);
        let full = Error::from(io::Error::from(io::ErrorKind::StorageFull));
        assert!(!full.is_silent());
        assert_eq!(full.exit(), Exit::Failed);
    }
}
