//! Encoding in the background: the chunks whose cache is missing, one at a time, for as long as the budget lasts.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use super::{
    answer::encode_chunk,
    keeper::Events,
    protocol::{
        Event, Failure, FailureKind, IndexPhase, IndexReport, IndexRequest, Progress, RequestId, Unit,
    },
    resources::Resources,
    visible::visible,
};
use crate::{catalogue::ChunkSummary, store::key::SegmentId};

/// The encoding that follows an index run. What to encode is whatever is indexed and not cached, so that a run that
/// was interrupted goes on where it was.
pub(super) struct EncodeJob {
    id: RequestId,
    report: IndexReport,
    pending: VecDeque<ChunkSummary>,
    total_tokens: u64,
    done_tokens: u64,
    cancelled: Arc<AtomicBool>,
    started: Instant,
}

impl EncodeJob {
    /// Lists what is missing and announces how much that is.
    pub fn new(
        resources: &mut Resources,
        request: &IndexRequest,
        report: IndexReport,
        cancelled: Arc<AtomicBool>,
    ) -> Result<Self, Failure> {
        let chunks = match resources.reader() {
            Ok(reader) => reader.chunks()?,
            Err(failure) if failure.kind == FailureKind::NoDocuments => Vec::new(),
            Err(failure) => return Err(failure),
        };
        let cached: HashSet<SegmentId> = resources.loaded()?.store.cached()?.into_iter().collect();
        let missing = |chunk: &ChunkSummary| !cached.contains(&SegmentId::Chunk(chunk.id));
        let mut job = Self {
            id: request.id,
            report,
            pending: chunks.into_iter().filter(missing).collect(),
            total_tokens: 0,
            done_tokens: 0,
            cancelled,
            started: Instant::now(),
        };
        job.total_tokens = job.pending.iter().map(|chunk| chunk.tokens as u64).sum();
        if !request.encode {
            job.leave();
        }
        Ok(job)
    }

    /// True while a chunk is left to be encoded.
    pub fn has_work(&self) -> bool {
        !self.pending.is_empty()
    }

    pub fn id(&self) -> RequestId {
        self.id
    }

    /// Encodes one chunk; the report when there is none left, no room for one, or the run was cancelled.
    ///
    /// # Errors
    /// When the model fails, or the cache cannot be written: the chunks already encoded stay.
    pub fn step(
        &mut self,
        resources: &mut Resources,
        events: &Events,
    ) -> Result<Option<IndexReport>, Failure> {
        if self.cancelled.load(Ordering::Relaxed) {
            self.report.cancelled = true;
            self.leave();
        }
        let Some(next) = self.pending.pop_front() else {
            return self.end(resources).map(Some);
        };
        let loaded = resources.loaded()?;
        if loaded.cannot_write() || !loaded.store.has_room(next.tokens)? {
            self.pending.push_front(next);
            self.leave();
            return Ok(None);
        }
        // A question may have needed it meanwhile.
        if loaded.store.contains(SegmentId::Chunk(next.id)) {
            self.done_tokens += next.tokens as u64;
            return Ok(None);
        }
        // A chunk that is gone by now needs no cache.
        let Some(record) = resources.reader()?.chunk(next.id)? else { return Ok(None) };
        let flag = self.cancelled.clone();
        let mut note = |message: String| {
            drop(events.send(Event::Warning { id: Some(self.id), message: visible(&message).into_owned() }));
        };
        let encoded = encode_chunk(
            resources.loaded()?,
            next.id,
            &record.chunk.text,
            &|| flag.load(Ordering::Relaxed),
            &mut note,
        );
        match encoded {
            Ok(segment) => {
                self.report.chunks_encoded += 1;
                self.report.tokens_encoded += segment.shape.tokens;
                self.done_tokens += next.tokens as u64;
                self.tell(events);
            }
            // The next step sees the flag.
            Err(failure) if failure.kind == FailureKind::Cancelled => self.pending.push_front(next),
            Err(failure) => return Err(failure),
        }
        Ok(None)
    }

    /// Says how far the encoding has come.
    pub fn tell(&self, events: &Events) {
        let (phase, unit) = (IndexPhase::Encode, Unit::Tokens);
        let progress = Progress {
            phase,
            done: self.done_tokens,
            total: self.total_tokens,
            unit,
            cache_bytes: 0,
            hold: None,
        };
        let _ = events.send(Event::Progress { id: self.id, progress });
    }

    /// Leaves what is pending to be encoded when it is first retrieved.
    fn leave(&mut self) {
        self.report.chunks_left += self.pending.len();
        self.pending.clear();
    }

    fn end(&mut self, resources: &mut Resources) -> Result<IndexReport, Failure> {
        let loaded = resources.loaded()?;
        loaded.written().map_err(|reason| {
            let hint = "Make room on the disk or lower --budget, then run `gibbon index` again: it goes on where it was.";
            Failure::new(FailureKind::Storage, reason, hint)
        })?;
        let seconds = self.started.elapsed().as_secs_f64();
        if self.report.chunks_encoded > 0 {
            self.report.encode_seconds = seconds;
        }
        self.report.seconds += seconds;
        self.report.cache_bytes = loaded.store.usage()?.bytes;
        Ok(std::mem::take(&mut self.report))
    }
}
