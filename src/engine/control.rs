//! What a front end does to a request under way: cancel it, pause it, let it go on. Takes effect without waiting for
//! the thread that carries the request out.

use std::{
    collections::HashMap,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::protocol::{Hold, RequestId};

/// The switches of one request.
#[derive(Debug, Default)]
pub(super) struct Control {
    /// Apart from the others, since it is asked before every layer.
    cancelled: AtomicBool,
    standing: Mutex<Standing>,
    changed: Condvar,
}

/// Why a request should stand still.
#[derive(Debug, Default, Clone, Copy)]
struct Standing {
    paused: bool,
    /// A question is being answered.
    gives_way: bool,
    /// Another process answers a question.
    gives_way_elsewhere: bool,
    on_battery: bool,
}

impl Control {
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub fn cancel(&self) {
        self.change(|_| self.cancelled.store(true, Ordering::Relaxed));
    }

    pub fn set_paused(&self, paused: bool) {
        self.change(|standing| standing.paused = paused);
    }

    pub fn set_gives_way(&self, gives_way: bool) {
        self.change(|standing| standing.gives_way = gives_way);
    }

    /// Takes note of a question that another process answers; true where that is news.
    pub fn set_gives_way_elsewhere(&self, gives_way: bool) -> bool {
        let before = self.standing().gives_way_elsewhere;
        if before != gives_way {
            self.change(|standing| standing.gives_way_elsewhere = gives_way);
        }
        before != gives_way
    }

    pub fn set_on_battery(&self, on_battery: bool) {
        self.change(|standing| standing.on_battery = on_battery);
    }

    /// Why the request should not go on now. A cancelled one is not held: it ends.
    pub fn hold(&self) -> Option<Hold> {
        self.hold_of(*self.standing())
    }

    /// Waits while the request is held. `tell` gets each new reason, and `None` once it goes on. Returns for how long
    /// it stood still.
    pub fn wait(&self, tell: &dyn Fn(Option<Hold>)) -> Duration {
        let began = Instant::now();
        let mut told = None;
        loop {
            let standing = self.standing();
            let hold = self.hold_of(*standing);
            if hold != told {
                // Nothing is told with the lock in hand.
                drop(standing);
                tell(hold);
                told = hold;
            } else if hold.is_some() {
                drop(self.changed.wait(standing).unwrap_or_else(PoisonError::into_inner));
            } else {
                return began.elapsed();
            }
        }
    }

    fn hold_of(&self, standing: Standing) -> Option<Hold> {
        match standing {
            _ if self.is_cancelled() => None,
            Standing { paused: true, .. } => Some(Hold::Paused),
            Standing { gives_way: true, .. } | Standing { gives_way_elsewhere: true, .. } => {
                Some(Hold::Question)
            }
            Standing { on_battery: true, .. } => Some(Hold::Battery),
            _ => None,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Standing)) {
        change(&mut self.standing());
        self.changed.notify_all();
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The switches of every request under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Controls(Arc<Mutex<HashMap<RequestId, Arc<Control>>>>);

impl Controls {
    pub fn add(&self, id: RequestId) {
        self.locked().insert(id, Arc::default());
    }

    pub fn remove(&self, id: RequestId) {
        self.locked().remove(&id);
    }

    /// The request's; where it is not under way, one that nobody switches.
    pub fn get(&self, id: RequestId) -> Arc<Control> {
        self.locked().get(&id).cloned().unwrap_or_default()
    }

    pub fn cancel_all(&self) {
        self.locked().values().for_each(|control| control.cancel());
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<RequestId, Arc<Control>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_held_request_says_why_and_goes_on() {
        let control = Control::default();
        control.wait(&|_| panic!("nothing holds it"));
        control.set_gives_way(true);
        control.set_paused(true);
        let (send, told) = channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                control.wait(&|hold| send.send(hold).expect("somebody listens"));
            });
            assert_eq!(told.recv(), Ok(Some(Hold::Paused)), "the user's pause is named first");
            control.set_paused(false);
            assert_eq!(told.recv(), Ok(Some(Hold::Question)));
            control.set_gives_way(false);
            assert_eq!(told.recv(), Ok(None));
        });
    }

    #[test]
    fn cancelling_ends_every_wait() {
        let controls = Controls::default();
        let id = RequestId(3);
        controls.add(id);
        let control = controls.get(id);
        control.set_paused(true);
        let (send, told) = channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                control.wait(&|hold| send.send(hold).expect("somebody listens"));
            });
            assert_eq!(told.recv(), Ok(Some(Hold::Paused)));
            controls.cancel_all();
            assert_eq!(told.recv(), Ok(None));
        });
        assert!(control.is_cancelled() && control.hold().is_none());
        controls.remove(id);
        assert!(!controls.get(id).is_cancelled(), "an id that is used again starts anew");
    }
}
