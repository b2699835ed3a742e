//! What was found out last about short words: most of a text are the same few thousand words.
//!
//! Indexing asks the same of every word: its tokens, its stem. A table for each thread, with the words themselves in it, answers
//! from one cache line; whatever is behind it is asked for the rest.

/// A word of 1 to 15 bytes as a number; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Packed(u128);

/// A value for each of the words that were asked for last.
#[derive(Clone)]
pub(crate) struct Recent<V> {
    places: Box<[(Packed, V)]>,
    /// There are two to the power of this many.
    bits: u32,
}

impl Packed {
    /// `None` for a word that is empty or too long.
    pub fn new(word: &str) -> Option<Self> {
        let mut bytes = [0; size_of::<u128>()];
        let last = bytes.len() - 1;
        if word.is_empty() || word.len() > last {
            return None;
        }
        bytes[..word.len()].copy_from_slice(word.as_bytes());
        // Words of different lengths differ, whatever bytes they end with.
        bytes[last] = word.len() as u8;
        Some(Self(u128::from_le_bytes(bytes)))
    }

    /// Puts the word behind `text`.
    pub fn append_to(self, text: &mut String) {
        let bytes = self.0.to_le_bytes();
        let length = usize::from(bytes[bytes.len() - 1]);
        text.push_str(std::str::from_utf8(&bytes[..length]).unwrap_or_default());
    }

    /// A number below two to the power of `bits`.
    fn place(self, bits: u32) -> usize {
        // Multiplicative hashing (Knuth, The Art of Computer Programming, volume 3, 6.4): 2^64 divided by the golden ratio.
        let folded = self.0 as u64 ^ ((self.0 >> 64) as u64).rotate_left(29);
        (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - bits)) as usize
    }
}

impl<V: Copy + Default> Recent<V> {
    /// For two to the power of `bits` words.
    pub fn new(bits: u32) -> Self {
        Self { places: vec![(Packed::default(), V::default()); 1 << bits].into(), bits }
    }

    /// What is known of a word; from `find` where another has its place.
    pub fn get(&mut self, word: Packed, find: impl FnOnce() -> V) -> V {
        let place = &mut self.places[word.place(self.bits)];
        if place.0 != word {
            *place = (word, find());
        }
        place.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_word_is_itself_and_no_other() {
        let words = ["a", "a\0", "\0a", " well", "größer", "fifteen letters"];
        let packed: Vec<Packed> = words.iter().map(|word| Packed::new(word).unwrap()).collect();
        for (at, word) in packed.iter().enumerate() {
            assert_ne!(*word, Packed::default());
            assert_eq!(packed.iter().position(|other| other == word), Some(at));
            let mut text = "=".to_owned();
            word.append_to(&mut text);
            assert_eq!(text, format!("={}", words[at]));
        }
        assert_eq!((Packed::new(""), Packed::new("sixteen letters!")), (None, None));
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
