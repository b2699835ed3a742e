//! The terminal: taken over, and given back whatever happens.

use std::{
    io::{self, BufWriter, Stdout, stdout},
    panic::{self, PanicHookInfo},
    sync::Arc,
    thread,
};

use crossterm::{
    clipboard::CopyToClipboard,
    cursor::Show,
    event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture},
    execute, queue,
    terminal::{
        BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
        disable_raw_mode, enable_raw_mode,
    },
};
use ratatui::{
    Frame, Terminal,
    backend::{Backend, CrosstermBackend},
    layout::Size,
};

use super::stderr::StandardError;

/// Enough for a whole screen, so that a frame is one write.
const WRITE_BUFFER: usize = 64 * 1024;

/// The terminal in the hands of the screen. Dropping it gives it back.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    stderr: StandardError,
    /// Another program has the terminal.
    lent: bool,
    /// The mouse's events come here.
    mouse: bool,
    _hook: PanicHook,
}

type Hook = dyn Fn(&PanicHookInfo<'_>) + Send + Sync;

/// What happens on a panic while the screen is open. Dropping it puts the hook back that was there before.
struct PanicHook {
    previous: Arc<Hook>,
}

impl Screen {
    /// Takes the terminal over: raw mode, alternate screen, bracketed paste, and nothing printed by others. A panic of
    /// this thread gives it back before it is reported; one of another thread goes to the log.
    pub fn open() -> io::Result<Self> {
        let stderr = StandardError::new()?;
        let hook = PanicHook::install(stderr.clone());
        let terminal = take_over(&stderr).and_then(|()| {
            Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(WRITE_BUFFER, stdout())))
        });
        match terminal {
            Ok(terminal) => Ok(Self { terminal, stderr, lent: false, mouse: false, _hook: hook }),
            Err(error) => {
                give_back(&stderr);
                Err(error)
            }
        }
    }

    pub fn size(&self) -> io::Result<Size> {
        self.terminal.size()
    }

    pub fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(picture)?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// Asks the terminal to put `text` into its clipboard (OSC 52). Terminals that do not know how ignore it.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        execute!(self.terminal.backend_mut(), CopyToClipboard::to_clipboard_from(text))
    }

    /// Forgets what is on the screen, so that the next picture is drawn whole.
    pub fn clear(&mut self) -> io::Result<()> {
        // Not `Terminal::clear`: it asks the terminal where the cursor is, and the answer would have to be found among
        // the keys, which another thread may be reading.
        self.terminal.backend_mut().clear()?;
        self.terminal.swap_buffers();
        Ok(())
    }

    /// Has the mouse's events come here, or leaves them to the terminal.
    pub fn capture_mouse(&mut self, on: bool) -> io::Result<()> {
        self.mouse = on;
        match on {
            true => execute!(stdout(), EnableMouseCapture),
            false => execute!(stdout(), DisableMouseCapture),
        }
    }

    /// Gives the terminal to another program, until [`Self::take_back`].
    pub fn lend(&mut self) {
        give_back(&self.stderr);
        self.lent = true;
    }

    /// Takes the terminal over again; the next picture is drawn whole.
    pub fn take_back(&mut self) -> io::Result<()> {
        take_over(&self.stderr)?;
        self.lent = false;
        self.capture_mouse(self.mouse)?;
        self.clear()
    }

    /// Gives the terminal back, stops the program as Ctrl-Z does elsewhere, and takes the terminal over again when
    /// the shell brings the program back.
    #[cfg(unix)]
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back(&self.stderr);
        rustix::process::kill_current_process_group(rustix::process::Signal::TSTP)?;
        take_over(&self.stderr)?;
        self.capture_mouse(self.mouse)?;
        self.clear()
    }

    #[cfg(not(unix))]
    pub fn suspend(&mut self) -> io::Result<()> {
        self.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // What has the terminal now gives it back by itself.
        if !self.lent {
            let _ = Backend::flush(self.terminal.backend_mut());
            give_back(&self.stderr);
        }
    }
}

fn take_over(stderr: &StandardError) -> io::Result<()> {
    enable_raw_mode()?;
    stderr.to_log();
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)
}

/// Undoes [`take_over`]. Where the terminal is gone there is nothing to be done, so errors are left alone.
fn give_back(stderr: &StandardError) {
    stderr.to_terminal();
    let _ = execute!(stdout(), DisableMouseCapture, DisableBracketedPaste, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

impl PanicHook {
    fn install(stderr: StandardError) -> Self {
        let previous: Arc<Hook> = panic::take_hook().into();
        let then = Arc::clone(&previous);
        let screen_thread = thread::current().id();
        panic::set_hook(Box::new(move |panic| {
            if thread::current().id() == screen_thread {
                give_back(&stderr);
                then(panic);
            } else {
                tracing::error!("a thread panicked: {panic}");
            }
        }));
        Self { previous }
    }
}

impl Drop for PanicHook {
    fn drop(&mut self) {
        // A thread that is panicking may not change the hook, and the program is at its end.
        if !thread::panicking() {
            let previous = Arc::clone(&self.previous);
            panic::set_hook(Box::new(move |panic| previous(panic)));
        }
    }
}
