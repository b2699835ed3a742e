//! Measures what a GPU reaches with a model's shape: encoding chunks, their files, first tokens, decoding; each beside
//! the floor that bytes and operations set at the rates measured in the same run, and beside another program's figure
//! where one is given.
//!
//! Weights are random: what is computed does not matter for how long it takes. Everything runs through the same code as
//! an answer does.

mod answers;
mod baseline;
mod dd;
mod encoding;
mod files;
mod floors;
mod report;

use std::{sync::Arc, thread::available_parallelism, time::Instant};

pub use report::{BenchTier, Ceilings, Figure, GpuBenchOptions, GpuBenchReport, Part, Row};

use super::{
    protocol::{Failure, FailureKind},
    timing::Spread,
};
use crate::{
    config::{CacheDtype, Config, DeviceChoice},
    cuda::{
        CudaError,
        arena::PinnedPool,
        ceilings,
        device::Gpu,
        encode::encode_prefix,
        network::CudaNetwork,
        segment::{DeviceSegment, HostSegment},
        shape::Shape,
    },
};
use baseline::Baseline;
use files::Files;
use floors::Floors;

/// Tokens of the prefix, as many as the default system prompt has.
const PREFIX_TOKENS: usize = 28;

/// Tokens decoded for the time of one.
const DECODED_TOKENS: usize = 32;

/// What all measurements share.
struct Bench<'a> {
    options: &'a GpuBenchOptions,
    network: &'a CudaNetwork,
    prefix: Arc<DeviceSegment>,
    /// The number format of stored segments.
    dtype: CacheDtype,
    pool: PinnedPool,
    floors: Floors,
    baseline: Baseline,
    threads: usize,
    rows: Vec<Row>,
    notes: Vec<String>,
    say: &'a mut dyn FnMut(&str),
}

/// Runs the benchmark. `say` gets a line for each step.
///
/// # Errors
/// When there is no usable GPU, no such shape, or not even the weights fit. A measurement that is not possible on this
/// machine is a note.
pub fn run(
    config: &Config,
    options: &GpuBenchOptions,
    say: &mut dyn FnMut(&str),
) -> Result<GpuBenchReport, Failure> {
    let ordinal = match config.model.device {
        DeviceChoice::Cuda(ordinal) => ordinal,
        DeviceChoice::Auto | DeviceChoice::Cpu => 0,
    };
    let shape = shape(options)?;
    let gpu = Gpu::open(ordinal)?;
    say("measuring what the machine can do at most");
    let ceilings = ceilings::measure(&gpu)?;
    let ceilings = Ceilings {
        device_copy: ceilings.device_copy,
        host_to_device: ceilings.host_to_device,
        device_to_host: ceilings.device_to_host,
        product: ceilings.product,
    };
    say(&format!("making random weights of {}", options.shape));
    let dtype = config.model.gpu_dtype;
    let kernels = config.paths.data.join("kernels");
    let network = CudaNetwork::random(gpu.clone(), shape.clone(), dtype, Some(&kernels))?;
    let prefix = encode_prefix(&network, &random_tokens(1, PREFIX_TOKENS, &shape), dtype, &|| false)?;
    let most = options.contexts.iter().copied().max().unwrap_or(0);
    let corpus_bytes = shape.kv_bytes(most, dtype) as u64;
    let mut bench = Bench {
        options,
        prefix: network.upload(&prefix)?,
        network: &network,
        dtype,
        // A little more than the corpus: its segments are rounded up to whole pages, and encoding has some of its own.
        pool: PinnedPool::new(gpu.clone(), corpus_bytes + corpus_bytes / 16 + (6 << 30)),
        floors: Floors { shape: shape.clone(), dtype, ceilings: ceilings.clone() },
        baseline: Baseline::parse(options.baseline.as_deref().unwrap_or_default()),
        threads: available_parallelism().map_or(1, usize::from),
        rows: Vec::new(),
        notes: Vec::new(),
        say,
    };
    bench.measure(config)?;
    let info = gpu.info();
    Ok(GpuBenchReport {
        device: super::visible(&info.name).into_owned(),
        driver: format!("CUDA {}.{}", info.driver / 1000, info.driver % 1000 / 10),
        shape: options.shape.clone(),
        number_format: dtype.name(),
        parameters: shape.weights(),
        weight_bytes: network.weight_bytes(),
        cache_bytes_per_token: shape.kv_bytes(1, dtype) as u64,
        ceilings,
        rows: bench.rows,
        notes: bench.notes,
    })
}

