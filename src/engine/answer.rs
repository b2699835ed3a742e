//! The pipeline of an answer: retrieve, load, encode what is missing, assemble, prefill, decode.

use std::{sync::Arc, time::Instant};

use super::{
    compute::{Compute, Running},
    protocol::{Answer, CacheOrigin, EarlierTurn, Event, Failure, FailureKind, RequestId, StopReason},
    resources::Loaded,
    retrieve::Retrieval,
    timing::{DecodeTiming, EncodeTiming, LoadTiming, PrefillTiming, Timings},
    visible::visible,
};
use crate::{
    config::{AnswerSettings, Strategy},
    corpus::ChunkId,
    model::{
        Model, ModelError,
        attention::ApeScaling,
        kv::KvSegment,
        prompt::Exchange,
        sampler::Sampler,
        session::{Cancelled, Placement, Session},
    },
    store::{LoadError, Tier, key::SegmentId},
};

/// The turns before take at most this share of the model's context: one in so many tokens. As much is kept free for the
/// answer where they compete.
const HISTORY_SHARE: usize = 4;

/// One question on its way through the pipeline.
pub(super) struct Asking<'a> {
    pub id: RequestId,
    pub question: &'a str,
    /// The turns before, oldest first.
    pub history: &'a [EarlierTurn],
    pub strategy: Strategy,
    pub max_tokens: usize,
    pub cancelled: Cancelled<'a>,
    pub emit: &'a dyn Fn(Event),
}

