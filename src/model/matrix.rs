//! Weight matrices as the network multiplies with them.
//!
//! For a token or a few, weights are read once, straight from the file's blocks. For many tokens, whose products are
//! bound by arithmetic, a panel of rows at a time is unpacked to f32 and multiplied by the `gemm` crate. Both ways use
//! the weights as the file has them and f32 activations, and both are one piece of parallel work, however many products
//! there are with the same activations: tasks are stolen, so nothing waits for a thread that has not started, and a
//! busy machine slows an answer in proportion.

use std::{ops::Range, sync::Arc};

use candle_core::{
    Device, Module, Tensor,
    quantized::{QMatMul, QTensor},
};
use rayon::prelude::*;

use super::{ModelError, blocks::Format, gemm, simd};

/// Up to so many rows are multiplied one by one; from there on unpacking a panel pays.
const FEW_ROWS: usize = 5;
/// Rows of a panel: a multiple of the rows that gemm's kernels take, and few enough that its numbers stay in the
/// second-level cache.
const PANEL_ROWS: usize = 96;
/// Weights of a task; some 5 µs of work.
const TASK_NUMBERS: usize = 64 << 10;

/// A matrix of weights, `[rows, columns]`, that is `[out, in]`. Clones share the weights.
#[derive(Debug, Clone)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    weights: Weights,
}

#[derive(Debug, Clone)]
enum Weights {
    Dense(Arc<Vec<f32>>),
    Blocks(Format, Arc<QTensor>),
    /// A type that only candle reads.
    Foreign(QMatMul),
}

impl Matrix {
    /// A matrix of f32 weights.
    pub fn dense(tensor: &Tensor) -> Result<Self, ModelError> {
        let (rows, columns) = tensor.dims2()?;
        let weights = Weights::Dense(Arc::new(tensor.flatten_all()?.to_vec1()?));
        Ok(Self { rows, columns, weights })
    }

    /// A matrix of a GGUF file, in the type that the file has.
    pub fn quantized(tensor: Arc<QTensor>) -> Result<Self, ModelError> {
        let (rows, columns) = tensor.shape().dims2()?;
        let format = Format::of(tensor.dtype()).filter(|format| format.row_bytes(columns).is_some());
        let weights = match format {
            Some(format) => Weights::Blocks(format, tensor),
            None if tensor.dtype().block_size() == 1 => {
                return Self::dense(&tensor.dequantize(&Device::Cpu)?);
            }
            None => Weights::Foreign(QMatMul::from_arc(tensor)?),
        };
        Ok(Self { rows, columns, weights })
    }

    /// A matrix without rows, where the weights are elsewhere.
    pub fn empty() -> Self {
        Self { rows: 0, columns: 0, weights: Weights::Dense(Arc::default()) }
    }

    /// Numbers of one output.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers of one input.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Whether this and `other` are one matrix in memory: the embedding and the output layer of many models.
    pub fn shares(&self, other: &Self) -> bool {
        match (&self.weights, &other.weights) {
            (Weights::Dense(ours), Weights::Dense(theirs)) => Arc::ptr_eq(ours, theirs),
            (Weights::Blocks(_, ours), Weights::Blocks(_, theirs)) => Arc::ptr_eq(ours, theirs),
            (Weights::Foreign(QMatMul::QTensor(ours)), Weights::Foreign(QMatMul::QTensor(theirs))) => {
                Arc::ptr_eq(ours, theirs)
            }
            _ => false,
        }
    }

    /// Writes one row of weights, `[columns]`, to `out`: the embedding of a token.
    pub fn row(&self, row: usize, out: &mut [f32]) -> Result<(), ModelError> {
        match &self.weights {
            Weights::Dense(weights) => out.copy_from_slice(&weights[row * self.columns..][..self.columns]),
            Weights::Blocks(format, tensor) => {
                let bytes = self.row_bytes(*format);
                format.unpack(&tensor.data()?[row * bytes..][..bytes], out);
            }
            Weights::Foreign(product) => {
                let ids = Tensor::new(&[row as u32], &Device::Cpu)?;
                out.copy_from_slice(&product.embedding(&ids)?.flatten_all()?.to_vec1()?);
            }
        }
        Ok(())
    }

