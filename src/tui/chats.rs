//! The chats that were kept: looked for, previewed, resumed, renamed, deleted.

use std::time::Duration;

use crossterm::event::KeyEvent;

use super::{
    app::{App, Effect, View},
    copying::ExportFormat,
    entry::{Entry, Stage, Turn},
    field::Field,
    format::ago,
    keys::ChatsAction,
    panes::Focus,
    shelf::Shelf,
    text::{Piece, Row, wrap},
    theme::Role,
    transcript::Transcript,
};
use crate::{
    config::Strategy,
    engine::{
        CatalogueQuery, CatalogueRequest, Chat, ChatId, ChatSummary, ChatTurn, Command, Failure, KeptTurn,
        RequestId, StopReason, export::ending,
    },
};

/// After a key, chats and preview are looked up once no other key has come for this long.
const DEBOUNCE: Duration = Duration::from_millis(150);
/// Most bytes of a chat that the preview lays out.
const PREVIEW_BYTES: usize = 64 * 1024;

/// The list of chats, and what is being done with one of them.
#[derive(Debug, Clone, Default)]
pub struct ChatList {
    /// The words that are looked for.
    pub field: Field,
    /// The one used last first; `None` until the engine has said which there are.
    pub chats: Option<Vec<ChatSummary>>,
    pub selected: usize,
    pub mode: Mode,
    /// Why the last lookup failed.
    pub failure: Option<String>,
    preview: Option<Preview>,
    list_due: Option<Duration>,
    preview_due: Option<Duration>,
    listing: Option<RequestId>,
    reading: Option<RequestId>,
    changing: Option<RequestId>,
    /// What the chat that is being read is for.
    purpose: Purpose,
    /// What is known of the chat on the screen beside its turns.
    pub open: OpenChat,
}

/// What the catalogue has of a chat beside its turns.
#[derive(Debug, Clone, Default)]
pub struct OpenChat {
    /// `None` until it is given one: then it is the start of the first question.
    pub title: Option<String>,
    /// In seconds since the Unix epoch; `None` where the chat began on this screen.
    pub started: Option<i64>,
}

/// What the keyboard is about.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Mode {
    #[default]
    List,
    /// A new title for the selected chat.
    Renaming(Field),
    /// Whether the selected chat is to be deleted.
    Deleting,
    /// Whether the answer under way is to be cancelled for the selected chat.
    Leaving,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Purpose {
    #[default]
    Preview,
    Resume,
    Export(ExportFormat),
}

/// The selected chat's text, laid out.
#[derive(Debug, Clone)]
struct Preview {
    chat: Chat,
    rows: Vec<Row>,
    width: usize,
    top: usize,
}

impl ChatList {
    pub fn selected_chat(&self) -> Option<&ChatSummary> {
        self.chats.as_ref()?.get(self.selected)
    }

    /// The rows of the preview on a pane of `height` rows; `None` until the selected chat has been read.
    pub fn preview(&self, height: usize) -> Option<&[Row]> {
        let preview = self.preview.as_ref().filter(|preview| Some(preview.chat.id) == self.selected_id())?;
        let top = preview.top.min(preview.rows.len().saturating_sub(height));
        Some(&preview.rows[top..(top + height).min(preview.rows.len())])
    }

    /// True while what was typed has not been looked for yet.
    pub fn is_searching(&self) -> bool {
        self.list_due.is_some() || self.listing.is_some()
    }

    /// When something is looked up next.
    pub fn due(&self) -> Option<Duration> {
        self.list_due.into_iter().chain(self.preview_due).min()
    }

    /// Lays the preview out for a pane of this size.
    pub fn lay_out(&mut self, width: usize) {
        if let Some(preview) = self.preview.as_mut().filter(|preview| preview.width != width) {
            preview.rows = preview_rows(&preview.chat, width);
            preview.width = width;
        }
    }

    fn selected_id(&self) -> Option<ChatId> {
        self.selected_chat().map(|chat| ChatId(chat.id))
    }

    /// The selected chat, where it has been read.
    fn read(&self) -> Option<&Chat> {
        let preview = self.preview.as_ref()?;
        (Some(preview.chat.id) == self.selected_id()).then_some(&preview.chat)
    }

