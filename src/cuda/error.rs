//! What can go wrong on a GPU.

/// Why something could not be done on the GPU.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CudaError {
    #[error("{library} is not installed")]
    MissingLibrary { library: &'static str },
    #[error("there is no NVIDIA GPU number {ordinal}: {found} found")]
    NoDevice { ordinal: usize, found: usize },
    /// Versions as the driver counts them: 1000 · major + 10 · minor.
    #[error("the NVIDIA driver speaks CUDA {}; {} is needed", version(*found), version(*needed))]
    OldDriver { found: u32, needed: u32 },
    #[error("the GPU's compute capability is {major}.{minor}; at least 7.0 is needed")]
    OldDevice { major: u32, minor: u32 },
    #[error("{call}: {reason}")]
    Driver { call: &'static str, reason: String },
    #[error("cuBLAS, {call}: {reason}")]
    Blas { call: &'static str, reason: String },
    /// A kernel's source was not accepted: a defect of this program or of the compiler installed.
    #[error("the GPU kernels of {source_name} do not compile: {log}")]
    Compile { source_name: &'static str, log: String },
    #[error("out of GPU memory: {} needed, {} free", size(*needed), size(*free))]
    OutOfMemory { needed: u64, free: u64 },
    /// Page-locked host memory, which only the operating system can say how much of there is.
    #[error("the system gave no {} of page-locked memory", size(*needed))]
    OutOfPinnedMemory { needed: u64 },
    #[error("{tokens} tokens of context do not fit: {capacity} at most")]
    ContextTooLong { tokens: usize, capacity: usize },
    /// With fewer tokens of context it would fit.
    #[error(
        "the context does not fit the GPU: {} needed, {} free, which is room for {most_tokens} tokens",
        size(*needed),
        size(*free)
    )]
    ContextDoesNotFit { needed: u64, free: u64, most_tokens: usize },
    /// A segment of a context, by its index, that could not be read; the session over it is of no use.
    #[error("segment {index} of the context could not be read: {reason}")]
    Segment { index: usize, reason: String },
    #[error("the model's weights could not be used: {0}")]
    Model(String),
    #[error("cancelled")]
    Cancelled,
    /// A shape or a count that no kernel serves: a defect of the caller.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

fn version(number: u32) -> String {
    format!("{}.{}", number / 1000, number % 1000 / 10)
}

fn size(bytes: u64) -> bytesize::Display {
    bytesize::ByteSize(bytes).display()
}
