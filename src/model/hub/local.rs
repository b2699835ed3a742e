//! Models at a path: what is there, and whether it can be a model.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;

use super::error::HubError;
use super::selection::is_plain_name;
use super::{FoundModel, ModelFiles};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const SINGLE_WEIGHTS: &str = "model.safetensors";
pub(super) const WEIGHTS_INDEX: &str = "model.safetensors.index.json";
const GGUF_MAGIC: &[u8; 4] = b"GGUF";
/// An index of weights names each tensor once; the largest public models' stay far below this.
const MOST_INDEX_BYTES: u64 = 64 << 20;

/// The model at a path the user gave.
pub(super) fn open(path: &Path) -> Result<FoundModel, HubError> {
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => HubError::NoSuchPath { path: path.to_owned() },
        _ => HubError::storage(path, error),
    })?;
    if metadata.is_dir() { open_directory(path, name_of(path)) } else { open_gguf(path, name_of(path)) }
}

/// A GGUF file: its first bytes must say so.
pub(super) fn open_gguf(path: &Path, name: String) -> Result<FoundModel, HubError> {
    let metadata = fs::metadata(path).map_err(|error| HubError::storage(path, error))?;
    // Opening a pipe would wait for its writer.
    if !metadata.is_file() {
        return Err(not_a_model(path, "it is neither a file nor a directory".to_owned()));
    }
    let mut file = File::open(path).map_err(|error| HubError::storage(path, error))?;
    let bytes = metadata.len();
    let mut magic = [0; GGUF_MAGIC.len()];
    match file.read_exact(&mut magic) {
        Ok(()) if magic == *GGUF_MAGIC => {
            Ok(FoundModel { name, files: ModelFiles::Gguf(path.to_owned()), bytes })
        }
        Ok(()) => Err(not_a_model(path, "it is not a GGUF file".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(not_a_model(path, "it is too short to be a GGUF file".to_owned()))
        }
        Err(error) => Err(HubError::storage(path, error)),
    }
}

/// A directory with config.json, tokenizer.json and all of its weights.
pub(super) fn open_directory(path: &Path, name: String) -> Result<FoundModel, HubError> {
    let mut missing: Vec<String> = [CONFIG, TOKENIZER]
        .into_iter()
        .filter(|file| !path.join(file).is_file())
        .map(str::to_owned)
        .collect();
    let weights = weights_of(path)?;
    let mut bytes = 0;
    for file in &weights {
        match fs::metadata(path.join(file)) {
            Ok(metadata) => bytes += metadata.len(),
            Err(_) => missing.push(file.clone()),
        }
    }
    if missing.is_empty() {
        return Ok(FoundModel { name, files: ModelFiles::Directory(path.to_owned()), bytes });
    }
    let ggufs = file_names(path).into_iter().filter(|name| is_gguf_name(name)).collect::<Vec<_>>();
    Err(not_a_model(
        path,
        match ggufs.first() {
            Some(gguf) => {
                format!("it lacks {}; to use a GGUF file in it, name the file: {gguf}", missing.join(", "))
            }
            None => format!("it lacks {}", missing.join(", ")),
        },
    ))
}

/// The names of the weights' files: those that the index names, or the one file.
fn weights_of(directory: &Path) -> Result<BTreeSet<String>, HubError> {
    let single = BTreeSet::from([SINGLE_WEIGHTS.to_owned()]);
    let index = directory.join(WEIGHTS_INDEX);
    if directory.join(SINGLE_WEIGHTS).is_file() || !index.is_file() {
        return Ok(single);
    }
    read_weights_index(&index)
}

/// The weight files that an index names: plain names, so that no index leads out of its directory.
pub(super) fn read_weights_index(path: &Path) -> Result<BTreeSet<String>, HubError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::HashMap<String, String>,
    }
    let mut json = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MOST_INDEX_BYTES).read_to_end(&mut json))
        .map_err(|error| HubError::storage(path, error))?;
    let index: Index = serde_json::from_slice(&json)
        .map_err(|error| not_a_model(path, format!("it is not an index of weights ({error})")))?;
    let files: BTreeSet<String> = index.weight_map.into_values().collect();
    if files.is_empty() {
        return Err(not_a_model(path, "it names no weights".to_owned()));
    }
    if let Some(name) = files.iter().find(|name| !is_plain_name(name) || !name.ends_with(".safetensors")) {
        return Err(not_a_model(path, format!("it names {name:?}, which is not a file of this directory")));
    }
    Ok(files)
}

