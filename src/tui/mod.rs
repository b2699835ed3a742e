//! Events to a screen.
//!
//! Everything that happens is a [`Msg`]; [`App::update`] changes the state and answers with [`Effect`]s; [`draw`]
//! turns the state into a picture. Both are pure: no input or output, no clock (every message says when it happened)
//! and no lock. [`run`] is the only part that touches the terminal, the clock and the engine.
//!
//! | module | holds |
//! |---|---|
//! | [`app`] | the state, its messages and effects |
//! | `actions`, `slash`, `engine_events` | what keys, slash commands and events change |
//! | `asking` | questions of a conversation: the turns that go along, asking again, editing |
//! | `conversation`, `copying` | the selected turn and citation; what is copied and exported |
//! | [`keys`] | the one table of keys, from which footer and help are made |
//! | [`theme`] | roles of things on the screen, and the files that give them a style |
//! | `transcript`, `entry` | the conversation, wrapped once per message and width |
//! | `text`, `citations`, `phase_bar`, `gauge` | text as rows of cells; labels to numbers; numbers to bars |
//! | `indexing`, `index_run`, `path_field` | what is indexed, how a run comes along, the path of what to add |
//! | `timings`, `full_cost`, `rate` | which answer is timed, what `full` would have cost, how fast things go |
//! | `panes`, `shelf`, `input` | which pane is where at which size; the sources; the question |
//! | [`scenes`] | states of the screen, for its tests and its pictures |
//! | `overlay`, `chooser`, `palette`, `field` | what lies over a view; a list that typing narrows; every action by name |
//! | `view` | pure functions from the state to the picture |

mod actions;
pub mod app;
mod asking;
mod chats;
mod chips;
pub mod chooser;
mod citations;
mod collections;
mod comparison;
mod completion;
mod conversation;
mod copying;
mod editor;
mod engine_events;
mod entry;
pub mod field;
mod files;
mod first_run;
mod format;
mod full_cost;
mod gauge;
mod highlight;
mod index_run;
mod indexing;
mod input;
#[cfg(test)]
mod key_tests;
pub mod keymap;
pub mod keys;
mod laid;
mod log;
mod markdown;
mod mouse;
mod overlay;
mod palette;
mod panes;
mod path_field;
mod phase_bar;
pub mod pictures;
mod rate;
mod reader;
mod run;
pub mod scenes;
mod shelf;
mod slash;
mod sources;
mod stderr;
mod terminal;
pub mod text;
pub mod theme;
mod themes;
mod timings;
mod transcript;
mod view;

pub use app::{App, Effect, Msg, View, What};
pub use citations::Citation;
pub use entry::{Entry, Note, Severity, Stage, Turn};
pub use highlight::{Code, Highlighted, Highlighter};
pub use log::LogTail;
pub use run::{ScreenError, run, run_with};
pub use theme::Theme;
pub use view::draw;
