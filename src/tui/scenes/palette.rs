//! The palette of actions.

use super::Scene;

pub const SCENES: &[Scene] = &[];
