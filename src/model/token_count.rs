//! Counts the tokens of texts without encoding them.
//!
//! BPE tokenizers cut text into words before they do anything else, and no token crosses such a cut. So a text can be
//! cut at places where every such rule cuts, its pieces counted one by one, and, since most pieces occur again and again,
//! each only once. The sum is exact. Where the rule is not one of those known here, the whole text is encoded.

use std::cell::RefCell;

use quick_cache::sync::Cache;
use serde_json::Value;
use thread_local::ThreadLocal;

use crate::corpus::{
    packed::{Packed, Sixteen},
    recent::Recent,
};

/// Pieces that are remembered; together they take about 40 MB.
const REMEMBERED: usize = 400_000;
/// Longer pieces, in bytes, hardly ever occur again.
const LONGEST: usize = 48;
/// Pieces that each thread has at hand: 131,072, in 2 MiB.
const RECENT_BITS: u32 = 15;
/// Pieces that are cut before the first of them is counted.
const PIECES_AHEAD: usize = 32;
/// Where pieces are longer than so many bytes, places to cut are too far apart to tell how large a part of a text is.
const FAR_APART: usize = 1024;

/// How Llama 3 and Qwen 2 cut, as it is written in their `tokenizer.json` and as candle has it.
const AFTER_WORDS: [&str; 4] = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
];

/// Counts that were made before, and where texts may be cut.
pub(super) struct TokenCounts {
    cut: Option<Cut>,
    known: Cache<Box<str>, u32>,
    recent: ThreadLocal<RefCell<Recent>>,
}

/// Where no token crosses. Letters, digits and signs never share a token but for two cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// As GPT-2's rule has it: before white space, which belongs to what follows, and between letters, digits and signs, but
    /// not after an apostrophe, which may begin `'ll`.
    BeforeSpace,
    /// The same, and between digits: each is a token of its own.
    DigitsAlone,
    /// As the first, but after a sign only before a space or a tab: these rules take in line breaks there, and a sign may
    /// belong to the letters that follow.
    AfterWord,
}

/// What a byte of ASCII is to these rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    Sign,
    /// White space, control characters, and bytes of other characters.
    Other,
}

impl TokenCounts {
    /// For the tokenizer that `json` describes.
    pub fn new(json: &str) -> Self {
        let cut = serde_json::from_str(json).ok().and_then(|value: Value| cut_of(&value));
        Self { cut, known: Cache::new(REMEMBERED), recent: ThreadLocal::new() }
    }

    /// Tokens of `text`, where `count` encodes.
    pub fn count(&self, text: &str, count: &dyn Fn(&str) -> usize) -> usize {
        let Some(cut) = self.cut else { return count(text) };
        let mut tokens = 0;
        self.count_each(cut, usize::MAX, text, count, &mut |_, piece| tokens += piece);
        tokens
    }

    /// The same piece by piece, as [`CountTokens`](crate::corpus::CountTokens) has it.
    pub fn count_pieces(
        &self,
        text: &str,
        count: &dyn Fn(&str) -> usize,
        each: &mut dyn FnMut(usize, usize),
    ) -> bool {
        let Some(cut) = self.cut else { return false };
        self.count_each(cut, FAR_APART, text, count, each)
    }

    /// Counts piece by piece, each with its end in bytes; false at the first that is longer than `longest`.
    fn count_each(
        &self,
        cut: Cut,
        longest: usize,
        text: &str,
        count: &dyn Fn(&str) -> usize,
        each: &mut dyn FnMut(usize, usize),
    ) -> bool {
        let recent = &mut *self.recent().borrow_mut();
        let mut pieces = cut.pieces(text);
        let mut ahead = [("", None); PIECES_AHEAD];
        let mut end = 0;
        loop {
            let mut found = 0;
            for (place, piece) in ahead.iter_mut().zip(&mut pieces) {
                if let Some(short) = piece.1 {
                    recent.fetch(short);
                }
                *place = piece;
                found += 1;
            }
            for (piece, short) in &ahead[..found] {
                if piece.len() > longest {
                    return false;
                }
                end += piece.len();
                each(end, self.count_piece(piece, *short, recent, count));
            }
            if found < PIECES_AHEAD {
                return true;
            }
        }
    }

    /// What BPE gets of a text that all rules known here take as one word: ASCII letters, with or without a space before them,
    /// in the characters that stand for bytes. `None` for any other.
    pub fn as_one_word(&self, text: &str) -> Option<String> {
        let letters = text.strip_prefix(' ').unwrap_or(text);
        let is_word = !letters.is_empty() && letters.bytes().all(|byte| byte.is_ascii_alphabetic());
        (is_word && self.cut.is_some())
            .then(|| format!("{}{letters}", if letters.len() < text.len() { "Ġ" } else { "" }))
    }

