//! Weights from a GGUF file or from safetensors, under one set of names.

use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use candle_core::{
    DType, Device, Tensor,
    quantized::{QTensor, gguf_file},
    safetensors::MmapedSafetensors,
};

use super::{
    ModelError,
    matrix::{Linear, Matrix},
};

/// What a tensor is called in GGUF files and on the Hub. `{}` stands for the layer.
#[derive(Debug, Clone, Copy)]
pub struct Name {
    gguf: &'static str,
    hub: &'static str,
}

macro_rules! names {
    ($($name:ident = $gguf:literal, $hub:literal;)*) => {
        impl Name { $(pub const $name: Self = Self { gguf: $gguf, hub: $hub };)* }
    };
}

names! {
    EMBEDDING = "token_embd", "model.embed_tokens";
    OUTPUT_NORM = "output_norm", "model.norm";
    OUTPUT = "output", "lm_head";
    ATTENTION_NORM = "blk.{}.attn_norm", "model.layers.{}.input_layernorm";
    QUERY = "blk.{}.attn_q", "model.layers.{}.self_attn.q_proj";
    KEY = "blk.{}.attn_k", "model.layers.{}.self_attn.k_proj";
    VALUE = "blk.{}.attn_v", "model.layers.{}.self_attn.v_proj";
    ATTENTION_OUTPUT = "blk.{}.attn_output", "model.layers.{}.self_attn.o_proj";
    QUERY_NORM = "blk.{}.attn_q_norm", "model.layers.{}.self_attn.q_norm";
    KEY_NORM = "blk.{}.attn_k_norm", "model.layers.{}.self_attn.k_norm";
    FEED_FORWARD_NORM = "blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm";
    GATE = "blk.{}.ffn_gate", "model.layers.{}.mlp.gate_proj";
    UP = "blk.{}.ffn_up", "model.layers.{}.mlp.up_proj";
    DOWN = "blk.{}.ffn_down", "model.layers.{}.mlp.down_proj";
}

/// A model's tensors, before they are given their places in the network.
pub struct Weights {
    source: Source,
}

/// Numbers that a tensor may have.
const MOST_NUMBERS: usize = 1 << 48;

enum Source {
    Gguf { tensors: HashMap<String, Arc<QTensor>>, dequantize: bool },
    Safetensors(MmapedSafetensors),
}

impl Weights {
    /// Reads every tensor of a GGUF file. With `dequantize` all weights are used in f32.
    pub fn from_gguf(
        content: &gguf_file::Content,
        file: &mut File,
        dequantize: bool,
    ) -> Result<Self, ModelError> {
        let mut tensors = HashMap::with_capacity(content.tensor_infos.len());
        for (name, info) in &content.tensor_infos {
            check_size(name, info.shape.dims())?;
            tensors.insert(name.clone(), Arc::new(content.tensor(file, name, &Device::Cpu)?));
        }
        Ok(Self { source: Source::Gguf { tensors, dequantize } })
    }

    /// Opens the safetensors files of a directory, in f32, f16 or bf16.
    pub fn from_safetensors(files: &[PathBuf]) -> Result<Self, ModelError> {
        // SAFETY: the files are mapped read-only for as long as the weights are being loaded; a program that cuts one
        // short meanwhile ends this one, as it would any that maps its weights.
        let mapped = unsafe { MmapedSafetensors::multi(files) }?;
        Ok(Self { source: Source::Safetensors(mapped) })
    }

    /// Numbers in all tensors.
    pub fn parameters(&self) -> u64 {
        match &self.source {
            Source::Gguf { tensors, .. } => tensors.values().map(|t| t.shape().elem_count() as u64).sum(),
            Source::Safetensors(mapped) => {
                mapped.tensors().iter().map(|(_, view)| view.shape().iter().product::<usize>() as u64).sum()
            }
        }
    }

    /// A norm's weights, `[length]` in f32; `None` where the model has none of that name.
    pub fn norm(&self, name: Name, layer: usize, length: usize) -> Result<Option<Vec<f32>>, ModelError> {
        self.vector(&self.full_name(name, layer, "weight"), length)
    }

    /// Like [`Self::norm`], of one that must be there.
    pub fn required_norm(&self, name: Name, layer: usize, length: usize) -> Result<Vec<f32>, ModelError> {
        let missing = || ModelError::MissingTensor(self.full_name(name, layer, "weight"));
        self.norm(name, layer, length)?.ok_or_else(missing)
    }

    /// The number of rows, `out`, of a matrix whose size only the file knows.
    pub fn rows(&self, name: Name, layer: usize) -> Result<usize, ModelError> {
        let full = self.full_name(name, layer, "weight");
        let rows = match &self.source {
            Source::Gguf { tensors, .. } => {
                tensors.get(&full).and_then(|t| t.shape().dims().first().copied())
            }
            Source::Safetensors(mapped) => mapped.get(&full).ok().and_then(|v| v.shape().first().copied()),
        };
        rows.ok_or(ModelError::MissingTensor(full))
    }

