//! The indexing as the screen shows it: what is indexed, the run under way or the last one, and what is asked for.

use std::path::PathBuf;

use crossterm::event::KeyEvent;

use super::{
    app::{App, Effect, View},
    index_run::{Ending, IndexRun, Purpose},
    keys::{Context, IndexingAction},
    path_field::PathField,
    view::{indexing_overflow, indexing_reveal},
};
use crate::engine::{
    CatalogueQuery, CatalogueReply, CatalogueRequest, Command, Event, IndexRequest, IndexedRoot, Outcome,
    RequestId,
};

#[derive(Debug, Clone, Default)]
pub struct IndexingView {
    /// The first visible row of what scrolls.
    pub top: usize,
    /// The selected root.
    pub selected: usize,
    /// What the user added; `None` until the catalogue has said.
    pub roots: Option<Vec<IndexedRoot>>,
    pub prompt: Option<Prompt>,
    /// The run under way, or the last one.
    pub run: Option<IndexRun>,
    /// Why the last key did nothing.
    pub notice: Option<String>,
}

/// What the view asks the user.
#[derive(Debug, Clone, PartialEq)]
pub enum Prompt {
    Add(PathField),
    Forget(IndexedRoot),
}

impl IndexingView {
    /// The context of the keys that hold while the user is asked something.
    pub fn context(&self) -> Option<Context> {
        Some(match self.prompt.as_ref()? {
            Prompt::Add(_) => Context::TypingPath,
            Prompt::Forget(_) => Context::Forgetting,
        })
    }

    /// Takes a key that has no binding: text being typed.
    pub fn key(&mut self, event: KeyEvent) {
        if let Some(Prompt::Add(path)) = &mut self.prompt {
            path.key(event);
        }
    }

    /// Takes pasted text.
    pub fn paste(&mut self, text: &str) {
        if let Some(Prompt::Add(path)) = &mut self.prompt {
            path.paste(text);
        }
    }

    /// Takes the folders that begin as `typed` does.
    pub fn offer(&mut self, typed: &str, found: Vec<String>) {
        if let Some(Prompt::Add(path)) = &mut self.prompt {
            path.offer(typed, found);
        }
    }

    fn running(&mut self, id: RequestId) -> Option<&mut IndexRun> {
        self.run.as_mut().filter(|run| run.id == id && run.is_running())
    }

    fn select(&mut self, step: isize) {
        let last = self.roots.as_ref().map_or(0, Vec::len).saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(step).min(last);
    }
}

impl App {
    /// Shows the indexing, and asks the catalogue what is indexed.
    pub(super) fn open_indexing(&mut self) -> Vec<Effect> {
        self.indexing_view.notice = None;
        if self.engine_gone { Vec::new() } else { vec![ask_for_files()] }
    }

    pub(super) fn perform_indexing(&mut self, action: IndexingAction) -> Vec<Effect> {
        self.indexing_view.notice = None;
        match action {
            IndexingAction::Up => self.select_root(-1),
            IndexingAction::Down => self.select_root(1),
            IndexingAction::PageUp => self.scroll_indexing(-1),
            IndexingAction::PageDown => self.scroll_indexing(1),
            IndexingAction::Add => self.indexing_view.prompt = Some(Prompt::Add(PathField::default())),
            IndexingAction::Refresh => {
                return self.start_indexing(IndexRequest { encode: true, ..IndexRequest::default() });
            }
            IndexingAction::Forget => self.ask_to_forget(),
            IndexingAction::Pause => return self.pause_or_resume(),
            IndexingAction::Stop => return self.stop_indexing(),
            IndexingAction::AddPath => return self.add_typed_path(),
            IndexingAction::CompletePath => return self.complete_path(),
            IndexingAction::ClosePath | IndexingAction::KeepFolder => self.indexing_view.prompt = None,
            IndexingAction::ConfirmForget => return self.forget_folder(),
        }
        Vec::new()
    }

    /// Asks for an index run, unless there is one already.
    pub(super) fn start_indexing(&mut self, request: IndexRequest) -> Vec<Effect> {
        if self.indexing.is_some() {
            self.refuse("Indexing is under way already, one run at a time: wait for its end, or stop it.");
            return Vec::new();
        }
        if self.engine_gone {
            self.refuse("The engine has stopped. Quit and start Gibbon again.");
            return Vec::new();
        }
        vec![Effect::Send(Command::Index(request))]
    }

    /// Takes note of an index run that was asked for.
    pub(super) fn follow_request(&mut self, request: &IndexRequest) {
        self.indexing_view.run = Some(IndexRun::new(request.id, Purpose::of(request), self.now));
        self.indexing_view.top = 0;
    }

