//! The log.

use crossterm::event::KeyCode;

use super::{Scene, Stage, chat::empty};
use crate::tui::{What, log::LogTail};

#[rustfmt::skip]
pub const SCENES: &[Scene] = &[
    Scene { name: "log", description: "The end of the log, followed as it is written.", build: log },
    Scene { name: "log_back", description: "The log, looked through further back.", build: log_back },
];

/// Lines as the program writes them, and one that nobody should have written.
fn log(stage: &mut Stage) {
    empty(stage);
    stage.press(KeyCode::F(6));
    let mut lines = Vec::new();
    for minute in 0..30 {
        let text = match minute % 5 {
            // Far enough up that the picture in the documentation does without: its font lacks these characters.
            1 if minute == 1 => "ERROR gibbon::stderr: ggml_error: 中文 \u{202e}this came from a library",
            0 => " INFO gibbon::engine: 3 files read, 41 chunks indexed in 0.21 s",
            1 => "DEBUG gibbon::store: read 4 files, 12.1 MiB, in 7 ms",
            2 => {
                " INFO gibbon::engine: answer with ape: first token after 93 ms, 112 tokens at 71.2 per second"
            }
            3 => " WARN gibbon::store: a cache file is damaged and is encoded again: kv/1f/1f0c52d1.kv",
            _ => "ERROR gibbon::stderr: ggml_error: this came from a library",
        };
        lines.push(format!("2031-05-12T18:{minute:02}:12.421573Z {text}"));
    }
    let tail = LogTail { path: "/home/ada/.local/state/gibbon/gibbon.2031-05-12.log".into(), lines };
    stage.tell(What::LogRead(Ok(tail)));
}

fn log_back(stage: &mut Stage) {
    log(stage);
    stage.press(KeyCode::PageUp);
    stage.press(KeyCode::Up);
}
