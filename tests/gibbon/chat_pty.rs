//! The real program in a pseudo-terminal: what it shows without a model, and that it gives the terminal back.
#![cfg(unix)]

use std::{cell::Cell, io::Write, path::PathBuf};

use gibbon::{
    catalogue::{Catalogue, Message, Role},
    config::{Config, Paths},
    engine::{Command, RequestId},
    tui,
};

use crate::terminal::Terminal;

/// `gibbon chat` in a terminal of its own, with nothing in its home.
struct Chat {
    terminal: Terminal,
    _home: tempfile::TempDir,
}

impl Chat {
    fn start(columns: u16, rows: u16) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let terminal = Terminal::start(home.path(), &["chat"], &[], (columns, rows));
        Self { terminal, _home: home }
    }
}

impl std::ops::Deref for Chat {
    type Target = Terminal;

    fn deref(&self) -> &Terminal {
        &self.terminal
    }
}

impl std::ops::DerefMut for Chat {
    fn deref_mut(&mut self) -> &mut Terminal {
        &mut self.terminal
    }
}

const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";

#[test]
fn first_run_shows_the_next_step_and_takes_keys() {
    let mut chat = Chat::start(100, 30);
    let screen = chat.shows("fetch it");
    assert!(screen.contains("Enter") && screen.contains("94 MiB") && screen.contains("Hub"), "{screen}");
    chat.press("\r");
    // It is offline, says so where the model would be, and offers to try again.
    chat.shows("try again");
    chat.press("hello dome");
    chat.shows("hello dome");
    chat.press("\r");
    // The answer is a failure that says what to do; the screen goes on.
    chat.shows("✗");
    chat.press(CTRL_C);
    chat.shows("Press Ctrl-C again to quit");
    chat.press(CTRL_C);
    assert!(chat.terminal.ends().success());
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
    assert!(chat.terminal.ends().success());
}

#[test]
fn ctrl_d_on_an_empty_question_quits() {
    let mut chat = Chat::start(100, 30);
    chat.shows("Welcome");
    chat.press(CTRL_D);
    assert!(chat.terminal.ends().success());
}

#[test]
fn signals_give_the_terminal_back() {
    use rustix::process::Signal;
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let chat = Chat::start(100, 30);
        chat.shows("Welcome");
        chat.signal(signal);
        chat.terminal.ends();
    }
}

/// Set where a test is run again, in a terminal of its own.
const IN_TERMINAL: &str = "GIBBON_TEST_IN_TERMINAL";

/// The screen in this process: at its first command something else prints, at its second it panics.
fn screen_that_panics() {
    let home = PathBuf::from(std::env::var_os("GIBBON_HOME").expect("a home"));
    let paths = Paths { config_file: "".into(), data: home.join("data"), state: home.join("state") };
    let config = Config::with_paths(paths);
    let (_engine, events) = tokio::sync::mpsc::unbounded_channel();
    let commands = Cell::new(0);
    let send = |_: Command| {
        commands.set(commands.get() + 1);
        assert!(commands.get() < 2, "it panics on purpose");
        std::io::stderr().write_all(b"printed by a library").expect("it is printed");
    };
    let _ = tui::run_with(&config, send, || RequestId(1), events, None);
}

#[test]
fn a_panic_gives_the_terminal_back_and_nothing_prints_over_the_screen() {
    const VIEW_OF_CHATS: &str = "\u{1b}[15~";
    const VIEW_OF_LOG: &str = "\u{1b}[17~";
    const NAME: &str = "chat_pty::a_panic_gives_the_terminal_back_and_nothing_prints_over_the_screen";
    if std::env::var_os(IN_TERMINAL).is_some() {
        return screen_that_panics();
    }
    let home = tempfile::tempdir().expect("a temporary directory");
    let mut screen = Terminal::start_test(NAME, home.path(), &[(IN_TERMINAL, "")], (100, 30));
    screen.shows("Ctrl-P palette");
    screen.press(VIEW_OF_CHATS);
    screen.shows("Words to look for");
    screen.press(VIEW_OF_LOG);
    let picture = screen.shows_when("the log", |picture| !picture.contains("Words to look for")).0;
    assert!(!picture.contains("printed by a library"), "{picture}");
    screen.press(VIEW_OF_CHATS);
    screen.shows("it panics on purpose");
    assert!(!screen.ends().success());
}

