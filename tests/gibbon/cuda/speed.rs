//! How near the kernels come to what the device can do, at Llama-3.1-8B's sizes in bf16. The table is printed with
//! `--nocapture`; what is asserted leaves room for a busy machine.

use gibbon::{
    config::CacheDtype,
    cuda::{
        CudaError,
        ceilings::{self, Ceilings},
        kernels::{FinishQkv, Gemv, GemvInput, GemvOutput, PlaceMany, PlacedSegment},
        memory::DeviceBuffer,
    },
    model::rope::RopeLayout,
};

use super::device::{gpu, kernels, upload_counts};

/// Sizes of Llama-3.1-8B.
const HIDDEN: usize = 4096;
const FEED_FORWARD: usize = 14_336;
const HEADS: usize = 32;
const KV_HEADS: usize = 8;
const DIM: usize = 128;

/// Seconds of one `step`, the median of seven rounds of `times`.
fn seconds(times: usize, mut step: impl FnMut(usize) -> Result<(), CudaError>) -> f64 {
    let (start, end) = (gpu().timing_event().unwrap(), gpu().timing_event().unwrap());
    let mut rounds: Vec<f64> = (0..8)
        .map(|_| {
            gpu().compute().record(&start).unwrap();
            (0..times).for_each(|turn| step(turn).unwrap());
            gpu().compute().record(&end).unwrap();
            end.synchronize().unwrap();
            end.seconds_since(&start).unwrap() / times as f64
        })
        .skip(1)
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[3]
}

/// Prints a row and gives the ratio of what was taken to what the bytes take at the rate of a plain copy.
fn report(what: &str, bytes: usize, seconds: f64, ceilings: &Ceilings) -> f64 {
    let floor = bytes as f64 / ceilings.device_copy;
    let (micros, rate) = (seconds * 1e6, bytes as f64 / seconds / 1e12);
    let ratio = seconds / floor;
    println!("{what:<44} {micros:>9.2} us  {rate:>5.2} TB/s  {ratio:>5.2} of the floor");
    ratio
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn products_with_one_row_are_bound_by_memory() {
    let ceilings = ceilings::measure(gpu()).unwrap();
    println!("{ceilings:?}");
    let kernels = kernels(CacheDtype::Bf16, DIM, RopeLayout::Halves);
    let stream = gpu().compute();
    // Several matrices in turn, so that none is still in the second-level cache when it is read again.
    let matrices = 4;
    let largest = 128_256 * HIDDEN;
    let weights: Vec<DeviceBuffer> = (0..matrices).map(|_| gpu().allocate(2 * largest).unwrap()).collect();
    for weight in &weights {
        kernels.fill_random(stream, weight.pointer(), largest as u64, 3, 0.02).unwrap();
    }
    let rows = gpu().upload(&vec![0x3d; 4 * 4 * 128_256]).unwrap();
    let (input, norm) = (rows.pointer(), rows.pointer());
    let out = gpu().upload(&vec![0; 4 * 4 * 128_256]).unwrap();
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
        ("norm, then gate and up: 28672 x 4096", normed, GemvOutput::Element(out.pointer()), 28_672, HIDDEN),
        (
            "activation, then down, added: 4096 x 14336",
            GemvInput::GateUp(input),
            GemvOutput::AddF32(out.pointer()),
            HIDDEN,
            FEED_FORWARD,
        ),
        ("norm, then logits: 128256 x 4096", normed, GemvOutput::F32(out.pointer()), 128_256, HIDDEN),
    ];
    for tokens in 1..=4 {
        for (what, input, output, rows, columns) in shapes {
            // Parts of the buffers that follow each other, of a third of a GB at least.
            let parts = (largest / (rows * columns)).max(1);
            let time = seconds(matrices * parts.min(16), |turn| {
                let weight = weights[turn % matrices].at(2 * rows * columns * (turn / matrices % parts));
                kernels.gemv(stream, &Gemv { weight, input, output, tokens, rows, columns })
            });
            let ratio = report(&format!("{tokens}: {what}"), 2 * rows * columns, time, &ceilings);
            assert!(tokens > 1 || ratio < 2.0, "{what}: {ratio} of the floor");
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn kernels_for_many_tokens_are_bound_by_memory() {
    let ceilings = ceilings::measure(gpu()).unwrap();
    let kernels = kernels(CacheDtype::Bf16, DIM, RopeLayout::Halves);
    let stream = gpu().compute();
    let tokens = 16_384;
    let width = (HEADS + 2 * KV_HEADS) * DIM;
    let buffer = |bytes: usize| {
        let buffer = gpu().allocate(bytes).unwrap();
        stream.fill(buffer.pointer(), 0x3d, bytes).unwrap();
        buffer
    };
    let (wide, narrow) = (buffer(2 * tokens * 2 * FEED_FORWARD), buffer(4 * tokens * width));
    let other = buffer(2 * tokens * FEED_FORWARD);
    let (cos, sin) = (buffer(4 * 131_072 * DIM / 2), buffer(4 * 131_072 * DIM / 2));
    let ids = upload_counts(&(0..tokens as u32).collect::<Vec<_>>());
    let of = upload_counts(&(0..tokens as u32).map(|token| token / 512).collect::<Vec<_>>());
    let starts = upload_counts(&(0..=tokens as u32 / 512).map(|s| 512 * s).collect::<Vec<_>>());
    let mut worst: f64 = 0.0;
    let mut row = |what: &str, bytes: usize, step: &dyn Fn() -> Result<(), CudaError>| {
        worst = worst.max(report(what, bytes, seconds(10, |_| step()), &ceilings));
    };
    let (a, b, c) = (wide.pointer(), narrow.pointer(), other.pointer());
    row("embeddings of 16384 tokens", tokens * HIDDEN * 6, &|| {
        kernels.embed(stream, b, a, ids.pointer(), tokens, HIDDEN)
    });
    row("norm of 16384 rows", tokens * HIDDEN * 6, &|| {
        kernels.rms_norm(stream, c, b, b, 1e-5, tokens, HIDDEN)
    });
    row("activation of 16384 rows", tokens * FEED_FORWARD * 6, &|| {
        kernels.silu_multiply(stream, c, a, tokens, FEED_FORWARD)
    });
    row("bias to 16384 rows", tokens * HIDDEN * 8, &|| kernels.add_bias(stream, b, a, tokens, HIDDEN));
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
    });
    let recorded = b + (4 * KV_HEADS * tokens * DIM) as u64;
    row("the same, recorded", tokens * (width * 4 + 4 * KV_HEADS * DIM), &|| {
        kernels.finish_qkv(stream, &finish(recorded))
    });
    drop((wide, narrow, other));
    for (chunk, total) in [(512, 131_072), (4096, 131_072), (512, 8192)] {
        let layer = 2 * KV_HEADS * total * DIM;
        let (source, keys, values) = (buffer(2 * layer), buffer(layer), buffer(layer));
        let segments: Vec<PlacedSegment> = (0..total / chunk)
            .map(|index| PlacedSegment {
                source: (2 * 2 * KV_HEADS * chunk * DIM * index) as u64,
                tokens: chunk as u32,
                start_position: 300,
                first_slot: (index * chunk) as u32,
                reserved: 0,
            })
            .collect();
        let on_device = gpu().upload(bytemuck::cast_slice(&segments)).unwrap();
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
        });
    }
    assert!(worst < 3.0, "{worst} of the floor");
}
