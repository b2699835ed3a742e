//! The state of the screen, what can happen to it, and what it asks for in return.

use std::{path::PathBuf, time::Duration};

use crossterm::event::{KeyEvent, KeyEventKind, MouseEvent};
use ratatui::layout::Size;

use super::{
    asking::Editing,
    chats::{ChatList, Mode},
    chips::Chips,
    collections::Known,
    comparison::ComparisonView,
    entry::{Entry, Turn},
    first_run::FirstRun,
    highlight::{Code, Highlighted},
    indexing::IndexingView,
    input::Input,
    keymap::Keymap,
    keys::Context,
    log::{LogTail, LogView},
    overlay::Overlay,
    panes::{Focus, Panes, Side},
    shelf::Shelf,
    theme::Theme,
    timings::TimingsPane,
    transcript::Transcript,
};
use crate::{
    config::Strategy,
    engine::{
        ChatId, Command, Event, Failure, IndexerStatus, Progress, RequestId, RetrievedChunk, Status,
        admin::{ModelFile, PullProgress},
    },
};

/// A press of Ctrl-C counts as the second one for this long.
pub const INTERRUPT_WINDOW: Duration = Duration::from_secs(2);
/// A word in the footer about what was just done stays this long.
pub const FLASH_TIME: Duration = Duration::from_secs(3);
/// The spinner moves on this often.
pub const SPINNER_STEP: Duration = Duration::from_millis(100);

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Msg {
    /// When, since the screen was opened.
    pub at: Duration,
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    Key(KeyEvent),
    Paste(String),
    Mouse(MouseEvent),
    Resized(Size),
    Engine(Box<Event>),
    /// The engine has the command that the last [`Effect::Send`] asked for; it has its id now.
    Sent(Command),
    /// The roles of the code that [`Effect::Highlight`] named.
    Highlighted(Highlighted),
    /// The end of the log file, or why it could not be read.
    LogRead(Result<LogTail, String>),
    /// The engine will say no more.
    EngineGone,
    /// How an [`Effect::Copy`] ended. A failure says why; nothing is said of what went as it should.
    Copied(Result<(), String>),
    /// How an [`Effect::Save`] ended: the file's path, or why there is none.
    Saved(Result<PathBuf, String>),
    /// How far [`Effect::FetchModel`] has come.
    FetchProgress(PullProgress),
    /// How [`Effect::FetchModel`] ended.
    Fetched(Result<ModelFile, Failure>),
    /// Where [`Effect::WriteSamples`] wrote the sample documents.
    Samples(Result<PathBuf, Failure>),
    /// The editor that [`Effect::Edit`] asked for has ended; says what went wrong.
    Edited(Result<(), String>),
    /// The folders that [`Effect::ListFolders`] asked for, as they would be typed.
    Folders {
        typed: String,
        found: Vec<String>,
    },
    /// The theme of [`Effect::SaveTheme`] is in the configuration file, or why it is not.
    ThemeSaved(Result<(), String>),
    /// The program was started to go on in this chat.
    Resume(ChatId),
    /// The moment of [`App::deadline`] has come.
    Tick,
}

/// What the screen asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Give the command an id of its own, say so with [`What::Sent`], and send it.
    Send(Command),
    Cancel(RequestId),
    /// Find out the roles of the code, and say them with [`What::Highlighted`].
    Highlight(Code),
    /// Put the text into the clipboard.
    Copy(String),
    /// Write the text to a file of the current directory whose name begins with `stem`, and never over another file.
    Save {
        stem: String,
        extension: &'static str,
        text: String,
    },
    /// Keep the theme of this name for the next start, and say so with [`What::ThemeSaved`].
    SaveTheme(String),
    /// Read the end of the log file, and say what is there with [`What::LogRead`].
    ReadLog,
    /// Give the terminal to the user's editor, with this file at this line (from 1), until the editor ends.
    Edit {
        path: PathBuf,
        line: Option<u32>,
    },
    /// Have the mouse's events come here, or leave them to the terminal.
    CaptureMouse(bool),
    /// Say which folders begin as this path does, with [`What::Folders`].
    ListFolders(String),
    /// Fetch the model that the configuration names, with [`What::FetchProgress`] and [`What::Fetched`]. Uses the
    /// network.
    FetchModel,
    /// Write the sample documents to the data directory, and say where with [`What::Samples`].
    WriteSamples,
    /// Draw every cell again.
    Redraw,
    /// Give the terminal back and stop until the shell brings the program back.
    Suspend,
    Quit,
}

