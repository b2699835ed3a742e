//! What is done to heads after the product and when stored segments are placed: bias, norm, recording, rotation.

use gibbon::{
    config::CacheDtype,
    cuda::kernels::{FinishQkv, Kernels, Place, PlaceMany, PlacedSegment},
    model::{
        kv::{KvSegment, KvShape, LayerKv, Recorder},
        rope::RopeLayout,
        simd,
    },
};

use super::device::{
    DIMENSIONS, ELEMENTS, LAYOUTS, Output, Random, angles, assert_close, assert_same, bytes_of, gpu, kernels,
    numbers_from, rope, rounded, step, upload, upload_counts,
};

const POSITIONS: u32 = 600;

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn queries_keys_and_values_are_finished_as_on_the_cpu() {
    let mut random = Random::fresh();
    for (element, layout, head_dim) in combinations() {
        let kernels = kernels(element, head_dim, layout);
        for (bias, norms) in [(false, false), (true, false), (false, true), (true, true)] {
            for record in [None, Some(CacheDtype::F16), Some(CacheDtype::Bf16), Some(CacheDtype::F32)] {
                let case = Case::random(&mut random, element, layout, head_dim, bias, norms, record);
                case.check(&kernels);
            }
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn stored_segments_are_placed_as_on_the_cpu() {
    let mut random = Random::fresh();
    for (element, layout, head_dim) in combinations() {
        let kernels = kernels(element, head_dim, layout);
        for store in ELEMENTS {
            placed(&mut random, &kernels, layout, store);
        }
    }
}

fn combinations() -> impl Iterator<Item = (CacheDtype, RopeLayout, usize)> {
    // Layouts and types do not meddle with each other: every dimension with each of either is enough.
    ELEMENTS.into_iter().flat_map(|element| {
        DIMENSIONS.into_iter().enumerate().map(move |(index, head_dim)| {
            (element, LAYOUTS[(index + usize::from(element == CacheDtype::F16)) % 2], head_dim)
        })
    })
}

/// A product of queries, keys and values of some sequences and what is to be done with it.
struct Case {
    element: CacheDtype,
    layout: RopeLayout,
    head_dim: usize,
    heads: usize,
    kv_heads: usize,
    /// Tokens of each sequence.
    lengths: Vec<usize>,
    qkv: Vec<f32>,
    bias: Option<Vec<f32>>,
    norms: Option<[Vec<f32>; 2]>,
    positions: Vec<u32>,
    record: Option<CacheDtype>,
    first_slot: usize,
    capacity: usize,
}

impl Case {
    fn random(
        random: &mut Random,
        element: CacheDtype,
        layout: RopeLayout,
        head_dim: usize,
        bias: bool,
        norms: bool,
        record: Option<CacheDtype>,
    ) -> Self {
        let kv_heads = 1 + random.below(4);
        let heads = kv_heads * (1 + random.below(4));
        let lengths: Vec<usize> = (0..1 + random.below(3)).map(|_| 1 + random.below(33)).collect();
        let tokens: usize = lengths.iter().sum();
        let width = (heads + 2 * kv_heads) * head_dim;
        let first_slot = random.below(20);
        Self {
            element,
            layout,
            head_dim,
            heads,
            kv_heads,
            qkv: random.numbers_of(element, tokens * width),
            bias: bias.then(|| random.numbers(width)),
            norms: norms.then(|| [(); 2].map(|()| random.numbers(head_dim))),
            positions: (0..tokens).map(|_| random.below(POSITIONS as usize) as u32).collect(),
            record,
            first_slot,
            // Head strides of a multiple of 16 bytes for every dimension.
            capacity: (first_slot + tokens + random.below(9)).next_multiple_of(4),
            lengths,
        }
    }

    fn tokens(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// The tokens' queries, keys and values before rotation, `[tokens, heads, head_dim]` each, as the CPU makes them.
    fn parts(&self) -> [Vec<f32>; 3] {
        let mut parts = [const { Vec::new() }; 3];
        let width = (self.heads + 2 * self.kv_heads) * self.head_dim;
        for row in self.qkv.chunks_exact(width) {
            let mut row = row.to_vec();
            for (x, b) in row.iter_mut().zip(self.bias.iter().flatten()) {
                *x += b;
            }
            let (query, rest) = row.split_at(self.heads * self.head_dim);
            let (key, value) = rest.split_at(self.kv_heads * self.head_dim);
            for (part, rows) in parts.iter_mut().zip([query, key, value]) {
                part.extend_from_slice(rows);
            }
        }
        for (part, norm) in parts.iter_mut().zip(self.norms.iter().flatten()) {
            let before = part.clone();
            simd::rms_norm(part, &before, norm, 1e-6);
        }
        parts
    }

    fn check(&self, kernels: &Kernels) {
        let (tokens, dim) = (self.tokens(), self.head_dim);
        let [mut query, mut keys, mut values] = self.parts();
        let recorded = self.record.map(|dtype| self.recorded(dtype, &keys, &values));
        if let Some(dtype) = self.record {
            (keys, values) = (rounded(dtype, &keys), rounded(dtype, &values));
        }
        let rotation = rope(self.layout, dim).at(self.positions.iter().copied());
        rotation.apply_rows(&mut query, self.heads);
        rotation.apply_rows(&mut keys, self.kv_heads);

        let query_out = Output::poisoned(self.element, query.len());
        let groups = [(); 2].map(|()| Output::poisoned(self.element, self.kv_heads * self.capacity * dim));
        let record_dtype = self.record.unwrap_or(CacheDtype::F32);
        let record = Output::poisoned(record_dtype, 2 * keys.len());
        self.run(kernels, &query_out, &groups, &record, record_dtype);

        // Without a norm every number is the result of the same operations on both sides. With one, the order of the
        // sum of squares differs, and rounding can then fall to the other side.
        let exact = self.norms.is_none();
        let allowed = |dtype| if exact { 0.0 } else { 2.0 * step(dtype) + 4.0 * f32::EPSILON };
        // A rotated number is a difference of two, which may be much larger than it.
        let near = |dtype| if exact { 0.0 } else { 4.0 * step(dtype) };
        let (element, stored) = (self.element, self.record.map_or(0.0, near));
        let (relative, absolute) = (allowed(element), near(element).max(stored));
        assert_close("queries", &query_out.read(), &rounded(element, &query), relative, absolute);
        for (group, rows) in groups.iter().zip([&keys, &values]) {
            let found = group.read();
            let (placed, around) = self.slots(&found);
            assert_close("keys or values", &placed, &rounded(element, rows), relative, absolute);
            assert!(around.iter().all(|x| x.is_nan()), "slots of others were written");
        }
        match recorded {
            Some(recorded) => assert_close(
                "the record",
                &record.read(),
                &recorded,
                allowed(record_dtype),
                near(record_dtype) * 1e-3,
            ),
            None => assert!(record.read().iter().all(|x| x.is_nan()), "recorded without being asked"),
        }
        assert_eq!(query.len(), tokens * self.heads * dim);
    }

    /// Blocks of the sequences one after the other, as [`Recorder`] writes them.
    fn recorded(&self, dtype: CacheDtype, keys: &[f32], values: &[f32]) -> Vec<f32> {
        let row = self.kv_heads * self.head_dim;
        let mut blocks = Vec::new();
        let mut first = 0;
        for &tokens in &self.lengths {
            let shape = KvShape { layers: 1, kv_heads: self.kv_heads, tokens, head_dim: self.head_dim };
            let mut recorder = Recorder::new(shape, dtype);
            let range = first * row..(first + tokens) * row;
            recorder.push(&keys[range.clone()], &values[range]);
            blocks.extend(numbers_from(dtype, &recorder.finish().data));
            first += tokens;
        }
        blocks
    }

    fn run(
        &self,
        kernels: &Kernels,
        query_out: &Output,
        [keys, values]: &[Output; 2],
        record: &Output,
        record_dtype: CacheDtype,
    ) {
        let (cos, sin) = angles(self.head_dim, POSITIONS);
        let f32s = |numbers: &[f32]| upload(CacheDtype::F32, numbers);
        let (cos, sin, qkv) = (f32s(&cos), f32s(&sin), upload(self.element, &self.qkv));
        let bias = self.bias.as_ref().map(|bias| f32s(bias));
        let norms = self.norms.as_ref().map(|norms| norms.each_ref().map(|norm| f32s(norm)));
        let norm = |index: usize| norms.as_ref().map_or(0, |norms| norms[index].pointer());
        let positions = upload_counts(&self.positions);
        let (mut starts, mut of) = (vec![0], Vec::new());
        for (sequence, length) in self.lengths.iter().enumerate() {
            of.extend(vec![sequence as u32; *length]);
            starts.push(of.len() as u32);
        }
        let (starts, of) = (upload_counts(&starts), upload_counts(&of));
        let call = FinishQkv {
            qkv: qkv.pointer(),
            bias: bias.as_ref().map_or(0, |bias| bias.pointer()),
            query_norm: norm(0),
            key_norm: norm(1),
            epsilon: 1e-6,
            positions: positions.pointer(),
            cos: cos.pointer(),
            sin: sin.pointer(),
            query_out: query_out.pointer(),
            keys: keys.pointer(),
            values: values.pointer(),
            head_stride: (self.capacity * self.head_dim) as u64,
            first_slot: self.first_slot,
            record: if self.record.is_some() { record.pointer() } else { 0 },
            record_dtype,
            sequence_start: starts.pointer(),
            sequence_of: of.pointer(),
            tokens: self.tokens(),
            heads: self.heads,
            kv_heads: self.kv_heads,
        };
        kernels.finish_qkv(gpu().compute(), &call).unwrap();
        // What was uploaded is given back when this returns.
        gpu().synchronize().unwrap();
    }

    /// Of `[kv_heads, capacity, head_dim]`, the tokens' slots as `[tokens, kv_heads, head_dim]`, and all others.
    fn slots(&self, group: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (mut placed, mut around) = (Vec::new(), Vec::new());
        let slots = self.first_slot..self.first_slot + self.tokens();
        let row = |head: usize, slot: usize| {
            &group[(head * self.capacity + slot) * self.head_dim..][..self.head_dim]
        };
        for slot in 0..self.capacity {
            let to = if slots.contains(&slot) { &mut placed } else { &mut around };
            (0..self.kv_heads).for_each(|head| to.extend_from_slice(row(head, slot)));
        }
        (placed, around)
    }
}

/// Some segments of different lengths into slots with gaps between them, one by one and all at once. Everything but
/// the rotation is a copy, and the rotation takes the same steps on both sides: the numbers are the same.
fn placed(random: &mut Random, kernels: &Kernels, layout: RopeLayout, store: CacheDtype) {
    let (element, dim) = (kernels.element(), kernels.head_dim());
    let kv_heads = 1 + random.below(9);
    let mut expected = [const { Vec::new() }; 2];
    let (mut data, mut segments, mut slot) = (Vec::new(), Vec::new(), 3);
    let mut layers = Vec::new();
    for _ in 0..1 + random.below(4) {
        let shape = KvShape { layers: 1, kv_heads, tokens: 1 + random.below(70), head_dim: dim };
        let segment = KvSegment {
            shape,
            dtype: store,
            data: bytes_of(store, &random.numbers(2 * shape.layer_elements())).into(),
        };
        let start = random.below(POSITIONS as usize - shape.tokens) as u32;
        let mut layer = LayerKv::new(kv_heads, dim, shape.tokens);
        let positions = start..start + shape.tokens as u32;
        layer.append_segment(&segment, 0, &rope(layout, dim).at(positions));
        layers.push((slot, layer));
        segments.push(PlacedSegment {
            source: data.len() as u64,
            tokens: shape.tokens as u32,
            start_position: start,
            first_slot: slot as u32,
            reserved: 0,
        });
        data.extend(&*segment.data);
        data.resize(data.len().next_multiple_of(16), 0);
        slot += shape.tokens + 2;
    }
    let capacity = slot.next_multiple_of(4);
    for head in 0..kv_heads {
        let mut rows = [(); 2].map(|()| vec![f32::NAN; capacity * dim]);
        for (slot, layer) in &layers {
            for (rows, from) in rows.iter_mut().zip([layer.head_keys(head), layer.head_values(head)]) {
                rows[slot * dim..slot * dim + from.len()].copy_from_slice(&rounded(element, from));
            }
        }
        expected.iter_mut().zip(rows).for_each(|(all, rows)| all.extend(rows));
    }
    let once = place_many(kernels, store, &data, &segments, kv_heads, capacity);
    let singly = place_each(kernels, store, &data, &segments, kv_heads, capacity);
    for (expected, found) in expected.iter().zip(once.iter().zip(&singly)) {
        let what = format!("{store:?} to {element:?}, {layout:?}, heads of {dim}");
        for found in [found.0, found.1] {
            let number = |x: &f32| if x.is_nan() { 1e30 } else { *x };
            let found: Vec<f32> = found.iter().map(number).collect();
            assert_same(&what, &found, &expected.iter().map(number).collect::<Vec<_>>());
        }
    }
}

fn place_many(
    kernels: &Kernels,
    store_dtype: CacheDtype,
    data: &[u8],
    segments: &[PlacedSegment],
    kv_heads: usize,
    capacity: usize,
) -> [Vec<f32>; 2] {
    let (cos, sin) = angles(kernels.head_dim(), POSITIONS);
    let (cos, sin) = (upload(CacheDtype::F32, &cos), upload(CacheDtype::F32, &sin));
    let source = gpu().upload(data).unwrap();
    let on_device = gpu().upload(bytemuck::cast_slice(segments)).unwrap();
    let groups = poisoned_groups(kernels, kv_heads, capacity);
    let call = PlaceMany {
        source: source.pointer(),
        store_dtype,
        segments: on_device.pointer(),
        count: segments.len(),
        longest: segments.iter().map(|segment| segment.tokens as usize).max().unwrap_or(0),
        keys: groups[0].pointer(),
        values: groups[1].pointer(),
        head_stride: (capacity * kernels.head_dim()) as u64,
        cos: cos.pointer(),
        sin: sin.pointer(),
        kv_heads,
    };
    kernels.place_many(gpu().compute(), &call).unwrap();
    groups.map(|group| group.read())
}

fn place_each(
    kernels: &Kernels,
    store_dtype: CacheDtype,
    data: &[u8],
    segments: &[PlacedSegment],
    kv_heads: usize,
    capacity: usize,
) -> [Vec<f32>; 2] {
    let (cos, sin) = angles(kernels.head_dim(), POSITIONS);
    let (cos, sin) = (upload(CacheDtype::F32, &cos), upload(CacheDtype::F32, &sin));
    let source = gpu().upload(data).unwrap();
    let groups = poisoned_groups(kernels, kv_heads, capacity);
    for segment in segments {
        let call = Place {
            source: source.at(segment.source as usize),
            store_dtype,
            tokens: segment.tokens as usize,
            start_position: segment.start_position as usize,
            keys: groups[0].pointer(),
            values: groups[1].pointer(),
            head_stride: (capacity * kernels.head_dim()) as u64,
            first_slot: segment.first_slot as usize,
            cos: cos.pointer(),
            sin: sin.pointer(),
            kv_heads,
        };
        kernels.place(gpu().compute(), &call).unwrap();
    }
    groups.map(|group| group.read())
}

fn poisoned_groups(kernels: &Kernels, kv_heads: usize, capacity: usize) -> [Output; 2] {
    [(); 2].map(|()| Output::poisoned(kernels.element(), kv_heads * capacity * kernels.head_dim()))
}