/// The models right in a directory: GGUF files and directories with weights. What is neither is left out.
pub(super) fn in_directory(directory: &Path) -> Vec<FoundModel> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| open(&entry.path()).ok()).collect()
}

/// The names of a directory's entries, sorted; those that are not Unicode are left out.
pub(super) fn file_names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

pub(super) fn is_gguf_name(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".gguf")
}

/// A file's name without `.gguf`, or a directory's name.
pub(super) fn name_of(path: &Path) -> String {
    let name = path.file_name().or_else(|| path.parent().and_then(Path::file_name));
    let name = name.map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    if is_gguf_name(&name) { name[..name.len() - ".gguf".len()].to_owned() } else { name }
}

fn not_a_model(path: &Path, reason: String) -> HubError {
    HubError::NotAModel { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(directory.path().join(name), content).unwrap();
        }
        directory
    }

    fn reason(result: Result<FoundModel, HubError>) -> String {
        match result.unwrap_err() {
            HubError::NotAModel { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_gguf_file_is_known_by_its_first_bytes() {
        let files = directory(&[("small.gguf", "GGUF and more"), ("text.gguf", "hello"), ("cut.gguf", "GG")]);
        let found = open(&files.path().join("small.gguf")).unwrap();
        assert_eq!((found.name.as_str(), found.bytes), ("small", 13));
        assert!(reason(open(&files.path().join("text.gguf"))).contains("not a GGUF file"));
        assert!(reason(open(&files.path().join("cut.gguf"))).contains("too short"));
        assert!(matches!(open(&files.path().join("none.gguf")), Err(HubError::NoSuchPath { .. })));
    }

    #[test]
    fn a_device_is_not_opened() {
        assert!(reason(open(Path::new("/dev/null"))).contains("neither a file nor a directory"));
    }

    #[test]
    fn a_directory_needs_config_tokenizer_and_weights() {
        let whole = [("config.json", "{}"), ("tokenizer.json", "{}"), ("model.safetensors", "12345")];
        let found = open(directory(&whole).path()).unwrap();
        assert!(matches!(found.files, ModelFiles::Directory(_)));
        assert_eq!(found.bytes, 5);
        for left_out in 0..whole.len() {
            let mut files = whole.to_vec();
            let (name, _) = files.remove(left_out);
            assert_eq!(reason(open(directory(&files).path())), format!("it lacks {name}"));
        }
    }

    #[test]
    fn every_shard_of_the_index_must_be_there() {
        let index = r#"{"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors","c":"model-1.safetensors"}}"#;
        let files = directory(&[
            ("config.json", "{}"),
            ("tokenizer.json", "{}"),
            ("model.safetensors.index.json", index),
            ("model-1.safetensors", "123"),
        ]);
        assert_eq!(reason(open(files.path())), "it lacks model-2.safetensors");
        fs::write(files.path().join("model-2.safetensors"), "4567").unwrap();
        assert_eq!(open(files.path()).unwrap().bytes, 7);
    }

    #[test]
    fn an_index_cannot_lead_out_of_its_directory() {
        for name in ["../model.safetensors", "/etc/model.safetensors", "a/../../b.safetensors", "config.json"]
        {
            let index = format!(r#"{{"weight_map":{{"a":"{name}"}}}}"#);
            let files = directory(&[
                ("config.json", "{}"),
                ("tokenizer.json", "{}"),
                ("model.safetensors.index.json", &index),
            ]);
            assert!(reason(open(files.path())).contains("not a file of this directory"), "{name}");
        }
    }

    #[test]
    fn a_directory_of_gguf_files_says_to_name_one() {
        let files = directory(&[("small.gguf", "GGUF")]);
        assert!(reason(open(files.path())).ends_with("name the file: small.gguf"));
    }

    #[test]
    fn other_files_beside_models_are_left_out_of_the_list() {
        let files = directory(&[("b.gguf", "GGUF"), ("b.gguf.verified", "{}"), ("notes.txt", "hello")]);
        let found = in_directory(files.path());
        assert_eq!(found.iter().map(|model| model.name.as_str()).collect::<Vec<_>>(), ["b"]);
    }
}
