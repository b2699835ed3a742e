//! Finds the files below what the user added.
//!
//! What is left out without a word, because a person expects it: hidden files and folders, what a `.gitignore`
//! or `.gibbonignore` *inside* the folder names (`.gibbonignore` wins where the two disagree, and can bring a file
//! back with `!` that the other left out), and what the user's own collections do not want. Ignore files above the
//! folder, git's own excludes and other tools' ignore files do not count: a folder that was named is read the same way
//! whatever surrounds it.
//!
//! An ignore file belongs to the folder and not to the user: it can leave files out, and never widens what is read.
//! Hidden files stay out whatever it says, as does everything outside of the folder.
//!
//! What is left out and counted, in one line for each folder that was added: images, sound, archives and other files whose
//! names say that they hold no text. Where the user added such a file itself, it is read, and found to be no text.
//!
//! What is left out and reported: links that lead out of the folder or nowhere, files over the size limit, folders
//! that cannot be read. No link is followed: what a link inside the folder points at is read where it really is.
//! Only the root itself may be a link, because the user named it.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::FileTypeExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use ignore::{DirEntry, WalkBuilder};

use super::{
    FileEntry, ReadIssue,
    binary::{Kind, LeftOut},
    collections::Collections,
};
use crate::config::CorpusSettings;

/// The ignore file that only Gibbon reads; same syntax as `.gitignore`.
pub const IGNORE_FILE: &str = ".gibbonignore";

/// No file may be larger than this many bytes, whatever the settings say.
const MAX_FILE_BYTES: u64 = 1 << 31;

/// What a walk found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walk {
    /// In the order of their relative paths.
    pub files: Vec<FileEntry>,
    /// What was left out and should not be left out silently, in the order of their paths.
    pub issues: Vec<ReadIssue>,
}

/// Which part of a folder is walked; by default all of it. The ignore files of the folders above a part hold for it.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Files and folders, absolute: only they and what is below them.
    pub within: Option<BTreeSet<PathBuf>>,
    /// Left out with what is below it, such as the data directory.
    pub without: Option<PathBuf>,
    /// Only the files that belong to one of these collections.
    pub wanted: Option<Collections>,
}

/// The root itself cannot be walked. An empty folder is no error.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    #[error("{} does not exist; check the path", .path.display())]
    Missing { path: PathBuf },
    #[error("{} is neither a file nor a folder; name a file or a folder", .path.display())]
    Special { path: PathBuf },
    #[error("an ignore file in {} is neither a file nor a folder; remove it, or add another folder", .path.display())]
    SpecialIgnoreFile { path: PathBuf },
    #[error("{} cannot be read: {source}; check its permissions", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
}

/// Lists the files below `root`, or `root` itself where it is a file. Sizes and kinds are those at the time of the
/// walk; [`read`](super::read::read) checks them again.
///
/// # Errors
/// When `root` does not exist, is a device, FIFO or socket, or cannot be read.
pub fn walk(root: &Path, settings: &CorpusSettings) -> Result<Walk, WalkError> {
    walk_telling(root, settings, &Scope::default(), &mut |_| true)
}

/// The folders below `root` that a walk goes through, `root` among them, as far as they can be read.
pub fn folders(root: &Path, scope: &Scope) -> Vec<PathBuf> {
    let entries = walker(root, scope, LockedFolders::default()).build().flatten();
    let is_folder = |entry: &DirEntry| entry.file_type().is_some_and(|kind| kind.is_dir());
    entries.filter(is_folder).map(DirEntry::into_path).collect()
}

