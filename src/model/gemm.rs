//! Safe doors to the `gemm` crate for row-major f32 matrices.

use gemm::Parallelism;

/// `out = left · right` with `left: [m, k]`, `out: [m, n]` and `right: [k, n]`, or `[n, k]` when `right_transposed`,
/// on one thread: the callers are parallel themselves.
///
/// Panics when a slice is shorter than its shape says.
pub fn matmul(
    out: &mut [f32],
    left: &[f32],
    right: &[f32],
    (m, k, n): (usize, usize, usize),
    right_transposed: bool,
) {
    assert!(out.len() >= m * n && left.len() >= m * k && right.len() >= k * n, "slices shorter than shapes");
    let right_strides = if right_transposed { (k, 1) } else { (1, n) };
    // SAFETY: every index that the strides reach lies inside the slices, as asserted above.
    unsafe { call(out, n, left, right, right_strides, (m, k, n), false, Parallelism::None) }
}

/// Columns `first..first + n` of an `out` of `width` columns, `[m, width]`, become `left · rightᵀ`, or grow by it when
/// `add`, with `left: [m, k]` and `right: [n, k]`; on all threads.
///
/// Panics when a slice is shorter than its shape says.
pub fn matmul_columns(
    out: &mut [f32],
    (first, width): (usize, usize),
    left: &[f32],
    right: &[f32],
    (m, k, n): (usize, usize, usize),
    add: bool,
) {
    assert!(first + n <= width && out.len() >= m * width, "the output is smaller than its shape");
    assert!(left.len() >= m * k && right.len() >= k * n, "slices shorter than shapes");
    if m * n == 0 {
        return;
    }
    // SAFETY: every index that the strides reach lies inside the slices, as asserted above: the output's last is
    // first + (m - 1) * width + n - 1.
    unsafe { call(&mut out[first..], width, left, right, (k, 1), (m, k, n), add, Parallelism::Rayon(0)) }
}

/// # Safety
/// `left` holds `[m, k]`, `out` the `m` rows of `n` numbers that start `out_row` apart, and `right` every number
/// that its strides (column, row) reach in `[k, n]`.
#[allow(clippy::too_many_arguments)]
unsafe fn call(
    out: &mut [f32],
    out_row: usize,
    left: &[f32],
    right: &[f32],
    (right_column, right_row): (usize, usize),
    (m, k, n): (usize, usize, usize),
    add: bool,
    parallelism: Parallelism,
) {
    // SAFETY: as the caller promises; `out` is borrowed exclusively.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            out_row as isize,
            add,
            left.as_ptr(),
            1,
            k as isize,
            right.as_ptr(),
            right_column as isize,
            right_row as isize,
            if add { 1.0 } else { 0.0 },
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplies_both_ways() {
        let left = [1., 2., 3., 4., 5., 6.]; // [2, 3]
        let right = [1., 0., 0., 1., 1., 1.]; // [3, 2]
        let transposed = [1., 0., 1., 0., 1., 1.]; // the same as [2, 3]
        let (mut a, mut b) = ([9.0; 4], [9.0; 4]);
        matmul(&mut a, &left, &right, (2, 3, 2), false);
        matmul(&mut b, &left, &transposed, (2, 3, 2), true);
        assert_eq!(a, [4., 5., 10., 11.]);
        assert_eq!(a, b);
    }

    #[test]
    fn writes_its_own_columns_alone() {
        let left = [1., 2., 3., 4., 5., 6.]; // [2, 3]
        let transposed = [1., 0., 1., 0., 1., 1.]; // [2, 3]
        let mut out = [1.0; 8]; // [2, 4]
        matmul_columns(&mut out, (1, 4), &left, &transposed, (2, 3, 2), false);
        assert_eq!(out, [1., 4., 5., 1., 1., 10., 11., 1.]);
        matmul_columns(&mut out, (1, 4), &left, &transposed, (2, 3, 2), true);
        assert_eq!(out, [1., 8., 10., 1., 1., 20., 22., 1.]);
    }
}
