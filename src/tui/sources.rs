//! What the keys of the sources pane do, and what a question draws on because of them.

use std::path::PathBuf;

use ratatui::layout::Rect;

use super::{
    app::{App, Effect},
    chips::Chip,
    entry::{Entry, Turn},
    keys::SourcesAction,
    reader::{Place, Reader},
    shelf::{self, DocumentState, OpenDocument, Source},
    text::{Piece, Row, wrap},
    theme::Role,
};
use crate::engine::{
    CatalogueQuery, CatalogueRequest, Command, DocumentText, Failure, Passage, RequestId, RetrievedChunk,
};

impl App {
    pub(super) fn perform_sources(&mut self, action: SourcesAction) -> Vec<Effect> {
        match action {
            SourcesAction::Previous => return self.select_source(-1),
            SourcesAction::Next => return self.select_source(1),
            SourcesAction::PageUp => self.scroll_source(-1),
            SourcesAction::PageDown => self.scroll_source(1),
            SourcesAction::Beginning => self.move_in_source(|_, _, _, _| Place::default()),
            SourcesAction::End => {
                self.move_in_source(|reader, _, columns, height| reader.last(columns, height));
            }
            SourcesAction::Document => return self.toggle_document(),
            SourcesAction::Edit => return self.edit_source(),
            SourcesAction::Pin => self.toggle_pin(Chip::chunk),
            SourcesAction::PinFile => self.toggle_pin(|chunk| Chip::file(&chunk.path)),
            SourcesAction::Drop => return self.drop_source(),
            SourcesAction::RemoveChip => drop(self.chips.remove_last()),
        }
        Vec::new()
    }

