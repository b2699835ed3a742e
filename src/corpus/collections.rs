//! Which collections a file belongs to, told by its path alone.
//!
//! A collection has paths and patterns. A file belongs to it when it is, or lies in, one of the paths, and the patterns,
//! taken from there, let it through: some `include` pattern names it or a folder above it (or there are none), and no
//! `exclude` pattern does. The nearer name counts, as in a `.gitignore`: what names a file is stronger than what names
//! its folder.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use ignore::gitignore::Gitignore;

use crate::config::{Collection, patterns};

/// The configured collections, made ready to be compared with many paths. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Collections {
    members: Arc<Vec<Member>>,
}

#[derive(Debug)]
struct Member {
    name: String,
    /// Absolute; without links, as far as they exist.
    paths: Vec<PathBuf>,
    /// `None` where every file is let through.
    include: Option<Gitignore>,
    exclude: Gitignore,
}

impl Collections {
    /// Looks where the paths of `configured` lead today.
    pub fn new(configured: &BTreeMap<String, Collection>) -> Self {
        let member = |(name, collection): (&String, &Collection)| {
            // Patterns were checked when the configuration was read.
            let matcher = |lines: &[String]| patterns(lines).unwrap_or_else(|_| Gitignore::empty());
            Member {
                name: name.clone(),
                paths: collection.paths.iter().map(|path| real(path)).collect(),
                include: (!collection.include.is_empty()).then(|| matcher(&collection.include)),
                exclude: matcher(&collection.exclude),
            }
        };
        Self { members: Arc::new(configured.iter().map(member).collect()) }
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Their names, in the order of [`Self::of`]'s numbers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_str())
    }

    /// The numbers of the collections that the file at `path`, absolute and without links, belongs to.
    pub fn of(&self, path: &Path) -> impl Iterator<Item = usize> {
        (0..).zip(self.members.iter()).filter(move |(_, member)| member.has(path)).map(|(number, _)| number)
    }

    /// True when the files of a root that was added are chosen by collections: it is a path of one. Any other root is
    /// taken as a whole.
    pub fn choose_in(&self, root: &Path) -> bool {
        self.members.iter().any(|member| member.paths.iter().any(|path| path == root))
    }

    /// True when the file at `path` belongs to some collection.
    pub fn have(&self, path: &Path) -> bool {
        self.members.iter().any(|member| member.has(path))
    }

    /// False when no file below the folder at `path` can belong to any collection.
    pub fn may_have_below(&self, path: &Path) -> bool {
        self.members.iter().any(|member| member.may_have_below(path))
    }
}

impl Member {
    fn has(&self, path: &Path) -> bool {
        self.paths.iter().any(|from| below(path, from).is_some_and(|relative| self.lets_through(relative)))
    }

    fn lets_through(&self, relative: &Path) -> bool {
        let names = |matcher: &Gitignore| matcher.matched_path_or_any_parents(relative, false).is_ignore();
        self.include.as_ref().is_none_or(names) && !names(&self.exclude)
    }

    fn may_have_below(&self, folder: &Path) -> bool {
        self.paths.iter().any(|from| {
            // A pattern may bring files of an excluded folder back, so that only files are left out there.
            let is_excluded = |relative: &Path| {
                self.exclude.num_whitelists() == 0
                    && self.exclude.matched_path_or_any_parents(relative, true).is_ignore()
            };
            from.starts_with(folder) || below(folder, from).is_some_and(|relative| !is_excluded(relative))
        })
    }
}

/// `path` from `from` on: its name where it is `from` itself.
fn below<'p>(path: &'p Path, from: &Path) -> Option<&'p Path> {
    match path.strip_prefix(from) {
        Ok(rest) if rest.as_os_str().is_empty() => path.file_name().map(Path::new),
        Ok(rest) => Some(rest),
        Err(_) => None,
    }
}

fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Paths};

    /// Name, paths, patterns to include, patterns to exclude.
    type Listed<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);

    fn collections(list: &[Listed]) -> Collections {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let paths = Paths { config_file: "c".into(), data: "d".into(), state: "s".into() };
        let answer = Config::with_paths(paths).answer;
        let configured = list.iter().map(|(name, paths, include, exclude)| {
            let paths = paths.iter().map(PathBuf::from).collect();
            let (include, exclude) = (owned(include), owned(exclude));
            ((*name).to_owned(), Collection { paths, include, exclude, answer: answer.clone() })
        });
        Collections::new(&configured.collect())
    }

    fn names(collections: &Collections, path: &str) -> Vec<String> {
        let all: Vec<&str> = collections.names().collect();
        collections.of(Path::new(path)).map(|number| all[number].to_owned()).collect()
    }

    #[test]
    fn patterns_choose_among_the_files_of_the_paths() {
        let found = collections(&[
            ("notes", &["/n", "/more/one.md"], &["**/*.md", "/todo/"], &["drafts/", "secret*"]),
            ("work", &["/n/work"], &[], &["*.log"]),
        ]);
        for (path, expected) in [
            ("/n/a.md", &["notes"][..]),
            ("/n/deep/er/a.md", &["notes"]),
            ("/n/a.txt", &[]),
            ("/n/todo/a.txt", &["notes"]),
            ("/n/deep/todo/a.txt", &[]),
            ("/n/drafts/a.md", &[]),
            ("/n/x/drafts/y/a.md", &[]),
            ("/n/secrets.md", &[]),
            ("/n/work/a.md", &["notes", "work"]),
            ("/n/work/a.txt", &["work"]),
            ("/n/work/a.log", &[]),
            ("/nn/a.md", &[]),
            ("/more/one.md", &["notes"]),
            ("/more/two.md", &[]),
        ] {
            assert_eq!(names(&found, path), expected, "{path}");
            assert_eq!(found.have(Path::new(path)), !expected.is_empty(), "{path}");
        }
    }

    #[test]
    fn folders_without_a_file_of_any_collection_are_known() {
        let found = collections(&[
            ("a", &["/n"], &["*.md"], &["target/"]),
            ("b", &["/n/target/docs"], &[], &["old/*", "!old/new.md"]),
        ]);
        for (folder, expected) in [
            ("/n", true),
            ("/n/x", true),
            ("/n/target", true),
            ("/n/target/debug", false),
            ("/n/target/docs/x", true),
            ("/n/target/docs/old", true),
            ("/", true),
            ("/elsewhere", false),
        ] {
            assert_eq!(found.may_have_below(Path::new(folder)), expected, "{folder}");
        }
        assert!(found.choose_in(Path::new("/n")) && !found.choose_in(Path::new("/n/x")));
    }

    #[test]
    fn a_pattern_that_names_the_file_is_stronger_than_one_that_names_its_folder() {
        let found = collections(&[("a", &["/n"], &[], &["drafts/*", "!drafts/final.md"])]);
        assert_eq!(names(&found, "/n/drafts/final.md"), ["a"]);
        assert!(names(&found, "/n/drafts/first.md").is_empty());
    }
}
