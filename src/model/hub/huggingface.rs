//! Downloads from the Hugging Face Hub into its cache, through `hf-hub`.
//!
//! `hf-hub` knows addresses and the cache's layout, and resumes a partial file. It checks neither size nor hash and
//! waits for ever on a connection that went silent, so this module adds the checks, retries, and a limit on silence.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use hf_hub::api::Progress;

use super::cache::{self, repository_of};
use super::disk::{ensure_space, sha256_of_file};
use super::error::{HubError, printable};
use super::local::{WEIGHTS_INDEX, read_weights_index};
use super::remote::{Remote, RemoteFile};
use super::selection::{Selection, Wanted, select};
use super::{FoundModel, PullEvent, Pulling};
use crate::config::HubAccess;

pub(super) const SOURCE_NAME: &str = "the Hugging Face Hub";
/// A connection that brings nothing for this long is given up.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// Attempts in a row that bring nothing before a download is given up.
const FRUITLESS_ATTEMPTS: u32 = 3;
const PAUSE_BETWEEN_ATTEMPTS: Duration = Duration::from_millis(300);
/// Bytes between two reports.
const REPORT_STEP: u64 = 256 * 1024;

/// Fetches the wanted repository's model into the cache; files that are there already are not fetched again.
pub(super) fn fetch(
    wanted: &Wanted,
    access: &HubAccess,
    progress: Pulling<'_>,
) -> Result<FoundModel, HubError> {
    progress(PullEvent::Source(SOURCE_NAME.to_owned()));
    let remote = Remote::new(wanted, access)?;
    let selection = match &wanted.file {
        Some(file) => Selection::Gguf(file.clone()),
        None => select(&wanted.repository, &remote.list_files()?)?,
    };
    let files = match selection {
        Selection::Gguf(file) => vec![file],
        Selection::Directory { mut small_files, weights } if weights == WEIGHTS_INDEX => {
            let paths = fetch_files(&remote, &[weights], progress)?;
            for index in &paths {
                small_files.extend(read_weights_index(index).map_err(|error| not_usable(wanted, error))?);
            }
            small_files
        }
        Selection::Directory { mut small_files, weights } => {
            small_files.push(weights);
            small_files
        }
    };
    fetch_files(&remote, &files, progress)?;
    cache::locate(wanted, access).map_err(|error| not_usable(wanted, error))
}

/// Fetches one file of which size and SHA-256 are known; a Hub that has another one is not asked to send it.
pub(super) fn fetch_known(
    wanted: &Wanted,
    file: &str,
    known: (u64, &str),
    access: &HubAccess,
    progress: Pulling<'_>,
) -> Result<PathBuf, HubError> {
    let remote = Remote::new(wanted, access)?;
    let described = remote.file(file)?;
    let (bytes, sha256) = known;
    if described.bytes != bytes || described.sha256().as_deref() != Some(sha256) {
        return Err(HubError::Unusable {
            repository: wanted.repository.clone(),
            reason: format!("its {file} is not the one expected"),
        });
    }
    fetch_described(&remote, &[(file.to_owned(), described)], progress)?
        .pop()
        .ok_or_else(|| HubError::NoSuchFile { repository: wanted.repository.clone(), file: file.to_owned() })
}

/// What was fetched as the Hub has it and still is no model.
fn not_usable(wanted: &Wanted, error: HubError) -> HubError {
    let reason = match error {
        HubError::NotAModel { path, reason } | HubError::Damaged { path, reason } => {
            format!("{}: {reason}", path.file_name().unwrap_or_default().display())
        }
        HubError::Absent { .. } => "its files do not fit together; it may have changed just now".to_owned(),
        other => return other,
    };
    HubError::Unusable { repository: wanted.repository.clone(), reason: printable(&reason, 300) }
}

fn fetch_files(
    remote: &Remote<'_>,
    files: &[String],
    progress: Pulling<'_>,
) -> Result<Vec<PathBuf>, HubError> {
    let described: Result<Vec<_>, HubError> =
        files.iter().map(|file| Ok((file.clone(), remote.file(file)?))).collect();
    fetch_described(remote, &described?, progress)
}

/// Fetches files one after the other, reports their bytes as one sum, and gives their paths in the cache.
fn fetch_described(
    remote: &Remote<'_>,
    files: &[(String, RemoteFile)],
    progress: Pulling<'_>,
) -> Result<Vec<PathBuf>, HubError> {
    let missing = files.iter().filter(|(file, described)| !is_there(remote, file, described));
    let missing_bytes =
        missing.map(|(_, described)| described.bytes - partial_bytes(remote, described)).sum();
    ensure_space(&remote.access.cache, missing_bytes)?;
    let total = files.iter().map(|(_, described)| described.bytes).sum();
    let mut before = 0;
    let mut paths = Vec::new();
    for (file, described) in files {
        let mut report = Report { before, total, reported: None, progress: &mut *progress };
        paths.push(fetch_file(remote, file, described, &mut report)?);
        before += described.bytes;
    }
    Ok(paths)
}

fn pointer(remote: &Remote<'_>, file: &str, described: &RemoteFile) -> PathBuf {
    cache::snapshot_directory(remote.wanted, &described.commit, remote.access).join(file)
}

/// The partial file that `hf-hub` goes on with.
fn partial_file(remote: &Remote<'_>, described: &RemoteFile) -> PathBuf {
    cache::blob(remote.wanted, &described.etag, remote.access).with_extension("part")
}

fn partial_bytes(remote: &Remote<'_>, described: &RemoteFile) -> u64 {
    fs::metadata(partial_file(remote, described)).map_or(0, |metadata| metadata.len()).min(described.bytes)
}

