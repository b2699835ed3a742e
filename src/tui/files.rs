//! Choosing files and folders that questions are about.

use std::path::PathBuf;

use super::{
    app::{App, Effect},
    chips::{Chip, Chips},
    chooser::{Choice, Chooser},
    format::count,
    overlay::Overlay,
};
use crate::engine::{CatalogueQuery, CatalogueRequest, Command, Failure, FileListing, RequestId};

/// The list of files while it is open.
#[derive(Debug, Clone, PartialEq)]
pub struct FilePicker {
    pub chooser: Chooser,
    /// What each choice stands for: a folder or a file.
    paths: Vec<PathBuf>,
    /// The request for the files, once the engine has it.
    request: Option<RequestId>,
}

impl FilePicker {
    /// A picker that waits for its files.
    fn waiting() -> Self {
        let mut chooser = Chooser::new("Ask about", "A file or a folder", Vec::new());
        chooser.nothing = "Looking up the files …".to_owned();
        Self { chooser, paths: Vec::new(), request: None }
    }

    /// Shows folders, then files; those that are chosen say so.
    fn fill(&mut self, listing: FileListing, chips: &Chips) {
        let nothing = if listing.files.is_empty() { "Nothing is indexed yet." } else { "Nothing matches." };
        self.chooser.nothing = nothing.to_owned();
        let folders = listing.folders.into_iter();
        let folders = folders.map(|folder| (folder.path, folder.name, count(folder.files, "file")));
        let files = listing.files.into_iter();
        let files = files.map(|file| (file.path, file.name, count(file.chunks, "chunk")));
        let choice = |(path, name, note): (PathBuf, String, String)| {
            let key = if chips.is_scope(&path) { "chosen" } else { "" };
            (path, Choice::new(name).note(note).key(key))
        };
        let (paths, choices) = folders.chain(files).map(choice).unzip();
        self.paths = paths;
        self.chooser.set_choices(choices);
    }
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

    pub(super) fn on_files(&mut self, id: RequestId, listing: FileListing) {
        if let Some(Overlay::Files(picker)) = &mut self.overlay
            && picker.request == Some(id)
        {
            picker.fill(listing, &self.chips);
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
        let Some(choice) = picker.chooser.chosen() else { return };
        self.input.delete_before('@');
        self.chips.toggle(Chip::scope(&picker.paths[choice], &picker.chooser.choices()[choice].text));
    }
}
