//! First tokens over cached contexts, decoding, whole answers, and `full`.

use std::{sync::Arc, time::Instant};

use super::{
    Bench, BenchTier, DECODED_TOKENS, Figure, PREFIX_TOKENS, Part, Row, files::Files, random_tokens,
};
use crate::{
    cuda::{
        CudaError,
        context::{Context, ContextSegment},
        segment::{DeviceSegment, HostSegment},
        session::Session,
    },
    engine::{protocol::Failure, timing::Spread},
    model::{attention::ApeScaling, session::Placement},
    store::SegmentFile,
};

const SCALING: ApeScaling = ApeScaling { temperature: 0.9, scale: 0.9 };

/// Runs over files read past the page cache, which take seconds each; one where there are more bytes than this.
const COLD_RUNS: usize = 3;
const COLD_BYTES: usize = 4 << 30;

/// Where the segments of a measured context are.
enum Source<'a> {
    Device(Vec<Arc<DeviceSegment>>),
    Host(&'a [Arc<HostSegment>]),
    Files { files: &'a Files, direct: bool },
}

/// A first token: what it took, in parts, and what it is.
struct First<'a> {
    session: Session<'a>,
    token: u32,
    seconds: f64,
    parts: Vec<Part>,
}

impl Bench<'_> {
    /// First tokens from memory, or from files where there are some.
    pub(super) fn answers(
        &mut self,
        chunk: usize,
        corpus: &[Arc<HostSegment>],
        files: Option<&Files>,
    ) -> Result<(), Failure> {
        for tier in self.options.from.clone() {
            let is_file = matches!(tier, BenchTier::Disk | BenchTier::ColdDisk);
            if is_file != files.is_some() {
                continue;
            }
            for context in self.options.contexts.clone() {
                if context < chunk {
                    continue;
                }
                match self.first_tokens(chunk, context, tier, corpus, files) {
                    Ok(row) => self.push(row),
                    Err(error) => {
                        let what = format!("{context} tokens in chunks of {chunk} from {}", tier.name());
                        self.note(format!("{what} were left out: {error}"));
                    }
                }
            }
        }
        Ok(())
    }

    fn first_tokens(
        &mut self,
        chunk: usize,
        context: usize,
        tier: BenchTier,
        corpus: &[Arc<HostSegment>],
        files: Option<&Files>,
    ) -> Result<Row, CudaError> {
        let count = context / chunk;
        let source = self.source(tier, &corpus[..count], files)?;
        let bytes = self.network.shape().kv_bytes(context, self.dtype);
        let (warm_up, runs) = match tier {
            // Past the page cache nothing gets warm.
            BenchTier::ColdDisk if bytes > COLD_BYTES => (0, 1),
            BenchTier::ColdDisk => (0, COLD_RUNS),
            _ => (1, self.options.runs),
        };
        let mut measured: Vec<(f64, Vec<Part>)> = Vec::new();
        for run in 0..warm_up + runs {
            if let (BenchTier::ColdDisk, Some(files)) = (tier, files) {
                files.forget(count).map_err(|failure| CudaError::Model(failure.message))?;
            }
            let first = self.ask(&source, count)?;
            if run >= warm_up {
                measured.push((first.seconds, first.parts));
            }
        }
        measured.sort_by(|a, b| a.0.total_cmp(&b.0));
        let values: Vec<f64> = measured.iter().map(|(seconds, _)| *seconds).collect();
        let parts = measured.swap_remove(measured.len() / 2).1;
        let floor = self.floors.first_token(context, self.options.query, tier, self.file_rate(tier));
        Ok(Row {
            context: Some(context),
            chunk: Some(chunk),
            from: Some(tier),
            floor: Some(floor),
            other: self.baseline.prefill(context),
            parts,
            ..Row::new(Figure::FirstToken, Spread::of(&values).unwrap_or_default())
        })
    }

    fn source<'b>(
        &self,
        tier: BenchTier,
        corpus: &'b [Arc<HostSegment>],
        files: Option<&'b Files>,
    ) -> Result<Source<'b>, CudaError> {
        Ok(match (tier, files) {
            (BenchTier::Device, _) => {
                let upload = |segment: &Arc<HostSegment>| self.network.upload(segment);
                Source::Device(corpus.iter().map(upload).collect::<Result<_, _>>()?)
            }
            (BenchTier::Disk | BenchTier::ColdDisk, Some(files)) => {
                Source::Files { files, direct: tier == BenchTier::ColdDisk }
            }
            _ => Source::Host(corpus),
        })
    }

    /// The first `count` segments of a source as a context.
    fn context(&self, source: &Source, count: usize) -> Result<Context, CudaError> {
        let placement = Placement::Shared;
        Ok(match source {
            Source::Device(segments) => {
                let segments = segments[..count].iter().cloned();
                Context::new(segments.map(ContextSegment::on_device).collect(), placement)
            }
            Source::Host(segments) => {
                let segments = segments[..count].iter().cloned();
                Context::new(segments.map(ContextSegment::on_host).collect(), placement)
            }
            Source::Files { files, direct } => {
                let opened = files.opened(count).map_err(|failure| CudaError::Model(failure.message))?;
                let opened: Vec<SegmentFile> = match direct {
                    true => opened.into_iter().map(SegmentFile::open_direct).collect(),
                    false => opened,
                };
                let tokens = opened.iter().map(|file| file.shape().tokens);
                let segments = tokens.map(ContextSegment::in_file).collect();
                let read = move |segment: usize, layer: usize, out: &mut [u8]| {
                    opened[segment].read_layer(layer, out).map_err(|error| error.to_string())
                };
                Context { segments, read: Some(Arc::new(read)), threads: self.threads, placement }
            }
        })
    }

    /// Asks a question over the first `count` segments, until the first token is known on the host.
    fn ask(&self, source: &Source, count: usize) -> Result<First<'_>, CudaError> {
        let query = random_tokens(3, self.options.query, self.network.shape());
        let room = DECODED_TOKENS.max(self.options.generate);
        let started = Instant::now();
        let context = self.context(source, count)?;
        let mut session =
            Session::with_context(self.network, &self.prefix, context, SCALING, query.len(), room)?;
        let prepared = started.elapsed().as_secs_f64();
        session.prefill(&query, &|| false)?;
        let launched = started.elapsed().as_secs_f64();
        let token = session.most_likely()?;
        let seconds = started.elapsed().as_secs_f64();
        let parts = vec![
            Part { name: "prepare", seconds: prepared },
            Part { name: "read and launch", seconds: launched - prepared },
            Part { name: "wait for the GPU", seconds: seconds - launched },
        ];
        Ok(First { session, token, seconds, parts })
    }

    /// Seconds of a token after the first in every context, and of a whole answer over the largest.
    pub(super) fn whole_answers(&mut self, chunk: usize, corpus: &[Arc<HostSegment>]) -> Result<(), Failure> {
        let source = Source::Host(corpus);
        for context in self.options.contexts.clone() {
            (self.say)(&format!("decoding after {context} tokens"));
            let result = self.measured(self.options.runs, || {
                let mut first = self.ask(&source, context / chunk)?;
                let started = Instant::now();
                first.generate(DECODED_TOKENS)?;
                Ok(started.elapsed().as_secs_f64() / DECODED_TOKENS as f64)
            });
            match result {
                Ok(measured) => self.push(Row {
                    context: Some(context),
                    floor: Some(self.floors.decode(context)),
                    other: self.baseline.decode(context),
                    ..Row::new(Figure::Decode, measured)
                }),
                Err(error) => self.note(format!("decoding after {context} tokens was left out: {error}")),
            }
        }
        let Some(context) = self.options.contexts.iter().copied().max() else { return Ok(()) };
        let generate = self.options.generate;
        let result = self.measured(self.options.runs.min(3), || {
            let started = Instant::now();
            self.ask(&source, context / chunk)?.generate(generate - 1)?;
            Ok(started.elapsed().as_secs_f64())
        });
        match result {
            Ok(measured) => self.push(Row {
                context: Some(context),
                chunk: Some(chunk),
                from: Some(BenchTier::Host),
                other: self.other_whole(context),
                ..Row::new(Figure::EndToEnd, measured)
            }),
            Err(error) => self.note(format!("the whole answer was left out: {error}")),
        }
        Ok(())
    }

    /// What a whole answer takes elsewhere: prefilling, and a token so often.
    fn other_whole(&self, context: usize) -> Option<f64> {
        let decode = self.baseline.decode(context)?;
        Some(self.baseline.prefill(context)? + decode * (self.options.generate - 1) as f64)
    }

    /// Prefilling everything at question time, and a whole answer after the largest context.
    pub(super) fn full(&mut self) -> Result<(), Failure> {
        let largest = self.options.contexts.iter().copied().max();
        for context in self.options.contexts.clone() {
            (self.say)(&format!("full over {context} tokens"));
            let whole = Some(context) == largest;
            let runs = if context <= self.options.repeat_full_to { self.options.runs } else { 1 };
            match self.full_over(context, runs, whole) {
                Ok(rows) => rows.into_iter().for_each(|row| self.push(row)),
                Err(error) => self.note(format!("full over {context} tokens was left out: {error}")),
            }
        }
        Ok(())
    }

    fn full_over(&self, context: usize, runs: usize, whole: bool) -> Result<Vec<Row>, CudaError> {
        let tokens = PREFIX_TOKENS + context + self.options.query;
        let prompt = random_tokens(11, tokens, self.network.shape());
        let (mut firsts, mut wholes) = (Vec::new(), Vec::new());
        for run in 0..runs {
            let started = Instant::now();
            let mut session = Session::empty(self.network, tokens + self.options.generate)?;
            session.prefill(&prompt, &|| false)?;
            let token = session.most_likely()?;
            firsts.push(started.elapsed().as_secs_f64());
            if whole && run == 0 {
                let mut first = First { session, token, seconds: 0.0, parts: Vec::new() };
                first.generate(self.options.generate - 1)?;
                wholes.push(started.elapsed().as_secs_f64());
            }
        }
        let mut rows = vec![Row {
            context: Some(context),
            floor: Some(self.floors.full(tokens)),
            other: self.baseline.prefill(context),
            ..Row::new(Figure::FullPrefill, Spread::of(&firsts).unwrap_or_default())
        }];
        rows.extend(Spread::of(&wholes).map(|measured| Row {
            context: Some(context),
            other: self.other_whole(context),
            ..Row::new(Figure::FullEndToEnd, measured)
        }));
        Ok(rows)
    }
}

impl First<'_> {
    /// Generates `count` more tokens, greedily.
    fn generate(&mut self, count: usize) -> Result<(), CudaError> {
        for _ in 0..count {
            self.session.prefill(&[self.token], &|| false)?;
            self.token = self.session.most_likely()?;
        }
        Ok(())
    }
}
