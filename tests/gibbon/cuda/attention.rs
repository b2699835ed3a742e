//! Attention and the merge of its parts, through the host's rules for which kernel serves what.

use gibbon::{
    config::CacheDtype,
    cuda::kernels::{Attend, AttendMode, Kernels, Keys, Merge},
    model::{
        attention::{ApeScaling, Heads, Mask, attend, merge_context},
        kv::LayerKv,
        rope::RopeLayout,
    },
};

use super::device::{ELEMENTS, Output, Random, assert_close, gpu, kernels, rounded, upload, upload_counts};

const TEMPERATURE: f32 = 0.8;
const SCALE: f32 = 0.9;

/// Rotated keys and values on both sides, `[kv_heads, capacity, head_dim]`.
struct Group {
    on_host: LayerKv,
    keys: gibbon::cuda::memory::DeviceBuffer,
    values: gibbon::cuda::memory::DeviceBuffer,
    capacity: usize,
}

impl Group {
    fn random(random: &mut Random, element: CacheDtype, heads: Heads, count: usize) -> Self {
        let (kv_heads, dim) = (heads.kv_heads, heads.head_dim);
        let capacity = (count + 5).next_multiple_of(8);
        let mut on_host = LayerKv::new(kv_heads, dim, capacity);
        let mut rows = || random.numbers_of(element, count * kv_heads * dim);
        on_host.append(&rows(), &rows());
        // What lies behind the keys in use is no number, and must not be looked at.
        let laid_out = |head_rows: &dyn Fn(usize) -> Vec<f32>| {
            let mut all = vec![f32::NAN; kv_heads * capacity * dim];
            for head in 0..kv_heads {
                all[head * capacity * dim..][..count * dim].copy_from_slice(&head_rows(head));
            }
            upload(element, &all)
        };
        let keys = laid_out(&|head| on_host.head_keys(head).to_vec());
        let values = laid_out(&|head| on_host.head_values(head).to_vec());
        Self { on_host, keys, values, capacity }
    }

    fn keys(&self, heads: Heads) -> Keys {
        Keys {
            keys: self.keys.pointer(),
            values: self.values.pointer(),
            head_stride: (self.capacity * heads.head_dim) as u64,
            count: self.on_host.tokens(),
        }
    }
}

