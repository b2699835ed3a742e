//! Notices that files change.
//!
//! What the system tells are hints and no more: a path that may have changed is looked at again, by hash, after a quiet
//! moment. Where the system has lost events, or cannot tell at all, whole roots are looked at. So nothing is missed for
//! long, and what is told twice costs a look.

mod folders;

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use notify::{
    Event, EventKind,
    event::{AccessKind, AccessMode, ModifyKind, RenameMode},
};

use super::{
    board::Board,
    changes::Changes,
    protocol::{WatchMode, WatchedRoot},
};
use crate::{
    catalogue::{Root, RootKind},
    corpus::walk::IGNORE_FILE,
};
use folders::{Folders, Refused};

/// Changes are handed over once nothing has happened for so long, and at the latest after the second time.
const QUIET: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(5);
/// How often it is looked whether a root that is watched is still the one that is there.
const LOOK_AT_ROOTS: Duration = Duration::from_secs(60);

/// What the thread gets.
enum Note {
    Event(notify::Result<Event>),
    /// Watch these from now on; the sender is dropped once they are.
    Watch(Vec<Root>, Sender<()>),
    /// Hand these over again after a while.
    Again(Changes, Duration),
    End,
}

/// A thread that watches; dropping it ends it.
pub(super) struct Watcher {
    notes: Sender<Note>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// `data` is never watched. `poll` is how often roots are looked at where the system does not tell. `changed` gets
    /// what may have changed.
    pub fn start(
        data: PathBuf,
        poll: Duration,
        board: Board,
        changed: impl Fn(Changes) + Send + 'static,
    ) -> Self {
        let (notes, received) = channel();
        let events = notes.clone();
        let thread = std::thread::spawn(move || {
            let watcher = notify::recommended_watcher(move |event| drop(events.send(Note::Event(event))));
            let watching = Watching {
                folders: Folders::new(watcher, &data),
                data: std::fs::canonicalize(&data).unwrap_or(data),
                poll,
                board,
                roots: Vec::new(),
                pending: Pending::default(),
                later: Vec::new(),
            };
            watching.run(&received, &changed);
        });
        Self { notes, thread: Some(thread) }
    }

    /// Hands out what [`watch`](WatchRoots::watch) takes, for another thread.
    pub fn handle(&self) -> WatchRoots {
        WatchRoots(self.notes.clone())
    }

    /// Hands these changes over again after a while.
    pub fn again(&self, changes: Changes, after: Duration) {
        drop(self.notes.send(Note::Again(changes, after)));
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.notes.send(Note::End));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that watches files panicked");
        }
    }
}

/// Tells the thread what to watch.
#[derive(Clone)]
pub(super) struct WatchRoots(Sender<Note>);

impl WatchRoots {
    /// Watches these roots and no others; returns once they are watched, so that what changes from then on is seen.
    pub fn watch(&self, roots: Vec<Root>) {
        let (send, done) = channel();
        if self.0.send(Note::Watch(roots, send)).is_ok() {
            // An error says that the sender is gone, which is what is waited for.
            let _ = done.recv();
        }
    }
}

