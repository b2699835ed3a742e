//! The real program in a pseudo-terminal, with what it writes read as a terminal reads it. The benchmark of the screen
//! uses it too.

use std::{
    io::{Read, Write},
    os::fd::BorrowedFd,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use rustix::termios::{LocalModes, tcgetattr};

/// How a terminal is asked for its background's colour.
const BACKGROUND_QUERY: &[u8] = b"\x1b]11;?";
/// How long a program may take to show something before the test that waits for it fails. Only one that never will
/// gets here: on two busy cores nothing took longer than a few seconds.
const PATIENCE: Duration = Duration::from_secs(180);

/// A program in a terminal of its own.
pub struct Terminal {
    output: Arc<Output>,
    keyboard: Arc<Mutex<Box<dyn Write + Send>>>,
    child: Box<dyn Child + Send + Sync>,
    terminal: Box<dyn MasterPty + Send>,
}

/// What the program has written, as a terminal understands it.
struct Output {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    screen: vt100::Parser,
    /// When the last of it came.
    at: Instant,
    closed: bool,
}

impl Terminal {
    /// Starts the program with these arguments. Everything it keeps is under `home`, and it never uses the network.
    pub fn start(home: &Path, arguments: &[&str], variables: &[(&str, &str)], size: (u16, u16)) -> Self {
        Self::start_replying(home, arguments, variables, size, "")
    }

    /// Starts the program; what comes from the keyboard when it asks for the background's colour is `reply`.
    pub fn start_replying(
        home: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
        size: (u16, u16),
        reply: &str,
    ) -> Self {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_gibbon"));
        command.args(arguments);
        Self::run(command, home, variables, size, reply)
    }

    /// Starts the tests' own program, to run the test of this name.
    pub fn start_test(name: &str, home: &Path, variables: &[(&str, &str)], size: (u16, u16)) -> Self {
        let program = std::env::current_exe().expect("the tests are a program");
        let mut command = CommandBuilder::new(program);
        command.args([name, "--exact", "--nocapture"]);
        Self::run(command, home, variables, size, "")
    }

    fn run(
        mut command: CommandBuilder,
        home: &Path,
        variables: &[(&str, &str)],
        (columns, rows): (u16, u16),
        reply: &str,
    ) -> Self {
        let pair = native_pty_system().openpty(size(columns, rows)).expect("a pseudo-terminal");
        command.env_clear();
        command.env("GIBBON_HOME", home);
        command.env("HOME", home);
        command.env("HF_HOME", home.join("hub"));
        command.env("HF_HUB_OFFLINE", "1");
        command.env("TERM", "xterm-256color");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        for (name, value) in variables {
            command.env(name, value);
        }
        command.cwd(home);
        let child = pair.slave.spawn_command(command).expect("the program starts");
        // Only the child holds the terminal's other end now, so that its end is the end of the output.
        drop(pair.slave);
        let state = State { screen: vt100::Parser::new(rows, columns, 0), at: Instant::now(), closed: false };
        let output = Arc::new(Output { state: Mutex::new(state), changed: Condvar::new() });
        let reader = pair.master.try_clone_reader().expect("a reader");
        let keyboard = Arc::new(Mutex::new(pair.master.take_writer().expect("a writer")));
        thread::spawn({
            let (output, keyboard, reply) = (Arc::clone(&output), Arc::clone(&keyboard), reply.to_owned());
            move || output.follow(reader, || type_in(&keyboard, &reply))
        });
        Self { output, keyboard, child, terminal: pair.master }
    }

    pub fn press(&mut self, keys: &str) {
        type_in(&self.keyboard, keys);
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        self.output.locked().screen.screen_mut().set_size(rows, columns);
        self.terminal.resize(size(columns, rows)).expect("the terminal takes a size");
    }

    pub fn process(&self) -> rustix::process::Pid {
        let id = self.child.process_id().and_then(|id| rustix::process::Pid::from_raw(id as i32));
        id.expect("the program runs")
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.process(), signal).expect("it can be signalled");
    }

    /// What is on the screen now.
    pub fn picture(&self) -> String {
        self.output.locked().screen.screen().contents()
    }

    /// The background of the screen's first cell.
    pub fn background(&self) -> vt100::Color {
        self.output.locked().screen.screen().cell(0, 0).expect("a screen has cells").bgcolor()
    }

    /// Waits until the screen shows `text`; fails when the program ends, or goes on for long, without having shown it.
    pub fn shows(&self, text: &str) -> String {
        self.shows_when(text, |picture| picture.contains(text)).0
    }

    /// Waits until the screen is as `wanted` says; gives the picture, and when it came. `what` is for the failure.
    pub fn shows_when(&self, what: &str, wanted: impl Fn(&str) -> bool) -> (String, Instant) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.output.locked();
        loop {
            let picture = state.screen.screen().contents();
            if wanted(&picture) {
                return (picture, state.at);
            }
            let is_over = state.closed || Instant::now() > deadline;
            assert!(!is_over, "{what:?} was never shown; at the end there was:\n{picture}");
            state = self.output.changes(state);
        }
    }

    /// Waits for the end of the program; the terminal must be as it was before.
    pub fn ends(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.output.locked();
        while !state.closed {
            assert!(Instant::now() < deadline, "it did not end:\n{}", state.screen.screen().contents());
            state = self.output.changes(state);
        }
        let status = self.child.wait().expect("the program can be waited for");
        assert!(!self.is_raw(), "lines are edited and seen again");
        let screen = state.screen.screen();
        assert!(!screen.alternate_screen(), "the alternate screen was left");
        assert!(!screen.hide_cursor(), "the cursor is shown");
        assert!(!screen.bracketed_paste(), "bracketed paste is off");
        assert_eq!(
            screen.mouse_protocol_mode(),
            vt100::MouseProtocolMode::None,
            "the mouse is the terminal's"
        );
        status
    }

    /// Whether keys reach the program one by one and unseen, as they do while it has the terminal.
    pub fn is_raw(&self) -> bool {
        let terminal = self.terminal.as_raw_fd().expect("a pseudo-terminal has a descriptor");
        // SAFETY: the descriptor belongs to `self.terminal`, which is open for as long as `self` is borrowed.
        let terminal = unsafe { BorrowedFd::borrow_raw(terminal) };
        let modes = tcgetattr(terminal).expect("a terminal has modes").local_modes;
        !modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
    }
}