    /// Bytes of a row in `format`; a matrix has whole blocks, or it would not be [`Weights::Blocks`].
    fn row_bytes(&self, format: Format) -> usize {
        format.row_bytes(self.columns).unwrap_or_default()
    }

    /// Products of some rows with one token's activations, on this thread.
    fn multiply_rows<const ADD: bool>(
        &self,
        rows: Range<usize>,
        activations: &[f32],
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        match &self.weights {
            Weights::Dense(weights) => {
                let weights = &weights[rows.start * self.columns..rows.end * self.columns];
                simd::multiply_dense::<ADD>(weights, activations, out);
            }
            Weights::Blocks(format, tensor) => {
                let bytes = self.row_bytes(*format);
                let weights = &tensor.data()?[rows.start * bytes..rows.end * bytes];
                format.multiply::<ADD>(weights, activations, out);
            }
            Weights::Foreign(_) => return Err(ModelError::Internal("a foreign matrix has no rows")),
        }
        Ok(())
    }

    /// Products of some rows with many tokens' activations, `[tokens, rows]`, on this thread.
    fn multiply_panel(&self, rows: Range<usize>, activations: &[f32]) -> Result<Vec<f32>, ModelError> {
        let tokens = activations.len() / self.columns;
        let numbers = rows.start * self.columns..rows.end * self.columns;
        let shape = (tokens, self.columns, rows.len());
        let mut out = vec![0.0; tokens * rows.len()];
        match &self.weights {
            Weights::Dense(weights) => gemm::matmul(&mut out, activations, &weights[numbers], shape, true),
            Weights::Blocks(format, tensor) => {
                let bytes = self.row_bytes(*format);
                let mut panel = vec![0.0; numbers.len()];
                format.unpack(&tensor.data()?[rows.start * bytes..rows.end * bytes], &mut panel);
                gemm::matmul(&mut out, activations, &panel, shape, true);
            }
            Weights::Foreign(product) => {
                let activations = Tensor::from_slice(activations, (tokens, self.columns), &Device::Cpu)?;
                out = product.forward(&activations)?.flatten_all()?.to_vec1()?;
            }
        }
        Ok(out)
    }
}

/// A linear layer, `[out, in]`, with an optional bias `[out]`.
#[derive(Debug)]
pub struct Linear {
    pub matrix: Matrix,
    pub bias: Option<Vec<f32>>,
}

/// One of several products with the same activations: the layer and its output, `[tokens, out]`.
pub type Product<'a> = (&'a Linear, &'a mut [f32]);

impl Linear {
    /// Multiplies `activations`, `[tokens, in]`, and puts the products into `out`, `[tokens, out]`.
    pub fn forward(&self, activations: &[f32], out: &mut [f32]) -> Result<(), ModelError> {
        forward_all([(self, out)], activations)
    }

    /// As [`Self::forward`], adding the products to what `out` holds.
    pub fn forward_add(&self, activations: &[f32], out: &mut [f32]) -> Result<(), ModelError> {
        multiply::<true>(&mut [(self, out)], activations)
    }
}

/// Several products with the same `activations`, `[tokens, in]`, as one piece of parallel work.
pub fn forward_all<const COUNT: usize>(
    mut products: [Product; COUNT],
    activations: &[f32],
) -> Result<(), ModelError> {
    multiply::<false>(&mut products, activations)
}

