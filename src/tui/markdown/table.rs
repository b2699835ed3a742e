//! Tables, fitted to the width.

use pulldown_cmark::Alignment;

use super::super::{
    text::{Piece, Row, width, wrap},
    theme::Role,
};

/// Between two columns.
const BAR: &str = " │ ";
const BAR_CELLS: usize = 3;
/// A column is made no narrower; where columns would be, each row is written as a list.
const NARROWEST: usize = 5;

type Cell = Vec<Piece>;

/// A table as it is read: the first row is the header.
pub struct Table {
    alignments: Vec<Alignment>,
    rows: Vec<Vec<Cell>>,
    row: Vec<Cell>,
}

impl Table {
    pub fn new(alignments: Vec<Alignment>) -> Self {
        Self { alignments, rows: Vec::new(), row: Vec::new() }
    }

    pub fn cell(&mut self, cell: Cell) {
        self.row.push(cell);
    }

    pub fn end_row(&mut self) {
        self.rows.push(std::mem::take(&mut self.row));
    }

    /// The table in at most `cells` cells.
    pub fn rows(mut self, cells: usize) -> Vec<Row> {
        for cell in self.rows.first_mut().into_iter().flatten().flatten() {
            if cell.citation.is_none() {
                cell.role = Role::Strong;
            }
        }
        match self.widths(cells) {
            Some(widths) => self.columns(&widths),
            None => self.list(cells),
        }
    }

    /// How wide each column is: as its widest cell where there is room, else a fair share. `None` where that is not
    /// enough to be read.
    fn widths(&self, cells: usize) -> Option<Vec<usize>> {
        let columns = self.alignments.len();
        let mut wanted = vec![1; columns];
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate().take(columns) {
                wanted[column] = wanted[column].max(cell_width(cell));
            }
        }
        let mut room = cells.checked_sub(BAR_CELLS * columns.saturating_sub(1))?;
        let mut widths = vec![0; columns];
        let mut open: Vec<usize> = (0..columns).collect();
        // Columns that want less than their share leave the rest to the others.
        loop {
            let share = room.checked_div(open.len())?;
            let (narrow, wide): (Vec<_>, Vec<_>) = open.iter().partition(|column| wanted[**column] <= share);
            for column in &narrow {
                widths[*column] = wanted[*column];
                room -= wanted[*column];
            }
            if wide.is_empty() {
                return Some(widths);
            }
            if narrow.is_empty() {
                let extra = room % wide.len();
                for (number, column) in wide.iter().enumerate() {
                    widths[*column] = share + usize::from(number < extra);
                }
                return (share >= NARROWEST).then_some(widths);
            }
            open = wide;
        }
    }

    fn columns(&self, widths: &[usize]) -> Vec<Row> {
        let mut rows = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            rows.extend(self.row_of_columns(row, widths));
            if number == 0 {
                let rule: Vec<_> = widths.iter().map(|width| "─".repeat(*width)).collect();
                rows.push(Row::new(vec![Piece::new(rule.join("─┼─"), Role::Border)]));
            }
        }
        rows
    }

    fn row_of_columns(&self, row: &[Cell], widths: &[usize]) -> Vec<Row> {
        let empty = Vec::new();
        let cells: Vec<_> = (0..widths.len())
            .map(|column| wrap(row.get(column).unwrap_or(&empty), widths[column], 0))
            .collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        let mut lines = Vec::new();
        for line in 0..height {
            let mut pieces = Vec::new();
            for (column, cell) in cells.iter().enumerate() {
                if column > 0 {
                    pieces.push(Piece::new(BAR, Role::Border));
                }
                let content = cell.get(line).cloned().unwrap_or_default();
                let free = widths[column].saturating_sub(content.width());
                let before = match self.alignments.get(column) {
                    Some(Alignment::Right) => free,
                    Some(Alignment::Center) => free / 2,
                    _ => 0,
                };
                pieces.push(Piece::new(" ".repeat(before), Role::Base));
                pieces.extend(content.pieces);
                if column + 1 < cells.len() {
                    pieces.push(Piece::new(" ".repeat(free - before), Role::Base));
                }
            }
            pieces.retain(|piece| !piece.text.is_empty());
            lines.push(Row::new(pieces));
        }
        lines
    }

    /// Each row as lines of the column's name and the cell; a header alone as its names.
    fn list(&self, cells: usize) -> Vec<Row> {
        let Some((header, body)) = self.rows.split_first() else { return Vec::new() };
        if body.is_empty() {
            return header.iter().flat_map(|name| wrap(name, cells, 0)).collect();
        }
        let mut rows = Vec::new();
        for row in body {
            if !rows.is_empty() {
                rows.push(Row::blank());
            }
            for (column, cell) in row.iter().enumerate() {
                let mut pieces = header.get(column).cloned().unwrap_or_default();
                if !pieces.is_empty() {
                    pieces.push(Piece::new(": ", Role::Strong));
                }
                pieces.extend(cell.iter().cloned());
                rows.extend(wrap(&pieces, cells, 2));
            }
        }
        rows
    }
}

fn cell_width(cell: &Cell) -> usize {
    cell.iter().map(|piece| width(&piece.text)).sum()
}
