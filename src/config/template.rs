//! The defaults, and a configuration written as the file that would bring it about.

use std::collections::BTreeMap;

use bytesize::ByteSize;
use toml::Value;

use super::{
    AnswerSettings, CacheDtype, Collection, Config, CorpusSettings, DeviceChoice, HubAccess, IndexSettings,
    ModelSettings, ModelSource, Paths, ScreenSettings, StoreSettings, Strategy,
};

/// Part of every cache's key: changing it makes every chunk be encoded again.
const SYSTEM_PROMPT: &str = "You answer questions from the documents given. \
                             Answer briefly and name the document in brackets.";

impl Config {
    /// The defaults, with everything kept under `paths`.
    pub fn with_paths(paths: Paths) -> Self {
        Self {
            paths,
            model: ModelSettings {
                source: ModelSource::Default,
                cache_dtype: CacheDtype::F16,
                dequantize: false,
                device: DeviceChoice::Auto,
                gpu_dtype: CacheDtype::Bf16,
                offline: false,
                hub: HubAccess::default(),
            },
            corpus: CorpusSettings { chunk_tokens: 384, max_file_bytes: 32 << 20, reader_program: None },
            index: IndexSettings { pause_on_battery: false, poll_seconds: 60 },
            answer: AnswerSettings {
                chunks: 3,
                strategy: Strategy::Ape,
                attention_temperature: 0.9,
                attention_scale: 1.0,
                temperature: 0.0,
                top_p: None,
                seed: 0,
                max_tokens: 256,
                system_prompt: SYSTEM_PROMPT.to_owned(),
            },
            store: StoreSettings { disk_bytes: 20 << 30, memory_bytes: 512 << 20, gpu_memory_bytes: 2 << 30 },
            screen: ScreenSettings {
                theme: "ansi".to_owned(),
                color: true,
                mouse: true,
                keys: BTreeMap::new(),
            },
            collections: BTreeMap::new(),
        }
    }

    /// A collection as its section of a configuration file; `None` where there is none of this name.
    pub fn collection_toml(&self, name: &str) -> Option<String> {
        Some(collection(name, self.collections.get(name)?, &self.answer))
    }

    /// This configuration as a commented configuration file.
    pub fn to_toml(&self) -> String {
        let Self { model, corpus, index, answer, store, screen, collections, .. } = self;
        let top_p = answer.top_p.map_or("# top_p = 0.95".to_owned(), |top_p| format!("top_p = {top_p:?}"));
        format!(
            r#"[model]
# `default`, a GGUF file, a directory with safetensors, or owner/name[@revision][:file] on the Hugging Face Hub
source = {source}
# turn quantised weights into f32 when loading: exact, larger, slower per token
dequantize = {dequantize}
# auto: a GPU where this build can use one and the model fits it; cpu; cuda, or cuda:1 for the second GPU
device = {device}
# number format of weights on a GPU: bf16, f16 or f32
gpu_dtype = {gpu_dtype}
# never use the network
offline = {offline}

[corpus]
# most tokens in a chunk; at least 32
chunk_tokens = {chunk_tokens}
# larger files are left out and reported
max_file_size = {max_file_size}

[index]
# stand still while the machine runs on its battery
pause_on_battery = {pause_on_battery}
# how often watched folders are looked at where the system does not tell of changes, in seconds
poll_seconds = {poll_seconds}

[answer]
# chunks retrieved for a question
chunks = {chunks}
# full, concat, parallel or ape
strategy = {strategy}
# of `ape`; both greater than 0 and at most 1
attention_temperature = {attention_temperature:?}
attention_scale = {attention_scale:?}
# sampling; 0 is greedy
temperature = {temperature:?}
{top_p}
seed = {seed}
max_tokens = {max_tokens}
# a change makes every chunk be encoded again
system_prompt = {system_prompt}

[cache]
# number format of stored keys and values: f16, bf16 or f32
dtype = {dtype}
# most disk space for the KV cache
budget = {budget}
# most memory for caches kept between questions
memory = {memory}
# most memory of a GPU for the same
gpu_memory = {gpu_memory}

[screen]
# ansi, dark, light, high-contrast, colour-blind or mono; auto: dark or light, as the terminal is;
# or the path of a theme file
theme = {theme}
color = {color}
# scrolls, selects and follows citations; Shift-drag selects text. false leaves the mouse to the terminal
mouse = {mouse}

[keys]
# what a key does, as the help (F1) names it: a key, a list of keys, or [] for none
{keys}
{collections}"#,
            source = quoted(&model.source.to_string()),
            dequantize = model.dequantize,
            device = quoted(&model.device.to_string()),
            gpu_dtype = quoted(model.gpu_dtype.name()),
            offline = model.offline,
            chunk_tokens = corpus.chunk_tokens,
            max_file_size = size(corpus.max_file_bytes),
            pause_on_battery = index.pause_on_battery,
            poll_seconds = index.poll_seconds,
            chunks = answer.chunks,
            strategy = quoted(answer.strategy.name()),
            attention_temperature = answer.attention_temperature,
            attention_scale = answer.attention_scale,
            temperature = answer.temperature,
            seed = answer.seed,
            max_tokens = answer.max_tokens,
            system_prompt = quoted(&answer.system_prompt),
            dtype = quoted(model.cache_dtype.name()),
            budget = size(store.disk_bytes),
            memory = size(store.memory_bytes),
            gpu_memory = size(store.gpu_memory_bytes),
            theme = quoted(&screen.theme),
            color = screen.color,
            mouse = screen.mouse,
            keys = keys(&screen.keys),
            collections = self::collections(collections, answer),
        )
    }
}

