//! What the benchmark measured, as plain data.

use serde::Serialize;

use crate::engine::timing::Spread;

/// Where the segments of a measured answer come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum BenchTier {
    /// The GPU's memory.
    Device,
    /// Pinned host memory.
    Host,
    /// Files that the page cache holds.
    Disk,
    /// Files read past the page cache.
    ColdDisk,
}

impl BenchTier {
    /// As it is typed: `cold-disk`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Host => "host",
            Self::Disk => "disk",
            Self::ColdDisk => "cold-disk",
        }
    }
}

/// What to measure.
#[derive(Debug, Clone, PartialEq)]
pub struct GpuBenchOptions {
    /// A published model's shape, such as `llama-3.1-8b`; its weights are random.
    pub shape: String,
    /// Tokens of context.
    pub contexts: Vec<usize>,
    /// Tokens of a chunk.
    pub chunks: Vec<usize>,
    pub from: Vec<BenchTier>,
    /// Tokens of the question.
    pub query: usize,
    /// Tokens generated for the measurement from end to end.
    pub generate: usize,
    /// Measurements of each figure.
    pub runs: usize,
    /// Contexts above this many tokens are prefilled once by `full`, since that takes long.
    pub repeat_full_to: usize,
    /// Text of a file of JSON lines, as PyTorch's baseline prints them.
    pub baseline: Option<String>,
}

/// What a row measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Tokens per second of encoding chunks, writing aside.
    Encode,
    /// Tokens per second of encoding chunks and writing their files.
    EncodeAndWrite,
    /// Bytes per second of files written.
    Write,
    /// Bytes per second of files read.
    Read,
    /// Seconds from the question's tokens to the first token of the answer.
    FirstToken,
    /// Seconds of a token after the first.
    Decode,
    /// Seconds until the first token of `full`.
    FullPrefill,
    /// Seconds of a whole answer.
    EndToEnd,
    /// The same of `full`.
    FullEndToEnd,
}

impl Figure {
    pub fn name(self) -> &'static str {
        match self {
            Self::Encode => "encode",
            Self::EncodeAndWrite => "encode and write",
            Self::Write => "write files",
            Self::Read => "read files",
            Self::FirstToken => "first token",
            Self::Decode => "decode, a token",
            Self::FullPrefill => "first token of full",
            Self::EndToEnd => "whole answer",
            Self::FullEndToEnd => "whole answer of full",
        }
    }

    /// The larger the better: a rate, not a time.
    pub fn is_rate(self) -> bool {
        matches!(self, Self::Encode | Self::EncodeAndWrite | Self::Write | Self::Read)
    }

    /// Tokens, not bytes, per second.
    pub fn counts_tokens(self) -> bool {
        matches!(self, Self::Encode | Self::EncodeAndWrite)
    }
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    pub figure: Figure,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<BenchTier>,
    /// Seconds, or tokens or bytes per second.
    pub measured: Spread,
    /// What the bytes and operations alone would take or give, at the ceilings measured in this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    /// What the same took or gave elsewhere: PyTorch, or `dd` for files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<f64>,
    /// Seconds of its parts, in the median run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

/// A part of a measured time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    pub name: &'static str,
    pub seconds: f64,
}

impl Row {
    pub fn new(figure: Figure, measured: Spread) -> Self {
        Self {
            figure,
            context: None,
            chunk: None,
            from: None,
            measured,
            floor: None,
            other: None,
            parts: Vec::new(),
        }
    }

    /// How far from the floor: 1 is at it, 2 is half as good.
    pub fn over_floor(&self) -> Option<f64> {
        self.floor.map(|floor| self.badness(floor))
    }

    /// How much better than the other: 2 is twice as fast.
    pub fn over_other(&self) -> Option<f64> {
        self.other.map(|other| 1.0 / self.badness(other))
    }

    fn badness(&self, than: f64) -> f64 {
        let measured = self.measured.median;
        if self.figure.is_rate() { than / measured } else { measured / than }
    }
}

/// Rates that the machine reached in this run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ceilings {
    /// Bytes read and written per second by a copy within the GPU's memory.
    pub device_copy: f64,
    /// Bytes per second from pinned host memory.
    pub host_to_device: f64,
    /// Bytes per second into pinned host memory.
    pub device_to_host: f64,
    /// Operations per second of a large product in the model's number format.
    pub product: f64,
}

/// The whole benchmark.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GpuBenchReport {
    pub device: String,
    pub driver: String,
    pub shape: String,
    pub number_format: &'static str,
    pub parameters: u64,
    pub weight_bytes: u64,
    /// Bytes of keys and values per token of context.
    pub cache_bytes_per_token: u64,
    pub ceilings: Ceilings,
    pub rows: Vec<Row>,
    /// What was left out and why.
    pub notes: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_rates_and_of_times() {
        let spread = |median| Spread { median, min: median, max: median };
        let time = Row { floor: Some(1.0), other: Some(8.0), ..Row::new(Figure::Decode, spread(2.0)) };
        assert_eq!((time.over_floor(), time.over_other()), (Some(2.0), Some(4.0)));
        let rate = Row { floor: Some(8.0), other: Some(1.0), ..Row::new(Figure::Encode, spread(2.0)) };
        assert_eq!((rate.over_floor(), rate.over_other()), (Some(4.0), Some(2.0)));
        assert_eq!(Row::new(Figure::Read, spread(1.0)).over_floor(), None);
    }
}