/// The shape, with positions for the largest context even where the model was published for a shorter one.
fn shape(options: &GpuBenchOptions) -> Result<Shape, Failure> {
    let Some(mut shape) = Shape::named(&options.shape) else {
        let names: Vec<&str> = Shape::names().collect();
        let message = format!("there is no shape named {}; known are {}", options.shape, names.join(", "));
        return Err(Failure::new(FailureKind::BadRequest, message, "Choose one of them with --shape."));
    };
    let most = options.contexts.iter().copied().max().unwrap_or(0);
    let needed = PREFIX_TOKENS + most + options.query + options.generate + DECODED_TOKENS;
    shape.config.context_tokens = shape.config.context_tokens.max(needed);
    Ok(shape)
}

impl Bench<'_> {
    fn measure(&mut self, config: &Config) -> Result<(), Failure> {
        for (index, chunk) in self.options.chunks.iter().copied().enumerate() {
            self.encoding(chunk)?;
            let Some(corpus) = self.corpus(chunk)? else { continue };
            self.answers(chunk, &corpus, None)?;
            // Files are the same whatever a chunk's size; one size is enough for them.
            if index == 0 && self.wants_files() {
                let bytes: u64 = corpus.iter().map(|segment| segment.bytes().len() as u64).sum();
                match Files::write(self, config, &corpus, bytes) {
                    Ok(files) => {
                        self.reading(&files)?;
                        self.encoding_into_files(config, chunk)?;
                        self.answers(chunk, &corpus, Some(&files))?;
                    }
                    Err(failure) => self.note(format!("files were left out: {}", failure.message)),
                }
            }
            if index == 0 {
                self.whole_answers(chunk, &corpus)?;
            }
        }
        self.full()
    }

    fn wants_files(&self) -> bool {
        self.options.from.iter().any(|tier| matches!(tier, BenchTier::Disk | BenchTier::ColdDisk))
    }

    /// Chunks for the largest context, encoded into page-locked memory; `None` where there is no room for them.
    fn corpus(&mut self, chunk: usize) -> Result<Option<Vec<Arc<HostSegment>>>, Failure> {
        let most = self.options.contexts.iter().copied().max().unwrap_or(0);
        let count = most / chunk;
        (self.say)(&format!("encoding {count} chunks of {chunk} tokens into host memory"));
        match self.encode(&self.chunk_tokens(count, chunk, 100)) {
            Ok(segments) if segments.iter().all(|segment| segment.is_pinned()) => Ok(Some(segments)),
            Ok(_) => {
                self.note(format!("chunks of {chunk} tokens were left out: too little page-locked memory"));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn chunk_tokens(&self, count: usize, chunk: usize, seed: u64) -> Vec<Vec<u32>> {
        (0..count).map(|index| random_tokens(seed + index as u64, chunk, self.network.shape())).collect()
    }

    /// Measures `runs` times after one that does not count.
    fn measured(
        &self,
        runs: usize,
        mut once: impl FnMut() -> Result<f64, CudaError>,
    ) -> Result<Spread, CudaError> {
        once()?;
        let values = (0..runs).map(|_| once()).collect::<Result<Vec<_>, _>>()?;
        Ok(Spread::of(&values).unwrap_or_default())
    }

    fn note(&mut self, note: String) {
        (self.say)(&note);
        self.notes.push(note);
    }

    /// Takes a row in, and says it.
    fn push(&mut self, row: Row) {
        let over = |ratio: Option<f64>, what| ratio.map_or(String::new(), |x| format!(", {x:.2} × {what}"));
        (self.say)(&format!(
            "{} {} {} {}: {:.6} ({:.6} to {:.6}){}{}",
            row.figure.name(),
            row.context.map_or(String::new(), |n| n.to_string()),
            row.chunk.map_or(String::new(), |n| n.to_string()),
            row.from.map_or("", BenchTier::name),
            row.measured.median,
            row.measured.min,
            row.measured.max,
            over(row.over_floor(), "the floor"),
            over(row.over_other(), "better than the other"),
        ));
        self.rows.push(row);
    }
}

/// Tokens that look like any others, the same for the same seed.
fn random_tokens(seed: u64, count: usize, shape: &Shape) -> Vec<u32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let vocabulary = shape.config.vocabulary as u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % vocabulary) as u32
    };
    (0..count).map(next).collect()
}

/// Seconds that `work` takes.
fn seconds<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<(T, f64), E> {
    let started = Instant::now();
    let result = work()?;
    Ok((result, started.elapsed().as_secs_f64()))
}
