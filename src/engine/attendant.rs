//! The thread beside an index run that keeps it in touch with other processes: it posts the status, takes orders, and
//! sees whether a question is being answered elsewhere or the machine runs on its battery.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use starship_battery::{Manager, State};

use super::{
    board::{self, Board},
    control::Control,
    orders::{self, Asking},
    protocol::{Activity, IndexerOrder},
};

/// How often it looks; also the shortest time between two versions of the status.
const LOOK: Duration = Duration::from_millis(250);
const LOOK_AT_BATTERY: Duration = Duration::from_secs(30);

/// What the thread works with.
pub(super) struct Duties {
    pub data: PathBuf,
    pub board: Board,
    pub control: Arc<Control>,
    pub pause_on_battery: bool,
    /// Called after a switch was changed, for a thread that stands still to look at it again.
    pub wake: Box<dyn Fn() + Send>,
}

/// The running thread; it ends, and takes the status away, when this is dropped.
pub(super) struct Attendant {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Attendant {
    pub fn start(duties: Duties) -> Self {
        let (end, ended) = channel::<()>();
        let thread = std::thread::spawn(move || {
            // An order to a run before this one.
            let _ = orders::take(&duties.data);
            let mut battery = duties.pause_on_battery.then(Instant::now);
            let mut could_write = true;
            loop {
                duties.look(&mut battery);
                could_write = duties.post(could_write);
                match ended.recv_timeout(LOOK) {
                    Err(RecvTimeoutError::Timeout) => {}
                    _ => break,
                }
            }
            board::remove(&duties.data);
        });
        Self { end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread beside the index run panicked");
        }
    }
}

impl Duties {
    /// `battery` is when to look at the battery next.
    fn look(&self, battery: &mut Option<Instant>) {
        let order = orders::take(&self.data);
        match order {
            Some(IndexerOrder::Pause) => self.control.set_paused(true),
            Some(IndexerOrder::Resume) => self.control.set_paused(false),
            Some(IndexerOrder::Stop) => {
                self.board.set_activity(Activity::Stopping);
                self.control.cancel();
            }
            None => {}
        }
        let mut changed = order.is_some();
        if battery.is_some_and(|at| Instant::now() >= at) {
            self.control.set_on_battery(is_on_battery());
            *battery = Some(Instant::now() + LOOK_AT_BATTERY);
            changed = true;
        }
        changed |= self.control.set_gives_way_elsewhere(Asking::is_under_way(&self.data));
        if changed {
            (self.wake)();
        }
    }

    /// Writes the status where it changed. A full disk is said once: the run itself says it where it matters.
    fn post(&self, could_write: bool) -> bool {
        let Some(status) = self.board.take_changed() else { return could_write };
        match board::write(&self.data, &status) {
            Ok(()) => true,
            Err(error) => {
                if could_write {
                    tracing::warn!(%error, "the status of the index run could not be written");
                }
                false
            }
        }
    }
}

/// False as well where the machine has no battery, or does not say.
fn is_on_battery() -> bool {
    let batteries = Manager::new().and_then(|manager| manager.batteries());
    let Ok(mut batteries) = batteries else { return false };
    batteries.any(|battery| battery.is_ok_and(|battery| battery.state() == State::Discharging))
}
