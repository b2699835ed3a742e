use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use tempfile::TempDir;

use super::*;

/// A GIBBON_HOME with this configuration file.
fn home_with(file: &str) -> (TempDir, Environment) {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("config.toml"), file).unwrap();
    let environment = Environment::from_iter([("GIBBON_HOME", home.path().as_os_str())]);
    (home, environment)
}

fn resolve(file: &str, flags: Overrides) -> Result<Config, String> {
    let (home, environment) = home_with(file);
    Config::resolve(&flags, &environment)
        .map_err(|error| error.to_string().replace(&home.path().display().to_string(), "HOME"))
}

#[test]
fn without_anything_the_defaults_hold_and_all_is_under_the_home() {
    let config =
        Config::resolve(&Overrides::default(), &Environment::from_iter([("GIBBON_HOME", "/g")])).unwrap();
    let paths =
        Paths { config_file: "/g/config.toml".into(), data: "/g/data".into(), state: "/g/state".into() };
    let mut defaults = Config::with_paths(paths);
    defaults.model.hub.cache = "/g/huggingface/hub".into();
    assert_eq!(config, defaults);
    assert_eq!(config.answer.strategy, Strategy::Ape);
    assert_eq!(config.store.disk_bytes, 20 * (1 << 30));
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let (_home, environment) = home_with("[model]\nsource = 'file/model'\n[answer]\nchunks = 9\nseed = 7\n");
    let hub = |name: &str| ModelSource::Hub { repository: name.into(), file: None, revision: None };
    let config = Config::resolve(&Overrides::default(), &environment).unwrap();
    assert_eq!((config.model.source, config.answer.chunks), (hub("file/model"), 9));

    let home = environment.get("GIBBON_HOME").unwrap().to_owned();
    let environment =
        Environment::from_iter([("GIBBON_HOME", home), ("GIBBON_MODEL", "variable/model".into())]);
    let config = Config::resolve(&Overrides::default(), &environment).unwrap();
    assert_eq!(config.model.source, hub("variable/model"));

    let flags = Overrides { model: Some("flag/model".into()), chunks: Some(2), ..Overrides::default() };
    let config = Config::resolve(&flags, &environment).unwrap();
    assert_eq!((config.model.source, config.answer.chunks, config.answer.seed), (hub("flag/model"), 2, 7));
}

#[test]
fn a_device_is_named_in_the_file_or_by_a_flag() {
    let file = "[model]\ndevice = 'cuda:1'\ngpu_dtype = 'f32'\n[cache]\ngpu_memory = '8GiB'\n";
    let config = resolve(file, Overrides::default()).unwrap();
    assert_eq!((config.model.device, config.model.gpu_dtype), (DeviceChoice::Cuda(1), CacheDtype::F32));
    assert_eq!(config.store.gpu_memory_bytes, 8 << 30);
    let flags = Overrides { device: Some(DeviceChoice::Cpu), ..Overrides::default() };
    assert_eq!(resolve(file, flags).unwrap().model.device, DeviceChoice::Cpu);
    let error = resolve("[model]\ndevice = 'gpu'\n", Overrides::default()).unwrap_err();
    assert!(error.contains("`gpu` is none of auto, cpu, cuda, cuda:1"), "{error}");
}

#[test]
fn errors_in_the_file_name_line_and_key() {
    let files = [
        "[answer]\n\nchunkz = 3\n",
        "[answer]\nchunks = 'four'\n",
        "[answer]\n\n\nattention_scale = 1.5\n",
        "[cache]\nbudget = '20 bananas'\n",
        "answer = ",
    ];
    let errors = files.map(|file| resolve(file, Overrides::default()).unwrap_err());
    insta::assert_snapshot!(errors.join("\n\n"));
}

#[test]
fn values_out_of_range_are_refused_with_the_flag_that_gave_them() {
    let refused = |flags: Overrides| resolve("", flags).unwrap_err();
    let flags = Overrides::default();
    for scale in [0.0, -0.5, 1.01, f32::NAN] {
        let message = refused(Overrides { attention_scale: Some(scale), ..flags.clone() });
        assert!(
            message.starts_with("--attention-scale must be greater than 0 and at most 1, not "),
            "{message}"
        );
        refused(Overrides { attention_temperature: Some(scale), ..flags.clone() });
    }
    assert_eq!(refused(Overrides { chunks: Some(0), ..flags.clone() }), "--chunks must be at least 1, not 0");
    assert_eq!(
        refused(Overrides { max_tokens: Some(0), ..flags.clone() }),
        "--max-tokens must be at least 1, not 0"
    );
    refused(Overrides { temperature: Some(-1.0), ..flags.clone() });
    refused(Overrides { temperature: Some(f64::INFINITY), ..flags.clone() });
    refused(Overrides { top_p: Some(0.0), ..flags.clone() });
    refused(Overrides { model: Some("".into()), ..flags });
    assert!(resolve("[corpus]\nchunk_tokens = 31", Overrides::default()).is_err());
}

