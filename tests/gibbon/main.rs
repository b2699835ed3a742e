//! One integration binary: a module for each part, with what they share in `support`.

mod ape;
mod golden;
mod support;
