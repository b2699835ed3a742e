//! Encoding in the background: the chunks whose cache is missing, one at a time, or a batch at a time on a GPU, for as
//! long as the budget lasts.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    answer::encode_chunks,
    collections::{PromptChunks, chunks_by_prompt},
    control::Control,
    keeper::Events,
    protocol::{
        EncodeEstimate, Event, Failure, FailureKind, Hold, IndexPhase, IndexReport, IndexRequest, Progress,
        RequestId, Unit,
    },
    resources::Resources,
    visible::visible,
};
use crate::{
    catalogue::ChunkSummary,
    corpus::ChunkId,
    store::key::{Fingerprint, SegmentId},
};

/// Tokens below which an encoding says nothing about how fast this machine is.
const MEASURED_TOKENS: usize = 256;

/// The encoding that follows an index run. What to encode is whatever is indexed and not cached, so that a run that
/// was interrupted goes on where it was.
pub(super) struct EncodeJob {
    id: RequestId,
    report: IndexReport,
    pending: VecDeque<Pending>,
    /// The system prompts that chunks are encoded after.
    prompts: Vec<String>,
    /// The one of them that is being encoded after.
    prompt: usize,
    /// The caches of all these prompts: encoding ahead of questions pushes out nothing of them.
    fingerprints: Vec<Fingerprint>,
    total_tokens: u64,
    done_tokens: u64,
    control: Arc<Control>,
    /// Why it was last said to stand still.
    told_hold: Option<Hold>,
    /// What encoding itself took, without the time for which it stood still.
    busy: Duration,
    /// Bytes of KV cache on disk by now.
    cache_bytes: u64,
}

/// A chunk without a cache after one of the prompts.
#[derive(Debug, Clone, Copy)]
struct Pending {
    /// Among the job's.
    prompt: usize,
    chunk: ChunkSummary,
}

impl EncodeJob {
    /// Lists what is missing: what belongs to collections with a prompt of their own, after that; all else after the
    /// configuration's, which comes first.
    pub fn new(
        resources: &mut Resources,
        request: &IndexRequest,
        report: IndexReport,
        control: Arc<Control>,
    ) -> Result<Self, Failure> {
        let counted = if request.encode { None } else { chunks_left(resources)? };
        let wanted = match counted {
            Some(_) => Vec::new(),
            None => or_nothing(chunks_by_prompt(resources))?,
        };
        let (mut pending, mut prompts) = (VecDeque::new(), Vec::new());
        for PromptChunks { system_prompt, chunks } in wanted.into_iter().filter(|w| !w.chunks.is_empty()) {
            let store = &resources.loaded_for(&system_prompt)?.store;
            let cached: HashSet<SegmentId> = store.cached()?.into_iter().collect();
            let missing = chunks.into_iter().filter(|chunk| !cached.contains(&SegmentId::Chunk(chunk.id)));
            pending.extend(missing.map(|chunk| Pending { prompt: prompts.len(), chunk }));
            prompts.push(system_prompt);
        }
        let fingerprints = resources.fingerprints()?;
        let mut job = Self {
            id: request.id,
            report,
            pending,
            prompts,
            prompt: 0,
            fingerprints,
            total_tokens: 0,
            done_tokens: 0,
            control,
            told_hold: None,
            busy: Duration::ZERO,
            cache_bytes: resources.loaded()?.store.usage()?.bytes,
        };
        job.total_tokens = job.pending.iter().map(|pending| pending.chunk.tokens as u64).sum();
        if !request.encode {
            job.leave();
            job.report.chunks_left += counted.unwrap_or(0);
        }
        Ok(job)
    }

    /// Tells what encoding will take, where there is something to encode.
    pub fn announce(&mut self, resources: &mut Resources, events: &Events) -> Result<(), Failure> {
        if self.has_work() && !self.control.is_cancelled() {
            let estimate = self.estimate(resources)?;
            let _ = events.send(Event::Estimated { id: self.id, estimate });
            self.told_hold = self.control.hold();
            self.tell(events);
        }
        Ok(())
    }

