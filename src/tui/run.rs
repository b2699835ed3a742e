//! The loop between terminal, engine and clock. It waits for one of them and takes in what happened, keys before
//! anything else; it draws at most once in a frame's time, a shorter one after a key, and only after something happened.

mod background;
mod clipboard;
mod editing;
mod folders;
mod log_file;
mod outside;
mod save;

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    pin::pin,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crossterm::event::{Event as TerminalEvent, EventStream};
use futures_util::StreamExt;
use ratatui::layout::Size;
use tokio::{
    sync::{mpsc::UnboundedReceiver, oneshot},
    time,
};

use background::Background;
use clipboard::TERMINAL_LIMIT;
use outside::Outside;

use super::{
    app::{App, Effect, Msg, What},
    keymap::{KeyError, Keymap},
    terminal::Screen,
    theme::{Theme, ThemeError},
    view::draw,
};
use crate::{
    config::Config,
    engine::{ChatId, Command, Engine, Event, RequestId},
};

/// The shortest time between two pictures of what the engine and the clock change.
const FRAME: Duration = Duration::from_millis(16);
/// The shortest time to the picture of what a key or the mouse changed: the user is waiting for it.
const INPUT_FRAME: Duration = Duration::from_millis(4);

/// The theme's name for dark or light, whichever the terminal is.
const AUTO: &str = "auto";

/// The chat screen could not be shown, or not any longer.
#[derive(Debug, thiserror::Error)]
pub enum ScreenError {
    #[error(transparent)]
    Theme(#[from] ThemeError),
    #[error("the configuration file {} cannot be used: {error}", path.display())]
    Keys { path: PathBuf, error: KeyError },
    #[error("the chat needs a terminal; in a pipe or a script, use `gibbon ask`")]
    NoTerminal,
    #[error("the terminal could not be used: {0}")]
    Terminal(#[from] io::Error),
}

/// Shows the chat screen until the user quits or the process is told to end, beginning with the chat `resume`. The
/// terminal is given back in any case.
pub fn run(
    config: &Config,
    engine: Engine,
    events: UnboundedReceiver<Event>,
    resume: Option<ChatId>,
) -> Result<(), ScreenError> {
    run_with(config, |command| engine.send(command), || engine.next_request(), events, resume)
}

/// [`run`] with anything that takes commands, gives ids to requests and answers with events.
pub fn run_with(
    config: &Config,
    send: impl Fn(Command),
    next_request: impl Fn() -> RequestId,
    events: UnboundedReceiver<Event>,
    resume: Option<ChatId>,
) -> Result<(), ScreenError> {
    if !io::stdout().is_terminal() {
        return Err(ScreenError::NoTerminal);
    }
    let color = config.screen.color;
    let wants_auto = config.screen.theme == AUTO;
    // A theme that cannot be used is reported before the terminal is taken over.
    let theme = Theme::load(if wants_auto { "ansi" } else { &config.screen.theme })?;
    let keymap = Keymap::new(&config.screen.keys)
        .map_err(|error| ScreenError::Keys { path: config.paths.config_file.clone(), error })?;
    let mouse = config.screen.mouse;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut screen = Screen::open()?;
        let (background, typed) = match wants_auto && color {
            true => Background::ask()?,
            false => (Background::default(), Vec::new()),
        };
        let theme = if wants_auto { Theme::load(background.theme())? } else { theme };
        let theme = if color { theme } else { theme.without_color() };
        screen.capture_mouse(mouse)?;
        let mut app = App::new(theme, config.answer.strategy, screen.size()?)
            .with_controls(keymap, mouse)
            .with_collections(config)
            .with_model(config.model.source.clone());
        app.opened_at(seconds_since_epoch());
        let keys = Some(EventStream::new());
        let (outside, results) = Outside::new(config);
        let opened = Instant::now();
        let mut chat = Chat { app, opened, send, next_request, outside, background, keys, editor: None };
        if let Some(id) = resume {
            chat.on(What::Resume(id), &mut screen)?;
        }
        for event in typed {
            if chat.on_terminal(event, &mut screen)? == Next::Quit {
                return Ok(());
            }
        }
        chat.run(&mut screen, events, results).await?;
        Ok(())
    })
}

struct Chat<S, N> {
    app: App,
    opened: Instant,
    send: S,
    next_request: N,
    outside: Outside,
    /// Keeps an answer of the terminal that comes late from being typed.
    background: Background,
    /// `None` while another program has the terminal: it must not miss a key.
    keys: Option<EventStream>,
    /// The editor that has the terminal; it gives how it ended.
    editor: Option<oneshot::Receiver<Result<(), String>>>,
}

/// What the loop does after taking something in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    GoOn,
    Quit,
}

