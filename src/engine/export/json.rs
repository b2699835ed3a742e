//! JSON for programs: one object with `"schema": 1` and a `"kind"`, safe to show on a terminal.

use std::{borrow::Cow, io, path::Path};

use serde::Serialize;
use serde_json::{Value, json};

use crate::engine::{CacheOrigin, RetrievedChunk, visible};

/// Raised when a field changes its meaning.
const SCHEMA: u32 = 1;

/// `body`, an object, on one line with its schema and kind added.
///
/// # Errors
/// None that a body of strings, numbers, arrays and objects can cause.
pub fn document(kind: &str, body: Value) -> serde_json::Result<String> {
    let mut object = serde_json::Map::new();
    object.insert("schema".into(), json!(SCHEMA));
    object.insert("kind".into(), json!(kind));
    if let Value::Object(fields) = body {
        object.extend(fields);
    }
    let mut bytes = Vec::new();
    object.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Escaping))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Escapes what a terminal would act on; serde_json itself escapes what JSON demands, which leaves out C1 controls.
struct Escaping;

impl serde_json::ser::Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for character in fragment.chars() {
            let mut buffer = [0; 4];
            let text = character.encode_utf8(&mut buffer);
            if matches!(visible(text), Cow::Borrowed(_)) {
                writer.write_all(text.as_bytes())?;
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

/// Chunks as `sources` and `chunks` list them, each with its origin where there is one.
pub fn chunks(chunks: &[RetrievedChunk], origins: &[CacheOrigin]) -> Vec<Value> {
    chunks
        .iter()
        .enumerate()
        .map(|(at, chunk)| {
            let mut value = json!({
                "rank": chunk.rank,
                "id": chunk.id,
                "label": chunk.label,
                "path": path(&chunk.path),
                "lines": chunk.lines,
                "page": chunk.page,
                "heading": chunk.heading,
                "score": (f64::from(chunk.score) * 1e4).round() / 1e4,
                "tokens": chunk.tokens,
                "cached": chunk.cached,
                "cache_bytes": chunk.cache_bytes,
                "reason": chunk.reason,
                "text": chunk.text,
            });
            if let (Some(origin), Value::Object(fields)) = (origins.get(at), &mut value) {
                fields.insert("origin".into(), json!(origin));
            }
            value
        })
        .collect()
}

/// Serde refuses paths that are not UTF-8; a listing must not fail for one.
pub fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_string_is_safe_to_print_and_reads_back() {
        let hostile = "a\u{1b}[2J\u{9b}31m\u{202e}\u{e0041}\u{7f}\u{2028} \"\\\n\t é 日本";
        let text = document("error", json!({ "error": hostile })).unwrap();
        assert!(
            text.chars().all(|c| matches!(visible(&c.to_string()), Cow::Borrowed(_)) && c != '\n'),
            "{text}"
        );
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["error"], hostile);
        assert_eq!(read["schema"], 1);
    }
}
