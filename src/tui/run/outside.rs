//! What the screen asks for beyond the terminal and the engine. Each piece of work runs on a thread of its own, so
//! that no disk and no other program makes the screen wait; what came of it is a message like any other.

use std::path::PathBuf;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{super::app::What, log_file};
use crate::config::Config;

/// The door to everything outside, and where the results go.
pub struct Outside {
    results: UnboundedSender<What>,
    log_directory: PathBuf,
}

impl Outside {
    pub fn new(config: &Config) -> (Self, UnboundedReceiver<What>) {
        let (results, received) = unbounded_channel();
        (Self { results, log_directory: config.paths.state.clone() }, received)
    }

    pub fn read_log(&self) {
        let directory = self.log_directory.clone();
        self.start(move || What::LogRead(log_file::tail(&directory)));
    }

    /// Does `work` on a thread and hands its result to the screen.
    fn start(&self, work: impl FnOnce() -> What + Send + 'static) {
        let results = self.results.clone();
        std::thread::spawn(move || {
            // Nobody listens any more when the screen is closing.
            let _ = results.send(work());
        });
    }
}