    fn select(&mut self, step: isize, now: Duration) {
        let count = self.chats.as_ref().map_or(0, Vec::len);
        self.selected = self.selected.saturating_add_signed(step).min(count.saturating_sub(1));
        self.preview_due = (self.read().is_none() && count > 0).then_some(now + DEBOUNCE);
    }

    fn scroll(&mut self, pages: isize, height: usize) {
        if let Some(preview) = &mut self.preview {
            let step = pages * height.saturating_sub(1).max(1) as isize;
            let most = preview.rows.len().saturating_sub(height);
            preview.top = preview.top.saturating_add_signed(step).min(most);
        }
    }

    /// Takes the chats found; the selected one stays selected where it is among them.
    fn set(&mut self, chats: Vec<ChatSummary>, now: Duration) {
        let selected = self.selected_id();
        let place = chats.iter().position(|chat| Some(ChatId(chat.id)) == selected);
        self.chats = Some(chats);
        self.selected = place.unwrap_or(0);
        self.select(0, now);
        // What is selected without a key is shown at once.
        self.preview_due = self.preview_due.map(|_| now);
    }
}

impl App {
    pub(super) fn perform_chats(&mut self, action: ChatsAction) -> Vec<Effect> {
        match action {
            ChatsAction::Up => self.chats.select(-1, self.now),
            ChatsAction::Down => self.chats.select(1, self.now),
            ChatsAction::PageUp => self.chats.scroll(-1, self.size.height.into()),
            ChatsAction::PageDown => self.chats.scroll(1, self.size.height.into()),
            ChatsAction::Resume if self.chats.selected_chat().is_none() => {}
            ChatsAction::Resume if self.running().is_some() => self.chats.mode = Mode::Leaving,
            ChatsAction::Resume => return self.with_selected(Purpose::Resume),
            ChatsAction::Export(format) => return self.with_selected(Purpose::Export(format)),
            ChatsAction::Rename => {
                if let Some(chat) = self.chats.selected_chat() {
                    self.chats.mode = Mode::Renaming(Field::new(&chat.title));
                }
            }
            ChatsAction::Delete if self.chats.selected_chat().is_none() => {}
            ChatsAction::Delete => self.chats.mode = Mode::Deleting,
            ChatsAction::New => {
                self.start_chat();
                return self.open(View::Chat);
            }
            ChatsAction::KeepTitle => return self.keep_title(),
            ChatsAction::LeaveTitle | ChatsAction::No => self.chats.mode = Mode::List,
            ChatsAction::Yes => return self.confirmed(),
        }
        Vec::new()
    }

    /// Gives a key to the field that is being typed in.
    pub(super) fn type_in_chats(&mut self, event: KeyEvent) {
        match &mut self.chats.mode {
            Mode::Renaming(field) => {
                field.key(event);
            }
            Mode::List => {
                if self.chats.field.key(event) {
                    self.chats.list_due = Some(self.now + DEBOUNCE);
                }
            }
            Mode::Deleting | Mode::Leaving => {}
        }
    }

    pub(super) fn paste_in_chats(&mut self, text: &str) {
        match &mut self.chats.mode {
            Mode::Renaming(field) => field.paste(text),
            Mode::List => {
                self.chats.field.paste(text);
                self.chats.list_due = Some(self.now + DEBOUNCE);
            }
            Mode::Deleting | Mode::Leaving => {}
        }
    }

    /// Looks the chats up anew: there may be others since they were shown last.
    pub(super) fn open_chats(&mut self) -> Vec<Effect> {
        self.chats.mode = Mode::List;
        self.chats.list_due = None;
        self.look_up_chats()
    }

    /// Shows the chats that have these words.
    pub(super) fn find_chats(&mut self, words: &str) -> Vec<Effect> {
        self.chats.field = Field::new(words);
        self.open(View::Chats)
    }

    /// Gives the chat on the screen another title.
    pub(super) fn rename_this_chat(&mut self, title: String) -> Vec<Effect> {
        let Some(id) = self.chat else {
            self.flash("This chat has no answer yet: it is kept from the first one on");
            return Vec::new();
        };
        self.flash(format!("This chat is “{title}” now"));
        self.chats.open.title = Some(title.clone());
        self.ask_catalogue(CatalogueQuery::RenameChat { id, title })
    }

