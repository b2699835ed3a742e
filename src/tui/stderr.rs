//! Standard error while the screen is open: libraries that print to it would draw over the picture, so that it leads
//! into the log until the terminal is given back.

use std::{
    io::{self, BufRead, BufReader, IsTerminal, PipeReader, PipeWriter, Read},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::Arc,
    thread,
};

/// Longest line that is logged in one piece, in bytes.
const LONGEST_LINE: u64 = 4096;

/// Standard error led away from the terminal, or not.
#[derive(Clone)]
pub struct StandardError(Option<Arc<Ends>>);

struct Ends {
    terminal: OwnedFd,
    log: PipeWriter,
}

impl StandardError {
    /// Gets ready to lead standard error into the log. Where it does not go to a terminal, it is left alone.
    pub fn new() -> io::Result<Self> {
        if !io::stderr().is_terminal() {
            return Ok(Self(None));
        }
        let terminal = io::stderr().as_fd().try_clone_to_owned()?;
        let (read, log) = io::pipe()?;
        thread::spawn(move || log_lines(read));
        Ok(Self(Some(Arc::new(Ends { terminal, log }))))
    }

    /// Leads it into the log.
    pub fn to_log(&self) {
        if let Some(ends) = &self.0 {
            // Where it fails, what is printed spoils the picture until the next redraw, and nothing worse.
            let _ = lead_to(&ends.log);
        }
    }

    /// Leads it to the terminal again.
    pub fn to_terminal(&self) {
        if let Some(ends) = &self.0 {
            let _ = lead_to(&ends.terminal);
        }
    }
}

/// Makes standard error another name of `end`.
fn lead_to(end: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: dup2 takes two numbers and touches no memory; `end` is open for as long as it is borrowed, and standard
    // error is nobody's to close.
    match unsafe { libc::dup2(end.as_raw_fd(), libc::STDERR_FILENO) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Logs what comes, line by line, until nobody can write any more.
fn log_lines(pipe: PipeReader) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while let Ok(read) = pipe.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)
        && read > 0
    {
        let text = String::from_utf8_lossy(&line);
        let text = crate::engine::visible(text.trim_end());
        if !text.is_empty() {
            tracing::warn!(target: "gibbon::stderr", "{text}");
        }
        line.clear();
    }
}
