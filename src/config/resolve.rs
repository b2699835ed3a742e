//! Defaults < configuration file < environment < flags. Every value is kept with where it was set, so that an error
//! can name the flag, the variable, or the line of the file.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
};

use bytesize::ByteSize;
use directories::{BaseDirs, ProjectDirs};

use super::{
    AnswerSettings, CacheDtype, Config, CorpusSettings, DeviceChoice, HubAccess, IndexSettings,
    ModelSettings, ModelSource, Paths, ScreenSettings, StoreSettings, Strategy,
    collection::{Collection, CollectionLayer},
    file,
};

/// What the flags say; `None` leaves a setting to the environment, the file or its default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    pub config_file: Option<PathBuf>,
    pub model: Option<OsString>,
    pub offline: bool,
    pub cache_dtype: Option<CacheDtype>,
    pub dequantize: bool,
    pub device: Option<DeviceChoice>,
    pub no_color: bool,
    pub budget: Option<ByteSize>,
    pub chunks: Option<usize>,
    pub strategy: Option<Strategy>,
    pub max_tokens: Option<usize>,
    pub attention_temperature: Option<f32>,
    pub attention_scale: Option<f32>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub seed: Option<u64>,
}

/// The environment variables that a run sees. An empty variable counts as one that is not set.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: HashMap<OsString, OsString>,
}

impl Environment {
    /// The variables of this process.
    pub fn of_process() -> Self {
        Self { variables: std::env::vars_os().collect() }
    }

    /// The value of `name`, unless it is empty.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    fn is_on(&self, name: &str) -> bool {
        self.get(name).and_then(OsStr::to_str).is_some_and(|value| {
            ["1", "true", "yes", "on"].iter().any(|word| value.trim().eq_ignore_ascii_case(word))
        })
    }

    fn home(&self) -> Option<&Path> {
        self.get("HOME").map(Path::new)
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self { variables: pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect() }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration file {} cannot be read: {error}", path.display())]
    Unreadable { path: PathBuf, error: std::io::Error },
    /// Not TOML, an unknown key, or a value of the wrong type. `message` shows the line.
    #[error("the configuration file {} cannot be used: {message}", path.display())]
    Malformed { path: PathBuf, message: String },
    /// A value out of its range.
    #[error("{origin} {message}")]
    Invalid { origin: Origin, message: String },
    #[error("there is no home directory to keep data in")]
    NoHome,
}

impl ConfigError {
    /// What to do next, a sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => {
                "Check the path given by --config or GIBBON_CONFIG, and the file's permissions."
            }
            Self::Malformed { .. } => "`gibbon config template` prints every key with its default.",
            Self::Invalid { .. } => {
                "Correct the value; `gibbon config template` prints every key with its default."
            }
            Self::NoHome => "Set GIBBON_HOME to a directory.",
        }
    }
}

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Flag(&'static str),
    Variable(&'static str),
    /// A key of the configuration file.
    File {
        path: PathBuf,
        line: usize,
        key: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::File { path, line, key } => write!(f, "{}, line {line}: `{key}`", path.display()),
        }
    }
}

/// A value and where it was set.
#[derive(Debug, Clone)]
pub(super) struct Given<T> {
    pub value: T,
    pub origin: Origin,
}

