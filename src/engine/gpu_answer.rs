//! A question on the GPU: segments stream into the context while the first layers already compute.

use std::{collections::HashSet, sync::Arc, thread::available_parallelism, time::Instant};

use super::{
    answer::{Asking, count_load, placement},
    gpu::{Found, GpuModel},
    protocol::{CacheOrigin, Event, Failure},
    resources::Loaded,
    retrieve::Retrieval,
    timing::{PrefillTiming, Timings},
    visible::visible,
};
use crate::{
    config::AnswerSettings,
    cuda::{
        CudaError,
        context::{Context, ContextSegment, SegmentSource},
        segment::HostSegment,
        session::Session,
    },
    store::{SegmentFile, key::SegmentId},
};

/// Files of a context that turn out damaged one after the other, after which something else is wrong.
const MOST_DAMAGED: usize = 16;

/// A context found, and where each of its chunks was.
struct Gathered {
    context: Context,
    origins: Vec<CacheOrigin>,
}

impl Asking<'_> {
    /// A session over what was retrieved, with the question prefilled. What is missing or turns out damaged on the way is
    /// encoded; where the GPU has no room for all chunks, those ranked last are left out with a warning.
    pub(super) fn prefilled_on_gpu<'g>(
        &self,
        gpu: &'g GpuModel,
        loaded: &Loaded,
        settings: &AnswerSettings,
        retrieval: &Retrieval,
        query: &[u32],
        timings: &mut Timings,
    ) -> Result<(Session<'g>, Vec<CacheOrigin>), Failure> {
        let mut note = |message: String| self.warn(&message);
        let mut ids: Vec<SegmentId> =
            retrieval.hits.iter().map(|hit| SegmentId::Chunk(hit.chunk.chunk.id)).collect();
        let all = ids.len();
        let mut repaired = HashSet::new();
        loop {
            let loading = Instant::now();
            let prefix = gpu.prefix(loaded, self.cancelled, &mut note)?;
            let Gathered { context, mut origins } =
                self.gather_on_gpu(gpu, loaded, settings, retrieval, &ids, timings)?;
            timings.load.seconds = loading.elapsed().as_secs_f64() - timings.encode.seconds;
            let prefilling = Instant::now();
            let (_, scaling) = placement(self.strategy, settings);
            let started =
                Session::with_context(gpu.network(), &prefix, context, scaling, query.len(), self.max_tokens);
            let result = started.and_then(|mut session| {
                session.prefill(query, self.cancelled)?;
                session.most_likely()?;
                Ok(session)
            });
            match result {
                Ok(mut session) => {
                    gpu.keep(&loaded.store, &ids, session.take_kept()?);
                    timings.prefill =
                        PrefillTiming { seconds: prefilling.elapsed().as_secs_f64(), tokens: query.len() };
                    for index in repaired {
                        origins[index] = CacheOrigin::Repaired;
                    }
                    origins.resize(all, CacheOrigin::Unused);
                    return Ok((session, origins));
                }
                Err(CudaError::Segment { index, reason }) if repaired.len() < MOST_DAMAGED => {
                    note(loaded.store.discard_damaged(ids[index], &reason).to_string());
                    gpu.forget(&loaded.store, ids[index]);
                    repaired.insert(index);
                }
                Err(CudaError::ContextDoesNotFit { most_tokens, .. }) if ids.len() > 1 => {
                    let kept = fitting(retrieval, ids.len() - 1, most_tokens);
                    note(format!("{} of {all} chunks do not fit the GPU and are left out", all - kept));
                    ids.truncate(kept);
                    repaired.retain(|index| *index < kept);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn gather_on_gpu(
        &self,
        gpu: &GpuModel,
        loaded: &Loaded,
        settings: &AnswerSettings,
        retrieval: &Retrieval,
        ids: &[SegmentId],
        timings: &mut Timings,
    ) -> Result<Gathered, Failure> {
        let mut note = |message: String| self.warn(&message);
        timings.load = Default::default();
        timings.encode = Default::default();
        let (mut segments, mut origins, mut files) = (Vec::new(), Vec::new(), Vec::new());
        let mut missing: Vec<usize> = Vec::new();
        for (index, found) in gpu.find(&loaded.store, ids).into_iter().enumerate() {
            files.push(None);
            let (segment, origin) = match found {
                Found::Device(segment) => (Some(ContextSegment::on_device(segment)), CacheOrigin::Memory),
                Found::Host(segment) => (Some(on_host(gpu, segment)), CacheOrigin::Memory),
                Found::File(file) => {
                    let tokens = file.shape().tokens;
                    timings.load.files += 1;
                    timings.load.bytes += (file.layer_bytes() * file.shape().layers) as u64;
                    files[index] = Some(file);
                    let source = SegmentSource::File { into: None };
                    (Some(gpu.incoming(tokens, source)), CacheOrigin::Disk)
                }
                Found::Nothing(error) => {
                    missing.push(index);
                    (None, count_load(Err(error), &mut timings.load, &mut note)?)
                }
            };
            if segment.is_some() {
                count_load(Ok(origin), &mut timings.load, &mut note)?;
            }
            segments.push(segment);
            origins.push(origin);
        }
        if !missing.is_empty() {
            let encoding = Instant::now();
            let mut chunks = Vec::new();
            for index in &missing {
                let text = &retrieval.hits[*index].chunk.chunk.text;
                chunks.push((ids[*index], loaded.model.prompt.chunk(text, &loaded.model.tokenizer)?));
            }
            let encoded = super::answer::encode_on_gpu(gpu, loaded, &chunks, self.cancelled, &mut note)?;
            for (index, segment) in missing.into_iter().zip(encoded) {
                timings.encode.chunks += 1;
                timings.encode.tokens += segment.tokens();
                segments[index] = Some(on_host(gpu, segment));
            }
            timings.encode.seconds = encoding.elapsed().as_secs_f64();
        }
        let read =
            move |segment: usize, layer: usize, out: &mut [u8]| read_layer(&files, segment, layer, out);
        let context = Context {
            segments: segments.into_iter().flatten().collect(),
            read: Some(Arc::new(read)),
            threads: available_parallelism().map_or(4, usize::from),
            placement: placement(self.strategy, settings).0,
        };
        Ok(Gathered { context, origins })
    }

    fn warn(&self, message: &str) {
        (self.emit)(Event::Warning { id: Some(self.id), message: visible(message).into() });
    }
}

fn on_host(gpu: &GpuModel, segment: Arc<HostSegment>) -> ContextSegment {
    gpu.incoming(segment.tokens(), SegmentSource::Host(segment))
}

fn read_layer(
    files: &[Option<SegmentFile>],
    segment: usize,
    layer: usize,
    out: &mut [u8],
) -> Result<(), String> {
    let file = files.get(segment).and_then(Option::as_ref).ok_or("it has no file")?;
    file.read_layer(layer, out).map_err(|error| error.to_string())
}

/// How many chunks, of at most `most`, fit so many tokens; at least one.
fn fitting(retrieval: &Retrieval, most: usize, tokens: usize) -> usize {
    let mut taken = 0;
    let fits = |hit: &&crate::index::Hit| {
        taken += hit.chunk.chunk.tokens;
        taken <= tokens
    };
    retrieval.hits[..most].iter().take_while(fits).count().max(1)
}
