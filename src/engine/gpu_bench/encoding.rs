//! Encoding chunks, with and without writing their files.

use std::sync::Arc;

use super::{
    Bench, Figure, Row,
    files::{Files, shared},
    seconds,
};
use crate::{
    config::Config,
    cuda::{
        CudaError,
        encode::Encoder,
        segment::{HostMemory, HostSegment},
    },
    engine::protocol::Failure,
};

/// Tokens encoded together by the baseline.
const BATCH_TOKENS: usize = 16 << 10;

/// Tokens encoded in one measurement: several batches, so that one is handed over while the next computes.
const MEASURED_TOKENS: usize = 2 * BATCH_TOKENS;

impl Bench<'_> {
    /// Tokens per second of encoding into page-locked memory.
    pub(super) fn encoding(&mut self, chunk: usize) -> Result<(), Failure> {
        (self.say)(&format!("encoding chunks of {chunk} tokens"));
        let chunks = self.chunk_tokens((MEASURED_TOKENS / chunk).max(1), chunk, 7);
        let tokens = (chunks.len() * chunk) as f64;
        let measured = self.measured(self.options.runs, || {
            let (_, seconds) = seconds(|| self.encode(&chunks))?;
            Ok(tokens / seconds)
        });
        let row = Row {
            chunk: Some(chunk),
            floor: Some(self.floors.encode(chunk)),
            other: self.baseline.encode(chunk, (BATCH_TOKENS / chunk).max(1)),
            ..Row::new(Figure::Encode, measured?)
        };
        self.push(row);
        Ok(())
    }

    /// Encodes chunks into page-locked memory, in their order.
    pub(super) fn encode(&self, chunks: &[Vec<u32>]) -> Result<Vec<Arc<HostSegment>>, CudaError> {
        let mut segments: Vec<Option<Arc<HostSegment>>> = vec![None; chunks.len()];
        let mut encoder = Encoder::new(self.network, Some(&self.prefix), self.dtype)?;
        encoder.encode(
            chunks,
            &mut |bytes| HostMemory::allocate(&self.pool, bytes),
            &mut |index, segment| segments[index] = Some(Arc::new(segment)),
            &|| false,
        )?;
        Ok(segments.into_iter().flatten().collect())
    }

    /// Tokens per second of encoding and writing files, to the last byte on the disk; beside what the disk alone takes.
    pub(super) fn encoding_into_files(&mut self, config: &Config, chunk: usize) -> Result<(), Failure> {
        (self.say)("encoding chunks into files");
        let chunks = self.chunk_tokens((MEASURED_TOKENS / chunk).max(1), chunk, 1000);
        let tokens = (chunks.len() * chunk) as f64;
        let mut rates = Vec::new();
        // Three times at most: gigabytes are written each time.
        for _ in 0..self.options.runs.min(3) {
            let files = Files::open(self, config, (tokens as usize * self.bytes_per_token()) as u64)?;
            let mut encoder = Encoder::new(self.network, Some(&self.prefix), self.dtype)?;
            let (encoded, seconds) = seconds(|| {
                let encoded = encoder.encode(
                    &chunks,
                    &mut |bytes| HostMemory::allocate(&self.pool, bytes),
                    &mut |index, segment| files.put(index, shared(Arc::new(segment))),
                    &|| false,
                );
                files.wait();
                Ok::<_, CudaError>(encoded)
            })?;
            encoded?;
            rates.push(tokens / seconds);
        }
        let disk = self.rows.iter().find(|row| row.figure == Figure::Write).and_then(|row| row.other);
        let row = Row {
            chunk: Some(chunk),
            // As fast as the GPU alone or the disk alone, whichever is slower.
            floor: disk.map(|rate| (rate / self.bytes_per_token() as f64).min(self.floors.encode(chunk))),
            ..Row::new(Figure::EncodeAndWrite, super::Spread::of(&rates).unwrap_or_default())
        };
        self.push(row);
        Ok(())
    }

    fn bytes_per_token(&self) -> usize {
        self.network.shape().kv_bytes(1, self.dtype)
    }
}
