//! The log: its file's last lines.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    super::{
        app::App,
        format::count,
        log::{BOTTOM_ROWS, TITLE_ROWS},
        text::{Piece, Row, fit_end, width, wrap},
        theme::Role,
    },
    draw_rows,
};

pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let columns = usize::from(area.width);
    let text = Rect {
        y: area.y + TITLE_ROWS.min(area.height),
        height: area.height.saturating_sub(TITLE_ROWS + BOTTOM_ROWS),
        ..area
    };
    let (rows, below) = app.log.visible(text.height.into());
    draw_rows(&[title(app, below, columns)], &app.theme, area, buffer);
    let notice = match &app.log.tail {
        None => "Reading the log …".to_owned(),
        Some(Err(reason)) => reason.clone(),
        Some(Ok(tail)) if tail.lines.is_empty() => "Nothing has been logged today.".to_owned(),
        Some(Ok(_)) => return draw_rows(rows, &app.theme, text, buffer),
    };
    draw_rows(&wrap(&[Piece::new(notice, Role::Muted)], columns, 0), &app.theme, text, buffer);
}

/// The file, and how much there is under what is seen.
fn title(app: &App, below: usize, columns: usize) -> Row {
    let more = if below > 0 { format!("  ↓ {} more", count(below, "row")) } else { String::new() };
    let path = match &app.log.tail {
        Some(Ok(tail)) => tail.path.display().to_string(),
        _ => String::new(),
    };
    let path = fit_end(&path, columns.saturating_sub(5 + width(&more)));
    Row::new(vec![
        Piece::new("Log", Role::Title),
        Piece::new(format!("  {path}"), Role::Muted),
        Piece::new(more, Role::Accent),
    ])
}
