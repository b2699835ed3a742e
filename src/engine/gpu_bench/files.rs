//! Cache files of the benchmark: written, read, and removed at the end.

use std::{fs, path::PathBuf, sync::Arc};

use rayon::prelude::*;

use super::{Bench, BenchTier, Figure, Row, dd, seconds};
use crate::{
    config::{Config, StoreSettings},
    corpus::ChunkId,
    cuda::segment::HostSegment,
    engine::{
        protocol::{Failure, FailureKind},
        timing::Spread,
    },
    model::kv::{KvSegment, SegmentData},
    store::{
        SegmentFile, SegmentSource, Store, StoreTarget, WriterLimits, Writers,
        format::KvLayout,
        key::{Fingerprint, FingerprintParts, SegmentId},
    },
};

/// Files that `dd` copies to see how fast the disk takes them.
const SAMPLE_FILES: usize = 64;

/// Left free on the disk.
const SPARE_BYTES: u64 = 1 << 30;

/// A store of the benchmark's own.
pub(super) struct Files {
    store: Arc<Store>,
    writers: Writers,
    count: usize,
    /// Gone, with everything in it, when this is dropped.
    _directory: tempfile::TempDir,
}

/// A segment of the store over the same bytes.
pub(super) fn shared(segment: Arc<HostSegment>) -> Arc<KvSegment> {
    let (shape, dtype) = (segment.shape(), segment.dtype());
    Arc::new(KvSegment { shape, dtype, data: SegmentData::shared(segment) })
}

impl Files {
    /// An empty store under the data directory, for files of so many bytes.
    pub fn open(bench: &Bench, config: &Config, bytes: u64) -> Result<Self, Failure> {
        let storage = |error: std::io::Error| Failure::new(FailureKind::Storage, error.to_string(), None);
        let data = &config.paths.data;
        crate::config::create_private_folder(data).map_err(storage)?;
        let stat = rustix::fs::statvfs(data).map_err(|error| storage(error.into()))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < bytes + SPARE_BYTES {
            let message = format!("{} bytes are needed on the disk and {free} are free", bytes + SPARE_BYTES);
            return Err(Failure::new(FailureKind::Storage, message, None));
        }
        let directory = tempfile::Builder::new().prefix("bench-").tempdir_in(data).map_err(storage)?;
        let shape = bench.network.segment_shape(0);
        let layout = KvLayout {
            layers: shape.layers,
            kv_heads: shape.kv_heads,
            head_dim: shape.head_dim,
            dtype: bench.dtype,
            max_tokens: bench.network.shape().config.context_tokens,
        };
        let fingerprint = Fingerprint::of(&FingerprintParts {
            weights: [0; 32],
            tokenizer: b"none",
            prefix_tokens: &[],
            rope: "none",
            cache_dtype: bench.dtype,
            compute: "benchmark",
        });
        let target = StoreTarget { fingerprint, layout, model: bench.options.shape.clone() };
        let settings = StoreSettings { disk_bytes: 1 << 50, memory_bytes: 0, gpu_memory_bytes: 0 };
        let store = Arc::new(Store::open(directory.path(), &settings, target)?);
        let failed = |reason: &str| tracing::warn!(reason, "a file of the benchmark was not written");
        let writers = Writers::start(store.clone(), WriterLimits::default(), failed);
        Ok(Self { store, writers, count: 0, _directory: directory })
    }

    /// Writes the corpus and notes how fast that went.
    pub fn write(
        bench: &mut Bench,
        config: &Config,
        corpus: &[Arc<HostSegment>],
        bytes: u64,
    ) -> Result<Self, Failure> {
        (bench.say)(&format!("writing {} files", corpus.len()));
        let mut files = Self::open(bench, config, 2 * bytes.min(8 << 30) + bytes)?;
        let ((), seconds) = seconds(|| {
            for (index, segment) in corpus.iter().enumerate() {
                files.put(index, shared(segment.clone()));
            }
            files.wait();
            Ok::<_, Failure>(())
        })?;
        files.count = corpus.len();
        let rate = bytes as f64 / seconds;
        let paths: Vec<PathBuf> = files.opened(files.count)?.iter().map(|file| file.path().into()).collect();
        let sample = &paths[..SAMPLE_FILES.min(paths.len())];
        let row = Row { other: dd::write(sample), ..Row::new(Figure::Write, spread(rate)) };
        bench.push(row);
        Ok(files)
    }

    /// Has a segment written beside whatever comes next.
    pub fn put(&self, index: usize, segment: Arc<KvSegment>) {
        self.writers.put(id(index), segment);
    }

