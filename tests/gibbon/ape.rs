//! The invariants of adaptive parallel encoding (see ARCHITECTURE.md), on the real model and on random numbers.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use gibbon::{
    config::CacheDtype,
    model::{
        attention::{ApeScaling, Attended, Heads, Mask, attend, merge_context},
        kv::{KvSegment, LayerKv},
        network::Network,
        session::{Encoder, Placement, Session, encode_prefix},
    },
};
use proptest::prelude::*;

use crate::support::{EXACT, exact_network, never};

pub const PREFIX: [u32; 6] = [1, 9690, 198, 2683, 2988, 198];
pub const QUERY: [u32; 5] = [17872, 42, 1073, 6780, 314];

/// Three chunks of different lengths; the ids are ordinary words of the vocabulary.
pub fn chunks() -> Vec<Vec<u32>> {
    [(40u32, 311u32), (17, 1009), (29, 773)]
        .iter()
        .map(|(length, step)| (0..*length).map(|i| 500 + (i * step) % 20_000).collect())
        .collect()
}

fn encoded(network: &Network, dtype: CacheDtype) -> (Arc<KvSegment>, Vec<Arc<KvSegment>>) {
    let prefix = Arc::new(encode_prefix(network, &PREFIX, dtype, &never).unwrap());
    let mut encoder = Encoder::new(network, prefix.clone());
    let segments = chunks().iter().map(|tokens| Arc::new(encoder.encode(tokens, &never).unwrap())).collect();
    (prefix, segments)
}

fn logits(
    network: &Network,
    prefix: &KvSegment,
    segments: &[Arc<KvSegment>],
    placement: Placement,
    scaling: ApeScaling,
) -> Vec<f32> {
    let mut session =
        Session::with_context(network, prefix, segments, placement, scaling, QUERY.len(), 0).unwrap();
    session.prefill(&QUERY, &never).unwrap();
    session.logits().unwrap().to_vec1().unwrap()
}

pub fn full_logits(network: &Network, chunks: &[Vec<u32>]) -> Vec<f32> {
    let mut session = Session::empty(network);
    let tokens: Vec<u32> = PREFIX.iter().chain(chunks.iter().flatten()).chain(&QUERY).copied().collect();
    session.prefill(&tokens, &never).unwrap();
    session.logits().unwrap().to_vec1().unwrap()
}

#[track_caller]
pub fn assert_close(a: &[f32], b: &[f32], tolerance: f32) {
    for (id, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= tolerance, "logit {id}: {a} and {b}");
    }
}

