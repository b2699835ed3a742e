//! `bench` as it is typed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::JsonArgs;
use crate::engine::gpu_bench::{BenchTier, GpuBenchOptions};

#[derive(Debug, Clone, Subcommand)]
pub enum BenchCommand {
    /// Measure encoding, first tokens and decoding on an NVIDIA GPU, with random weights of a model's shape
    #[command(after_help = "Caches are written into Gibbon's data directory and removed at the end.\n\n\
        Examples:\n  gibbon bench gpu\n  gibbon bench gpu --shape smollm2-135m --contexts 2k,8k --chunk 512 --from host\n  \
        gibbon bench gpu --baseline pytorch.jsonl --output bench.json")]
    Gpu(GpuArgs),
}

#[derive(Debug, Clone, Args)]
pub struct GpuArgs {
    /// A published model's shape, such as llama-3.1-8b
    #[arg(long, default_value = "llama-3.1-8b", value_name = "NAME")]
    pub shape: String,
    /// Tokens of context, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "2k,8k,32k,64k,128k", value_name = "TOKENS", value_parser = tokens)]
    pub contexts: Vec<usize>,
    /// Tokens of a chunk, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "512,4096", value_name = "TOKENS", value_parser = tokens)]
    pub chunk: Vec<usize>,
    /// Where the caches come from, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "device,host,disk,cold-disk", value_name = "TIERS")]
    pub from: Vec<BenchTier>,
    /// Tokens of the question
    #[arg(long, default_value = "64", value_name = "TOKENS", value_parser = tokens)]
    pub query: usize,
    /// Tokens of the whole answer at the largest context
    #[arg(long, default_value = "256", value_name = "TOKENS", value_parser = tokens)]
    pub generate: usize,
    /// Measurements of each figure; medians are shown
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub runs: u16,
    /// Contexts of more tokens are prefilled only once by full
    #[arg(long, default_value = "32k", value_name = "TOKENS", value_parser = tokens)]
    pub repeat_full_to: usize,
    /// JSON lines that PyTorch's baseline printed on this machine
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Write the figures into this file as JSON too
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub json: JsonArgs,
}

impl GpuArgs {
    /// What to measure, without the baseline's text.
    pub fn options(&self) -> GpuBenchOptions {
        GpuBenchOptions {
            shape: self.shape.clone(),
            contexts: self.contexts.clone(),
            chunks: self.chunk.clone(),
            from: self.from.clone(),
            query: self.query,
            generate: self.generate,
            runs: self.runs.into(),
            repeat_full_to: self.repeat_full_to,
            baseline: None,
        }
    }
}

/// `512`, `8k` (8 · 1024).
fn tokens(text: &str) -> Result<usize, String> {
    let (digits, factor) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1024),
        None => (text, 1),
    };
    let number: usize =
        digits.parse().map_err(|_| "must be a number of tokens, such as 512 or 8k".to_owned())?;
    let tokens = number.checked_mul(factor).filter(|tokens| (1..=1 << 24).contains(tokens));
    tokens.ok_or_else(|| "must be from 1 to 16384k tokens".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_units_of_1024() {
        assert_eq!(tokens("512"), Ok(512));
        assert_eq!(tokens("128k"), Ok(131_072));
        for wrong in ["", "k", "0", "-1", "1.5k", "99999999k", "8 k"] {
            assert!(tokens(wrong).is_err(), "{wrong}");
        }
    }
}