/// What rounding the weights of values to E does to their sum, the values being of size 1 and the weights summing to 1.
fn tolerance(element: CacheDtype) -> f32 {
    match element {
        CacheDtype::F32 => 2e-5,
        CacheDtype::F16 => 4e-3,
        CacheDtype::Bf16 => 2.5e-2,
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn parts_are_attended_to_and_merged_as_on_the_cpu() {
    let mut random = Random::fresh();
    for element in ELEMENTS {
        for head_dim in [24, 64, 128] {
            let kernels = kernels(element, head_dim, RopeLayout::Halves);
            // One token of a group of 4, some tokens, and more rows than a block takes; contexts of none, few and many.
            for (tokens, shared) in [(1, 0), (1, 2777), (3, 1), (7, 513), (40, 1300)] {
                let heads = Heads { heads: 8, kv_heads: 2, head_dim };
                split(&mut random, &kernels, heads, tokens, shared);
            }
        }
    }
}

fn split(random: &mut Random, kernels: &Kernels, heads: Heads, tokens: usize, shared: usize) {
    let element = kernels.element();
    let own = tokens + random.below(300);
    let query = random.numbers_of(element, tokens * heads.heads * heads.head_dim);
    let (context, other) =
        (Group::random(random, element, heads, shared), Group::random(random, element, heads, own));
    let scale = 1.0 / (heads.head_dim as f32).sqrt();
    let shared_scale = scale / TEMPERATURE;

    let mut expected = attend(&query, tokens, heads, &other.on_host, scale, Mask::Causal);
    let of_context = attend(&query, tokens, heads, &context.on_host, shared_scale, Mask::None);
    merge_context(&mut expected, &of_context, ApeScaling { temperature: TEMPERATURE, scale: SCALE });

    let (shared_splits, own_splits) = kernels.plan_splits(tokens, heads.heads, heads.kv_heads, shared, own);
    let rows = (shared_splits + own_splits) * tokens * heads.heads;
    let partial = Output::poisoned(CacheDtype::F32, rows * heads.head_dim);
    let lse = Output::poisoned(CacheDtype::F32, rows);
    let out = Output::poisoned(element, query.len());
    let (query_at, starts) = (upload(element, &query), upload_counts(&[0, tokens as u32]));
    let call = Attend {
        query: query_at.pointer(),
        shared: context.keys(heads),
        own: other.keys(heads),
        sequences: 1,
        sequence_start: starts.pointer(),
        longest_sequence: tokens,
        own_offset: 0,
        own_count: 0,
        tokens,
        heads: heads.heads,
        kv_heads: heads.kv_heads,
        scale_shared: shared_scale,
        scale_own: scale,
        shared_is_old: true,
        mode: AttendMode::Split { shared_splits, own_splits, partial: partial.pointer(), lse: lse.pointer() },
    };
    let merge = Merge {
        partial: partial.pointer(),
        lse: lse.pointer(),
        shared_splits,
        own_splits,
        tokens,
        heads: heads.heads,
        temperature: TEMPERATURE,
        scale: SCALE,
        output: out.pointer(),
    };
    kernels.attend(gpu().compute(), &call).unwrap();
    kernels.merge(gpu().compute(), &merge).unwrap();
    let what = format!("{element:?}, {tokens} tokens, {shared} and {own} keys, heads of {}", heads.head_dim);
    let expected = rounded(element, &expected.output);
    assert_close(&what, &out.read(), &expected, tolerance(element), tolerance(element));
    assert!(partial.read().iter().chain(&lse.read()).all(|x| !x.is_nan()), "{what}: a part was not written");
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn several_sequences_after_a_shared_prefix_are_attended_to_as_on_the_cpu() {
    let mut random = Random::fresh();
    for element in ELEMENTS {
        for head_dim in [24, 64, 128] {
            let kernels = kernels(element, head_dim, RopeLayout::Halves);
            let heads = Heads { heads: 6, kv_heads: 2, head_dim };
            for (prefix, lengths) in [(0, vec![1, 65]), (37, vec![130, 1, 64]), (300, vec![5])] {
                joint(&mut random, &kernels, heads, prefix, &lengths);
            }
        }
    }
}

fn joint(random: &mut Random, kernels: &Kernels, heads: Heads, prefix: usize, lengths: &[usize]) {
    let element = kernels.element();
    let tokens: usize = lengths.iter().sum();
    let row = heads.heads * heads.head_dim;
    let query = random.numbers_of(element, tokens * row);
    let scale = 1.0 / (heads.head_dim as f32).sqrt();
    let shared = Group::random(random, element, heads, prefix);
    // The sequences' keys stand one after the other in one buffer.
    let own = Group::random(random, element, heads, tokens);

    let (mut starts, mut expected) = (vec![0u32], Vec::new());
    for length in lengths {
        let first = starts[starts.len() - 1] as usize;
        let mut keys = LayerKv::new(heads.kv_heads, heads.head_dim, prefix + length);
        append(&mut keys, &shared.on_host, heads, 0..prefix);
        append(&mut keys, &own.on_host, heads, first..first + length);
        let rows = &query[first * row..(first + length) * row];
        expected.extend(attend(rows, *length, heads, &keys, scale, Mask::Causal).output);
        starts.push((first + length) as u32);
    }
    let lengths_of: Vec<u32> = lengths.iter().map(|length| *length as u32).collect();
    let out = Output::poisoned(element, query.len());
    let (query_at, starts_at) = (upload(element, &query), upload_counts(&starts));
    let (offsets, counts) = (upload_counts(&starts[..lengths.len()]), upload_counts(&lengths_of));
    let call = Attend {
        query: query_at.pointer(),
        shared: shared.keys(heads),
        own: own.keys(heads),
        sequences: lengths.len(),
        sequence_start: starts_at.pointer(),
        longest_sequence: lengths.iter().copied().max().unwrap_or(0),
        own_offset: offsets.pointer(),
        own_count: counts.pointer(),
        tokens,
        heads: heads.heads,
        kv_heads: heads.kv_heads,
        scale_shared: scale,
        scale_own: scale,
        shared_is_old: false,
        mode: AttendMode::Joint { output: out.pointer() },
    };
    kernels.attend(gpu().compute(), &call).unwrap();
    let what = format!("{element:?}, {lengths:?} after {prefix}, heads of {}", heads.head_dim);
    assert_close(&what, &out.read(), &rounded(element, &expected), tolerance(element), tolerance(element));
}

/// Appends some of another group's tokens.
fn append(to: &mut LayerKv, from: &LayerKv, heads: Heads, tokens: std::ops::Range<usize>) {
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    for token in tokens {
        for head in 0..heads.kv_heads {
            let row = token * heads.head_dim..(token + 1) * heads.head_dim;
            keys.extend_from_slice(&from.head_keys(head)[row.clone()]);
            values.extend_from_slice(&from.head_values(head)[row]);
        }
    }
    to.append(&keys, &values);
}
