//! Kernels that go over numbers and rows: RoPE's table, embeddings, norms, activations, biases, random weights.

use gibbon::{config::CacheDtype, cuda::kernels::chosen, model::simd};

use super::device::{
    ELEMENTS, Output, Random, angles, assert_close, assert_same, gpu, plain_kernels, rope, rounded, step,
    upload, upload_counts,
};

/// Row lengths around what a block takes at once (2048 numbers) and keeps (4096).
const WIDTHS: [usize; 6] = [8, 72, 576, 2048, 2056, 4104];

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn the_rope_table_is_the_cpus() {
    let (half, first, positions) = (12, 5usize, 3001usize);
    let (cos, sin) = angles(2 * half, (first + positions) as u32);
    let rope = rope(gibbon::model::rope::RopeLayout::Halves, 2 * half);
    let frequencies = gpu().upload(bytemuck::cast_slice(rope.frequencies())).unwrap();
    let kernels = plain_kernels(CacheDtype::Bf16);
    let outputs = [&cos, &sin].map(|numbers| Output::poisoned(CacheDtype::F32, numbers.len()));
    let [cosines, sines] = outputs.each_ref().map(Output::pointer);
    let stream = gpu().compute();
    kernels.rope_table(stream, cosines, sines, frequencies.pointer(), half, first, positions).unwrap();
    for (output, expected) in outputs.iter().zip([cos, sin]) {
        let found = output.read();
        assert!(found[..first * half].iter().all(|x| x.is_nan()), "rows before the first one");
        // Both compute in f64; two libraries may differ in its last place, and so fall to either side when rounded.
        assert_close("angles", &found[first * half..], &expected[first * half..], f32::EPSILON, 1e-9);
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn embeddings_are_rows_of_the_table() {
    let mut random = Random::fresh();
    for element in ELEMENTS {
        let kernels = plain_kernels(element);
        for width in WIDTHS {
            let (vocabulary, tokens) = (37, 11);
            let table = random.numbers_of(element, vocabulary * width);
            let ids: Vec<u32> = (0..tokens).map(|_| random.below(vocabulary) as u32).collect();
            let (on_device, ids_on_device) = (upload(element, &table), upload_counts(&ids));
            let out = Output::poisoned(CacheDtype::F32, tokens * width);
            kernels
                .embed(
                    gpu().compute(),
                    out.pointer(),
                    on_device.pointer(),
                    ids_on_device.pointer(),
                    tokens,
                    width,
                )
                .unwrap();
            let rows = ids.iter().map(|id| &table[*id as usize * width..][..width]);
            assert_same("embeddings", &out.read(), &rows.collect::<Vec<_>>().concat());
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn norms_are_the_cpus() {
    let mut random = Random::fresh();
    for element in ELEMENTS {
        let kernels = plain_kernels(element);
        for width in WIDTHS {
            let rows = 1 + random.below(9);
            let input: Vec<f32> = random.numbers(rows * width).iter().map(|x| x * 30.0).collect();
            let weights = random.numbers(width);
            let mut expected = vec![0.0; input.len()];
            simd::rms_norm(&mut expected, &input, &weights, 1e-5);
            let (on_device, norm) = (upload(CacheDtype::F32, &input), upload(CacheDtype::F32, &weights));
            let out = Output::poisoned(element, input.len());
            kernels
                .rms_norm(
                    gpu().compute(),
                    out.pointer(),
                    on_device.pointer(),
                    norm.pointer(),
                    1e-5,
                    rows,
                    width,
                )
                .unwrap();
            // The order of the sum of squares differs: a few units in the last place of f32, and a step of E on top.
            let allowed = step(element) + 4.0 * f32::EPSILON;
            assert_close("norm", &out.read(), &rounded(element, &expected), allowed, 1e-7);
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn activations_are_the_cpus() {
    let mut random = Random::fresh();
    for element in ELEMENTS {
        let kernels = plain_kernels(element);
        for width in WIDTHS {
            let rows = 1 + random.below(9);
            // Gates from where the exponential vanishes to where it overflows.
            let gate_up: Vec<f32> =
                random.numbers(2 * rows * width).iter().map(|x| x * x * x * 8.0).collect();
            let gate_up = rounded(element, &gate_up);
            let mut expected = Vec::new();
            for row in gate_up.chunks_exact(2 * width) {
                let (mut gate, up) = (row[..width].to_vec(), &row[width..]);
                simd::silu_multiply(&mut gate, up);
                expected.extend(gate);
            }
            let on_device = upload(element, &gate_up);
            let out = Output::poisoned(element, rows * width);
            kernels.silu_multiply(gpu().compute(), out.pointer(), on_device.pointer(), rows, width).unwrap();
            // e^x comes from the hardware's 2^x: relative to the result it is off by |x| units in the last place or so,
            // and |x| is below 88.
            let allowed = step(element) + 100.0 * f32::EPSILON;
            assert_close("activation", &out.read(), &rounded(element, &expected), allowed, 1e-7);
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn biases_are_added_to_every_row() {
    let mut random = Random::fresh();
    for element in ELEMENTS {
        let kernels = plain_kernels(element);
        for width in WIDTHS {
            let rows = 1 + random.below(5);
            let bias = random.numbers(width);
            let on_device = upload(CacheDtype::F32, &bias);
            for dtype in [element, CacheDtype::F32] {
                let before = random.numbers_of(dtype, rows * width);
                let sums: Vec<f32> = before.iter().zip(bias.iter().cycle()).map(|(x, b)| x + b).collect();
                let out = Output::holding(dtype, &before);
                let (stream, at, bias) = (gpu().compute(), out.pointer(), on_device.pointer());
                if dtype == element {
                    kernels.add_bias_element(stream, at, bias, rows, width).unwrap();
                } else {
                    kernels.add_bias(stream, at, bias, rows, width).unwrap();
                }
                assert_same("sums", &out.read(), &rounded(dtype, &sums));
            }
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn random_weights_are_the_same_for_the_same_seed_and_look_normal() {
    let count = 1_000_003;
    for element in ELEMENTS {
        let kernels = plain_kernels(element);
        let fill = |seed| {
            let out = Output::poisoned(element, count);
            kernels.fill_random(gpu().compute(), out.pointer(), count as u64, seed, 0.02).unwrap();
            out.read()
        };
        let (first, again, other) = (fill(7), fill(7), fill(8));
        assert_same("the same seed", &first, &again);
        assert_ne!(first, other);
        let mean = first.iter().map(|x| f64::from(*x)).sum::<f64>() / count as f64;
        let square = first.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / count as f64;
        // Five standard errors of a million numbers; rounding to bf16 changes a deviation by less than that.
        assert!(mean.abs() < 1e-4, "mean {mean}");
        assert!((square.sqrt() - 0.02).abs() < 1e-4, "deviation {}", square.sqrt());
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn the_first_of_the_largest_logits_is_chosen() {
    let mut random = Random::fresh();
    let kernels = plain_kernels(CacheDtype::Bf16);
    let stream = gpu().compute();
    let choose = |logits: &[f32]| {
        let (on_device, out) = (upload(CacheDtype::F32, logits), gpu().upload(&[0; 8]).unwrap());
        kernels.most_likely(stream, out.pointer(), on_device.pointer(), logits.len()).unwrap();
        stream.synchronize().unwrap();
        let mut key = [0; 8];
        out.read(0, &mut key).unwrap();
        chosen(u64::from_ne_bytes(key)) as usize
    };
    for count in [1, 2, 31, 257, 49_152, 128_256, 151_937] {
        // All below 0 in every other round.
        let offset = if random.below(2) == 0 { 0.0 } else { -1000.0 };
        let mut logits: Vec<f32> = random.numbers(count).iter().map(|x| x + offset).collect();
        let (first, second) = (random.below(count), random.below(count));
        logits[first] = offset + 100.0;
        logits[second] = offset + 100.0;
        assert_eq!(choose(&logits), first.min(second), "of {count}");
        if first != second {
            logits[first.min(second)] = f32::NAN;
            assert_eq!(choose(&logits), first.max(second), "of {count}, one being no number");
        }
    }
}