fn multiply<const ADD: bool>(products: &mut [Product], activations: &[f32]) -> Result<(), ModelError> {
    for (linear, out) in products.iter() {
        let Matrix { rows, columns, .. } = linear.matrix;
        assert_eq!(out.len() * columns, activations.len() * rows, "an output of another shape");
    }
    let tokens = products.first().map_or(0, |(linear, _)| activations.len() / linear.matrix.columns);
    let foreign = products.iter().any(|(linear, _)| matches!(linear.matrix.weights, Weights::Foreign(_)));
    if tokens > FEW_ROWS || foreign {
        multiply_many::<ADD>(products, activations)?;
    } else {
        multiply_few::<ADD>(products, activations)?;
    }
    for (linear, out) in products {
        if let Some(bias) = &linear.bias {
            for row in out.chunks_exact_mut(bias.len()) {
                row.iter_mut().zip(bias).for_each(|(x, bias)| *x += bias);
            }
        }
    }
    Ok(())
}

fn multiply_few<const ADD: bool>(products: &mut [Product], activations: &[f32]) -> Result<(), ModelError> {
    let mut tasks = Vec::new();
    for (linear, out) in products {
        let matrix = &linear.matrix;
        let rows = (TASK_NUMBERS / matrix.columns).max(1);
        let tokens = out.chunks_exact_mut(matrix.rows).zip(activations.chunks_exact(matrix.columns));
        for (out, activations) in tokens {
            for (index, out) in out.chunks_mut(rows).enumerate() {
                tasks.push((matrix, index * rows..index * rows + out.len(), activations, out));
            }
        }
    }
    tasks
        .into_par_iter()
        .try_for_each(|(matrix, rows, activations, out)| matrix.multiply_rows::<ADD>(rows, activations, out))
}

