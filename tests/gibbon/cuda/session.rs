//! The invariants of adaptive parallel encoding on the device, as `ape.rs` has them for the CPU, and the two against each
//! other.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use gibbon::{
    config::CacheDtype,
    cuda::{
        CudaError,
        context::{Context, ContextSegment},
        network::CudaNetwork,
        segment::{DeviceSegment, HostSegment},
        session::Session,
    },
    model::{
        attention::ApeScaling,
        session::{Encoder, Placement, Session as HostSession, encode_prefix},
    },
};

use super::network::{encode, exact, on_device, prefix};
use crate::{
    ape::{self, PREFIX, QUERY, assert_close, chunks, furthest},
    support::{EXACT, exact_network, never},
};

fn encoded(network: &CudaNetwork, dtype: CacheDtype) -> (Arc<DeviceSegment>, Vec<Arc<HostSegment>>) {
    let prefix = prefix(network, &PREFIX, dtype);
    let segments = encode(network, &prefix, &chunks(), dtype);
    (prefix, segments)
}

fn logits(
    network: &CudaNetwork,
    prefix: &Arc<DeviceSegment>,
    segments: &[Arc<HostSegment>],
    placement: Placement,
    scaling: ApeScaling,
) -> Vec<f32> {
    let segments = segments.iter().cloned().map(ContextSegment::on_host).collect();
    let context = Context::new(segments, placement);
    let mut session =
        Session::with_context(network, prefix, context, scaling, QUERY.len(), 0).expect("it fits");
    session.prefill(&QUERY, &never).expect("it fits");
    let logits = session.logits().expect("the query has been run").to_vec();
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let chosen = session.most_likely().expect("the query has been run");
    assert_eq!(Some(chosen as usize), logits.iter().position(|logit| *logit == largest));
    logits
}

