//! Text to tokens and back.
//!
//! There are two ways in. The chat template's own text may contain special tokens; text of documents, questions and
//! anything else a person or a file supplies never becomes one, whatever it says.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use candle_core::quantized::{gguf_file, tokenizer::TokenizerFromGguf};
use serde_json::Value;
use tokenizers::{
    Model,
    pre_tokenizers::{byte_level::ByteLevel, digits::Digits, sequence::Sequence},
    step_decode_stream,
};

use super::{ModelError, config::OneOrMany, token_count::TokenCounts};
use crate::corpus::CountTokens;

/// Names under which models keep the token that ends a turn, beside what their configuration says.
const END_OF_TURN: &[&str] = &["<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|end_of_text|>", "</s>"];

/// A model's tokenizer.
pub struct Tokenizer {
    /// Recognises special tokens.
    template: tokenizers::Tokenizer,
    /// Reads special tokens as the characters they are written with.
    text: tokenizers::Tokenizer,
    special: HashSet<u32>,
    stop: HashSet<u32>,
    identity: [u8; 32],
    counts: TokenCounts,
}

impl Tokenizer {
    /// The tokenizer inside a GGUF file.
    pub fn from_gguf(content: &gguf_file::Content, stop: &[u32]) -> Result<Self, ModelError> {
        let (content, split) = with_known_pretokenizer(content)?;
        let mut tokenizer = tokenizers::Tokenizer::from_gguf(&content)
            .map_err(|e| ModelError::Unsupported(format!("tokenizer: {e}")))?;
        // candle 0.11 puts a space before every text in these two, which no such model was trained with.
        match split {
            Split::Gpt2 => drop(tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))),
            Split::SmolLm => {
                let parts = vec![Digits::new(true).into(), ByteLevel::new(false, true, true).into()];
                tokenizer.with_pre_tokenizer(Some(Sequence::new(parts)));
            }
            Split::Llama3 | Split::Qwen2 => {}
        }
        Self::new(tokenizer.clone(), tokenizer, stop)
    }

    /// The `tokenizer.json` of a model's directory; `generation_config.json` may name more tokens that end an answer.
    pub fn from_directory(directory: &Path, stop: &[u32]) -> Result<Self, ModelError> {
        let path = directory.join("tokenizer.json");
        let json = std::fs::read_to_string(&path).map_err(|error| ModelError::Read { path, error })?;
        let bad = |e: &dyn std::fmt::Display| ModelError::BadFile(format!("tokenizer.json: {e}"));
        let mut value: Value = serde_json::from_str(&json).map_err(|e| bad(&e))?;
        let template: tokenizers::Tokenizer = json.parse().map_err(|e: tokenizers::Error| bad(&e))?;
        make_markers_special(&mut value);
        let text: tokenizers::Tokenizer =
            value.to_string().parse().map_err(|e: tokenizers::Error| bad(&e))?;
        let mut stop = stop.to_vec();
        if let Ok(generation) = std::fs::read_to_string(directory.join("generation_config.json")) {
            let value: Value = serde_json::from_str(&generation)
                .map_err(|e| ModelError::BadFile(format!("generation_config.json: {e}")))?;
            let ids = value.get("eos_token_id").cloned().and_then(|v| serde_json::from_value(v).ok());
            stop.extend(ids.map(OneOrMany::into_vec).unwrap_or_default());
        }
        Self::new(template, text, &stop)
    }

    fn new(
        template: tokenizers::Tokenizer,
        mut text: tokenizers::Tokenizer,
        stop: &[u32],
    ) -> Result<Self, ModelError> {
        text.set_encode_special_tokens(true);
        let json = template.to_string(false).map_err(|e| ModelError::BadFile(e.to_string()))?;
        let added = text.get_added_tokens_decoder();
        let special = added.iter().filter(|(_, token)| token.special).map(|(id, _)| *id).collect();
        let named = END_OF_TURN.iter().filter_map(|name| template.token_to_id(name));
        let stop = stop.iter().copied().chain(named).collect();
        let identity = *blake3::hash(json.as_bytes()).as_bytes();
        let counts =
            TokenCounts::new(&text.to_string(false).map_err(|e| ModelError::BadFile(e.to_string()))?);
        Ok(Self { template, text, special, stop, identity, counts })
    }

    /// Tokens of text that no document, question or model wrote: special tokens are recognised.
    pub fn encode_template(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        Ok(self.template.encode_fast(text, false).map_err(tokenizer_error)?.get_ids().to_vec())
    }

    /// Tokens of any other text; never a special one.
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        let encoding = self.text.encode_fast(text, false).map_err(tokenizer_error)?;
        Ok(encoding.get_ids().iter().copied().filter(|id| !self.special.contains(id)).collect())
    }

    /// How many tokens [`Self::encode_text`] gives; the number of bytes, which is never less, where it fails.
    pub fn count(&self, text: &str) -> usize {
        self.counts.count(text, &|text: &str| self.encoded_length(text))
    }

    fn encoded_length(&self, text: &str) -> usize {
        // Half of the time that a word takes goes into finding out that it is one.
        if let Some(Ok(tokens)) =
            self.counts.as_one_word(text).map(|word| self.text.get_model().tokenize(&word))
        {
            return tokens.len();
        }
        self.text.encode_fast(text, false).map_or(text.len(), |encoding| encoding.len())
    }

    /// The token ends an answer.
    pub fn is_stop(&self, token: u32) -> bool {
        self.stop.contains(&token)
    }

    /// BLAKE3 of everything the tokenizer does, for the store's fingerprint.
    pub fn identity(&self) -> [u8; 32] {
        self.identity
    }

    /// The text of a special token, for templates that ask for it.
    pub fn token(&self, id: u32) -> Option<String> {
        self.template.id_to_token(id)
    }

    /// Turns tokens into text as they come.
    pub fn detokenizer(&self) -> Detokenizer<'_> {
        Detokenizer { tokenizer: &self.template, window: Vec::new(), given: String::new(), given_tokens: 0 }
    }
}

