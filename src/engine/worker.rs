//! The engine's threads and their handle.

use tokio::sync::mpsc::UnboundedReceiver;

use super::protocol::{Command, Event, RequestId};
use crate::config::Config;

/// A running engine. Dropping it stops what it is doing and waits for its threads.
pub struct Engine {}

impl Engine {
    /// Starts the engine's threads. The first event is [`Event::Ready`] (or [`Event::Failed`] with request 0 where
    /// the data directory cannot be used). A missing model is not an error: `Ready` says so.
    pub fn start(_config: Config) -> (Self, UnboundedReceiver<Event>) {
        todo!()
    }

    /// An id that no other request of this engine has.
    pub fn next_request(&self) -> RequestId {
        todo!()
    }

    /// Hands a command over and returns at once. `Cancel` takes effect within a token, a layer or a file.
    pub fn send(&self, _command: Command) {
        todo!()
    }
}
