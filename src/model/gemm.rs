//! A safe door to the `gemm` crate for row-major f32 matrices on one thread; the callers are parallel themselves.

/// `out = left · right` with `left: [m, k]`, `out: [m, n]` and `right: [k, n]`, or `[n, k]` when `right_transposed`.
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
    let (right_column, right_row) = if right_transposed { (k, 1) } else { (1, n) };
    // SAFETY: every index that the strides reach lies inside the slices, as asserted above, and `out` is borrowed
    // exclusively.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            false,
            left.as_ptr(),
            1,
            k as isize,
            right.as_ptr(),
            right_column as isize,
            right_row as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
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
}
