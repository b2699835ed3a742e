//! What a slash command being typed can be completed to, over the question.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::Line,
    widgets::{Clear, Widget},
};

use super::{
    super::{
        app::App,
        completion::place,
        panes::Panes,
        text::{Piece, Row, cut, width},
        theme::Role,
    },
    draw_rows, rounded,
};

pub fn draw(app: &App, panes: &Panes, buffer: &mut Buffer) {
    let completions = app.completions();
    if completions.is_empty() {
        return;
    }
    let card = place(completions.len(), panes, app.size);
    Clear.render(card, buffer);
    buffer.set_style(card, app.theme.style(Role::Base));
    let mut frame = rounded(app.theme.style(Role::Border));
    if completions.len() + 2 > usize::from(card.height) {
        let count = format!(" {} of {} ", app.completion.min(completions.len() - 1) + 1, completions.len());
        frame = frame.title_bottom(Line::styled(count, app.theme.style(Role::Muted)).right_aligned());
    }
    frame.render(card, buffer);
    let selected = app.completion.min(completions.len() - 1);
    let column = completions.iter().map(|completion| width(&completion.shown)).max().unwrap_or(0) + 2;
    let rows = Rect { x: card.x + 2, width: card.width.saturating_sub(4), y: card.y + 1, ..card };
    let visible = completions.iter().enumerate().skip(app.first_completion());
    for ((index, completion), y) in visible.zip(rows.y..card.bottom().saturating_sub(1)) {
        let gap = " ".repeat(column - width(&completion.shown));
        let row = Row::new(vec![
            Piece::new(completion.shown.as_str(), Role::Key),
            Piece::new(format!("{gap}{}", completion.description), Role::Muted),
        ]);
        let place = Rect { y, height: 1, ..rows };
        draw_rows(&[cut(row, place.width.into())], &app.theme, place, buffer);
        if index == selected {
            let whole = Rect { x: card.x + 1, width: card.width.saturating_sub(2), ..place };
            buffer.set_style(whole, app.theme.style(Role::Selection));
        }
    }
}