impl Asking<'_> {
    /// Answers over what was retrieved, and gives the logits of the first token, over the whole vocabulary. `started` is
    /// when the question came, before retrieval.
    ///
    /// # Errors
    /// When the context does not fit the model or the model fails. A cancelled answer is no error once its first
    /// token is there: it comes back with what it has.
    pub fn answer(
        &self,
        loaded: &mut Loaded,
        settings: &AnswerSettings,
        retrieval: &Retrieval,
        started: Instant,
    ) -> Result<(Answer, Vec<f32>), Failure> {
        let mut timings = Timings { retrieve_seconds: retrieval.seconds, ..Timings::default() };
        let (model, compute) = (loaded.model.clone(), loaded.compute.clone());
        let query = self.query(&model, retrieval)?;
        let (mut session, origins) = match (self.strategy, &compute) {
            (Strategy::Full, _) => {
                let prompt = full_prompt(&model, retrieval, &query)?;
                let mut session = compute.empty(&model, prompt.len() + self.max_tokens)?;
                let origins = vec![CacheOrigin::Unused; retrieval.hits.len()];
                (self.emit)(Event::Loaded { id: self.id, origins: origins.clone() });
                self.prefill(&mut session, &prompt, &mut timings)?;
                (session, origins)
            }
            #[cfg(feature = "cuda")]
            (Strategy::Concat | Strategy::Parallel | Strategy::Ape, Compute::Gpu(gpu)) => {
                check_fits(&model, self.strategy, retrieval, query.len())?;
                let (session, origins) =
                    self.prefilled_on_gpu(gpu, loaded, settings, retrieval, &query, &mut timings)?;
                (self.emit)(Event::Loaded { id: self.id, origins: origins.clone() });
                (Running::Gpu(Box::new(session)), origins)
            }
            (Strategy::Concat | Strategy::Parallel | Strategy::Ape, Compute::Cpu) => {
                check_fits(&model, self.strategy, retrieval, query.len())?;
                let context = self.gather(loaded, retrieval, &mut timings)?;
                let assembling = Instant::now();
                let (placement, scaling) = placement(self.strategy, settings);
                let session = Session::with_context(
                    &model.network,
                    &context.prefix,
                    &context.chunks,
                    placement,
                    scaling,
                    query.len(),
                    self.max_tokens,
                )?;
                timings.assemble_seconds = assembling.elapsed().as_secs_f64();
                (self.emit)(Event::Loaded { id: self.id, origins: context.origins.clone() });
                let mut session = Running::Cpu(session);
                self.prefill(&mut session, &query, &mut timings)?;
                (session, context.origins)
            }
        };
        (self.emit)(Event::Prefilled { id: self.id, tokens: timings.prefill.tokens });

        let written = self.write(&model, &mut session, settings, started, &mut timings)?;
        timings.total_seconds = started.elapsed().as_secs_f64();
        let answer = Answer {
            question: visible(self.question).into_owned(),
            text: written.text,
            strategy: self.strategy,
            stop: written.stop,
            sources: retrieval.sources.clone(),
            origins,
            tokens: written.tokens,
            timings,
            kept: None,
        };
        Ok((answer, written.first_logits))
    }

    fn prefill(&self, session: &mut Running, prompt: &[u32], timings: &mut Timings) -> Result<(), Failure> {
        let prefilling = Instant::now();
        session.prefill(prompt, self.cancelled)?;
        timings.prefill = PrefillTiming { seconds: prefilling.elapsed().as_secs_f64(), tokens: prompt.len() };
        Ok(())
    }

    /// Tokens of the question, with as much of the turns before as there is room for.
    fn query(&self, model: &Model, retrieval: &Retrieval) -> Result<Vec<u32>, ModelError> {
        let question = model.prompt.query(self.question, &model.tokenizer)?;
        if self.history.is_empty() {
            return Ok(question);
        }
        let context = model.network.config.context_tokens;
        let sizes: Vec<usize> = retrieval.hits.iter().map(|hit| hit.chunk.chunk.tokens).collect();
        let taken = model.prompt.prefix().len() + extent(self.strategy, &sizes) + question.len();
        let free = context.saturating_sub(taken + self.max_tokens.min(context / HISTORY_SHARE));
        let room = free.min(context / HISTORY_SHARE);
        let history: Vec<Exchange> = self
            .history
            .iter()
            .map(|turn| Exchange { question: &turn.question, answer: &turn.answer })
            .collect();
        model.prompt.query_after(&history, self.question, room, &model.tokenizer)
    }

    /// The prefix's and the chunks' segments: from the cache, or encoded now.
    fn gather(
        &self,
        loaded: &mut Loaded,
        retrieval: &Retrieval,
        timings: &mut Timings,
    ) -> Result<Gathered, Failure> {
        let mut note = |message: String| {
            (self.emit)(Event::Warning { id: Some(self.id), message: visible(&message).into() })
        };
        let loading = Instant::now();
        let chunks = retrieval.hits.iter().map(|hit| SegmentId::Chunk(hit.chunk.chunk.id));
        let prefix = (!loaded.has_prefix()).then_some(SegmentId::Prefix);
        let ids: Vec<SegmentId> = chunks.chain(prefix).collect();
        let found = loaded.store.load_many(&ids, self.cancelled);
        timings.load = LoadTiming { bytes: found.bytes, files: found.files, ..LoadTiming::default() };
        let (mut segments, mut origins) = (Vec::new(), Vec::new());
        for (id, result) in ids.into_iter().zip(found.segments) {
            match (id, result) {
                (SegmentId::Prefix, Ok((prefix, _))) => loaded.set_prefix(prefix),
                // It is encoded below.
                (SegmentId::Prefix, Err(LoadError::Missing | LoadError::Cancelled)) => {}
                (SegmentId::Prefix, Err(error)) => note(error.to_string()),
                (SegmentId::Chunk(_), result) => {
                    let (segment, origin) = tally(result, &mut timings.load, &mut note)?;
                    segments.push(segment);
                    origins.push(origin);
                }
            }
        }
        timings.load.seconds = loading.elapsed().as_secs_f64();

        let had_all = loaded.has_prefix() && segments.iter().all(Option::is_some);
        let encoding = Instant::now();
        let prefix = loaded.prefix(self.cancelled, &mut note)?;
        if segments.iter().any(Option::is_none) {
            self.encode_missing(loaded, retrieval, &mut segments, &mut timings.encode, &mut note)?;
        }
        if !had_all {
            timings.encode.seconds = encoding.elapsed().as_secs_f64();
        }
        Ok(Gathered { prefix, chunks: segments.into_iter().flatten().collect(), origins })
    }

    fn encode_missing(
        &self,
        loaded: &mut Loaded,
        retrieval: &Retrieval,
        segments: &mut [Option<Arc<KvSegment>>],
        timing: &mut EncodeTiming,
        note: &mut dyn FnMut(String),
    ) -> Result<(), Failure> {
        for (hit, segment) in retrieval.hits.iter().zip(segments) {
            if segment.is_none() {
                let chunk = &hit.chunk.chunk;
                let encoded = encode_chunk(loaded, chunk.id, &chunk.text, self.cancelled, note)?;
                timing.chunks += 1;
                timing.tokens += encoded.shape.tokens;
                *segment = Some(encoded);
            }
        }
        Ok(())
    }

    /// Generates the answer token by token.
    fn write(
        &self,
        model: &Model,
        session: &mut Running,
        settings: &AnswerSettings,
        started: Instant,
        timings: &mut Timings,
    ) -> Result<Written, Failure> {
        let mut sampler = Sampler::new(settings.temperature, settings.top_p, settings.seed);
        let mut detokenizer = model.tokenizer.detokenizer();
        let mut written = Written::default();
        let mut phase = Instant::now();
        while written.tokens.len() < self.max_tokens {
            let token = session.choose(&mut sampler)?;
            if written.tokens.is_empty() {
                written.first_logits = session.logits()?.to_vec1().map_err(ModelError::from)?;
            }
            if model.tokenizer.is_stop(token) {
                written.stop = StopReason::EndOfText;
            } else {
                written.tokens.push(token);
                self.give(&detokenizer.push(token)?, &mut written);
            }
            if timings.time_to_first_token_seconds == 0.0 {
                timings.first_token_seconds = phase.elapsed().as_secs_f64();
                timings.time_to_first_token_seconds = started.elapsed().as_secs_f64();
                phase = Instant::now();
            }
            if written.stop == StopReason::EndOfText {
                break;
            }
            if (self.cancelled)() {
                written.stop = StopReason::Cancelled;
                break;
            }
            if session.is_full() {
                written.stop = StopReason::ContextFull;
                break;
            }
            if written.tokens.len() < self.max_tokens {
                match session.prefill(&[token], self.cancelled) {
                    Err(failure) if failure.kind == FailureKind::Cancelled => {
                        written.stop = StopReason::Cancelled;
                        break;
                    }
                    result => result?,
                }
            }
        }
        self.give(&detokenizer.finish()?, &mut written);
        timings.decode = decode_timing(phase.elapsed().as_secs_f64(), written.tokens.len());
        Ok(written)
    }

    /// Adds text to the answer and tells of it.
    fn give(&self, text: &str, written: &mut Written) {
        if !text.is_empty() {
            let text = visible(text).into_owned();
            written.text.push_str(&text);
            (self.emit)(Event::Token { id: self.id, text });
        }
    }
}