/// What the screen shows between header and footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum View {
    #[default]
    Chat,
    Comparison,
    Indexing,
    Chats,
    Log,
}

/// Everything the screen shows.
#[derive(Debug, Clone)]
pub struct App {
    pub(super) now: Duration,
    pub(super) size: Size,
    pub(super) theme: Theme,
    pub(super) keymap: Keymap,
    /// The mouse's events come here; else the terminal selects text with it.
    pub(super) mouse: bool,
    pub(super) view: View,
    /// What lies over the view.
    pub(super) overlay: Option<Overlay>,
    pub(super) first_run: FirstRun,
    pub(super) focus: Focus,
    /// The side pane that is shown where there is room for one.
    pub(super) side: Side,
    pub(super) input: Input,
    /// The number of the selected completion of a slash command.
    pub(super) completion: usize,
    pub(super) strategy: Strategy,
    pub(super) collections: Known,
    pub(super) transcript: Transcript,
    pub(super) shelf: Shelf,
    /// What goes along with the next questions.
    pub(super) chips: Chips,
    /// `None` until the engine has said what it has.
    pub(super) status: Option<Status>,
    pub(super) indexing: Option<Indexing>,
    /// Searches sent, and the words they were for.
    pub(super) searches: Vec<(RequestId, String)>,
    pub(super) timings: TimingsPane,
    pub(super) comparison: ComparisonView,
    pub(super) indexing_view: IndexingView,
    pub(super) chats: ChatList,
    pub(super) log: LogView,
    /// The chat of the catalogue in which the turns are kept, from the first answer on.
    pub(super) chat: Option<ChatId>,
    /// The entry of the turn that was selected in the conversation; the last turn where none was.
    pub(super) selected: Option<usize>,
    /// An earlier question is in the input, to be asked in its place.
    pub(super) editing: Option<Editing>,
    /// What the footer says of what was just done, and until when.
    pub(super) flash: Option<(String, Duration)>,
    /// When the screen was opened, in seconds since the Unix epoch.
    pub(super) opened: i64,
    /// When Ctrl-C was pressed once.
    pub(super) interrupted: Option<Duration>,
    pub(super) engine_gone: bool,
    /// Another process that indexes.
    pub(super) elsewhere: Option<IndexerStatus>,
}

/// Indexing that goes on in the background.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Indexing {
    pub id: RequestId,
    pub progress: Option<Progress>,
}

impl App {
    /// A screen of this size with nothing on it yet.
    pub fn new(theme: Theme, strategy: Strategy, size: Size) -> Self {
        let mut app = Self {
            now: Duration::ZERO,
            size,
            theme,
            keymap: Keymap::default(),
            mouse: true,
            view: View::default(),
            overlay: None,
            first_run: FirstRun::default(),
            focus: Focus::default(),
            side: Side::default(),
            input: Input::default(),
            completion: 0,
            collections: Known::none(strategy),
            strategy,
            transcript: Transcript::default(),
            shelf: Shelf::default(),
            chips: Chips::default(),
            status: None,
            indexing: None,
            searches: Vec::new(),
            timings: TimingsPane::default(),
            comparison: ComparisonView::default(),
            indexing_view: IndexingView::default(),
            chats: ChatList::default(),
            log: LogView::default(),
            chat: None,
            selected: None,
            editing: None,
            flash: None,
            opened: 0,
            interrupted: None,
            engine_gone: false,
            elsewhere: None,
        };
        app.reflow();
        app
    }

    /// The same screen with other keys than the tables have, and with or without the mouse.
    pub(super) fn with_controls(mut self, keymap: Keymap, mouse: bool) -> Self {
        for warning in keymap.warnings() {
            self.warn(warning);
        }
        self.keymap = keymap;
        self.mouse = mouse;
        self
    }

    /// Says when the screen was opened, in seconds since the Unix epoch.
    pub fn opened_at(&mut self, seconds: i64) {
        self.opened = seconds;
    }

