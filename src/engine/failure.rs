//! Turns what went wrong below into what a person can act on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    protocol::{Failure, FailureKind},
    visible::visible,
};
#[cfg(feature = "cuda")]
use crate::cuda::CudaError;
use crate::{
    catalogue::CatalogueError,
    corpus::walk::WalkError,
    index::IndexError,
    model::{ModelError, hub::HubError},
    store::StoreError,
};

impl Failure {
    /// A failure with the next step. Both texts may quote file names and are made safe to print.
    pub fn new(kind: FailureKind, message: impl AsRef<str>, hint: impl Into<Option<&'static str>>) -> Self {
        let message = visible(message.as_ref()).into_owned();
        Self { kind, message, hint: hint.into().map(str::to_owned) }
    }

    /// The request was cancelled.
    pub fn cancelled() -> Self {
        Self::new(FailureKind::Cancelled, "cancelled", None)
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        let (kind, hint) = match &error {
            ModelError::UnsupportedArchitecture { .. } | ModelError::Unsupported(_) => (
                FailureKind::UnsupportedModel,
                "Choose a model of the Llama family (Llama, SmolLM2, Mistral, Qwen 2 or 3) with --model.",
            ),
            ModelError::ContextTooLong { .. } => (
                FailureKind::ContextTooLong,
                "Use fewer chunks (-k), a shorter question, or the strategy ape, whose chunks share positions.",
            ),
            ModelError::Cancelled => return Self::cancelled(),
            ModelError::Read { .. }
            | ModelError::BadFile(_)
            | ModelError::MissingTensor(_)
            | ModelError::Tokenizer(_)
            | ModelError::Template(_) => (
                FailureKind::UnsupportedModel,
                "Fetch the model again, or choose another with --model. `gibbon doctor` checks it.",
            ),
            ModelError::Internal(_) | ModelError::Compute(_) => {
                (FailureKind::Internal, "This is a defect of Gibbon; please report it with the log file.")
            }
        };
        Self::new(kind, error.to_string(), hint)
    }
}

#[cfg(feature = "cuda")]
impl From<CudaError> for Failure {
    fn from(error: CudaError) -> Self {
        let (kind, hint) = match &error {
            CudaError::Cancelled => return Self::cancelled(),
            CudaError::ContextTooLong { .. } | CudaError::ContextDoesNotFit { .. } => (
                FailureKind::ContextTooLong,
                "Use fewer chunks (-k) or a shorter question, or run on the CPU with --device cpu.",
            ),
            CudaError::OutOfMemory { .. } | CudaError::OutOfPinnedMemory { .. } => (
                FailureKind::UnsupportedModel,
                "Close what else uses the GPU, choose a smaller model, or run on the CPU with --device cpu.",
            ),
            CudaError::MissingLibrary { .. }
            | CudaError::NoDevice { .. }
            | CudaError::OldDriver { .. }
            | CudaError::OldDevice { .. } => (
                FailureKind::UnsupportedModel,
                "Install NVIDIA's driver and CUDA 12.8 or later (cuBLAS and NVRTC), or use --device cpu.",
            ),
            _ => (
                FailureKind::Internal,
                "This is a defect of Gibbon or of the driver; please report it with the log file. --device cpu works without the GPU.",
            ),
        };
        Self::new(kind, error.to_string(), hint)
    }
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        let kind = match &error {
            HubError::NotAModel { .. } => FailureKind::UnsupportedModel,
            HubError::Storage { .. } | HubError::DiskFull { .. } => FailureKind::Storage,
            HubError::Busy { .. } => FailureKind::Busy,
            _ => FailureKind::NoModel,
        };
        let (message, hint) = (error.to_string(), error.hint());
        Self {
            kind,
            message: visible(&message).into_owned(),
            hint: Some(visible(hint.as_ref()).into_owned()),
        }
    }
}

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        let (kind, hint) = match error {
            IndexError::NothingIndexed => return nothing_indexed(),
            IndexError::Catalogue(error) => return error.into(),
            IndexError::Busy { .. } => (
                FailureKind::Busy,
                Some(
                    "`gibbon status` shows how far it is, and `gibbon index --stop` ends it; questions are answered meanwhile.",
                ),
            ),
            IndexError::Damaged { .. } | IndexError::Full { .. } => (FailureKind::Storage, None),
            IndexError::Write { .. } | IndexError::Io { .. } => (
                FailureKind::Storage,
                Some("Check that the disk has room and the data directory is writable."),
            ),
        };
        Self::new(kind, error.to_string(), hint)
    }
}

impl From<CatalogueError> for Failure {
    fn from(error: CatalogueError) -> Self {
        let kind = match &error {
            CatalogueError::UnknownRoot { .. }
            | CatalogueError::NotAFile { .. }
            | CatalogueError::NotIndexed { .. } => FailureKind::BadRequest,
            _ => FailureKind::Storage,
        };
        Self::new(kind, error.to_string(), error.hint())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let hint = match &error {
            StoreError::Catalogue(error) => error.hint(),
            StoreError::Io { .. } => Some("Check that the disk has room and the data directory is writable."),
        };
        Self::new(FailureKind::Storage, error.to_string(), hint)
    }
}

impl From<WalkError> for Failure {
    fn from(error: WalkError) -> Self {
        Self::new(FailureKind::BadRequest, error.to_string(), None)
    }
}

/// There is nothing to search in.
pub(super) fn nothing_indexed() -> Failure {
    Failure::new(
        FailureKind::NoDocuments,
        "nothing is indexed yet",
        "Run `gibbon index FOLDER` on a folder with documents, or `gibbon demo` to see how it works.",
    )
}

/// Nothing was found, and the index does not show everything that was read.
pub(super) fn index_behind() -> Failure {
    Failure::new(
        FailureKind::Storage,
        "nothing was found, and the search index does not show all documents: an index run was interrupted or is under way",
        "Run `gibbon index`; it goes on where it was.",
    )
}

/// There is nothing to watch.
pub(super) fn nothing_to_watch() -> Failure {
    Failure::new(
        FailureKind::NoDocuments,
        "there is nothing to watch: no folder was added yet",
        "`gibbon index FOLDER --watch` adds one.",
    )
}

/// No word of the question is in any document.
pub(super) fn nothing_found() -> Failure {
    Failure::new(
        FailureKind::NoMatch,
        "no indexed document has a word of this question",
        "Ask with words that your documents use; `gibbon search` shows what they lead to.",
    )
}

/// Nothing was found among what the question may draw on.
pub(super) fn nothing_selected() -> Failure {
    Failure::new(
        FailureKind::NoMatch,
        "nothing that this question may draw on has a word of it",
        "Ask in more files or collections, or take back the chunks that were dropped.",
    )
}

/// Runs part of a request; a panic in it is a failure of that request and not the end of the program.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Failure::new(
            FailureKind::Internal,
            "an internal error ended this request",
            "This is a defect of Gibbon; please report it with the log file.",
        ))
    })
}