    /// Goes on in the chat for which the program was started, once the engine has it.
    pub(super) fn resume_at_start(&mut self, id: ChatId) -> Vec<Effect> {
        self.chats.purpose = Purpose::Resume;
        self.ask_catalogue(CatalogueQuery::Chat { id })
    }

    /// Does what is due by now.
    pub(super) fn tick_chats(&mut self) -> Vec<Effect> {
        let due = |at: &mut Duration| *at <= self.now;
        if self.chats.list_due.take_if(due).is_some() {
            return self.look_up_chats();
        }
        if self.chats.preview_due.take_if(due).is_some()
            && let Some(id) = self.chats.selected_id()
        {
            if self.chats.reading.is_none() {
                self.chats.purpose = Purpose::Preview;
            }
            return self.ask_catalogue(CatalogueQuery::Chat { id });
        }
        Vec::new()
    }

    fn look_up_chats(&mut self) -> Vec<Effect> {
        let words = self.chats.field.text().trim().to_owned();
        self.ask_catalogue(CatalogueQuery::Chats { words })
    }

    fn ask_catalogue(&mut self, query: CatalogueQuery) -> Vec<Effect> {
        self.ask_engine(Command::Catalogue(CatalogueRequest { id: RequestId::default(), query }))
    }

    fn with_selected(&mut self, purpose: Purpose) -> Vec<Effect> {
        if let Some(chat) = self.chats.read().cloned() {
            return self.use_chat(chat, purpose);
        }
        let Some(id) = self.chats.selected_id() else { return Vec::new() };
        self.chats.purpose = purpose;
        self.ask_catalogue(CatalogueQuery::Chat { id })
    }

    fn keep_title(&mut self) -> Vec<Effect> {
        let Mode::Renaming(field) = std::mem::take(&mut self.chats.mode) else { return Vec::new() };
        let title = field.text().trim().to_owned();
        match self.chats.selected_id() {
            Some(id) if !title.is_empty() => {
                if self.chat == Some(id) {
                    self.chats.open.title = Some(title.clone());
                }
                self.ask_catalogue(CatalogueQuery::RenameChat { id, title })
            }
            _ => Vec::new(),
        }
    }

    /// Does what was asked about.
    fn confirmed(&mut self) -> Vec<Effect> {
        match (std::mem::take(&mut self.chats.mode), self.chats.selected_id()) {
            (Mode::Deleting, Some(id)) => self.ask_catalogue(CatalogueQuery::DeleteChat { id }),
            (Mode::Leaving, Some(_)) => {
                let mut effects = self.cancel();
                effects.extend(self.with_selected(Purpose::Resume));
                effects
            }
            _ => Vec::new(),
        }
    }

    /// Takes note of the id of a query about chats.
    pub(super) fn on_chats_sent(&mut self, id: RequestId, query: &CatalogueQuery) {
        match query {
            CatalogueQuery::Chats { .. } => self.chats.listing = Some(id),
            CatalogueQuery::Chat { .. } => self.chats.reading = Some(id),
            CatalogueQuery::RenameChat { .. } | CatalogueQuery::DeleteChat { .. } => {
                self.chats.changing = Some(id);
            }
            CatalogueQuery::Files | CatalogueQuery::Document { .. } => {}
        }
    }

    pub(super) fn on_chats(&mut self, id: RequestId, chats: Vec<ChatSummary>) {
        if self.chats.listing.take_if(|listing| *listing == id).is_some() {
            self.chats.failure = None;
            self.chats.set(chats, self.now);
        }
    }

    pub(super) fn on_chat(&mut self, id: RequestId, chat: Chat) -> Vec<Effect> {
        if self.chats.reading.take_if(|reading| *reading == id).is_none() {
            return Vec::new();
        }
        let purpose = std::mem::take(&mut self.chats.purpose);
        self.use_chat(chat, purpose)
    }