/// The settings of one source; `None` where it says nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    pub model: Option<Given<ModelSource>>,
    pub cache_dtype: Option<Given<CacheDtype>>,
    pub dequantize: Option<Given<bool>>,
    pub device: Option<Given<DeviceChoice>>,
    pub gpu_dtype: Option<Given<CacheDtype>>,
    pub offline: Option<Given<bool>>,
    pub chunk_tokens: Option<Given<usize>>,
    pub max_file_bytes: Option<Given<u64>>,
    pub pause_on_battery: Option<Given<bool>>,
    pub poll_seconds: Option<Given<u64>>,
    pub chunks: Option<Given<usize>>,
    pub strategy: Option<Given<Strategy>>,
    pub attention_temperature: Option<Given<f32>>,
    pub attention_scale: Option<Given<f32>>,
    pub temperature: Option<Given<f64>>,
    pub top_p: Option<Given<f64>>,
    pub seed: Option<Given<u64>>,
    pub max_tokens: Option<Given<usize>>,
    pub system_prompt: Option<Given<String>>,
    pub disk_bytes: Option<Given<u64>>,
    pub memory_bytes: Option<Given<u64>>,
    pub gpu_memory_bytes: Option<Given<u64>>,
    pub theme: Option<Given<String>>,
    pub color: Option<Given<bool>>,
    pub mouse: Option<Given<bool>>,
    pub keys: BTreeMap<String, Vec<String>>,
    pub collections: BTreeMap<String, CollectionLayer>,
}

impl Config {
    /// What `overrides` (the flags), `environment` and the configuration file together mean.
    ///
    /// Reads the configuration file and looks whether the model's name is a path; changes nothing.
    pub fn resolve(overrides: &Overrides, environment: &Environment) -> Result<Self, ConfigError> {
        let (paths, file_is_required) = paths(overrides, environment)?;
        let here = std::env::current_dir().unwrap_or_default();
        let home = environment.home();
        let mut file = file::read(&paths.config_file, file_is_required, home)?;
        let sections = std::mem::take(&mut file.collections);
        let variables = Layer::from_environment(environment, &here)?;
        let flags = Layer::from_flags(overrides, &here, home)?;
        let mut collections = BTreeMap::new();
        for (name, CollectionLayer { paths: folders, include, exclude, answer }) in sections {
            let layers = flags.clone().over(variables.clone()).over(answer).over(file.clone());
            let answer = layers.into_config(paths.clone())?.answer;
            collections.insert(name, Collection { paths: folders, include, exclude, answer });
        }
        let mut config = flags.over(variables).over(file).into_config(paths)?;
        config.collections = collections;
        config.model.hub = HubAccess::from_variables(&|name| environment.get(name).map(OsStr::to_owned));
        Ok(config)
    }
}

/// Where things are, and whether the configuration file has to exist.
fn paths(overrides: &Overrides, environment: &Environment) -> Result<(Paths, bool), ConfigError> {
    let mut paths = match environment.get("GIBBON_HOME") {
        Some(home) => {
            let home = absolute(Path::new(home));
            Paths {
                config_file: home.join("config.toml"),
                data: home.join("data"),
                state: home.join("state"),
            }
        }
        None => platform_paths(environment)?,
    };
    let named = overrides.config_file.as_deref().or(environment.get("GIBBON_CONFIG").map(Path::new));
    if let Some(file) = named {
        paths.config_file = absolute(file);
    }
    Ok((paths, named.is_some()))
}

