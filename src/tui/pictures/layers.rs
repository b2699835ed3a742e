//! The cells of a screen as what is drawn: rectangles, corners and text, on whole pixels.

use std::collections::BTreeMap;

use ratatui::{
    buffer::{Buffer, CellWidth},
    style::{Modifier, Style},
};

use super::{
    color::{Palette, Rgb},
    shapes::{self, CELL_HEIGHT, CELL_WIDTH, Corner, Rectangle, Shape},
};

/// DejaVu Sans Mono at this size has characters as wide as a cell.
pub const FONT_SIZE: i32 = 15;
/// From a row's upper edge to the line that its letters stand on.
pub const BASELINE: i32 = 14;
/// Around the cells.
pub const MARGIN: i32 = 14;

/// What text of one kind looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Look {
    pub color: Rgb,
    pub is_bold: bool,
    pub is_italic: bool,
}

/// Text in cells beside each other.
#[derive(Debug)]
pub struct Run {
    pub x: i32,
    /// Where its letters stand.
    pub y: i32,
    pub columns: i32,
    pub text: String,
}

/// What is drawn: rectangles, then corners, then text, each sorted by how it looks.
#[derive(Debug)]
pub struct Layers {
    /// Pixels of the whole picture, margins included.
    pub width: i32,
    pub height: i32,
    pub background: Rgb,
    /// The colour of text that has no other.
    pub foreground: Rgb,
    /// Behind text, then parts of it.
    pub rectangles: [BTreeMap<Rgb, Vec<Rectangle>>; 2],
    pub corners: BTreeMap<Rgb, Vec<Corner>>,
    pub runs: BTreeMap<Look, Vec<Run>>,
}

impl Layers {
    /// What to draw for `cells` on a terminal with the colours of `base`.
    pub fn of(cells: &Buffer, base: Style) -> Self {
        let palette = Palette::default().with_base(base);
        let mut layers = Self {
            width: i32::from(cells.area.width) * CELL_WIDTH + 2 * MARGIN,
            height: i32::from(cells.area.height) * CELL_HEIGHT + 2 * MARGIN,
            background: palette.background,
            foreground: palette.foreground,
            rectangles: Default::default(),
            corners: BTreeMap::new(),
            runs: BTreeMap::new(),
        };
        for y in 0..cells.area.height {
            layers.take_row(cells, y, &palette);
        }
        for rectangles in layers.rectangles.iter_mut().flat_map(BTreeMap::values_mut) {
            *rectangles = shapes::joined(std::mem::take(rectangles));
        }
        layers
    }

    fn take_row(&mut self, cells: &Buffer, row: u16, palette: &Palette) {
        let mut column = 0;
        let mut run_of: Option<Look> = None;
        while column < cells.area.width {
            let cell = &cells[(column, row)];
            let (foreground, background) = palette.of_cell(cell);
            let columns = cell.symbol().cell_width().max(1);
            let x = MARGIN + i32::from(column) * CELL_WIDTH;
            let y = MARGIN + i32::from(row) * CELL_HEIGHT;
            let width = i32::from(columns) * CELL_WIDTH;
            if background != palette.background {
                let behind = Rectangle { x, y, width, height: CELL_HEIGHT };
                self.rectangles[0].entry(background).or_default().push(behind);
            }
            if cell.modifier.contains(Modifier::UNDERLINED) {
                let line = Rectangle { x, y: y + BASELINE + 2, width, height: 1 };
                self.rectangles[1].entry(foreground).or_default().push(line);
            }
            let look = Look {
                color: foreground,
                is_bold: cell.modifier.contains(Modifier::BOLD),
                is_italic: cell.modifier.contains(Modifier::ITALIC),
            };
            match shapes::of(cell.symbol()) {
                Some(shape) => {
                    self.take_shape(&shape, (x, y), foreground, background);
                    run_of = None;
                }
                None => run_of = self.take_text(cell.symbol(), (x, y), columns.into(), look, run_of),
            }
            column += columns;
        }
    }

    fn take_shape(&mut self, shape: &Shape, (x, y): (i32, i32), foreground: Rgb, background: Rgb) {
        match shape {
            Shape::Filled(rectangles, part) => {
                let moved = rectangles.iter().map(|each| Rectangle { x: each.x + x, y: each.y + y, ..*each });
                self.rectangles[1].entry(foreground.mix(background, *part)).or_default().extend(moved);
            }
            Shape::Corner(corner) => {
                let moved = Corner { x: corner.x + x, y: corner.y + y, ..*corner };
                self.corners.entry(foreground).or_default().push(moved);
            }
        }
    }

    /// Adds a character to the run before it, or begins one; says which look the run has that the next may join.
    fn take_text(
        &mut self,
        symbol: &str,
        (x, y): (i32, i32),
        columns: i32,
        look: Look,
        run_of: Option<Look>,
    ) -> Option<Look> {
        if symbol.trim().is_empty() {
            return None;
        }
        // Fonts that lack a character borrow it from another with other widths, so only common letters join.
        let joins = columns == 1 && symbol.chars().all(|each| each < '\u{250}' && !each.is_control());
        let runs = self.runs.entry(look).or_default();
        match runs.last_mut().filter(|_| joins && run_of == Some(look)) {
            Some(run) => {
                run.text.push_str(symbol);
                run.columns += columns;
            }
            None => runs.push(Run { x, y: y + BASELINE, columns, text: symbol.to_owned() }),
        }
        joins.then_some(look)
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;

    use super::*;

    fn runs(text: &str) -> Vec<(i32, i32, String)> {
        let mut cells = Buffer::empty(Rect::new(0, 0, 20, 1));
        cells.set_string(0, 0, text, Style::new());
        let runs = Layers::of(&cells, Style::new()).runs;
        let column = |run: &Run| (run.x - MARGIN) / CELL_WIDTH;
        runs.into_values().flatten().map(|run| (column(&run), run.columns, run.text)).collect()
    }

    #[test]
    fn letters_join_and_everything_else_stands_in_its_own_column() {
        let expected =
            [(0, 2, "ab"), (3, 2, "ßé"), (5, 1, "●"), (6, 1, "c"), (7, 2, "閉"), (9, 1, "d"), (11, 1, "e")];
        assert_eq!(runs("ab ßé●c閉d─e"), expected.map(|(x, columns, text)| (x, columns, text.to_owned())));
    }

    #[test]
    fn backgrounds_are_drawn_where_they_differ() {
        let mut cells = Buffer::empty(Rect::new(0, 0, 4, 2));
        cells.set_style(Rect::new(0, 0, 4, 2), Style::new().bg(ratatui::style::Color::Black));
        cells.set_style(Rect::new(1, 0, 2, 2), Style::new().reversed());
        let layers = Layers::of(&cells, Style::new().bg(ratatui::style::Color::Black));
        let behind: Vec<_> = layers.rectangles[0].values().flatten().copied().collect();
        let (width, height) = (2 * CELL_WIDTH, 2 * CELL_HEIGHT);
        assert_eq!(behind, [Rectangle { y: MARGIN, x: MARGIN + CELL_WIDTH, width, height }]);
    }
}
