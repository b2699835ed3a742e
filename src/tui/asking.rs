//! The questions of a conversation: which earlier turns go along with one, asking one again, editing one.
//!
//! A turn can take the place of an earlier one: then that one and all after it are superseded. They stay on the screen
//! and go along with no question any more. Where the turn that took their place fails, they count again.

use super::{
    app::{App, Effect, View},
    chats::OpenChat,
    comparison,
    entry::{Entry, Stage, Turn},
    keys::{Action, ComparisonAction, Context},
    panes::Focus,
};
use crate::engine::{AskRequest, Command, EarlierTurn, Keep, KeptTurn, Selection};

/// An earlier question that is being edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Editing {
    /// The turn whose place the edited question will take.
    pub turn: usize,
    /// What was in the input before.
    draft: String,
}

impl App {
    /// True when a question can go to the engine now; else the reader is told why not.
    pub(super) fn may_ask(&mut self) -> bool {
        if self.engine_gone {
            self.warn("The engine has stopped. Quit and start Gibbon again.");
            return false;
        }
        if self.running().is_some() {
            let cancel = self.or_cancel();
            self.warn(format!("One answer at a time: wait for it{cancel}. Your question stays below."));
            return false;
        }
        true
    }

    /// Asks `question` as the last turn, in the place of the turn `replaces` and of those after it.
    pub(super) fn ask(
        &mut self,
        question: String,
        selection: Selection,
        replaces: Option<usize>,
    ) -> Vec<Effect> {
        let request = AskRequest {
            question: question.clone(),
            strategy: Some(self.strategy),
            selection: selection.clone(),
            history: self.history(replaces),
            keep: self.place(replaces),
            ..AskRequest::default()
        };
        let mut turn = Turn::new(question, self.strategy, self.now);
        turn.selection = selection;
        turn.replaces = replaces;
        self.transcript.push(Entry::Turn(Box::new(turn)));
        self.mark_superseded();
        (self.selected, self.timings.selected) = (None, None);
        vec![Effect::Send(Command::Ask(request))]
    }

    /// What the next question may draw on, in the place of the turn `replaces`.
    pub(super) fn next_selection(&self, replaces: Option<usize>) -> Selection {
        let last = self.earlier_turns(replaces).last().copied();
        let sources = last.map_or(&[][..], |index| self.transcript.entries()[index].sources());
        let carried = sources.iter().map(|chunk| chunk.id.clone()).collect();
        let mut selection = Selection { carried, ..Selection::default() };
        self.chips.apply(&mut selection);
        selection
    }

    /// The turns that go along with the next question, in the place of the turn `replaces`, oldest first.
    pub(super) fn history(&self, replaces: Option<usize>) -> Vec<EarlierTurn> {
        let turn = |index: usize| match &self.transcript.entries()[index] {
            Entry::Turn(turn) => {
                Some(EarlierTurn { question: turn.question.clone(), answer: turn.text.clone() })
            }
            Entry::Note(_) | Entry::Divider(_) => None,
        };
        self.earlier_turns(replaces).into_iter().filter_map(turn).collect()
    }

    /// Where the next answer is kept, in the place of the turn `replaces`: after the turns that go along with it.
    fn place(&self, replaces: Option<usize>) -> Keep {
        let Some(chat) = self.chat else { return Keep::NewChat };
        if replaces.is_none() {
            return Keep::Chat(chat);
        }
        let place = match self.earlier_turns(replaces).last().map(|index| &self.transcript.entries()[*index])
        {
            None => Some(KeptTurn { chat, message: 0 }),
            Some(Entry::Turn(turn)) => turn.kept.filter(|kept| kept.chat == chat).map(KeptTurn::next),
            Some(_) => None,
        };
        // Where an earlier turn has not been kept, nothing that was is left out.
        place.map_or(Keep::Chat(chat), Keep::InPlaceOf)
    }

    /// The number of the first entry of this chat.
    pub(super) fn chat_start(&self) -> usize {
        let entries = self.transcript.entries();
        entries.iter().rposition(|entry| matches!(entry, Entry::Divider(_))).map_or(0, |index| index + 1)
    }

    /// The numbers of the turns with an answer, or with what there was of it when it was cancelled, before the turn
    /// `until` and without those that another has taken the place of.
    pub(super) fn earlier_turns(&self, until: Option<usize>) -> Vec<usize> {
        let start = self.chat_start();
        let mut earlier: Vec<usize> = Vec::new();
        for (index, turn) in self.turns().filter(|(index, _)| *index >= start) {
            if let Some(replaced) = turn.replaces.filter(|_| counts(turn) || turn.is_running()) {
                earlier.retain(|index| *index < replaced);
            }
            if counts(turn) {
                earlier.push(index);
            }
        }
        earlier.retain(|index| until.is_none_or(|until| *index < until));
        earlier
    }

