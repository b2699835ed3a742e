//! Cache files: safetensors with the tensors `layer.000.key`, `layer.000.value`, `layer.001.key`, ... in that order,
//! each `[kv_heads, tokens, head_dim]`.
//!
//! A file is read back whole or not at all: key, shape, number format, version, length and the data's BLAKE3 are
//! compared before a number is used. Files are hostile input: nothing is allocated because a file says so.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::{fs::OFlags, io::Errno};

use super::{
    header::{ALIGNMENT, Header, LENGTH_BYTES, header_bytes},
    key::KvKey,
};
use crate::{
    config::CacheDtype,
    model::kv::{KvSegment, KvShape},
};

/// Part of every file and of every fingerprint. Another number is another format: files are encoded again.
pub const FORMAT_VERSION: u32 = 1;

/// Bytes read and hashed at a time: what was just read is hashed while it is still in the processor's cache.
const PIECE_BYTES: usize = 512 << 10;

/// What all segments of a model have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvLayout {
    pub layers: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub dtype: CacheDtype,
    /// Most tokens of a segment: the model's context length. Bounds what a file can make a reader allocate.
    pub max_tokens: usize,
}

/// Why a file gave no segment.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("it is not there")]
    Missing,
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error("it cannot be used: {0}")]
    Incompatible(String),
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl ReadError {
    pub fn damaged(reason: &str) -> Self {
        Self::Damaged(reason.into())
    }

    fn cut_short() -> Self {
        Self::damaged("it is cut short")
    }
}

impl KvLayout {
    /// The shape of a segment of `tokens`.
    pub fn shape(&self, tokens: usize) -> KvShape {
        KvShape { layers: self.layers, kv_heads: self.kv_heads, tokens, head_dim: self.head_dim }
    }

    /// True for a segment that this layout describes and whose data has the length that its shape says.
    pub fn describes(&self, segment: &KvSegment) -> bool {
        segment.shape == self.shape(segment.shape.tokens)
            && segment.shape.tokens <= self.max_tokens
            && segment.dtype == self.dtype
            && segment.data.len() == segment.shape.bytes(segment.dtype)
    }

    /// Bytes on disk of a segment of `tokens`, in whole blocks.
    pub fn file_bytes(&self, key: &KvKey, tokens: usize) -> u64 {
        let data_hash = blake3::Hash::from([0; 32]);
        let header = Header { key: *key, shape: self.shape(tokens), dtype: self.dtype, data_hash };
        header.file_bytes().next_multiple_of(ALIGNMENT as u64)
    }

    fn check(&self, header: &Header) -> Result<(), ReadError> {
        if header.shape.tokens > self.max_tokens {
            return Err(ReadError::Incompatible("it has more tokens than the model's context".into()));
        }
        if header.shape != self.shape(header.shape.tokens) || header.dtype != self.dtype {
            return Err(ReadError::Incompatible("its shape is not this model's".into()));
        }
        Ok(())
    }
}

/// Writes a segment as a file's whole content.
pub(super) fn write(out: &mut impl Write, key: &KvKey, segment: &KvSegment) -> io::Result<()> {
    let header = Header {
        key: *key,
        shape: segment.shape,
        dtype: segment.dtype,
        data_hash: blake3::Hasher::new().update_rayon(&segment.data).finalize(),
    };
    out.write_all(&header.to_bytes())?;
    out.write_all(&segment.data)
}

/// A file whose header has been compared with its name and length.
pub(super) struct Opened {
    file: File,
    header: Header,
    data_start: u64,
    /// Allocated on disk.
    pub bytes: u64,
    /// Seconds since the Unix epoch.
    pub modified: i64,
}

impl Opened {
    /// Opens the file of `key` and checks all of it but the data.
    pub fn open(path: &Path, key: &KvKey) -> Result<Self, ReadError> {
        let file = open_regular(path)?;
        let metadata = file.metadata()?;
        let mut length = [0; LENGTH_BYTES];
        read_exactly(&file, &mut length, 0)?;
        let mut start = vec![0; header_bytes(length, metadata.len())?];
        read_exactly(&file, &mut start, 0)?;
        let header = Header::parse(&start, metadata.len())?;
        if header.key.fingerprint != key.fingerprint {
            return Err(ReadError::Incompatible("it belongs to another model or prompt".into()));
        }
        if header.key.segment != key.segment {
            return Err(ReadError::Incompatible("it belongs to another chunk".into()));
        }
        let (bytes, modified) = (metadata.blocks() * 512, metadata.mtime());
        Ok(Self { file, header, data_start: start.len() as u64, bytes, modified })
    }

    pub fn tokens(&self) -> u64 {
        self.header.shape.tokens as u64
    }

    /// Reads the data of a segment of `layout` into memory, hashing it on the way.
    pub fn read(mut self, layout: &KvLayout) -> Result<KvSegment, ReadError> {
        layout.check(&self.header)?;
        let Header { shape, dtype, data_hash, .. } = self.header;
        let length = shape.bytes(dtype);
        let mut data = Vec::new();
        data.try_reserve_exact(length).map_err(io::Error::other)?;
        let mut hasher = blake3::Hasher::new();
        self.file.seek(SeekFrom::Start(self.data_start))?;
        while data.len() < length {
            let start = data.len();
            let piece = PIECE_BYTES.min(length - start);
            // Reading to the end of a part fills the reserved memory without clearing it first.
            if (&self.file).take(piece as u64).read_to_end(&mut data)? < piece {
                return Err(ReadError::cut_short());
            }
            hasher.update(&data[start..]);
        }
        if hasher.finalize() != data_hash {
            return Err(ReadError::damaged("its checksum does not match"));
        }
        Ok(KvSegment { shape, dtype, data })
    }

    /// Compares the data with its hash, whatever model it is of, in a fixed amount of memory.
    pub fn verify(&self) -> Result<(), ReadError> {
        let mut left = self.header.shape.bytes(self.header.dtype);
        let (mut position, mut hasher) = (self.data_start, blake3::Hasher::new());
        let mut piece = vec![0; PIECE_BYTES.min(left)];
        while left > 0 {
            piece.truncate(left);
            read_exactly(&self.file, &mut piece, position)?;
            hasher.update(&piece);
            position += piece.len() as u64;
            left -= piece.len();
        }
        if hasher.finalize() != self.header.data_hash {
            return Err(ReadError::damaged("its checksum does not match"));
        }
        Ok(())
    }
}

/// Opens a regular file; a link is not followed, a pipe not waited for.
fn open_regular(path: &Path) -> Result<File, ReadError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    let not_regular = || ReadError::damaged("it is not a regular file");
    let file = OpenOptions::new().read(true).custom_flags(flags as i32).open(path).map_err(|error| {
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT) => ReadError::Missing,
            Some(Errno::LOOP | Errno::NXIO) => not_regular(),
            _ => ReadError::Io(error),
        }
    })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

fn read_exactly(file: &File, buffer: &mut [u8], position: u64) -> Result<(), ReadError> {
    file.read_exact_at(buffer, position).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ReadError::cut_short(),
        _ => ReadError::Io(error),
    })
}

#[cfg(test)]
mod tests;
