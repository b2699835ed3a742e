//! How far one distribution of the next token is from another.

/// KL(reference ‖ other) of the distributions that two sets of logits over the same vocabulary stand for, in nats: 0
/// where they are the same, growing without bound the less likely `other` finds what `reference` finds likely. `None`
/// where there are no logits, or not as many of each.
pub(super) fn divergence(reference: &[f32], other: &[f32]) -> Option<f64> {
    if reference.is_empty() || reference.len() != other.len() {
        return None;
    }
    let (p, q) = (log_softmax(reference), log_softmax(other));
    let sum: f64 = p.iter().zip(&q).map(|(p, q)| if p.is_finite() { p.exp() * (p - q) } else { 0.0 }).sum();
    // Rounding may leave equal distributions a hair below zero.
    Some(sum.max(0.0))
}

/// Logarithms of the probabilities. The largest logit is taken off first, so that no power overflows.
fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shifted: Vec<f64> = logits.iter().map(|logit| f64::from(*logit) - f64::from(largest)).collect();
    let total = shifted.iter().map(|logit| logit.exp()).sum::<f64>().ln();
    shifted.into_iter().map(|logit| logit - total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the books define it, from probabilities.
    fn by_definition(reference: &[f32], other: &[f32]) -> f64 {
        let softmax = |logits: &[f32]| -> Vec<f64> {
            let powers: Vec<f64> = logits.iter().map(|logit| f64::from(*logit).exp()).collect();
            let total: f64 = powers.iter().sum();
            powers.iter().map(|power| power / total).collect()
        };
        let (p, q) = (softmax(reference), softmax(other));
        p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum()
    }

    #[test]
    fn it_is_what_the_definition_says() {
        let (one, other) = ([0.5, -1.0, 3.25, 2.0, -7.5], [0.0, 1.5, 2.75, -2.0, 4.0]);
        let found = divergence(&one, &other).unwrap();
        assert!((found - by_definition(&one, &other)).abs() < 1e-12, "{found}");
        assert!((divergence(&other, &one).unwrap() - found).abs() > 0.1, "the two sides differ");
        // One chance in two against one in four, by hand: ln 2.
        let (half, quarter) = ([0.0, 0.0, f32::NEG_INFINITY, f32::NEG_INFINITY], [1.0; 4]);
        assert!((divergence(&half, &quarter).unwrap() - 2f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn large_logits_and_equal_ones_are_no_trouble() {
        let large: Vec<f32> = (0..50_000).map(|number| (number % 977) as f32 * 3.0).collect();
        let shifted: Vec<f32> = large.iter().map(|logit| logit - 1000.0).collect();
        assert_eq!(divergence(&large, &large), Some(0.0));
        assert!(divergence(&large, &shifted).unwrap() < 1e-9, "a constant says nothing");
        assert_eq!(divergence(&[], &[]), None);
        assert_eq!(divergence(&[1.0], &[1.0, 2.0]), None);
    }
}
