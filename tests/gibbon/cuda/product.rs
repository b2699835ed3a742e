//! Products of matrices by cuBLAS, as the rest sees them: row after row, in each type and with each kind of result.

use gibbon::{
    config::CacheDtype,
    cuda::product::{Gemm, GemmOutput},
};

use super::device::{ELEMENTS, Output, Random, gpu, step, upload};

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn products_are_the_cpus() {
    let mut random = Random::fresh();
    for element in ELEMENTS {
        for (tokens, rows, columns) in [(5, 16, 8), (33, 72, 576), (128, 40, 1032)] {
            for kind in [GemmOutput::Element, GemmOutput::F32, GemmOutput::AddF32] {
                check(&mut random, element, (tokens, rows, columns), kind);
            }
        }
    }
}

fn check(
    random: &mut Random,
    element: CacheDtype,
    (tokens, rows, columns): (usize, usize, usize),
    kind: GemmOutput,
) {
    let (weight, input) =
        (random.numbers_of(element, rows * columns), random.numbers_of(element, tokens * columns));
    let (weight_at, input_at) = (upload(element, &weight), upload(element, &input));
    let dtype = if kind == GemmOutput::Element { element } else { CacheDtype::F32 };
    let before = random.numbers_of(dtype, tokens * rows);
    let out = match kind {
        GemmOutput::AddF32 => Output::holding(dtype, &before),
        _ => Output::poisoned(dtype, before.len()),
    };
    let gemm = Gemm {
        element,
        weight: weight_at.pointer(),
        input: input_at.pointer(),
        output: out.pointer(),
        kind,
        tokens,
        rows,
        columns,
    };
    gpu().gemm(&gemm).unwrap();
    for (index, found) in out.read().iter().enumerate() {
        let (token, row) = (index / rows, index % rows);
        let pairs = weight[row * columns..].iter().zip(&input[token * columns..]).take(columns);
        let products: Vec<f64> = pairs.map(|(w, x)| f64::from(*w) * f64::from(*x)).collect();
        let added = if kind == GemmOutput::AddF32 { f64::from(before[index]) } else { 0.0 };
        let sum = products.iter().sum::<f64>() + added;
        let size: f64 = products.iter().map(|x| x.abs()).sum();
        // Sums in f32 of a thousand products (TF32 would be off by a thousandth), and the rounding of the result.
        let allowed = 3e-6 * size + f64::from(step(dtype)) * sum.abs();
        assert!((f64::from(*found) - sum).abs() <= allowed, "{gemm:?}, number {index}: {found} and {sum}");
    }
}
