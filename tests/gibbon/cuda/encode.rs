//! Encoding many chunks at once.

use gibbon::{
    config::CacheDtype,
    cuda::{
        CudaError,
        arena::PinnedPool,
        encode::Encoder,
        segment::{HostMemory, HostSegment},
    },
};

use super::{
    device::gpu,
    network::{encode, exact, on_device, pageable, prefix},
};
use crate::{
    ape::{PREFIX, furthest},
    support::{EXACT, never},
};

/// Chunks of many lengths, among them one of none and ones of a token or a few.
fn chunks(count: usize) -> Vec<Vec<u32>> {
    let length = |index: usize| [0, 1, 3, 5, 64, 130, 17, 257][index % 8] + index / 8;
    (0..count)
        .map(|index| (0..length(index)).map(|i| 500 + ((index * 7 + i) * 311 % 20_000) as u32).collect())
        .collect()
}

fn numbers(segment: &HostSegment) -> Vec<f32> {
    let mut numbers = vec![0.0; segment.bytes().len() / segment.dtype().bytes()];
    segment.dtype().read(segment.bytes(), &mut numbers);
    numbers
}

/// Largest difference of two segments, in parts of the largest number.
fn difference(a: &HostSegment, b: &HostSegment) -> f32 {
    assert_eq!((a.shape(), a.dtype()), (b.shape(), b.dtype()));
    let (a, b) = (numbers(a), numbers(b));
    let largest = a.iter().fold(f32::MIN_POSITIVE, |most, x| most.max(x.abs()));
    furthest(&a, &b) / largest
}

/// Side by side with others, in batches of any size, a chunk's segment is the one that it has alone, but for the order of
/// sums, which follows the size of the products.
#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_batch_gives_each_chunk_what_it_has_alone() {
    let network = exact();
    let prefix = prefix(network, &PREFIX, EXACT);
    let chunks = chunks(24);
    let alone: Vec<_> = chunks
        .iter()
        .map(|chunk| encode(network, &prefix, std::slice::from_ref(chunk), EXACT).remove(0))
        .collect();
    for batch in [1, 200, 1000, 1 << 20] {
        let mut encoder =
            Encoder::new(network, Some(&prefix), EXACT).expect("it fits").with_batches_of(batch);
        let mut found = 0;
        let mut finished = |index: usize, segment: HostSegment| {
            found += 1;
            assert_eq!(segment.tokens(), chunks[index].len());
            if !chunks[index].is_empty() {
                let difference = difference(&alone[index], &segment);
                assert!(difference <= 5e-4, "chunk {index} in batches of {batch}: {difference}");
            }
        };
        encoder.encode(&chunks, &mut pageable, &mut finished, &never).expect("it fits");
        assert_eq!(found, chunks.len());
    }
}

/// In 16 bits and into page-locked memory, and again with the same encoder: the same bytes, as long as the batches are the
/// same.
#[test]
#[ignore = "needs an NVIDIA GPU"]
fn the_same_batch_gives_the_same_bytes() {
    let network = on_device(CacheDtype::Bf16);
    let pool = PinnedPool::new(gpu().clone(), 1 << 30);
    for dtype in [CacheDtype::F16, CacheDtype::Bf16, CacheDtype::F32] {
        let prefix = prefix(&network, &PREFIX, dtype);
        let chunks = chunks(40);
        let expected = encode(&network, &prefix, &chunks, dtype);
        let mut encoder = Encoder::new(&network, Some(&prefix), dtype).expect("it fits");
        for _ in 0..2 {
            let mut finished = |index: usize, segment: HostSegment| {
                assert_eq!(segment.bytes(), expected[index].bytes(), "chunk {index} in {}", dtype.name());
                let numbers = numbers(&segment);
                assert!(numbers.iter().all(|x| x.is_finite()), "chunk {index} in {}", dtype.name());
            };
            let mut allocate = |bytes| HostMemory::allocate(&pool, bytes);
            encoder.encode(&chunks, &mut allocate, &mut finished, &never).expect("it fits");
        }
    }
    assert_eq!(pool.usage().used, 0, "every segment was given back");
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn encoding_stops_when_it_is_cancelled_and_keeps_what_is_finished() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let network = exact();
    let prefix = prefix(network, &PREFIX, EXACT);
    let chunks: Vec<Vec<u32>> = (0..6).map(|_| vec![700; 50]).collect();
    let layers = network.shape().config.layers;
    let calls = AtomicUsize::new(0);
    // In the middle of the third of six batches.
    let cancelled = || calls.fetch_add(1, Ordering::Relaxed) >= 2 * layers + 5;
    let mut encoder = Encoder::new(network, Some(&prefix), EXACT).expect("it fits").with_batches_of(50);
    let mut indices = Vec::new();
    let result = encoder.encode(&chunks, &mut pageable, &mut |index, _| indices.push(index), &cancelled);
    assert_eq!(result, Err(CudaError::Cancelled));
    assert_eq!(indices, [0, 1]);
    let mut count = 0;
    encoder.encode(&chunks, &mut pageable, &mut |_, _| count += 1, &never).expect("it fits");
    assert_eq!(count, 6);
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_chunk_that_is_too_long_is_refused() {
    let network = exact();
    let prefix = prefix(network, &PREFIX, EXACT);
    let capacity = network.shape().config.context_tokens;
    let mut encoder = Encoder::new(network, Some(&prefix), EXACT).expect("it fits");
    let result = encoder.encode(&[vec![500; capacity]], &mut pageable, &mut |_, _| {}, &never);
    assert_eq!(result, Err(CudaError::ContextTooLong { tokens: capacity + PREFIX.len(), capacity }));
}
