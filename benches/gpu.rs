//! How near the kernels come to what the device can do, at Llama-3.1-8B's sizes in bf16: microseconds, bytes per second,
//! and how many times what the bytes take at the rate of a plain copy. Needs an NVIDIA GPU:
//! `cargo bench --features cuda --bench gpu`.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use gibbon::{
    config::CacheDtype,
    cuda::{
        CudaError,
        ceilings::{self, Ceilings},
        device::Gpu,
        kernels::{FinishQkv, Gemv, GemvInput, GemvOutput, Kernels, PlaceMany, PlacedSegment},
        memory::DeviceBuffer,
    },
    model::rope::RopeLayout,
};

/// Sizes of Llama-3.1-8B.
const HIDDEN: usize = 4096;
const FEED_FORWARD: usize = 14_336;
const HEADS: usize = 32;
const KV_HEADS: usize = 8;
const DIM: usize = 128;

struct Bench {
    gpu: Arc<Gpu>,
    kernels: Kernels,
    ceilings: Ceilings,
}

fn main() -> ExitCode {
    match Bench::open().and_then(|bench| bench.products().and_then(|()| bench.many_tokens())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the GPU cannot be measured: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Bench {
    fn open() -> Result<Self, CudaError> {
        let gpu = Gpu::open(0)?;
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("gpu-kernels");
        let kernels = Kernels::load(&gpu, CacheDtype::Bf16, DIM, RopeLayout::Halves, Some(&folder))?;
        let ceilings = ceilings::measure(&gpu)?;
        println!("{}: {ceilings:?}", gpu.info().name);
        Ok(Self { gpu, kernels, ceilings })
    }

    /// Seconds of one `step`, the median of seven rounds of `times`.
    fn seconds(
        &self,
        times: usize,
        mut step: impl FnMut(usize) -> Result<(), CudaError>,
    ) -> Result<f64, CudaError> {
        let (start, end) = (self.gpu.timing_event()?, self.gpu.timing_event()?);
        let mut rounds = Vec::new();
        // The first round warms up.
        for round in 0..8 {
            self.gpu.compute().record(&start)?;
            (0..times).try_for_each(&mut step)?;
            self.gpu.compute().record(&end)?;
            end.synchronize()?;
            if round > 0 {
                rounds.push(end.seconds_since(&start)? / times as f64);
            }
        }
        rounds.sort_by(f64::total_cmp);
        Ok(rounds[3])
    }

    /// Prints a row: what was taken, and its ratio to what the bytes take at the rate of a plain copy.
    fn report(&self, what: &str, bytes: usize, seconds: f64) {
        let floor = bytes as f64 / self.ceilings.device_copy;
        let (micros, rate) = (seconds * 1e6, bytes as f64 / seconds / 1e12);
        println!("{what:<48} {micros:>9.2} us  {rate:>5.2} TB/s  {:>5.2} of the floor", seconds / floor);
    }

    fn upload_counts(&self, counts: &[u32]) -> Result<DeviceBuffer, CudaError> {
        self.gpu.upload(bytemuck::cast_slice(counts))
    }

    /// Products of one to four rows, as a layer's of a token are.
    fn products(&self) -> Result<(), CudaError> {
        let (gpu, kernels, stream) = (&self.gpu, &self.kernels, self.gpu.compute());
        // Several matrices in turn, so that none is still in the second-level cache when it is read again.
        let matrices = 4;
        let largest = 128_256 * HIDDEN;
        let weights: Vec<DeviceBuffer> =
            (0..matrices).map(|_| gpu.allocate(2 * largest)).collect::<Result<_, _>>()?;
        for weight in &weights {
            kernels.fill_random(stream, weight.pointer(), largest as u64, 3, 0.02)?;
        }
        let rows = gpu.upload(&vec![0x3d; 4 * 4 * 128_256])?;
        let (input, norm) = (rows.pointer(), rows.pointer());
        let out = gpu.upload(&vec![0; 4 * 4 * 128_256])?;
        let normed = GemvInput::Normed { rows: input, weight: norm, epsilon: 1e-5 };
        let shapes = [
            (
                "norm, then queries, keys, values: 6144 x 4096",
                normed,
                GemvOutput::Element(out.pointer()),
                6144,
                HIDDEN,
            ),
            (
                "attention's output, added: 4096 x 4096",
                GemvInput::Element(input),
                GemvOutput::AddF32(out.pointer()),
                4096,
                HIDDEN,
            ),
            (
                "norm, then gate and up, then activation: 28672 x 4096",
                normed,
                GemvOutput::Gated(out.pointer()),
                FEED_FORWARD,
                HIDDEN,
            ),
            (
                "down, added: 4096 x 14336",
                GemvInput::Element(input),
                GemvOutput::AddF32(out.pointer()),
                HIDDEN,
                FEED_FORWARD,
            ),
            ("norm, then logits: 128256 x 4096", normed, GemvOutput::F32(out.pointer()), 128_256, HIDDEN),
        ];
        for tokens in 1..=4 {
            for (what, input, output, rows, columns) in shapes {
                // Parts of the buffers that follow each other, of a third of a GB at least.
                let halves = if matches!(output, GemvOutput::Gated(_)) { 2 } else { 1 };
                let numbers = halves * rows * columns;
                let parts = (largest / numbers).max(1);
                let time = self.seconds(matrices * parts.min(16), |turn| {
                    let weight = weights[turn % matrices].at(2 * numbers * (turn / matrices % parts));
                    kernels.gemv(stream, &Gemv { weight, input, output, tokens, rows, columns })
                })?;
                self.report(&format!("{tokens}: {what}"), 2 * numbers, time);
            }
        }
        Ok(())
    }

    /// What is done to many tokens between products, and placing a context.
    fn many_tokens(&self) -> Result<(), CudaError> {
        let (gpu, kernels, stream) = (&self.gpu, &self.kernels, self.gpu.compute());
        let tokens = 16_384;
        let width = (HEADS + 2 * KV_HEADS) * DIM;
        let buffer = |bytes: usize| {
            let buffer = gpu.allocate(bytes)?;
            stream.fill(buffer.pointer(), 0x3d, bytes)?;
            Ok::<_, CudaError>(buffer)
        };
        let (wide, narrow) = (buffer(2 * tokens * 2 * FEED_FORWARD)?, buffer(4 * tokens * width)?);
        let other = buffer(2 * tokens * FEED_FORWARD)?;
        let (cos, sin) = (buffer(4 * 131_072 * DIM / 2)?, buffer(4 * 131_072 * DIM / 2)?);
        let ids = self.upload_counts(&(0..tokens as u32).collect::<Vec<_>>())?;
        let of = self.upload_counts(&(0..tokens as u32).map(|token| token / 512).collect::<Vec<_>>())?;
        let starts = self.upload_counts(&(0..=tokens as u32 / 512).map(|s| 512 * s).collect::<Vec<_>>())?;
        let row = |what: &str, bytes: usize, step: &dyn Fn() -> Result<(), CudaError>| {
            self.report(what, bytes, self.seconds(10, |_| step())?);
            Ok::<_, CudaError>(())
        };
        let (a, b, c) = (wide.pointer(), narrow.pointer(), other.pointer());
        row("embeddings of 16384 tokens", tokens * HIDDEN * 6, &|| {
            kernels.embed(stream, b, a, ids.pointer(), tokens, HIDDEN)
        })?;
        row("norm of 16384 rows", tokens * HIDDEN * 6, &|| {
            kernels.rms_norm(stream, c, b, b, 1e-5, tokens, HIDDEN)
        })?;
        row("activation of 16384 rows", tokens * FEED_FORWARD * 6, &|| {
            kernels.silu_multiply(stream, c, a, tokens, FEED_FORWARD)
        })?;
        row("bias to 16384 rows", tokens * HIDDEN * 8, &|| kernels.add_bias(stream, b, a, tokens, HIDDEN))?;
        let finish = |record: u64| FinishQkv {
            qkv: a,
            bias: 0,
            query_norm: 0,
            key_norm: 0,
            epsilon: 0.0,
            positions: ids.pointer(),
            cos: cos.pointer(),
            sin: sin.pointer(),
            query_out: c,
            keys: b,
            values: b + (2 * KV_HEADS * tokens * DIM) as u64,
            head_stride: (tokens * DIM) as u64,
            first_slot: 0,
            record,
            record_dtype: CacheDtype::Bf16,
            sequence_start: starts.pointer(),
            sequence_of: of.pointer(),
            tokens,
            heads: HEADS,
            kv_heads: KV_HEADS,
        };
        row("queries, keys, values of 16384 tokens", tokens * width * 4, &|| {
            kernels.finish_qkv(stream, &finish(0))
        })?;
        let recorded = b + (4 * KV_HEADS * tokens * DIM) as u64;
        row("the same, recorded", tokens * (width * 4 + 4 * KV_HEADS * DIM), &|| {
            kernels.finish_qkv(stream, &finish(recorded))
        })?;
        drop((wide, narrow, other));
        for (chunk, total) in [(512, 131_072), (4096, 131_072), (512, 8192)] {
            let layer = 2 * KV_HEADS * total * DIM;
            let (source, keys, values) = (buffer(2 * layer)?, buffer(layer)?, buffer(layer)?);
            let segments: Vec<PlacedSegment> = (0..total / chunk)
                .map(|index| PlacedSegment {
                    source: (2 * 2 * KV_HEADS * chunk * DIM * index) as u64,
                    tokens: chunk as u32,
                    start_position: 300,
                    first_slot: (index * chunk) as u32,
                    reserved: 0,
                })
                .collect();
            let on_device = gpu.upload(bytemuck::cast_slice(&segments))?;
            let call = PlaceMany {
                source: source.pointer(),
                store_dtype: CacheDtype::Bf16,
                segments: on_device.pointer(),
                count: segments.len(),
                longest: chunk,
                keys: keys.pointer(),
                values: values.pointer(),
                head_stride: (total * DIM) as u64,
                cos: cos.pointer(),
                sin: sin.pointer(),
                kv_heads: KV_HEADS,
            };
            row(&format!("a layer of {total} tokens placed, by {chunk}"), 4 * layer, &|| {
                kernels.place_many(stream, &call)
            })?;
        }
        Ok(())
    }
}
