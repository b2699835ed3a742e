//! Short words as numbers, and sixteen bytes of a text looked at together: most words are found, compared and put in small
//! letters in a few instructions, without a branch for each letter.

/// A word of 1 to 14 bytes as a number, its length behind them; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Packed(u128);

/// The first sixteen bytes of a text.
#[derive(Clone, Copy)]
pub(crate) struct Sixteen(u128);

impl Packed {
    /// The longest word, in bytes.
    pub const LONGEST: usize = 14;
    /// Of its bytes and its length.
    pub const BITS: u32 = 8 * Self::LONGEST as u32 + 4;
    pub const MASK: u128 = (1 << Self::BITS) - 1;

    /// `None` for a word that is empty or too long.
    pub fn new(word: &str) -> Option<Self> {
        let bytes = word.as_bytes();
        let length = bytes.len();
        // The bytes from either end, which overlap: copying so few one after another takes longer.
        let number = match length {
            8..=Self::LONGEST => eight(bytes) | eight(&bytes[length - 8..]) << (8 * (length - 8)),
            4..8 => four(bytes) | four(&bytes[length - 4..]) << (8 * (length - 4)),
            1..4 => [0, length / 2, length - 1]
                .into_iter()
                .fold(0, |number, at| number | u128::from(bytes[at]) << (8 * at)),
            _ => return None,
        };
        // Words of different lengths differ, whatever bytes they end with.
        Some(Self(number | (length as u128) << (8 * Self::LONGEST)))
    }

    pub fn number(self) -> u128 {
        self.0
    }

    /// Bytes of the word.
    pub fn length(self) -> usize {
        (self.0 >> (8 * Self::LONGEST)) as usize
    }

    pub fn is_ascii(self) -> bool {
        self.0 & each(0x80) == 0
    }

    /// The word, which is ASCII, in small letters.
    pub fn lower(self) -> Self {
        Self(self.0 | Sixteen(self.0).within(b'A', b'Z') >> 2)
    }

    /// Puts the first `kept` bytes of the word behind `text`, `added` unless that is 0, and a space.
    pub fn append_changed(self, kept: usize, added: u8, text: &mut Vec<u8>) {
        let (end, more) = (text.len(), usize::from(added != 0));
        let mut bytes = self.0.to_le_bytes();
        bytes[kept] = added;
        bytes[kept + more] = b' ';
        text.extend_from_slice(&bytes);
        text.truncate(end + kept + more + 1);
    }

    /// A number below two to the power of `bits`.
    pub fn line(self, bits: u32) -> usize {
        // Multiplicative hashing (Knuth, The Art of Computer Programming, volume 3, 6.4): 2^64 divided by the golden ratio.
        let folded = self.0 as u64 ^ ((self.0 >> 64) as u64).rotate_left(29);
        (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - bits)) as usize
    }
}

/// The first bytes as a number.
fn eight(bytes: &[u8]) -> u128 {
    bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first)).into()
}

fn four(bytes: &[u8]) -> u128 {
    bytes.first_chunk().map_or(0, |first| u32::from_le_bytes(*first)).into()
}

impl Sixteen {
    /// `None` where there are not so many.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().map(|first| Self(u128::from_le_bytes(*first)))
    }

    /// Where the letters of ASCII end that stand from the byte `from` on; 16 where they do not.
    pub fn end_of_letters(self, from: usize) -> usize {
        // Capitals and small letters differ in this bit alone.
        run(Self(self.0 | each(0x20)).within(b'a', b'z'), from)
    }

    /// The same of small letters and digits.
    pub fn end_of_small(self, from: usize) -> usize {
        run(self.within(b'a', b'z') | self.within(b'0', b'9'), from)
    }

    /// The first `length` bytes as a word; `None` where that is too long for one.
    pub fn word(self, length: usize) -> Option<Packed> {
        let bytes = |length: usize| self.0 & ((1 << (8 * length)) - 1);
        (1..=Packed::LONGEST)
            .contains(&length)
            .then(|| Packed(bytes(length) | (length as u128) << (8 * Packed::LONGEST)))
    }

    /// The highest bit of each byte between two of ASCII, them included.
    fn within(self, first: u8, last: u8) -> u128 {
        // No sum carries over, as none of the bytes is above 127.
        let low = self.0 & each(0x7f);
        (low + each(0x80 - first)) & !(low + each(0x7f - last)) & !self.0 & each(0x80)
    }
}

/// Where the marked bytes end that stand from the byte `from` on.
fn run(marks: u128, from: usize) -> usize {
    from + ((!marks & each(0x80)) >> (8 * from)).trailing_zeros().min(u128::BITS - 8 * from as u32) as usize
        / 8
}

/// A number of which each byte is this one.
const fn each(byte: u8) -> u128 {
    u128::MAX / 0xff * byte as u128
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_word_is_itself_and_no_other() {
        let words =
            ["a", "a\0", "\0a", "abc", "cab", "well", " well", "größer", "thirteen lett", "fourteen lette"];
        let packed: Vec<Packed> = words.iter().map(|word| Packed::new(word).unwrap()).collect();
        for (at, word) in packed.iter().enumerate() {
            assert_ne!(*word, Packed::default());
            assert_eq!(packed.iter().position(|other| other == word), Some(at));
            let mut text = b"=".to_vec();
            word.append_changed(words[at].len(), 0, &mut text);
            word.append_changed(words[at].len() - 1, b'i', &mut text);
            let without_last = &words[at].as_bytes()[..words[at].len() - 1];
            assert_eq!(text, [b"=", words[at].as_bytes(), b" ", without_last, b"i "].concat());
            assert_eq!(word.is_ascii(), words[at].is_ascii());
        }
        assert_eq!((Packed::new(""), Packed::new("fifteen letters")), (None, None));
    }

    #[test]
    fn capitals_and_nothing_else_become_small() {
        for byte in 0..=127 {
            for word in [vec![byte], vec![b'Q', byte, b'z', byte, b'Z', b'@', b'[', byte]] {
                let word = String::from_utf8(word).unwrap();
                let lower = Packed::new(&word.to_ascii_lowercase()).unwrap();
                assert_eq!(Packed::new(&word).unwrap().lower(), lower, "{word:?}");
            }
        }
    }

    #[test]
    fn runs_of_bytes_end_where_another_begins() {
        for byte in 0..=u8::MAX {
            for at in 0..16 {
                let mut bytes = [b'q'; 17];
                bytes[at] = byte;
                let sixteen = Sixteen::of(&bytes).unwrap();
                for from in 0..16 {
                    let behind = |is_part: bool| if is_part || at < from { 16 } else { at };
                    assert_eq!(sixteen.end_of_letters(from), behind(byte.is_ascii_alphabetic()));
                    let is_small = byte.is_ascii_lowercase() || byte.is_ascii_digit();
                    assert_eq!(sixteen.end_of_small(from), behind(is_small));
                }
            }
        }
        assert!(Sixteen::of(b"fifteen letters").is_none());
    }

    #[test]
    fn the_beginning_of_a_text_is_the_same_word_as_by_itself() {
        let text = "a well of nine metres";
        let sixteen = Sixteen::of(text.as_bytes()).unwrap();
        for length in 0..=16 {
            assert_eq!(sixteen.word(length), Packed::new(&text[..length]), "{length}");
            assert!(sixteen.word(length).is_none_or(|word| word.length() == length));
        }
    }
}