/// The same as [`walk`] for a part of the folder; `go_on` gets the number of files found so far before each entry of a folder. When it says no, what was
/// found by then comes back.
///
/// # Errors
/// As for [`walk`].
pub fn walk_telling(
    root: &Path,
    settings: &CorpusSettings,
    scope: &Scope,
    go_on: &mut dyn FnMut(usize) -> bool,
) -> Result<Walk, WalkError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => WalkError::Missing { path: root.to_owned() },
        _ => WalkError::Unreadable { path: root.to_owned(), source },
    };
    let metadata = fs::metadata(root).map_err(unreadable)?;
    let mut found = Walk::default();
    if metadata.is_file() {
        let path = fs::canonicalize(root).map_err(unreadable)?;
        let relative = root.file_name().or(path.file_name()).map(PathBuf::from).unwrap_or_default();
        if scope.wanted.as_ref().is_none_or(|wanted| wanted.have(&path)) {
            found.add(path, relative, metadata.len(), settings);
        }
    } else if metadata.is_dir() {
        fs::read_dir(root).map_err(unreadable)?;
        let canonical = fs::canonicalize(root).map_err(unreadable)?;
        if has_special_ignore_file(root) {
            return Err(WalkError::SpecialIgnoreFile { path: root.to_owned() });
        }
        let mut binaries = LeftOut::default();
        let locked = LockedFolders::default();
        for entry in walker(root, scope, locked.clone()).build() {
            if !go_on(found.files.len()) {
                break;
            }
            match entry {
                Ok(entry) if is_binary(&entry, &mut binaries) => {}
                Ok(entry) => found.visit(&entry, root, &canonical, settings),
                Err(error) => found.issues.push(issue_of(&error, root)),
            }
        }
        if let Some(reason) = binaries.reason() {
            found.leave_out(root, reason);
        }
        for folder in locked.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            found.leave_out(&folder, "skipped: its ignore file is no regular file".to_owned());
        }
    } else {
        return Err(WalkError::Special { path: root.to_owned() });
    }
    found.files.sort_by(|a, b| a.relative.cmp(&b.relative));
    found.issues.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

impl Scope {
    /// The path is part of it.
    pub fn covers(&self, path: &Path) -> bool {
        let is_within = |within: &BTreeSet<PathBuf>| path.ancestors().any(|above| within.contains(above));
        self.within.as_ref().is_none_or(is_within) && !self.leaves_out(path)
    }

    fn leaves_out(&self, path: &Path) -> bool {
        self.without.as_ref().is_some_and(|without| path.starts_with(without))
    }

    /// A walk has to go through the path: it is part of the scope, or above a part of it.
    fn leads_on(&self, path: &Path) -> bool {
        let is_above = |within: &BTreeSet<PathBuf>| {
            within.range(path.to_owned()..).next().is_some_and(|first| first.starts_with(path))
        };
        !self.leaves_out(path) && (self.covers(path) || self.within.as_ref().is_some_and(is_above))
    }
}

/// Folders that are not entered because their ignore file cannot be read.
type LockedFolders = Arc<Mutex<Vec<PathBuf>>>;

fn walker(root: &Path, scope: &Scope, locked: LockedFolders) -> WalkBuilder {
    let scope = scope.clone();
    let mut builder = WalkBuilder::new(root);
    builder
        .standard_filters(false)
        .hidden(true)
        .git_ignore(true)
        .require_git(false)
        .add_custom_ignore_filename(IGNORE_FILE)
        .follow_links(false)
        .filter_entry(move |entry| entry.depth() == 0 || may_enter(entry, &scope, &locked));
    builder
}

/// What the ignore files let through is let through here only where it is not hidden, since they may name hidden files
/// with `!`, and where a collection may want it.
fn may_enter(entry: &DirEntry, scope: &Scope, locked: &LockedFolders) -> bool {
    if entry.file_name().as_bytes().starts_with(b".") || !scope.leads_on(entry.path()) {
        return false;
    }
    let wanted = scope.wanted.as_ref();
    if !entry.file_type().is_some_and(|kind| kind.is_dir()) {
        return wanted.is_none_or(|wanted| wanted.have(entry.path()));
    }
    if !wanted.is_none_or(|wanted| wanted.may_have_below(entry.path())) {
        return false;
    }
    let is_locked = has_special_ignore_file(entry.path());
    if is_locked {
        locked.lock().unwrap_or_else(PoisonError::into_inner).push(entry.path().to_owned());
    }
    !is_locked
}

/// Whoever opens a named pipe to read it may wait for ever. An ignore file that is one keeps its folder out.
fn has_special_ignore_file(folder: &Path) -> bool {
    let is_special = |name: &str| {
        let kind = fs::metadata(folder.join(name)).map(|metadata| metadata.file_type());
        kind.is_ok_and(|kind| !kind.is_file() && !kind.is_dir())
    };
    is_special(IGNORE_FILE) || is_special(".gitignore")
}