impl<S: Fn(Command), N: Fn() -> RequestId> Chat<S, N> {
    async fn run(
        &mut self,
        screen: &mut Screen,
        mut events: UnboundedReceiver<Event>,
        mut results: UnboundedReceiver<What>,
    ) -> io::Result<()> {
        let mut told_to_end = pin!(told_to_end()?);
        let mut interrupts = Interrupts::new()?;
        let mut engine_runs = true;
        let mut last_drawn: Option<Instant> = None;
        let mut changed = true;
        let mut pressed = false;
        loop {
            let frame = if pressed { INPUT_FRAME } else { FRAME };
            let may_draw = last_drawn.map_or_else(Instant::now, |drawn| drawn + frame);
            let lent = self.editor.is_some();
            if changed && !lent && Instant::now() >= may_draw {
                screen.draw(|frame| draw(&self.app, frame))?;
                last_drawn = Some(Instant::now());
                (changed, pressed) = (false, false);
            }
            let wake = match changed {
                _ if lent => None,
                true => Some(may_draw),
                false => self.app.deadline().map(|at| self.opened + at),
            };
            let next = tokio::select! {
                biased;
                () = &mut told_to_end => return Ok(()),
                // Ctrl-C in an editor is the editor's.
                () = interrupts.next() => match lent {
                    true => continue,
                    false => return Ok(()),
                },
                ended = editor_end(&mut self.editor) => self.on_editor_end(ended, screen)?,
                key = next_key(&mut self.keys) => match key {
                    Some(event) => {
                        pressed = true;
                        self.on_event(event?, screen)?
                    }
                    None => return Ok(()),
                },
                event = events.recv(), if engine_runs => match event {
                    Some(event) => self.on(What::Engine(Box::new(event)), screen)?,
                    None => {
                        engine_runs = false;
                        self.on(What::EngineGone, screen)?
                    }
                },
                Some(what) = results.recv() => self.on(what, screen)?,
                () = sleep_until(wake) => match changed {
                    true => continue,
                    false => self.on(What::Tick, screen)?,
                },
            };
            if next == Next::Quit {
                return Ok(());
            }
            changed = true;
        }
    }

    fn on_event(&mut self, event: TerminalEvent, screen: &mut Screen) -> io::Result<Next> {
        for event in self.background.take(event) {
            if self.on_terminal(event, screen)? == Next::Quit {
                return Ok(Next::Quit);
            }
        }
        Ok(Next::GoOn)
    }

    fn on_terminal(&mut self, event: TerminalEvent, screen: &mut Screen) -> io::Result<Next> {
        match event {
            TerminalEvent::Key(key) => self.on(What::Key(key), screen),
            TerminalEvent::Mouse(event) => self.on(What::Mouse(event), screen),
            TerminalEvent::Paste(text) => self.on(What::Paste(text), screen),
            TerminalEvent::Resize(width, height) => self.on(What::Resized(Size { width, height }), screen),
            _ => Ok(Next::GoOn),
        }
    }

    fn on(&mut self, what: What, screen: &mut Screen) -> io::Result<Next> {
        let msg = Msg { at: self.opened.elapsed(), what };
        for effect in self.app.update(msg) {
            match effect {
                Effect::Send(command) => self.send_command(command),
                Effect::Cancel(id) => (self.send)(Command::Cancel(id)),
                Effect::FetchModel => self.outside.fetch_model(),
                Effect::WriteSamples => self.outside.write_samples(),
                Effect::ListFolders(typed) => self.outside.list_folders(typed),
                Effect::Highlight(code) => self.outside.highlight(code),
                Effect::Copy(text) => self.copy(text, screen)?,
                Effect::Save { stem, extension, text } => self.outside.save(stem, extension, text),
                Effect::SaveTheme(name) => self.outside.save_theme(name),
                Effect::ReadLog => self.outside.read_log(),
                Effect::CaptureMouse(on) => screen.capture_mouse(on)?,
                Effect::Redraw => screen.clear()?,
                Effect::Suspend => {
                    screen.suspend()?;
                    self.resized(screen)?;
                }
                Effect::Edit { path, line } => {
                    self.keys = None;
                    screen.lend();
                    self.editor = Some(editing::start(path, line));
                }
                Effect::Quit => return Ok(Next::Quit),
            }
        }
        Ok(Next::GoOn)
    }

    /// Copies through the terminal, unless the text is longer than terminals take, and to the local clipboard.
    fn copy(&mut self, text: String, screen: &mut Screen) -> io::Result<()> {
        if text.len() <= TERMINAL_LIMIT {
            screen.copy(&text)?;
        }
        self.outside.copy(text);
        Ok(())
    }

    /// Takes the terminal over again.
    fn on_editor_end(&mut self, ended: Result<(), String>, screen: &mut Screen) -> io::Result<Next> {
        self.editor = None;
        screen.take_back()?;
        self.keys = Some(EventStream::new());
        self.resized(screen)?;
        self.on(What::Edited(ended), screen)
    }

    fn send_command(&mut self, command: Command) {
        let mut command = command.with_id((self.next_request)());
        if let Command::Index(request) = &mut command {
            request.add = std::mem::take(&mut request.add).into_iter().map(folders::expand_home).collect();
        }
        // The screen knows the id before the first event about it can be taken in.
        self.app.update(Msg { at: self.opened.elapsed(), what: What::Sent(command.clone()) });
        (self.send)(command);
    }

    /// The terminal may have changed its size while the program was stopped.
    fn resized(&mut self, screen: &Screen) -> io::Result<()> {
        let what = What::Resized(screen.size()?);
        self.app.update(Msg { at: self.opened.elapsed(), what });
        Ok(())
    }
}

fn seconds_since_epoch() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// The next key; none while another program has the keyboard.
async fn next_key(keys: &mut Option<EventStream>) -> Option<io::Result<TerminalEvent>> {
    match keys {
        Some(keys) => keys.next().await,
        None => std::future::pending().await,
    }
}

/// Completes when the editor has ended, with how it did.
async fn editor_end(editor: &mut Option<oneshot::Receiver<Result<(), String>>>) -> Result<(), String> {
    match editor {
        Some(ended) => ended.await.unwrap_or_else(|_| Err("The editor's end was missed.".to_owned())),
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Completes when the process is asked to end, so that the terminal is given back first.
#[cfg(unix)]
fn told_to_end() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn told_to_end() -> io::Result<impl Future<Output = ()>> {
    Ok(std::future::pending())
}

/// SIGINT, which ends the program unless it is meant for another that has the terminal.
struct Interrupts {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
}

impl Interrupts {
    #[cfg(unix)]
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { signal: signal(SignalKind::interrupt())? })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        self.signal.recv().await;
    }

    #[cfg(not(unix))]
    fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        std::future::pending().await
    }
}
