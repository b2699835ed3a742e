//! Ten thousand questions over a changing set of chunks, with room for half of them in page-locked memory and for a
//! quarter on the device: memory stays where it is, and no answer is wrong.

use std::{collections::BTreeMap, fs, sync::Arc};

use gibbon::{
    config::{CacheDtype, StoreSettings},
    corpus::ChunkId,
    cuda::{
        arena::{DevicePool, PinnedPool},
        context::{Context, ContextSegment, Kept, SegmentSource as Origin},
        network::CudaNetwork,
        segment::{DeviceSegment, HostSegment},
        session::Session,
        tiers::{DeviceTier, HostTier},
    },
    model::{
        attention::ApeScaling,
        kv::{KvSegment, SegmentData},
        load_directory,
        network::Network,
        session::{self, Encoder, Placement, encode_prefix},
    },
    store::{
        LoadError, SegmentSource, Store, StoreTarget,
        format::KvLayout,
        key::{Fingerprint, FingerprintParts, SegmentId},
    },
};
use tempfile::TempDir;

use super::{
    device::{Random, gpu, kernel_folder},
    network::{encode, prefix},
};
use crate::{
    ape::assert_close,
    support::{self, EXACT, never},
};

const QUESTIONS: usize = 10_000;
const CHUNKS: usize = 96;
/// Tokens of the longest chunk.
const LONGEST: usize = 40;
const PREFIX: [u32; 5] = [3, 1, 4, 1, 5];
const SCALING: ApeScaling = ApeScaling { temperature: 0.9, scale: 0.8 };

/// Growth that would be a leak: a hundred times what a question takes. In bytes.
const LEAK: u64 = 64 << 20;

struct Soak {
    cpu: Network,
    network: CudaNetwork,
    prefix: Arc<DeviceSegment>,
    host: HostTier,
    device: DeviceTier,
    store: Store,
    chunks: BTreeMap<ChunkId, Vec<u32>>,
    made: u64,
    hits: [usize; 4],
    random: Random,
    _directory: TempDir,
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn ten_thousand_questions_over_changing_chunks() {
    let mut soak = Soak::new();
    let mut settled = (0, 0);
    for question in 0..QUESTIONS {
        if question % 20 == 0 {
            soak.replace_a_chunk();
        }
        soak.ask(question % 200 == 0);
        for usage in [soak.host.usage(), soak.device.usage()] {
            assert!(usage.taken <= usage.budget && usage.used <= usage.taken, "{usage}");
        }
        if question == QUESTIONS / 10 {
            settled = (gpu().free_bytes().unwrap(), resident_bytes());
        }
    }
    println!("device, host, file, encoded: {:?}", soak.hits);
    assert!(soak.hits.iter().all(|hits| *hits > 100), "every tier was used: {:?}", soak.hits);
    let (free, resident) = (gpu().free_bytes().unwrap(), resident_bytes());
    assert!(free + LEAK >= settled.0, "device memory went from {} free to {free}", settled.0);
    assert!(resident <= settled.1 + LEAK, "host memory went from {} to {resident}", settled.1);
}

impl Soak {
    fn new() -> Self {
        let (cpu, ..) = load_directory(&support::data("families/llama")).expect("the family loads");
        let network = CudaNetwork::from_network(gpu().clone(), &cpu, EXACT, Some(&kernel_folder()))
            .expect("it fits the device");
        let shape = network.segment_shape(LONGEST / 2);
        let corpus = (CHUNKS * shape.bytes(EXACT).next_multiple_of(4096)) as u64;
        let directory = tempfile::tempdir().expect("a directory");
        let layout = KvLayout {
            layers: shape.layers,
            kv_heads: shape.kv_heads,
            head_dim: shape.head_dim,
            dtype: EXACT,
            max_tokens: 1000,
        };
        let fingerprint = Fingerprint::of(&FingerprintParts {
            weights: [7; 32],
            tokenizer: b"none",
            prefix_tokens: &PREFIX,
            rope: "none",
            cache_dtype: EXACT,
            compute: "soak",
        });
        let settings = StoreSettings { disk_bytes: 1 << 30, memory_bytes: 0, gpu_memory_bytes: 0 };
        let target = StoreTarget { fingerprint, layout, model: "tiny".into() };
        let mut soak = Self {
            prefix: prefix(&network, &PREFIX, EXACT),
            host: HostTier::new(PinnedPool::new(gpu().clone(), corpus / 2)),
            device: DeviceTier::new(DevicePool::new(gpu().clone(), corpus / 4)),
            store: Store::open(directory.path(), &settings, target).expect("the store opens"),
            cpu,
            network,
            chunks: BTreeMap::new(),
            made: 0,
            hits: [0; 4],
            random: Random::fresh(),
            _directory: directory,
        };
        (0..CHUNKS).for_each(|_| soak.add_a_chunk());
        soak
    }

    fn add_a_chunk(&mut self) {
        self.made += 1;
        let mut id = [0; 32];
        id[..8].copy_from_slice(&self.made.to_be_bytes());
        let vocabulary = self.cpu.config.vocabulary;
        let tokens = (0..1 + self.random.below(LONGEST)).map(|_| self.random.below(vocabulary) as u32);
        let tokens = tokens.collect();
        self.chunks.insert(ChunkId(id), tokens);
    }

