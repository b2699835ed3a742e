//! The configuration file: TOML, every key optional, unknown keys refused.

use std::{collections::BTreeMap, ops::Range, path::Path};

use bytesize::ByteSize;
use serde::Deserialize;
use toml::{Spanned, Table, Value};

use super::{
    CacheDtype, ConfigError, DeviceChoice, ModelSource, Strategy,
    collection::{self, CollectionSection},
    resolve::{Given, Layer, Origin},
    source::expand,
};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    model: ModelSection,
    corpus: CorpusSection,
    index: IndexSection,
    answer: AnswerSection,
    cache: CacheSection,
    screen: ScreenSection,
    keys: Table,
    collections: BTreeMap<Spanned<String>, CollectionSection>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ModelSection {
    source: Option<Spanned<String>>,
    dequantize: Option<Spanned<bool>>,
    device: Option<Spanned<DeviceChoice>>,
    gpu_dtype: Option<Spanned<CacheDtype>>,
    offline: Option<Spanned<bool>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CorpusSection {
    chunk_tokens: Option<Spanned<usize>>,
    max_file_size: Option<Spanned<Value>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct IndexSection {
    pause_on_battery: Option<Spanned<bool>>,
    poll_seconds: Option<Spanned<u64>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AnswerSection {
    chunks: Option<Spanned<usize>>,
    strategy: Option<Spanned<Strategy>>,
    attention_temperature: Option<Spanned<f32>>,
    attention_scale: Option<Spanned<f32>>,
    temperature: Option<Spanned<f64>>,
    top_p: Option<Spanned<f64>>,
    seed: Option<Spanned<u64>>,
    max_tokens: Option<Spanned<usize>>,
    system_prompt: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CacheSection {
    dtype: Option<Spanned<CacheDtype>>,
    budget: Option<Spanned<Value>>,
    memory: Option<Spanned<Value>>,
    gpu_memory: Option<Spanned<Value>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ScreenSection {
    theme: Option<Spanned<String>>,
    color: Option<Spanned<bool>>,
    mouse: Option<Spanned<bool>>,
}

/// The settings in the file at `path`; none when there is no such file and it is not `required`.
pub(super) fn read(path: &Path, required: bool, home: Option<&Path>) -> Result<Layer, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text, home),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => Ok(Layer::default()),
        Err(error) => Err(ConfigError::Unreadable { path: path.to_path_buf(), error }),
    }
}

/// Relative paths in the file start at the file's own folder.
fn parse(path: &Path, text: &str, home: Option<&Path>) -> Result<Layer, ConfigError> {
    let file: File = toml::from_str(text).map_err(|error| ConfigError::Malformed {
        path: path.to_path_buf(),
        message: error.to_string().trim_end().to_owned(),
    })?;
    let place = Place { path, text };
    let base = path.parent().unwrap_or(Path::new(""));
    Ok(Layer {
        model: match place.given("model.source", file.model.source) {
            None => None,
            Some(Given { value, origin }) => match ModelSource::parse(value.as_ref(), base, home) {
                Ok(value) => Some(Given { value, origin }),
                Err(message) => return Err(ConfigError::Invalid { origin, message }),
            },
        },
        dequantize: place.given("model.dequantize", file.model.dequantize),
        device: place.given("model.device", file.model.device),
        gpu_dtype: place.given("model.gpu_dtype", file.model.gpu_dtype),
        offline: place.given("model.offline", file.model.offline),
        chunk_tokens: place.given("corpus.chunk_tokens", file.corpus.chunk_tokens),
        max_file_bytes: place.bytes("corpus.max_file_size", file.corpus.max_file_size)?,
        pause_on_battery: place.given("index.pause_on_battery", file.index.pause_on_battery),
        poll_seconds: place.given("index.poll_seconds", file.index.poll_seconds),
        chunks: place.given("answer.chunks", file.answer.chunks),
        strategy: place.given("answer.strategy", file.answer.strategy),
        attention_temperature: place.given("answer.attention_temperature", file.answer.attention_temperature),
        attention_scale: place.given("answer.attention_scale", file.answer.attention_scale),
        temperature: place.given("answer.temperature", file.answer.temperature),
        top_p: place.given("answer.top_p", file.answer.top_p),
        seed: place.given("answer.seed", file.answer.seed),
        max_tokens: place.given("answer.max_tokens", file.answer.max_tokens),
        system_prompt: place.given("answer.system_prompt", file.answer.system_prompt),
        cache_dtype: place.given("cache.dtype", file.cache.dtype),
        disk_bytes: place.bytes("cache.budget", file.cache.budget)?,
        memory_bytes: place.bytes("cache.memory", file.cache.memory)?,
        gpu_memory_bytes: place.bytes("cache.gpu_memory", file.cache.gpu_memory)?,
        theme: place.given("screen.theme", file.screen.theme).map(|theme| theme_path(theme, base, home)),
        color: place.given("screen.color", file.screen.color),
        mouse: place.given("screen.mouse", file.screen.mouse),
        keys: keys(path, "", file.keys)?,
        collections: collection::read(file.collections, &place, base, home)?,
    })
}

/// The keys by name; a name with dots may be written as tables.
fn keys(path: &Path, before: &str, table: Table) -> Result<BTreeMap<String, Vec<String>>, ConfigError> {
    let mut keys = BTreeMap::new();
    for (name, value) in table {
        let name = format!("{before}{name}");
        let text = |value: Value| match value {
            Value::String(text) => Ok(text),
            other => Err(ConfigError::Malformed {
                path: path.to_path_buf(),
                message: format!(
                    "`keys.{name}` must be a key such as \"ctrl-p\", or a list of them, not {other}"
                ),
            }),
        };
        match value {
            Value::Table(table) => keys.extend(self::keys(path, &format!("{name}."), table)?),
            Value::Array(chords) => {
                let chords = chords.into_iter().map(text).collect::<Result<_, _>>()?;
                keys.insert(name, chords);
            }
            other => {
                let chord = text(other)?;
                keys.insert(name, vec![chord]);
            }
        }
    }
    Ok(keys)
}

/// A theme is a name, or a path when it looks like one.
fn theme_path(theme: Given<String>, base: &Path, home: Option<&Path>) -> Given<String> {
    let is_path = theme.value.contains('/') || theme.value.ends_with(".toml");
    match is_path.then(|| expand(Path::new(&theme.value), base, home).into_os_string().into_string()) {
        Some(Ok(value)) => Given { value, ..theme },
        _ => theme,
    }
}

/// Turns places in the file's text into line numbers.
pub(super) struct Place<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Place<'_> {
    pub(super) fn given<T>(&self, key: impl Into<String>, value: Option<Spanned<T>>) -> Option<Given<T>> {
        let value = value?;
        let origin = self.origin(key, value.span());
        Some(Given { value: value.into_inner(), origin })
    }

    /// Where `key` has a value at these bytes of the file's text.
    pub(super) fn origin(&self, key: impl Into<String>, span: Range<usize>) -> Origin {
        let before = self.text.get(..span.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        Origin::File { path: self.path.to_path_buf(), line, key: key.into() }
    }

    /// A size, as a number of bytes or as a text such as `20GiB`.
    fn bytes(
        &self,
        key: &'static str,
        value: Option<Spanned<Value>>,
    ) -> Result<Option<Given<u64>>, ConfigError> {
        let Some(Given { value, origin }) = self.given(key, value) else { return Ok(None) };
        let bytes = match &value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::String(text) => text.parse::<ByteSize>().ok().map(|size| size.as_u64()),
            _ => None,
        };
        match bytes {
            Some(value) => Ok(Some(Given { value, origin })),
            None => Err(ConfigError::Invalid {
                origin,
                message: format!("must be a size such as \"20GiB\" or a number of bytes, not {value}"),
            }),
        }
    }
}
