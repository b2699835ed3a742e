//! What the engine works with: the model, its cache, and the index, each opened when first needed.

use std::{collections::HashSet, sync::Arc, time::Instant};

use super::{
    collections::Memberships,
    compute::{self, Compute},
    keeper::{Events, SegmentWriter},
    protocol::{Event, Failure, ModelSummary, Status},
};
use crate::{
    catalogue::Catalogue,
    config::{Config, ModelSettings},
    index::Reader,
    model::{
        Model,
        kv::KvSegment,
        session::{Cancelled, Encoder, encode_prefix},
    },
    store::{
        Store, StoreError, StoreTarget, WriterLimits,
        format::KvLayout,
        key::{Fingerprint, FingerprintParts, SegmentId},
        maintain::Outdated,
    },
};

/// Changes when a chunk's text is turned into other tokens than before, so that older caches are not used.
const PROMPT_FORMAT: &str = "chunk-1";

/// What the model thread owns.
pub(super) struct Resources {
    pub config: Config,
    /// The model with each system prompt that was needed so far, the configuration's own first. Weights, tokenizer and
    /// memory are shared.
    loaded: Vec<Loaded>,
    reader: Option<Reader>,
    memberships: Memberships,
    events: Events,
}

/// A loaded model with a system prompt and the cache that belongs to both.
pub(super) struct Loaded {
    system_prompt: String,
    pub model: Arc<Model>,
    pub store: Arc<Store>,
    /// Where the model runs.
    pub compute: Compute,
    pub name: String,
    fingerprint: Fingerprint,
    writer: SegmentWriter,
    prefix: Option<Arc<KvSegment>>,
}

impl Resources {
    pub fn new(config: Config, events: Events) -> Self {
        let memberships = Memberships::new(&config);
        Self { config, loaded: Vec::new(), reader: None, memberships, events }
    }

    /// The model and its cache, loaded at the first call.
    ///
    /// # Errors
    /// When the model is not on this machine or cannot be used, or the cache cannot be opened. The next call tries
    /// again: the user may have mended it.
    pub fn loaded(&mut self) -> Result<&mut Loaded, Failure> {
        let Self { config, loaded, events, .. } = self;
        with_prompt(loaded, config, events, &config.answer.system_prompt)
    }

    /// The same with another system prompt, and the cache that belongs to it.
    pub fn loaded_for(&mut self, system_prompt: &str) -> Result<&mut Loaded, Failure> {
        let Self { config, loaded, events, .. } = self;
        with_prompt(loaded, config, events, system_prompt)
    }

    /// What names the caches of each system prompt that questions may be asked with, the configuration's own first.
    pub fn fingerprints(&mut self) -> Result<Vec<Fingerprint>, Failure> {
        let config = self.config.clone();
        let loaded = self.loaded()?;
        fingerprints(&loaded.model, &config, &loaded.compute.name())
    }

    /// The segments that are on disk for this model under any of these prompts.
    pub fn cached_anywhere(&mut self) -> Result<HashSet<SegmentId>, Failure> {
        let fingerprints = self.fingerprints()?;
        Ok(self.loaded()?.store.cached_under(&fingerprints)?.into_iter().collect())
    }

    /// The index, opened at the first call.
    pub fn reader(&mut self) -> Result<&mut Reader, Failure> {
        opened(&mut self.reader, || Ok(Reader::open(&self.config.paths.data)?))
    }

    /// The index, and which files are in which collection.
    pub fn reader_and_memberships(&mut self) -> Result<(&mut Reader, &mut Memberships), Failure> {
        let Self { config, reader, memberships, .. } = self;
        Ok((opened(reader, || Ok(Reader::open(&config.paths.data)?))?, memberships))
    }

    /// The same, and the model with a system prompt.
    pub fn for_question(
        &mut self,
        system_prompt: &str,
    ) -> Result<(&mut Reader, &mut Memberships, &mut Loaded), Failure> {
        let Self { config, loaded, reader, memberships, events } = self;
        let reader = opened(reader, || Ok(Reader::open(&config.paths.data)?))?;
        Ok((reader, memberships, with_prompt(loaded, config, events, system_prompt)?))
    }

    /// Opens the index again at its next use: needed when it was built anew.
    pub fn forget_reader(&mut self) {
        self.reader = None;
    }

    /// What there is to work with. A missing model or index is not an error here.
    pub fn status(&mut self) -> Result<Status, Failure> {
        // The catalogue alone: opening the index checks every file of it, which only a search has to wait for.
        let data = &self.config.paths.data;
        let counts = match Catalogue::exists(data) {
            true => Catalogue::open(data)?.counts()?,
            false => Default::default(),
        };
        let mut status = Status {
            files: counts.files,
            chunks: counts.chunks,
            cache_budget_bytes: self.config.store.disk_bytes,
            ..Status::default()
        };
        if let Ok(loaded) = self.loaded() {
            status.model = Some(loaded.summary());
            status.cache_bytes = loaded.store.usage()?.bytes;
            let cached = self.cached_anywhere()?;
            status.cached_chunks = cached.iter().filter(|id| matches!(id, SegmentId::Chunk(_))).count();
        }
        status.encode_tokens_per_second = self.encode_speed();
        Ok(status)
    }

