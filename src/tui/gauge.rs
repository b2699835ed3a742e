//! Numbers as bars and curves of text cells.

/// Eighths of a cell, from the left.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
/// Heights of a cell.
const HEIGHTS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// A bar of `fraction` of `cells` cells, to an eighth of a cell. What is more than nothing is seen.
pub fn bar(fraction: f64, cells: usize) -> String {
    let fraction = if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (fraction * (cells * 8) as f64).round() as usize;
    let least = usize::from(fraction > 0.0 && cells > 0);
    let eighths = eighths.max(least);
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// The done and the open part of a line of `cells` cells. It is full only when all is done, and empty only when
/// nothing is.
pub fn progress(done: u64, total: u64, cells: usize) -> (String, String) {
    let done = done.min(total);
    let full = match total {
        0 => 0,
        total => (u128::from(done) * cells as u128 / u128::from(total)) as usize,
    };
    let full = if done > 0 { full.max(cells.min(1)) } else { 0 };
    let full = if done < total { full.min(cells.saturating_sub(1)) } else { full };
    ("━".repeat(full), "─".repeat(cells - full))
}

/// The last `cells` of `values` as a curve, a cell each, from nothing to the largest of them.
pub fn sparkline(values: &[f64], cells: usize) -> String {
    let shown = &values[values.len().saturating_sub(cells)..];
    let most = shown.iter().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
    let height = |value: &f64| match value / most * 8.0 {
        eighths if eighths.is_finite() => (eighths.round() as usize).clamp(1, 8) - 1,
        _ => 0,
    };
    shown.iter().map(|value| HEIGHTS[height(value)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_in_proportion() {
        assert_eq!(bar(0.5, 4), "██");
        assert_eq!(bar(1.0, 3), "███");
        assert_eq!(bar(0.3, 2), "▋");
        assert_eq!(bar(1e-9, 10), "▏");
        assert_eq!(
            (bar(0.0, 9), bar(f64::NAN, 9), bar(7.0, 2), bar(0.4, 0)),
            (String::new(), String::new(), "██".to_owned(), String::new())
        );
    }

    #[test]
    fn progress_is_full_when_all_is_done_and_only_then() {
        let both = |done, total| {
            let (done, left) = progress(done, total, 4);
            done + &left
        };
        assert_eq!(
            [both(0, 9), both(1, 9999), both(5, 10), both(9998, 9999), both(9, 9), both(12, 9), both(3, 0)],
            ["────", "━───", "━━──", "━━━─", "━━━━", "━━━━", "────"]
        );
        assert_eq!(progress(1, 2, 0), (String::new(), String::new()));
        assert_eq!(progress(u64::MAX, u64::MAX, 2).0, "━━");
    }

    #[test]
    fn curves_reach_from_nothing_to_the_largest() {
        assert_eq!(sparkline(&[0.0, 10.0, 20.0, 40.0], 9), "▁▂▄█");
        assert_eq!(sparkline(&[1.0, 2.0, 4.0], 2), "▄█");
        assert_eq!(sparkline(&[f64::NAN, 0.0], 2), "▁▁");
        assert_eq!(sparkline(&[], 5), "");
    }
}