/// Changes that wait for a quiet moment.
#[derive(Default)]
struct Pending {
    changes: Changes,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Pending {
    fn touch(&mut self) {
        let now = Instant::now();
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    fn due(&self) -> Option<Instant> {
        Some((self.last? + QUIET).min(self.first? + LONGEST))
    }
}

/// What the thread works with.
struct Watching {
    folders: Folders,
    data: PathBuf,
    poll: Duration,
    board: Board,
    roots: Vec<Watched>,
    pending: Pending,
    later: Vec<(Instant, Changes)>,
}

/// A root, and how it is watched.
struct Watched {
    root: Root,
    /// Why the system does not tell; `None` where it does.
    polled: Option<String>,
    /// When it is looked at next: all of it where it is polled, else whether it is still there.
    next: Instant,
    identity: Option<folders::Identity>,
}

impl Watching {
    fn run(mut self, notes: &Receiver<Note>, changed: &dyn Fn(Changes)) {
        loop {
            let note = match self.deadline() {
                Some(at) => notes.recv_timeout(at.saturating_duration_since(Instant::now())),
                None => notes.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match note {
                Ok(Note::Event(event)) => self.on_event(event),
                Ok(Note::Watch(roots, _done)) => self.watch(roots),
                Ok(Note::Again(changes, after)) => self.later.push((Instant::now() + after, changes)),
                Ok(Note::End) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.look_at_the_clock();
            if self.pending.due().is_some_and(|due| Instant::now() >= due) {
                let changes = std::mem::take(&mut self.pending).changes;
                if !changes.is_empty() {
                    changed(changes);
                }
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let roots = self.roots.iter().map(|watched| watched.next);
        let later = self.later.iter().map(|(at, _)| *at);
        roots.chain(later).chain(self.pending.due()).min()
    }

    fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        let (due, later) = std::mem::take(&mut self.later).into_iter().partition(|(at, _)| *at <= now);
        self.later = later;
        for (_, changes) in due {
            self.pending.changes.merge(changes);
            self.pending.touch();
        }
        let due = self.roots.iter().enumerate().filter(|(_, watched)| watched.next <= now);
        for at in due.map(|(at, _)| at).collect::<Vec<_>>() {
            self.look_at_root(at);
        }
    }

    /// Looks at the whole of a root that is polled, and at one whose folder is not the one that was there: what was
    /// mounted, removed or put back is not told by the folder that was watched.
    fn look_at_root(&mut self, at: usize) {
        let watched = &self.roots[at];
        let identity = folders::identity(&watched.root.path);
        let is_polled = watched.polled.is_some();
        if is_polled || identity != watched.identity {
            let root = watched.root.clone();
            if !is_polled {
                self.folders.forget(&root.path);
            }
            // A root that could not be watched may be watched by now.
            self.roots[at] = self.begin(root.clone());
            self.pending.changes.add(&root.path, root.path.clone());
            self.pending.touch();
            self.post();
        } else {
            self.roots[at].next = Instant::now() + LOOK_AT_ROOTS;
        }
    }

    fn watch(&mut self, roots: Vec<Root>) {
        let gone: Vec<Watched> =
            self.roots.extract_if(.., |watched| !roots.contains(&watched.root)).collect();
        for watched in gone {
            self.folders.forget(&watched.root.path);
        }
        for root in roots {
            if !self.roots.iter().any(|watched| watched.root == root) {
                let watched = self.begin(root);
                self.roots.push(watched);
            }
        }
        self.post();
    }

    fn begin(&mut self, root: Root) -> Watched {
        let identity = folders::identity(&root.path);
        let polled = match self.folders.watch_root(&root) {
            Ok(()) => None,
            Err(Refused { reason }) => {
                tracing::warn!("a folder is looked at from time to time: {reason}");
                Some(reason)
            }
        };
        let pause = if polled.is_some() { self.poll } else { LOOK_AT_ROOTS };
        Watched { root, polled, next: Instant::now() + pause, identity }
    }

    fn post(&self) {
        let watched = self.roots.iter().map(|watched| WatchedRoot {
            path: watched.root.path.clone(),
            mode: if watched.polled.is_some() { WatchMode::Polling } else { WatchMode::Events },
            note: watched.polled.clone(),
        });
        self.board.set_watched(watched.collect());
    }

    fn on_event(&mut self, event: notify::Result<Event>) {
        match event {
            Ok(event) if event.need_rescan() => self.everything(),
            Ok(event) if is_change(event.kind) => {
                let moved_away = matches!(
                    event.kind,
                    EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From))
                );
                for path in event.paths {
                    self.on_path(path, moved_away);
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "events of the file system were lost");
                self.everything();
            }
        }
    }

    /// Events were lost: all roots are looked at.
    fn everything(&mut self) {
        for watched in &self.roots {
            self.pending.changes.add(&watched.root.path, watched.root.path.clone());
        }
        self.pending.touch();
    }

    fn on_path(&mut self, path: PathBuf, is_gone: bool) {
        if path.starts_with(&self.data) {
            return;
        }
        let Some(watched) = self.roots.iter().find(|watched| concerns(&watched.root, &path)) else { return };
        let root = watched.root.clone();
        let Some(look_at) = hint(&root, &path) else { return };
        if is_gone {
            self.folders.forget(&path);
        } else if root.kind == RootKind::Folder
            && path.is_dir()
            && let Err(Refused { reason }) = self.folders.watch_below(&root.path, &path)
        {
            self.poll_from_now_on(&root, reason);
        }
        self.pending.changes.add(&root.path, look_at);
        self.pending.touch();
    }

    /// A folder that is new could not be watched.
    fn poll_from_now_on(&mut self, root: &Root, reason: String) {
        tracing::warn!("a folder is looked at from time to time: {reason}");
        let next = Instant::now() + self.poll;
        for watched in self.roots.iter_mut().filter(|watched| watched.root == *root) {
            watched.polled = Some(reason.clone());
            watched.next = next;
        }
        self.folders.forget(&root.path);
        self.post();
    }
}

fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

/// The root has to do with the path.
fn concerns(root: &Root, path: &Path) -> bool {
    match root.kind {
        RootKind::Folder => path.starts_with(&root.path),
        RootKind::File => path == root.path,
    }
}

/// What to look at after something happened to `path`; nothing where it is hidden. What an ignore file says holds for
/// the folder that it is in.
fn hint(root: &Root, path: &Path) -> Option<PathBuf> {
    if root.kind == RootKind::File {
        return Some(root.path.clone());
    }
    let name = path.file_name()?;
    let is_rule = name == ".gitignore" || name == IGNORE_FILE;
    let shown = if is_rule { path.parent()? } else { path };
    let relative = shown.strip_prefix(&root.path).ok()?;
    let is_hidden = relative.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."));
    (!is_hidden).then(|| shown.to_owned())
}

#[cfg(test)]
mod tests;
