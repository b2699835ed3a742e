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
        format::count,
        panes::{Focus, Panes},
        text::{Piece, Row, fit, fit_end, width},
        theme::Role,
    },
    draw_rows, line, rounded,
};

/// Border, margin and prompt before the text.
const LEFT: u16 = 4;
/// The most cells that the name on a chip takes.
const CHIP_CELLS: usize = 28;

/// Draws the box; returns where the cursor is, while the box has the keyboard.
pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let focused = app.focus == Focus::Input;
    let border = if focused { Role::BorderFocus } else { Role::Border };
    let prompt = if focused { Role::Accent } else { Role::Muted };
    rounded(app.theme.style(border)).render(area, buffer);
    draw_what_goes_along(app, area, buffer);
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

/// On the border under it: how much of the conversation goes along with the question, and whether it takes another's place.
fn draw_what_goes_along(app: &App, area: Rect, buffer: &mut Buffer) {
    let replaced = app.editing.as_ref().map(|editing| editing.turn);
    let earlier = app.earlier_turns(replaced).len();
    let along = (earlier > 0).then(|| format!("with {}", count(earlier, "earlier turn")));
    let editing = replaced.map(|_| "editing an earlier question".to_owned());
    let parts: Vec<_> = editing.into_iter().chain(along).collect();
    if parts.is_empty() {
        return;
    }
    let text = fit(&parts.join(" · "), usize::from(area.width).saturating_sub(6));
    let line = Line::styled(format!(" {text} "), app.theme.style(Role::Muted));
    let width = (line.width() as u16).min(area.width.saturating_sub(4));
    let x = area.right().saturating_sub(width + 2);
    line.render(Rect { x, y: area.bottom().saturating_sub(1), width, height: 1 }, buffer);
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
            Choice::Scope(_) | Choice::Collection(_) => Role::Key,
        };
        row.pieces.push(Piece::new(text, role));
    }
    let until = ["for every question until removed ", "until removed "];
    let room = columns.saturating_sub(row.width());
    if let Some(words) = until.iter().find(|words| !chips.is_empty() && width(words) <= room) {
        row.pieces.push(Piece::new(*words, Role::Muted));
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
