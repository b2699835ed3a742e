//! Memory that segments are kept in: large pieces, taken on demand up to a budget, from which blocks are given out.
//!
//! Taking memory from the driver, and giving it back, waits for the device; a block of a piece costs nothing. What
//! cannot be had is a `None`, and whoever asked does without.

use std::{
    collections::BTreeMap,
    fmt,
    ops::{Deref, DerefMut},
    ptr::NonNull,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    CudaError,
    device::{Gpu, Pointer},
    memory::{DeviceBuffer, PinnedBuffer},
};

/// Blocks start at multiples of so many bytes and are as many long: what reads past the page cache need.
const BLOCK_BYTES: usize = 4096;

/// Least size of a piece.
const PIECE_BYTES: usize = 256 << 20;

/// Free ranges of a piece, by their start, none next to another.
#[derive(Debug)]
struct FreeRanges {
    ranges: BTreeMap<usize, usize>,
    total: usize,
}

impl FreeRanges {
    fn new(total: usize) -> Self {
        Self { ranges: BTreeMap::from([(0, total)]), total }
    }

    /// The start of a range that was free, the first that is long enough.
    fn take(&mut self, bytes: usize) -> Option<usize> {
        let (&start, &length) = self.ranges.iter().find(|(_, length)| **length >= bytes)?;
        self.ranges.remove(&start);
        if length > bytes {
            self.ranges.insert(start + bytes, length - bytes);
        }
        Some(start)
    }

    /// Joins a range with its free neighbours.
    fn give_back(&mut self, start: usize, bytes: usize) {
        let (mut start, mut end) = (start, start + bytes);
        if let Some((&before, &length)) = self.ranges.range(..start).next_back()
            && before + length == start
        {
            self.ranges.remove(&before);
            start = before;
        }
        if let Some(length) = self.ranges.remove(&end) {
            end += length;
        }
        self.ranges.insert(start, end - start);
    }

    fn is_unused(&self) -> bool {
        self.ranges.get(&0) == Some(&self.total)
    }
}

/// On which side a pool's memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Device,
    Host,
}

/// Held for its memory, which only blocks of the pool touch.
#[derive(Debug)]
enum Memory {
    Device { _buffer: DeviceBuffer },
    Host { _buffer: PinnedBuffer },
}

#[derive(Debug)]
struct Piece {
    address: Pointer,
    free: FreeRanges,
    _memory: Memory,
}

#[derive(Debug, Default)]
struct Pieces {
    pieces: Vec<Piece>,
    /// Bytes of all pieces.
    taken: u64,
    /// Bytes of all blocks in use.
    used: u64,
}

impl Pieces {
    /// Gives pieces of which nothing is in use back to the system.
    fn drop_unused(&mut self) {
        self.pieces.retain(|piece| !piece.free.is_unused());
        self.taken = self.pieces.iter().map(|piece| piece.free.total as u64).sum();
    }
}

#[derive(Debug)]
struct Shared {
    gpu: Arc<Gpu>,
    side: Side,
    /// Most bytes of all pieces together.
    budget: u64,
    pieces: Mutex<Pieces>,
}

impl Shared {
    /// Nothing panics while it holds the lock, and the numbers would be right even so.
    fn pieces(&self) -> MutexGuard<'_, Pieces> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How full a pool is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUsage {
    pub budget: u64,
    /// Taken from the system.
    pub taken: u64,
    /// In blocks.
    pub used: u64,
}

/// Memory of one side, within a budget. Clones share it.
#[derive(Debug, Clone)]
struct Pool {
    shared: Arc<Shared>,
}

impl Pool {
    fn new(gpu: Arc<Gpu>, side: Side, budget: u64) -> Self {
        Self { shared: Arc::new(Shared { gpu, side, budget, pieces: Mutex::default() }) }
    }

    fn allocate(&self, bytes: usize) -> Option<Block> {
        let length = bytes.max(1).checked_next_multiple_of(BLOCK_BYTES)?;
        let mut pieces = self.shared.pieces();
        let found =
            pieces.pieces.iter_mut().find_map(|piece| Some((piece.address, piece.free.take(length)?)));
        let (piece, start) = match found {
            Some(found) => found,
            None => self.grow(&mut pieces, length)?,
        };
        pieces.used += length as u64;
        Some(Block { shared: self.shared.clone(), piece, address: piece + start as u64, length, bytes })
    }

    /// Takes another piece from the system, and from it a block. Pieces too small for it that nothing uses make room.
    fn grow(&self, pieces: &mut Pieces, length: usize) -> Option<(Pointer, usize)> {
        let left = |pieces: &Pieces| {
            let left = self.shared.budget.saturating_sub(pieces.taken);
            usize::try_from(left).map_or(usize::MAX, |left| left - left % BLOCK_BYTES)
        };
        if length > left(pieces) {
            pieces.drop_unused();
        }
        let left = left(pieces);
        if length > left {
            return None;
        }
        // Where the system gives no large piece, one of just the size asked for may still be had.
        let sizes = [length.max(PIECE_BYTES).min(left), length];
        let (memory, address, bytes) = sizes.into_iter().find_map(|bytes| self.take(bytes).ok())?;
        let mut free = FreeRanges::new(bytes);
        let start = free.take(length)?;
        pieces.taken += bytes as u64;
        pieces.pieces.push(Piece { address, free, _memory: memory });
        Some((address, start))
    }

