//! The chooser of themes.

use super::Scene;

pub const SCENES: &[Scene] = &[];
