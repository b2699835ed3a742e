//! `index --background`: the same command in a process of its own.

use std::{
    env,
    ffi::OsString,
    fs, io,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{Console, Error, Exit, Stream};
use crate::{
    config::{Config, private_file},
    engine::{IndexerStatus, indexer},
};

/// What the process prints is kept here, in the directory of the logs.
const OUTPUT_FILE: &str = "background.log";
/// Loading a model from a slow disk takes a while; after that, the process is left to itself.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How much of what a process printed is shown when it could not start.
const SHOWN_BYTES: usize = 4096;

/// The command of this process as one that runs in the background.
pub fn detached() -> Result<Command, Error> {
    let mut command = Command::new(env::current_exe()?);
    let is_background = |argument: &OsString| argument == "--background";
    command.args(env::args_os().skip(1).map(|argument| match is_background(&argument) {
        true => "--detached".into(),
        false => argument,
    }));
    Ok(command)
}

/// Starts `command` and returns once it indexes, or has ended.
pub fn start(config: &Config, mut command: Command, console: &mut Console) -> Result<Exit, Error> {
    let output = config.paths.state.join(OUTPUT_FILE);
    let log = private_file().write(true).create(true).truncate(true).open(&output)?;
    let mut child =
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn().map_err(|error| {
            io::Error::new(error.kind(), format!("the background process could not be started: {error}"))
        })?;
    let process = child.id();
    if let Some(status) = wait(config, &mut child)? {
        return ended(status, &output, console);
    }
    console.output(&format!("indexing in the background: process {process}\n"))?;
    console.note(&format!(
        "`gibbon status` shows how far it is, `gibbon index --stop` ends it; what it prints is in {}.",
        console.path(&output)
    ));
    Ok(Exit::Done)
}

/// Waits until the process indexes; how it ended where it has not got so far.
fn wait(config: &Config, child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        // Its first progress comes once it has the lock, the model and the folders.
        let is_under_way = |status: IndexerStatus| status.process == child.id() && status.progress.is_some();
        if indexer::status(config).is_some_and(is_under_way) {
            break;
        }
        thread::sleep(LOOK_AGAIN);
    }
    Ok(None)
}

/// Hands on what a process said that is over already, and its exit code.
fn ended(status: ExitStatus, output: &Path, console: &mut Console) -> Result<Exit, Error> {
    let said = fs::read(output).unwrap_or_default();
    let said = String::from_utf8_lossy(&said[said.len().saturating_sub(SHOWN_BYTES)..]).into_owned();
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    let exit = Exit::ALL.into_iter().find(|exit| Some(exit.code()) == code).unwrap_or(Exit::Failed);
    let stream = if exit == Exit::Done { Stream::Output } else { Stream::Error };
    console.write(stream, &said)?;
    Ok(exit)
}
