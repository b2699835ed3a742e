//! Figures of PyTorch on the same machine, as its scripts print them: a JSON object a line.

use serde_json::Value;

/// The readings of a baseline.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Baseline {
    readings: Vec<Value>,
}

impl Baseline {
    /// Takes every line that is a JSON object with a `what`; a run's log may hold other lines.
    pub fn parse(text: &str) -> Self {
        let readings = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line.trim()).ok())
            .filter(|reading| reading["what"].is_string())
            .collect();
        Self { readings }
    }

    /// Seconds of prefilling so many tokens.
    pub fn prefill(&self, context: usize) -> Option<f64> {
        self.number("sequential", &[("ctx", context)], "prefill_s")
    }

    /// Seconds of a token generated after so many.
    pub fn decode(&self, context: usize) -> Option<f64> {
        Some(self.number("sequential", &[("ctx", context)], "decode_ms_per_token")? / 1e3)
    }

    /// Tokens per second of encoding a batch of chunks.
    pub fn encode(&self, chunk: usize, batch: usize) -> Option<f64> {
        self.number("encode", &[("chunk", chunk), ("batch", batch)], "tok_per_s")
    }

    fn number(&self, what: &str, keys: &[(&str, usize)], field: &str) -> Option<f64> {
        let fits = |reading: &&Value| {
            reading["what"] == what
                && keys.iter().all(|(key, value)| reading[key].as_u64() == Some(*value as u64))
        };
        self.readings.iter().find(fits)?[field].as_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_found_among_other_lines() {
        let text = "loading\n{\"what\": \"sequential\", \"ctx\": 2048, \"prefill_s\": 0.06, \"decode_ms_per_token\": 31.0}\n\
                    {\"what\": \"encode\", \"chunk\": 512, \"batch\": 32, \"tok_per_s\": 35000}\n{\"ctx\": 1}\n";
        let baseline = Baseline::parse(text);
        assert_eq!(baseline.prefill(2048), Some(0.06));
        assert_eq!(baseline.decode(2048), Some(0.031));
        assert_eq!(baseline.encode(512, 32), Some(35000.0));
        assert_eq!((baseline.prefill(4096), baseline.encode(512, 1)), (None, None));
    }
}
