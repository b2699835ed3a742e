//! How fast chunks are encoded on this machine, to tell beforehand what encoding others will take.

use rusqlite::{OptionalExtension, params};

use super::{Catalogue, Result};

/// Speeds are kept as whole numbers of so many parts of a token per second.
const PARTS: f64 = 1000.0;

impl Catalogue {
    /// Tokens encoded per second when chunks were last encoded under this fingerprint (model and prefix, in
    /// hexadecimal); `None` before that.
    pub fn encode_speed(&self, fingerprint: &str) -> Result<Option<f64>> {
        let mut statement = self.connection.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
        let parts = statement.query_row([name(fingerprint)], |row| row.get::<_, i64>(0)).optional()?;
        Ok(parts.filter(|parts| *parts > 0).map(|parts| parts as f64 / PARTS))
    }

    /// Keeps a measured speed in tokens per second; what is not a speed is not kept.
    pub fn set_encode_speed(&self, fingerprint: &str, tokens_per_second: f64) -> Result<()> {
        let parts = tokens_per_second * PARTS;
        if !parts.is_finite() || parts < 1.0 {
            return Ok(());
        }
        // The cast ends at the largest number that there is.
        self.connection.execute(
            "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            params![name(fingerprint), parts as i64],
        )?;
        Ok(())
    }
}

fn name(fingerprint: &str) -> String {
    format!("encode speed {fingerprint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_has_its_own_latest_speed() {
        let data = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::open(data.path()).unwrap();
        assert_eq!(catalogue.encode_speed("a").unwrap(), None);
        for speed in [120.0, 845.25, 0.0, -1.0, f64::NAN, f64::INFINITY] {
            catalogue.set_encode_speed("a", speed).unwrap();
        }
        assert_eq!(catalogue.encode_speed("a").unwrap(), Some(845.25));
        assert_eq!(catalogue.encode_speed("b").unwrap(), None);
        let state = catalogue.state().unwrap();
        assert_eq!(state.generation, 0, "a speed is no change of the documents");
    }
}
