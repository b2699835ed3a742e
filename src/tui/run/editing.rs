//! The user's editor, which has the terminal until it ends.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use tokio::sync::oneshot;

use super::super::editor;

/// Taken where neither `VISUAL` nor `EDITOR` is set.
const FALLBACK: &str = "vi";

/// Starts the editor on a thread of its own, which says how it ended.
pub fn start(path: PathBuf, line: Option<u32>) -> oneshot::Receiver<Result<(), String>> {
    let (ended, result) = oneshot::channel();
    thread::spawn(move || {
        // Nobody listens any more when the program is ending.
        let _ = ended.send(edit(&path, line));
    });
    result
}

fn edit(path: &Path, line: Option<u32>) -> Result<(), String> {
    if !path.is_file() {
        return Err(format!("{} is not there any more.", path.display()));
    }
    let editor = editor().ok_or("No editor was found: set EDITOR to the name of yours.")?;
    let call = editor::call(&editor, path, line)
        .ok_or_else(|| format!("EDITOR is no command that can be run: {editor}"))?;
    let status = Command::new(&call.program).args(&call.arguments).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{}` ended with {status}.", call.program)),
        Err(error) => Err(format!("`{}` could not be started: {error}.", call.program)),
    }
}

/// What the user set, or else `vi` where there is one.
fn editor() -> Option<String> {
    let set = |name| env::var(name).ok().filter(|value| !value.trim().is_empty());
    set("VISUAL").or_else(|| set("EDITOR")).or_else(|| {
        let path = env::var_os("PATH")?;
        let there = env::split_paths(&path).any(|folder| folder.join(FALLBACK).is_file());
        there.then(|| FALLBACK.to_owned())
    })
}
