//! What was found out last about short words: most of a text are the same few thousand words.
//!
//! Indexing asks the same of every word: its tokens, its stem. A table for each thread, with the words themselves in it, answers
//! from one cache line; whatever is behind it is asked for the rest.

/// A word of 1 to 15 bytes as a number; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Packed(u128);

/// A value for each of the words that were asked for last.
pub(crate) struct Recent<V> {
    places: Box<[Place<V>]>,
    /// There are two to the power of this many.
    bits: u32,
}

/// Two words, the one asked for last first: as many as a cache line has.
#[derive(Clone)]
#[repr(align(64))]
struct Place<V>([(Packed, V); 2]);

impl Packed {
    /// The longest word, in bytes.
    pub const LONGEST: usize = 15;

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

    pub fn is_ascii(self) -> bool {
        self.0 & (u128::MAX / 0xff * 0x80) == 0
    }

    /// The word, which is ASCII, in small letters.
    pub fn lower(self) -> Self {
        let each = |byte: u8| u128::MAX / 0xff * u128::from(byte);
        // The highest bit of each byte that is a capital: from `A` on and not behind `Z`. No sum carries over, as none of the
        // bytes is above 127.
        let capitals = (self.0 + each(0x80 - b'A')) & !(self.0 + each(0x7f - b'Z')) & each(0x80);
        Self(self.0 | capitals >> 2)
    }

    /// Bytes of the word.
    pub fn length(self) -> usize {
        usize::from(self.0.to_le_bytes()[Self::LONGEST])
    }

    /// Puts the word behind `text`, and a space behind it.
    pub fn append_to(self, text: &mut Vec<u8>) {
        let (length, end) = (self.length(), text.len());
        let mut bytes = self.0.to_le_bytes();
        bytes[length] = b' ';
        text.extend_from_slice(&bytes);
        text.truncate(end + length + 1);
    }

    /// A number below two to the power of `bits`.
    fn place(self, bits: u32) -> usize {
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

impl<V: Copy + Default> Recent<V> {
    /// For two to the power of `bits` places of two words each.
    pub fn new(bits: u32) -> Self {
        Self { places: vec![Place([(Packed::default(), V::default()); 2]); 1 << bits].into(), bits }
    }

    /// What is known of a word; from `find` where others have its place.
    pub fn get(&mut self, word: Packed, find: impl FnOnce() -> V) -> V {
        let place = &mut self.places[word.place(self.bits)].0;
        if place[0].0 == word {
            return place[0].1;
        }
        place.swap(0, 1);
        if place[0].0 != word {
            place[0] = (word, find());
        }
        place[0].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_word_is_itself_and_no_other() {
        let words =
            ["a", "a\0", "\0a", "abc", "cab", "well", " well", "größer", "fourteen lette", "fifteen letters"];
        let packed: Vec<Packed> = words.iter().map(|word| Packed::new(word).unwrap()).collect();
        for (at, word) in packed.iter().enumerate() {
            assert_ne!(*word, Packed::default());
            assert_eq!(packed.iter().position(|other| other == word), Some(at));
            let mut text = b"=".to_vec();
            word.append_to(&mut text);
            assert_eq!(text, format!("={} ", words[at]).into_bytes());
            assert_eq!((word.length(), word.is_ascii()), (words[at].len(), words[at].is_ascii()));
        }
        assert_eq!((Packed::new(""), Packed::new("sixteen letters!")), (None, None));
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
    fn a_word_is_found_out_again_when_another_took_its_place() {
        let mut recent = Recent::<u32>::new(6);
        let words: Vec<String> = (0..200).map(|number| number.to_string()).collect();
        for _ in 0..2 {
            for (number, word) in words.iter().enumerate() {
                let packed = Packed::new(word).unwrap();
                assert_eq!(recent.get(packed, || number as u32), number as u32);
                assert_eq!(recent.get(packed, || panic!("known")), number as u32);
            }
        }
    }
}