    /// Takes note of what the view shows of an event; the catalogue is asked again where the index has changed.
    pub(super) fn follow_indexing(&mut self, event: &Event) -> Vec<Effect> {
        let now = self.now;
        match event {
            Event::Ready(_) if self.view == View::Indexing => return vec![ask_for_files()],
            Event::Progress { id, progress } => {
                if let Some(run) = self.indexing_view.running(*id) {
                    run.report(*progress, now);
                }
            }
            Event::Estimated { id, estimate } => {
                if let Some(run) = self.indexing_view.running(*id) {
                    run.estimate = Some(*estimate);
                }
            }
            Event::LeftOut { id, issue } => {
                if let Some(run) = self.indexing_view.running(*id) {
                    run.leave_out(issue.clone());
                }
            }
            Event::Done { outcome: Outcome::Catalogue(CatalogueReply::Files(listing)), .. } => {
                self.indexing_view.roots = Some(listing.roots.clone());
                self.indexing_view.select(0);
            }
            Event::Done { id, outcome: Outcome::Indexed(report) } => {
                if let Some(run) = self.indexing_view.running(*id) {
                    run.end(Ending::Report(report.clone()), now);
                }
            }
            Event::Failed { id, failure } => {
                if let Some(run) = self.indexing_view.running(*id) {
                    run.end(Ending::Failed(failure.clone()), now);
                }
            }
            _ => {}
        }
        Vec::new()
    }

    fn ask_to_forget(&mut self) {
        if self.indexing.is_some() {
            return self.refuse("Indexing is under way: a folder can be taken out when it has ended.");
        }
        let view = &mut self.indexing_view;
        let selected = view.roots.as_ref().and_then(|roots| roots.get(view.selected)).cloned();
        match selected {
            Some(root) => view.prompt = Some(Prompt::Forget(root)),
            None => self.refuse("There is no folder to take out."),
        }
    }

    fn forget_folder(&mut self) -> Vec<Effect> {
        let Some(Prompt::Forget(root)) = self.indexing_view.prompt.take() else { return Vec::new() };
        self.start_indexing(IndexRequest { forget: vec![root.path], ..IndexRequest::default() })
    }

    fn add_typed_path(&mut self) -> Vec<Effect> {
        let Some(Prompt::Add(path)) = &self.indexing_view.prompt else { return Vec::new() };
        let path = path.field.text().trim().to_owned();
        if path.is_empty() {
            self.refuse("Type the path of a folder or a file; Tab completes it.");
            return Vec::new();
        }
        let add = vec![PathBuf::from(path)];
        let effects = self.start_indexing(IndexRequest { add, encode: true, ..IndexRequest::default() });
        // What was refused stays in the field.
        if !effects.is_empty() {
            self.indexing_view.prompt = None;
        }
        effects
    }

    fn complete_path(&mut self) -> Vec<Effect> {
        let Some(Prompt::Add(path)) = &mut self.indexing_view.prompt else { return Vec::new() };
        path.complete().map(Effect::ListFolders).into_iter().collect()
    }

    fn pause_or_resume(&mut self) -> Vec<Effect> {
        self.pause_indexing(!self.indexing_is_paused())
    }

    /// The run under way is held, or will be, because the user asked for it.
    pub(super) fn indexing_is_paused(&self) -> bool {
        self.indexing_view.run.as_ref().is_some_and(|run| run.is_running() && run.pause_asked)
    }

    /// Holds the index run, or lets it go on.
    pub(super) fn pause_indexing(&mut self, pause: bool) -> Vec<Effect> {
        let Some(run) = self.indexing_view.run.as_mut().filter(|run| run.is_running()) else {
            self.refuse("Nothing is being indexed.");
            return Vec::new();
        };
        run.pause_asked = pause;
        let command = if pause { Command::Pause(run.id) } else { Command::Resume(run.id) };
        self.ask_engine(command)
    }

    fn stop_indexing(&mut self) -> Vec<Effect> {
        let Some(run) = self.indexing_view.run.as_mut().filter(|run| run.is_running()) else {
            self.refuse("Nothing is being indexed.");
            return Vec::new();
        };
        run.stop_asked = true;
        vec![Effect::Cancel(run.id)]
    }

    /// Says why something is not done, where the user looks.
    fn refuse(&mut self, text: &str) {
        match self.view {
            View::Indexing => self.indexing_view.notice = Some(text.to_owned()),
            _ => self.warn(text),
        }
    }

    fn select_root(&mut self, step: isize) {
        self.indexing_view.select(step);
        self.indexing_view.top = indexing_reveal(self);
    }

    fn scroll_indexing(&mut self, pages: isize) {
        let (overflow, height) = indexing_overflow(self);
        let page = height.saturating_sub(1).max(1) as isize;
        let top = self.indexing_view.top.min(overflow);
        self.indexing_view.top = top.saturating_add_signed(pages * page).min(overflow);
    }
}

fn ask_for_files() -> Effect {
    let query = CatalogueQuery::Files;
    Effect::Send(Command::Catalogue(CatalogueRequest { id: RequestId::default(), query }))
}
