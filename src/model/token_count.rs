//! Counts the tokens of texts without encoding them.
//!
//! BPE tokenizers cut text into words before they do anything else, and no token crosses such a cut. So a text can be
//! cut at places where every such rule cuts, its pieces counted one by one, and, since most pieces occur again and again,
//! each only once. The sum is exact. Where the rule is not one of those known here, the whole text is encoded.

use quick_cache::sync::Cache;
use serde_json::Value;

/// Pieces that are remembered; together they take about 20 MB.
const REMEMBERED: usize = 200_000;
/// Longer pieces, in bytes, hardly ever occur again.
const LONGEST: usize = 48;

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
}

/// Where no token crosses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// Before white space, as GPT-2's rule has it: what comes before white space never takes it in.
    BeforeSpace,
    /// Before white space after a letter or digit: after a sign, these rules take in line breaks.
    AfterWord,
}

impl TokenCounts {
    /// For the tokenizer that `json` describes.
    pub fn new(json: &str) -> Self {
        let cut = serde_json::from_str(json).ok().and_then(|value: Value| cut_of(&value));
        Self { cut, known: Cache::new(REMEMBERED) }
    }

    /// Tokens of `text`, where `count` encodes.
    pub fn count(&self, text: &str, count: &dyn Fn(&str) -> usize) -> usize {
        let Some(cut) = self.cut else { return count(text) };
        let (mut rest, mut tokens) = (text, 0);
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(cut.piece_end(rest));
            rest = later;
            tokens += self.count_piece(piece, count);
        }
        tokens
    }

    fn count_piece(&self, piece: &str, count: &dyn Fn(&str) -> usize) -> usize {
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
    /// Where the first piece of `text` ends.
    fn piece_end(self, text: &str) -> usize {
        let bytes = text.as_bytes();
        let is_space = |byte: u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        (1..bytes.len()).find(|&at| is_space(bytes[at]) && self.is_after(text, at)).unwrap_or(text.len())
    }

    /// What stands before the byte `at` lets a piece end there.
    fn is_after(self, text: &str, at: usize) -> bool {
        let before = text.as_bytes()[at - 1];
        match self {
            Self::AfterWord => before.is_ascii_alphanumeric(),
            Self::BeforeSpace if before.is_ascii() => before.is_ascii_graphic(),
            Self::BeforeSpace => text[..at].chars().next_back().is_some_and(char::is_alphanumeric),
        }
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
    if !is_type(last, "ByteLevel") {
        return None;
    }
    let cuts_itself = last["use_regex"] != false;
    match before {
        before if cuts_itself && before.iter().all(|part| is_type(part, "Digits")) => Some(Cut::BeforeSpace),
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
    use serde_json::json;

    use super::*;

    fn pieces(cut: Cut, mut text: &str) -> Vec<&str> {
        let mut pieces = Vec::new();
        while !text.is_empty() {
            let (piece, rest) = text.split_at(cut.piece_end(text));
            pieces.push(piece);
            text = rest;
        }
        pieces
    }

    #[test]
    fn texts_are_cut_where_no_token_crosses() {
        let text = "The well,\n\nit  is 9 m.\tö q";
        let before = ["The", " well,", "\n\nit", "  is", " 9", " m.", "\tö", " q"];
        assert_eq!(pieces(Cut::BeforeSpace, text), before);
        let after = ["The", " well,\n\nit", "  is", " 9", " m.\tö q"];
        assert_eq!(pieces(Cut::AfterWord, text), after);
    }

    #[test]
    fn rules_that_are_not_known_are_left_alone() {
        let byte_level = json!({ "type": "ByteLevel", "use_regex": true });
        let tokenizer = |pre: Value, added: Value| {
            json!({ "normalizer": null, "truncation": null, "padding": null, "added_tokens": added,
                    "model": { "type": "BPE", "dropout": null }, "pre_tokenizer": pre })
        };
        assert_eq!(cut_of(&tokenizer(byte_level.clone(), json!([]))), Some(Cut::BeforeSpace));
        let split = |pattern: &str| {
            json!({ "type": "Sequence", "pretokenizers": [
                { "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false },
                { "type": "ByteLevel", "use_regex": false } ] })
        };
        assert_eq!(cut_of(&tokenizer(split(AFTER_WORDS[0]), json!([]))), Some(Cut::AfterWord));
        for other in [
            tokenizer(split(r"\w+"), json!([])),
            tokenizer(json!({ "type": "Metaspace" }), json!([])),
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
    }
}
