//! What the last answers took, as the timings pane shows it.
