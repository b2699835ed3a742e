//! Results as the text of files that others read.

pub mod comparison;
