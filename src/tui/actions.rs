//! What the keys do.

use std::path::PathBuf;

use super::{
    app::{App, Effect, View},
    copying::ExportFormat,
    entry::{Entry, Note, Stage},
    format::{STRATEGIES, strategy},
    keys::{Action, ComparisonAction},
    overlay::{Help, Overlay},
    palette::Palette,
    panes::{Focus, Side},
    slash::{self, Slash},
};
use crate::{
    config::Strategy,
    engine::{Command, IndexRequest, SearchRequest, export::comparison::ComparisonFormat},
};

impl App {
    /// Does what a key stands for.
    pub(super) fn perform(&mut self, action: Action) -> Vec<Effect> {
        if action != Action::Interrupt {
            self.interrupted = None;
        }
        match action {
            Action::Send => {
                self.transcript.show_newest();
                return self.send();
            }
            Action::Cancel => return self.cancel(),
            Action::Interrupt => return self.interrupt(),
            Action::Quit => return vec![Effect::Quit],
            Action::Redraw => return vec![Effect::Redraw],
            Action::Suspend => return vec![Effect::Suspend],
            Action::Newline => self.input.newline(),
            Action::DeleteWord => self.input.delete_word(),
            Action::DeleteToLineStart => self.input.delete_to_line_start(),
            Action::Complete => self.complete(),
            Action::PreviousCompletion => self.step_completion(-1),
            Action::NextCompletion => self.step_completion(1),
            Action::OlderQuestion => self.input.older(),
            Action::NewerQuestion => self.input.newer(),
            Action::PageUp => self.transcript.scroll_pages(-1),
            Action::PageDown => self.transcript.scroll_pages(1),
            Action::Oldest => self.transcript.show_oldest(),
            Action::Newest => self.transcript.show_newest(),
            Action::NextPane => self.focus_on(self.focus.next()),
            Action::PreviousPane => self.focus_on(self.focus.previous()),
            Action::ToQuestion => self.focus_on(Focus::Input),
            Action::NewChat => self.start_chat(),
            Action::RetryLast => return self.retry_last(),
            Action::EditLast => self.edit_last(),
            Action::LeaveEditing => self.leave_editing(),
            Action::NextStrategy => self.strategy = strategy_after(self.strategy),
            Action::TypeAt => return self.type_at(),
            Action::NextStep => return self.take_next_step(),
            Action::IndexSamples => return self.request_samples(),
            Action::ToggleMouse => return self.toggle_mouse(),
            Action::Open(view) => return self.open(view),
            Action::OpenHelp => self.overlay = Some(Overlay::Help(Help::default())),
            Action::OpenPalette => self.overlay = Some(Overlay::Palette(Palette::of(self))),
            Action::OpenThemes => self.open_themes(),
            Action::Comparison(action) => return self.perform_comparison(action),
            Action::Indexing(action) => return self.perform_indexing(action),
            Action::Chats(action) => return self.perform_chats(action),
            Action::Conversation(action) => return self.perform_conversation(action),
            Action::Sources(action) => return self.perform_sources(action),
            Action::Log(action) => return self.perform_log(action),
            Action::Timings(action) => return self.perform_timings(action),
            Action::Overlay(action) => return self.perform_overlay(action),
        }
        Vec::new()
    }

    /// Shows a view.
    pub(super) fn open(&mut self, view: View) -> Vec<Effect> {
        self.view = view;
        match view {
            View::Indexing => self.open_indexing(),
            View::Log => self.log.read_when_due(self.now),
            View::Chats => self.open_chats(),
            View::Chat | View::Comparison => Vec::new(),
        }
    }

    /// Gives the keyboard to a pane, and shows it.
    pub(super) fn focus_on(&mut self, focus: Focus) {
        self.focus = focus;
        match focus {
            Focus::Sources => self.side = Side::Sources,
            Focus::Timings => self.side = Side::Timings,
            Focus::Input | Focus::Conversation => {}
        }
    }

    /// Sends the question, or does what the slash command says.
    fn send(&mut self) -> Vec<Effect> {
        let text = self.input.text();
        let text = text.trim();
        if text.is_empty() {
            return Vec::new();
        }
        if text.starts_with('/') {
            let command = slash::parse(text);
            self.input.take();
            return self.obey(command);
        }
        if !self.may_ask() {
            return Vec::new();
        }
        let question = self.input.take();
        let replaces = self.editing.take().map(|editing| editing.turn);
        let selection = self.next_selection(replaces);
        self.ask(question, selection, replaces)
    }