impl Output {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to be written, for a second at most.
    fn changes<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, Duration::from_secs(1)).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Reads until the program's end of the terminal is closed. `reply` is called when the program asks for the
    /// background's colour.
    fn follow(&self, mut reader: Box<dyn Read + Send>, reply: impl Fn()) {
        let mut bytes = [0; 4096];
        // What was read, as far as the query may begin in it.
        let mut tail = Vec::new();
        loop {
            let read = reader.read(&mut bytes).unwrap_or(0);
            tail.extend_from_slice(&bytes[..read]);
            if tail.windows(BACKGROUND_QUERY.len()).any(|window| window == BACKGROUND_QUERY) {
                reply();
                tail.clear();
            }
            tail.drain(..tail.len().saturating_sub(BACKGROUND_QUERY.len() - 1));
            let mut state = self.locked();
            state.at = Instant::now();
            state.screen.process(&bytes[..read]);
            state.closed = read == 0;
            self.changed.notify_all();
            if state.closed {
                return;
            }
        }
    }
}

fn type_in(keyboard: &Mutex<Box<dyn Write + Send>>, keys: &str) {
    let mut keyboard = keyboard.lock().unwrap_or_else(PoisonError::into_inner);
    keyboard.write_all(keys.as_bytes()).expect("the terminal takes keys");
    keyboard.flush().expect("the terminal takes keys");
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}
