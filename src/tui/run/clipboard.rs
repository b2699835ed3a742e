//! The clipboard of the machine that the program runs on, beside the one that the terminal reaches through OSC 52.

use std::{
    env,
    sync::mpsc::{Sender, channel},
    thread,
};

/// Most bytes sent through OSC 52. Their base64 takes 100,000 characters, where common terminals stop.
pub const TERMINAL_LIMIT: usize = 74_000;

/// The local clipboard, on a thread of its own: a display server that does not answer must not hold up the screen.
/// The thread lives as long as this does, because X11 loses what was copied when its owner goes.
pub struct Clipboard {
    texts: Option<Sender<String>>,
}

impl Clipboard {
    /// Finds out whether there is a clipboard on this side; through SSH it would be that of the wrong machine. `done`
    /// is called on the clipboard's thread with how each copying ended.
    pub fn open(done: impl Fn(&str, Result<(), String>) + Send + 'static) -> Self {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_remote = is_set("SSH_CONNECTION") || is_set("SSH_TTY");
        let has_display = cfg!(any(target_os = "macos", windows)) || is_set("DISPLAY");
        Self { texts: (!is_remote && has_display).then(|| start(done)) }
    }

    /// Hands `text` to the local clipboard; false where there is none.
    pub fn copy(&self, text: String) -> bool {
        self.texts.as_ref().is_some_and(|texts| texts.send(text).is_ok())
    }
}

fn start(done: impl Fn(&str, Result<(), String>) + Send + 'static) -> Sender<String> {
    let (texts, waiting) = channel::<String>();
    thread::spawn(move || {
        // Opened with the first text: until then nothing of the display server is needed.
        let mut clipboard: Option<arboard::Clipboard> = None;
        for text in waiting {
            let copied = match clipboard.take().map_or_else(arboard::Clipboard::new, Ok) {
                Ok(opened) => clipboard.insert(opened).set_text(text.as_str()),
                Err(error) => Err(error),
            };
            done(&text, copied.map_err(|error| error.to_string()));
        }
    });
    texts
}
