//! What the disk gives and takes when several `dd` read or write at once: what reading and writing cache files is
//! compared with.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

/// `dd`s at once.
const JOBS: usize = 8;

/// Bytes per second of reading files whole, past the page cache or through it; `None` where `dd` cannot.
pub(super) fn read(files: &[PathBuf], direct: bool) -> Option<f64> {
    let flags = if direct { "iflag=direct" } else { "iflag=nonblock" };
    rate(files, |file| dd(&[&operand("if", file), "of=/dev/null", "bs=4M", flags]))
}

/// Bytes per second of writing copies of files beside them, synced; the copies are removed. `None` where `dd` cannot.
pub(super) fn write(files: &[PathBuf]) -> Option<f64> {
    let copy = |file: &Path| file.with_extension("copy");
    let plain =
        rate(files, |file| dd(&[&operand("if", file), &operand("of", &copy(file)), "bs=4M", "conv=fsync"]));
    let direct = rate(files, |file| {
        dd(&[&operand("if", file), &operand("of", &copy(file)), "bs=4M", "oflag=direct", "conv=fsync"])
    });
    for file in files {
        let _ = std::fs::remove_file(copy(file));
    }
    [plain, direct].into_iter().flatten().reduce(f64::max)
}

fn operand(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

fn dd(operands: &[&str]) -> Option<Child> {
    let quiet = Stdio::null;
    Command::new("dd").args(operands).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn().ok()
}

/// Bytes of the files over the seconds that `start`'s children take for them, [`JOBS`] at once.
fn rate(files: &[PathBuf], start: impl Fn(&Path) -> Option<Child> + Sync) -> Option<f64> {
    let bytes: u64 = files.iter().map(|file| std::fs::metadata(file).map_or(0, |data| data.len())).sum();
    let started = Instant::now();
    let all_done = std::thread::scope(|scope| {
        let start = &start;
        let share = |job: usize| {
            move || {
                files.iter().skip(job).step_by(JOBS).all(|file| {
                    start(file).and_then(|mut child| child.wait().ok()).is_some_and(|status| status.success())
                })
            }
        };
        let jobs: Vec<_> = (0..JOBS).map(|job| scope.spawn(share(job))).collect();
        jobs.into_iter().all(|job| job.join().unwrap_or(false))
    });
    all_done.then(|| bytes as f64 / started.elapsed().as_secs_f64())
}