    /// GGUF's divisors of the RoPE frequencies.
    pub fn rope_divisors(&self) -> Result<Option<Vec<f32>>, ModelError> {
        Ok(self.tensor("rope_freqs.weight")?.map(|t| t.to_vec1()).transpose()?)
    }

    /// A linear layer of shape `[out, in]`.
    pub fn linear(&self, name: Name, layer: usize, shape: (usize, usize)) -> Result<Linear, ModelError> {
        let matrix = self.matrix(&self.full_name(name, layer, "weight"), shape)?;
        let bias = self.vector(&self.full_name(name, layer, "bias"), shape.0)?;
        Ok(Linear { matrix, bias })
    }

    /// The embeddings and the output layer, `[vocabulary, hidden]` both, which many models share.
    pub fn embedding_and_output(&self, shape: (usize, usize)) -> Result<(Matrix, Linear), ModelError> {
        let embedding = self.matrix(&self.full_name(Name::EMBEDDING, 0, "weight"), shape)?;
        let output = if self.has(&self.full_name(Name::OUTPUT, 0, "weight")) {
            self.linear(Name::OUTPUT, 0, shape)?
        } else {
            Linear { matrix: embedding.clone(), bias: None }
        };
        Ok((embedding, output))
    }

    /// Whether the output layer is the embedding.
    pub fn ties_output(&self) -> bool {
        !self.has(&self.full_name(Name::OUTPUT, 0, "weight"))
    }

    /// Whether a linear layer has a bias.
    pub fn has_bias(&self, name: Name, layer: usize) -> bool {
        self.has(&self.full_name(name, layer, "bias"))
    }

    fn matrix(&self, full: &str, shape: (usize, usize)) -> Result<Matrix, ModelError> {
        let missing = || ModelError::MissingTensor(full.to_owned());
        if let Source::Gguf { tensors, dequantize: false } = &self.source {
            let tensor = tensors.get(full).ok_or_else(missing)?;
            check_shape(full, tensor.shape().dims(), &[shape.0, shape.1])?;
            return Matrix::quantized(tensor.clone());
        }
        let tensor = self.tensor(full)?.ok_or_else(missing)?;
        check_shape(full, tensor.dims(), &[shape.0, shape.1])?;
        Matrix::dense(&tensor)
    }

    fn vector(&self, full: &str, length: usize) -> Result<Option<Vec<f32>>, ModelError> {
        let Some(tensor) = self.tensor(full)? else { return Ok(None) };
        check_shape(full, tensor.dims(), &[length])?;
        Ok(Some(tensor.to_vec1()?))
    }

    fn has(&self, name: &str) -> bool {
        match &self.source {
            Source::Gguf { tensors, .. } => tensors.contains_key(name),
            Source::Safetensors(mapped) => mapped.get(name).is_ok(),
        }
    }

    fn tensor(&self, name: &str) -> Result<Option<Tensor>, ModelError> {
        if !self.has(name) {
            return Ok(None);
        }
        let tensor = match &self.source {
            Source::Gguf { tensors, .. } => tensors[name].dequantize(&Device::Cpu)?,
            Source::Safetensors(mapped) => mapped.load(name, &Device::Cpu)?,
        };
        Ok(Some(tensor.to_dtype(DType::F32)?))
    }

    fn full_name(&self, name: Name, layer: usize, part: &str) -> String {
        let pattern = match self.source {
            Source::Gguf { .. } => name.gguf,
            Source::Safetensors(_) => name.hub,
        };
        format!("{}.{part}", pattern.replace("{}", &layer.to_string()))
    }
}

/// Refuses a tensor without numbers or with more than any memory has: the library takes both for granted.
fn check_size(name: &str, shape: &[usize]) -> Result<(), ModelError> {
    let numbers = shape.iter().try_fold(1_usize, |numbers, length| numbers.checked_mul(*length));
    match numbers {
        Some(1..=MOST_NUMBERS) => Ok(()),
        _ => Err(ModelError::BadFile(format!("{name} has the impossible shape {shape:?}"))),
    }
}

fn check_shape(name: &str, found: &[usize], expected: &[usize]) -> Result<(), ModelError> {
    if found == expected {
        return Ok(());
    }
    Err(ModelError::BadFile(format!("{name} has shape {found:?}, expected {expected:?}")))
}

/// BLAKE3 over the bytes of the files that hold a model's weights.
pub fn identity(files: &[PathBuf]) -> std::io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    for path in files {
        hash_file(&mut hasher, path)?;
    }
    Ok(*hasher.finalize().as_bytes())
}

/// Reads rather than maps the file: a mapped one that is cut short meanwhile would end the program.
fn hash_file(hasher: &mut blake3::Hasher, path: &Path) -> std::io::Result<()> {
    use std::io::Read;
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 8 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            read => hasher.update_rayon(&buffer[..read]),
        };
    }
}
