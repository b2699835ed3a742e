//! The log as the screen shows it: the last lines of its file, read again while it is looked at.

use std::{path::PathBuf, time::Duration};

use super::{
    app::{App, Effect},
    keys::LogAction,
    panes::Panes,
    text::{Piece, Row, wrap},
    theme::Role,
};

/// How often the file is looked at while the log is shown.
const READ_EVERY: Duration = Duration::from_secs(1);
/// Rows over the log: its title and a blank.
pub const TITLE_ROWS: u16 = 2;
/// Rows under it, which keep it apart from the footer.
pub const BOTTOM_ROWS: u16 = 1;
/// Cells of a level's name.
const LEVEL: usize = 5;
/// Cells of a line's time and level.
const HEAD: usize = "18:02:12 ERROR ".len();
/// From this width on, a line goes on under its text and not under its time.
const HANGING_FROM: usize = 3 * HEAD;

/// The end of a log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTail {
    /// The file, or the directory where there is none yet.
    pub path: PathBuf,
    pub lines: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub struct LogView {
    /// What was read last, or why it could not be read; `None` before the first time.
    pub tail: Option<Result<LogTail, String>>,
    /// The lines wrapped to `width`.
    rows: Vec<Row>,
    width: usize,
    /// Rows between the last visible one and the newest: 0 follows what is being written.
    above_newest: usize,
    /// When the file is read next; `None` while a reading is under way.
    next_read: Option<Duration>,
    reading: bool,
}

impl LogView {
    /// When the file is to be read again, while it is shown.
    pub fn next_read(&self) -> Option<Duration> {
        (!self.reading).then(|| self.next_read.unwrap_or_default())
    }

    pub fn read_when_due(&mut self, now: Duration) -> Vec<Effect> {
        if self.next_read().is_none_or(|due| now < due) {
            return Vec::new();
        }
        self.reading = true;
        vec![Effect::ReadLog]
    }

    /// The rows on a screen of `height` rows, and how many there are under them.
    pub fn visible(&self, height: usize) -> (&[Row], usize) {
        let below = self.above_newest.min(self.rows.len().saturating_sub(height));
        let end = self.rows.len() - below;
        (&self.rows[end.saturating_sub(height)..end], below)
    }

    fn scroll(&mut self, rows: isize, height: usize) {
        let most = self.rows.len().saturating_sub(height);
        self.above_newest = self.above_newest.min(most).saturating_add_signed(-rows).min(most);
    }

    /// Wraps the lines where they or the width have changed.
    fn lay_out(&mut self, width: usize) {
        self.width = width;
        let lines = match &self.tail {
            Some(Ok(tail)) => tail.lines.as_slice(),
            _ => &[],
        };
        let hang = if width >= HANGING_FROM { HEAD } else { 2 };
        let rows = lines.iter().flat_map(|line| wrap(&pieces(line), width, hang)).collect::<Vec<_>>();
        if self.above_newest > 0 {
            // The reader stays where they are while lines are added.
            self.above_newest += rows.len().saturating_sub(self.rows.len());
        }
        self.rows = rows;
    }
}

/// A line's time, level, and the rest.
fn pieces(line: &str) -> Vec<Piece> {
    let parts: Vec<_> = line.splitn(3, char::is_whitespace).collect();
    let [time, _, _] = parts[..] else { return vec![Piece::new(line, Role::Base)] };
    let rest = line[time.len()..].trim_start();
    let level = rest.split_whitespace().next().unwrap_or_default();
    let role = match level {
        "ERROR" => Role::Error,
        "WARN" => Role::Warning,
        "INFO" => Role::Base,
        "DEBUG" | "TRACE" => Role::Muted,
        // Not a line of ours: the program's parts may write what they like.
        _ => return vec![Piece::new(line, Role::Base)],
    };
    // The day is in the file's name, and fractions of a second say little.
    let time = time.split_once('T').map_or(time, |(_, clock)| clock.split('.').next().unwrap_or(clock));
    let text = rest[level.len()..].trim_start();
    vec![Piece::new(format!("{time} "), Role::Muted), Piece::new(format!("{level:<LEVEL$} {text}"), role)]
}

impl App {
    pub(super) fn perform_log(&mut self, action: LogAction) -> Vec<Effect> {
        let height = log_height(self);
        let page = height.saturating_sub(1).max(1) as isize;
        match action {
            LogAction::Up => self.log.scroll(-1, height),
            LogAction::Down => self.log.scroll(1, height),
            LogAction::PageUp => self.log.scroll(-page, height),
            LogAction::PageDown => self.log.scroll(page, height),
            LogAction::Oldest => self.log.scroll(isize::MIN + 1, height),
            LogAction::Newest => self.log.above_newest = 0,
        }
        Vec::new()
    }

    pub(super) fn on_log_read(&mut self, tail: Result<LogTail, String>) -> Vec<Effect> {
        self.log.reading = false;
        self.log.next_read = Some(self.now + READ_EVERY);
        let changed = self.log.tail.as_ref() != Some(&tail);
        self.log.tail = Some(tail);
        if changed {
            self.log.lay_out(self.log.width);
        }
        Vec::new()
    }

    /// Wraps the log to the screen's width, while it is shown.
    pub(super) fn reflow_log(&mut self) {
        let width = Panes::body(self.size).width.into();
        if width != self.log.width {
            self.log.lay_out(width);
        }
    }
}

/// Rows that the log has on the screen.
fn log_height(app: &App) -> usize {
    Panes::body(app.size).height.saturating_sub(TITLE_ROWS + BOTTOM_ROWS).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(lines: usize) -> LogView {
        let lines = (0..lines).map(|number| format!("line {number}")).collect();
        let mut view =
            LogView { tail: Some(Ok(LogTail { path: "log".into(), lines })), ..LogView::default() };
        view.lay_out(40);
        view
    }

    fn last(view: &LogView) -> String {
        view.visible(5).0.last().expect("there are lines").text()
    }

    #[test]
    fn it_follows_what_is_written_unless_the_reader_looks_back() {
        let mut view = view(20);
        assert_eq!(last(&view), "line 19");
        view.scroll(-3, 5);
        assert_eq!((last(&view), view.visible(5).1), ("line 16".to_owned(), 3));
        let Some(Ok(tail)) = &mut view.tail else { panic!("it is there") };
        tail.lines.push("line 20".to_owned());
        view.lay_out(40);
        assert_eq!(last(&view), "line 16");
        view.scroll(-1000, 5);
        assert_eq!(last(&view), "line 4");
        view.scroll(1000, 5);
        assert_eq!(last(&view), "line 20");
    }

    #[test]
    fn a_lines_level_is_seen() {
        let line = "2031-05-12T18:02:12.421573Z  WARN gibbon::engine: a damaged file";
        let pieces = pieces(line);
        assert_eq!(pieces[0], Piece::new("18:02:12 ", Role::Muted));
        assert_eq!(pieces[1], Piece::new("WARN  gibbon::engine: a damaged file", Role::Warning));
        assert_eq!(super::pieces("anything else"), [Piece::new("anything else", Role::Base)]);
        assert_eq!(super::pieces("two words here"), [Piece::new("two words here", Role::Base)]);
    }
}
