//! The box in which the question is typed.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    text::{Line, Span},
    widgets::Widget,
};

use super::{
    super::{
        app::App,
        chips::{Chip, Choice},
        panes::{Focus, Panes},
        text::{Piece, Row, fit_end, width},
        theme::Role,
    },
    draw_rows, line, rounded,
};

/// Border, margin and prompt before the text.
const LEFT: u16 = 4;
/// The most cells that the name on a chip takes.
const CHIP_CELLS: usize = 28;
/// Cells of the border that are left to other words on it.
const KEPT_FREE: usize = 28;

/// Draws the box; returns where the cursor is, while the box has the keyboard.
pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let focused = app.focus == Focus::Input;
    let border = if focused { Role::BorderFocus } else { Role::Border };
    let prompt = if focused { Role::Accent } else { Role::Muted };
    rounded(app.theme.style(border)).render(area, buffer);
    let columns = Panes::input_columns(app.size);
    let text = Rect {
        x: area.x + LEFT,
        y: area.y + 1,
        width: columns as u16,
        height: area.height.saturating_sub(2),
    };
    draw_chips(app, area, buffer);
    Line::styled("❯", app.theme.style(prompt)).render(Rect { x: area.x + 2, width: 1, ..text }, buffer);
    let (rows, (row, column)) = app.input.rows(columns);
    let first = (row + 1).saturating_sub(text.height.into());
    if app.input.is_empty() {
        let words =
            if app.running().is_some() { "The next question …" } else { "Ask about your files …" };
        Line::from(Span::styled(words, app.theme.style(Role::Muted))).render(text, buffer);
    } else {
        draw_rows(&rows[first..], &app.theme, text, buffer);
    }
    focused.then(|| Position { x: text.x + column as u16, y: text.y + (row - first) as u16 })
}

/// What goes along with the question, on the border over it.
fn draw_chips(app: &App, area: Rect, buffer: &mut Buffer) {
    let columns = usize::from(area.width).saturating_sub(4);
    let row = chip_row(app.chips.all(), columns);
    let place = Rect { x: area.x + 2, width: columns as u16, height: 1, ..area };
    line(&row, &app.theme).render(place.intersection(area), buffer);
}

/// As many chips as fit, how many more there are, and for how long they stay where there is room to say it.
fn chip_row(chips: &[Chip], columns: usize) -> Row {
    let mut row = Row::blank();
    for (index, chip) in chips.iter().enumerate() {
        let left = chips.len() - index;
        let (mark, name) = chip.text.split_at(1);
        let text = format!(" {mark}{} ", fit_end(name, CHIP_CELLS));
        let more = format!(" and {left} more ");
        let needed = width(&text) + if left > 1 { width(&more) + 1 } else { 0 };
        if row.width() + needed > columns {
            row.pieces.push(Piece::new(more, Role::Muted));
            return row;
        }
        let role = match chip.choice {
            Choice::Pin(_) => Role::Citation,
            Choice::Scope(_) => Role::Key,
        };
        row.pieces.push(Piece::new(text, role));
    }
    let until = "for every question until removed ";
    if !chips.is_empty() && row.width() + width(until) + KEPT_FREE <= columns {
        row.pieces.push(Piece::new(until, Role::Muted));
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chips_never_take_more_than_the_border() {
        let chip = |name: &str| Chip::scope(std::path::Path::new(name), name);
        let chips: Vec<_> = ["handbook/", "日本語の手引き.md", &"long/".repeat(40), "a"].map(chip).into();
        for columns in 20..200 {
            for count in 0..=chips.len() {
                let row = chip_row(&chips[..count], columns);
                assert!(row.width() <= columns, "{columns}: {:?}", row.text());
            }
        }
        assert_eq!(chip_row(&chips[..2], 27).text(), " @handbook/  and 1 more ");
        assert_eq!(chip_row(&chips[..1], 100).text(), " @handbook/ for every question until removed ");
        assert_eq!(chip_row(&[], 100).text(), "");
    }
}