    /// Waits until everything is on the disk.
    pub fn wait(&self) {
        self.writers.wait();
    }

    /// The first files, open.
    pub fn opened(&self, count: usize) -> Result<Vec<SegmentFile>, Failure> {
        let ids: Vec<SegmentId> = (0..count).map(id).collect();
        let gone = || Failure::new(FailureKind::Storage, "a file of the benchmark is not there", None);
        self.store
            .open_segments(&ids)
            .into_iter()
            .map(|found| match found {
                Ok(SegmentSource::File(file)) => Ok(file),
                _ => Err(gone()),
            })
            .collect()
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes the first files out of the page cache.
    pub fn forget(&self, count: usize) -> Result<(), Failure> {
        for file in self.opened(count)? {
            let opened = fs::File::open(file.path());
            if let Ok(opened) = opened {
                let _ = rustix::fs::fadvise(&opened, 0, None, rustix::fs::Advice::DontNeed);
            }
        }
        Ok(())
    }
}

impl Bench<'_> {
    /// Bytes per second of reading files layer by layer, checked, warm and cold.
    pub(super) fn reading(&mut self, files: &Files) -> Result<(), Failure> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build();
        let pool = pool.map_err(|error| Failure::new(FailureKind::Internal, error.to_string(), None))?;
        for tier in [BenchTier::Disk, BenchTier::ColdDisk] {
            if !self.options.from.contains(&tier) {
                continue;
            }
            (self.say)(&format!("reading files, {}", tier.name()));
            let cold = tier == BenchTier::ColdDisk;
            let count = if cold { files.count().min(64) } else { files.count() };
            let (mut rates, mut others) = (Vec::new(), Vec::new());
            for run in 0..=self.options.runs.min(if cold { 3 } else { usize::MAX }) {
                if cold {
                    files.forget(count)?;
                }
                let opened = files.opened(count)?;
                let opened: Vec<SegmentFile> =
                    if cold { opened.into_iter().map(SegmentFile::open_direct).collect() } else { opened };
                let paths: Vec<PathBuf> = opened.iter().map(|file| file.path().into()).collect();
                let bytes: usize = opened.iter().map(|file| file.layer_bytes() * file.shape().layers).sum();
                let (read, seconds) = seconds(|| Ok::<_, Failure>(pool.install(|| read_all(&opened))))?;
                read.map_err(|error| Failure::new(FailureKind::Storage, error.to_string(), None))?;
                if cold {
                    files.forget(count)?;
                }
                let other = dd::read(&paths, cold);
                // The first run warms up.
                if run > 0 {
                    rates.push(bytes as f64 / seconds);
                    others.extend(other);
                }
            }
            let row = Row {
                from: Some(tier),
                other: Spread::of(&others).map(|spread| spread.median),
                ..Row::new(Figure::Read, Spread::of(&rates).unwrap_or_default())
            };
            self.push(row);
        }
        Ok(())
    }

    /// Bytes per second at which files of this tier were read by `dd`, or by us where that was faster.
    pub(super) fn file_rate(&self, tier: BenchTier) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.figure == Figure::Read && row.from == Some(tier))?;
        Some(row.measured.median.max(row.other.unwrap_or(0.0)))
    }
}

/// Reads all layers of all files, layer after layer, each thread into a buffer that it uses again.
fn read_all(files: &[SegmentFile]) -> Result<(), crate::store::LoadError> {
    let layers = files.first().map_or(0, |file| file.shape().layers);
    let pieces: Vec<(usize, &SegmentFile)> =
        (0..layers).flat_map(|layer| files.iter().map(move |file| (layer, file))).collect();
    pieces.par_iter().try_for_each_init(Vec::new, |buffer: &mut Vec<Page>, (layer, file)| {
        buffer.resize_with(file.layer_bytes().div_ceil(size_of::<Page>()), || Page { _bytes: [0; 4096] });
        // SAFETY: pages are bytes, one after the other.
        let bytes = unsafe {
            std::slice::from_raw_parts_mut(buffer.as_mut_ptr().cast::<u8>(), buffer.len() * size_of::<Page>())
        };
        file.read_layer(*layer, &mut bytes[..file.layer_bytes()])
    })
}

/// Memory at whole blocks, as reads past the page cache need it.
#[repr(align(4096))]
struct Page {
    _bytes: [u8; 4096],
}

fn id(index: usize) -> SegmentId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(index as u64).to_be_bytes());
    // Spread over directories, as the hashes of texts are.
    bytes.rotate_left(7);
    SegmentId::Chunk(ChunkId(bytes))
}

fn spread(value: f64) -> Spread {
    Spread { median: value, min: value, max: value }
}