    /// A chat was renamed or deleted: the list is another one.
    pub(super) fn on_chats_changed(&mut self, id: RequestId) -> Vec<Effect> {
        if self.chats.changing.take_if(|changing| *changing == id).is_none() {
            return Vec::new();
        }
        self.chats.preview = None;
        self.look_up_chats()
    }

    /// True where the failed request was one about chats.
    pub(super) fn on_chats_failed(&mut self, id: RequestId, failure: &Failure) -> bool {
        let chats = &mut self.chats;
        let ours = [&mut chats.listing, &mut chats.reading, &mut chats.changing]
            .into_iter()
            .any(|request| request.take_if(|request| *request == id).is_some());
        if ours {
            chats.purpose = Purpose::Preview;
            match self.view {
                View::Chats => self.chats.failure = Some(failure.message.clone()),
                _ => self.warn(failure.message.clone()),
            }
        }
        ours
    }

    fn use_chat(&mut self, chat: Chat, purpose: Purpose) -> Vec<Effect> {
        match purpose {
            Purpose::Preview => {
                self.chats.preview = Some(Preview { chat, rows: Vec::new(), width: 0, top: 0 });
                Vec::new()
            }
            Purpose::Export(format) => self.save_chat(&chat, format),
            // A question that was sent while the chat was read is not taken away.
            Purpose::Resume if self.running().is_some() => {
                self.flash("The chat was not opened: an answer is under way");
                Vec::new()
            }
            Purpose::Resume => {
                self.resume(chat);
                Vec::new()
            }
        }
    }

    /// Puts the chat in the place of what is on the screen; what is asked from here on is part of it.
    fn resume(&mut self, chat: Chat) {
        self.leave_editing();
        let when = ago(self.unix_now() - chat.started);
        self.transcript = Transcript::default();
        self.transcript.push(Entry::Divider(format!("{} · {when}", chat.title)));
        self.chats.open = OpenChat { title: Some(chat.title), started: Some(chat.started) };
        for turn in chat.turns {
            self.transcript.push(Entry::Turn(Box::new(kept_turn(chat.id, turn, self.strategy))));
        }
        self.chat = Some(chat.id);
        (self.selected, self.timings.selected) = (None, None);
        self.shelf = Shelf::default();
        let last = self.turns().next_back().map(|(index, _)| index);
        if let Some(last) = last {
            self.shelf.show(last);
        }
        self.view = View::Chat;
        self.focus_on(Focus::Input);
        self.transcript.show_newest();
    }

    /// Now, in seconds since the Unix epoch.
    pub(super) fn unix_now(&self) -> i64 {
        self.opened + self.now.as_secs() as i64
    }
}

/// A turn of the chat as it was kept.
fn kept_turn(chat: ChatId, kept: ChatTurn, strategy: Strategy) -> Turn {
    let mut turn = Turn::new(kept.question, kept.strategy.unwrap_or(strategy), Duration::ZERO);
    turn.kept = kept.message.map(|message| KeptTurn { chat, message });
    turn.text = kept.answer;
    turn.sources = kept.sources;
    turn.origins = kept.origins;
    turn.timings = kept.timings;
    turn.stage = match kept.stop {
        Some(StopReason::Cancelled) => Stage::Cancelled,
        Some(stop) => Stage::Answered(stop),
        None => Stage::Answered(StopReason::EndOfText),
    };
    turn
}

/// Questions and answers as they are read, and which answers are not whole, without sources and timings.
fn preview_rows(chat: &Chat, width: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut left = PREVIEW_BYTES;
    for turn in &chat.turns {
        let question = turn.question.lines().map(|line| (line, Role::Question));
        let answer = turn.answer.lines().map(|line| (line, Role::Base));
        let ending = turn.stop.and_then(ending).map(|ending| (ending, Role::Warning));
        let blank = [("", Role::Base)];
        for (line, role) in question.chain(blank).chain(answer).chain(ending).chain(blank) {
            left = left.saturating_sub(line.len() + 1);
            if left == 0 {
                rows.push(Row::new(vec![Piece::new("…", Role::Muted)]));
                return rows;
            }
            rows.extend(wrap(&[Piece::new(line, role)], width, 0));
        }
    }
    rows
}
