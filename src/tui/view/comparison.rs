//! The comparison of strategies as the screen shows it.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    super::{
        app::App,
        comparison::header_rows,
        text::{Piece, Row, width},
        theme::Role,
    },
    draw_rows, spinner,
};

pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let view = &app.comparison;
    let header = header_rows(view, spinner(app), area.width.into());
    draw_rows(&header, &app.theme, area, buffer);
    let page = Rect {
        y: area.y + header.len() as u16,
        height: area.height.saturating_sub(header.len() as u16),
        ..area
    };
    let page = page.intersection(area);
    let top = view.top.min(view.page.rows.len());
    draw_rows(&view.page.rows[top..], &app.theme, page, buffer);
    // The names of the answers stay over them.
    if let Some(heading) = view.page.heading.filter(|heading| *heading < top) {
        clear(Rect { height: 1, ..page }, buffer);
        draw_rows([&view.page.rows[heading]], &app.theme, Rect { height: 1, ..page }, buffer);
    }
    let below = view.page.rows.len().saturating_sub(top + usize::from(page.height));
    if below > 0 {
        hint_at_more(app, below, page, buffer);
    }
}

fn clear(area: Rect, buffer: &mut Buffer) {
    for x in area.left()..area.right() {
        if let Some(cell) = buffer.cell_mut((x, area.y)) {
            cell.set_symbol(" ");
        }
    }
}

fn hint_at_more(app: &App, below: usize, area: Rect, buffer: &mut Buffer) {
    let text = format!(" ↓ {below} more ");
    let cells = (width(&text) as u16).min(area.width);
    let place = Rect { x: area.right() - cells, y: area.bottom().saturating_sub(1), width: cells, height: 1 };
    draw_rows(
        [&Row::new(vec![Piece::new(text, Role::Selection)])],
        &app.theme,
        place.intersection(area),
        buffer,
    );
}