    /// Tokens per second when chunks were last encoded with this model on this machine; `None` before that. Not
    /// knowing it is never an error: it only makes an estimate shorter.
    pub fn encode_speed(&self) -> Option<f64> {
        let fingerprint = self.loaded.first()?.fingerprint.to_string();
        let data = &self.config.paths.data;
        let speed = Catalogue::exists(data).then(|| Catalogue::open(data)?.encode_speed(&fingerprint));
        speed?.unwrap_or_else(|error| {
            tracing::warn!(%error, "the speed of encoding could not be read");
            None
        })
    }

    /// Keeps how many tokens per second were encoded.
    pub fn keep_encode_speed(&self, tokens_per_second: f64) {
        let Some(loaded) = self.loaded.first() else { return };
        let fingerprint = loaded.fingerprint.to_string();
        let kept = Catalogue::open(&self.config.paths.data)
            .and_then(|catalogue| catalogue.set_encode_speed(&fingerprint, tokens_per_second));
        if let Err(error) = kept {
            tracing::warn!(%error, "the speed of encoding could not be kept");
        }
    }
}

/// What `slot` holds, put there by `open` at the first call.
fn opened<T>(slot: &mut Option<T>, open: impl FnOnce() -> Result<T, Failure>) -> Result<&mut T, Failure> {
    match slot {
        Some(present) => Ok(present),
        empty => Ok(empty.insert(open()?)),
    }
}

/// The one of `loaded` that has this system prompt; the model is read where none has, and shared otherwise.
fn with_prompt<'l>(
    loaded: &'l mut Vec<Loaded>,
    config: &Config,
    events: &Events,
    system_prompt: &str,
) -> Result<&'l mut Loaded, Failure> {
    if loaded.is_empty() {
        loaded.push(Loaded::new(config, events.clone())?);
    }
    let known = loaded.iter().position(|loaded| loaded.system_prompt == system_prompt);
    let at = match known {
        Some(at) => at,
        None => {
            let added = loaded[0].beside(config, system_prompt, events.clone())?;
            loaded.push(added);
            loaded.len() - 1
        }
    };
    Ok(&mut loaded[at])
}

impl Loaded {
    fn new(config: &Config, events: Events) -> Result<Self, Failure> {
        let began = Instant::now();
        let (model, name, compute) = compute::load(config)?;
        let fingerprint = fingerprint(&model, &config.model, &compute.name());
        tracing::info!(
            model = %super::visible(&name),
            parameters = model.parameters,
            seconds = began.elapsed().as_secs_f64(),
            "model loaded"
        );
        let target = StoreTarget { fingerprint, layout: layout(&model, &config.model), model: name.clone() };
        let mut settings = config.store.clone();
        if !matches!(compute, Compute::Cpu) {
            // What is kept in memory is kept where the GPU can copy from.
            settings.memory_bytes = 0;
        }
        let store = Arc::new(Store::open(&config.paths.data, &settings, target)?);
        if let Some(message) = outdated_message(store.outdated()) {
            let _ = events.send(Event::Warning { id: None, message });
        }
        let writer = SegmentWriter::start(store.clone(), WriterLimits::default(), events);
        let system_prompt = config.answer.system_prompt.clone();
        Ok(Self {
            system_prompt,
            model: Arc::new(model),
            store,
            compute,
            name,
            fingerprint,
            writer,
            prefix: None,
        })
    }

    /// The same model with another system prompt, and the cache that belongs to both.
    fn beside(&self, config: &Config, system_prompt: &str, events: Events) -> Result<Self, Failure> {
        let model = self.model.with_system_prompt(system_prompt)?;
        let fingerprint = fingerprint(&model, &config.model, &self.compute.name());
        let target = StoreTarget { fingerprint, layout: *self.store.layout(), model: self.name.clone() };
        let store = Arc::new(self.store.beside(&config.paths.data, target)?);
        let writer = SegmentWriter::start(store.clone(), WriterLimits::default(), events);
        Ok(Self {
            system_prompt: system_prompt.to_owned(),
            model: Arc::new(model),
            store,
            compute: self.compute.clone(),
            name: self.name.clone(),
            fingerprint,
            writer,
            prefix: None,
        })
    }

    pub fn summary(&self) -> ModelSummary {
        let network = &self.model.network;
        let dtype = self.store.layout().dtype;
        ModelSummary {
            name: super::visible(&self.name).into_owned(),
            architecture: super::visible(&network.config.architecture).into_owned(),
            parameters: self.model.parameters,
            context_tokens: network.config.context_tokens,
            cache_bytes_per_token: network.segment_shape(1).bytes(dtype) as u64,
        }
    }