pub fn furthest(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The order of f32 sums differs between one pass and two groups; 0.01 of a logit is the golden cases' tolerance.
#[test]
fn one_chunk_without_scaling_gives_the_logits_of_full() {
    let network = exact_network();
    let (prefix, segments) = encoded(network, EXACT);
    for (segment, tokens) in segments.iter().zip(chunks()) {
        let full = full_logits(network, &[tokens]);
        for placement in [Placement::Running, Placement::Shared] {
            let cached = logits(network, &prefix, std::slice::from_ref(segment), placement, ApeScaling::NONE);
            assert_close(&cached, &full, 0.01);
        }
    }
}

#[test]
fn the_order_of_chunks_changes_nothing_where_they_share_positions() {
    let network = exact_network();
    let (prefix, segments) = encoded(network, EXACT);
    for scaling in [ApeScaling::NONE, ApeScaling { temperature: 0.8, scale: 0.9 }] {
        let straight = logits(network, &prefix, &segments, Placement::Shared, scaling);
        let mut turned = segments.clone();
        for _ in 0..2 {
            turned.rotate_left(1);
            assert_close(&logits(network, &prefix, &turned, Placement::Shared, scaling), &straight, 0.01);
        }
        turned.reverse();
        assert_close(&logits(network, &prefix, &turned, Placement::Shared, scaling), &straight, 0.01);
    }
    // The same is not true of running positions, or the test above would pass for the wrong reason.
    let straight = logits(network, &prefix, &segments, Placement::Running, ApeScaling::NONE);
    let mut turned = segments.clone();
    turned.reverse();
    assert!(
        furthest(&logits(network, &prefix, &turned, Placement::Running, ApeScaling::NONE), &straight) > 0.1
    );
}

#[test]
fn temperature_and_scale_matter_and_none_is_parallel() {
    let network = exact_network();
    let (prefix, segments) = encoded(network, EXACT);
    let plain = logits(network, &prefix, &segments, Placement::Shared, ApeScaling::NONE);
    let ape = ApeScaling { temperature: 0.5, scale: 0.7 };
    assert!(furthest(&logits(network, &prefix, &segments, Placement::Shared, ape), &plain) > 0.1);
}

/// Chunks are encoded after the prefix and on their own: what another chunk was does not matter.
#[test]
fn a_chunks_segment_does_not_depend_on_what_was_encoded_before() {
    let network = exact_network();
    let (prefix, segments) = encoded(network, CacheDtype::F16);
    let last = chunks().pop().unwrap();
    let alone = Encoder::new(network, prefix).encode(&last, &never).unwrap();
    assert_eq!(&alone, &**segments.last().unwrap(), "bytes of the segment");
}

#[test]
fn work_stops_when_it_is_cancelled() {
    let network = exact_network();
    let calls = AtomicUsize::new(0);
    let after_three = || calls.fetch_add(1, Ordering::Relaxed) >= 3;
    let result = Session::empty(network).prefill(&PREFIX, &after_three);
    assert!(matches!(result, Err(gibbon::model::ModelError::Cancelled)));
    assert_eq!(calls.into_inner(), 4, "asked once a layer and no more after the answer");
}

#[test]
fn a_context_that_is_too_long_is_refused_before_any_work() {
    let network = exact_network();
    let limit = network.config.context_tokens;
    let tokens = vec![500; limit + 1];
    let result = Session::empty(network).prefill(&tokens, &|| panic!("work was started"));
    assert!(matches!(
        result,
        Err(gibbon::model::ModelError::ContextTooLong { needed, limit: l }) if needed == limit + 1 && l == limit
    ));
}

/// Attention the slow way, in f64: every score, its exponential, the sum.
fn reference(
    query: &[f32],
    heads: Heads,
    keys: &[Vec<f32>],
    values: &[Vec<f32>],
    scale: f64,
    causal: bool,
) -> (Vec<f64>, Vec<f64>) {
    let dim = heads.head_dim;
    let tokens = query.len() / (heads.heads * dim);
    let (mut output, mut lse) = (Vec::new(), Vec::new());
    for token in 0..tokens {
        for head in 0..heads.heads {
            let kv_head = head / heads.group();
            let q = &query[(token * heads.heads + head) * dim..][..dim];
            let seen = if causal { keys.len() + token + 1 - tokens } else { keys.len() };
            let part = |row: &[f32]| row[kv_head * dim..(kv_head + 1) * dim].to_vec();
            let scores: Vec<f64> = keys[..seen]
                .iter()
                .map(|k| {
                    part(k).iter().zip(q).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() * scale
                })
                .collect();
            let sum: f64 = scores.iter().map(|s| s.exp()).sum();
            lse.push(sum.ln());
            for d in 0..dim {
                let weighted = scores.iter().zip(values).map(|(s, v)| s.exp() / sum * f64::from(part(v)[d]));
                output.push(weighted.sum());
            }
        }
    }
    (output, lse)
}

fn layer(heads: Heads, keys: &[Vec<f32>], values: &[Vec<f32>]) -> LayerKv {
    let mut layer = LayerKv::new(heads.kv_heads, heads.head_dim, 0);
    for (key, value) in keys.iter().zip(values) {
        layer.append(key, value);
    }
    layer
}

fn rows(count: usize, width: usize) -> impl Strategy<Value = Vec<Vec<f32>>> {
    prop::collection::vec(prop::collection::vec(-2.0f32..2.0, width), count)
}

/// Query heads, KV heads, head dimension, query tokens, keys (at least as many as query tokens).
fn shapes() -> impl Strategy<Value = (Heads, usize, usize)> {
    (1usize..4, 1usize..4, 1usize..5, 1usize..5, 0usize..70).prop_map(
        |(group, kv_heads, half, tokens, more)| {
            (Heads { heads: group * kv_heads, kv_heads, head_dim: 2 * half }, tokens, tokens + more)
        },
    )
}

/// Heads, queries, keys and values.
type Problem = (Heads, Vec<f32>, Vec<Vec<f32>>, Vec<Vec<f32>>);

fn problems() -> impl Strategy<Value = Problem> {
    shapes().prop_flat_map(|(heads, tokens, keys)| {
        let width = heads.kv_heads * heads.head_dim;
        let query = prop::collection::vec(-2.0f32..2.0, tokens * heads.heads * heads.head_dim);
        (Just(heads), query, rows(keys, width), rows(keys, width))
    })
}

/// f32 sums of at most a few hundred products of numbers below 4: 1e-4 leaves a factor of ten.
const SUMS: f64 = 1e-4;

fn assert_attended(found: &Attended, (output, lse): &(Vec<f64>, Vec<f64>)) {
    for (a, b) in found.output.iter().zip(output).chain(found.lse.iter().zip(lse)) {
        assert!((f64::from(*a) - b).abs() <= SUMS, "{a} and {b}");
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(14), ..Default::default() })]

    #[test]
    fn attention_is_what_its_definition_says((heads, query, keys, values) in problems(), causal: bool) {
        let tokens = query.len() / (heads.heads * heads.head_dim);
        let mask = if causal { Mask::Causal } else { Mask::None };
        let found = attend(&query, tokens, heads, &layer(heads, &keys, &values), 0.5, mask);
        assert_attended(&found, &reference(&query, heads, &keys, &values, 0.5, causal));
    }

    #[test]
    fn splitting_the_keys_and_merging_by_lse_equals_not_splitting(
        (heads, query, keys, values) in problems(),
        cut in 0.0f64..=1.0,
    ) {
        let tokens = query.len() / (heads.heads * heads.head_dim);
        let cut = (keys.len() as f64 * cut) as usize;
        let run = |range: std::ops::Range<usize>| {
            let part = layer(heads, &keys[range.clone()], &values[range]);
            attend(&query, tokens, heads, &part, 0.5, Mask::None)
        };
        let mut merged = run(0..cut);
        merge_context(&mut merged, &run(cut..keys.len()), ApeScaling::NONE);
        let whole = run(0..keys.len());
        for (a, b) in merged.output.iter().zip(&whole.output) {
            prop_assert!((f64::from(*a) - f64::from(*b)).abs() <= SUMS, "{a} and {b}");
        }
    }

    #[test]
    fn the_merge_weighs_as_the_paper_says(
        (heads, query, keys, values) in problems(),
        temperature in 0.1f32..=1.0,
        scale in 0.1f32..=1.0,
    ) {
        let tokens = query.len() / (heads.heads * heads.head_dim);
        let half = keys.len() / 2;
        let run = |keys: &[Vec<f32>], values: &[Vec<f32>], scale: f32| {
            attend(&query, tokens, heads, &layer(heads, keys, values), scale, Mask::None)
        };
        let context = run(&keys[..half], &values[..half], 0.5 / temperature);
        let mut merged = run(&keys[half..], &values[half..], 0.5);
        merge_context(&mut merged, &context, ApeScaling { temperature, scale });

        let (context, context_lse) =
            reference(&query, heads, &keys[..half], &values[..half], 0.5 / f64::from(temperature), false);
        let (other, other_lse) = reference(&query, heads, &keys[half..], &values[half..], 0.5, false);
        for (row, (lc, lo)) in context_lse.iter().zip(&other_lse).enumerate() {
            let (c, o) = ((f64::from(scale) * f64::from(temperature) * lc).exp(), lo.exp());
            for d in row * heads.head_dim..(row + 1) * heads.head_dim {
                let over_context = if half == 0 { 0.0 } else { context[d] };
                let expected = (over_context * c + other[d] * o) / (c + o);
                prop_assert!((f64::from(merged.output[d]) - expected).abs() <= SUMS);
            }
        }
    }
}

/// More keys than a task takes, so that the keys of one query are cut and merged inside `attend`.
#[test]
fn long_contexts_are_cut_by_keys_without_a_difference() {
    let heads = Heads { heads: 3, kv_heads: 1, head_dim: 8 };
    let number = |i: usize| ((i * 2_654_435_761) % 1000) as f32 / 500.0 - 1.0;
    let row = |i: usize| (0..8).map(|d| number(i * 8 + d)).collect::<Vec<f32>>();
    let (keys, values): (Vec<_>, Vec<_>) = (0..5000).map(|i| (row(i), row(i + 7777))).unzip();
    let query: Vec<f32> = (0..2 * 3 * 8).map(|i| number(i + 99)).collect();
    for causal in [false, true] {
        let mask = if causal { Mask::Causal } else { Mask::None };
        let found = attend(&query, 2, heads, &layer(heads, &keys, &values), 0.5, mask);
        assert_attended(&found, &reference(&query, heads, &keys, &values, 0.5, causal));
    }
}
