//! The picture: pure functions from the state to the cells of a frame.

mod chats;
mod chooser;
mod comparison;
mod completion;
mod conversation;
mod footer;
mod header;
mod help;
mod indexing;
mod input;
mod log;
mod sources;
mod themes;
mod timings;
mod welcome;

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::{Alignment, Position, Rect},
    style::Style,
    text::{Line, Span},
    widgets::{Block, Clear, Paragraph, Widget},
};

pub(super) use chats::{chat_at, preview_width};
pub(super) use comparison::key_at as comparison_key_at;
pub(super) use conversation::newer_text_hint;
pub(super) use header::{pane_tabs, view_tabs};
pub(super) use help::{overflow as help_overflow, page as help_page, place as help_card};
pub(super) use indexing::{
    overflow as indexing_overflow, reveal as indexing_reveal, root_at as indexing_root_at,
};
pub(super) use timings::{answer_at as timed_answer_at, overflow as timings_overflow};

use super::{
    app::{App, SPINNER_STEP, View},
    overlay::Overlay,
    panes::{Panes, SMALLEST},
    text::{Row, width},
    theme::{Role, Theme},
};

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// Draws the whole screen.
pub fn draw(app: &App, frame: &mut Frame<'_>) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    buffer.set_style(area, app.theme.style(Role::Base));
    let Some(panes) = app.panes() else {
        return too_small(app, area, buffer);
    };
    header::draw(app, panes.header, buffer);
    let body = Panes::body(app.size);
    let cursor = match app.view {
        View::Chat => draw_chat(app, &panes, buffer),
        View::Indexing => indexing::draw(app, buffer),
        View::Chats => chats::draw(app, body, buffer),
        View::Comparison => {
            comparison::draw(app, body, buffer);
            None
        }
        View::Log => {
            log::draw(app, body, buffer);
            None
        }
    };
    footer::draw(app, panes.footer, buffer);
    let cursor = match &app.overlay {
        Some(Overlay::Help(help)) => Some(help::draw(app, help, buffer)),
        Some(Overlay::Palette(palette)) => {
            Some(chooser::draw(&palette.chooser, app.size, &app.theme, buffer))
        }
        Some(Overlay::Code(choice)) => Some(chooser::draw(&choice.chooser, app.size, &app.theme, buffer)),
        Some(Overlay::Files(picker)) => Some(chooser::draw(&picker.chooser, app.size, &app.theme, buffer)),
        Some(Overlay::Themes(chooser)) => Some(themes::draw(chooser, app.size, &app.theme, buffer)),
        None => cursor,
    };
    if let Some(cursor) = cursor {
        frame.set_cursor_position(cursor);
    }
}

/// Conversation, sources, timings and question; returns where the cursor is.
fn draw_chat(app: &App, panes: &Panes, buffer: &mut Buffer) -> Option<Position> {
    if let Some(tabs) = panes.tabs {
        header::draw_tabs(app, tabs, buffer);
    }
    if let Some(pane) = panes.conversation {
        conversation::draw(app, pane, buffer);
    }
    for line in panes.dividers.into_iter().flatten() {
        let bars = vec![Line::styled("│", app.theme.style(Role::Border)); line.height.into()];
        Paragraph::new(bars).render(line, buffer);
    }
    if let Some(pane) = panes.sources {
        sources::draw(app, pane, buffer);
    }
    if let Some(pane) = panes.timings {
        timings::draw(app, pane, buffer);
    }
    let cursor = input::draw(app, panes.input, buffer);
    completion::draw(app, panes, buffer);
    cursor
}

fn too_small(app: &App, area: Rect, buffer: &mut Buffer) {
    let lines = vec![
        Line::styled("Too small", app.theme.style(Role::Title)),
        Line::raw(format!("This terminal is {} × {}.", area.width, area.height)),
        Line::raw(format!("Gibbon needs {} × {}.", SMALLEST.width, SMALLEST.height)),
    ];
    let top = area.height.saturating_sub(lines.len() as u16) / 2;
    let card = Rect { y: area.y + top, height: area.height - top, ..area };
    Paragraph::new(lines).alignment(Alignment::Center).render(card, buffer);
}

/// A row as ratatui draws it.
fn line<'a>(row: &'a Row, theme: &Theme) -> Line<'a> {
    let spans = row.pieces.iter().map(|piece| match piece.role {
        Role::Base => Span::raw(piece.text.as_str()),
        role => Span::styled(piece.text.as_str(), theme.style(role)),
    });
    Line::from_iter(spans)
}

/// Draws rows from the top of `area`; what does not fit is left out.
fn draw_rows<'a>(rows: impl IntoIterator<Item = &'a Row>, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    for (row, y) in rows.into_iter().zip(area.top()..area.bottom()) {
        line(row, theme).render(Rect { y, height: 1, ..area }, buffer);
    }
}

/// Says in the corner of `area` that there are rows below; what stands there ends with an ellipsis.
fn hint_at_rows_below(theme: &Theme, area: Rect, buffer: &mut Buffer) {
    const HINT: &str = "… ↓ more";
    let cells = width(HINT) as u16;
    if area.height == 0 || area.width < cells {
        return;
    }
    let place = Rect { x: area.right() - cells, y: area.bottom() - 1, width: cells, height: 1 };
    let is_text = |at| buffer.cell(at).is_some_and(|cell| cell.symbol().chars().any(char::is_alphanumeric));
    let hint = if place.positions().any(is_text) { HINT } else { "  ↓ more" };
    draw_over(Line::styled(hint, theme.style(Role::Muted)), theme, place, buffer);
}

/// Draws `line` with nothing left of what was at `place`, its colours included.
fn draw_over(line: Line<'_>, theme: &Theme, place: Rect, buffer: &mut Buffer) {
    Clear.render(place, buffer);
    buffer.set_style(place, theme.style(Role::Base));
    line.render(place, buffer);
}

/// Draws rows that are selected: the selection's style covers all of `area`, whatever their parts would look like.
fn draw_selection(rows: &[Row], theme: &Theme, area: Rect, buffer: &mut Buffer) {
    buffer.set_style(area, theme.style(Role::Selection));
    for (row, y) in rows.iter().zip(area.top()..area.bottom()) {
        Line::raw(row.text()).render(Rect { y, height: 1, ..area }, buffer);
    }
}

fn rounded(style: Style) -> Block<'static> {
    Block::bordered().border_type(ratatui::widgets::BorderType::Rounded).border_style(style)
}

/// The spinner as it looks now.
fn spinner(app: &App) -> &'static str {
    SPINNER[(app.now.as_millis() / SPINNER_STEP.as_millis()) as usize % SPINNER.len()]
}
