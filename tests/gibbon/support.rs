//! What several tests need: the default model, fetched once.

use std::{path::PathBuf, sync::OnceLock};

use gibbon::{
    config::CacheDtype,
    model::{load_gguf, network::Network},
};

/// A file or folder of `tests/data`.
pub fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The default model's file: `GIBBON_TEST_MODEL` where it is set.
pub fn default_model() -> PathBuf {
    std::env::var_os("GIBBON_TEST_MODEL").map(PathBuf::from).expect("GIBBON_TEST_MODEL")
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

/// What work that is never cancelled passes on.
pub fn never() -> bool {
    false
}

/// Keys and values kept exactly, for comparisons with references that round nothing.
pub const EXACT: CacheDtype = CacheDtype::F32;
