//! The checksum of a layer's block: CRC-64/NVME.

use crc_fast::{CrcAlgorithm, Digest};

/// Takes a block piece by piece.
pub(super) struct Checksum(Digest);

impl Checksum {
    pub fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc64Nvme))
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(&self) -> u64 {
        self.0.finalize()
    }

    /// The checksum of a whole block.
    pub fn of(bytes: &[u8]) -> u64 {
        let mut checksum = Self::new();
        checksum.update(bytes);
        checksum.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As its definition has it, a bit at a time.
    fn slowly(bytes: &[u8]) -> u64 {
        const REVERSED_POLYNOMIAL: u64 = 0x9a6c_9329_ac4b_c9b5;
        !bytes.iter().fold(u64::MAX, |sum, byte| {
            (0..8).fold(sum ^ u64::from(*byte), |sum, _| {
                let carry = (sum & 1).wrapping_neg();
                (sum >> 1) ^ (REVERSED_POLYNOMIAL & carry)
            })
        })
    }

    #[test]
    fn it_is_the_published_checksum_at_every_length_and_alignment() {
        assert_eq!(Checksum::of(b"123456789"), 0xae8b_1486_0a79_9888);
        let bytes: Vec<u8> = (0..3000u32).map(|index| (index * index / 7) as u8).collect();
        for length in (0..300).chain([511, 512, 513, 1023, 1024, 2047, 2999]) {
            for start in [0, 1] {
                let part = &bytes[start..(start + length).min(bytes.len())];
                assert_eq!(Checksum::of(part), slowly(part), "{length} bytes from {start}");
            }
        }
    }

    #[test]
    fn pieces_give_what_the_whole_gives() {
        let bytes: Vec<u8> = (0..10_000u32).map(|index| (index * 31 / 3) as u8).collect();
        for piece in [1, 7, 64, 4096] {
            let mut checksum = Checksum::new();
            bytes.chunks(piece).for_each(|piece| checksum.update(piece));
            assert_eq!(checksum.finish(), Checksum::of(&bytes));
        }
    }
}
