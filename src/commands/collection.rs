//! `collection`: the named sets of folders in the configuration file.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{
    Console, Error, Exit, Stream, Style, json,
    text::{bytes, count, shortened, table},
};
use crate::{
    config::{self, Collection, Config, DEFAULT_COLLECTION, NewCollection},
    engine::{
        admin::{self, CacheShare, CollectionCache},
        visible,
    },
};

/// What a collection is added with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddOptions {
    pub name: String,
    pub paths: Vec<PathBuf>,
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    pub system_prompt: Option<String>,
}

pub fn ls(config: &Config, as_json: bool, console: &mut Console) -> Result<Exit, Error> {
    let indexed = admin::cache_by_collection(config)?;
    if as_json {
        let rows: Vec<Value> = indexed.iter().map(|row| as_value(config, row)).collect();
        json::print(console, "collections", json!({ "collections": rows }))?;
    } else {
        let paths = |name: &str| -> Vec<String> {
            let collection = config.collections.get(name);
            collection
                .map_or_else(Vec::new, |each| each.paths.iter().map(|path| console.path(path)).collect())
        };
        let text = listing(config, &indexed, &paths, console.style(Stream::Output));
        console.output(&text)?;
    }
    Ok(Exit::Done)
}

fn listing(
    config: &Config,
    indexed: &[CollectionCache],
    paths: &dyn Fn(&str) -> Vec<String>,
    style: Style,
) -> String {
    let row = |row: &CollectionCache| {
        let own = config.answer_for(std::slice::from_ref(&row.collection));
        vec![
            row.collection.clone(),
            row.files.to_string(),
            row.share.chunks.to_string(),
            row.share.cached_chunks.to_string(),
            bytes(row.share.bytes),
            if own.system_prompt == config.answer.system_prompt { "" } else { "own" }.to_owned(),
            match row.collection.as_str() {
                DEFAULT_COLLECTION => "what belongs to no other".to_owned(),
                name => shortened(&paths(name).join(", "), 60),
            },
        ]
    };
    let rows: Vec<Vec<String>> = indexed.iter().map(row).collect();
    table(&["collection", "files", "chunks", "cached", "size", "prompt", "paths"], "<>>>><<", &rows, style)
}

pub fn show(config: &Config, name: &str, as_json: bool, console: &mut Console) -> Result<Exit, Error> {
    let Some(section) = config.collection_toml(name) else { return Err(unknown(config, name)) };
    let indexed = admin::cache_by_collection(config)?;
    let row = indexed.iter().find(|row| row.collection == name).ok_or_else(|| unknown(config, name))?;
    if as_json {
        json::print(console, "collection", json!({ "collection": as_value(config, row) }))?;
    } else {
        let CacheShare { chunks, cached_chunks, bytes: size, .. } = row.share;
        console.output(&format!(
            "# {}, {}, {cached_chunks} cached ({})\n{}",
            count(row.files as u64, "file"),
            count(chunks as u64, "chunk"),
            bytes(size),
            visible(&section)
        ))?;
    }
    Ok(Exit::Done)
}

pub fn add(config: &Config, options: &AddOptions, console: &mut Console) -> Result<Exit, Error> {
    let name = &options.name;
    if let Some(reason) = config::wrong_name(name) {
        return Err(Error::usage(
            format!("`{}` cannot be the name of a collection: it {reason}", visible(name)),
            "Give it a name of letters, digits, `-` and `_`.",
        ));
    }
    for patterns in [&options.include, &options.exclude] {
        config::patterns(patterns).map_err(|reason| {
            Error::usage(format!("the pattern {}", visible(&reason)), "Patterns are those of a .gitignore.")
        })?;
    }
    let paths = options.paths.iter().map(|path| absolute(path, console)).collect::<Result<_, _>>()?;
    let new = NewCollection {
        name: name.clone(),
        paths,
        include: options.include.clone(),
        exclude: options.exclude.clone(),
        system_prompt: options.system_prompt.clone(),
    };
    let file = &config.paths.config_file;
    config::add_collection(file, &new).map_err(|error| not_changed(&error, config, console))?;
    console.note(&format!(
        "`{name}` is in {} now; `gibbon index --collection {name}` indexes it",
        console.path(file)
    ));
    Ok(Exit::Done)
}

pub fn remove(config: &Config, name: &str, console: &mut Console) -> Result<Exit, Error> {
    let Some(Collection { paths, .. }) = config.collections.get(name) else {
        return Err(unknown(config, name));
    };
    let file = &config.paths.config_file;
    config::remove_collection(file, name).map_err(|error| not_changed(&error, config, console))?;
    let paths: Vec<String> = paths.iter().map(|path| console.path(path)).collect();
    console.note(&format!(
        "`{name}` is gone from {}; what is indexed of it stays until `gibbon index --forget {}`",
        console.path(file),
        paths.join(" ")
    ));
    Ok(Exit::Done)
}