    fn take(&self, bytes: usize) -> Result<(Memory, Pointer, usize), CudaError> {
        match self.shared.side {
            Side::Device => {
                let buffer = self.shared.gpu.allocate(bytes)?;
                let address = buffer.pointer();
                Ok((Memory::Device { _buffer: buffer }, address, bytes))
            }
            Side::Host => {
                let buffer = self.shared.gpu.allocate_pinned(bytes)?;
                let address = buffer.pointer();
                Ok((Memory::Host { _buffer: buffer }, address, bytes))
            }
        }
    }

    fn usage(&self) -> PoolUsage {
        let pieces = self.shared.pieces();
        PoolUsage { budget: self.shared.budget, taken: pieces.taken, used: pieces.used }
    }

    fn trim(&self) {
        self.shared.pieces().drop_unused();
    }
}

/// A part of a pool, given back when dropped.
struct Block {
    shared: Arc<Shared>,
    /// Address of the piece that it is part of.
    piece: Pointer,
    address: Pointer,
    /// Bytes taken from the piece.
    length: usize,
    /// Bytes asked for.
    bytes: usize,
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({} bytes)", self.bytes)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let mut pieces = self.shared.pieces();
        pieces.used -= self.length as u64;
        let (piece, start) = (self.piece, (self.address - self.piece) as usize);
        if let Some(piece) = pieces.pieces.iter_mut().find(|found| found.address == piece) {
            piece.free.give_back(start, self.length);
        }
    }
}

/// Page-locked memory of the host, within a budget.
#[derive(Debug, Clone)]
pub struct PinnedPool(Pool);

/// Device memory, within a budget.
#[derive(Debug, Clone)]
pub struct DevicePool(Pool);

macro_rules! pool {
    ($pool:ident, $block:ident, $side:expr) => {
        impl $pool {
            /// A pool that takes at most `budget` bytes, the first of them when they are needed.
            pub fn new(gpu: Arc<Gpu>, budget: u64) -> Self {
                Self(Pool::new(gpu, $side, budget))
            }

            /// A block of `bytes`; `None` where the budget, or the system, has no more.
            pub fn allocate(&self, bytes: usize) -> Option<$block> {
                self.0.allocate(bytes).map($block)
            }

            pub fn usage(&self) -> PoolUsage {
                self.0.usage()
            }

            /// Gives back to the system what no block is part of.
            pub fn trim(&self) {
                self.0.trim();
            }
        }
    };
}

pool!(PinnedPool, PinnedBlock, Side::Host);
pool!(DevicePool, DeviceBlock, Side::Device);

/// Page-locked bytes of the host that belong to whoever has this.
#[derive(Debug)]
pub struct PinnedBlock(Block);

impl PinnedBlock {
    fn start(&self) -> NonNull<u8> {
        // The address of page-locked memory is the same on both sides, and never 0.
        NonNull::new(self.0.address as *mut u8).unwrap_or(NonNull::dangling())
    }
}

impl Deref for PinnedBlock {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the block's range lies in a piece that the pool keeps while there are blocks of it, was written when
        // the piece was made, and belongs to this block alone.
        unsafe { std::slice::from_raw_parts(self.start().as_ptr(), self.0.bytes) }
    }
}

impl DerefMut for PinnedBlock {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`, and borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start().as_ptr(), self.0.bytes) }
    }
}

/// Bytes on the device that belong to whoever has this.
#[derive(Debug)]
pub struct DeviceBlock(Block);

impl DeviceBlock {
    pub fn pointer(&self) -> Pointer {
        self.0.address
    }

    pub fn bytes(&self) -> usize {
        self.0.bytes
    }
}

impl fmt::Display for PoolUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes in use, {} taken", self.used, self.budget, self.taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_taken_again_in_one_piece() {
        let mut free = FreeRanges::new(100);
        let starts: Vec<usize> = (0..10).map(|_| free.take(10).expect("there is room")).collect();
        assert_eq!(starts, (0..10).map(|index| 10 * index).collect::<Vec<_>>());
        assert_eq!(free.take(1), None);
        for start in [30, 10, 20, 90, 0, 50, 70, 60, 80, 40] {
            assert!(!free.is_unused());
            free.give_back(start, 10);
        }
        assert!(free.is_unused());
        assert_eq!(free.take(100), Some(0));
    }

    #[test]
    fn the_first_range_that_is_long_enough_is_taken() {
        let mut free = FreeRanges::new(100);
        for _ in 0..10 {
            free.take(10);
        }
        free.give_back(0, 10);
        free.give_back(40, 20);
        free.give_back(80, 10);
        assert_eq!(free.take(15), Some(40));
        assert_eq!(free.take(5), Some(0));
        assert_eq!(free.take(6), Some(80));
        assert_eq!(free.take(5), Some(5));
        assert_eq!(free.take(5), Some(55));
    }
}
