//! The conversation under the keyboard: which turn and which citation is selected.

use super::{
    app::{App, Effect},
    entry::{Entry, Turn},
    keys::{Action, ConversationAction},
    panes::Focus,
};

impl App {
    pub(super) fn perform_conversation(&mut self, action: ConversationAction) -> Vec<Effect> {
        match action {
            ConversationAction::Up => self.transcript.scroll(-1),
            ConversationAction::Down => self.transcript.scroll(1),
            ConversationAction::PageUp => self.transcript.scroll_pages(-1),
            ConversationAction::PageDown => self.transcript.scroll_pages(1),
            ConversationAction::Oldest => self.transcript.show_oldest(),
            ConversationAction::Newest => self.transcript.show_newest(),
            ConversationAction::PreviousTurn => self.step_turn(-1),
            ConversationAction::NextTurn => self.step_turn(1),
            ConversationAction::PreviousCitation => {
                let chosen = self.transcript.choose_previous();
                self.on_chosen(chosen.map(|(entry, _)| entry));
            }
            ConversationAction::NextCitation => {
                let chosen = self.transcript.choose_next();
                self.on_chosen(chosen.map(|(entry, _)| entry));
            }
            ConversationAction::OpenCitation => self.open_citation(),
            ConversationAction::CopyAnswer => return self.copy_answer(),
            ConversationAction::CopyCode => return self.copy_code(),
            ConversationAction::CopyCitation => return self.copy_citation(),
            ConversationAction::Retry => {
                let turn = self.turn_at_hand().map(|(index, _)| index);
                return turn.map_or_else(Vec::new, |index| self.retry(index));
            }
            ConversationAction::Edit => {
                if let Some((index, _)) = self.turn_at_hand() {
                    self.edit(index);
                }
            }
            ConversationAction::Export(format) => return self.export_chat(format),
        }
        Vec::new()
    }

    /// The turn that is copied, asked again or compared, with its entry's number: at the question the last one, else
    /// the selected one.
    pub(super) fn turn_at_hand(&self) -> Option<(usize, &Turn)> {
        match self.focus {
            Focus::Input => self.turns().next_back(),
            Focus::Conversation | Focus::Sources | Focus::Timings => self.selected_turn(),
        }
    }

    /// The selected turn with its entry's number; the last one where none was selected.
    pub(super) fn selected_turn(&self) -> Option<(usize, &Turn)> {
        let selected = self.selected.and_then(|index| match self.transcript.entries().get(index) {
            Some(Entry::Turn(turn)) => Some((index, turn.as_ref())),
            _ => None,
        });
        selected.or_else(|| self.turns().next_back())
    }

    /// Selects the turn `step` further on and shows it, its sources and its timings.
    fn step_turn(&mut self, step: isize) {
        let turns: Vec<usize> = self.turns().map(|(index, _)| index).collect();
        let Some((at, _)) = self.selected_turn() else { return };
        let position = turns.iter().position(|index| *index == at).unwrap_or(0);
        let next = position.saturating_add_signed(step).min(turns.len() - 1);
        self.transcript.choose(None);
        self.select_turn(turns[next]);
        self.transcript.show_entry(turns[next]);
    }

    /// Selects a turn; sources and timings are those of it.
    fn select_turn(&mut self, index: usize) {
        self.selected = Some(index);
        self.timings.selected = Some(index);
        if self.shelf.entry != Some(index) {
            self.shelf.show(index);
        }
    }

    fn on_chosen(&mut self, entry: Option<usize>) {
        match entry {
            Some(entry) => self.select_turn(entry),
            None if self.transcript.chosen().is_none() => self.flash("No citation to choose"),
            None => {}
        }
    }

    /// Shows the source that the chosen citation names, in the sources pane.
    fn open_citation(&mut self) {
        let Some((entry, citation)) = self.transcript.chosen() else {
            return self.flash(self.no_citation_chosen());
        };
        self.open_source(entry, citation.rank);
    }

    /// What is said where a citation has to be chosen first.
    pub(super) fn no_citation_chosen(&self) -> String {
        match self.keymap.keys(Action::Conversation(ConversationAction::NextCitation)) {
            Some(keys) => format!("Choose a citation in the conversation first: {keys}"),
            None => "Choose a citation in the conversation first".to_owned(),
        }
    }

    /// Shows the source of this rank of an entry, with the keyboard in the sources pane.
    pub(super) fn open_source(&mut self, entry: usize, rank: usize) {
        self.select_turn(entry);
        self.focus_on(Focus::Sources);
        self.shelf.document = None;
        let sources = self.shelf_sources();
        let count = sources.len();
        let position = sources.iter().position(|source| source.chunk.rank == rank);
        if let Some(position) = position {
            let step = position as isize - self.shelf.selected as isize;
            self.shelf.select(step, count);
        }
    }
}