    /// Takes note of what happened. Does nothing else: what has to be done is in the answer.
    pub fn update(&mut self, msg: Msg) -> Vec<Effect> {
        self.now = msg.at;
        if self.interrupted.is_some_and(|at| self.now >= at + INTERRUPT_WINDOW) {
            self.interrupted = None;
        }
        self.flash.take_if(|(_, until)| self.now >= *until);
        let mut effects = match msg.what {
            What::Key(event) => self.on_key(event),
            What::Mouse(event) => self.on_mouse(event),
            What::Paste(text) => self.on_paste(&text),
            What::Resized(size) => {
                self.size = size;
                Vec::new()
            }
            What::Engine(event) => self.on_engine(*event),
            What::Sent(command) => self.on_sent(command),
            What::Highlighted(highlighted) => {
                self.transcript.highlight(highlighted);
                Vec::new()
            }
            What::LogRead(tail) => self.on_log_read(tail),
            What::EngineGone => self.on_engine_gone(),
            What::Copied(copied) => self.on_copied(copied),
            What::Saved(saved) => self.on_saved(saved),
            What::Edited(ended) => self.on_edited(ended),
            What::Folders { typed, found } => {
                self.indexing_view.offer(&typed, found);
                Vec::new()
            }
            What::ThemeSaved(saved) => self.on_theme_saved(saved),
            What::FetchProgress(progress) => self.on_fetch_progress(progress),
            What::Fetched(fetched) => self.on_fetched(fetched),
            What::Samples(folder) => self.on_samples(folder),
            What::Resume(chat) => self.resume_at_start(chat),
            What::Tick => self.on_tick(),
        };
        self.preview_theme();
        self.reflow();
        if self.view == View::Chat {
            effects.extend(self.transcript.plain_code().map(Effect::Highlight));
        }
        effects
    }

    /// When something on the screen changes by itself next; `None` while nothing does.
    pub fn deadline(&self) -> Option<Duration> {
        let step = SPINNER_STEP.as_millis() as u64;
        let spinner =
            self.is_busy().then(|| Duration::from_millis((self.now.as_millis() as u64 / step + 1) * step));
        let interrupt = self.interrupted.map(|at| at + INTERRUPT_WINDOW);
        let flash = self.flash.as_ref().map(|(_, until)| *until);
        let log = (self.view == View::Log).then(|| self.log.next_read()).flatten();
        let chats = self.chats.due();
        let search = self.overlay.as_ref().is_some_and(Overlay::is_searching).then_some(self.now);
        spinner.into_iter().chain(interrupt).chain(flash).chain(log).chain(chats).chain(search).min()
    }

    /// The parts of the chat; `None` where the screen is too small for any.
    pub(super) fn panes(&self) -> Option<Panes> {
        let input_rows = self.input.rows(Panes::input_columns(self.size)).0.len();
        Panes::of(self.size, self.focus, self.side, input_rows)
    }

    /// The contexts that hold now, the most particular first.
    pub(super) fn contexts(&self) -> Vec<Context> {
        if let Some(overlay) = &self.overlay {
            return [overlay.contexts(), vec![Context::Anywhere]].concat();
        }
        let mut contexts = Vec::new();
        match self.view {
            View::Chat => contexts.extend(self.chat_contexts()),
            View::Comparison => {
                if self.comparison.is_running() {
                    contexts.push(Context::Comparing);
                }
                contexts.extend([Context::Comparison, Context::OtherView]);
            }
            View::Indexing => match self.indexing_view.context() {
                Some(asked) => contexts.push(asked),
                None => contexts.extend([Context::Indexing, Context::OtherView]),
            },
            View::Chats => match self.chats.mode {
                Mode::List => contexts.extend([Context::Chats, Context::OtherView]),
                Mode::Renaming(_) => contexts.push(Context::RenamingChat),
                Mode::Deleting | Mode::Leaving => contexts.push(Context::ConfirmingChat),
            },
            View::Log => contexts.extend([Context::Log, Context::OtherView]),
        }
        let types = match self.view {
            View::Chat => self.focus == Focus::Input,
            View::Indexing => self.indexing_view.prompt.is_some(),
            View::Chats => true,
            View::Comparison | View::Log => false,
        };
        if !types {
            contexts.push(Context::Browsing);
        }
        contexts.extend([Context::AnyView, Context::Anywhere]);
        contexts
    }

