//! Contexts from device memory, page-locked and other host memory, and files; what is kept of them; what goes wrong.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use gibbon::{
    config::CacheDtype,
    corpus::ChunkId,
    cuda::{
        CudaError, ReadLayer,
        arena::{DevicePool, PinnedPool},
        context::{Context, ContextSegment, Kept, SegmentSource},
        network::CudaNetwork,
        segment::{DeviceSegment, HostMemory, HostSegment},
        session::Session,
        tiers::{DeviceTier, HostTier},
    },
    model::{attention::ApeScaling, session::Placement},
    store::key::{Fingerprint, KvKey, SegmentId},
};

use super::{
    device::gpu,
    network::{encode, exact, pageable, prefix},
};
use crate::{
    ape::{PREFIX, QUERY},
    support::{EXACT, never},
};

const SCALING: ApeScaling = ApeScaling { temperature: 0.8, scale: 0.9 };

/// Segments of many lengths.
fn segments(network: &CudaNetwork, dtype: CacheDtype) -> (Arc<DeviceSegment>, Vec<Arc<HostSegment>>) {
    let prefix = prefix(network, &PREFIX, dtype);
    let chunk = |index: usize| (0..1 + index * 13 % 90).map(|i| 500 + (index * 97 + i) as u32).collect();
    let chunks: Vec<Vec<u32>> = (0..40).map(chunk).collect();
    let segments = encode(network, &prefix, &chunks, dtype);
    (prefix, segments)
}

/// Logits, and what was kept on the way.
type Answered = (Vec<f32>, Vec<(usize, Kept)>);

/// The logits after the query and three more tokens.
fn run(network: &CudaNetwork, prefix: &Arc<DeviceSegment>, context: Context) -> Result<Answered, CudaError> {
    let mut session = Session::with_context(network, prefix, context, SCALING, QUERY.len(), 3)?;
    session.prefill(&QUERY, &never)?;
    let kept = session.take_kept()?;
    for token in [5, 6, 7] {
        session.prefill(&[token], &never)?;
    }
    Ok((session.logits()?.to_vec(), kept))
}

fn page_locked(segment: &HostSegment, pool: &PinnedPool) -> Arc<HostSegment> {
    let copy = HostSegment::copied(&segment.to_segment(), pool).expect("it is a segment");
    assert!(copy.is_pinned());
    Arc::new(copy)
}

fn reader(segments: &[Arc<HostSegment>]) -> ReadLayer {
    let segments = segments.to_vec();
    Arc::new(move |segment, layer, to| {
        to.copy_from_slice(segments[segment].layer(layer));
        Ok(())
    })
}