impl CountTokens for Tokenizer {
    fn count(&self, text: &str) -> usize {
        self.count(text)
    }

    fn count_pieces(&self, text: &str, piece: &mut dyn FnMut(usize, usize)) -> bool {
        self.counts.count_pieces(text, &|text: &str| self.encoded_length(text), piece)
    }
}

/// Gives text for tokens one at a time, holding back bytes until they are whole characters.
///
/// Unfinished bytes are decoded as U+FFFD, and so is a U+FFFD that the model wrote: which of the two it is, only the
/// next token tells. The pieces and what [`Self::finish`] gives are together the text of all tokens.
pub struct Detokenizer<'a> {
    tokenizer: &'a tokenizers::Tokenizer,
    /// The last tokens: those of the piece given last, then those that are held back.
    window: Vec<u32>,
    /// The text of the first [`Self::given_tokens`] of the window.
    given: String,
    given_tokens: usize,
}

impl Detokenizer<'_> {
    /// The text that `token` completes, empty while characters are unfinished.
    pub fn push(&mut self, token: u32) -> Result<String, ModelError> {
        let Self { tokenizer, window, given, given_tokens } = self;
        let text = step_decode_stream(tokenizer, vec![token], true, window, given, given_tokens);
        Ok(text.map_err(tokenizer_error)?.unwrap_or_default())
    }

    /// The text that is still held back when no token follows; what remains unfinished is U+FFFD.
    pub fn finish(self) -> Result<String, ModelError> {
        let text = self.tokenizer.decode(&self.window, true).map_err(tokenizer_error)?;
        Ok(text.get(self.given.len()..).unwrap_or_default().to_owned())
    }
}

/// Marks every added token that is not white space as special, so that none of them is found in text.
fn make_markers_special(tokenizer: &mut Value) {
    let Some(added) = tokenizer.get_mut("added_tokens").and_then(Value::as_array_mut) else { return };
    for token in added {
        let is_space = token["content"].as_str().is_some_and(|content| content.trim().is_empty());
        if !is_space {
            token["special"] = Value::Bool(true);
        }
    }
}

/// How text is split before BPE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Split {
    Gpt2,
    /// GPT-2's with every digit on its own.
    SmolLm,
    Llama3,
    Qwen2,
}

/// GGUF names a pre-tokenizer, and candle splits as GPT-2 does for names that it does not know, which would give
/// wrong tokens in silence. This maps the names that mean the same and refuses the rest.
fn with_known_pretokenizer(content: &gguf_file::Content) -> Result<(gguf_file::Content, Split), ModelError> {
    const KEY: &str = "tokenizer.ggml.pre";
    let name = content.metadata.get(KEY).and_then(|v| v.to_string().ok()).map_or("default", String::as_str);
    let (split, known) = match name {
        "llama3" | "llama-bpe" | "llama-v3" | "smaug-bpe" | "lfm2" => (Split::Llama3, "llama3"),
        "qwen2" | "deepseek-r1-qwen" | "megrez" => (Split::Qwen2, "qwen2"),
        "default" | "gpt-2" | "gpt2" => (Split::Gpt2, "gpt2"),
        "smollm" => (Split::SmolLm, "gpt2"),
        other => {
            return Err(ModelError::Unsupported(format!(
                "the tokenizer's pre-tokenizer {other}; use a directory with safetensors and tokenizer.json"
            )));
        }
    };
    let tokenizer_keys = content.metadata.iter().filter(|(key, _)| key.starts_with("tokenizer."));
    let mut metadata: HashMap<_, _> =
        tokenizer_keys.map(|(key, value)| (key.clone(), value.clone())).collect();
    metadata.insert(KEY.to_owned(), gguf_file::Value::String(known.to_owned()));
    let content = gguf_file::Content {
        magic: content.magic,
        metadata,
        tensor_infos: HashMap::new(),
        tensor_data_offset: content.tensor_data_offset,
    };
    Ok((content, split))
}

fn tokenizer_error(error: tokenizers::Error) -> ModelError {
    ModelError::Tokenizer(error.to_string())
}
