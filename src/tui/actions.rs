//! What the keys do.

use std::path::PathBuf;

use super::{
    app::{App, Effect, Request},
    entry::{Entry, Note, Stage, Turn},
    format::{STRATEGIES, strategy},
    keys::Action,
    panes::Focus,
    shelf,
    slash::{self, Slash},
};
use crate::config::Strategy;

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
            Action::OlderQuestion => self.input.older(),
            Action::NewerQuestion => self.input.newer(),
            Action::PageUp => self.transcript.scroll_pages(-1),
            Action::PageDown => self.transcript.scroll_pages(1),
            Action::Oldest => self.transcript.show_oldest(),
            Action::Newest => self.transcript.show_newest(),
            Action::SwitchPane => {
                self.focus = if self.focus == Focus::Input { Focus::Sources } else { Focus::Input };
            }
            Action::LeaveSources => self.focus = Focus::Input,
            Action::PreviousSource => self.shelf.select(-1, self.sources().len()),
            Action::NextSource => self.shelf.select(1, self.sources().len()),
            Action::SourcePageUp => self.scroll_source(-1),
            Action::SourcePageDown => self.scroll_source(1),
            Action::NextStrategy => self.strategy = strategy_after(self.strategy),
            Action::OpenHelp => self.help = Some(0),
            Action::CloseHelp => self.help = None,
            Action::HelpUp => self.scroll_help(-1),
            Action::HelpDown => self.scroll_help(1),
        }
        Vec::new()
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
        if self.engine_gone {
            self.warn("The engine has stopped. Quit and start Gibbon again.");
            return Vec::new();
        }
        if self.running().is_some() {
            self.warn("One answer at a time: wait for it, or cancel it with Esc. Your question stays below.");
            return Vec::new();
        }
        let question = self.input.take();
        let turn = Turn::new(question.clone(), self.strategy, self.now);
        self.transcript.push(Entry::Turn(Box::new(turn)));
        vec![Effect::Request(Request::Ask { question, strategy: self.strategy })]
    }

    fn obey(&mut self, command: Result<Slash, String>) -> Vec<Effect> {
        match command {
            Ok(Slash::Help) => self.help = Some(0),
            Ok(Slash::Quit) => return vec![Effect::Quit],
            Ok(Slash::Strategy(chosen)) => {
                self.strategy = chosen;
                self.note(Note::info(format!("Questions are now answered with `{}`.", strategy(chosen))));
            }
            Ok(Slash::Index(path)) => return self.request_index(path),
            Ok(Slash::Search(words)) => return self.request(Request::Search { words }),
            Err(message) => self.warn(message),
        }
        Vec::new()
    }

    fn request_index(&mut self, path: PathBuf) -> Vec<Effect> {
        if self.indexing.is_some() {
            self.warn("Indexing is under way already; wait for its end.");
            return Vec::new();
        }
        self.request(Request::Index { path })
    }

    fn request(&mut self, request: Request) -> Vec<Effect> {
        if self.engine_gone {
            self.warn("The engine has stopped. Quit and start Gibbon again.");
            return Vec::new();
        }
        vec![Effect::Request(request)]
    }

    /// Marks the running answer as cancelled at once; the engine stops within a token.
    fn cancel(&mut self) -> Vec<Effect> {
        let Some(index) = self.running() else { return Vec::new() };
        let mut id = None;
        self.transcript.change(index, |entry| {
            if let Entry::Turn(turn) = entry {
                turn.stage = Stage::Cancelled;
                id = turn.id;
            }
        });
        id.map(Effect::Cancel).into_iter().collect()
    }

    fn interrupt(&mut self) -> Vec<Effect> {
        if self.interrupted.is_some() {
            return vec![Effect::Quit];
        }
        self.interrupted = Some(self.now);
        Vec::new()
    }

    fn scroll_source(&mut self, pages: isize) {
        let Some(pane) = self.panes().and_then(|panes| panes.sources) else { return };
        let sources = self.sources();
        let Some(chunk) = sources.get(self.shelf.selected) else { return };
        let (_, height) = shelf::split(pane.height.into(), sources.len());
        let rows = shelf::text_rows(chunk, pane.width.into()).len();
        self.shelf.scroll(pages * height.saturating_sub(1).max(1) as isize, rows, height);
    }

    fn scroll_help(&mut self, rows: isize) {
        let most = super::view::help_overflow(self.size);
        self.help = self.help.map(|top| top.saturating_add_signed(rows).min(most));
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