#[test]
fn keys_come_from_the_configuration_and_the_mouse_works() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let write = |text: &str| std::fs::write(home.path().join("config.toml"), text).expect("it is written");
    write("[keys]\n\"palette.open\" = \"ctrl-k\"\n");
    let mut chat = Terminal::start(home.path(), &["chat"], &[], (100, 30));
    chat.shows("Ctrl-K palette");
    chat.press("\u{b}");
    chat.shows("What do you want to do?");
    // A click beside the card closes it; one on a name in the header opens that view.
    chat.press("\u{1b}[<0;2;2M");
    chat.shows_when("the palette closed", |picture| !picture.contains("What do you want to do?"));
    let header = chat.picture();
    let column = header.lines().next().and_then(|row| row.find("Index ")).expect("the views are named");
    let column = header[..column].chars().count() + 1;
    chat.press(&format!("\u{1b}[<0;{column};1M"));
    chat.shows("Folders");
    chat.press(&CTRL_C.repeat(2));
    assert!(chat.ends().success());

    write("[keys]\nsned = \"enter\"\n");
    let chat = Terminal::start(home.path(), &["chat"], &[], (100, 30));
    chat.shows("is it send?");
    assert_eq!(chat.ends().exit_code(), 2, "as for any mistake in the configuration");
    write("[screen]\ntheme = \"sunset\"\n");
    let chat = Terminal::start(home.path(), &["chat"], &[], (100, 30));
    chat.shows("sunset");
    assert_eq!(chat.ends().exit_code(), 2);
}

/// The screen of `theme = "auto"` in a terminal whose keyboard says `reply` when the program asks for its background's
/// colour. Ctrl-A goes to the beginning of the question.
fn automatic_theme(reply: &str) -> (vt100::Color, String) {
    let home = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(home.path().join("config.toml"), "[screen]\ntheme = \"auto\"\n").expect("it is written");
    let mut chat = Terminal::start_replying(home.path(), &["chat"], &[], (100, 30), reply);
    chat.shows("Welcome");
    let picture = chat.shows_when("what was typed", |picture| picture.contains("hello dome"));
    let background = chat.background();
    chat.press(&CTRL_C.repeat(2));
    assert!(chat.ends().success());
    (background, picture.0)
}

#[test]
fn the_theme_is_light_or_dark_as_the_terminal_is_and_no_key_is_lost() {
    let (typed, rest) = ("dome\u{1}", "hello ");
    let (light, picture) = automatic_theme(&format!("{typed}\u{1b}]11;rgb:ffff/ffff/ffff\u{1b}\\{rest}"));
    assert!(matches!(light, vt100::Color::Rgb(200.., 200.., 200..)), "{light:?}");
    assert!(!picture.contains("rgb"), "{picture}");
    let (dark, _) = automatic_theme(&format!("\u{1b}]11;rgb:0000/0000/0000\u{7}{typed}{rest}"));
    assert!(matches!(dark, vt100::Color::Rgb(..60, ..60, ..60)), "{dark:?}");
    let (unknown, _) = automatic_theme(&format!("{typed}{rest}"));
    assert_eq!(unknown, vt100::Color::Default, "the terminal's own");
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
    assert!(chat.terminal.ends().success());
}

#[test]
fn a_kept_chat_goes_on() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let mut catalogue = Catalogue::open(&home.path().join("data")).expect("it is created");
    let message = |role, text: &str| Message {
        role,
        text: text.to_owned(),
        sources: None,
        timings: None,
        details: None,
    };
    // The first was used last.
    for (used, question) in [(30, "When does the dome close?"), (20, "Who cleans the mirror?")] {
        let chat = catalogue.start_session(question, 10).expect("it is written");
        let turn = [message(Role::User, question), message(Role::Assistant, "At dusk\u{1b}[2J.")];
        catalogue.append_messages(chat, &turn, None, used).expect("it is written");
    }
    drop(catalogue);
    for (arguments, question) in
        [(&["chat", "--resume"][..], "When does the dome close?"), (&["chat", "--resume", "2"], "Who cleans")]
    {
        let mut chat = Terminal::start(home.path(), arguments, &[], (100, 30));
        let screen = chat.shows("At dusk");
        assert!(screen.contains(question), "{screen}");
        chat.press(&CTRL_C.repeat(2));
        assert!(chat.ends().success());
    }
    let chat = Terminal::start(home.path(), &["chat", "--resume", "9"], &[], (100, 30));
    chat.shows("there is no chat 9");
    assert_eq!(chat.ends().exit_code(), 2);
}