fn is_there(remote: &Remote<'_>, file: &str, described: &RemoteFile) -> bool {
    fs::metadata(pointer(remote, file, described)).is_ok_and(|metadata| metadata.len() == described.bytes)
}

/// One file: fetched unless it is there, checked, and fetched once more from the start if it is wrong.
fn fetch_file(
    remote: &Remote<'_>,
    file: &str,
    described: &RemoteFile,
    report: &mut Report<'_>,
) -> Result<PathBuf, HubError> {
    for _ in 0..2 {
        let path = match is_there(remote, file, described) {
            true => pointer(remote, file, described),
            false => download_with_retries(remote, file, described, report)?,
        };
        report.bytes(described.bytes);
        (report.progress)(PullEvent::Checking);
        match check(&path, described)? {
            None => return Ok(path),
            Some(reason) => {
                (report.progress)(PullEvent::Warning(format!(
                    "{file} arrived damaged ({reason}); downloading it again from the start"
                )));
                remove_content(remote, &path, described)?;
            }
        }
    }
    let reason = "size or SHA-256 is not what the Hub says, twice".to_owned();
    Err(HubError::WrongContent { file: file.to_owned(), reason })
}

/// What is wrong with a downloaded file, if anything is.
fn check(path: &Path, described: &RemoteFile) -> Result<Option<String>, HubError> {
    let bytes = fs::metadata(path).map_err(|error| HubError::storage(path, error))?.len();
    if bytes != described.bytes {
        return Ok(Some(format!("{bytes} bytes instead of {}", described.bytes)));
    }
    let Some(expected) = described.sha256() else { return Ok(None) };
    let found = sha256_of_file(path).map_err(|error| HubError::storage(path, error))?;
    Ok((found != expected).then(|| format!("SHA-256 {found} instead of {expected}")))
}

/// Removes a damaged file, its entry in the snapshot first, so that no half of it is taken for whole.
fn remove_content(remote: &Remote<'_>, path: &Path, described: &RemoteFile) -> Result<(), HubError> {
    let blob = cache::blob(remote.wanted, &described.etag, remote.access);
    for path in [path, &blob] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(HubError::storage(path, error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn download_with_retries(
    remote: &Remote<'_>,
    file: &str,
    described: &RemoteFile,
    report: &mut Report<'_>,
) -> Result<PathBuf, HubError> {
    let partial = partial_file(remote, described);
    let mut fruitless = 0;
    loop {
        let before = fs::metadata(&partial).map_or(0, |metadata| metadata.len());
        // Whole or too long: `hf-hub` would ask for the bytes after its end, and be refused each time.
        if before >= described.bytes && before > 0 {
            fs::remove_file(&partial).map_err(|error| HubError::storage(&partial, error))?;
        }
        let error = match download(remote, file, report) {
            Ok(path) => return Ok(path),
            Err(error @ HubError::Interrupted { .. }) => error,
            Err(error) => return Err(error),
        };
        fruitless = if partial_bytes(remote, described) > before { 1 } else { fruitless + 1 };
        if fruitless >= FRUITLESS_ATTEMPTS {
            return Err(error);
        }
        (report.progress)(PullEvent::Warning(format!("{error}; trying again")));
        thread::sleep(PAUSE_BETWEEN_ATTEMPTS);
    }
}

/// One attempt, on a thread of its own so that silence can be noticed. After a silence the thread is left behind: it
/// ends with its connection or with the process, and writes nothing but the partial file.
fn download(remote: &Remote<'_>, file: &str, report: &mut Report<'_>) -> Result<PathBuf, HubError> {
    let repository = remote.api.repo(repository_of(remote.wanted));
    let name = file.to_owned();
    let (sender, steps) = mpsc::channel();
    let worker = thread::Builder::new()
        .name("hub-download".to_owned())
        .spawn(move || repository.download_with_progress(&name, StepSender { sender, done: 0 }))
        .map_err(|error| HubError::storage(&remote.access.cache, error))?;
    loop {
        match steps.recv_timeout(LONGEST_SILENCE) {
            Ok(done) => report.bytes(done),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                return Err(HubError::Stalled { file: file.to_owned(), seconds: LONGEST_SILENCE.as_secs() });
            }
        }
    }
    match worker.join() {
        Ok(result) => result.map_err(|error| remote.download_error(error, file)),
        Err(_) => Err(HubError::UnexpectedAnswer {
            what: file.to_owned(),
            reason: "an answer that hf-hub cannot read".to_owned(),
        }),
    }
}

/// Sends the bytes of a file that are on this machine, each time there are more.
struct StepSender {
    sender: Sender<u64>,
    done: u64,
}

impl Progress for StepSender {
    fn init(&mut self, _size: usize, _filename: &str) {
        self.done = 0;
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        // The receiver is gone only after a silence; then nobody wants to know.
        let _ = self.sender.send(self.done);
    }

    fn finish(&mut self) {}
}

/// Turns a file's progress into that of all files, in steps that can be seen.
struct Report<'a> {
    /// Bytes of the files before this one.
    before: u64,
    total: u64,
    reported: Option<u64>,
    progress: Pulling<'a>,
}

impl Report<'_> {
    fn bytes(&mut self, done_of_file: u64) {
        let done = self.before + done_of_file;
        let step = self.reported.map_or(u64::MAX, |reported| reported.abs_diff(done));
        if step >= REPORT_STEP || (done == self.total && step > 0) {
            self.reported = Some(done);
            (self.progress)(PullEvent::Bytes { done, total: self.total });
        }
    }
}
