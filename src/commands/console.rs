//! Standard output and standard error, and what may be written to which.
//!
//! Standard output gets a command's result and nothing else. Standard error gets notes, warnings and, only when it is
//! a terminal, progress. Colours only on a terminal.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use crossterm::style::Stylize;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::engine::visible;

/// How much is said beside the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verbosity {
    Quiet,
    #[default]
    Normal,
    Verbose,
}

/// Colour and width of one of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    pub color: bool,
    /// Columns.
    pub width: usize,
}

/// Where a text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Output,
    Error,
}

/// The two streams of a command.
pub struct Console {
    output: Box<dyn Write>,
    error: Box<dyn Write>,
    output_style: Style,
    error_style: Style,
    output_is_terminal: bool,
    error_is_terminal: bool,
    verbosity: Verbosity,
    here: PathBuf,
    bar: Option<(String, ProgressBar)>,
}

impl Console {
    /// The streams of this process. `color` is false when the user wants none.
    pub fn of_process(color: bool, verbosity: Verbosity) -> Self {
        let width = crossterm::terminal::size().map_or(100, |(columns, _)| usize::from(columns).max(40));
        let (output_is_terminal, error_is_terminal) =
            (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self {
            output: Box::new(io::stdout()),
            error: Box::new(io::stderr()),
            output_style: Style {
                color: color && output_is_terminal,
                width: if output_is_terminal { width } else { 100 },
            },
            error_style: Style {
                color: color && error_is_terminal,
                width: if error_is_terminal { width } else { 100 },
            },
            output_is_terminal,
            error_is_terminal,
            verbosity,
            here: std::env::current_dir().unwrap_or_default(),
            bar: None,
        }
    }

    pub fn verbosity(&self) -> Verbosity {
        self.verbosity
    }

    pub fn output_is_terminal(&self) -> bool {
        self.output_is_terminal
    }

    pub fn style(&self, stream: Stream) -> Style {
        match stream {
            Stream::Output => self.output_style,
            Stream::Error => self.error_style,
        }
    }

    /// Writes a part of the result at once.
    pub fn output(&mut self, text: &str) -> io::Result<()> {
        self.end_progress();
        self.output.write_all(text.as_bytes())?;
        self.output.flush()
    }

    /// Writes `text` to `stream`; what is for standard error is left out when quiet, and its errors do not matter.
    pub fn write(&mut self, stream: Stream, text: &str) -> io::Result<()> {
        match stream {
            Stream::Output => self.output(text),
            Stream::Error => {
                self.note_raw(text);
                Ok(())
            }
        }
    }

    /// A line beside the result, unless quiet.
    pub fn note(&mut self, text: &str) {
        self.note_raw(&format!("{text}\n"));
    }

    /// A warning, unless quiet. `text` may hold anything.
    pub fn warning(&mut self, text: &str) {
        let label = self.error_style.warning("warning:");
        self.note(&format!("{label} {}", visible(text)));
    }

    /// What went wrong and what to do next; said even when quiet.
    pub fn failure(&mut self, message: &str, hint: Option<&str>) {
        let mut text = format!("{} {}\n", self.error_style.bad("error:"), visible(message));
        if let Some(hint) = hint {
            text.push_str(&format!("{} {}\n", self.error_style.dim("hint:"), visible(hint)));
        }
        self.end_progress();
        // Nowhere is left to say that standard error is closed.
        let _ = self.error.write_all(text.as_bytes());
    }

    fn note_raw(&mut self, text: &str) {
        if self.verbosity == Verbosity::Quiet {
            return;
        }
        let error = &mut self.error;
        // As above.
        let _ = match &self.bar {
            Some((_, bar)) => bar.suspend(|| error.write_all(text.as_bytes())),
            None => error.write_all(text.as_bytes()),
        };
    }

    /// Shows how far `label` has come; a `total` of 0 is unknown. Nothing unless standard error is a terminal.
    pub fn progress(&mut self, label: &str, done: u64, total: u64, unit: &str) {
        if self.verbosity == Verbosity::Quiet || !self.error_is_terminal {
            return;
        }
        let fits = |bar: &ProgressBar| (bar.length().unwrap_or(0) == 0) == (total == 0);
        if !self.bar.as_ref().is_some_and(|(shown, bar)| shown == label && fits(bar)) {
            self.end_progress();
            self.bar = Some((label.to_owned(), new_bar(label, total, unit)));
        }
        if let Some((_, bar)) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
        }
    }