    /// The encoded prefix: from memory, from its file, or encoded now and kept. `note` gets what went wrong on the way
    /// without mattering to the result.
    pub fn prefix(
        &mut self,
        cancelled: Cancelled,
        note: &mut dyn FnMut(String),
    ) -> Result<Arc<KvSegment>, Failure> {
        if let Some(prefix) = &self.prefix {
            return Ok(prefix.clone());
        }
        let prefix = match self.store.load(SegmentId::Prefix) {
            Ok((segment, _)) => segment,
            Err(reason) => {
                if !matches!(reason, crate::store::LoadError::Missing) {
                    note(reason.to_string());
                }
                let dtype = self.store.layout().dtype;
                let tokens = self.model.prompt.prefix();
                let segment = Arc::new(encode_prefix(&self.model.network, tokens, dtype, cancelled)?);
                self.keep(SegmentId::Prefix, segment.clone());
                segment
            }
        };
        self.prefix = Some(prefix.clone());
        Ok(prefix)
    }

    /// Most tokens that are encoded together; 0 for one chunk at a time.
    pub fn batch_tokens(&self) -> usize {
        match &self.compute {
            Compute::Cpu => 0,
            #[cfg(feature = "cuda")]
            Compute::Gpu(_) => super::gpu::BATCH_TOKENS,
        }
    }

    /// Whether the prefix is in memory already.
    pub fn has_prefix(&self) -> bool {
        self.prefix.is_some()
    }

    /// Takes the prefix that was loaded together with chunks.
    pub fn set_prefix(&mut self, prefix: Arc<KvSegment>) {
        self.prefix = Some(prefix);
    }

    /// An encoder of chunks after the prefix.
    pub fn encoder(
        &mut self,
        cancelled: Cancelled,
        note: &mut dyn FnMut(String),
    ) -> Result<Encoder<'_>, Failure> {
        let prefix = self.prefix(cancelled, note)?;
        Ok(Encoder::new(&self.model.network, prefix))
    }

    /// Has a segment written to the cache beside whatever comes next. A cache that cannot be written costs time
    /// later, not this answer; a warning says so.
    pub fn keep(&self, id: SegmentId, segment: Arc<KvSegment>) {
        self.writer.keep(id, segment);
    }

    /// True when a chunk of `tokens` fits into the cache without another of the caches `spared` having to go, after all
    /// that waits to be written.
    pub fn has_room(&self, tokens: usize, spared: &[Fingerprint]) -> Result<bool, StoreError> {
        if self.store.has_room_beside(tokens, self.writer.waiting_bytes(), spared)? {
            return Ok(true);
        }
        // Some of what waits may be counted already.
        self.writer.wait();
        self.store.has_room_beside(tokens, 0, spared)
    }

    /// Waits until everything that was to be kept has been written, or could not be.
    pub fn wait(&self) {
        self.writer.wait();
    }

    /// True when the cache could not be written since the last [`Self::written`].
    pub fn cannot_write(&self) -> bool {
        self.writer.is_failing()
    }

    /// Waits until everything that was to be kept has been written.
    ///
    /// # Errors
    /// Why the first segment since the last call could not be written.
    pub fn written(&self) -> Result<(), String> {
        self.writer.flush()
    }
}

/// What to say of cache files that a newer version of this program cannot use; `None` where there were none.
fn outdated_message(Outdated { files, bytes }: Outdated) -> Option<String> {
    let what = if files == 1 { "1 file".into() } else { format!("{files} files") };
    let megabytes = bytes.div_ceil(1_000_000);
    (files > 0).then(|| {
        format!(
            "the cache of an earlier version of Gibbon ({what}, {megabytes} MB) cannot be used any more and has been \
             removed; texts are encoded again when they are next needed, or by `gibbon index`"
        )
    })
}

/// Names the caches of each system prompt that questions may be asked with, the configuration's own first.
pub(super) fn fingerprints(
    model: &Model,
    config: &Config,
    compute: &str,
) -> Result<Vec<Fingerprint>, Failure> {
    let with = |prompt: &str| Ok(fingerprint(&model.with_system_prompt(prompt)?, &config.model, compute));
    config.system_prompts().into_iter().map(with).collect()
}

/// Names the caches that this model can use with this prefix, these settings and where it runs.
fn fingerprint(model: &Model, settings: &ModelSettings, compute: &str) -> Fingerprint {
    let rope = blake3::hash(&model.network.rope.identity()).to_hex();
    let compute =
        format!("{PROMPT_FORMAT} {}{compute}", if settings.dequantize { "dequantized" } else { "as stored" });
    Fingerprint::of(&FingerprintParts {
        weights: model.identity,
        tokenizer: &model.tokenizer.identity(),
        prefix_tokens: model.prompt.prefix(),
        rope: rope.as_str(),
        cache_dtype: settings.cache_dtype,
        compute: &compute,
    })
}

fn layout(model: &Model, settings: &ModelSettings) -> KvLayout {
    let shape = model.network.segment_shape(0);
    KvLayout {
        layers: shape.layers,
        kv_heads: shape.kv_heads,
        head_dim: shape.head_dim,
        dtype: settings.cache_dtype,
        max_tokens: model.network.config.context_tokens,
    }
}
