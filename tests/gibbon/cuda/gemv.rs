//! Products with few rows, with what is fused into them.

use gibbon::{
    config::CacheDtype,
    cuda::kernels::{Gemv, GemvInput, GemvOutput, Kernels, MOST_TOKENS},
    model::simd,
};

use super::device::{ELEMENTS, Output, Random, gpu, plain_kernels, rounded, step, upload};

#[derive(Debug, Clone, Copy)]
enum Input {
    Element,
    Normed,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Result {
    Element,
    F32,
    Added,
    Gated,
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn few_rows_times_a_matrix() {
    let mut random = Random::fresh();
    // Rows around the 16 of a block, and more than all blocks take at once; columns around a warp's 256 and the 1024
    // that it has under way.
    let shapes = [(1, 8), (17, 72), (37, 576), (16, 1024), (9000, 264), (51, 4104), (33, 14_344)];
    for element in ELEMENTS {
        let kernels = plain_kernels(element);
        for (rows, columns) in shapes {
            for tokens in 1..=MOST_TOKENS {
                for input in [Input::Element, Input::Normed] {
                    let result = [Result::Element, Result::F32, Result::Added][random.below(3)];
                    check(&kernels, &mut random, (tokens, rows, columns), input, Result::Gated);
                    check(&kernels, &mut random, (tokens, rows, columns), input, result);
                }
            }
        }
    }
}

fn check(
    kernels: &Kernels,
    random: &mut Random,
    (tokens, rows, columns): (usize, usize, usize),
    input: Input,
    result: Result,
) {
    let element = kernels.element();
    let halves = if result == Result::Gated { 2 } else { 1 };
    let weight = random.numbers_of(element, halves * rows * columns);
    let (given, norm, entering) = entering(random, element, tokens, columns, input);
    let given_dtype = if matches!(input, Input::Normed) { CacheDtype::F32 } else { element };
    let (weight_at, given_at) = (upload(element, &weight), upload(given_dtype, &given));
    let norm_at = upload(CacheDtype::F32, &norm);
    let dtype = if matches!(result, Result::Element | Result::Gated) { element } else { CacheDtype::F32 };
    let before = random.numbers_of(dtype, tokens * rows);
    let out = match result {
        Result::Added => Output::holding(dtype, &before),
        _ => Output::poisoned(dtype, before.len()),
    };
    let call = Gemv {
        weight: weight_at.pointer(),
        input: match input {
            Input::Element => GemvInput::Element(given_at.pointer()),
            Input::Normed => {
                GemvInput::Normed { rows: given_at.pointer(), weight: norm_at.pointer(), epsilon: 1e-5 }
            }
        },
        output: match result {
            Result::Element => GemvOutput::Element(out.pointer()),
            Result::F32 => GemvOutput::F32(out.pointer()),
            Result::Added => GemvOutput::AddF32(out.pointer()),
            Result::Gated => GemvOutput::Gated(out.pointer()),
        },
        tokens,
        rows,
        columns,
    };
    kernels.gemv(gpu().compute(), &call).unwrap();
    let found = out.read();
    let what = format!("{element:?}, {tokens} x {rows} x {columns}, {input:?} to {result:?}");
    for (index, found) in found.iter().enumerate() {
        let (token, row) = (index / rows, index % rows);
        // Sums in f32 of some thousand products, a hundred of them one after the other; and up to four numbers that
        // were rounded to the other side on their way in.
        let entered = if matches!(input, Input::Element) { 0.0 } else { 4.0 * f64::from(step(element)) };
        let product = |row: usize| {
            let pairs = weight[row * columns..].iter().zip(&entering[token * columns..]).take(columns);
            let products: Vec<f64> = pairs.map(|(w, x)| f64::from(*w) * f64::from(*x)).collect();
            let size: f64 = products.iter().map(|x| x.abs()).sum();
            let most = products.iter().map(|x| x.abs()).fold(0.0, f64::max);
            (products.iter().sum::<f64>(), 3e-6 * size + entered * most)
        };
        let (mut sum, mut allowed) = product(row);
        match result {
            Result::Added => sum += f64::from(before[index]),
            Result::Gated => {
                // The SiLU's slope is at most 1.1, and its value no larger than its argument's size.
                let (up, up_allowed) = product(rows + row);
                let gate = sum / (1.0 + (-sum).exp());
                allowed = 1.1 * allowed * up.abs() + gate.abs() * up_allowed + allowed * up_allowed;
                sum = gate * up;
            }
            Result::Element | Result::F32 => {}
        }
        if dtype == CacheDtype::F16 {
            // Numbers beyond its range are held at its ends.
            sum = sum.clamp(-65504.0, 65504.0);
        }
        // The rounding of the result.
        allowed += f64::from(step(dtype)) * sum.abs() + 1e-6 * sum.abs() + 1e-7;
        let close = (f64::from(*found) - sum).abs() <= allowed;
        assert!(close, "{what}, number {index}: {found}, expected {sum} within {allowed}");
    }
}

/// What is given to the kernel, norm weights, and what then enters the product.
fn entering(
    random: &mut Random,
    element: CacheDtype,
    tokens: usize,
    columns: usize,
    input: Input,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let norm = random.numbers(columns);
    match input {
        Input::Element => {
            let given = random.numbers_of(element, tokens * columns);
            (given.clone(), norm, given)
        }
        Input::Normed => {
            let given = random.numbers(tokens * columns);
            let mut entering = vec![0.0; given.len()];
            simd::rms_norm(&mut entering, &given, &norm, 1e-5);
            (given, norm, rounded(element, &entering))
        }
    }
}
