//! A screen as the text of a snapshot: its characters once, and its styles in each theme.

use std::collections::BTreeMap;

use ratatui::{
    buffer::{Buffer, Cell, CellWidth},
    style::{Color, Modifier},
};

/// The names of modifiers in a snapshot.
const MODIFIERS: [(Modifier, &str); 5] = [
    (Modifier::BOLD, "bold"),
    (Modifier::DIM, "dim"),
    (Modifier::ITALIC, "italic"),
    (Modifier::UNDERLINED, "underlined"),
    (Modifier::REVERSED, "reversed"),
];

/// The characters, a line for each row, without the blanks at its end.
pub fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut row = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            row.push_str(symbol);
            x += symbol.cell_width().max(1);
        }
        out.push_str(row.trim_end());
        out.push('\n');
    }
    out
}

/// The styles: how most cells look, and a line for each row with cells that look otherwise, or for several such rows
/// in a row. `12-17 cyan bold` are the columns from 12 to 17, on the background that most cells have.
pub fn styles(buffer: &Buffer) -> String {
    let usual = most_frequent(buffer);
    let mut out = format!("    {}\n", look(&usual, Color::Reset));
    let rows: Vec<_> = (0..buffer.area.height).map(|y| runs(buffer, y, &usual)).collect();
    let mut first = 0;
    for same in rows.chunk_by(|one, other| one == other) {
        let last = first + same.len() - 1;
        if !same[0].is_empty() {
            let rows = if first == last { format!("{first}") } else { format!("{first}-{last}") };
            out.push_str(&format!("{rows}: {}\n", same[0]));
        }
        first = last + 1;
    }
    out
}

fn runs(buffer: &Buffer, y: u16, usual: &Cell) -> String {
    let looks: Vec<_> = (0..buffer.area.width).map(|x| look(&buffer[(x, y)], usual.bg)).collect();
    let usual = look(usual, usual.bg);
    let mut runs = Vec::new();
    let mut first = 0;
    for same in looks.chunk_by(|one, other| one == other) {
        let last = first + same.len() - 1;
        if same[0] != usual {
            let columns = if first == last { format!("{first}") } else { format!("{first}-{last}") };
            runs.push(format!("{columns} {}", same[0]));
        }
        first = last + 1;
    }
    runs.join(", ")
}

/// A cell that looks as most do.
fn most_frequent(buffer: &Buffer) -> Cell {
    let mut counts = BTreeMap::<String, (usize, &Cell)>::new();
    for cell in &buffer.content {
        counts.entry(look(cell, Color::Reset)).or_insert((0, cell)).0 += 1;
    }
    counts.into_values().max_by_key(|(count, _)| *count).map(|(_, cell)| cell.clone()).unwrap_or_default()
}

/// `cyan on #15191e bold`; the terminal's own colour of text and the usual background are left out.
fn look(cell: &Cell, usual_background: Color) -> String {
    let mut words = Vec::new();
    if cell.fg != Color::Reset {
        words.push(cell.fg.to_string().to_lowercase());
    }
    if cell.bg != usual_background {
        words.push(format!("on {}", cell.bg.to_string().to_lowercase()));
    }
    let modifiers = MODIFIERS.iter().filter(|(modifier, _)| cell.modifier.contains(*modifier));
    words.extend(modifiers.map(|(_, name)| (*name).to_owned()));
    if words.is_empty() { "plain".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use ratatui::{layout::Rect, style::Style};

    use super::*;

    #[test]
    fn styles_are_runs_of_columns_and_of_rows() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 6, 4));
        for y in 1..3 {
            buffer.set_style(Rect::new(2, y, 2, 1), Style::new().fg(Color::LightBlue).bold());
        }
        buffer.set_style(Rect::new(5, 2, 1, 1), Style::new().bg(Color::Rgb(1, 2, 3)).reversed());
        let expected = "    plain\n1: 2-3 lightblue bold\n2: 2-3 lightblue bold, 5 on #010203 reversed\n";
        assert_eq!(styles(&buffer), expected);
    }
}