/// Wherever segments come from, the context is the same, bit for bit, and so are the logits; and what is kept on the way
/// is the segment.
#[test]
#[ignore = "needs an NVIDIA GPU"]
fn segments_give_the_same_from_wherever_they_come() {
    let network = exact();
    let host_pool = PinnedPool::new(gpu().clone(), 1 << 30);
    let device_pool = DevicePool::new(gpu().clone(), 1 << 30);
    for dtype in [CacheDtype::F16, CacheDtype::F32] {
        let (prefix, segments) = segments(network, dtype);
        let on_device: Vec<_> =
            segments.iter().map(|segment| network.upload(segment).expect("it fits")).collect();
        let keep = |segment: &HostSegment| DeviceSegment::empty(&device_pool, segment.shape(), dtype);
        let into = |segment: &HostSegment| Some(HostMemory::allocate(&host_pool, segment.bytes().len()));
        let source = |kind: usize, index: usize| {
            let segment = &segments[index];
            let in_file = |into, keep| ContextSegment {
                source: SegmentSource::File { into },
                keep,
                ..ContextSegment::in_file(segment.tokens())
            };
            match kind {
                0 => ContextSegment::on_device(on_device[index].clone()),
                1 => ContextSegment::on_host(page_locked(segment, &host_pool)),
                2 => ContextSegment::on_host(segment.clone()),
                3 => in_file(None, None),
                4 => in_file(into(segment), None),
                5 => ContextSegment {
                    keep: keep(segment),
                    ..ContextSegment::on_host(page_locked(segment, &host_pool))
                },
                _ => in_file(into(segment), keep(segment)),
            }
        };
        for placement in [Placement::Shared, Placement::Running] {
            let context = |kind: &dyn Fn(usize) -> usize, threads: usize| Context {
                read: Some(reader(&segments)),
                threads,
                ..Context::new((0..40).map(|index| source(kind(index), index)).collect(), placement)
            };
            let (expected, kept) = run(network, &prefix, context(&|_| 0, 1)).expect("it fits");
            assert!(kept.is_empty());
            for kind in 1..7 {
                for threads in [1, 7] {
                    let (logits, kept) = run(network, &prefix, context(&|_| kind, threads)).expect("it fits");
                    assert_eq!(logits, expected, "kind {kind}, {threads} threads, {}", dtype.name());
                    check_kept(&kept, &segments, [0, 0, 0, 0, 40, 40, 80][kind]);
                }
            }
            let (logits, kept) = run(network, &prefix, context(&|index| index % 7, 4)).expect("it fits");
            assert_eq!(logits, expected, "all kinds at once, {}", dtype.name());
            assert_eq!(kept.len(), (0..40).map(|index| [0, 0, 0, 0, 1, 1, 2][index % 7]).sum::<usize>());
            check_kept(&kept, &segments, kept.len());
        }
    }
    assert_eq!((host_pool.usage().used, device_pool.usage().used), (0, 0), "everything was given back");
}

fn check_kept(kept: &[(usize, Kept)], segments: &[Arc<HostSegment>], count: usize) {
    assert_eq!(kept.len(), count);
    for (index, kept) in kept {
        match kept {
            Kept::Host(segment) => assert_eq!(segment.bytes(), segments[*index].bytes()),
            Kept::Device(segment) => {
                let host = segment.to_host(gpu(), pageable(segment.bytes())).expect("it can be read");
                assert_eq!(host.bytes(), segments[*index].bytes());
            }
        }
    }
}

/// A segment that cannot be read is named, and the next session is right, also when it is the first or last layer.
#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_segment_that_cannot_be_read_is_named() {
    let network = exact();
    let (prefix, segments) = segments(network, CacheDtype::F16);
    let context = |read: ReadLayer| Context {
        read: Some(read),
        threads: 4,
        ..Context::new(
            segments.iter().map(|segment| ContextSegment::in_file(segment.tokens())).collect(),
            Placement::Shared,
        )
    };
    let (expected, _) = run(network, &prefix, context(reader(&segments))).expect("it fits");
    let layers = network.shape().config.layers;
    for bad in [0, 1, layers / 2, layers - 1] {
        let good = reader(&segments);
        let read: ReadLayer = Arc::new(move |segment, layer, to: &mut [u8]| match (segment, layer) {
            (17, layer) if layer == bad => Err("its checksum does not match".into()),
            _ => good(segment, layer, to),
        });
        let error = run(network, &prefix, context(read)).expect_err("a segment cannot be read");
        let reason = "its checksum does not match".to_owned();
        assert_eq!(error, CudaError::Segment { index: 17, reason });
        assert_eq!(run(network, &prefix, context(reader(&segments))).expect("it fits").0, expected);
    }
}

