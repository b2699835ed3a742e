//! What the engine's events change on the screen.

use super::{
    app::{App, Effect, Indexing},
    entry::{Entry, Note, Severity, Stage, Turn},
    format::{count, duration},
    keys::Action,
};
use crate::engine::{
    Answer, CatalogueQuery, CatalogueReply, Command, Event, Failure, FailureKind, IndexReport, IndexerStatus,
    Outcome, RequestId, RetrievedChunk, StopReason,
};

/// Files left out that a report lists; the others are counted.
const LISTED_ISSUES: usize = 6;

impl App {
    pub(super) fn on_engine(&mut self, event: Event) -> Vec<Effect> {
        self.follow_timings(&event);
        let effects = self.follow_indexing(&event);
        match event {
            Event::Ready(status) => self.status = Some(status),
            Event::Progress { id, .. } if self.comparison.expects(id) => {}
            Event::Progress { id, progress } => match self.turn(id) {
                Some(_) => self.change(id, |turn| turn.progress = Some(progress)),
                None => self.indexing = Some(Indexing { id, progress: Some(progress) }),
            },
            Event::Retrieved { id, chunks } if self.comparison.expects(id) => {
                self.comparison.on_retrieved(chunks);
            }
            Event::Retrieved { id, chunks } => self.on_retrieved(id, chunks),
            Event::Loaded { id, origins } => self.advance(id, Stage::Loaded, |turn| turn.origins = origins),
            Event::Prefilled { id, .. } => self.advance(id, Stage::Prefilled, |_| {}),
            Event::Token { id, text } => self.on_token(id, &text),
            Event::Measured { id, runs, answer, .. } if self.comparison.expects(id) => {
                self.comparison.on_measured(runs, *answer);
            }
            Event::Elsewhere(status) => return self.on_elsewhere(status),
            Event::Measured { .. }
            | Event::Estimated { .. }
            | Event::LeftOut { .. }
            | Event::Watching { .. } => {}
            Event::Warning { id: Some(id), message } if self.comparison.expects(id) => {
                self.comparison.on_warning(message);
            }
            Event::Warning { id, message } => self.on_warning(id, message),
            Event::Done { id, outcome } => return self.on_done(id, outcome),
            Event::Failed { id, failure } => self.on_failed(id, failure),
        }
        effects
    }

    /// Takes note of a command that went to the engine with its id.
    pub(super) fn on_sent(&mut self, command: Command) -> Vec<Effect> {
        match command {
            Command::Ask(request) => {
                self.timings.selected = None;
                if let Some(index) = self.running() {
                    self.transcript.change(index, |entry| {
                        if let Entry::Turn(turn) = entry {
                            turn.id = Some(request.id);
                        }
                    });
                }
            }
            Command::Index(request) => {
                if let Some(path) = request.add.first() {
                    self.note(Note::info(format!("Indexing {} …", path.display())));
                }
                self.follow_request(&request);
                self.indexing = Some(Indexing { id: request.id, progress: None });
            }
            Command::Search(request) => self.searches.push((request.id, request.question)),
            Command::Catalogue(request) => match &request.query {
                CatalogueQuery::Document { path, .. } => self.on_document_sent(request.id, path),
                CatalogueQuery::Files => self.on_files_sent(request.id),
                query => self.on_chats_sent(request.id, query),
            },
            Command::Compare(request) => self.comparison.on_sent(request.id),
            Command::Pause(_)
            | Command::Resume(_)
            | Command::Cancel(_)
            | Command::Refresh
            | Command::Shutdown => {}
        }
        Vec::new()
    }

    /// Another process indexes, or has stopped: what it has done by now counts here as well.
    fn on_elsewhere(&mut self, now: Option<IndexerStatus>) -> Vec<Effect> {
        let has_stopped = now.is_none();
        if let (Some(status), Some(now)) = (&mut self.status, now.as_ref().filter(|now| now.chunks > 0)) {
            status.files = now.files;
            status.chunks = now.chunks;
            status.cached_chunks = now.cached_chunks;
            status.cache_bytes = now.cache_bytes;
        }
        self.elsewhere = now;
        if has_stopped { vec![Effect::Send(Command::Refresh)] } else { Vec::new() }
    }

