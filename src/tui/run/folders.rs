//! The folders whose paths begin as a text does: completion of a path being typed.

use std::path::{Path, PathBuf, is_separator};

/// Entries of a folder that are looked at; more would keep the answer waiting.
const MOST_ENTRIES: usize = 20_000;
/// Folders offered.
const MOST_FOLDERS: usize = 200;

/// Folders that `typed` is the beginning of, as they would be typed, with a separator at their end; in order.
pub fn folders(typed: &str) -> Vec<String> {
    if typed == "~" {
        return vec!["~/".to_owned()];
    }
    let (parent, beginning) = typed.split_at(typed.rfind(is_separator).map_or(0, |index| index + 1));
    let looked_at = if parent.is_empty() { PathBuf::from(".") } else { expand_home(parent.into()) };
    let entries = std::fs::read_dir(looked_at).into_iter().flatten().take(MOST_ENTRIES).flatten();
    let names = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        (offered(&name, beginning) && entry.path().is_dir()).then_some(name)
    });
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names.truncate(MOST_FOLDERS);
    names.into_iter().map(|name| format!("{parent}{name}/")).collect()
}

/// Hidden folders are offered where a dot is typed; a name with a control character cannot be typed at all.
fn offered(name: &str, beginning: &str) -> bool {
    name.starts_with(beginning)
        && (!name.starts_with('.') || beginning.starts_with('.'))
        && !name.contains(char::is_control)
}

/// `~` and `~/…` as the shell would read them; there is no shell between the user and the screen.
pub fn expand_home(path: PathBuf) -> PathBuf {
    let home = || directories::BaseDirs::new().map(|directories| directories.home_dir().to_owned());
    match path.strip_prefix("~") {
        Ok(rest) if rest == Path::new("") => home().unwrap_or(path),
        Ok(rest) => home().map_or_else(|| path.clone(), |home| home.join(rest)),
        Err(_) => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_begin_so_are_offered_as_typed() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for name in ["notes", "notices", "old", ".hidden", "not\u{7}e"] {
            std::fs::create_dir(directory.path().join(name)).expect("a folder can be made");
        }
        std::fs::write(directory.path().join("notes.md"), "").expect("a file can be written");
        let root = directory.path().to_str().expect("a temporary directory has a plain name");
        let found = |beginning: &str| {
            let found = folders(&format!("{root}/{beginning}"));
            let end = |path: &String| path.strip_prefix(&format!("{root}/")).map(str::to_owned);
            found.iter().map(|path| end(path).expect("the parent is as typed")).collect::<Vec<_>>()
        };
        assert_eq!(found("not"), ["notes/", "notices/"]);
        assert_eq!(found(""), ["notes/", "notices/", "old/"]);
        assert_eq!(found("."), [".hidden/"]);
        assert_eq!(found("zz"), Vec::<String>::new());
        assert_eq!(found("zz/y"), Vec::<String>::new());
    }

    #[test]
    fn only_a_tilde_of_its_own_is_the_home_directory() {
        assert_eq!(folders("~"), ["~/"]);
        for path in ["notes", "/srv/notes", "~me/notes", "a/~/b"] {
            assert_eq!(expand_home(path.into()), PathBuf::from(path));
        }
        let home = directories::BaseDirs::new().map(|directories| directories.home_dir().to_owned());
        if let Some(home) = home {
            assert_eq!(expand_home("~/notes".into()), home.join("notes"));
            assert_eq!(expand_home("~".into()), home);
        }
    }
}
