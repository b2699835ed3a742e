//! Numbers, tables and lists of chunks as text.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use bytesize::ByteSize;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::HumanCount;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::console::{Style, show_path};
use crate::engine::{CacheOrigin, RetrievedChunk};

/// `1.2 ms`, `2.31 s`, `3 min 5 s`.
pub fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 0.0005 => format!("{:.0} µs", s * 1e6),
        s if s < 0.1 => format!("{:.1} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 10.0 => format!("{s:.2} s"),
        s if s < 100.0 => format!("{s:.1} s"),
        s => format!("{:.0} min {:.0} s", (s.round() / 60.0).floor(), s.round() % 60.0),
    }
}

/// `11.2 MiB`.
pub fn bytes(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// `9,873 tokens`, `1 token`.
pub fn count(number: u64, unit: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {unit}{plural}", HumanCount(number))
}

/// How long ago a time was, in words; both in seconds since the Unix epoch.
pub fn age(then: i64, now: i64) -> String {
    let seconds = u64::try_from(now - then).unwrap_or(0);
    match seconds {
        0..60 => "just now".to_owned(),
        60..3600 => format!("{} ago", count(seconds / 60, "minute")),
        3600..86_400 => format!("{} ago", count(seconds / 3600, "hour")),
        _ => format!("{} ago", count(seconds / 86_400, "day")),
    }
}

/// Seconds since the Unix epoch.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// A table without lines: the first column to the left, the others as `alignment` says ('<' or '>'), the header dim.
pub fn table(header: &[&str], alignment: &str, rows: &[Vec<String>], style: Style) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.to_vec()).add_rows(rows.iter().cloned());
    for (column, align) in table.column_iter_mut().zip(alignment.chars()) {
        column.set_padding((0, 2));
        column.set_cell_alignment(if align == '>' { CellAlignment::Right } else { CellAlignment::Left });
    }
    let text = table.trim_fmt();
    let (head, body) = text.split_once('\n').unwrap_or((&text, ""));
    format!("{}\n{}\n", style.dim(head.trim_end()), body.trim_end_matches('\n'))
}

/// The chunks an answer draws on, one a line: number, label, place, score, and where its cache came from.
pub fn sources(chunks: &[RetrievedChunk], origins: &[CacheOrigin], here: &Path, style: Style) -> String {
    let rows: Vec<[String; 5]> = chunks
        .iter()
        .enumerate()
        .map(|(at, chunk)| {
            [
                format!("[{}]", chunk.rank),
                one_line(&chunk.label),
                place(chunk, here),
                format!("score {:.2}", chunk.score),
                origins.get(at).map_or(if chunk.cached { "cached" } else { "not cached" }, origin).to_owned(),
            ]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
    let (rank, label, place, score) = (width(0), width(1), width(2), width(3));
    let mut text = String::new();
    for [number, title, at, points, from] in &rows {
        let line = format!(
            "{}  {}  {}  {}  {from}",
            pad(number, rank),
            style.heading(&pad(title, label)),
            pad(at, place),
            pad_left(points, score)
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `notes/dome.md:12-40`, or `report.pdf, page 3`.
pub fn place(chunk: &RetrievedChunk, here: &Path) -> String {
    let path = show_path(&chunk.path, here);
    match (chunk.lines, chunk.page) {
        (Some((first, last)), _) if first == last => format!("{path}:{first}"),
        (Some((first, last)), _) => format!("{path}:{first}-{last}"),
        (None, Some(page)) => format!("{path}, page {page}"),
        (None, None) => path,
    }
}

/// What a cache's origin is called in lists.
pub fn origin(origin: &CacheOrigin) -> &'static str {
    match origin {
        CacheOrigin::Memory => "cached (memory)",
        CacheOrigin::Disk => "cached (disk)",
        CacheOrigin::Encoded => "encoded now",
        CacheOrigin::Repaired => "damaged, encoded again",
        CacheOrigin::Unused => "read in full",
    }
}

/// `text` on one line of at most `width` columns, cut at a character's end.
pub fn shortened(text: &str, width: usize) -> String {
    let line = one_line(text);
    if line.width() <= width {
        return line;
    }
    let mut short = String::new();
    for character in line.graphemes(true) {
        if short.width() + character.width() + 1 > width {
            break;
        }
        short.push_str(character);
    }
    short.push('…');
    short
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

pub fn pad_left(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let shown: Vec<String> =
            [0.0, 0.000_04, 0.0012, 0.0999, 0.25, 2.314, 71.23, 185.4].map(seconds).into();
        assert_eq!(shown, ["0 µs", "40 µs", "1.2 ms", "99.9 ms", "250 ms", "2.31 s", "71.2 s", "3 min 5 s"]);
    }

    #[test]
    fn numbers_have_separators_and_the_right_unit() {
        assert_eq!(count(9873, "token"), "9,873 tokens");
        assert_eq!(count(1, "chunk"), "1 chunk");
        assert_eq!(bytes(20 << 30), "20.0 GiB");
    }

    #[test]
    fn ages_are_in_words() {
        let now = 1_700_000_000;
        let shown: Vec<String> = [0, 61, 7200, 90_000, -5].map(|ago| age(now - ago, now)).into();
        assert_eq!(shown, ["just now", "1 minute ago", "2 hours ago", "1 day ago", "just now"]);
    }

    #[test]
    fn wide_characters_keep_columns_aligned() {
        let rows = [vec!["日本語".to_owned(), "1".to_owned()], vec!["abc".to_owned(), "22".to_owned()]];
        let text = table(&["name", "n"], "<>", &rows, Style::PLAIN);
        assert_eq!(text, "name     n\n日本語   1\nabc     22\n");
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(shortened("a\n b   c", 10), "a b c");
        assert_eq!(shortened("日本語です", 7), "日本語…");
        assert_eq!(shortened("👩‍🚀👩‍🚀👩‍🚀", 4), "👩‍🚀…");
    }
}