    fn recent(&self) -> &RefCell<Recent> {
        self.recent.get_or(|| RefCell::new(Recent::new(RECENT_BITS)))
    }

    fn count_piece(
        &self,
        piece: &str,
        short: Option<Packed>,
        recent: &mut Recent,
        count: &dyn Fn(&str) -> usize,
    ) -> usize {
        match short {
            // It has at most a few tokens for each byte, far fewer than there is room for.
            Some(packed) => recent.get(packed, || self.count_remembered(piece, count) as u16).into(),
            None => self.count_remembered(piece, count),
        }
    }

    fn count_remembered(&self, piece: &str, count: &dyn Fn(&str) -> usize) -> usize {
        if piece.len() > LONGEST {
            return count(piece);
        }
        if let Some(tokens) = self.known.get(piece) {
            return tokens as usize;
        }
        let tokens = count(piece);
        self.known.insert(piece.into(), tokens as u32);
        tokens
    }
}

impl Cut {
    /// The pieces of a text, each as a short word as well where it is one.
    fn pieces(self, text: &str) -> impl Iterator<Item = (&str, Option<Packed>)> {
        let mut rest = text;
        std::iter::from_fn(move || {
            let short = short_word(rest.as_bytes());
            let end = match short {
                Some(word) => word.length(),
                None if rest.is_empty() => return None,
                None => self.piece_end(rest),
            };
            let (piece, later) = rest.split_at(end);
            rest = later;
            Some((piece, short.or_else(|| Packed::new(piece))))
        })
    }

    /// Where the first piece of `text`, which is not empty, ends.
    fn piece_end(self, text: &str) -> usize {
        let bytes = text.as_bytes();
        let mut class = Class::of(bytes[0]);
        for (at, &byte) in bytes.iter().enumerate().skip(1) {
            let next = Class::of(byte);
            // No rule cuts within a word, and most bytes are in one.
            let is_within = class == Class::Letter && next == Class::Letter;
            if !is_within && self.is_end(text, at, class, next) {
                return at;
            }
            class = next;
        }
        text.len()
    }

    /// Whether a piece ends before the byte `at`, which is of the class `next`, as the one before it is of `class`.
    fn is_end(self, text: &str, at: usize, class: Class, next: Class) -> bool {
        let (before, after) = (text.as_bytes()[at - 1], text.as_bytes()[at]);
        let is_space = matches!(after, b' ' | b'\t' | b'\n' | b'\r');
        let is_word = matches!(class, Class::Letter | Class::Digit);
        match self {
            Self::AfterWord if class == Class::Sign => matches!(after, b' ' | b'\t'),
            Self::AfterWord => is_word && (is_space || (next != class && next != Class::Other)),
            Self::DigitsAlone if class == Class::Digit && next == Class::Digit => true,
            Self::BeforeSpace | Self::DigitsAlone if is_space && !before.is_ascii() => {
                text[..at].chars().next_back().is_some_and(is_no_space)
            }
            Self::BeforeSpace | Self::DigitsAlone if is_space => class != Class::Other,
            Self::BeforeSpace | Self::DigitsAlone => {
                class != Class::Other && next != Class::Other && class != next && before != b'\''
            }
        }
    }
}

/// The short word of ASCII letters that a text begins with, a space before it or none, where every rule known here cuts behind
/// it: most pieces are such words.
fn short_word(text: &[u8]) -> Option<Packed> {
    let sixteen = Sixteen::of(text)?;
    let start = usize::from(text[0] == b' ');
    let end = sixteen.end_of_letters(start);
    let word = sixteen.word(end).filter(|_| end > start)?;
    let is_cut = matches!(text[end], b' ' | b'\t' | b'\n' | b'\r')
        || matches!(Class::of(text[end]), Class::Digit | Class::Sign);
    is_cut.then_some(word)
}

/// Letters, digits, and the signs of Latin-1 and of printed text: no version of Unicode takes any of them for white space.
fn is_no_space(character: char) -> bool {
    character.is_alphanumeric()
        || matches!(character, '\u{a1}'..='\u{bf}' | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}')
}