    pub(super) fn on_engine_gone(&mut self) -> Vec<Effect> {
        self.engine_gone = true;
        self.indexing = None;
        let failure = Failure {
            kind: FailureKind::Internal,
            message: "The engine has stopped.".to_owned(),
            hint: Some("Quit and start Gibbon again; the log says why it stopped.".to_owned()),
        };
        if self.comparison.is_running() {
            self.comparison.on_failed(failure.clone());
        }
        match self.running() {
            Some(index) => self.transcript.change(index, |entry| {
                if let Entry::Turn(turn) = entry {
                    turn.stage = Stage::Failed(failure);
                }
            }),
            None => self.note(Note::failure(failure)),
        }
        self.mark_superseded();
        Vec::new()
    }

    fn on_retrieved(&mut self, id: RequestId, chunks: Vec<RetrievedChunk>) {
        if let Some(index) = self.turn(id) {
            self.shelf.show(index);
        }
        self.advance(id, Stage::Retrieved, |turn| turn.sources = chunks);
    }

    fn on_token(&mut self, id: RequestId, text: &str) {
        let Some(index) = self.turn(id) else { return };
        self.transcript.grow(index, |entry| {
            if let Entry::Turn(turn) = entry
                && turn.is_running()
            {
                turn.stage = Stage::Streaming;
                turn.progress = None;
                // An answer does not begin with the blank that separates words.
                turn.text.push_str(if turn.text.is_empty() { text.trim_start() } else { text });
            }
        });
    }

    fn on_warning(&mut self, id: Option<RequestId>, message: String) {
        match id.filter(|id| self.turn(*id).is_some()) {
            Some(id) => self.change(id, |turn| turn.warnings.push(message)),
            None => self.warn(message),
        }
    }

    fn on_done(&mut self, id: RequestId, outcome: Outcome) -> Vec<Effect> {
        self.end_indexing(id);
        match outcome {
            Outcome::Answer(answer) => {
                // A late answer of a chat that was left does not bring it back.
                if self.turn(id).is_some_and(|index| index >= self.chat_start()) {
                    self.chat = answer.kept.map(|kept| kept.chat).or(self.chat);
                }
                self.change(id, |turn| finish(turn, answer));
                self.mark_superseded();
            }
            Outcome::Indexed(report) => self.note(report_note(report)),
            Outcome::Found(chunks) => {
                let words = self.take_search(id).unwrap_or_default();
                let hint = self.found_hint(&chunks);
                self.note(found_note(&words, chunks, hint));
                self.shelf.show(self.transcript.entries().len() - 1);
            }
            Outcome::Catalogue(CatalogueReply::Document(text)) => self.on_document(id, text),
            Outcome::Catalogue(CatalogueReply::Files(listing)) => self.on_files(id, listing),
            Outcome::Comparison(comparison) if self.comparison.expects(id) => {
                self.comparison.on_done(comparison);
            }
            Outcome::Catalogue(CatalogueReply::Chats(chats)) => self.on_chats(id, chats),
            Outcome::Catalogue(CatalogueReply::Chat(chat)) => return self.on_chat(id, chat),
            Outcome::Catalogue(CatalogueReply::Changed) => return self.on_chats_changed(id),
            Outcome::Comparison(_) => {}
        }
        Vec::new()
    }

    fn on_failed(&mut self, id: RequestId, failure: Failure) {
        if self.comparison.knows(id) {
            // What comes late, for a cancelled one, changes nothing.
            if self.comparison.expects(id) {
                self.comparison.on_failed(failure);
            }
            return;
        }
        if self.on_document_failed(id, &failure)
            || self.on_files_failed(id, &failure)
            || self.on_chats_failed(id, &failure)
        {
            return;
        }
        if self.turn(id).is_some() {
            self.change(id, |turn| {
                turn.progress = None;
                turn.stage = match failure.kind {
                    FailureKind::Cancelled => Stage::Cancelled,
                    _ => Stage::Failed(failure),
                }
            });
            return self.mark_superseded();
        }
        self.take_search(id);
        self.end_indexing(id);
        // Request 0 is the engine itself: it could not start.
        self.engine_gone |= id == RequestId(0);
        self.note(Note::failure(failure));
    }