fn multiply_many<const ADD: bool>(products: &mut [Product], activations: &[f32]) -> Result<(), ModelError> {
    let mut tasks = Vec::new();
    for (index, (linear, _)) in products.iter().enumerate() {
        let Matrix { rows, weights, .. } = &linear.matrix;
        let panel = if matches!(weights, Weights::Foreign(_)) { *rows } else { PANEL_ROWS };
        for start in (0..*rows).step_by(panel) {
            tasks.push((index, &linear.matrix, start..(start + panel).min(*rows)));
        }
    }
    let parts: Vec<(usize, Range<usize>, Vec<f32>)> = tasks
        .into_par_iter()
        .map(|(index, matrix, rows)| Ok((index, rows.clone(), matrix.multiply_panel(rows, activations)?)))
        .collect::<Result<_, ModelError>>()?;
    for (index, rows, part) in parts {
        let (linear, out) = &mut products[index];
        for (out, part) in out.chunks_exact_mut(linear.matrix.rows).zip(part.chunks_exact(rows.len())) {
            let out = &mut out[rows.clone()];
            if ADD {
                out.iter_mut().zip(part).for_each(|(out, x)| *out += x);
            } else {
                out.copy_from_slice(part);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::GgmlDType;

    use super::*;

    fn number(i: usize) -> f32 {
        ((i * 2_654_435_761) % 2003) as f32 / 1000.0 - 1.0
    }

    /// A layer of odd sizes in `dtype`, and its weights as the file has them.
    fn layer(dtype: Option<GgmlDType>, rows: usize, columns: usize) -> (Linear, Vec<f32>) {
        let numbers: Vec<f32> = (0..rows * columns).map(number).collect();
        let dense = Tensor::from_vec(numbers, (rows, columns), &Device::Cpu).unwrap();
        let matrix = match dtype {
            None => Matrix::dense(&dense).unwrap(),
            Some(dtype) => Matrix::quantized(Arc::new(QTensor::quantize(&dense, dtype).unwrap())).unwrap(),
        };
        let mut weights = vec![0.0; rows * columns];
        for (row, out) in weights.chunks_exact_mut(columns).enumerate() {
            matrix.row(row, out).unwrap();
        }
        let bias = (0..rows).map(|i| number(i + 5)).collect();
        (Linear { matrix, bias: Some(bias) }, weights)
    }

    /// Few and many tokens, plain and added, against f64. A sum of up to 4096 terms in f32 is off by some 64 roundings
    /// of 6e-8, in parts of the sum of the terms' sizes: 1e-5 of it leaves a factor of two, and a term left out would
    /// show as 2e-4.
    #[test]
    fn products_agree_with_f64() {
        let types = [None, Some(GgmlDType::Q4_1), Some(GgmlDType::Q8_0), Some(GgmlDType::Q4K)];
        for (dtype, columns) in types.into_iter().zip([77, 96, 4096, 512]) {
            let rows = 101;
            let (layer, weights) = layer(dtype, rows, columns);
            for tokens in [1, 2, FEW_ROWS, FEW_ROWS + 1, 33] {
                let activations: Vec<f32> = (0..tokens * columns).map(|i| number(i + 31)).collect();
                let (mut plain, mut added) = (vec![9.0; tokens * rows], vec![0.25; tokens * rows]);
                layer.forward(&activations, &mut plain).unwrap();
                layer.forward_add(&activations, &mut added).unwrap();
                for (index, (plain, added)) in plain.iter().zip(&added).enumerate() {
                    let (token, row) = (index / rows, index % rows);
                    let terms = weights[row * columns..][..columns]
                        .iter()
                        .zip(&activations[token * columns..][..columns])
                        .map(|(a, b)| f64::from(*a) * f64::from(*b));
                    let (sum, size) = terms.fold((0.0, 1.0), |(sum, size), x| (sum + x, size + x.abs()));
                    let expected = sum + f64::from(layer.bias.as_ref().unwrap()[row]);
                    let (plain, added) = (f64::from(*plain), f64::from(*added) - 0.25);
                    assert!((plain - expected).abs() <= 1e-5 * size, "{dtype:?}, {tokens}: {plain}");
                    assert!((added - expected).abs() <= 1e-5 * size, "{dtype:?}, {tokens}: {added}");
                }
            }
        }
    }

    /// A matrix of several panels, and a type that only candle reads (8-bit activations there, so a wide tolerance).
    #[test]
    fn large_and_foreign_matrices() {
        let columns = 1024;
        let rows = 3 * PANEL_ROWS + 3;
        let (large, weights) = layer(Some(GgmlDType::Q4_0), rows, columns);
        let (foreign, foreign_weights) = layer(Some(GgmlDType::Q3K), 9, columns);
        for (layer, weights, rows, tolerance) in
            [(large, weights, rows, 1e-4), (foreign, foreign_weights, 9, 0.5)]
        {
            let tokens = FEW_ROWS + 2;
            let activations: Vec<f32> = (0..tokens * columns).map(|i| number(i + 3)).collect();
            let mut out = vec![0.0; tokens * rows];
            layer.forward(&activations, &mut out).unwrap();
            for row in [0, 1, rows - 2, rows - 1] {
                let token = tokens - 1;
                let terms = weights[row * columns..][..columns].iter().zip(&activations[token * columns..]);
                let expected = terms.map(|(a, b)| f64::from(a * b)).sum::<f64>()
                    + f64::from(layer.bias.as_ref().unwrap()[row]);
                assert!((f64::from(out[token * rows + row]) - expected).abs() <= tolerance, "{rows}: {row}");
            }
        }
    }

    #[test]
    fn products_of_one_input_together_equal_them_alone() {
        let ((a, _), (b, _)) = (layer(Some(GgmlDType::Q4_1), 65, 64), layer(Some(GgmlDType::Q8_0), 33, 64));
        for tokens in [1, 3, 8] {
            let activations: Vec<f32> = (0..tokens * 64).map(number).collect();
            let (mut x, mut y) = (vec![0.0; tokens * 65], vec![0.0; tokens * 33]);
            forward_all([(&a, &mut x), (&b, &mut y)], &activations).unwrap();
            let (mut alone_x, mut alone_y) = (vec![0.0; tokens * 65], vec![0.0; tokens * 33]);
            a.forward(&activations, &mut alone_x).unwrap();
            b.forward(&activations, &mut alone_y).unwrap();
            assert_eq!((x, y), (alone_x, alone_y));
        }
    }
}