/// Whether a file's name says that it holds no text; then it is counted.
fn is_binary(entry: &DirEntry, binaries: &mut LeftOut) -> bool {
    let is_file = entry.depth() > 0 && entry.file_type().is_some_and(|kind| kind.is_file());
    let kind = is_file.then(|| Kind::of(entry.path())).flatten();
    if let Some(kind) = kind {
        binaries.add(kind);
    }
    kind.is_some()
}

impl Walk {
    fn visit(&mut self, entry: &DirEntry, root: &Path, canonical: &Path, settings: &CorpusSettings) {
        if let Some(error) = entry.error() {
            self.issues.push(issue_of(error, entry.path()));
        }
        let Some(kind) = entry.file_type() else { return };
        if entry.depth() == 0 || kind.is_dir() {
            return;
        }
        let path = entry.path();
        if kind.is_symlink() {
            return self.leave_out_link(path, canonical);
        }
        if !kind.is_file() {
            return self.leave_out(path, format!("skipped: {}, not a file", name_of(kind)));
        }
        match entry.metadata() {
            Ok(metadata) => {
                let relative = path.strip_prefix(root).unwrap_or(path).to_owned();
                self.add(path.to_owned(), relative, metadata.len(), settings);
            }
            Err(error) => self.issues.push(issue_of(&error, path)),
        }
    }

    fn add(&mut self, path: PathBuf, relative: PathBuf, bytes: u64, settings: &CorpusSettings) {
        if bytes > limit(settings) {
            return self.leave_out(&path, too_large(bytes, settings));
        }
        self.files.push(FileEntry { path, relative, bytes });
    }

    fn leave_out_link(&mut self, path: &Path, canonical: &Path) {
        match fs::canonicalize(path) {
            Ok(target) if target.starts_with(canonical) => {}
            Ok(_) => self.leave_out(path, "skipped: a link that leads out of the folder".to_owned()),
            Err(_) => self.leave_out(path, "skipped: a link that leads nowhere".to_owned()),
        }
    }

    fn leave_out(&mut self, path: &Path, reason: String) {
        self.issues.push(ReadIssue { path: path.to_owned(), reason, attempt: None });
    }
}

/// The reason for leaving out a file of `bytes` bytes.
pub(super) fn too_large(bytes: u64, settings: &CorpusSettings) -> String {
    format!(
        "skipped: {}, larger than the limit of {}; split the file or raise the limit",
        size(bytes),
        size(limit(settings))
    )
}

/// Bytes that a file may have.
pub(super) fn limit(settings: &CorpusSettings) -> u64 {
    settings.max_file_bytes.min(MAX_FILE_BYTES)
}

/// `bytes` as a person reads it.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

fn name_of(kind: fs::FileType) -> &'static str {
    match kind {
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_block_device() || kind.is_char_device() => "a device",
        _ => "a special file",
    }
}

/// An error of the walk, put to the path it is about; `path` where the error does not name one.
fn issue_of(error: &ignore::Error, path: &Path) -> ReadIssue {
    use ignore::Error::{Partial, WithDepth, WithLineNumber, WithPath};
    match error {
        WithPath { path, err } => issue_of(err, path),
        WithDepth { err, .. } => issue_of(err, path),
        Partial(errors) if errors.len() == 1 => issue_of(&errors[0], path),
        WithLineNumber { line, err } => ReadIssue {
            path: path.to_owned(),
            reason: format!("the rule in line {line} is not understood and was left out: {err}"),
            attempt: None,
        },
        other => ReadIssue { path: path.to_owned(), reason: reason_of(other), attempt: None },
    }
}

fn reason_of(error: &ignore::Error) -> String {
    match error.io_error() {
        Some(error) => unreadable(error),
        None => format!("skipped: {error}"),
    }
}

/// The reason for leaving out what `error` kept from being read.
pub(super) fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "skipped: no permission to read it".to_owned(),
        io::ErrorKind::NotFound => "skipped: it was removed while the folder was being read".to_owned(),
        _ => format!("skipped: it cannot be read ({error})"),
    }
}
