//! All integration tests, in one binary.

mod chat_pty;
mod tui;
