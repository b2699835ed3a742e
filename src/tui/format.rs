//! Numbers as people read them.

use std::path::Path;

pub use crate::engine::duration;

use super::text::{fit_end, width};
use crate::{
    config::Strategy,
    engine::{CacheOrigin, IndexPhase, RetrievedChunk, Unit},
};

/// Binary units, as everywhere in Gibbon: `940 B`, `52 MiB`, `1.3 GiB`.
pub fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1023.5 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if unit > 0 && value < 9.95 { 1 } else { 0 };
    format!("{value:.digits$} {}", units[unit])
}

/// `1 file`, `2 files`.
pub fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{} {thing}s", thousands(number)) }
}

/// How long ago something was: `just now`, `5 minutes ago`, `yesterday`, `3 weeks ago`, `2 years ago`.
pub fn ago(seconds: i64) -> String {
    let (minute, hour, day) = (60, 3600, 86_400);
    let number = |unit: i64| (seconds / unit) as usize;
    match seconds {
        s if s < minute => "just now".to_owned(),
        s if s < hour => format!("{} ago", count(number(minute), "minute")),
        s if s < day => format!("{} ago", count(number(hour), "hour")),
        s if s < 2 * day => "yesterday".to_owned(),
        s if s < 14 * day => format!("{} ago", count(number(day), "day")),
        s if s < 60 * day => format!("{} ago", count(number(7 * day), "week")),
        s if s < 730 * day => format!("{} ago", count(number(30 * day), "month")),
        _ => format!("{} ago", count(number(365 * day), "year")),
    }
}

/// `12,345`.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The strategy's name as it is typed.
pub fn strategy(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Full => "full",
        Strategy::Concat => "concat",
        Strategy::Parallel => "parallel",
        Strategy::Ape => "ape",
    }
}

/// The strategy of this name.
pub fn strategy_named(name: &str) -> Option<Strategy> {
    STRATEGIES.into_iter().find(|known| strategy(*known) == name)
}

/// In the order in which the key goes through them.
pub const STRATEGIES: [Strategy; 4] = [Strategy::Ape, Strategy::Parallel, Strategy::Concat, Strategy::Full];

/// A mark and a word for where a chunk's cache came from.
pub fn origin(origin: CacheOrigin) -> (&'static str, &'static str) {
    match origin {
        CacheOrigin::Memory => ("◆", "memory"),
        CacheOrigin::Disk => ("●", "disk"),
        CacheOrigin::Encoded => ("○", "encoded"),
        CacheOrigin::Repaired => ("↻", "repaired"),
        CacheOrigin::Unused => ("·", "no cache"),
    }
}

pub fn index_phase(phase: IndexPhase) -> &'static str {
    match phase {
        IndexPhase::Walk => "looking for files",
        IndexPhase::Read => "reading",
        IndexPhase::Split => "splitting",
        IndexPhase::Index => "indexing",
        IndexPhase::Encode => "encoding",
    }
}

pub fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Files => "file",
        Unit::Chunks => "chunk",
        Unit::Tokens => "token",
    }
}

/// Where a chunk stands, as an editor takes it: `docs/dome.md:14-38`, `manual.pdf page 3`. Without the folder where
/// that takes more than `cells`, and then cut at the beginning, since the end says most.
pub fn location(chunk: &RetrievedChunk, cells: usize) -> String {
    let place = match (chunk.lines, chunk.page) {
        (Some((first, last)), _) if first == last => format!(":{first}"),
        (Some((first, last)), _) => format!(":{first}-{last}"),
        (None, Some(page)) => format!(" page {page}"),
        (None, None) => String::new(),
    };
    let name =
        |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let file = name(&chunk.path) + &place;
    let folder = chunk.path.parent().map(name).unwrap_or_default();
    let whole = if folder.is_empty() { file.clone() } else { format!("{folder}/{file}") };
    fit_end(if width(&whole) <= cells { &whole } else { &file }, cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_do() {
        let day = 86_400;
        let told: Vec<_> = [-5, 59, 60, 7200, day, 3 * day, 20 * day, 90 * day, 800 * day].map(ago).into();
        let expected = [
            "just now",
            "just now",
            "1 minute ago",
            "2 hours ago",
            "yesterday",
            "3 days ago",
            "2 weeks ago",
            "3 months ago",
            "2 years ago",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn sizes_and_counts() {
        assert_eq!(bytes(940), "940 B");
        assert_eq!(bytes(52_400_000), "50 MiB");
        assert_eq!(bytes(1_340_000_000), "1.2 GiB");
        assert_eq!(bytes(1_048_100), "1.0 MiB");
        assert_eq!(count(1, "file"), "1 file");
        assert_eq!(count(12_345, "chunk"), "12,345 chunks");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000_000), "1,000,000");
    }

    #[test]
    fn strategies_are_named_as_typed() {
        assert!(STRATEGIES.into_iter().all(|each| strategy_named(strategy(each)) == Some(each)));
        assert_eq!(strategy_named("nothing"), None);
    }
}