/// As on the CPU, with the tolerance for the device.
#[test]
#[ignore = "needs an NVIDIA GPU"]
fn one_chunk_without_scaling_gives_the_logits_of_full() {
    let network = exact();
    let (prefix, segments) = encoded(network, EXACT);
    for (segment, tokens) in segments.iter().zip(chunks()) {
        let all: Vec<u32> = PREFIX.iter().chain(&tokens).chain(&QUERY).copied().collect();
        let mut session = Session::empty(network, all.len()).expect("it fits");
        session.prefill(&all, &never).expect("it fits");
        let full = session.logits().expect("tokens have been run").to_vec();
        for placement in [Placement::Running, Placement::Shared] {
            let cached = logits(network, &prefix, std::slice::from_ref(segment), placement, ApeScaling::NONE);
            assert_close(&cached, &full, 0.02);
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn the_order_of_chunks_changes_nothing_where_they_share_positions() {
    let network = exact();
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

/// Every strategy gives the CPU's logits, over the same segments, token after token, few tokens at a time and many.
#[test]
#[ignore = "needs an NVIDIA GPU"]
fn every_strategy_gives_the_logits_of_the_cpu() {
    let (device, host) = (exact(), exact_network());
    let host_prefix = Arc::new(encode_prefix(host, &PREFIX, EXACT, &never).expect("it is encoded"));
    let mut encoder = Encoder::new(host, host_prefix.clone());
    let encode = |tokens: &Vec<u32>| Arc::new(encoder.encode(tokens, &never).expect("it is encoded"));
    let host_segments: Vec<_> = chunks().iter().map(encode).collect();
    let prefix = device.upload(&HostSegment::from((*host_prefix).clone())).expect("it fits");
    let segments: Vec<_> =
        host_segments.iter().map(|segment| Arc::new(HostSegment::from((**segment).clone()))).collect();
    let long: Vec<u32> = (0..70).map(|i| 900 + i * 17).collect();
    for (placement, scaling) in [
        (Placement::Running, ApeScaling::NONE),
        (Placement::Shared, ApeScaling::NONE),
        (Placement::Shared, ApeScaling { temperature: 0.5, scale: 0.7 }),
    ] {
        for query in [&QUERY[..1], &QUERY[..4], &QUERY[..], &long[..]] {
            let mut on_host = HostSession::with_context(
                host,
                &host_prefix,
                &host_segments,
                placement,
                scaling,
                query.len(),
                3,
            )
            .expect("it fits");
            let context =
                Context::new(segments.iter().cloned().map(ContextSegment::on_host).collect(), placement);
            let mut on_device =
                Session::with_context(device, &prefix, context, scaling, query.len(), 3).expect("it fits");
            on_host.prefill(query, &never).expect("it fits");
            on_device.prefill(query, &never).expect("it fits");
            for token in [5, 6, 7] {
                let expected: Vec<f32> =
                    on_host.logits().expect("it has been run").to_vec1().expect("logits are f32");
                assert_close(on_device.logits().expect("it has been run"), &expected, 0.02);
                on_host.prefill(&[token], &never).expect("it fits");
                on_device.prefill(&[token], &never).expect("it fits");
            }
        }
    }
}

/// Segments by the device are those by the CPU, but for the order of sums.
#[test]
#[ignore = "needs an NVIDIA GPU"]
fn segments_are_those_of_the_cpu() {
    let (device, host) = (exact(), exact_network());
    let host_prefix = Arc::new(encode_prefix(host, &PREFIX, EXACT, &never).expect("it is encoded"));
    let (_, segments) = encoded(device, EXACT);
    let mut encoder = Encoder::new(host, host_prefix);
    for (tokens, segment) in chunks().iter().zip(segments) {
        let expected = encoder.encode(tokens, &never).expect("it is encoded");
        assert_eq!((segment.shape(), segment.dtype()), (expected.shape, expected.dtype));
        let (mut ours, mut theirs) =
            (vec![0.0; segment.bytes().len() / 4], vec![0.0; expected.data.len() / 4]);
        EXACT.read(segment.bytes(), &mut ours);
        EXACT.read(&expected.data, &mut theirs);
        let largest = theirs.iter().fold(0f32, |most, x| most.max(x.abs()));
        // 30 layers of f32 sums in another order.
        assert!(furthest(&ours, &theirs) <= 1e-3 * largest, "{} of {largest}", furthest(&ours, &theirs));
    }
}

/// In blocks and at once, in memory made for it and in memory that has to grow, the CPU's `full`.
#[test]
#[ignore = "needs an NVIDIA GPU"]
fn full_grows_and_gives_the_logits_of_the_cpu() {
    let network = exact();
    let chunks = chunks();
    let expected = ape::full_logits(exact_network(), &chunks);
    let tokens: Vec<u32> = PREFIX.iter().chain(chunks.iter().flatten()).chain(&QUERY).copied().collect();
    for (room, block) in [(tokens.len(), tokens.len()), (1, 10), (1, 3), (50, 1)] {
        let mut session = Session::empty(network, room).expect("it fits");
        for block in tokens.chunks(block) {
            session.prefill(block, &never).expect("it fits");
        }
        assert_close(session.logits().expect("it has been run"), &expected, 0.02);
        assert_eq!(session.position(), tokens.len());
    }
}

/// More tokens than go through the layers at once.
#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_prompt_of_several_blocks_is_the_same_as_its_parts() {
    let network = on_device(CacheDtype::Bf16);
    let tokens: Vec<u32> = (0..6000).map(|i| 500 + (i * 311) % 20_000).collect();
    let logits = |block: usize| {
        let mut session = Session::empty(&network, tokens.len()).expect("it fits");
        for block in tokens.chunks(block) {
            session.prefill(block, &never).expect("it fits");
        }
        session.logits().expect("it has been run").to_vec()
    };
    // Other products of other sizes, in 16 bits over 30 layers.
    assert_close(&logits(6000), &logits(1000), 1.0);
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn work_stops_when_it_is_cancelled_and_the_next_is_right() {
    let network = exact();
    let (prefix, segments) = encoded(network, EXACT);
    let straight = logits(network, &prefix, &segments, Placement::Shared, ApeScaling::NONE);
    let calls = AtomicUsize::new(0);
    let after_three = || calls.fetch_add(1, Ordering::Relaxed) >= 3;
    let mut session = Session::empty(network, PREFIX.len()).expect("it fits");
    assert_eq!(session.prefill(&PREFIX, &after_three), Err(CudaError::Cancelled));
    assert_eq!(calls.into_inner(), 4, "asked once a layer and no more after the answer");
    drop(session);
    let again = logits(network, &prefix, &segments, Placement::Shared, ApeScaling::NONE);
    assert_eq!(again, straight);
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_context_that_is_too_long_is_refused_before_any_work() {
    let network = exact();
    let capacity = network.shape().config.context_tokens;
    let tokens = vec![500; capacity + 1];
    let mut session = Session::empty(network, 10).expect("it fits");
    let result = session.prefill(&tokens, &|| panic!("work was started"));
    assert_eq!(result, Err(CudaError::ContextTooLong { tokens: capacity + 1, capacity }));
    assert!(!session.is_full());
    assert!(session.logits().is_err(), "nothing has been run");
    let unknown = session.prefill(&[u32::MAX], &never);
    assert!(matches!(unknown, Err(CudaError::Model(_))));
}
