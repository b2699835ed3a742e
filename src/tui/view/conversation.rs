//! Questions and answers.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::Widget,
};

use super::{
    super::{
        app::App, citations::Citation, format::count, keys::Action, panes::Focus, text::width, theme::Role,
        transcript::Visible,
    },
    draw_over, line, spinner, welcome,
};

pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    if app.transcript.is_empty() {
        return welcome::draw(app, area, buffer);
    }
    let theme = &app.theme;
    for (visible, y) in app.transcript.visible().zip(area.top()..area.bottom()) {
        let row = Rect { y, height: 1, ..area };
        if visible.live {
            activity(app).render(row, buffer);
        } else {
            line(visible.row, theme).render(row, buffer);
            mark_chosen(app, &visible, row, buffer);
        }
        mark_selected(app, &visible, row, buffer);
    }
    scrollbar(app, area, buffer);
    hint_at_newer_text(app, area, buffer);
}

/// A bar in the margin beside the selected turn, while the conversation has the keyboard.
fn mark_selected(app: &App, visible: &Visible<'_>, area: Rect, buffer: &mut Buffer) {
    let selected = app.selected_turn().is_some_and(|(entry, _)| entry == visible.entry);
    if !selected || app.focus != Focus::Conversation {
        return;
    }
    if let Some(cell) = buffer.cell_mut((area.x.saturating_sub(1), area.y)) {
        cell.set_symbol("▌").set_style(app.theme.style(Role::Accent));
    }
}

/// The citation that the keyboard has chosen looks selected; while the sources have the keyboard, every citation of
/// the selected one does.
fn mark_chosen(app: &App, visible: &Visible<'_>, area: Rect, buffer: &mut Buffer) {
    let source = app.selected_rank(visible.entry);
    let chosen = app.transcript.chosen().filter(|(entry, _)| *entry == visible.entry);
    let is_marked = |citation: Citation| match app.focus {
        Focus::Sources => source == Some(citation.rank),
        _ => chosen.is_some_and(|(_, chosen)| chosen == citation),
    };
    let mut x = area.x;
    for piece in &visible.row.pieces {
        let width = width(&piece.text) as u16;
        if piece.citation.is_some_and(is_marked) {
            buffer.set_style(Rect { x, width, ..area }.intersection(area), app.theme.style(Role::Selection));
        }
        x = x.saturating_add(width);
    }
}

/// What the running answer is doing, and for how long.
fn activity(app: &App) -> Line<'static> {
    let Some((_, turn)) = app.turns().rev().find(|(_, turn)| turn.is_running()) else {
        return Line::default();
    };
    let elapsed = app.now.saturating_sub(turn.asked_at).as_secs_f64();
    Line::from(vec![
        Span::styled(format!("{} ", spinner(app)), app.theme.style(Role::Accent)),
        Span::styled(format!("{} · {elapsed:.1} s", app.activity(turn)), app.theme.style(Role::Muted)),
    ])
}

/// A thumb in the margin, while there is more than the pane shows.
fn scrollbar(app: &App, area: Rect, buffer: &mut Buffer) {
    let (first, rows) = app.transcript.position();
    let height = usize::from(area.height);
    if rows <= height || height == 0 {
        return;
    }
    let thumb = (height * height / rows).max(1);
    let top = (first * (height - thumb)).div_ceil(rows - height).min(height - thumb);
    for y in top..top + thumb {
        let position = (area.right(), area.y + y as u16);
        if let Some(cell) = buffer.cell_mut(position) {
            cell.set_symbol("▐").set_style(app.theme.style(Role::Border));
        }
    }
}

fn hint_at_newer_text(app: &App, area: Rect, buffer: &mut Buffer) {
    if let Some(place) = newer_text_hint(app, area) {
        let hint = Line::styled(newer_text(app), app.theme.style(Role::Selection));
        draw_over(hint, &app.theme, place, buffer);
    }
}

/// Where the hint at text under the visible rows is, while there is some.
pub fn newer_text_hint(app: &App, area: Rect) -> Option<Rect> {
    if app.transcript.rows_below() == 0 || area.height == 0 {
        return None;
    }
    let width = (width(&newer_text(app)) as u16).min(area.width);
    Some(Rect { x: area.right() - width, y: area.bottom() - 1, width, height: 1 })
}

fn newer_text(app: &App) -> String {
    let rows = count(app.transcript.rows_below(), "row");
    match app.keymap.key(Action::Newest) {
        Some(key) => format!(" ↓ {rows} more · {key} "),
        None => format!(" ↓ {rows} more "),
    }
}
