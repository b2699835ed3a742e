//! Choosing files and folders that questions are about.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{
    app::{App, Effect},
    chips::{Chip, Choice as Chosen},
    chooser::{Choice, Chooser},
    format::count,
    overlay::Overlay,
};
use crate::engine::{CatalogueQuery, CatalogueRequest, Command, Failure, IndexedFile, RequestId};

/// The list of files while it is open.
#[derive(Debug, Clone, PartialEq)]
pub struct FilePicker {
    pub chooser: Chooser,
    /// What each choice stands for.
    entries: Vec<Entry>,
    /// The request for the files, once the engine has it.
    request: Option<RequestId>,
}

/// A file or folder to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    path: PathBuf,
    /// From what the user added; a folder's ends with `/`.
    name: String,
    note: String,
}

impl FilePicker {
    /// A picker that waits for its files.
    fn waiting() -> Self {
        let mut chooser = Chooser::new("Ask about", "A file or a folder", Vec::new());
        chooser.nothing = "Looking up the files …".to_owned();
        Self { chooser, entries: Vec::new(), request: None }
    }

    /// Shows folders, then files; those that are chosen say so.
    fn fill(&mut self, roots: &[PathBuf], files: &[IndexedFile], is_chosen: impl Fn(&Path) -> bool) {
        self.entries = folders(roots, files);
        self.entries.extend(files.iter().map(|file| Entry {
            path: file.path.clone(),
            name: file.name.clone(),
            note: count(file.chunks, "chunk"),
        }));
        let choice = |entry: &Entry| {
            let key = if is_chosen(&entry.path) { "chosen" } else { "" };
            Choice::new(entry.name.as_str()).note(entry.note.as_str()).key(key)
        };
        self.chooser.set_choices(self.entries.iter().map(choice).collect());
        let nothing = if files.is_empty() { "Nothing is indexed yet." } else { "Nothing matches." };
        self.chooser.nothing = nothing.to_owned();
    }
}

/// The folders that files are in, in the order of their names, up to the folders that the user added; those only
/// where there are several.
fn folders(roots: &[PathBuf], files: &[IndexedFile]) -> Vec<Entry> {
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
    let entry = |(path, (name, files)): (&Path, (String, usize))| Entry {
        path: path.to_owned(),
        name,
        note: count(files, "file"),
    };
    let mut folders: Vec<Entry> = folders.into_iter().map(entry).collect();
    folders.sort_by(|one, other| (&one.name, &one.path).cmp(&(&other.name, &other.path)));
    folders
}

impl App {
    /// Types an `@`; at the beginning of a word it opens the list of files.
    pub(super) fn type_at(&mut self) -> Vec<Effect> {
        let opens = self.input.at_word_start();
        self.input.insert('@');
        if !opens || self.engine_gone {
            return Vec::new();
        }
        self.overlay = Some(Overlay::Files(FilePicker::waiting()));
        let query = CatalogueQuery::Files;
        self.ask_engine(Command::Catalogue(CatalogueRequest { id: RequestId::default(), query }))
    }

    pub(super) fn on_files_sent(&mut self, id: RequestId) {
        if let Some(Overlay::Files(picker)) = &mut self.overlay {
            picker.request.get_or_insert(id);
        }
    }

    pub(super) fn on_files(&mut self, id: RequestId, roots: &[PathBuf], files: &[IndexedFile]) {
        let chips = &self.chips;
        if let Some(Overlay::Files(picker)) = &mut self.overlay
            && picker.request == Some(id)
        {
            picker.fill(roots, files, |path| chips.contains(&Chosen::Scope(path.to_owned())));
        }
    }

    /// True where it was the list of files that could not be had; it is closed then.
    pub(super) fn on_files_failed(&mut self, id: RequestId, failure: &Failure) -> bool {
        let awaited = matches!(&self.overlay, Some(Overlay::Files(picker)) if picker.request == Some(id));
        if awaited {
            self.overlay = None;
            self.warn(failure.message.clone());
        }
        awaited
    }

    /// Takes what is selected as what questions are about, or takes it away where it was chosen before, in place of
    /// the `@` that was typed.
    pub(super) fn choose_file(&mut self, picker: &FilePicker) {
        let Some(entry) = picker.chooser.chosen().and_then(|choice| picker.entries.get(choice)) else {
            return;
        };
        self.input.delete_before('@');
        self.chips.toggle(Chip::scope(&entry.path, &entry.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(root: &str, name: &str) -> IndexedFile {
        IndexedFile { path: Path::new(root).join(name), name: name.to_owned(), chunks: 2 }
    }

    fn names(roots: &[&str], files: &[IndexedFile]) -> Vec<(String, String, String)> {
        let roots: Vec<PathBuf> = roots.iter().map(PathBuf::from).collect();
        let shown = |entry: Entry| (entry.name, entry.path.display().to_string(), entry.note);
        folders(&roots, files).into_iter().map(shown).collect()
    }

    fn row(name: &str, path: &str, note: &str) -> (String, String, String) {
        (name.to_owned(), path.to_owned(), note.to_owned())
    }

    #[test]
    fn folders_are_those_that_files_are_in() {
        let files =
            [file("/d", "a.md"), file("/d", "x/b.md"), file("/d", "x/y/c.md"), file("/d", "x/y/d.md")];
        assert_eq!(names(&["/d"], &files), [row("x/", "/d/x", "3 files"), row("x/y/", "/d/x/y", "2 files")]);
    }

    #[test]
    fn of_several_roots_each_is_a_choice() {
        let files = [file("/d", "a.md"), file("/e", "x/b.md"), file("/f", "single.md")];
        assert_eq!(
            names(&["/d", "/e", "/f/single.md"], &files),
            [row("d/", "/d", "1 file"), row("e/", "/e", "1 file"), row("x/", "/e/x", "1 file"),]
        );
    }
}
