//! Timings as typed data: what each phase of an answer took. All times are in seconds.

use serde::{Deserialize, Serialize};

/// What one answer took, phase by phase, in the order in which the phases run. Each phase is wall time and the
/// phases do not overlap, so they add up to `total_seconds` but for the time between them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Searching the index.
    pub retrieve_seconds: f64,
    pub load: LoadTiming,
    pub encode: EncodeTiming,
    /// Rotating the keys to their positions and laying the segments side by side.
    pub assemble_seconds: f64,
    pub prefill: PrefillTiming,
    /// Logits of the last prefilled token, sampling and detokenising the first token.
    pub first_token_seconds: f64,
    pub decode: DecodeTiming,
    /// From the question to the first token.
    pub time_to_first_token_seconds: f64,
    /// From the question to the end of the answer.
    pub total_seconds: f64,
}

/// Reading cached segments: the chunks', and the prefix's at the first question. Hits and misses count chunks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadTiming {
    pub seconds: f64,
    /// Bytes read from files.
    pub bytes: u64,
    /// Files read.
    pub files: usize,
    /// Segments found in memory.
    pub memory_hits: usize,
    /// Segments found on disk.
    pub disk_hits: usize,
    /// Segments that were not there.
    pub misses: usize,
    /// Segments whose file was damaged or of another model; they are encoded again like misses.
    pub damaged: usize,
}

/// Encoding the segments that could not be loaded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EncodeTiming {
    pub seconds: f64,
    pub chunks: usize,
    pub tokens: usize,
}

/// Running the question through the network (for `full`: prefix, chunks and question).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PrefillTiming {
    pub seconds: f64,
    pub tokens: usize,
}

/// Generating the tokens after the first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DecodeTiming {
    pub seconds: f64,
    /// Tokens generated after the first one.
    pub tokens: usize,
    /// `tokens / seconds`, 0 when nothing was decoded.
    pub tokens_per_second: f64,
}

/// A phase's name and length, for tables and bars.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Phase {
    pub name: &'static str,
    pub seconds: f64,
}

impl Timings {
    /// The phases in the order in which they run.
    pub fn phases(&self) -> [Phase; 7] {
        let phase = |name, seconds| Phase { name, seconds };
        [
            phase("retrieve", self.retrieve_seconds),
            phase("load", self.load.seconds),
            phase("encode", self.encode.seconds),
            phase("assemble", self.assemble_seconds),
            phase("prefill", self.prefill.seconds),
            phase("first token", self.first_token_seconds),
            phase("decode", self.decode.seconds),
        ]
    }
}

/// Median, smallest and largest of several measurements, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// The spread of `values`; `None` when there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        Some(Self { median, min, max })
    }
}

/// `0.4 ms`, `142 ms`, `1.92 s`, `18.4 s`, `2 min 05 s`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "–".to_owned();
    }
    match seconds {
        s if s < 0.000_05 => "0 ms".to_owned(),
        s if s < 0.009_95 => format!("{:.1} ms", s * 1e3),
        s if s < 0.999_5 => format!("{:.0} ms", s * 1e3),
        s if s < 9.995 => format!("{s:.2} s"),
        s if s < 59.95 => format!("{s:.1} s"),
        s => format!("{} min {:02} s", s.round() as u64 / 60, s.round() as u64 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_digits_at_most() {
        let cases = [
            (0.0, "0 ms"),
            (0.000_42, "0.4 ms"),
            (0.0099, "9.9 ms"),
            (0.018, "18 ms"),
            (0.9996, "1.00 s"),
            (1.92, "1.92 s"),
            (18.44, "18.4 s"),
            (59.97, "1 min 00 s"),
            (125.0, "2 min 05 s"),
            (f64::NAN, "–"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn spread_takes_the_middle() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of(&[4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
    }
}
