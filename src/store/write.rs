//! A segment as a file's whole content.

use std::{fs::File, io, os::unix::fs::FileExt};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::{
    checksum::Checksum,
    header::{ALIGNMENT, Header},
    key::KvKey,
};
use crate::model::kv::KvSegment;

/// Bytes from which a file is written past the page cache: its pages would have to be written to the disk before it is
/// done all the same, and on the way they take the room of others. A smaller file is left in the page cache, where
/// the next question may look for it.
const DIRECT_FROM: usize = 32 << 20;

/// Bytes handed to the disk at a time.
const PIECE_BYTES: usize = 4 << 20;

/// Writes header and data into an empty file.
pub(super) fn write(file: &File, key: &KvKey, segment: &KvSegment) -> io::Result<()> {
    let header = header(key, segment).to_bytes();
    let directly = segment.data.len() >= DIRECT_FROM && set_direct(file, true).is_ok();
    if directly {
        let written = write_directly(file, &header, &segment.data);
        set_direct(file, false)?;
        if written.is_ok() {
            return Ok(());
        }
        // An ordinary write says what is wrong, if it is not that the file system wants no direct ones.
    }
    file.write_all_at(&header, 0)?;
    file.write_all_at(&segment.data, header.len() as u64)
}

fn header(key: &KvKey, segment: &KvSegment) -> Header {
    let layer = |layer: usize| {
        let block = segment.shape.layer_bytes(segment.dtype);
        Checksum::of(&segment.data[layer * block..(layer + 1) * block])
    };
    Header {
        key: *key,
        shape: segment.shape,
        dtype: segment.dtype,
        checksums: (0..segment.shape.layers).map(layer).collect(),
    }
}

/// Writes whole blocks from aligned memory, then cuts off what the last one has too much.
fn write_directly(file: &File, header: &[u8], data: &[u8]) -> io::Result<()> {
    let mut memory = vec![0; PIECE_BYTES.max(header.len()) + ALIGNMENT];
    let start = memory.as_ptr().align_offset(ALIGNMENT);
    let buffer = &mut memory[start..];
    let mut position = 0;
    for piece in std::iter::once(header).chain(data.chunks(PIECE_BYTES)) {
        let whole = piece.len().next_multiple_of(ALIGNMENT);
        let is_aligned = piece.as_ptr().addr().is_multiple_of(ALIGNMENT) && whole == piece.len();
        if is_aligned {
            file.write_all_at(piece, position)?;
        } else {
            buffer[..piece.len()].copy_from_slice(piece);
            buffer[piece.len()..whole].fill(0);
            file.write_all_at(&buffer[..whole], position)?;
        }
        position += piece.len() as u64;
    }
    file.set_len(position)
}

#[cfg(target_os = "linux")]
fn set_direct(file: &File, direct: bool) -> rustix::io::Result<()> {
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, direct);
    fcntl_setfl(file, flags)
}

#[cfg(not(target_os = "linux"))]
fn set_direct(_: &File, _: bool) -> rustix::io::Result<()> {
    Err(rustix::io::Errno::NOTSUP)
}
