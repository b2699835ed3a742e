//! The first run: fetching a model and indexing something, each at one key.

use std::path::PathBuf;

use super::{
    app::{App, Effect, View},
    entry::Note,
    keys::IndexingAction,
    panes::Focus,
};
use crate::{
    config::ModelSource,
    engine::{
        Command, Failure, IndexRequest,
        admin::{ModelFile, PullProgress},
    },
};

/// What is known of the model that is to be fetched.
#[derive(Debug, Clone, PartialEq)]
pub struct FirstRun {
    /// The model that the configuration names.
    pub model: ModelSource,
    pub fetch: Fetch,
}

/// How far fetching the model has come.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Fetch {
    /// Nobody has asked for it.
    #[default]
    Idle,
    Running {
        /// Where it comes from, once that is known.
        source: String,
        done: u64,
        /// 0 while unknown.
        total: u64,
        checking: bool,
        /// What went wrong on the way.
        warnings: Vec<String>,
    },
    /// The engine loads it.
    Fetched,
    Failed(Failure),
}

impl Default for FirstRun {
    fn default() -> Self {
        Self { model: ModelSource::Default, fetch: Fetch::Idle }
    }
}

impl FirstRun {
    pub fn is_fetching(&self) -> bool {
        matches!(self.fetch, Fetch::Running { .. })
    }
}

impl App {
    /// The same screen for a configuration with this model.
    pub(super) fn with_model(mut self, model: ModelSource) -> Self {
        self.first_run.model = model;
        self
    }

    /// The screen that says what is needed first is shown, and nothing has been typed.
    pub(super) fn is_first_run(&self) -> bool {
        let lacks_something =
            self.status.as_ref().is_some_and(|status| status.model.is_none() || status.chunks == 0);
        let is_shown = self.view == View::Chat && self.transcript.is_empty();
        let may_type = self.focus == Focus::Input && self.input.is_empty();
        lacks_something && is_shown && may_type && !self.engine_gone && self.indexing.is_none()
    }

    /// Fetches the model where there is none, else asks for a folder.
    pub(super) fn take_next_step(&mut self) -> Vec<Effect> {
        let has_model = self.status.as_ref().is_some_and(|status| status.model.is_some());
        if has_model {
            let mut effects = self.open(View::Indexing);
            effects.extend(self.perform_indexing(IndexingAction::Add));
            return effects;
        }
        if self.first_run.is_fetching() {
            return Vec::new();
        }
        self.first_run.fetch = Fetch::Running {
            source: String::new(),
            done: 0,
            total: 0,
            checking: false,
            warnings: Vec::new(),
        };
        vec![Effect::FetchModel]
    }

    /// Asks for the sample documents, which come with the program.
    pub(super) fn request_samples(&mut self) -> Vec<Effect> {
        let has_model = self.status.as_ref().is_some_and(|status| status.model.is_some());
        match has_model {
            true => vec![Effect::WriteSamples],
            // The samples need the model, too.
            false => self.take_next_step(),
        }
    }

    pub(super) fn on_fetch_progress(&mut self, progress: PullProgress) -> Vec<Effect> {
        if let Fetch::Running { source, done, total, checking, warnings } = &mut self.first_run.fetch {
            match progress {
                PullProgress::Source(name) => (*source, *done, *total) = (name, 0, 0),
                PullProgress::Bytes { done: now, total: all } => (*done, *total) = (now, all),
                PullProgress::Checking => *checking = true,
                PullProgress::Warning(text) => warnings.push(text),
            }
        }
        Vec::new()
    }

    /// Has the engine look for the model again, or says why there is none.
    pub(super) fn on_fetched(&mut self, fetched: Result<ModelFile, Failure>) -> Vec<Effect> {
        match fetched {
            Ok(_) => {
                self.first_run.fetch = Fetch::Fetched;
                self.ask_engine(Command::Refresh)
            }
            Err(failure) => {
                // Where the first screen is gone, nobody would see it there.
                if !self.transcript.is_empty() {
                    self.note(Note::failure(failure.clone()));
                }
                self.first_run.fetch = Fetch::Failed(failure);
                Vec::new()
            }
        }
    }

    pub(super) fn on_samples(&mut self, folder: Result<PathBuf, Failure>) -> Vec<Effect> {
        match folder {
            Ok(folder) => self.ask_engine(Command::Index(IndexRequest {
                add: vec![folder],
                encode: true,
                ..IndexRequest::default()
            })),
            Err(failure) => {
                self.note(Note::failure(failure));
                Vec::new()
            }
        }
    }
}
