//! CSV and TSV: every row with its header, as `Item: Bolt; Price: 3.50`, so that a row says what it is wherever the
//! table is cut.

use std::path::Path;

use super::{Converted, DocumentKind, text::Text};

/// What may stand between fields; the one that a file's first lines have most of.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Lines from which the delimiter is told.
const PROBE_LINES: usize = 10;
/// The most characters of a column's name that are repeated in every row.
const NAME_CHARACTERS: usize = 60;

pub(super) fn convert(source: &str, delimiter: Option<u8>, name: &Path) -> Result<Converted, String> {
    let delimiter = delimiter.unwrap_or_else(|| delimiter_of(source));
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(source.as_bytes());
    let mut table = Table::default();
    let mut text = Text::default();
    for (number, record) in (1..).zip(reader.records()) {
        let record = record.map_err(|error| format!("skipped: its table is damaged ({error})"))?;
        let cells: Vec<(usize, String)> = record.iter().map(str::to_owned).enumerate().collect();
        table.add(number, &cells, &mut text)?;
    }
    table.finish(&mut text)?;
    let converted = text.finish(DocumentKind::Text, None);
    Ok(Converted { title: Some(super::file_name(name)), ..converted })
}

fn delimiter_of(source: &str) -> u8 {
    let lines: Vec<&str> = source.lines().take(PROBE_LINES).collect();
    let count = |delimiter: u8| {
        lines.iter().map(|line| line.bytes().filter(|byte| *byte == delimiter).count()).sum::<usize>()
    };
    // The first of those that are as frequent.
    DELIMITERS.into_iter().rev().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

/// Writes the rows of one table. The first row that is not blank names the columns.
#[derive(Default)]
pub(super) struct Table {
    header: Option<Header>,
    has_rows: bool,
}

struct Header {
    number: u32,
    /// The name of each column; empty where it has none.
    names: Vec<String>,
}

impl Table {
    /// Adds the row of this number, from 1: its cells, each with the number of its column from 0.
    ///
    /// # Errors
    /// When the text has become longer than a document may be.
    pub fn add(&mut self, number: u32, cells: &[(usize, String)], text: &mut Text) -> Result<(), String> {
        if cells.iter().all(|(_, cell)| cell.trim().is_empty()) {
            return Ok(());
        }
        let Some(header) = &self.header else {
            let columns = cells.iter().map(|(column, _)| column + 1).max().unwrap_or(0);
            let mut names = vec![String::new(); columns];
            for (column, cell) in cells {
                names[*column] = super::label::plain(cell, NAME_CHARACTERS);
            }
            self.header = Some(Header { number, names });
            return Ok(());
        };
        self.has_rows = true;
        text.row(number, &header.row(cells))
    }

    /// Ends the table: one that has only a header is a row of its own.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn finish(self, text: &mut Text) -> Result<(), String> {
        match self.header {
            Some(header) if !self.has_rows => text.row(header.number, &header.names.join("; ")),
            _ => Ok(()),
        }
    }
}

impl Header {
    fn row(&self, cells: &[(usize, String)]) -> String {
        let mut row = String::new();
        for (column, cell) in cells {
            let value = cell.split_whitespace().collect::<Vec<_>>().join(" ");
            if value.is_empty() {
                continue;
            }
            if !row.is_empty() {
                row.push_str("; ");
            }
            match self.names.get(*column).filter(|name| !name.is_empty()) {
                Some(name) => row.push_str(&format!("{name}: ")),
                None => row.push_str(&format!("{}: ", letters(*column))),
            }
            row.push_str(&value);
        }
        row
    }
}

/// A column as a spreadsheet calls it: 0 is A, 26 is AA.
fn letters(column: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = column + 1;
    while rest > 0 {
        letters.push(char::from(b'A' + ((rest - 1) % 26) as u8));
        rest = (rest - 1) / 26;
    }
    letters.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str, delimiter: Option<u8>) -> Converted {
        convert(source, delimiter, Path::new("prices.csv")).unwrap()
    }

    #[test]
    fn every_row_has_its_header() {
        let converted = read("Item,Price,\nBolt,3.50,new\n\n\"Nut, \nsmall\",,\n", None);
        assert_eq!(converted.text, "Item: Bolt; Price: 3.50; C: new\nItem: Nut, small");
        let rows: Vec<_> = converted.rows.iter().map(|row| (row.number, row.offset)).collect();
        assert_eq!(rows, [(2, 0), (3, 32)]);
        assert_eq!(converted.title.as_deref(), Some("prices.csv"));
    }

    #[test]
    fn the_delimiter_is_what_the_lines_have() {
        assert_eq!(read("Item;Price\nBolt;3,50\n", None).text, "Item: Bolt; Price: 3,50");
        assert_eq!(read("Item\tPrice\nBolt\t3\n", Some(b'\t')).text, "Item: Bolt; Price: 3");
        assert_eq!(read("only a header", None).text, "only a header");
    }

    #[test]
    fn columns_have_letters_as_in_a_spreadsheet() {
        assert_eq!([0, 25, 26, 701, 702].map(letters), ["A", "Z", "AA", "ZZ", "AAA"]);
    }

    #[test]
    fn a_header_that_would_multiply_is_cut_and_the_text_bounded() {
        let source = format!(
            "{}\n{}",
            format!("{},", "n".repeat(5_000)).repeat(100),
            format!("{}\n", "1,".repeat(100)).repeat(15_000)
        );
        let outcome = convert(&source, None, Path::new("a.csv"));
        assert!(outcome.is_err_and(|reason| reason.contains("64 MiB")));
    }
}