    fn chat_contexts(&self) -> Vec<Context> {
        let mut contexts = Vec::new();
        if self.running().is_some() {
            contexts.push(Context::Answering);
        }
        match self.focus {
            Focus::Conversation => contexts.push(Context::Conversation),
            Focus::Sources => contexts.push(Context::Sources),
            Focus::Timings => contexts.push(Context::Timings),
            Focus::Input => {
                if self.is_first_run() {
                    contexts.push(Context::FirstRun);
                }
                if !self.completions().is_empty() {
                    contexts.push(Context::Completion);
                }
                if self.input.is_empty() && !self.chips.is_empty() {
                    contexts.push(Context::Chips);
                }
                if self.editing.is_some() {
                    contexts.push(Context::Editing);
                } else if self.input.is_empty() {
                    contexts.push(Context::EmptyInput);
                }
                if self.input.shows_history() {
                    contexts.push(Context::History);
                }
                contexts.push(Context::Input);
            }
        }
        contexts.push(Context::Chat);
        contexts
    }

    /// Something moves on the screen.
    pub(super) fn is_busy(&self) -> bool {
        self.running().is_some()
            || self.comparison.is_running()
            || self.indexing.is_some()
            || self.first_run.is_fetching()
            || (self.status.is_none() && !self.engine_gone)
    }

    /// The number of the turn whose answer is under way. It is always the last turn.
    pub(super) fn running(&self) -> Option<usize> {
        let (index, turn) = self.turns().next_back()?;
        turn.is_running().then_some(index)
    }

    pub(super) fn turns(&self) -> impl DoubleEndedIterator<Item = (usize, &Turn)> {
        self.transcript.entries().iter().enumerate().filter_map(|(index, entry)| match entry {
            Entry::Turn(turn) => Some((index, turn.as_ref())),
            Entry::Note(_) | Entry::Divider(_) => None,
        })
    }

    /// The sources that the sources pane shows.
    pub(super) fn sources(&self) -> &[RetrievedChunk] {
        let entry = self.shelf.entry.and_then(|index| self.transcript.entries().get(index));
        entry.map_or(&[], Entry::sources)
    }

    fn on_key(&mut self, event: KeyEvent) -> Vec<Effect> {
        if event.kind == KeyEventKind::Release {
            return Vec::new();
        }
        match self.keymap.action(&event, &self.contexts()) {
            Some(action) => self.perform(action),
            None => {
                if let Some(overlay) = &mut self.overlay {
                    overlay.key(event);
                } else if self.view == View::Chats {
                    self.type_in_chats(event);
                } else if self.view == View::Chat && self.focus == Focus::Input {
                    self.input.key(event);
                    self.completion = 0;
                } else if self.view == View::Indexing {
                    self.indexing_view.key(event);
                }
                Vec::new()
            }
        }
    }

    fn on_paste(&mut self, text: &str) -> Vec<Effect> {
        if let Some(overlay) = &mut self.overlay {
            overlay.paste(text);
        } else if self.view == View::Chats {
            self.paste_in_chats(text);
        } else if self.view == View::Indexing {
            self.indexing_view.paste(text);
        } else if self.view == View::Chat {
            self.focus = Focus::Input;
            if self.input.paste(text) {
                self.warn("The pasted text was cut: it was longer than a question can be.");
            }
        }
        Vec::new()
    }

    /// Says something in the footer for a moment.
    pub(super) fn flash(&mut self, text: impl Into<String>) {
        self.flash = Some((text.into(), self.now + FLASH_TIME));
    }

    /// Does what is due by now.
    fn on_tick(&mut self) -> Vec<Effect> {
        self.go_on_searching();
        let mut effects = self.tick_chats();
        if self.view == View::Log {
            effects.extend(self.log.read_when_due(self.now));
        }
        effects
    }

    /// Brings what depends on the size up to date with it.
    fn reflow(&mut self) {
        if let Some(width) = super::view::preview_width(self.size) {
            self.chats.lay_out(width);
        }
        if self.view == View::Log {
            self.reflow_log();
        }
        let size = self.size;
        self.comparison.reflow(size);
        if let Some(chooser) = self.overlay.as_mut().and_then(Overlay::chooser) {
            chooser.keep_in_view(size);
        }
        if let Some(conversation) = self.panes().and_then(|panes| panes.conversation) {
            // A column stays free between the text and the scrollbar.
            let width = usize::from(conversation.width).saturating_sub(1);
            self.transcript.resize(width, conversation.height.into());
        }
    }
}
