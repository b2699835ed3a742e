//! A cache file that is read layer by layer, by several threads at once if need be.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind},
    mem::MaybeUninit,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use rayon::prelude::*;
use rustix::{
    fs::OFlags,
    io::{Errno, pread},
};

use super::{
    LoadError,
    checksum::Checksum,
    format::{KvLayout, ReadError},
    header::{ALIGNMENT, Header, LENGTH_BYTES, header_bytes},
    key::KvKey,
};
use crate::{
    config::CacheDtype,
    model::kv::{KvSegment, KvShape},
};

/// Bytes read at a time: the checksum takes them while they are still in the processor's cache.
const PIECE_BYTES: usize = 256 << 10;

/// Bytes of a file from which its layers are read by several threads.
const PARALLEL_FROM: usize = 4 << 20;

/// A cache file whose header has been compared with its name, its length and, if it came from a
/// [`Store`](super::Store), with the model. Every read names its place, so threads do not disturb each other. The file
/// can be read to its end even if it is removed or replaced meanwhile.
#[derive(Debug)]
pub struct SegmentFile {
    path: PathBuf,
    file: File,
    /// The same file, read past the page cache.
    direct: Option<File>,
    header: Header,
    data_start: u64,
    /// Allocated on disk.
    pub(super) bytes: u64,
    /// Seconds since the Unix epoch.
    pub(super) modified: i64,
    /// Held for as long as the segment counts as in use.
    pub(super) in_use: Arc<()>,
}

impl SegmentFile {
    /// Opens the file of `key` and checks all of it but the data.
    pub(super) fn open(path: &Path, key: &KvKey) -> Result<Self, ReadError> {
        let file = open_regular(path, OFlags::empty())?;
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
        Ok(Self {
            path: path.to_owned(),
            file,
            direct: None,
            header,
            data_start: start.len() as u64,
            bytes: metadata.blocks() * 512,
            modified: metadata.mtime(),
            in_use: Arc::default(),
        })
    }

