//! What a cache file belongs to: everything that its numbers depend on, and the text it was made from.

use std::fmt;

use super::format::FORMAT_VERSION;
use crate::{config::CacheDtype, corpus::ChunkId};

/// Everything that keys and values depend on but the chunk itself.
#[derive(Debug, Clone, Copy)]
pub struct FingerprintParts<'a> {
    /// Identity of the weights, a hash of them.
    pub weights: [u8; 32],
    /// Identity of the tokenizer: the same bytes exactly when every text gives the same tokens.
    pub tokenizer: &'a [u8],
    /// Tokens of the shared prefix: every chunk is encoded after it, seeing it.
    pub prefix_tokens: &'a [u32],
    /// RoPE base, layout and scaling, in a canonical form.
    pub rope: &'a str,
    pub cache_dtype: CacheDtype,
    /// How the network computes, `quantized` or `dequantized`: the two differ by more than rounding.
    pub compute: &'a str,
}

/// BLAKE3 over model, tokenizer, prefix, RoPE, number format and format version: names a directory of the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

/// A piece of context that has its own cache file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SegmentId {
    /// The prefix that all chunks share: the chat template's opening and the system prompt.
    Prefix,
    Chunk(ChunkId),
}

/// Names one cache file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KvKey {
    pub fingerprint: Fingerprint,
    pub segment: SegmentId,
}

impl Fingerprint {
    /// The fingerprint of `parts`. Every part goes in with its name and length, so that no two lists of parts give
    /// the same bytes.
    pub fn of(parts: &FingerprintParts<'_>) -> Self {
        let FingerprintParts { weights, tokenizer, prefix_tokens, rope, cache_dtype, compute } = parts;
        let prefix: Vec<u8> = prefix_tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
        let mut hasher = blake3::Hasher::new();
        let mut part = |name: &str, value: &[u8]| {
            for bytes in [name.as_bytes(), value] {
                hasher.update(&(bytes.len() as u64).to_le_bytes());
                hasher.update(bytes);
            }
        };
        part("format version", &FORMAT_VERSION.to_le_bytes());
        part("weights", weights);
        part("tokenizer", tokenizer);
        part("prefix tokens", &prefix);
        part("rope", rope.as_bytes());
        part("cache dtype", dtype_name(*cache_dtype).as_bytes());
        part("compute", compute.as_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// Reads what `Display` writes: 64 lower-case hexadecimal digits.
    pub fn from_hex(hex: &str) -> Option<Self> {
        hash_from_hex(hex).map(Self)
    }
}

/// The number format's name in safetensors.
pub(super) fn dtype_name(dtype: CacheDtype) -> &'static str {
    match dtype {
        CacheDtype::F16 => "F16",
        CacheDtype::Bf16 => "BF16",
        CacheDtype::F32 => "F32",
    }
}

impl SegmentId {
    /// The prefix's name in records and file names.
    const PREFIX: &str = "prefix";

    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        if text == Self::PREFIX {
            return Some(Self::Prefix);
        }
        hash_from_hex(text).map(|hash| Self::Chunk(ChunkId(hash)))
    }
}

impl KvKey {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (fingerprint, segment) = text.split_once('/')?;
        Some(Self { fingerprint: Fingerprint::from_hex(fingerprint)?, segment: SegmentId::parse(segment)? })
    }
}

/// 64 lower-case digits only: two spellings of one hash would be two names of one file.
fn hash_from_hex(hex: &str) -> Option<[u8; 32]> {
    let lower_case = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let hash = blake3::Hash::from_hex(hex).ok()?;
    lower_case.then_some(*hash.as_bytes())
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix => f.write_str(Self::PREFIX),
            Self::Chunk(id) => id.fmt(f),
        }
    }
}

/// `<fingerprint>/<segment>`.
impl fmt::Display for KvKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.fingerprint, self.segment)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const PARTS: FingerprintParts<'static> = FingerprintParts {
        weights: [7; 32],
        tokenizer: b"tokenizer",
        prefix_tokens: &[1, 2, 3],
        rope: "base=100000 layout=interleaved",
        cache_dtype: CacheDtype::F16,
        compute: "quantized",
    };

    #[test]
    fn every_part_changes_the_fingerprint() {
        let others = [
            PARTS,
            FingerprintParts { weights: [8; 32], ..PARTS },
            FingerprintParts { tokenizer: b"tokenizes", ..PARTS },
            FingerprintParts { prefix_tokens: &[1, 2, 4], ..PARTS },
            FingerprintParts { prefix_tokens: &[1, 2], ..PARTS },
            FingerprintParts { rope: "base=10000 layout=interleaved", ..PARTS },
            FingerprintParts { cache_dtype: CacheDtype::Bf16, ..PARTS },
            FingerprintParts { cache_dtype: CacheDtype::F32, ..PARTS },
            FingerprintParts { compute: "dequantized", ..PARTS },
            // Text that moves from one part to the next is another list of parts.
            FingerprintParts { rope: "", compute: "base=100000 layout=interleavedquantized", ..PARTS },
        ];
        let fingerprints: HashSet<_> = others.iter().map(Fingerprint::of).collect();
        assert_eq!(fingerprints.len(), others.len());
    }

    #[test]
    fn the_fingerprint_stays_the_same_between_versions_of_the_program() {
        // When this changes on purpose, FORMAT_VERSION has to change too: every cache is encoded again.
        assert_eq!(
            Fingerprint::of(&PARTS).to_string(),
            "53169d7dfcbc3c57ca62b883359339eac9a26eacd6aacfc91f6b40f2c97a5386"
        );
    }

    #[test]
    fn keys_are_read_back_and_nothing_else_is() {
        let fingerprint = Fingerprint::of(&PARTS);
        for segment in [SegmentId::Prefix, SegmentId::Chunk(ChunkId::of("text"))] {
            let key = KvKey { fingerprint, segment };
            assert_eq!(KvKey::parse(&key.to_string()), Some(key));
            assert_eq!(KvKey::parse(&key.to_string().to_uppercase()), None);
        }
        for wrong in ["", "/", "prefix", "../prefix", &format!("{fingerprint}/../prefix")] {
            assert_eq!(KvKey::parse(wrong), None, "{wrong}");
        }
    }
}
