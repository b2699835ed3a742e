//! A disk that is really full, at every point of a run: a small file system in memory, filled up to so many bytes.
//!
//! Mounting takes root, so this is no part of `cargo test`; `just test-full-disk` runs it. Limits on files stand for it in
//! `disk.rs`.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Home, QUESTION, undisturbed};

const DISK_BYTES: u64 = 64 << 20;

/// A file system of its own, unmounted at the end.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn mount() -> Self {
        let disk = Self { folder: tempfile::tempdir().unwrap() };
        let size = format!("size={DISK_BYTES}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(disk.folder.path())
            .status()
            .expect("there is a `mount`");
        assert!(mounted.success(), "mounting takes root");
        disk
    }

    fn free(&self) -> u64 {
        let about = rustix::fs::statvfs(self.folder.path()).unwrap();
        about.f_bavail * about.f_frsize
    }

    /// Fills the disk with a file until so many bytes are free.
    fn fill(&self, free: u64) -> Filler {
        let path = self.folder.path().join("filler");
        let taken = self.free().saturating_sub(free);
        let file = File::create(&path).unwrap();
        if taken > 0 {
            rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, taken).unwrap();
        }
        Filler(path)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.folder.path()).status();
    }
}

struct Filler(PathBuf);

impl Drop for Filler {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

#[test]
#[ignore = "mounts a file system, which takes root: just test-full-disk"]
fn a_message_and_nothing_lost_wherever_the_room_ends() {
    let disk = Disk::mount();
    let (mut failed, mut told) = (0, std::collections::BTreeSet::new());
    let steps = (0..12).map(|step| step * 16).chain((1..40).map(|step| step * 192));
    for free in steps.map(|kibibytes: u64| kibibytes << 10) {
        let home = Home::below(disk.path());
        home.write_documents();
        let filler = disk.fill(free);
        let runs = [
            &["index", "documents", "--no-encode"][..],
            &["index"],
            &["ask", QUESTION],
            &["search", "boiler"],
            &["cache", "verify"],
        ];
        for arguments in runs {
            let run = home.run(arguments);
            match run.code {
                Some(0) | Some(3) => {}
                _ => {
                    // Where the message itself does not say what to do, a hint does.
                    let tells = run.stderr.contains("hint:") || run.stderr.contains("make room");
                    assert!(tells, "{free} bytes, {arguments:?}: {run:?}");
                    failed += 1;
                    told.extend(
                        run.stderr.lines().find(|line| line.starts_with("error:")).map(str::to_owned),
                    );
                }
            }
        }
        drop(filler);
        home.json(&["index", "documents"]);
        home.state().assert_same(&undisturbed().state());
        home.assert_usable();
    }
    println!("{failed} runs failed, and said:");
    for line in told {
        println!("{line}");
    }
    assert!(failed > 20, "the disk was full at many points: {failed}");
}