    fn estimate(&self, resources: &mut Resources) -> Result<EncodeEstimate, Failure> {
        let speed = resources.encode_speed();
        let store = &resources.loaded()?.store;
        let usage = store.usage()?;
        Ok(EncodeEstimate {
            chunks: self.pending.len(),
            tokens: self.total_tokens,
            bytes: self.pending.iter().map(|pending| store.file_bytes(pending.chunk.tokens)).sum(),
            free_bytes: usage.budget.saturating_sub(usage.bytes),
            seconds: speed.map(|speed| self.total_tokens as f64 / speed),
        })
    }

    /// True while a chunk is left to be encoded.
    pub fn has_work(&self) -> bool {
        !self.pending.is_empty()
    }

    /// What was done; the rest is left to another job.
    pub fn into_report(self) -> IndexReport {
        let encode_seconds = if self.report.chunks_encoded > 0 { self.busy.as_secs_f64() } else { 0.0 };
        let seconds = self.report.seconds + self.busy.as_secs_f64();
        IndexReport { encode_seconds, seconds, ..self.report }
    }

    /// False while the run is paused.
    pub fn may_go_on(&self) -> bool {
        self.control.hold().is_none()
    }

    /// Says that it stands still, or goes on, where that is news.
    pub fn tell_hold(&mut self, events: &Events) {
        let hold = self.control.hold();
        if hold != self.told_hold {
            self.told_hold = hold;
            self.tell(events);
        }
    }

    /// Encodes the next chunks; the report when there are none left, no room for one, or the run was cancelled.
    ///
    /// # Errors
    /// When the model fails, or the cache cannot be written: the chunks already encoded stay.
    pub fn step(
        &mut self,
        resources: &mut Resources,
        events: &Events,
    ) -> Result<Option<IndexReport>, Failure> {
        let began = Instant::now();
        if self.control.is_cancelled() {
            self.report.cancelled = true;
            self.leave();
        }
        let Some(next) = self.pending.pop_front() else {
            return self.end(resources, began).map(Some);
        };
        self.encode(next, resources, events)?;
        self.busy += began.elapsed();
        Ok(None)
    }