    /// The file, if it is one of `layout`. Only then may memory be taken for what it says.
    pub(super) fn of(self, layout: &KvLayout) -> Result<Self, ReadError> {
        layout.check(&self.header)?;
        Ok(self)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn shape(&self) -> KvShape {
        self.header.shape
    }

    pub fn dtype(&self) -> CacheDtype {
        self.header.dtype
    }

    /// Bytes of one layer's block: keys `[kv_heads, tokens, head_dim]`, then values of the same shape.
    pub fn layer_bytes(&self) -> usize {
        self.shape().layer_bytes(self.dtype())
    }

    /// Reads one layer's block into `out`, which has to be [`layer_bytes`](Self::layer_bytes) long, and compares its
    /// checksum. What is in `out` after an error must not be used.
    ///
    /// # Errors
    /// [`LoadError::Damaged`] and [`LoadError::Io`]. A damaged file is still there:
    /// [`Store::discard_damaged`](super::Store::discard_damaged) removes it.
    pub fn read_layer(&self, layer: usize, out: &mut [u8]) -> Result<(), LoadError> {
        // SAFETY: bytes may be seen as memory that need not be initialised as long as nothing else is written there;
        // reading writes bytes alone.
        let out = unsafe { std::slice::from_raw_parts_mut(out.as_mut_ptr().cast(), out.len()) };
        self.read_block(layer, out).map_err(|error| error.at(self.path.clone()))
    }

    /// Reads the whole segment into memory, layers of a large one by several threads.
    ///
    /// # Errors
    /// As [`read_layer`](Self::read_layer).
    pub fn read_all(&self) -> Result<KvSegment, LoadError> {
        self.read_segment().map_err(|error| error.at(self.path.clone()))
    }

    /// Reads past the page cache from now on wherever layers lie at whole blocks of the disk and the caller's buffer
    /// at whole blocks of memory; where the file system refuses, reads stay as they were. Worth it for files that are
    /// read once and are larger than memory; what is in the page cache already comes several times faster from there.
    pub fn open_direct(mut self) -> Self {
        self.direct = self.reopen_direct();
        self
    }

    #[cfg(target_os = "linux")]
    fn reopen_direct(&self) -> Option<File> {
        let direct = open_regular(&self.path, OFlags::DIRECT).ok()?;
        // Another file may have taken the name meanwhile.
        let (own, other) = (self.file.metadata().ok()?, direct.metadata().ok()?);
        ((own.dev(), own.ino()) == (other.dev(), other.ino())).then_some(direct)
    }

    #[cfg(not(target_os = "linux"))]
    fn reopen_direct(&self) -> Option<File> {
        None
    }

    /// True when reads of whole layers into aligned memory go past the page cache.
    pub fn is_direct(&self) -> bool {
        self.direct.is_some() && self.layer_bytes().is_multiple_of(ALIGNMENT)
    }

    pub(super) fn read_segment(&self) -> Result<KvSegment, ReadError> {
        let (shape, dtype) = (self.shape(), self.dtype());
        let (length, block) = (shape.bytes(dtype), self.layer_bytes());
        let mut data: Vec<u8> = Vec::new();
        data.try_reserve_exact(length).map_err(io::Error::other)?;
        let memory = &mut data.spare_capacity_mut()[..length];
        let read = |(layer, out)| self.read_block(layer, out);
        if block == 0 {
            (0..shape.layers).try_for_each(|layer| read((layer, &mut [])))?;
        } else if length < PARALLEL_FROM {
            memory.chunks_mut(block).enumerate().try_for_each(read)?;
        } else {
            memory.par_chunks_mut(block).enumerate().try_for_each(read)?;
        }
        // SAFETY: the blocks are the whole of these bytes, and every one of them was read.
        unsafe { data.set_len(length) };
        Ok(KvSegment { shape, dtype, data: data.into() })
    }

    /// Compares the data with its checksums, whatever model it is of, in a fixed amount of memory.
    pub(super) fn verify(&self) -> Result<(), ReadError> {
        let mut buffer = vec![0; PIECE_BYTES.min(self.layer_bytes())];
        for (layer, expected) in self.header.checksums.iter().enumerate() {
            let (mut position, mut left) = (self.position(layer), self.layer_bytes());
            let mut checksum = Checksum::new();
            while left > 0 {
                let piece = &mut buffer[..PIECE_BYTES.min(left)];
                read_exactly(&self.file, piece, position)?;
                checksum.update(piece);
                position += piece.len() as u64;
                left -= piece.len();
            }
            compare(layer, checksum.finish(), *expected)?;
        }
        Ok(())
    }

    /// Fills all of `out` when it succeeds.
    fn read_block(&self, layer: usize, out: &mut [MaybeUninit<u8>]) -> Result<(), ReadError> {
        assert_eq!(out.len(), self.layer_bytes(), "a buffer of one layer");
        let (expected, position) = (self.header.checksums[layer], self.position(layer));
        let checksum = match self.read_directly(out, position) {
            Some(checksum) => checksum,
            None => read_checking(&self.file, out, position, PIECE_BYTES)?,
        };
        compare(layer, checksum, expected)
    }

    /// Reads past the page cache; `None` where that cannot be done, for whatever reason: an ordinary read will tell.
    fn read_directly(&self, out: &mut [MaybeUninit<u8>], position: u64) -> Option<u64> {
        let file = self.direct.as_ref()?;
        let is_aligned = [out.as_ptr().addr(), out.len()].iter().all(|n| n.is_multiple_of(ALIGNMENT));
        if !is_aligned || !position.is_multiple_of(ALIGNMENT as u64) {
            return None;
        }
        let whole = out.len().max(1);
        read_checking(file, out, position, whole).ok()
    }

    fn position(&self, layer: usize) -> u64 {
        self.data_start + (layer * self.layer_bytes()) as u64
    }
}

/// Fills `out`, `piece` bytes at a time, and gives its checksum.
fn read_checking(
    file: &File,
    out: &mut [MaybeUninit<u8>],
    position: u64,
    piece: usize,
) -> Result<u64, ReadError> {
    let (mut checksum, mut filled) = (Checksum::new(), 0);
    while filled < out.len() {
        let end = out.len().min(filled + piece);
        match pread(file, &mut out[filled..end], position + filled as u64) {
            Ok(([], _)) => return Err(ReadError::cut_short()),
            Ok((bytes, _)) => {
                checksum.update(bytes);
                filled += bytes.len();
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(ReadError::Io(error.into())),
        }
    }
    Ok(checksum.finish())
}

fn compare(layer: usize, found: u64, expected: u64) -> Result<(), ReadError> {
    if found == expected {
        return Ok(());
    }
    Err(ReadError::Damaged(format!("the checksum of layer {layer} does not match")))
}

/// Opens a regular file; a link is not followed, a pipe not waited for.
fn open_regular(path: &Path, extra: OFlags) -> Result<File, ReadError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | extra).bits();
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
        ErrorKind::UnexpectedEof => ReadError::cut_short(),
        _ => ReadError::Io(error),
    })
}
