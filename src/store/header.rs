//! The header of a cache file. One key, shape and list of checksums give exactly one header, byte for byte: a reader
//! builds it again and compares, so no byte of it can change unnoticed, padding included. What that leaves open is one
//! checksum turned into another, and then the layer it is for does not match it.

use std::{collections::HashMap, fmt::Write as _};

use serde::Deserialize;

use super::{
    format::{FORMAT_VERSION, ReadError},
    key::{KvKey, dtype_name},
};
use crate::{config::CacheDtype, model::kv::KvShape};

/// Data starts at a multiple of this many bytes, so that it can be mapped or read past the page cache.
pub(super) const ALIGNMENT: usize = 4096;

/// Bytes of the length that a safetensors file starts with.
pub(super) const LENGTH_BYTES: usize = 8;

/// Longest header that is read, in bytes; that of a model of 126 layers takes about 34,000.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub key: KvKey,
    pub shape: KvShape,
    pub dtype: CacheDtype,
    /// CRC-64/NVME of each layer's block, keys and values together.
    pub checksums: Vec<u64>,
}

/// A header as it stands in the file, before anything in it is believed.
#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "__metadata__")]
    metadata: Metadata,
    #[serde(flatten)]
    tensors: HashMap<String, Tensor>,
}

#[derive(Deserialize)]
struct Metadata {
    version: String,
    key: String,
    tokens: String,
    /// Other versions have others.
    crc64_nvme: Option<String>,
}

#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: [usize; 3],
}

impl Header {
    /// A header of the same length as that of any segment of this key and shape: for what only sizes are asked of.
    pub fn without_checksums(key: KvKey, shape: KvShape, dtype: CacheDtype) -> Self {
        Self { key, shape, dtype, checksums: vec![0; shape.layers] }
    }

    /// The start of the file up to the data: length, JSON, spaces up to the next multiple of [`ALIGNMENT`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut json = self.to_json();
        let end = (LENGTH_BYTES + json.len()).next_multiple_of(ALIGNMENT);
        json.extend(std::iter::repeat_n(' ', end - LENGTH_BYTES - json.len()));
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(json.as_bytes());
        bytes
    }

    fn to_json(&self) -> String {
        let KvShape { layers, kv_heads, tokens, head_dim } = self.shape;
        let checksums: Vec<String> = self.checksums.iter().map(|sum| format!("{sum:016x}")).collect();
        // Hexadecimal digits, numbers and fixed names: nothing here needs escaping.
        let mut json = format!(
            r#"{{"__metadata__":{{"version":"{FORMAT_VERSION}","key":"{}","tokens":"{tokens}","crc64_nvme":"{}"}}"#,
            self.key,
            checksums.join(" ")
        );
        let bytes = self.shape.layer_elements() * self.dtype.bytes();
        let dtype = dtype_name(self.dtype);
        let tensors = (0..layers).flat_map(|layer| [(layer, "key"), (layer, "value")]);
        for (index, (layer, part)) in tensors.enumerate() {
            let (start, end) = (index * bytes, (index + 1) * bytes);
            write!(
                json,
                r#","layer.{layer:03}.{part}":{{"dtype":"{dtype}","shape":[{kv_heads},{tokens},{head_dim}],"data_offsets":[{start},{end}]}}"#
            )
            .expect("a String takes everything");
        }
        json.push('}');
        json
    }

    /// Bytes of the whole file with this header.
    pub fn file_bytes(&self) -> u64 {
        (self.to_bytes().len() + self.shape.bytes(self.dtype)) as u64
    }

    /// Reads the header of a file of `file_bytes`, given everything before the data.
    pub fn parse(bytes: &[u8], file_bytes: u64) -> Result<Self, ReadError> {
        let json = &bytes[LENGTH_BYTES.min(bytes.len())..];
        let claims: Claims =
            serde_json::from_slice(json).map_err(|_| ReadError::damaged("its header cannot be read"))?;
        if claims.metadata.version != FORMAT_VERSION.to_string() {
            return Err(ReadError::Incompatible("it has another version of the format".into()));
        }
        let header = claims.believe()?;
        let data_bytes = checked_bytes(&header.shape, header.dtype)
            .ok_or_else(|| ReadError::damaged("its header gives an impossible shape"))?;
        if bytes.len() as u64 + data_bytes != file_bytes {
            return Err(ReadError::damaged("its length is not what its header says"));
        }
        if header.to_bytes() != bytes {
            return Err(ReadError::damaged("its header is not as it was written"));
        }
        Ok(header)
    }
}

impl Claims {
    /// Takes shape and key as they are given; comparing the whole header afterwards shows whether they agree.
    fn believe(&self) -> Result<Header, ReadError> {
        let damaged = || ReadError::damaged("its header contradicts itself");
        let first = self.tensors.get("layer.000.key").ok_or_else(damaged)?;
        let [kv_heads, tokens, head_dim] = first.shape;
        if self.metadata.tokens != tokens.to_string() {
            return Err(damaged());
        }
        let dtype = [CacheDtype::F16, CacheDtype::Bf16, CacheDtype::F32]
            .into_iter()
            .find(|dtype| dtype_name(*dtype) == first.dtype)
            .ok_or_else(damaged)?;
        let layers = self.tensors.len() / 2;
        if layers == 0 {
            return Err(damaged());
        }
        Ok(Header {
            key: KvKey::parse(&self.metadata.key).ok_or_else(damaged)?,
            shape: KvShape { layers, kv_heads, tokens, head_dim },
            dtype,
            checksums: self.checksums(layers).ok_or_else(damaged)?,
        })
    }

    /// The checksums, where there is one for each of so many layers.
    fn checksums(&self, layers: usize) -> Option<Vec<u64>> {
        let listed = self.metadata.crc64_nvme.as_ref()?.split(' ');
        let checksums: Option<Vec<u64>> =
            listed.take(layers + 1).map(|sum| u64::from_str_radix(sum, 16).ok()).collect();
        checksums.filter(|checksums| checksums.len() == layers)
    }
}

/// Bytes of the header of a file of `file_bytes` that starts with `length`, the length field included; checked
/// before that much is read.
pub(super) fn header_bytes(length: [u8; LENGTH_BYTES], file_bytes: u64) -> Result<usize, ReadError> {
    let json = u64::from_le_bytes(length);
    let plausible = json <= MAX_HEADER_BYTES && json + LENGTH_BYTES as u64 <= file_bytes;
    let aligned = plausible && (json + LENGTH_BYTES as u64).is_multiple_of(ALIGNMENT as u64);
    if !aligned {
        return Err(ReadError::damaged("it does not start with a header"));
    }
    Ok(json as usize + LENGTH_BYTES)
}

/// [`KvShape::bytes`] for a shape that nobody has vouched for, of at least one layer: the factors come in an order
/// in which no other product of them, as taken elsewhere, can overflow where this one does not.
fn checked_bytes(shape: &KvShape, dtype: CacheDtype) -> Option<u64> {
    [2, shape.layers, shape.kv_heads, shape.tokens, shape.head_dim, dtype.bytes()]
        .into_iter()
        .try_fold(1u64, |product, factor| product.checked_mul(factor as u64))
        // Half of u64 at most, so that a header's length can be added.
        .filter(|bytes| *bytes <= u64::MAX / 2)
}