struct Gathered {
    prefix: Arc<KvSegment>,
    chunks: Vec<Arc<KvSegment>>,
    origins: Vec<CacheOrigin>,
}

struct Written {
    text: String,
    tokens: Vec<u32>,
    stop: StopReason,
    /// Of the first token, `[vocabulary]`.
    first_logits: Vec<f32>,
}

impl Default for Written {
    fn default() -> Self {
        let (text, tokens, first_logits) = (String::new(), Vec::new(), Vec::new());
        Self { text, tokens, stop: StopReason::MaxTokens, first_logits }
    }
}

/// Counts one load's result. Damaged and foreign files are noted once and then missing.
fn tally(
    result: Result<(Arc<KvSegment>, Tier), LoadError>,
    timing: &mut LoadTiming,
    note: &mut dyn FnMut(String),
) -> Result<(Option<Arc<KvSegment>>, CacheOrigin), Failure> {
    let (segment, result) = match result {
        Ok((segment, Tier::Memory)) => (Some(segment), Ok(CacheOrigin::Memory)),
        Ok((segment, Tier::Disk)) => (Some(segment), Ok(CacheOrigin::Disk)),
        Err(error) => (None, Err(error)),
    };
    Ok((segment, count_load(result, timing, note)?))
}

/// Counts where a segment was found, or why it was not, and says where it then comes from.
pub(super) fn count_load(
    result: Result<CacheOrigin, LoadError>,
    timing: &mut LoadTiming,
    note: &mut dyn FnMut(String),
) -> Result<CacheOrigin, Failure> {
    match &result {
        Ok(CacheOrigin::Memory) => timing.memory_hits += 1,
        Ok(_) => timing.disk_hits += 1,
        Err(LoadError::Cancelled) => return Err(Failure::cancelled()),
        Err(LoadError::Missing) => timing.misses += 1,
        Err(error) => {
            timing.damaged += 1;
            note(error.to_string());
        }
    }
    Ok(result.unwrap_or_else(|error| match error {
        LoadError::Missing => CacheOrigin::Encoded,
        _ => CacheOrigin::Repaired,
    }))
}

/// Encodes one chunk and puts it into the cache.
pub(super) fn encode_chunk(
    loaded: &mut Loaded,
    id: ChunkId,
    text: &str,
    cancelled: Cancelled,
    note: &mut dyn FnMut(String),
) -> Result<Arc<KvSegment>, Failure> {
    let mut segments = encode_chunks(loaded, &[(id, text)], cancelled, note)?;
    segments.pop().ok_or_else(|| ModelError::Internal("a chunk was not encoded").into())
}

