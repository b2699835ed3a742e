//! The pipelines and the one door to them: [`Command`]s in, [`Event`]s out, all plain data.

pub mod admin;
pub mod protocol;
pub mod timing;
mod visible;
mod worker;

pub use protocol::*;
pub use timing::*;
pub use visible::visible;
pub use worker::Engine;
