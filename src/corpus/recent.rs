//! What was found out last about short words: most of a text are the same few thousand words.
//!
//! Indexing asks the same of every word: its tokens, its stem. A table for each thread, with the words themselves in it, answers
//! from one cache line; whatever is behind it is asked for the rest. A word and what is known of it are one number: the tables
//! of all threads are small enough for the processor's caches, beside all else that indexing looks up.

use super::packed::Packed;

/// A number for each of the words that were asked for last.
pub(crate) struct Recent {
    lines: Box<[Line]>,
    /// There are two to the power of this many.
    bits: u32,
}

/// The words of a cache line, those that come often first, each with its number above it.
#[derive(Clone)]
#[repr(align(64))]
struct Line([u128; Recent::WORDS]);

impl Recent {
    /// What is known of a word is below this.
    pub const LIMIT: u16 = 1 << (u128::BITS - Packed::BITS);
    const WORDS: usize = 4;

    /// For two to the power of `bits` cache lines.
    pub fn new(bits: u32) -> Self {
        Self { lines: vec![Line([0; Self::WORDS]); 1 << bits].into(), bits }
    }

    /// Has the processor fetch what [`get`](Self::get) will look at. Asked ahead for several words, they are fetched at the same
    /// time, where `get` waits for each to know how to go on.
    pub fn fetch(&self, word: Packed) {
        std::hint::black_box(self.lines[word.line(self.bits)].0[0]);
    }

    /// What is known of a word; from `find`, which gives a number below [`LIMIT`](Self::LIMIT), where others have its place.
    pub fn get(&mut self, word: Packed, find: impl FnOnce() -> u16) -> u16 {
        let line = &mut self.lines[word.line(self.bits)].0;
        if let Some(at) = line.iter().position(|known| known & Packed::MASK == word.number()) {
            let number = (line[at] >> Packed::BITS) as u16;
            // Those that come often move up, so that rare ones take each other's place.
            line.swap(at, at.saturating_sub(1));
            return number;
        }
        let number = find();
        debug_assert!(number < Self::LIMIT);
        line[line.iter().position(|known| *known == 0).unwrap_or(Self::WORDS - 1)] =
            word.number() | u128::from(number) << Packed::BITS;
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_out_again_when_another_took_its_place() {
        let mut recent = Recent::new(4);
        let words: Vec<String> = (0..200).map(|number| number.to_string()).collect();
        for _ in 0..2 {
            for (number, word) in (Recent::LIMIT - 200..).zip(&words) {
                let packed = Packed::new(word).unwrap();
                assert_eq!(recent.get(packed, || number), number);
                assert_eq!(recent.get(packed, || panic!("known")), number);
            }
        }
    }

    #[test]
    fn a_frequent_word_stays_while_rare_ones_come_and_go() {
        let mut recent = Recent::new(1);
        let frequent = Packed::new("the").unwrap();
        for _ in 0..Recent::WORDS {
            recent.get(frequent, || 1);
        }
        for number in 0..100 {
            recent.get(Packed::new(&format!("rare{number}")).unwrap(), || number);
        }
        assert_eq!(recent.get(frequent, || panic!("known")), 1);
    }
}