    pub(super) fn obey(&mut self, command: Result<Slash, String>) -> Vec<Effect> {
        match command {
            Ok(Slash::Export(format)) => return self.export_shown(format),
            Ok(Slash::Do(action)) => return self.perform(action),
            Ok(Slash::InChat(action)) => {
                self.view = View::Chat;
                return self.perform(action);
            }
            Ok(Slash::Pane(pane)) => {
                self.view = View::Chat;
                self.focus_on(pane);
            }
            Ok(Slash::Chats(words)) => return self.find_chats(&words),
            Ok(Slash::Rename(title)) => return self.rename_this_chat(title),
            Ok(Slash::Cancel) => return self.cancel_shown(),
            Ok(Slash::Pause(pause)) => return self.pause_indexing(pause),
            Ok(Slash::Strategy(chosen)) => {
                self.strategy = chosen;
                self.note(Note::info(format!("Questions are now answered with `{}`.", strategy(chosen))));
            }
            Ok(Slash::In(names)) => self.choose_collections(&names),
            Ok(Slash::Theme(name)) => return self.use_theme(name),
            Ok(Slash::Index(path)) => return self.request_index(path),
            Ok(Slash::Search(words)) => return self.request_search(words),
            Ok(Slash::Compare(Some(question))) => return self.compare(question),
            Ok(Slash::Compare(None)) => return self.perform_comparison(ComparisonAction::Compare),
            Err(message) => self.warn(message),
        }
        Vec::new()
    }

    /// Saves the comparison where it is shown, else the chat.
    fn export_shown(&mut self, format: ExportFormat) -> Vec<Effect> {
        match (self.view, format) {
            (View::Comparison, ExportFormat::Markdown) => self.export_comparison(ComparisonFormat::Markdown),
            (View::Comparison, ExportFormat::Json) => self.export_comparison(ComparisonFormat::Json),
            _ => self.export_chat(format),
        }
    }

    /// Cancels the comparison where it is shown, else the running answer.
    fn cancel_shown(&mut self) -> Vec<Effect> {
        if self.view == View::Comparison && self.comparison.is_running() {
            return self.perform_comparison(ComparisonAction::Cancel);
        }
        if self.running().is_none() {
            self.flash("No answer is under way");
        }
        self.cancel()
    }

    fn request_index(&mut self, path: PathBuf) -> Vec<Effect> {
        self.start_indexing(IndexRequest { add: vec![path], encode: true, ..IndexRequest::default() })
    }

    fn request_search(&mut self, words: String) -> Vec<Effect> {
        let collections = self.chips.collections();
        self.ask_engine(Command::Search(SearchRequest {
            question: words,
            collections,
            ..SearchRequest::default()
        }))
    }

    /// Sends a command while there is an engine to take it.
    pub(super) fn ask_engine(&mut self, command: Command) -> Vec<Effect> {
        if self.engine_gone {
            self.warn("The engine has stopped. Quit and start Gibbon again.");
            return Vec::new();
        }
        vec![Effect::Send(command)]
    }

    /// Marks the running answer as cancelled at once; the engine stops within a token.
    pub(super) fn cancel(&mut self) -> Vec<Effect> {
        let Some(index) = self.running() else { return Vec::new() };
        let mut id = None;
        self.transcript.change(index, |entry| {
            if let Entry::Turn(turn) = entry {
                turn.stage = Stage::Cancelled;
                id = turn.id;
            }
        });
        self.mark_superseded();
        id.map(Effect::Cancel).into_iter().collect()
    }

    fn interrupt(&mut self) -> Vec<Effect> {
        if self.interrupted.is_some() {
            return vec![Effect::Quit];
        }
        self.interrupted = Some(self.now);
        Vec::new()
    }

    pub(super) fn note(&mut self, note: Note) {
        self.transcript.push(Entry::Note(note));
    }

    pub(super) fn warn(&mut self, text: impl Into<String>) {
        self.note(Note::warning(text));
    }
}

fn strategy_after(strategy: Strategy) -> Strategy {
    let index = STRATEGIES.iter().position(|each| *each == strategy).unwrap_or(0);
    STRATEGIES[(index + 1) % STRATEGIES.len()]
}