/// Encodes chunks, side by side where the model runs on a GPU, and puts them into the cache.
pub(super) fn encode_chunks(
    loaded: &mut Loaded,
    chunks: &[(ChunkId, &str)],
    cancelled: Cancelled,
    note: &mut dyn FnMut(String),
) -> Result<Vec<Arc<KvSegment>>, Failure> {
    let model = loaded.model.clone();
    let mut tokens = Vec::new();
    for (id, text) in chunks {
        tokens.push((SegmentId::Chunk(*id), model.prompt.chunk(text, &model.tokenizer)?));
    }
    match loaded.compute.clone() {
        #[cfg(feature = "cuda")]
        Compute::Gpu(gpu) => {
            let encoded = encode_on_gpu(&gpu, loaded, &tokens, cancelled, note)?;
            Ok(encoded.into_iter().map(super::gpu::stored).collect())
        }
        Compute::Cpu => {
            let mut segments = Vec::new();
            for (id, tokens) in tokens {
                let segment = Arc::new(loaded.encoder(cancelled, note)?.encode(&tokens, cancelled)?);
                loaded.keep(id, segment.clone());
                segments.push(segment);
            }
            Ok(segments)
        }
    }
}

/// Encodes chunks on a GPU and puts them into the cache.
#[cfg(feature = "cuda")]
pub(super) fn encode_on_gpu(
    gpu: &super::gpu::GpuModel,
    loaded: &Loaded,
    chunks: &[(SegmentId, Vec<u32>)],
    cancelled: Cancelled,
    note: &mut dyn FnMut(String),
) -> Result<Vec<Arc<crate::cuda::segment::HostSegment>>, Failure> {
    let segments = gpu.encode(loaded, chunks, cancelled, note)?;
    for ((id, _), segment) in chunks.iter().zip(&segments) {
        loaded.keep(*id, super::gpu::stored(segment.clone()));
    }
    Ok(segments)
}

/// Whether the prefix, the chunks and a question of so many tokens fit the model's context, found out before a chunk
/// is loaded or encoded. The sizes noted when the chunks were cut tell; only where they say no are the tokens counted.
///
/// # Errors
/// [`ModelError::ContextTooLong`].
pub(super) fn check_fits(
    model: &Model,
    strategy: Strategy,
    retrieval: &Retrieval,
    query: usize,
) -> Result<(), ModelError> {
    let check = |chunks: &[usize]| {
        model.network.check_length(model.prompt.prefix().len() + extent(strategy, chunks) + query)
    };
    let chunks = retrieval.hits.iter().map(|hit| &hit.chunk.chunk);
    let noted: Vec<usize> = chunks.clone().map(|chunk| chunk.tokens).collect();
    if check(&noted).is_ok() {
        return Ok(());
    }
    let counted: Result<Vec<usize>, ModelError> =
        chunks.map(|chunk| Ok(model.prompt.chunk(&chunk.text, &model.tokenizer)?.len())).collect();
    check(&counted?)
}

/// Positions that chunks of so many tokens take.
fn extent(strategy: Strategy, chunks: &[usize]) -> usize {
    match strategy {
        Strategy::Full | Strategy::Concat => chunks.iter().sum(),
        Strategy::Parallel | Strategy::Ape => chunks.iter().copied().max().unwrap_or(0),
    }
}

/// What `full` reads: prefix, chunks in the order of their ranks, question.
fn full_prompt(model: &Model, retrieval: &Retrieval, query: &[u32]) -> Result<Vec<u32>, ModelError> {
    let mut tokens = model.prompt.prefix().to_vec();
    for hit in &retrieval.hits {
        tokens.extend(model.prompt.chunk(&hit.chunk.chunk.text, &model.tokenizer)?);
    }
    tokens.extend(query);
    Ok(tokens)
}

pub(super) fn placement(strategy: Strategy, settings: &AnswerSettings) -> (Placement, ApeScaling) {
    match strategy {
        Strategy::Full | Strategy::Concat => (Placement::Running, ApeScaling::NONE),
        Strategy::Parallel => (Placement::Shared, ApeScaling::NONE),
        Strategy::Ape => (
            Placement::Shared,
            ApeScaling { temperature: settings.attention_temperature, scale: settings.attention_scale },
        ),
    }
}

fn decode_timing(seconds: f64, generated: usize) -> DecodeTiming {
    let tokens = generated.saturating_sub(1);
    let tokens_per_second = if tokens > 0 && seconds > 0.0 { tokens as f64 / seconds } else { 0.0 };
    DecodeTiming { seconds, tokens, tokens_per_second }
}