/// Cancelled while files are being read, also by a reader that takes its time.
#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_session_that_is_cancelled_while_it_loads_ends() {
    let network = exact();
    let (prefix, segments) = segments(network, CacheDtype::F16);
    let good = reader(&segments);
    let read: ReadLayer = Arc::new(move |segment, layer, to: &mut [u8]| {
        if layer == 3 {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        good(segment, layer, to)
    });
    let context = Context {
        read: Some(read),
        threads: 2,
        ..Context::new(
            segments.iter().map(|segment| ContextSegment::in_file(segment.tokens())).collect(),
            Placement::Shared,
        )
    };
    let mut session =
        Session::with_context(network, &prefix, context, SCALING, QUERY.len(), 0).expect("it fits");
    let calls = AtomicUsize::new(0);
    let cancelled = || calls.fetch_add(1, Ordering::Relaxed) >= 5;
    assert_eq!(session.prefill(&QUERY, &cancelled), Err(CudaError::Cancelled));
}

/// More tokens than any device has room for: refused before anything is allocated, with how many would fit.
#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_context_that_does_not_fit_says_how_much_would() {
    let network = exact();
    let prefix = prefix(network, &PREFIX, CacheDtype::F16);
    let segments = (0..3000).map(|_| ContextSegment::in_file(8000)).collect();
    let context = Context::new(segments, Placement::Shared);
    let error = Session::with_context(network, &prefix, context, SCALING, 10, 10).expect_err("too much");
    let CudaError::ContextDoesNotFit { needed, free, most_tokens } = error else { panic!("{error}") };
    assert!(needed > free && most_tokens > 0 && most_tokens < 3000 * 8000, "{needed} {free} {most_tokens}");
    let room = network.room(CacheDtype::F16, 26).expect("the device can be asked");
    assert!(room.most_tokens.abs_diff(most_tokens) <= room.most_tokens / 2, "{room:?}, {most_tokens}");
    let (prefix, segments) = self::segments(network, EXACT);
    let context =
        Context::new(segments.into_iter().map(ContextSegment::on_host).collect(), Placement::Shared);
    run(network, &prefix, context).expect("what fits still runs");
}

fn id(number: usize) -> KvKey {
    let fingerprint = Fingerprint::from_hex(&"0a".repeat(32)).expect("it is hexadecimal");
    KvKey { fingerprint, segment: SegmentId::Chunk(ChunkId([number as u8; 32])) }
}

/// A tier never takes more than its budget, drops what was used longest ago, and nothing that somebody holds.
#[test]
#[ignore = "needs an NVIDIA GPU"]
fn tiers_keep_to_their_budget() {
    let shape = exact().segment_shape(100);
    let bytes = shape.bytes(EXACT);
    let budget = (10 * bytes) as u64;
    let host = HostTier::new(PinnedPool::new(gpu().clone(), budget));
    let device = DeviceTier::new(DevicePool::new(gpu().clone(), budget));
    let mut held = Vec::new();
    for number in 0..40 {
        let memory = host.allocate(bytes).expect("what is not in use makes room");
        let segment = Arc::new(HostSegment::new(shape, EXACT, memory).expect("a segment"));
        host.keep(id(number), segment.clone());
        let on_device = Arc::new(device.allocate(shape, EXACT).expect("what is not in use makes room"));
        device.keep(id(number), on_device.clone());
        if number < 5 {
            held.push((segment, on_device));
        }
        for usage in [host.usage(), device.usage()] {
            assert!(usage.taken <= usage.budget && usage.used <= usage.taken, "{usage}");
        }
    }
    for number in 0..5 {
        assert!(host.get(id(number)).is_some() && device.get(id(number)).is_some(), "{number} is held");
    }
    assert!(host.get(id(6)).is_none() && host.get(id(39)).is_some());
    // With everything in use there is no room, and no harm.
    let all: Vec<_> =
        (0..40).filter_map(|number| Some((host.get(id(number))?, device.get(id(number))))).collect();
    assert!(host.allocate(bytes).is_none() && device.allocate(shape, EXACT).is_none());
    assert!(host.allocate(11 * bytes).is_none());
    drop((held, all));
    host.clear();
    device.clear();
    assert_eq!((host.usage().taken, device.usage().taken), (0, 0));
}
