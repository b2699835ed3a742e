//! What the screen asks for beyond the terminal and the engine. Each piece of work runs on a thread of its own, so
//! that no disk and no other program makes the screen wait; what came of it is a message like any other.

use std::sync::mpsc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{
    super::{
        app::What,
        highlight::{Code, Highlighter},
    },
    clipboard::{Clipboard, TERMINAL_LIMIT},
    folders, log_file,
    save::save,
};
use crate::{
    config::{self, Config},
    engine::admin,
};

/// The door to everything outside, and where the results go.
pub struct Outside {
    results: UnboundedSender<What>,
    config: Config,
    clipboard: Clipboard,
    /// Takes code to the thread that knows the syntaxes. `None` until there is any.
    highlighter: Option<mpsc::Sender<Code>>,
}

impl Outside {
    pub fn new(config: &Config) -> (Self, UnboundedReceiver<What>) {
        let (results, received) = unbounded_channel();
        let clipboard = open_clipboard(results.clone());
        (Self { results, config: config.clone(), clipboard, highlighter: None }, received)
    }

    pub fn read_log(&self) {
        let directory = self.config.paths.state.clone();
        self.start(move || What::LogRead(log_file::tail(&directory)));
    }

    pub fn save_theme(&self, name: String) {
        let file = self.config.paths.config_file.clone();
        self.start(move || {
            let saved = config::save_theme(&file, &name);
            What::ThemeSaved(saved.map_err(|error| format!("{} cannot be written: {error}", file.display())))
        });
    }

    /// The only use of the network by the screen; the user has pressed the key for it.
    pub fn fetch_model(&self) {
        let (config, results) = (self.config.clone(), self.results.clone());
        self.start(move || {
            let mut tell = |progress| drop(results.send(What::FetchProgress(progress)));
            What::Fetched(admin::model_pull(&config, &mut tell))
        });
    }

    pub fn write_samples(&self) {
        let config = self.config.clone();
        self.start(move || What::Samples(admin::sample_corpus(&config)));
    }

    pub fn list_folders(&self, typed: String) {
        self.start(move || What::Folders { found: folders::folders(&typed), typed });
    }

    /// Finds out the roles of code. The syntaxes are loaded by the thread, when the first code is shown.
    pub fn highlight(&mut self, code: Code) {
        let results = &self.results;
        let start = || {
            let (sender, codes) = mpsc::channel::<Code>();
            let results = results.clone();
            std::thread::spawn(move || {
                let mut highlighter = Highlighter::load();
                for code in codes {
                    // Nobody listens any more when the screen is closing.
                    let _ = results.send(What::Highlighted(highlighter.highlight(code)));
                }
            });
            sender
        };
        // The thread ends before this does in no case but a panic of its own; then code stays in one role.
        let _ = self.highlighter.get_or_insert_with(start).send(code);
    }

    /// Copies to the local clipboard. What is too long for the terminal and has no other way is said to be so.
    pub fn copy(&self, text: String) {
        let fits = text.len() <= TERMINAL_LIMIT;
        if !self.clipboard.copy(text) && !fits {
            let reason = format!("it is longer than {TERMINAL_LIMIT} bytes, the most that terminals take");
            // The receiver lives as long as the loop that this is called from.
            let _ = self.results.send(What::Copied(Err(reason)));
        }
    }

    /// Writes a file of the current directory, and none that is there.
    pub fn save(&self, stem: String, extension: &'static str, text: String) {
        self.start(move || {
            let directory = std::env::current_dir().map_err(|error| error.to_string());
            What::Saved(directory.and_then(|directory| save(&directory, &stem, extension, &text)))
        });
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

/// The local clipboard. Its failure is of interest only where the terminal could not take the text.
fn open_clipboard(results: UnboundedSender<What>) -> Clipboard {
    Clipboard::open(move |text, copied| {
        if let Err(reason) = copied {
            tracing::warn!("the local clipboard failed: {reason}");
            if text.len() > TERMINAL_LIMIT {
                // Nobody listens any more when the screen is closing.
                let _ = results.send(What::Copied(Err(reason)));
            }
        }
    })
}
