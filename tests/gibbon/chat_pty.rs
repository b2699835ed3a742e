//! The real program in a pseudo-terminal: what it shows without a model, and that it gives the terminal back.
#![cfg(unix)]

use std::{
    io::{Read, Write},
    sync::{Arc, Condvar, Mutex},
    thread,
};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

/// `gibbon chat` in a terminal of its own.
struct Chat {
    output: Arc<Output>,
    keyboard: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    terminal: Box<dyn MasterPty + Send>,
    _home: tempfile::TempDir,
}

/// What the program has written, as a terminal understands it.
struct Output {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    screen: vt100::Parser,
    closed: bool,
}

impl Chat {
    fn start(columns: u16, rows: u16) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_gibbon"));
        command.arg("chat");
        command.env_clear();
        command.env("GIBBON_HOME", home.path());
        command.env("HOME", home.path());
        command.env("HF_HOME", home.path().join("hub"));
        command.env("HF_HUB_OFFLINE", "1");
        command.env("TERM", "xterm-256color");
        command.cwd(home.path());
        let child = pair.slave.spawn_command(command).expect("the program starts");
        // Only the child holds the terminal's other end now, so that its end is the end of the output.
        drop(pair.slave);
        let state = State { screen: vt100::Parser::new(rows, columns, 0), closed: false };
        let output = Arc::new(Output { state: Mutex::new(state), changed: Condvar::new() });
        let reader = pair.master.try_clone_reader().expect("a reader");
        let keyboard = pair.master.take_writer().expect("a writer");
        thread::spawn({
            let output = Arc::clone(&output);
            move || output.follow(reader)
        });
        Self { output, keyboard, child, terminal: pair.master, _home: home }
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("the terminal takes keys");
        self.keyboard.flush().expect("the terminal takes keys");
    }

    fn resize(&self, columns: u16, rows: u16) {
        self.output
            .state
            .lock()
            .expect("no test thread panicked")
            .screen
            .screen_mut()
            .set_size(rows, columns);
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        self.terminal.resize(size).expect("the terminal takes a size");
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = self.child.process_id().and_then(|id| rustix::process::Pid::from_raw(id as i32));
        rustix::process::kill_process(id.expect("the program runs"), signal).expect("it can be signalled");
    }

    /// Waits until the screen shows `text`; fails when the program ends without having shown it.
    fn shows(&self, text: &str) -> String {
        let mut state = self.output.state.lock().expect("no test thread panicked");
        loop {
            let contents = state.screen.screen().contents();
            if contents.contains(text) {
                return contents;
            }
            assert!(!state.closed, "{text:?} was never shown; at the end there was:\n{contents}");
            state = self.output.changed.wait(state).expect("no test thread panicked");
        }
    }

    /// Waits for the end of the program; the terminal must be as it was before.
    fn ends(mut self) -> ExitStatus {
        let status = self.child.wait().expect("the program can be waited for");
        let mut state = self.output.state.lock().expect("no test thread panicked");
        while !state.closed {
            state = self.output.changed.wait(state).expect("no test thread panicked");
        }
        let screen = state.screen.screen();
        assert!(!screen.alternate_screen(), "the alternate screen was left");
        assert!(!screen.hide_cursor(), "the cursor is shown");
        assert!(!screen.bracketed_paste(), "bracketed paste is off");
        status
    }
}

impl Output {
    /// Reads until the program's end of the terminal is closed.
    fn follow(&self, mut reader: Box<dyn Read + Send>) {
        let mut bytes = [0; 4096];
        loop {
            let read = reader.read(&mut bytes).unwrap_or(0);
            let mut state = self.state.lock().expect("no test thread panicked");
            state.screen.process(&bytes[..read]);
            state.closed = read == 0;
            self.changed.notify_all();
            if state.closed {
                return;
            }
        }
    }
}

const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";

#[test]
fn first_run_shows_the_next_step_and_takes_keys() {
    let mut chat = Chat::start(100, 30);
    let screen = chat.shows("gibbon demo");
    assert!(screen.contains("gibbon model pull") && screen.contains("gibbon index FOLDER"), "{screen}");
    chat.press("hello dome");
    chat.shows("hello dome");
    chat.press("\r");
    // The answer is a failure that says what to do; the screen goes on.
    chat.shows("✗");
    chat.press(CTRL_C);
    chat.shows("Press Ctrl-C again to quit");
    chat.press(CTRL_C);
    assert!(chat.ends().success());
}

#[test]
fn pasted_lines_stay_one_question() {
    let mut chat = Chat::start(100, 30);
    chat.shows("Welcome");
    chat.press("\u{1b}[200~one line\rand another\u{1b}[201~");
    let screen = chat.shows("and another");
    assert!(screen.contains("one line"), "{screen}");
    assert!(screen.contains("Welcome"), "nothing was sent:\n{screen}");
    chat.press(&CTRL_C.repeat(2));
    assert!(chat.ends().success());
}

#[test]
fn ctrl_d_on_an_empty_question_quits() {
    let mut chat = Chat::start(100, 30);
    chat.shows("Welcome");
    chat.press(CTRL_D);
    assert!(chat.ends().success());
}

#[test]
fn signals_give_the_terminal_back() {
    use rustix::process::Signal;
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let chat = Chat::start(100, 30);
        chat.shows("Welcome");
        chat.signal(signal);
        chat.ends();
    }
}

#[test]
fn without_a_terminal_it_says_so() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_gibbon"))
        .arg("chat")
        .env("GIBBON_HOME", home.path())
        .env("HF_HUB_OFFLINE", "1")
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the program starts");
    assert!(!output.status.success());
    assert!(output.stdout.is_empty(), "no escape sequence goes into a pipe");
    assert!(String::from_utf8_lossy(&output.stderr).contains("terminal"), "{output:?}");
}

#[test]
fn small_terminals_and_resizing() {
    let mut chat = Chat::start(30, 8);
    chat.shows("Too small");
    chat.resize(60, 20);
    chat.shows("Welcome");
    chat.resize(160, 48);
    chat.shows("Sources");
    chat.press(&CTRL_C.repeat(2));
    assert!(chat.ends().success());
}
