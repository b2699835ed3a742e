//! What the user asked for, resolved once: defaults < config file < environment < flags.
//!
//! Everything below takes a [`Config`] (or a part of it) as an argument; nothing reads the environment later.

mod collection;
mod device;
mod edit;
mod file;
mod hub;
mod private;
mod resolve;
mod source;
mod template;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf};

pub use collection::{ALL_COLLECTIONS, Collection, DEFAULT_COLLECTION, patterns, wrong_name};
pub use edit::{NewCollection, add_collection, remove_collection, save_theme};
pub use hub::HubAccess;
pub use private::{create_private_folder, private_file};
use serde::{Deserialize, Serialize};

pub use resolve::{ConfigError, Environment, Overrides};

/// Everything a run of Gibbon needs to know, resolved once and passed down.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub paths: Paths,
    pub model: ModelSettings,
    pub corpus: CorpusSettings,
    pub index: IndexSettings,
    pub answer: AnswerSettings,
    pub store: StoreSettings,
    pub screen: ScreenSettings,
    /// By name.
    pub collections: BTreeMap<String, Collection>,
}

/// Where things are kept. With GIBBON_HOME set, everything is under that one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The configuration file; it need not exist.
    pub config_file: PathBuf,
    /// Catalogue, search index, KV cache and downloaded models.
    pub data: PathBuf,
    /// Log files.
    pub state: PathBuf,
}

/// Which model answers, and in which precision it works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSettings {
    pub source: ModelSource,
    /// Type of the stored keys and values.
    pub cache_dtype: CacheDtype,
    /// Turn quantised weights into f32 when loading: exact, larger and slower per token.
    pub dequantize: bool,
    /// Where the model runs.
    pub device: DeviceChoice,
    /// Number format of weights and activations on a GPU.
    pub gpu_dtype: CacheDtype,
    /// Never use the network, whatever is missing.
    pub offline: bool,
    /// How the Hugging Face Hub is reached and where its cache is.
    pub hub: HubAccess,
}

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// SmolLM2-135M-Instruct, from the Hub or the Python package that carries it.
    Default,
    /// A GGUF file, or a directory with safetensors, config.json and tokenizer.json.
    Path(PathBuf),
    /// A repository of the Hugging Face Hub, `owner/name`, with an optional file in it (GGUF) and revision.
    Hub { repository: String, file: Option<String>, revision: Option<String> },
}

/// Where a model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// On the first GPU if there is one that this build can use and the model fits it, else on the CPU.
    #[default]
    Auto,
    Cpu,
    /// On the NVIDIA GPU of this number, from 0; an error where that cannot be.
    Cuda(usize),
}

/// The number format of stored keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum CacheDtype {
    F16,
    Bf16,
    F32,
}

/// How documents are cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorpusSettings {
    /// Most tokens in a chunk, its citation label included.
    pub chunk_tokens: usize,
    /// Larger files are left out and reported, in bytes.
    pub max_file_bytes: u64,
    /// The program that reads formats which are not text, in processes of its own: this one. Where there is none they
    /// are read in this process.
    pub reader_program: Option<PathBuf>,
}

/// How an index run behaves beside the user's own work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexSettings {
    /// Stand still while the machine runs on its battery.
    pub pause_on_battery: bool,
    /// How often watched folders are looked at where the system does not tell of changes, in seconds.
    pub poll_seconds: u64,
}

/// How a question is answered unless it says otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerSettings {
    /// Chunks retrieved for a question.
    pub chunks: usize,
    pub strategy: Strategy,
    /// APE's attention temperature T, in (0, 1].
    pub attention_temperature: f32,
    /// APE's scale S, in (0, 1].
    pub attention_scale: f32,
    /// Sampling temperature; 0 is greedy.
    pub temperature: f64,
    pub top_p: Option<f64>,
    pub seed: u64,
    /// Most tokens generated for an answer.
    pub max_tokens: usize,
    pub system_prompt: String,
}

/// How chunks become context. They differ in positions, in temperature and scale, and in what is computed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// One causal pass over prefix, chunks and question: the reference for quality and time.
    Full,
    /// Cached chunks one after the other, each at its running position.
    Concat,
    /// Cached chunks side by side, all starting where the prefix ends.
    Parallel,
    /// `parallel` with APE's attention temperature and scale.
    Ape,
}

/// How much the cache may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// Most bytes of KV cache on disk, counted in allocated blocks.
    pub disk_bytes: u64,
    /// Most bytes of KV cache kept in memory between questions.
    pub memory_bytes: u64,
    /// Most bytes of KV cache kept in a GPU's memory between questions.
    pub gpu_memory_bytes: u64,
}

/// How the screen looks and which keys it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScreenSettings {
    /// A theme's name (a file of `themes/`) or the path of one.
    pub theme: String,
    /// False when NO_COLOR is set.
    pub color: bool,
    /// The mouse scrolls and selects; else the terminal selects text with it.
    pub mouse: bool,
    /// Keys that differ from the screen's own, by the name of what they do; with none, it has no key. Whether the names
    /// and keys exist is checked by the screen, which has the tables of them.
    pub keys: BTreeMap<String, Vec<String>>,
}

impl Strategy {
    /// As it is typed: `ape`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Concat => "concat",
            Self::Parallel => "parallel",
            Self::Ape => "ape",
        }
    }
}

impl CacheDtype {
    /// As it is typed: `f16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
        }
    }
}
