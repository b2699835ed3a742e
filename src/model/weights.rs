//! Weights from a GGUF file or from safetensors, under one set of names.

use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
};

use candle_core::{
    DType, Device, Module, Tensor,
    quantized::{GgmlDType, QMatMul, QTensor, gguf_file},
    safetensors::MmapedSafetensors,
};

use super::ModelError;

/// Dense copies of quantised weights are kept beside them while all of them together take no more than this, in
/// bytes: running many tokens at once is bound by arithmetic, where f32 matrices are several times faster.
const DENSE_COPY_BYTES: usize = 1 << 30;
/// From this many rows on a dense copy is faster than the quantised product.
const DENSE_ROWS: usize = 6;

/// A linear layer, `[out, in]`, with an optional bias `[out]`.
#[derive(Debug)]
pub struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
}

#[derive(Debug)]
enum Weight {
    /// `[in, out]`: the transposed view of f32 weights.
    Dense(Tensor),
    Quantized {
        product: QMatMul,
        dense: Option<Tensor>,
    },
}

impl Linear {
    /// `[rows, in]` to `[rows, out]`.
    pub fn forward(&self, rows: &Tensor) -> Result<Tensor, ModelError> {
        let product = match &self.weight {
            Weight::Dense(weight) => rows.matmul(weight)?,
            Weight::Quantized { dense: Some(weight), .. } if rows.dim(0)? >= DENSE_ROWS => {
                rows.matmul(weight)?
            }
            Weight::Quantized { product, .. } => product.forward(rows)?,
        };
        Ok(match &self.bias {
            Some(bias) => product.broadcast_add(bias)?,
            None => product,
        })
    }
}

/// The table of token embeddings, `[vocabulary, hidden]`.
#[derive(Debug)]
pub enum Embedding {
    Dense(Tensor),
    Quantized(QMatMul),
}

impl Embedding {
    /// Token ids to `[tokens, hidden]` in f32.
    pub fn forward(&self, tokens: &[u32]) -> Result<Tensor, ModelError> {
        let ids = Tensor::new(tokens, &Device::Cpu)?;
        Ok(match self {
            Self::Dense(table) => table.index_select(&ids, 0)?,
            Self::Quantized(table) => table.embedding(&ids)?,
        })
    }
}

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

enum Source {
    Gguf { tensors: HashMap<String, QTensor>, dequantize: bool, keep_dense: bool },
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
        for name in content.tensor_infos.keys() {
            tensors.insert(name.clone(), content.tensor(file, name, &Device::Cpu)?);
        }
        let numbers: usize = tensors
            .iter()
            .filter(|(name, _)| name.starts_with("blk."))
            .map(|(_, tensor)| tensor.shape().elem_count())
            .sum();
        let keep_dense = numbers * size_of::<f32>() <= DENSE_COPY_BYTES;
        Ok(Self { source: Source::Gguf { tensors, dequantize, keep_dense } })
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

    /// A tensor that is not a matrix product, in f32; `None` where the model has none of that name.
    pub fn vector(&self, name: Name, layer: usize) -> Result<Option<Tensor>, ModelError> {
        self.tensor(&self.full_name(name, layer, "weight"))
    }

    /// Like [`Self::vector`], of a tensor that must be there.
    pub fn required(&self, name: Name, layer: usize) -> Result<Tensor, ModelError> {
        let full = self.full_name(name, layer, "weight");
        self.tensor(&full)?.ok_or(ModelError::MissingTensor(full))
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
        let full = self.full_name(name, layer, "weight");
        let weight = match &self.source {
            Source::Gguf { tensors, dequantize: false, keep_dense } => {
                let tensor = tensors.get(&full).ok_or_else(|| ModelError::MissingTensor(full.clone()))?;
                check_shape(&full, tensor.shape().dims(), shape)?;
                quantized(tensor, *keep_dense && name.gguf.starts_with("blk."))?
            }
            _ => {
                let tensor = self.tensor(&full)?.ok_or_else(|| ModelError::MissingTensor(full.clone()))?;
                check_shape(&full, tensor.dims(), shape)?;
                Weight::Dense(tensor.t()?)
            }
        };
        let bias = self.tensor(&self.full_name(name, layer, "bias"))?;
        Ok(Linear { weight, bias })
    }

    /// The embeddings and the output layer, which many models share.
    pub fn embedding_and_output(&self, shape: (usize, usize)) -> Result<(Embedding, Linear), ModelError> {
        let has_output = self.has(&self.full_name(Name::OUTPUT, 0, "weight"));
        let output = self.linear(if has_output { Name::OUTPUT } else { Name::EMBEDDING }, 0, shape)?;
        let full = self.full_name(Name::EMBEDDING, 0, "weight");
        let embedding = match &self.source {
            Source::Gguf { tensors, dequantize: false, .. } => {
                let tensor = tensors.get(&full).ok_or_else(|| ModelError::MissingTensor(full.clone()))?;
                check_shape(&full, tensor.shape().dims(), shape)?;
                Embedding::Quantized(QMatMul::from_qtensor(copy(tensor)?)?)
            }
            _ => {
                let table = self.required(Name::EMBEDDING, 0)?;
                check_shape(&full, table.dims(), shape)?;
                Embedding::Dense(table)
            }
        };
        Ok((embedding, output))
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

/// A quantised weight in a type that candle has vector kernels for, with its dense copy where that is wanted.
///
/// Q4_1, Q5_0 and Q5_1 have none (measured: 6 GFLOP/s against 37 for Q8_0 on two cores), so they become Q8_0. Its
/// rounding, at most 1/254 of a block's largest weight, is well under the step of those types.
fn quantized(tensor: &QTensor, keep_dense: bool) -> Result<Weight, ModelError> {
    let slow = matches!(tensor.dtype(), GgmlDType::Q4_1 | GgmlDType::Q5_0 | GgmlDType::Q5_1);
    if !slow && !keep_dense {
        return Ok(Weight::Quantized { product: QMatMul::from_qtensor(copy(tensor)?)?, dense: None });
    }
    let dense = tensor.dequantize(&Device::Cpu)?;
    let product = if slow { QTensor::quantize(&dense, GgmlDType::Q8_0)? } else { copy(tensor)? };
    let dense = if keep_dense { Some(dense.t()?) } else { None };
    Ok(Weight::Quantized { product: QMatMul::from_qtensor(product)?, dense })
}

fn copy(tensor: &QTensor) -> Result<QTensor, ModelError> {
    let data = tensor.data()?.into_owned();
    let storage = candle_core::quantized::QStorage::from_data(data.into(), &Device::Cpu, tensor.dtype())?;
    Ok(QTensor::new(storage, tensor.shape().clone())?)
}

fn check_shape(name: &str, found: &[usize], (out, input): (usize, usize)) -> Result<(), ModelError> {
    if found == [out, input] {
        return Ok(());
    }
    Err(ModelError::BadFile(format!("{name} has shape {found:?}, expected [{out}, {input}]")))
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