    /// Encodes the next chunks: one, or as many side by side as a GPU takes at once.
    fn encode(&mut self, next: Pending, resources: &mut Resources, events: &Events) -> Result<(), Failure> {
        let prompt = next.prompt;
        let batch = self.batch(next, resources)?;
        if batch.is_empty() {
            return Ok(());
        }
        let control = self.control.clone();
        let mut note = |message: String| {
            let message = visible(&message).into_owned();
            tracing::warn!("{message}");
            drop(events.send(Event::Warning { id: Some(self.id), message }));
        };
        let loaded = resources.loaded_for(&self.prompts[prompt])?;
        let cancelled = || control.is_cancelled();
        let texts: Vec<(ChunkId, &str)> =
            batch.iter().map(|(chunk, text)| (chunk.id, text.as_str())).collect();
        match encode_chunks(loaded, &texts, &cancelled, &mut note) {
            Ok(segments) => {
                self.report.chunks_encoded += segments.len();
                self.report.tokens_encoded += segments.iter().map(|s| s.shape.tokens).sum::<usize>();
                self.done_tokens += batch.iter().map(|(chunk, _)| chunk.tokens as u64).sum::<u64>();
                self.cache_bytes = loaded.store.usage()?.bytes;
                self.tell(events);
                Ok(())
            }
            // The next step sees the switch.
            Err(failure) if failure.kind == FailureKind::Cancelled => {
                for (chunk, _) in batch.into_iter().rev() {
                    self.pending.push_front(Pending { prompt, chunk });
                }
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    /// The chunks to be encoded together, with their texts: `next` and what follows it after the same prompt, as far as
    /// they have no cache yet, are still there, and find room. None, and nothing pending any more, where not even `next`
    /// finds room.
    fn batch(
        &mut self,
        next: Pending,
        resources: &mut Resources,
    ) -> Result<Vec<(ChunkSummary, String)>, Failure> {
        let prompt = next.prompt;
        self.turn_to(prompt, resources)?;
        let (mut batch, mut tokens, mut next) = (Vec::new(), 0, Some(next.chunk));
        while let Some(chunk) = next.take() {
            let loaded = resources.loaded_for(&self.prompts[prompt])?;
            if loaded.cannot_write() || !loaded.has_room(tokens + chunk.tokens, &self.fingerprints)? {
                self.pending.push_front(Pending { prompt, chunk });
                if batch.is_empty() {
                    self.leave();
                }
                break;
            }
            let most = loaded.batch_tokens();
            // A question may have needed it meanwhile.
            if loaded.store.contains(SegmentId::Chunk(chunk.id)) {
                self.done_tokens += chunk.tokens as u64;
            } else if let Some(record) = resources.reader()?.chunk(chunk.id)? {
                // A chunk that is gone by now needs no cache.
                tokens += chunk.tokens;
                batch.push((chunk, record.chunk.text));
            }
            let fits = |pending: &Pending| pending.prompt == prompt && tokens + pending.chunk.tokens <= most;
            if self.pending.front().is_some_and(fits) {
                next = self.pending.pop_front().map(|pending| pending.chunk);
            }
        }
        Ok(batch)
    }

    /// Goes over to the caches of another prompt. Those of the one before are written first: what waits there is not
    /// counted when room is looked for.
    fn turn_to(&mut self, prompt: usize, resources: &mut Resources) -> Result<(), Failure> {
        if prompt != self.prompt {
            resources.loaded_for(&self.prompts[self.prompt])?.wait();
            self.prompt = prompt;
        }
        Ok(())
    }

    /// Says how far the encoding has come.
    fn tell(&self, events: &Events) {
        let (phase, unit) = (IndexPhase::Encode, Unit::Tokens);
        let progress = Progress {
            phase,
            done: self.done_tokens,
            total: self.total_tokens,
            unit,
            cache_bytes: self.cache_bytes,
            hold: self.told_hold,
        };
        let _ = events.send(Event::Progress { id: self.id, progress });
    }

    /// Leaves what is pending to be encoded when it is first retrieved.
    fn leave(&mut self) {
        self.report.chunks_left += self.pending.len();
        self.pending.clear();
    }

    fn end(&mut self, resources: &mut Resources, began: Instant) -> Result<IndexReport, Failure> {
        for prompt in &self.prompts {
            resources.loaded_for(prompt)?.written().map_err(|reason| {
                let hint = "Make room on the disk or lower --budget, then run `gibbon index` again: it goes on where it was.";
                Failure::new(FailureKind::Storage, reason, hint)
            })?;
        }
        self.report.cache_bytes = resources.loaded()?.store.usage()?.bytes;
        let seconds = (self.busy + began.elapsed()).as_secs_f64();
        if self.report.chunks_encoded > 0 {
            self.report.encode_seconds = seconds;
        }
        if self.report.tokens_encoded >= MEASURED_TOKENS {
            resources.keep_encode_speed(self.report.tokens_encoded as f64 / seconds);
        }
        self.report.seconds += seconds;
        Ok(std::mem::take(&mut self.report))
    }
}

/// Where nothing is indexed, there is nothing to encode.
fn or_nothing<T: Default>(wanted: Result<T, Failure>) -> Result<T, Failure> {
    match wanted {
        Err(failure) if failure.kind == FailureKind::NoDocuments => Ok(T::default()),
        wanted => wanted,
    }
}

/// How many chunks have no cache, counted where they are, since a large folder's list takes seconds; `None` where several
/// system prompts each want their own.
fn chunks_left(resources: &mut Resources) -> Result<Option<usize>, Failure> {
    let config = resources.config.clone();
    let [system_prompt] = config.system_prompts()[..] else { return Ok(None) };
    let cached = resources.loaded_for(system_prompt)?.store.cached()?;
    let chunk = |segment: SegmentId| if let SegmentId::Chunk(id) = segment { Some(id) } else { None };
    let cached: Vec<ChunkId> = cached.into_iter().filter_map(chunk).collect();
    let left = resources.reader_and_memberships().and_then(|(reader, _)| {
        let catalogue = reader.catalogue();
        let cached_and_indexed = cached.len() - catalogue.unreferenced(&cached)?.len();
        Ok(catalogue.counts()?.chunks.saturating_sub(cached_and_indexed))
    });
    or_nothing(left).map(Some)
}