/// The platform's directories; on macOS the configuration is in ~/.config where the user keeps one there, since that
/// is where users of terminal programs look for it. What `directories` reads (HOME, the XDG variables) it reads itself.
fn platform_paths(environment: &Environment) -> Result<Paths, ConfigError> {
    let project = ProjectDirs::from("", "", "gibbon").ok_or(ConfigError::NoHome)?;
    let mut config = project.config_dir().to_path_buf();
    if cfg!(target_os = "macos") {
        let xdg = environment.get("XDG_CONFIG_HOME").map(|folder| Path::new(folder).join("gibbon"));
        let dotted = BaseDirs::new().map(|base| base.home_dir().join(".config/gibbon"));
        config = xdg.or(dotted.filter(|folder| folder.is_dir())).unwrap_or(config);
    }
    Ok(Paths {
        config_file: config.join("config.toml"),
        data: project.data_local_dir().to_path_buf(),
        state: project.state_dir().unwrap_or(project.data_local_dir()).to_path_buf(),
    })
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

impl Layer {
    fn from_environment(environment: &Environment, here: &Path) -> Result<Self, ConfigError> {
        let on = |name: &'static str, value| {
            environment.is_on(name).then_some(Given { value, origin: Origin::Variable(name) })
        };
        let no_color = environment.get("NO_COLOR").is_some();
        let dumb = environment.get("TERM").is_some_and(|term| term == "dumb");
        Ok(Self {
            model: environment
                .get("GIBBON_MODEL")
                .map(|name| model(name, Origin::Variable("GIBBON_MODEL"), here, environment.home()))
                .transpose()?,
            offline: on("HF_HUB_OFFLINE", true),
            color: (no_color || dumb).then_some(Given { value: false, origin: Origin::Variable("NO_COLOR") }),
            ..Self::default()
        })
    }

    fn from_flags(flags: &Overrides, here: &Path, home: Option<&Path>) -> Result<Self, ConfigError> {
        fn given<T>(name: &'static str, value: Option<T>) -> Option<Given<T>> {
            value.map(|value| Given { value, origin: Origin::Flag(name) })
        }
        Ok(Self {
            model: flags
                .model
                .as_deref()
                .map(|name| model(name, Origin::Flag("--model"), here, home))
                .transpose()?,
            cache_dtype: given("--cache-dtype", flags.cache_dtype),
            dequantize: given("--dequantize", flags.dequantize.then_some(true)),
            device: given("--device", flags.device),
            offline: given("--offline", flags.offline.then_some(true)),
            chunks: given("--chunks", flags.chunks),
            strategy: given("--strategy", flags.strategy),
            attention_temperature: given("--attention-temperature", flags.attention_temperature),
            attention_scale: given("--attention-scale", flags.attention_scale),
            temperature: given("--temperature", flags.temperature),
            top_p: given("--top-p", flags.top_p),
            seed: given("--seed", flags.seed),
            max_tokens: given("--max-tokens", flags.max_tokens),
            disk_bytes: given("--budget", flags.budget.map(|size| size.as_u64())),
            color: given("--no-color", flags.no_color.then_some(false)),
            ..Self::default()
        })
    }

    /// This layer's values, and those of the one below where this one has none.
    fn over(self, below: Self) -> Self {
        Self {
            model: self.model.or(below.model),
            cache_dtype: self.cache_dtype.or(below.cache_dtype),
            dequantize: self.dequantize.or(below.dequantize),
            device: self.device.or(below.device),
            gpu_dtype: self.gpu_dtype.or(below.gpu_dtype),
            offline: self.offline.or(below.offline),
            chunk_tokens: self.chunk_tokens.or(below.chunk_tokens),
            max_file_bytes: self.max_file_bytes.or(below.max_file_bytes),
            pause_on_battery: self.pause_on_battery.or(below.pause_on_battery),
            poll_seconds: self.poll_seconds.or(below.poll_seconds),
            chunks: self.chunks.or(below.chunks),
            strategy: self.strategy.or(below.strategy),
            attention_temperature: self.attention_temperature.or(below.attention_temperature),
            attention_scale: self.attention_scale.or(below.attention_scale),
            temperature: self.temperature.or(below.temperature),
            top_p: self.top_p.or(below.top_p),
            seed: self.seed.or(below.seed),
            max_tokens: self.max_tokens.or(below.max_tokens),
            system_prompt: self.system_prompt.or(below.system_prompt),
            disk_bytes: self.disk_bytes.or(below.disk_bytes),
            memory_bytes: self.memory_bytes.or(below.memory_bytes),
            gpu_memory_bytes: self.gpu_memory_bytes.or(below.gpu_memory_bytes),
            theme: self.theme.or(below.theme),
            color: self.color.or(below.color),
            mouse: self.mouse.or(below.mouse),
            keys: if self.keys.is_empty() { below.keys } else { self.keys },
            collections: if self.collections.is_empty() { below.collections } else { self.collections },
        }
    }

    /// Puts the defaults below everything and checks the ranges.
    fn into_config(self, paths: Paths) -> Result<Config, ConfigError> {
        let default = Config::with_paths(paths);
        let fraction = |value: &f32| *value > 0.0 && *value <= 1.0;
        Ok(Config {
            model: ModelSettings {
                source: or(self.model, default.model.source),
                cache_dtype: or(self.cache_dtype, default.model.cache_dtype),
                dequantize: or(self.dequantize, default.model.dequantize),
                device: or(self.device, default.model.device),
                gpu_dtype: or(self.gpu_dtype, default.model.gpu_dtype),
                offline: or(self.offline, default.model.offline),
                hub: default.model.hub,
            },
            corpus: CorpusSettings {
                chunk_tokens: checked(
                    self.chunk_tokens,
                    default.corpus.chunk_tokens,
                    "must be at least 32",
                    |n| *n >= 32,
                )?,
                max_file_bytes: checked(
                    self.max_file_bytes,
                    default.corpus.max_file_bytes,
                    "must be at least 1 byte",
                    |n| *n >= 1,
                )?,
                reader_program: default.corpus.reader_program,
            },
            index: IndexSettings {
                pause_on_battery: or(self.pause_on_battery, default.index.pause_on_battery),
                poll_seconds: checked(
                    self.poll_seconds,
                    default.index.poll_seconds,
                    "must be at least 1",
                    |seconds| *seconds >= 1,
                )?,
            },
            answer: AnswerSettings {
                chunks: checked(self.chunks, default.answer.chunks, "must be at least 1", |n| *n >= 1)?,
                strategy: or(self.strategy, default.answer.strategy),
                attention_temperature: checked(
                    self.attention_temperature,
                    default.answer.attention_temperature,
                    "must be greater than 0 and at most 1",
                    fraction,
                )?,
                attention_scale: checked(
                    self.attention_scale,
                    default.answer.attention_scale,
                    "must be greater than 0 and at most 1",
                    fraction,
                )?,
                temperature: checked(
                    self.temperature,
                    default.answer.temperature,
                    "must be 0 (greedy) or more, and finite",
                    |t| *t >= 0.0 && t.is_finite(),
                )?,
                top_p: match self.top_p {
                    None => None,
                    given => Some(checked(given, 1.0, "must be greater than 0 and at most 1", |p| {
                        *p > 0.0 && *p <= 1.0
                    })?),
                },
                seed: or(self.seed, default.answer.seed),
                max_tokens: checked(self.max_tokens, default.answer.max_tokens, "must be at least 1", |n| {
                    *n >= 1
                })?,
                system_prompt: or(self.system_prompt, default.answer.system_prompt),
            },
            store: StoreSettings {
                disk_bytes: or(self.disk_bytes, default.store.disk_bytes),
                memory_bytes: or(self.memory_bytes, default.store.memory_bytes),
                gpu_memory_bytes: or(self.gpu_memory_bytes, default.store.gpu_memory_bytes),
            },
            screen: ScreenSettings {
                theme: or(self.theme, default.screen.theme),
                color: or(self.color, default.screen.color),
                mouse: or(self.mouse, default.screen.mouse),
                keys: self.keys,
            },
            collections: default.collections,
            paths: default.paths,
        })
    }
}

fn model(
    name: &OsStr,
    origin: Origin,
    base: &Path,
    home: Option<&Path>,
) -> Result<Given<ModelSource>, ConfigError> {
    match ModelSource::parse(name, base, home) {
        Ok(value) => Ok(Given { value, origin }),
        Err(message) => Err(ConfigError::Invalid { origin, message }),
    }
}

fn or<T>(given: Option<Given<T>>, default: T) -> T {
    given.map_or(default, |given| given.value)
}

/// The value given, or the default; an error that names the value's origin when it is out of range.
fn checked<T: fmt::Display>(
    given: Option<Given<T>>,
    default: T,
    requirement: &str,
    is_good: impl FnOnce(&T) -> bool,
) -> Result<T, ConfigError> {
    match given {
        None => Ok(default),
        Some(Given { value, .. }) if is_good(&value) => Ok(value),
        Some(Given { value, origin }) => {
            Err(ConfigError::Invalid { origin, message: format!("{requirement}, not {value}") })
        }
    }
}
