use super::*;
use crate::config::{Environment, Overrides};

/// The configuration that this file gives, in a home whose path is written as HOME.
fn resolve(file: &str, flags: &Overrides) -> Result<(tempfile::TempDir, Config), String> {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("config.toml"), file).unwrap();
    let environment =
        Environment::from_iter([("GIBBON_HOME", home.path().as_os_str()), ("HOME", "/home/ada".as_ref())]);
    match Config::resolve(flags, &environment) {
        Ok(config) => Ok((home, config)),
        Err(error) => Err(error.to_string().replace(&home.path().display().to_string(), "HOME")),
    }
}

#[test]
fn a_collection_has_what_it_says_and_else_what_all_have() {
    let file = "[answer]\nchunks = 5\nmax_tokens = 99\n\n[collections.notes]\npaths = ['~/notes', 'here', '/abs']\n\
        include = ['**/*.md']\nexclude = ['drafts/']\nsystem_prompt = 'Be brief.'\nchunks = 9\n\n\
        [collections.law_2]\npaths = ['/law']\nstrategy = 'full'\nattention_scale = 0.5\n";
    let (home, config) = resolve(file, &Overrides::default()).unwrap();
    let notes = &config.collections["notes"];
    assert_eq!(notes.paths, [Path::new("/home/ada/notes"), &home.path().join("here"), Path::new("/abs")]);
    assert_eq!((&notes.include[..], &notes.exclude[..]), (&["**/*.md".into()][..], &["drafts/".into()][..]));
    let answer = config.answer_for(&["notes".into()]);
    assert_eq!((answer.system_prompt.as_str(), answer.chunks, answer.max_tokens), ("Be brief.", 9, 99));
    let law = config.answer_for(&["law_2".into()]);
    assert_eq!((law.strategy, law.attention_scale, law.chunks), (Strategy::Full, 0.5, 5));
    // Several together, all, and what is in none are answered as the configuration says.
    for names in [&["notes".to_owned(), "law_2".to_owned()][..], &[], &["default".to_owned()]] {
        assert_eq!(config.answer_for(names), config.answer);
        assert_eq!(config.prompts_differ(names), names.len() != 1);
    }
    assert_eq!(config.system_prompts(), [config.answer.system_prompt.as_str(), "Be brief."]);
    assert_eq!(config.collection_names().collect::<Vec<_>>(), ["law_2", "notes", "default"]);
}

#[test]
fn collections_that_have_the_same_prompt_are_asked_with_it() {
    let file = "[collections.a]\npaths = ['/a']\nsystem_prompt = 'P'\nchunks = 9\n\
        [collections.b]\npaths = ['/b']\nsystem_prompt = 'P'\n[collections.c]\npaths = ['/c']\n";
    let (_home, config) = resolve(file, &Overrides::default()).unwrap();
    let both = config.answer_for(&["a".into(), "b".into()]);
    assert_eq!((both.system_prompt.as_str(), both.chunks), ("P", config.answer.chunks));
    assert_eq!(config.answer_for(&["a".into(), "b".into(), "c".into()]), config.answer);
    assert_eq!(config.answer_for(&["c".into(), "default".into()]), config.answer);
    assert!(!config.prompts_differ(&["c".into(), "default".into()]) && config.prompts_differ(&[]));
}

#[test]
fn a_flag_wins_over_a_collection() {
    let flags = Overrides { chunks: Some(2), ..Overrides::default() };
    let file = "[collections.notes]\npaths = ['/n']\nchunks = 9\nmax_tokens = 7\n";
    let (_home, config) = resolve(file, &flags).unwrap();
    let answer = config.answer_for(&["notes".into()]);
    assert_eq!((answer.chunks, answer.max_tokens), (2, 7));
}

#[test]
fn errors_name_the_line_and_the_key() {
    for (file, part) in [
        ("[collections.a]\npaths = ['/n']\nmodel = 'x'\n", "unknown field `model`"),
        (
            "[collections.a]\npaths = ['/n']\n\nchunks = 0\n",
            "line 4: `collections.a.chunks` must be at least 1",
        ),
        ("[collections.a]\nchunks = 1\n", "line 1: `collections.a.paths` must name at least one folder"),
        ("\n[collections.a]\npaths = []\n", "line 2: `collections.a.paths` must name"),
        ("[collections.all]\npaths = ['/n']\n", "line 1: `collections.all` cannot be the name"),
        ("[collections.default]\npaths = ['/n']\n", "what belongs to no other"),
        ("[collections.'a b']\npaths = ['/n']\n", "other characters"),
        (
            "[collections.a]\npaths = ['/n']\ninclude = ['ok', '[z-a]']\n",
            "line 3: `collections.a.include` `[z-a]`",
        ),
        (
            "[collections.a]\npaths = ['/n']\nattention_scale = 1.5\n",
            "line 3: `collections.a.attention_scale`",
        ),
        ("collections = 3\n", "line 1"),
    ] {
        let error = resolve(file, &Overrides::default()).unwrap_err();
        assert!(error.contains(part), "{file}: {error}");
    }
}

#[test]
fn collections_written_as_a_file_read_back() {
    let file = "[collections.notes]\npaths = ['/n', '/o']\ninclude = ['*.md', \"a\\\"b\"]\nsystem_prompt = \"say \\\"hi\\\"\"\n\
        chunks = 9\nmax_tokens = 7\n[collections.law]\npaths = ['/law']\nexclude = ['x']\nstrategy = 'full'\n\
        attention_temperature = 0.5\nattention_scale = 0.25\n";
    let (_home, config) = resolve(file, &Overrides::default()).unwrap();
    let (_other, read) = resolve(&config.to_toml(), &Overrides::default()).unwrap();
    assert_eq!(read.collections, config.collections);
    assert!(config.collection_toml("law").unwrap().starts_with("[collections.law]\npaths = [\"/law\"]\n"));
    assert_eq!(config.collection_toml("none"), None);
}