    /// Takes the progress off the screen.
    pub fn end_progress(&mut self) {
        if let Some((_, bar)) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// `path` as a person would type it here, and safe to print.
    pub fn path(&self, path: &Path) -> String {
        show_path(path, &self.here)
    }

    pub fn here(&self) -> &Path {
        &self.here
    }
}

/// `path` from `here` where it is below, with everything that a terminal would act on taken out.
pub fn show_path(path: &Path, here: &Path) -> String {
    let short = path.strip_prefix(here).ok().filter(|rest| !rest.as_os_str().is_empty()).unwrap_or(path);
    visible(&short.to_string_lossy()).replace(['\n', '\t'], "\u{fffd}")
}

fn new_bar(label: &str, total: u64, unit: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&bar_template(total, unit))
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr()).with_style(style);
    bar.set_message(label.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A spinner while the total is unknown, else a bar.
fn bar_template(total: u64, unit: &str) -> String {
    match (total, unit) {
        (0, "") => "{spinner} {msg}".to_owned(),
        (0, "bytes") => "{spinner} {msg} {bytes}".to_owned(),
        (0, unit) => format!("{{spinner}} {{msg}} {{human_pos}} {unit}"),
        (_, "bytes") => "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left".to_owned(),
        (_, unit) => format!("{{msg}} {{bar:30}} {{human_pos}}/{{human_len}} {unit}, {{eta}} left"),
    }
}

impl Style {
    /// For text that is read by a program or a test.
    pub const PLAIN: Self = Self { color: false, width: 100 };

    pub fn heading(self, text: &str) -> String {
        if self.color { text.bold().to_string() } else { text.to_owned() }
    }

    pub fn dim(self, text: &str) -> String {
        if self.color { text.dim().to_string() } else { text.to_owned() }
    }

    pub fn good(self, text: &str) -> String {
        if self.color { text.green().to_string() } else { text.to_owned() }
    }

    pub fn warning(self, text: &str) -> String {
        if self.color { text.yellow().bold().to_string() } else { text.to_owned() }
    }

    pub fn bad(self, text: &str) -> String {
        if self.color { text.red().bold().to_string() } else { text.to_owned() }
    }
}

#[cfg(test)]
pub mod capture {
    use std::{cell::RefCell, rc::Rc};

    use super::*;

    /// What a console wrote.
    #[derive(Clone, Default)]
    pub struct Captured(Rc<RefCell<Vec<u8>>>);

    impl Captured {
        pub fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).expect("only text is written")
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Console {
        /// A console as in a pipe, with what it will have written to output and to error.
        pub fn captured(verbosity: Verbosity) -> (Self, Captured, Captured) {
            let (output, error) = (Captured::default(), Captured::default());
            let console = Self::to(Box::new(output.clone()), Box::new(error.clone()), verbosity);
            (console, output, error)
        }

        pub fn to(output: Box<dyn Write>, error: Box<dyn Write>, verbosity: Verbosity) -> Self {
            Self {
                output,
                error,
                output_style: Style::PLAIN,
                error_style: Style::PLAIN,
                output_is_terminal: false,
                error_is_terminal: false,
                verbosity,
                here: PathBuf::from("/home/ada"),
                bar: None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_short_and_harmless() {
        let here = Path::new("/home/ada");
        assert_eq!(show_path(Path::new("/home/ada/notes/a.md"), here), "notes/a.md");
        assert_eq!(show_path(Path::new("/srv/a.md"), here), "/srv/a.md");
        assert_eq!(show_path(here, here), "/home/ada");
        assert_eq!(show_path(Path::new("/srv/\u{1b}[31m\n.md"), here), "/srv/␛[31m\u{fffd}.md");
    }

    #[test]
    fn without_colour_there_is_no_escape() {
        for text in [Style::PLAIN.bad("x"), Style::PLAIN.heading("x"), Style::PLAIN.dim("x")] {
            assert_eq!(text, "x");
        }
        assert!(Style { color: true, width: 80 }.bad("x").contains('\u{1b}'));
    }

    #[test]
    fn quiet_leaves_errors_only() {
        let (mut console, output, error) = Console::captured(Verbosity::Quiet);
        console.warning("beware");
        console.note("by the way");
        console.progress("reading", 1, 2, "files");
        console.failure("it broke \u{1b}[2J", Some("Mend it."));
        assert_eq!(output.text(), "");
        assert_eq!(error.text(), "error: it broke ␛[2J\nhint: Mend it.\n");
    }

    #[test]
    fn every_kind_of_progress_can_be_drawn() {
        for (total, unit) in [(0, ""), (0, "bytes"), (0, "files"), (9, "bytes"), (9, "tokens")] {
            assert!(ProgressStyle::with_template(&bar_template(total, unit)).is_ok(), "{total} {unit}");
        }
    }
}