/// As it is written into the configuration file, where relative paths would start at the file.
fn absolute(path: &PathBuf, console: &Console) -> Result<String, Error> {
    let shown = console.path(path);
    let hint = "Name a folder or a file that exists.";
    let absolute = std::fs::canonicalize(path)
        .map_err(|error| Error::usage(format!("{shown} cannot be added: {error}"), hint))?;
    match absolute.into_os_string().into_string() {
        Ok(text) => Ok(text),
        Err(_) => Err(Error::usage(
            format!("{shown} is not UTF-8, which a configuration file has to be"),
            "Add a folder above it, or rename it.",
        )),
    }
}

fn not_changed(error: &std::io::Error, config: &Config, console: &Console) -> Error {
    Error::usage(
        format!("{} was not changed: {error}", console.path(&config.paths.config_file)),
        "Correct the file, or change it in an editor; `gibbon config path` prints where it is.",
    )
}

fn unknown(config: &Config, name: &str) -> Error {
    let known: Vec<String> = config.collections.keys().map(|name| format!("`{name}`")).collect();
    let known =
        if known.is_empty() { "there are none".into() } else { format!("there are {}", known.join(", ")) };
    Error::usage(
        format!("the configuration file has no collection `{}`; {known}", visible(name)),
        "`gibbon collection add NAME PATH` adds one.",
    )
}

fn as_value(config: &Config, row: &CollectionCache) -> Value {
    let collection = config.collections.get(&row.collection);
    let answer = config.answer_for(std::slice::from_ref(&row.collection));
    let list = |of: fn(&Collection) -> &Vec<String>| collection.map_or(&[][..], |each| of(each));
    let paths: Vec<String> =
        collection.iter().flat_map(|each| &each.paths).map(|path| json::path(path)).collect();
    json!({
        "name": row.collection,
        "paths": paths,
        "include": list(|each| &each.include),
        "exclude": list(|each| &each.exclude),
        "system_prompt": answer.system_prompt,
        "chunks_retrieved": answer.chunks,
        "strategy": answer.strategy,
        "max_tokens": answer.max_tokens,
        "attention_temperature": answer.attention_temperature,
        "attention_scale": answer.attention_scale,
        "files": row.files,
        "chunks": row.share.chunks,
        "cached_chunks": row.share.cached_chunks,
        "bytes": row.share.bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{commands::Verbosity, config::Paths};

    fn config(folder: &std::path::Path) -> Config {
        let paths = Paths {
            config_file: folder.join("config.toml"),
            data: folder.join("data"),
            state: folder.join("state"),
        };
        Config::with_paths(paths)
    }

    #[test]
    fn a_collection_is_added_once_and_not_under_a_wrong_name() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let (mut console, _, error) = Console::captured(Verbosity::Normal);
        let options = |name: &str, path: &str| AddOptions {
            name: name.to_owned(),
            paths: vec![folder.path().join(path)],
            include: vec!["*.md".to_owned()],
            ..AddOptions::default()
        };
        assert_eq!(add(&config, &options("notes", ""), &mut console).unwrap(), Exit::Done);
        assert!(error.text().contains("gibbon index --collection notes"), "{}", error.text());
        let written = std::fs::read_to_string(&config.paths.config_file).unwrap();
        assert!(written.starts_with("[collections.notes]\npaths = ["), "{written}");
        for (name, path, part) in [
            ("notes", "", "already"),
            ("all", "", "every collection"),
            ("a b", "", "other characters"),
            ("new", "nothing", "cannot be added"),
        ] {
            let failure = add(&config, &options(name, path), &mut console).unwrap_err().to_string();
            assert!(failure.contains(part), "{name}: {failure}");
        }
        let wrong = AddOptions { include: vec!["[z-a]".to_owned()], ..options("new", "") };
        assert!(add(&config, &wrong, &mut console).unwrap_err().to_string().contains("[z-a]"));
        assert_eq!(std::fs::read_to_string(&config.paths.config_file).unwrap(), written);
    }

    #[test]
    fn collections_are_listed_with_what_is_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        let mut answer = config.answer.clone();
        answer.system_prompt = "Be careful.".to_owned();
        let law = Collection { paths: vec!["/l".into()], include: vec![], exclude: vec![], answer };
        config.collections.insert("law".to_owned(), law);
        let row = |collection: &str, files, cached_chunks| CollectionCache {
            collection: collection.to_owned(),
            files,
            share: CacheShare {
                chunks: 42,
                cached_chunks,
                tokens: 9910,
                bytes: 229_638_144,
                last_used: None,
            },
        };
        let rows = [row("law", 7, 40), row("default", 12, 0)];
        let paths = |_: &str| vec!["~/cases".to_owned(), "~/statutes".to_owned()];
        insta::assert_snapshot!(listing(&config, &rows, &paths, Style::PLAIN));
    }
}