    fn end_indexing(&mut self, id: RequestId) {
        if self.indexing.is_some_and(|indexing| indexing.id == id) {
            self.indexing = None;
        }
    }

    fn found_hint(&self, found: &[RetrievedChunk]) -> String {
        let key = self.keymap.key(Action::NextPane).filter(|_| !found.is_empty());
        match key {
            None if found.is_empty() => "The search is for words, not for meanings: try others.".to_owned(),
            None => "Their text is in the sources.".to_owned(),
            Some(key) => format!("{key} goes to the sources; their text is there."),
        }
    }

    fn take_search(&mut self, id: RequestId) -> Option<String> {
        let index = self.searches.iter().position(|(sent, _)| *sent == id)?;
        Some(self.searches.remove(index).1)
    }

    /// The number of the turn that this request is for.
    fn turn(&self, id: RequestId) -> Option<usize> {
        self.turns().rev().find(|(_, turn)| turn.id == Some(id)).map(|(index, _)| index)
    }

    fn change(&mut self, id: RequestId, change: impl FnOnce(&mut Turn)) {
        let Some(index) = self.turn(id) else { return };
        self.transcript.change(index, |entry| {
            if let Entry::Turn(turn) = entry {
                change(turn);
            }
        });
    }

    /// Takes a running turn on to `stage`. What comes late, for a cancelled one, changes its data only.
    fn advance(&mut self, id: RequestId, stage: Stage, change: impl FnOnce(&mut Turn)) {
        self.change(id, |turn| {
            change(turn);
            turn.progress = None;
            if turn.is_running() {
                turn.stage = stage;
            }
        });
    }
}

fn finish(turn: &mut Turn, answer: Answer) {
    turn.stage = match answer.stop {
        StopReason::Cancelled => Stage::Cancelled,
        stop => Stage::Answered(stop),
    };
    turn.text = answer.text.trim().to_owned();
    turn.sources = answer.sources;
    turn.origins = answer.origins;
    turn.strategy = answer.strategy;
    turn.timings = Some(answer.timings);
    turn.kept = answer.kept;
    turn.progress = None;
}

fn found_note(words: &str, chunks: Vec<RetrievedChunk>, hint: String) -> Note {
    let found = if chunks.is_empty() { "Nothing".to_owned() } else { count(chunks.len(), "chunk") };
    Note { text: format!("{found} for “{words}”."), hint: Some(hint), sources: chunks, ..Note::default() }
}

fn report_note(report: IndexReport) -> Note {
    let files = [
        (report.files_added, "added"),
        (report.files_changed, "changed"),
        (report.files_removed, "removed"),
        (report.files_unchanged, "unchanged"),
    ];
    let files: Vec<_> = files
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{} {what}", count(*number, "file")))
        .collect();
    let files = if files.is_empty() { "no files found".to_owned() } else { files.join(", ") };
    let verb = if report.cancelled { "Indexing was stopped" } else { "Indexed" };
    let mut details = Vec::new();
    if report.chunks_encoded > 0 {
        let time = duration(report.encode_seconds);
        details.push(format!("{} encoded in {time}", count(report.chunks_encoded, "chunk")));
    }
    if report.chunks_left > 0 {
        let left = count(report.chunks_left, "chunk");
        details.push(format!("{left} left to be encoded when first retrieved"));
    }
    for issue in report.issues.iter().take(LISTED_ISSUES) {
        details.push(format!("left out: {} ({})", issue.path.display(), issue.reason));
    }
    if report.issues.len() > LISTED_ISSUES {
        details.push(format!("and {} more", count(report.issues.len() - LISTED_ISSUES, "file")));
    }
    let severity = match report.cancelled || !report.issues.is_empty() {
        true => Severity::Warning,
        false => Severity::Success,
    };
    Note { severity, text: format!("{verb}: {files}."), details, ..Note::default() }
}