/// An example where nothing is changed.
fn keys(keys: &BTreeMap<String, Vec<String>>) -> String {
    if keys.is_empty() {
        return "# \"palette.open\" = [\"ctrl-p\", \"f12\"]\n".to_owned();
    }
    let line = |(name, chords): (&String, &Vec<String>)| {
        let chords: Vec<_> = chords.iter().map(|chord| quoted(chord)).collect();
        format!("{} = [{}]\n", quoted(name), chords.join(", "))
    };
    keys.iter().map(line).collect()
}

/// The collections, each with what it has of its own; an example where there are none.
fn collections(collections: &BTreeMap<String, Collection>, general: &AnswerSettings) -> String {
    if collections.is_empty() {
        return r#"# a named set of folders, to be asked with --in notes; patterns are those of a .gitignore
# [collections.notes]
# paths = ["~/notes"]
# include = ["**/*.md"]
# exclude = ["drafts/"]
# of its own, else as under [answer]: system_prompt, chunks, strategy, max_tokens, attention_temperature, attention_scale
"#
        .to_owned();
    }
    collections.iter().map(|(name, each)| collection(name, each, general)).collect::<Vec<_>>().join("\n")
}

fn collection(name: &str, collection: &Collection, general: &AnswerSettings) -> String {
    let list = |texts: &[String]| {
        let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
        format!("[{}]", texts.join(", "))
    };
    let paths: Vec<String> = collection.paths.iter().map(|path| path.to_string_lossy().into()).collect();
    let own = &collection.answer;
    let mut text = format!("[collections.{name}]\npaths = {}\n", list(&paths));
    let mut line = |is_set: bool, key: &str, value: String| {
        if is_set {
            text += &format!("{key} = {value}\n");
        }
    };
    line(!collection.include.is_empty(), "include", list(&collection.include));
    line(!collection.exclude.is_empty(), "exclude", list(&collection.exclude));
    line(own.system_prompt != general.system_prompt, "system_prompt", quoted(&own.system_prompt));
    line(own.chunks != general.chunks, "chunks", own.chunks.to_string());
    line(own.strategy != general.strategy, "strategy", quoted(own.strategy.name()));
    line(own.max_tokens != general.max_tokens, "max_tokens", own.max_tokens.to_string());
    let [temperature, scale] = [own.attention_temperature, own.attention_scale];
    line(temperature != general.attention_temperature, "attention_temperature", format!("{temperature:?}"));
    line(scale != general.attention_scale, "attention_scale", format!("{scale:?}"));
    text
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// As `20 GiB` where that is exact, else as a number of bytes.
fn size(bytes: u64) -> String {
    let text = ByteSize::b(bytes).display().iec().to_string().replace(".0 ", " ");
    match text.parse::<ByteSize>() {
        Ok(parsed) if parsed.as_u64() == bytes => quoted(&text),
        _ => bytes.to_string(),
    }
}