    /// What the sources pane lists: the sources of the entry shown, and after them what was dropped from its question.
    pub(super) fn shelf_sources(&self) -> Vec<Source<'_>> {
        let turn = self.shelf_turn();
        let origins = turn.map_or(&[][..], |turn| turn.origins.as_slice());
        let dropped = turn.map_or(&[][..], |turn| turn.selection.dropped.as_slice());
        let source = |chunk, origin, dropped| {
            let pinned = self.chips.pins(chunk);
            Source { chunk, origin, dropped, pinned }
        };
        let used = self.sources().iter().enumerate();
        let used = used.map(|(index, chunk)| source(chunk, origins.get(index).copied(), false));
        let dropped = dropped.iter().filter_map(|id| self.chunk(id));
        used.chain(dropped.map(|chunk| source(chunk, None, true))).collect()
    }

    /// The turn whose sources are shown.
    fn shelf_turn(&self) -> Option<&Turn> {
        match self.transcript.entries().get(self.shelf.entry?)? {
            Entry::Turn(turn) => Some(turn),
            _ => None,
        }
    }

    /// A chunk that some entry shows, by its id.
    fn chunk(&self, id: &str) -> Option<&RetrievedChunk> {
        let entries = self.transcript.entries().iter().rev();
        entries.flat_map(Entry::sources).find(|chunk| chunk.id == id)
    }

    fn selected_source(&self) -> Option<Source<'_>> {
        self.shelf_sources().get(self.shelf.selected).copied()
    }

    /// The rank of the selected source, where it is one that this entry's answer draws on.
    pub(super) fn selected_rank(&self, entry: usize) -> Option<usize> {
        let source = self.selected_source().filter(|source| !source.dropped)?;
        (self.shelf.entry == Some(entry)).then_some(source.chunk.rank)
    }

    /// Where the text of the selected source is on the screen.
    fn source_text(&self) -> Option<Rect> {
        let pane = self.panes()?.sources?;
        let sources = self.shelf_sources();
        let facts = self.source_facts(sources.get(self.shelf.selected)?, pane.width.into()).len();
        Some(shelf::places(pane, sources.len(), facts, self.shelf.document.is_some()).text)
    }

    fn select_source(&mut self, step: isize) -> Vec<Effect> {
        let count = self.shelf_sources().len();
        if !self.shelf.select(step, count) {
            return Vec::new();
        }
        match self.shelf.document.take() {
            Some(document) => self.open_document(Some(document)),
            None => Vec::new(),
        }
    }

    fn toggle_document(&mut self) -> Vec<Effect> {
        match self.shelf.document.take() {
            Some(_) => Vec::new(),
            None => self.open_document(None),
        }
    }

    /// Shows the document of the selected source: `before`, where that is the whole of the same, or else the engine is
    /// asked for it.
    fn open_document(&mut self, before: Option<OpenDocument>) -> Vec<Effect> {
        let Some(chunk) = self.selected_source().map(|source| source.chunk.clone()) else {
            return Vec::new();
        };
        let shown = |document: &OpenDocument| {
            document.path == chunk.path
                && matches!(document.state, DocumentState::Shown { is_whole: true, .. })
        };
        if let Some(mut document) = before.filter(shown) {
            document.turn_to(&chunk);
            self.shelf.document = Some(document);
            return Vec::new();
        }
        let text = shelf::body(&chunk).trim_end().to_owned();
        let passage = Passage { line: chunk.lines.map(|(first, _)| first), text };
        let query = CatalogueQuery::Document { path: chunk.path.clone(), passage };
        let effects =
            self.ask_engine(Command::Catalogue(CatalogueRequest { id: RequestId::default(), query }));
        if !effects.is_empty() {
            self.shelf.document = Some(OpenDocument::asked(chunk.path));
        }
        effects
    }

    /// Takes note of a request for a document that went to the engine.
    pub(super) fn on_document_sent(&mut self, id: RequestId, path: &PathBuf) {
        if let Some(document) = &mut self.shelf.document
            && document.path == *path
            && document.state == DocumentState::Asked(None)
        {
            document.state = DocumentState::Asked(Some(id));
        }
    }

    pub(super) fn on_document(&mut self, id: RequestId, text: DocumentText) {
        let Some(chunk) = self.selected_source().map(|source| source.chunk.clone()) else { return };
        if let Some(document) = self.awaited_document(id) {
            document.show(text, &chunk);
        }
    }

    /// True where it was a document that could not be had.
    pub(super) fn on_document_failed(&mut self, id: RequestId, failure: &Failure) -> bool {
        let document = self.awaited_document(id);
        let awaited = document.is_some();
        if let Some(document) = document {
            document.state = DocumentState::Failed(failure.clone());
        }
        awaited
    }

    fn awaited_document(&mut self, id: RequestId) -> Option<&mut OpenDocument> {
        self.shelf.document.as_mut().filter(|document| document.state == DocumentState::Asked(Some(id)))
    }

    /// Scrolls the text or the document by rows.
    pub(super) fn scroll_source_by(&mut self, rows: isize) {
        self.move_in_source(|reader, place, columns, height| reader.moved(place, rows, columns, height));
    }

    fn scroll_source(&mut self, pages: isize) {
        self.move_in_source(|reader, place, columns, height| {
            let page = height.saturating_sub(1).max(1) as isize;
            reader.moved(place, pages * page, columns, height)
        });
    }

    /// Goes to another place of what is read: the document, where one is open, or else the chunk.
    fn move_in_source(&mut self, go: impl FnOnce(&Reader, Place, usize, usize) -> Place) {
        let Some(area) = self.source_text() else { return };
        let (columns, height) = (area.width.into(), area.height.into());
        match &mut self.shelf.document {
            Some(OpenDocument { state: DocumentState::Shown { reader, place, .. }, .. }) => {
                *place = go(reader, *place, columns, height);
            }
            Some(_) => {}
            None => {
                let Some(source) = self.selected_source() else { return };
                let reader = shelf::chunk_reader(source.chunk);
                self.shelf.place = go(&reader, self.shelf.place, columns, height);
            }
        }
    }

    /// Opens the file of the selected source at its line; at the line read, where the chunk is not in sight.
    fn edit_source(&self) -> Vec<Effect> {
        let Some(source) = self.selected_source() else { return Vec::new() };
        let chunk = source.chunk;
        let height = self.source_text().map_or(0, |area| u32::from(area.height));
        let top = match &self.shelf.document {
            Some(OpenDocument { state: DocumentState::Shown { reader, place, .. }, .. }) => {
                reader.line_number(*place)
            }
            Some(_) => 1,
            None => shelf::chunk_reader(chunk).line_number(self.shelf.place),
        };
        let in_sight = |line: u32| line >= top && line - top < height;
        let line = chunk.lines.map(|(first, _)| if in_sight(first) { first } else { top });
        vec![Effect::Edit { path: chunk.path.clone(), line }]
    }

    fn toggle_pin(&mut self, chip: impl FnOnce(&RetrievedChunk) -> Chip) {
        if let Some(chip) = self.selected_source().map(|source| chip(source.chunk)) {
            self.chips.toggle(chip);
        }
    }

    /// Asks the question of the turn shown again: without the selected source, or with it where it was dropped.
    fn drop_source(&mut self) -> Vec<Effect> {
        let (Some(source), Some(turn), Some(index)) =
            (self.selected_source(), self.shelf_turn(), self.shelf.entry)
        else {
            return Vec::new();
        };
        let mut selection = turn.selection.clone();
        let id = source.chunk.id.clone();
        if source.dropped {
            selection.dropped.retain(|dropped| *dropped != id);
        } else {
            selection.dropped.push(id);
        }
        self.ask_again(index, selection)
    }

    pub(super) fn on_edited(&mut self, ended: Result<(), String>) -> Vec<Effect> {
        if let Err(message) = ended {
            self.warn(message);
        }
        Vec::new()
    }

    /// What is known of a source beside its text, and what there is to say of its document: that the source is not in
    /// it any more, or that a part of it is shown.
    pub(super) fn source_facts(&self, source: &Source<'_>, columns: usize) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut say = |words: &str, role| rows.extend(wrap(&[Piece::new(words, role)], columns, 0));
        match self.shelf.document.as_ref().map(|document| &document.state) {
            Some(DocumentState::Shown { found: false, .. }) => {
                say("The chunk is not in the file any more.", Role::Warning);
            }
            Some(DocumentState::Shown { is_whole: false, .. }) => {
                say("A part of the document: it is too large to be shown whole.", Role::Accent);
            }
            _ => {}
        }
        rows.extend(shelf::facts(source, columns));
        rows
    }
}