    /// One chunk goes, with all its caches, and another comes.
    fn replace_a_chunk(&mut self) {
        let at = self.random.below(self.chunks.len());
        let id = *self.chunks.keys().nth(at).expect("as many as counted");
        self.chunks.remove(&id);
        self.store.remove(&[id]).expect("the store forgets it");
        self.host.remove(self.store.key(SegmentId::Chunk(id)));
        self.device.remove(self.store.key(SegmentId::Chunk(id)));
        self.add_a_chunk();
    }

    fn ask(&mut self, check: bool) {
        let mut chosen: Vec<ChunkId> = Vec::new();
        // Some chunks are asked for more often than others, or no tier would ever hit.
        let favourites = if self.random.below(2) == 0 { self.chunks.len() } else { self.chunks.len() / 6 };
        for _ in 0..1 + self.random.below(5) {
            let at = self.random.below(favourites);
            let id = *self.chunks.keys().nth(at).expect("as many as counted");
            if !chosen.contains(&id) {
                chosen.push(id);
            }
        }
        let query: Vec<u32> = (0..4).map(|_| self.random.below(self.cpu.config.vocabulary) as u32).collect();
        let (segments, files) = self.gather(&chosen);
        let read = move |segment: usize, layer: usize, to: &mut [u8]| {
            let file: &Option<gibbon::store::SegmentFile> = &files[segment];
            let file = file.as_ref().ok_or("no file")?;
            file.read_layer(layer, to).map_err(|error| error.to_string())
        };
        let context =
            Context { read: Some(Arc::new(read)), threads: 2, ..Context::new(segments, Placement::Shared) };
        let mut session =
            Session::with_context(&self.network, &self.prefix, context, SCALING, query.len(), 2)
                .expect("it fits");
        session.prefill(&query, &never).expect("the query runs");
        let logits = session.logits().expect("it has been run").to_vec();
        for (index, kept) in session.take_kept().expect("the context is in place") {
            let key = self.store.key(SegmentId::Chunk(chosen[index]));
            match kept {
                Kept::Device(segment) => self.device.keep(key, Arc::new(segment)),
                Kept::Host(segment) => self.host.keep(key, Arc::new(segment)),
            }
        }
        drop(session);
        if check {
            // What families.rs allows between two programs in f32.
            assert_close(&logits, &self.on_cpu(&chosen, &query), 1e-3);
        }
    }

    /// Segments from wherever they are, encoded where they are nowhere.
    fn gather(
        &mut self,
        chosen: &[ChunkId],
    ) -> (Vec<ContextSegment>, Vec<Option<gibbon::store::SegmentFile>>) {
        let mut files = Vec::new();
        let mut segments = Vec::new();
        for id in chosen {
            let (segment, file) = self.find(*id);
            segments.push(segment);
            files.push(file);
        }
        (segments, files)
    }

    fn find(&mut self, id: ChunkId) -> (ContextSegment, Option<gibbon::store::SegmentFile>) {
        let segment = SegmentId::Chunk(id);
        let key = self.store.key(segment);
        if let Some(found) = self.device.get(key) {
            self.hits[0] += 1;
            return (ContextSegment::on_device(found), None);
        }
        if let Some(found) = self.host.get(key) {
            self.hits[1] += 1;
            return (self.incoming(found.tokens(), Origin::Host(found)), None);
        }
        match self.store.open_segments(&[segment]).pop().expect("an answer for each") {
            Ok(SegmentSource::File(file)) => {
                self.hits[2] += 1;
                let tokens = file.shape().tokens;
                let into = self.host.allocate(self.network.segment_shape(tokens).bytes(EXACT));
                (self.incoming(tokens, Origin::File { into }), Some(file))
            }
            Ok(SegmentSource::Memory(_)) => unreachable!("the store keeps nothing in memory"),
            Err(LoadError::Missing) => {
                self.hits[3] += 1;
                let encoded = self.encode(id);
                (self.incoming(encoded.tokens(), Origin::Host(encoded)), None)
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn encode(&self, id: ChunkId) -> Arc<HostSegment> {
        let chunk = [self.chunks[&id].clone()];
        let encoded = encode(&self.network, &self.prefix, &chunk, EXACT).pop().expect("one of one");
        let data = SegmentData::shared(encoded.clone());
        let stored = KvSegment { shape: encoded.shape(), dtype: encoded.dtype(), data };
        self.store.put(SegmentId::Chunk(id), Arc::new(stored)).expect("the store takes it");
        encoded
    }

    fn incoming(&self, tokens: usize, source: Origin) -> ContextSegment {
        let keep = self.device.allocate(self.network.segment_shape(tokens), EXACT);
        ContextSegment { tokens, source, keep }
    }

    fn on_cpu(&self, chosen: &[ChunkId], query: &[u32]) -> Vec<f32> {
        let prefix = Arc::new(encode_prefix(&self.cpu, &PREFIX, CacheDtype::F32, &never).unwrap());
        let mut encoder = Encoder::new(&self.cpu, prefix.clone());
        let chunks: Vec<Arc<KvSegment>> = chosen
            .iter()
            .map(|id| Arc::new(encoder.encode(&self.chunks[id], &never).expect("it fits")))
            .collect();
        let mut session = session::Session::with_context(
            &self.cpu,
            &prefix,
            &chunks,
            Placement::Shared,
            SCALING,
            query.len(),
            0,
        )
        .expect("it fits");
        session.prefill(query, &never).expect("the query runs");
        session.logits().unwrap().to_vec1().unwrap()
    }
}

/// Host memory in use by this process, in bytes.
fn resident_bytes() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let resident: u64 = pages.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    resident * 4096
}