    /// Brings up to date which turns are shown as superseded.
    pub(super) fn mark_superseded(&mut self) {
        let start = self.chat_start();
        let mut superseded = vec![false; self.transcript.entries().len()];
        for (index, turn) in self.turns().filter(|(index, _)| *index >= start) {
            if let Some(replaced) = turn.replaces.filter(|_| counts(turn) || turn.is_running()) {
                superseded[replaced..index].fill(true);
            }
        }
        for (index, superseded) in superseded.into_iter().enumerate().skip(start) {
            let differs = match &self.transcript.entries()[index] {
                Entry::Turn(turn) => turn.superseded != superseded,
                Entry::Note(_) | Entry::Divider(_) => false,
            };
            if differs {
                self.transcript.change(index, |entry| {
                    if let Entry::Turn(turn) = entry {
                        turn.superseded = superseded;
                    }
                });
            }
        }
    }

    /// Asks the question of the turn `index` again, with the same selection.
    pub(super) fn retry(&mut self, index: usize) -> Vec<Effect> {
        let Some(Entry::Turn(turn)) = self.transcript.entries().get(index) else { return Vec::new() };
        let selection = turn.selection.clone();
        self.ask_again(index, selection)
    }

    /// Asks the question of the turn `index` again, drawing on `selection`.
    pub(super) fn ask_again(&mut self, index: usize, selection: Selection) -> Vec<Effect> {
        let Some(Entry::Turn(turn)) = self.transcript.entries().get(index) else { return Vec::new() };
        let question = turn.question.clone();
        if !self.may_ask() {
            return Vec::new();
        }
        // A turn above the divider belongs to a chat that was left: it takes no place in this one.
        let replaces = (index >= self.chat_start()).then(|| self.first_time(index));
        let effects = self.ask(question, selection, replaces);
        self.shelf.show(self.transcript.entries().len() - 1);
        self.transcript.show_newest();
        effects
    }

    /// The turn whose place is to be taken where the turn `index` is asked again: one that came to nothing has not
    /// taken the place that it was meant for.
    fn first_time(&self, index: usize) -> usize {
        match self.transcript.entries().get(index) {
            Some(Entry::Turn(turn)) if !counts(turn) => turn.replaces.unwrap_or(index),
            _ => index,
        }
    }

    /// The words that say how to cancel the running answer.
    fn or_cancel(&self) -> String {
        let key = self.keymap.key(Action::Cancel);
        key.map_or_else(|| " or /cancel it".to_owned(), |key| format!(", or cancel it with {key}"))
    }

    pub(super) fn retry_last(&mut self) -> Vec<Effect> {
        match self.last_turn() {
            Some(index) => self.retry(index),
            None => self.nothing_asked_yet(),
        }
    }

    /// Puts the question of the turn `index` into the input; sent from there, it takes the turn's place.
    pub(super) fn edit(&mut self, index: usize) {
        let Some(Entry::Turn(turn)) = self.transcript.entries().get(index) else { return };
        let question = turn.question.clone();
        let draft = match self.editing.take() {
            Some(editing) => editing.draft,
            None => self.input.text(),
        };
        self.input.replace(&question);
        let turn = self.first_time(index);
        self.editing = (index >= self.chat_start()).then_some(Editing { turn, draft });
        self.focus_on(Focus::Input);
    }

    pub(super) fn edit_last(&mut self) {
        match self.last_turn() {
            Some(index) => self.edit(index),
            None => drop(self.nothing_asked_yet()),
        }
    }

    /// Puts back what was in the input before an earlier question was.
    pub(super) fn leave_editing(&mut self) {
        if let Some(editing) = self.editing.take() {
            self.input.replace(&editing.draft);
        }
    }

    /// Begins a new chat under a divider. What stands above it goes along with no question any more.
    pub(super) fn start_chat(&mut self) {
        if self.running().is_some() {
            let cancel = self.or_cancel();
            self.warn(format!("An answer is under way: wait for it{cancel}, then start a new chat."));
            return;
        }
        self.leave_editing();
        self.chat = None;
        self.chats.open = OpenChat::default();
        let has_turns = self.turns().any(|(index, _)| index >= self.chat_start());
        if has_turns {
            self.transcript.push(Entry::Divider("new chat".to_owned()));
        }
        self.transcript.show_newest();
        self.focus_on(Focus::Input);
        self.flash("A new chat: earlier turns do not go along any more");
    }

    /// The last turn of this chat.
    fn last_turn(&self) -> Option<usize> {
        let start = self.chat_start();
        self.turns().next_back().map(|(index, _)| index).filter(|index| *index >= start)
    }

    /// What is done about a running turn, in a few words.
    pub(super) fn activity(&self, turn: &Turn) -> String {
        let waits = matches!(self.comparison.stage, comparison::Stage::Running { since, .. } if since <= turn.asked_at);
        if !waits || turn.stage != Stage::Asked {
            return turn.activity();
        }
        let open = self.keymap.key(Action::Open(View::Comparison));
        let cancel = self.keymap.key_in(Context::Comparing, Action::Comparison(ComparisonAction::Cancel));
        match (open, cancel) {
            (Some(open), Some(cancel)) => format!("waiting for the comparison; {open} {cancel} stops it"),
            _ => "waiting for the comparison".to_owned(),
        }
    }

    fn nothing_asked_yet(&mut self) -> Vec<Effect> {
        self.flash("Nothing was asked in this chat yet");
        Vec::new()
    }
}

/// True when there is an answer, or some of one, that a later question can be about.
fn counts(turn: &Turn) -> bool {
    matches!(turn.stage, Stage::Answered(_) | Stage::Cancelled) && !turn.text.is_empty()
}
