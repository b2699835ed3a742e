//! The slowest frames (update and picture) of long conversations and long answers.
//!
//! `cargo bench --bench scroll` prints a line for each case: frames, the time that 99 of 100 stay under, and the worst.
//! It exits with 1 where a frame took longer than the limit.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use gibbon::{
    config::Strategy,
    engine::{Event, Failure, FailureKind, RequestId, Status},
    tui::{App, Effect, Highlighter, Msg, Theme, What, draw},
};
use ratatui::{Terminal, backend::TestBackend, layout::Size};

const SIZE: Size = Size { width: 120, height: 40 };
/// The longest that a frame may take.
const LIMIT: Duration = Duration::from_millis(33);
const MESSAGES: u64 = 10_000;
const ANSWER: &str = "## Closing\n\nClose the dome when the wind is **above 18 m/s**:\n\n1. Park the telescope.\n2. Turn \
    `DOME` to LOCAL and hold CLOSE until the lamp is steady green.\n\n```python\ndef close(dome):\n    return \
    dome.shut()\n```\n\n| Limit | m/s |\n|--|--:|\n| close | 18 |\n";

/// A screen whose frames are timed.
struct Screen {
    app: App,
    terminal: Terminal<TestBackend>,
    opened: Instant,
    highlighter: Highlighter,
    frames: Vec<Duration>,
}

impl Screen {
    fn new() -> Self {
        let theme = Theme::load("ansi").expect("a theme of the program");
        let app = App::new(theme, Strategy::Ape, SIZE);
        let terminal =
            Terminal::new(TestBackend::new(SIZE.width, SIZE.height)).expect("it has no way to fail");
        let (opened, highlighter) = (Instant::now(), Highlighter::load());
        let mut screen = Self { app, terminal, opened, highlighter, frames: Vec::new() };
        screen.tell(What::Engine(Box::new(Event::Ready(Status::default()))));
        screen
    }

    fn tell(&mut self, what: What) -> Vec<Effect> {
        self.app.update(Msg { at: self.opened.elapsed(), what })
    }

    /// A message and the picture after it, timed.
    fn frame(&mut self, what: What) {
        let start = Instant::now();
        let effects = self.tell(what);
        let app = &self.app;
        self.terminal.draw(|frame| draw(app, frame)).expect("it has no way to fail");
        self.frames.push(start.elapsed());
        // The program does that on a thread of its own: taking the colours over is a frame, finding them is none.
        for effect in effects {
            if let Effect::Highlight(code) = effect {
                let highlighted = self.highlighter.highlight(code);
                self.frame(What::Highlighted(highlighted));
            }
        }
    }

    fn key(&mut self, code: KeyCode, modifiers: KeyModifiers) {
        self.frame(What::Key(KeyEvent::new(code, modifiers)));
    }

    fn resize(&mut self, size: Size) {
        self.terminal.backend_mut().resize(size.width, size.height);
        self.frame(What::Resized(size));
    }

    /// Asks a question whose answer begins to come.
    fn ask(&mut self, id: u64) {
        self.tell(What::Paste("How?".to_owned()));
        for effect in self.tell(What::Key(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE))) {
            if let Effect::Send(command) = effect {
                self.tell(What::Sent(command.with_id(RequestId(id))));
            }
        }
    }

    fn token(id: u64, text: &str) -> What {
        What::Engine(Box::new(Event::Token { id: RequestId(id), text: text.to_owned() }))
    }

    fn end(&mut self, id: u64) {
        let failure = Failure { kind: FailureKind::Cancelled, message: String::new(), hint: None };
        self.frame(What::Engine(Box::new(Event::Failed { id: RequestId(id), failure })));
    }

    /// Scrolls back and forth, to both ends, and through several sizes.
    fn scroll(&mut self) {
        for code in [KeyCode::PageUp, KeyCode::PageDown].into_iter().cycle().take(40) {
            for _ in 0..10 {
                self.key(code, KeyModifiers::NONE);
            }
        }
        for _ in 0..3 {
            self.key(KeyCode::Home, KeyModifiers::CONTROL);
            self.key(KeyCode::PageDown, KeyModifiers::NONE);
            self.key(KeyCode::End, KeyModifiers::CONTROL);
        }
    }

    fn resize_often(&mut self) {
        for width in [80, 100, 140, 160, 60, 40, 120] {
            self.resize(Size { width, height: SIZE.height });
        }
    }

    /// Prints the case; returns whether it stayed within the limit.
    fn report(&mut self, case: &str) -> bool {
        let mut frames = std::mem::take(&mut self.frames);
        frames.sort_unstable();
        let Some(worst) = frames.last() else { return true };
        let p99 = frames[(frames.len() - 1) * 99 / 100];
        println!(
            "{case:<36} {:>7} frames  p99 {:>7.2} ms  worst {:>7.2} ms",
            frames.len(),
            1e3 * p99.as_secs_f64(),
            1e3 * worst.as_secs_f64()
        );
        *worst <= LIMIT
    }
}

fn main() -> ExitCode {
    let mut kept = true;
    let mut screen = Screen::new();
    for id in 0..MESSAGES {
        screen.ask(id);
        screen.frame(Screen::token(id, ANSWER));
        screen.end(id);
    }
    kept &= screen.report("10,000 messages: coming");
    screen.scroll();
    kept &= screen.report("10,000 messages: scrolled");
    screen.resize_often();
    kept &= screen.report("10,000 messages: resized");
    screen.ask(MESSAGES);
    for _ in 0..500 {
        screen.frame(Screen::token(MESSAGES, "word "));
    }
    kept &= screen.report("10,000 messages: another streamed");

    let mut screen = Screen::new();
    screen.ask(1);
    let pieces = ANSWER.split_inclusive(' ').cycle();
    let mut bytes = 0;
    for piece in pieces {
        screen.frame(Screen::token(1, piece));
        bytes += piece.len();
        if bytes > 2_000_000 {
            break;
        }
    }
    kept &= screen.report("2 MB answer: streamed");
    screen.end(1);
    screen.scroll();
    kept &= screen.report("2 MB answer: scrolled");
    screen.resize_often();
    kept &= screen.report("2 MB answer: resized");

    for (case, text) in [
        ("1 MB line", "x".repeat(1_000_000)),
        ("1 MB of words in a line", "word ".repeat(200_000)),
        ("1 MB line of Japanese", "日本語".repeat(111_111)),
        ("1 MB of code", format!("```rust\n{}", "let a = \"b\"; // c\n".repeat(60_000))),
    ] {
        let mut screen = Screen::new();
        screen.ask(1);
        screen.frame(Screen::token(1, &text));
        for _ in 0..50 {
            screen.frame(Screen::token(1, "more "));
        }
        screen.scroll();
        screen.resize_often();
        screen.end(1);
        kept &= screen.report(case);
    }
    ExitCode::from(u8::from(!kept))
}