#[test]
fn the_ends_of_the_ranges_are_allowed() {
    let flags = Overrides {
        attention_scale: Some(1.0),
        attention_temperature: Some(1.0),
        chunks: Some(1),
        temperature: Some(0.0),
        top_p: Some(1.0),
        budget: Some(ByteSize::b(0)),
        ..Overrides::default()
    };
    let config = resolve("[corpus]\nchunk_tokens = 32", flags).unwrap();
    assert_eq!((config.answer.attention_scale, config.store.disk_bytes), (1.0, 0));
}

#[test]
fn sizes_are_read_with_their_unit_or_as_bytes() {
    let config =
        resolve("[cache]\nbudget = '1.5 GiB'\nmemory = 4096\ngpu_memory = '5 GiB'\n", Overrides::default())
            .unwrap();
    assert_eq!(
        config.store,
        StoreSettings { disk_bytes: 3 << 29, memory_bytes: 4096, gpu_memory_bytes: 5 << 30 }
    );
}

#[test]
fn a_file_that_was_named_must_exist() {
    let (home, environment) = home_with("");
    let flags = Overrides { config_file: Some(home.path().join("other.toml")), ..Overrides::default() };
    assert!(matches!(Config::resolve(&flags, &environment), Err(ConfigError::Unreadable { .. })));
    std::fs::remove_file(home.path().join("config.toml")).unwrap();
    assert!(Config::resolve(&Overrides::default(), &environment).is_ok());
}

#[test]
fn relative_paths_in_the_file_start_at_the_file() {
    let (home, environment) = home_with("[model]\nsource = './tiny.gguf'\n[screen]\ntheme = 'mine.toml'\n");
    let config = Config::resolve(&Overrides::default(), &environment).unwrap();
    let ModelSource::Path(model) = config.model.source else { panic!("not a path") };
    assert_eq!(model.file_name(), Path::new("tiny.gguf").file_name());
    assert!(model.starts_with(home.path()));
    assert!(PathBuf::from(config.screen.theme).starts_with(home.path()));
}

#[test]
fn keys_are_a_name_and_one_key_or_several() {
    let keys = |text: &str| resolve(text, Overrides::default()).map(|config| config.screen.keys);
    let read = keys("[keys]\nsend = 'alt-enter'\nsources.next = ['n', 'down']\n'help.open' = []").unwrap();
    let read: Vec<_> = read.iter().map(|(name, chords)| (name.as_str(), chords.len())).collect();
    assert_eq!(read, [("help.open", 0), ("send", 1), ("sources.next", 2)]);
    let error = keys("[keys]\nsend = 5").unwrap_err().to_string();
    assert!(error.contains("`keys.send`") && error.contains("ctrl-p"), "{error}");
}

#[test]
fn the_network_and_colours_are_switched_off_by_the_usual_variables() {
    let resolve = |name: &str, value: &str| {
        let environment = Environment::from_iter([("GIBBON_HOME", "/g"), (name, value)]);
        let config = Config::resolve(&Overrides::default(), &environment).unwrap();
        (config.model.offline, config.screen.color)
    };
    assert_eq!(resolve("HF_HUB_OFFLINE", "1"), (true, true));
    assert_eq!(resolve("HF_HUB_OFFLINE", "TRUE"), (true, true));
    assert_eq!(resolve("HF_HUB_OFFLINE", "0"), (false, true));
    assert_eq!(resolve("NO_COLOR", "1"), (false, false));
    assert_eq!(resolve("NO_COLOR", ""), (false, true));
    assert_eq!(resolve("TERM", "dumb"), (false, false));
}

#[test]
fn a_configuration_written_as_a_file_reads_back() {
    let flags = Overrides {
        chunks: Some(7),
        attention_scale: Some(0.85),
        top_p: Some(0.5),
        budget: Some(ByteSize::b(12_345_678_901)),
        strategy: Some(Strategy::Concat),
        cache_dtype: Some(CacheDtype::Bf16),
        model: Some("owner/name@v1:q4.gguf".into()),
        offline: true,
        no_color: true,
        ..Overrides::default()
    };
    for flags in [Overrides::default(), flags] {
        let mut config = resolve("", flags).unwrap();
        config.screen.keys = [("send".to_owned(), vec!["alt-enter".to_owned(), "\"".to_owned()])].into();
        config.screen.mouse = false;
        config.answer.system_prompt = "say \"hi\"\nand \\ stop".into();
        let (_home, environment) = home_with(&config.to_toml());
        let mut read = Config::resolve(&Overrides::default(), &environment).unwrap();
        // Where things are kept comes from the environment, not from the file.
        (read.paths, read.model.hub) = (config.paths.clone(), config.model.hub.clone());
        assert_eq!(read, config);
    }
}
