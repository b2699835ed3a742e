//! Workbooks (XLSX, XLSB, XLS, ODS): a section for each sheet, every row with its header.

use std::{
    io::{Cursor, Read, Seek},
    path::Path,
};

use calamine::{Data, DataRef, ExcelDateTime, Reader, Sheets, open_workbook_auto_from_rs};

use super::{Converted, DocumentKind, archive::Archive, delimited::Table, text::Text, xml};

pub(super) fn convert(bytes: Vec<u8>, name: &Path) -> Result<Converted, String> {
    if !super::is_compound_file(&bytes) {
        // The library inflates as much as it is given.
        Archive::open(bytes.clone())?.check_all()?;
        // It looks for the end of an ODS file's table for ever.
        if let Some(content) = Archive::open(bytes.clone())?.member("content.xml")? {
            xml::check_whole(&String::from_utf8(content).map_err(damaged)?)?;
        }
    }
    let mut workbook = open_workbook_auto_from_rs(Cursor::new(bytes)).map_err(damaged)?;
    let mut text = Text::default();
    for sheet in &workbook.sheet_names() {
        text.heading(1, sheet)?;
        match &mut workbook {
            Sheets::Xlsx(workbook) => xlsx_sheet(workbook, sheet, &mut text)?,
            other => whole_sheet(other, sheet, &mut text)?,
        }
    }
    Ok(text.finish(DocumentKind::Text, Some(super::file_name(name))))
}

/// Cell by cell: two cells at the corners of a sheet do not make a table of 17 thousand million.
fn xlsx_sheet<R: Read + Seek>(
    workbook: &mut calamine::Xlsx<R>,
    name: &str,
    text: &mut Text,
) -> Result<(), String> {
    let mut cells = match workbook.worksheet_cells_reader(name) {
        Ok(cells) => cells,
        // A sheet of charts has no cells.
        Err(calamine::XlsxError::WorksheetNotFound(_) | calamine::XlsxError::NotAWorksheet(_)) => {
            return Ok(());
        }
        Err(error) => return Err(damaged(error)),
    };
    let mut rows = Rows { text, table: Table::default(), number: 0, cells: Vec::new() };
    while let Some(cell) = cells.next_cell().map_err(damaged)? {
        let value = match cell.get_value() {
            DataRef::SharedString(text) => (*text).to_owned(),
            other => shown(&other.clone().into()),
        };
        rows.add(cell.get_position(), value)?;
    }
    rows.finish()
}

fn whole_sheet<R: Read + Seek>(workbook: &mut Sheets<R>, name: &str, text: &mut Text) -> Result<(), String> {
    let range = workbook.worksheet_range(name).map_err(damaged)?;
    let (first_row, first_column) = range.start().unwrap_or_default();
    let mut rows = Rows { text, table: Table::default(), number: 0, cells: Vec::new() };
    for (row, column, value) in range.used_cells() {
        rows.add((first_row + row as u32, first_column + column as u32), shown(value))?;
    }
    rows.finish()
}

/// Puts cells that come in order together to rows.
struct Rows<'t> {
    text: &'t mut Text,
    table: Table,
    /// Of the row that is open, from 1.
    number: u32,
    cells: Vec<(usize, String)>,
}

impl Rows<'_> {
    fn add(&mut self, (row, column): (u32, u32), value: String) -> Result<(), String> {
        if row + 1 != self.number {
            self.end_row()?;
            self.number = row + 1;
        }
        self.cells.push((column as usize, value));
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), String> {
        let cells = std::mem::take(&mut self.cells);
        self.table.add(self.number, &cells, self.text)
    }

    fn finish(mut self) -> Result<(), String> {
        self.end_row()?;
        self.table.finish(self.text)
    }
}

/// A value as a person reads it; a formula's is its last result.
fn shown(value: &Data) -> String {
    match value {
        Data::DateTime(date) if !date.is_duration() => shown_date(date),
        value => value.to_string(),
    }
}

fn shown_date(date: &ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, _) = date.to_ymd_hms_milli();
    let time = format!("{hour:02}:{minute:02}:{second:02}");
    let day = format!("{year:04}-{month:02}-{day:02}");
    match (date.as_f64(), time.as_str()) {
        (days, _) if days < 1.0 => time,
        (_, "00:00:00") => day,
        _ => format!("{day} {time}"),
    }
}

fn damaged(error: impl std::fmt::Display) -> String {
    let reason = error.to_string();
    match reason.to_ascii_lowercase().contains("password") {
        true => "skipped: it is encrypted; save it without a password".to_owned(),
        false => format!("skipped: damaged, or not what its name says ({reason})"),
    }
}
