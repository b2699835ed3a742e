//! Tokens and KV cache to logits.
//!
//! [`network`] is the one network of the Llama family, over [`weights`] from GGUF or safetensors, which are each a
//! [`matrix`]; [`attention`] its one attention routine, over [`kv`]; [`session`] encodes segments and runs questions over assembled contexts;
//! [`tokenizer`], [`prompt`] and [`sampler`] stand between text and tokens; [`hub`] brings a model onto this machine.

pub mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod blocks;
pub mod config;
mod gemm;
pub mod hub;
pub mod kv;
pub mod matrix;
pub mod network;
pub mod prompt;
pub mod rope;
pub mod sampler;
pub mod session;
pub mod simd;
mod token_count;
pub mod tokenizer;
pub mod weights;

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    sync::Arc,
};

use candle_core::quantized::gguf_file;
use serde_json::Value;

use config::ModelConfig;
use network::Network;
use prompt::Prompt;
use tokenizer::Tokenizer;
use weights::Weights;

/// Why a model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("models of the architecture {found} are not supported; supported are {supported}")]
    UnsupportedArchitecture { found: String, supported: String },
    #[error("the model needs something that is not supported: {0}")]
    Unsupported(String),
    #[error("{} could not be read: {error}", path.display())]
    Read { path: PathBuf, error: std::io::Error },
    #[error("the model's files are damaged or incomplete: {0}")]
    BadFile(String),
    #[error("the model has no tensor {0}")]
    MissingTensor(String),
    #[error("the model's tokenizer failed: {0}")]
    Tokenizer(String),
    #[error("the model's chat template cannot be used: {0}")]
    Template(String),
    #[error("{needed} tokens do not fit the model's context of {limit}")]
    ContextTooLong { needed: usize, limit: usize },
    #[error("cancelled")]
    Cancelled,
    #[error("internal error: {0}")]
    Internal(&'static str),
    #[error("the model failed: {0}")]
    Compute(#[from] candle_core::Error),
}

/// Takes a model's weights to another device and says whether it has; then no network is made of them here.
pub type Elsewhere<'a> = &'a mut (dyn FnMut(&ModelConfig, &Weights) -> bool + Send);

/// A model ready to encode and answer.
pub struct Model {
    pub network: Arc<Network>,
    pub tokenizer: Arc<Tokenizer>,
    pub prompt: Prompt,
    /// Numbers in all tensors.
    pub parameters: u64,
    /// BLAKE3 of the weights' files.
    pub identity: [u8; 32],
}

impl Model {
    /// Loads a GGUF file, with its tokenizer and chat template. With `dequantize` its weights are used in f32.
    /// What `elsewhere` takes stays there.
    pub fn from_gguf(
        path: &Path,
        dequantize: bool,
        system_prompt: &str,
        elsewhere: Elsewhere,
    ) -> Result<Self, ModelError> {
        // Hashing takes about as long as everything else together.
        let (identity, loaded) = rayon::join(
            || weights::identity(&[path.to_owned()]),
            || {
                let (network, content, parameters) = gguf(path, dequantize, elsewhere)?;
                let tokenizer = Tokenizer::from_gguf(&content, &network.config.stop_tokens)?;
                Ok::<_, ModelError>((network, content, parameters, tokenizer))
            },
        );
        let (network, content, parameters, tokenizer) = loaded?;
        let identity = identity.map_err(|error| ModelError::Read { path: path.to_owned(), error })?;
        let text = |key: &str| content.metadata.get(key).and_then(|v| v.to_string().ok()).map(String::as_str);
        let token = |key: &str| {
            let id = content.metadata.get(key).and_then(|v| v.to_u32().ok());
            id.and_then(|id| tokenizer.token(id)).unwrap_or_default()
        };
        let prompt = Prompt::new(
            text("tokenizer.chat_template"),
            &token("tokenizer.ggml.bos_token_id"),
            &token("tokenizer.ggml.eos_token_id"),
            system_prompt,
            &tokenizer,
        )?;
        Ok(Self { network: Arc::new(network), tokenizer: Arc::new(tokenizer), prompt, parameters, identity })
    }

    /// Loads a directory as the Hub publishes it: `config.json`, `tokenizer.json`, `tokenizer_config.json` and
    /// safetensors. What `elsewhere` takes of the weights stays there.
    pub fn from_directory(
        directory: &Path,
        system_prompt: &str,
        elsewhere: Elsewhere,
    ) -> Result<Self, ModelError> {
        let (network, files, parameters) = self::directory(directory, elsewhere)?;
        let tokenizer = Tokenizer::from_directory(directory, &network.config.stop_tokens)?;
        let settings = match std::fs::read_to_string(directory.join("tokenizer_config.json")) {
            Ok(json) => serde_json::from_str(&json)
                .map_err(|e| ModelError::BadFile(format!("tokenizer_config.json: {e}")))?,
            Err(_) => Value::Null,
        };
        // A special token is a string, or an object that holds it.
        let token = |key: &str| {
            let value = &settings[key];
            value.as_str().or_else(|| value["content"].as_str()).unwrap_or_default().to_owned()
        };
        let template = std::fs::read_to_string(directory.join("chat_template.jinja"))
            .ok()
            .or_else(|| settings["chat_template"].as_str().map(str::to_owned));
        let prompt = Prompt::new(
            template.as_deref(),
            &token("bos_token"),
            &token("eos_token"),
            system_prompt,
            &tokenizer,
        )?;
        let identity = weights::identity(&files)
            .map_err(|error| ModelError::Read { path: directory.to_owned(), error })?;
        Ok(Self { network: Arc::new(network), tokenizer: Arc::new(tokenizer), prompt, parameters, identity })
    }
}

impl Model {
    /// The same model with another system prompt. Weights and tokenizer are shared.
    pub fn with_system_prompt(&self, system_prompt: &str) -> Result<Self, ModelError> {
        Ok(Self {
            network: self.network.clone(),
            tokenizer: self.tokenizer.clone(),
            prompt: self.prompt.with_system(system_prompt, &self.tokenizer)?,
            parameters: self.parameters,
            identity: self.identity,
        })
    }
}

/// The network of a GGUF file, the file's metadata, and the number of its parameters.
pub fn load_gguf(path: &Path, dequantize: bool) -> Result<(Network, gguf_file::Content, u64), ModelError> {
    gguf(path, dequantize, &mut |_, _| false)
}

fn gguf(
    path: &Path,
    dequantize: bool,
    elsewhere: Elsewhere,
) -> Result<(Network, gguf_file::Content, u64), ModelError> {
    let read = |error| ModelError::Read { path: path.to_owned(), error };
    let mut file = File::open(path).map_err(read)?;
    let content = gguf_file::Content::read(&mut BufReader::new(&mut file))
        .map_err(|e| ModelError::BadFile(format!("{}: {e}", path.display())))?;
    let config = ModelConfig::from_gguf(&content)?;
    let weights = Weights::from_gguf(&content, &mut file, dequantize)
        .map_err(|e| ModelError::BadFile(format!("{}: {e}", path.display())))?;
    let parameters = weights.parameters();
    Ok((network(config, &weights, elsewhere)?, content, parameters))
}

/// The network of a directory with `config.json` and safetensors, the weights' files, and the number of parameters.
pub fn load_directory(directory: &Path) -> Result<(Network, Vec<PathBuf>, u64), ModelError> {
    self::directory(directory, &mut |_, _| false)
}

fn directory(directory: &Path, elsewhere: Elsewhere) -> Result<(Network, Vec<PathBuf>, u64), ModelError> {
    let read = |path: &Path, error| ModelError::Read { path: path.to_owned(), error };
    let path = directory.join("config.json");
    let json = std::fs::read_to_string(&path).map_err(|error| read(&path, error))?;
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let config = ModelConfig::from_json(&json, &name)?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .map_err(|error| read(directory, error))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(ModelError::BadFile(format!("{} has no .safetensors file", directory.display())));
    }
    let weights = Weights::from_safetensors(&files)?;
    let parameters = weights.parameters();
    Ok((network(config, &weights, elsewhere)?, files, parameters))
}

fn network(config: ModelConfig, weights: &Weights, elsewhere: Elsewhere) -> Result<Network, ModelError> {
    if elsewhere(&config, weights) {
        return Network::without_weights(config, weights);
    }
    Network::new(config, weights)
}
