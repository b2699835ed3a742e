//! What is indexed: the roots that the user added, the folders in them, the files in those.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// Everything that is indexed, made ready for those who choose from it: there may be many files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileListing {
    /// In the order in which they were added.
    pub roots: Vec<IndexedRoot>,
    /// The folders that files are in, by name, up to the roots; these only where there are several.
    pub folders: Vec<IndexedFolder>,
    pub files: Vec<IndexedFile>,
}

/// A folder or file that the user added, with what is indexed in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedRoot {
    pub path: PathBuf,
    pub files: usize,
    pub chunks: usize,
}

/// A folder with indexed files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedFolder {
    pub path: PathBuf,
    /// From its root, as it is shown, with a `/` at its end.
    pub name: String,
    /// Files in it and in its folders.
    pub files: usize,
}

/// An indexed file, for choosing one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexedFile {
    pub path: PathBuf,
    /// From its root, as it is shown.
    pub name: String,
    pub chunks: usize,
}

impl FileListing {
    /// The files of these roots, with the folders that they are in.
    pub fn new(roots: &[PathBuf], files: Vec<IndexedFile>) -> Self {
        Self { roots: count(roots, &files), folders: folders(roots, &files), files }
    }
}

/// The roots, each with the files and chunks of it. A file in several roots counts for the innermost.
fn count(roots: &[PathBuf], files: &[IndexedFile]) -> Vec<IndexedRoot> {
    let empty = |path: &PathBuf| IndexedRoot { path: path.clone(), files: 0, chunks: 0 };
    let mut counted: Vec<IndexedRoot> = roots.iter().map(empty).collect();
    let depth = |path: &Path| path.components().count();
    for file in files {
        let inside = counted.iter_mut().filter(|root| file.path.starts_with(&root.path));
        if let Some(root) = inside.max_by_key(|root| depth(&root.path)) {
            root.files += 1;
            root.chunks += file.chunks;
        }
    }
    counted
}

fn folders(roots: &[PathBuf], files: &[IndexedFile]) -> Vec<IndexedFolder> {
    let mut folders: HashMap<&Path, (String, usize)> = HashMap::new();
    for file in files {
        let (mut name, mut path) = (file.name.as_str(), file.path.as_path());
        while let (Some(slash), Some(folder)) = (name.rfind('/'), path.parent()) {
            name = &name[..slash];
            path = folder;
            let (_, files) = folders.entry(path).or_insert_with(|| (format!("{name}/"), 0));
            *files += 1;
        }
        if let Some(root) =
            path.parent().filter(|root| roots.len() > 1 && roots.iter().any(|each| each == root))
        {
            let name = root.file_name().unwrap_or(root.as_os_str()).to_string_lossy();
            let (_, files) = folders.entry(root).or_insert_with(|| (format!("{name}/"), 0));
            *files += 1;
        }
    }
    let folder = |(path, (name, files)): (&Path, (String, usize))| {
        let path = path.to_owned();
        IndexedFolder { path, name, files }
    };
    let mut folders: Vec<IndexedFolder> = folders.into_iter().map(folder).collect();
    folders.sort_by(|one, other| (&one.name, &one.path).cmp(&(&other.name, &other.path)));
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(root: &str, name: &str, chunks: usize) -> IndexedFile {
        IndexedFile { path: Path::new(root).join(name), name: name.to_owned(), chunks }
    }

    fn names(roots: &[&str], files: Vec<IndexedFile>) -> Vec<(String, String, usize)> {
        let roots: Vec<PathBuf> = roots.iter().map(PathBuf::from).collect();
        let shown = |folder: IndexedFolder| (folder.name, folder.path.display().to_string(), folder.files);
        FileListing::new(&roots, files).folders.into_iter().map(shown).collect()
    }

    fn row(name: &str, path: &str, files: usize) -> (String, String, usize) {
        (name.to_owned(), path.to_owned(), files)
    }

    #[test]
    fn folders_are_those_that_files_are_in() {
        let files = ["a.md", "x/b.md", "x/y/c.md", "x/y/d.md"].map(|name| file("/d", name, 2)).to_vec();
        assert_eq!(names(&["/d"], files), [row("x/", "/d/x", 3), row("x/y/", "/d/x/y", 2)]);
    }

    #[test]
    fn of_several_roots_each_is_a_choice() {
        let files = vec![file("/d", "a.md", 2), file("/e", "x/b.md", 2), file("/f", "single.md", 2)];
        assert_eq!(
            names(&["/d", "/e", "/f/single.md"], files),
            [row("d/", "/d", 1), row("e/", "/e", 1), row("x/", "/e/x", 1)]
        );
    }

    #[test]
    fn files_count_for_the_innermost_root() {
        let roots = ["/a".into(), "/a/b".into(), "/c/x.md".into()];
        let files = vec![
            file("/a", "1.md", 2),
            file("/a/b", "2.md", 3),
            file("/a", "bc.md", 5),
            file("/c", "x.md", 7),
        ];
        let counted = FileListing::new(&roots, files).roots;
        let numbers: Vec<_> = counted.iter().map(|root| (root.files, root.chunks)).collect();
        assert_eq!(numbers, [(2, 7), (1, 3), (1, 7)]);
    }
}