impl Class {
    /// Of each byte.
    const TABLE: [Self; 256] = {
        let mut table = [Self::Other; 256];
        let mut byte = 0;
        while byte < 128 {
            table[byte] = match byte as u8 {
                b'a'..=b'z' | b'A'..=b'Z' => Self::Letter,
                b'0'..=b'9' => Self::Digit,
                sign if sign.is_ascii_graphic() => Self::Sign,
                _ => Self::Other,
            };
            byte += 1;
        }
        table
    };

    fn of(byte: u8) -> Self {
        Self::TABLE[usize::from(byte)]
    }
}

/// Where the tokenizer's rules cut for certain; `None` for any other than those known here.
fn cut_of(tokenizer: &Value) -> Option<Cut> {
    let is_type = |value: &Value, name: &str| value["type"] == name;
    let normalizer = &tokenizer["normalizer"];
    let is_simple = (normalizer.is_null() || is_type(normalizer, "NFC"))
        && tokenizer["truncation"].is_null()
        && tokenizer["padding"].is_null()
        && is_type(&tokenizer["model"], "BPE")
        && tokenizer["model"]["dropout"].is_null();
    // Others are found in text, wherever they stand.
    let added = tokenizer["added_tokens"].as_array().into_iter().flatten();
    if !is_simple || added.clone().any(|token| token["special"] != true) {
        return None;
    }
    let rule = &tokenizer["pre_tokenizer"];
    let parts = match rule["pretokenizers"].as_array() {
        Some(parts) if is_type(rule, "Sequence") => parts.as_slice(),
        _ => std::slice::from_ref(rule),
    };
    let (last, before) = parts.split_last()?;
    // One that puts a space before a text would put it before each piece.
    if !is_type(last, "ByteLevel") || last["add_prefix_space"] == true {
        return None;
    }
    let cuts_itself = last["use_regex"] != false;
    match before {
        before if cuts_itself && before.iter().all(|part| is_type(part, "Digits")) => {
            let alone = before.iter().any(|part| part["individual_digits"] == true);
            Some(if alone { Cut::DigitsAlone } else { Cut::BeforeSpace })
        }
        [split] if !cuts_itself && is_type(split, "Split") => {
            let pattern = split["pattern"]["Regex"].as_str()?;
            let is_plain = split["behavior"] == "Isolated" && split["invert"] == false;
            (is_plain && AFTER_WORDS.contains(&pattern)).then_some(Cut::AfterWord)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, test_runner::RngSeed};
    use serde_json::json;
    use tokenizers::{
        OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior,
        pre_tokenizers::{
            byte_level::ByteLevel,
            digits::Digits,
            split::{Split, SplitPattern},
        },
    };

    use super::*;

    /// Where the library cuts `text` by these rules, one after another.
    fn library_cuts(text: &str, rules: &[&dyn PreTokenizer]) -> Vec<usize> {
        let mut cut = PreTokenizedString::from(text);
        rules.iter().for_each(|rule| rule.pre_tokenize(&mut cut).unwrap());
        let splits = cut.get_splits(OffsetReferential::Original, OffsetType::Byte);
        splits.into_iter().map(|(_, (_, end), _)| end).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 2000,
            failure_persistence: None,
            rng_seed: RngSeed::Fixed(3),
            ..ProptestConfig::default()
        })]

        /// No token crosses a place where the library cuts.
        #[test]
        fn pieces_end_where_the_library_cuts(
            text in "([a-zA-Z]{1,4}|[0-9]{1,5}|[ \\t\\r\\n]{1,3}|[.,:;!?'\"(_-]{1,3}|'(s|LL|ve|d)|[\u{a0}§“…—öß日]|\\PC){0,24}"
        ) {
            let check = |cut: Cut, rules: &[&dyn PreTokenizer]| {
                let allowed = library_cuts(&text, rules);
                let mut end = 0;
                for (piece, short) in cut.pieces(&text) {
                    prop_assert_eq!((piece.len(), short), (cut.piece_end(&text[end..]), Packed::new(piece)));
                    end += piece.len();
                    prop_assert!(allowed.contains(&end), "{text:?} at {end}: {allowed:?}");
                }
                Ok(())
            };
            let bytes = ByteLevel::new(false, true, true);
            check(Cut::BeforeSpace, &[&bytes])?;
            check(Cut::BeforeSpace, &[&Digits::new(false), &bytes])?;
            check(Cut::DigitsAlone, &[&Digits::new(true), &bytes])?;
            for pattern in AFTER_WORDS {
                let pattern = SplitPattern::Regex(pattern.to_owned());
                let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).unwrap();
                check(Cut::AfterWord, &[&split])?;
            }
        }
    }

    #[test]
    fn texts_are_cut_where_no_token_crosses() {
        let text = "The well,\n\nit  is 9 m.\tö q";
        let before = ["The", " well", ",", "\n\nit", "  is", " 9", " m", ".", "\tö", " q"];
        let pieces = |cut: Cut| cut.pieces(text).map(|(piece, _)| piece).collect::<Vec<_>>();
        assert_eq!(pieces(Cut::BeforeSpace), before);
        let after = ["The", " well", ",\n\nit", "  is", " 9", " m", ".", "\tö q"];
        assert_eq!(pieces(Cut::AfterWord), after);
        let pieces = |cut: Cut| cut.pieces("(don't 12a.b)").map(|(piece, _)| piece).collect::<Vec<_>>();
        assert_eq!(pieces(Cut::BeforeSpace), ["(", "don", "'t", " 12", "a", ".", "b", ")"]);
        assert_eq!(pieces(Cut::DigitsAlone), ["(", "don", "'t", " 1", "2", "a", ".", "b", ")"]);
        assert_eq!(pieces(Cut::AfterWord), ["(don", "'t", " 12", "a", ".b", ")"]);
    }

    #[test]
    fn rules_that_are_not_known_are_left_alone() {
        let byte_level = json!({ "type": "ByteLevel", "use_regex": true });
        let tokenizer = |pre: Value, added: Value| {
            json!({ "normalizer": null, "truncation": null, "padding": null, "added_tokens": added,
                    "model": { "type": "BPE", "dropout": null }, "pre_tokenizer": pre })
        };
        assert_eq!(cut_of(&tokenizer(byte_level.clone(), json!([]))), Some(Cut::BeforeSpace));
        for (alone, cut) in [(true, Cut::DigitsAlone), (false, Cut::BeforeSpace)] {
            let digits = json!({ "type": "Digits", "individual_digits": alone });
            let both = json!({ "type": "Sequence", "pretokenizers": [digits, byte_level] });
            assert_eq!(cut_of(&tokenizer(both, json!([]))), Some(cut));
        }
        let split = |pattern: &str| {
            json!({ "type": "Sequence", "pretokenizers": [
                { "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false },
                { "type": "ByteLevel", "use_regex": false } ] })
        };
        assert_eq!(cut_of(&tokenizer(split(AFTER_WORDS[0]), json!([]))), Some(Cut::AfterWord));
        for other in [
            tokenizer(split(r"\w+"), json!([])),
            tokenizer(json!({ "type": "Metaspace" }), json!([])),
            tokenizer(json!({ "type": "ByteLevel", "use_regex": true, "add_prefix_space": true }), json!([])),
            tokenizer(byte_level, json!([{ "content": "\n\n\n", "special": false }])),
            json!({}),
        ] {
            assert_eq!(cut_of(&other), None, "{other}");
        }
    }

    #[test]
    fn each_piece_is_counted_once() {
        let json =
            json!({ "model": { "type": "BPE" }, "pre_tokenizer": { "type": "ByteLevel" } }).to_string();
        let counts = TokenCounts::new(&json);
        let counted = std::cell::Cell::new(0);
        let count = |piece: &str| {
            counted.set(counted.get() + 1);
            piece.len()
        };
        let text = "the well and the well and the well";
        assert_eq!(counts.count(text, &count), text.len());
        assert_eq!(counted.get(), 4, "`the`, ` well`, ` and`, ` the`");
        for number in [0, 1, PIECES_AHEAD - 1, PIECES_AHEAD, PIECES_AHEAD + 1, 2 * PIECES_AHEAD + 1] {
            let (text, mut ends) = (" well".repeat(number), Vec::new());
            assert!(counts.count_pieces(&text, &count, &mut |end, tokens| ends.push((end, tokens))));
            assert_eq!(ends, (1..=number).map(|piece| (5 * piece, 5)).collect::<Vec<_>>());
            assert_eq!(counts.count(&text, &count), 5 * number);
        }
    }

    #[test]
    fn a_long_piece_is_not_counted_to_find_out_that_it_is_long() {
        let json =
            json!({ "model": { "type": "BPE" }, "pre_tokenizer": { "type": "ByteLevel" } }).to_string();
        let counts = TokenCounts::new(&json);
        let count = |piece: &str| {
            assert!(piece.len() <= FAR_APART);
            piece.len()
        };
        for (characters, is_near) in [(FAR_APART / 3, true), (FAR_APART / 3 + 1, false)] {
            let text = format!("well {}", "日".repeat(characters));
            assert_eq!(counts.count_pieces(&text, &count, &mut |_, _| {}), is_near, "{characters}");
        }
    }
}
