//! The sample corpus, which the program carries with it.

use std::path::{Path, PathBuf};

use rust_embed::RustEmbed;

use super::protocol::{Failure, FailureKind};
use crate::config::Config;

#[derive(RustEmbed)]
#[folder = "sample_corpus"]
struct SampleCorpus;

/// The folder with the sample corpus: `./sample_corpus` where there is one, else a copy of the one in the program,
/// written under the data directory.
///
/// # Errors
/// When the copy cannot be written.
pub fn sample_corpus(config: &Config) -> Result<PathBuf, Failure> {
    let here = PathBuf::from("sample_corpus");
    if here.join("questions.jsonl").is_file() {
        return Ok(here);
    }
    let folder = config.paths.data.join("sample_corpus");
    for name in SampleCorpus::iter() {
        let Some(file) = SampleCorpus::get(&name) else { continue };
        let path = folder.join(&*name);
        write(&path, &file.data).map_err(|error| {
            Failure::new(
                FailureKind::Storage,
                format!("{} could not be written: {error}", path.display()),
                "Check that the disk has room and the data directory is writable.",
            )
        })?;
    }
    Ok(folder)
}

/// Writes a file that is not there or has other contents: one that is the same keeps its time.
fn write(path: &Path, data: &[u8]) -> std::io::Result<()> {
    if std::fs::read(path).is_ok_and(|present| present == data) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(path, data)
}
