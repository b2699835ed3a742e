//! A card with a text field and what matches.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect, Size},
    text::{Line, Span},
    widgets::{Clear, Widget},
};
use unicode_segmentation::UnicodeSegmentation;

use super::{
    super::{
        chooser::{Choice, Chooser, ChooserPlaces, Match},
        field::Field,
        format::thousands,
        text::{Piece, Row, cut, fit, width},
        theme::{Role, Theme},
    },
    draw_rows, line, rounded,
};

/// The prompt before the field's text.
const PROMPT: &str = "❯ ";

/// Draws the card over the screen; returns where the cursor is.
pub fn draw(chooser: &Chooser, screen: Size, theme: &Theme, buffer: &mut Buffer) -> Position {
    let ChooserPlaces { card, field, list } = chooser.places(screen);
    Clear.render(card, buffer);
    buffer.set_style(card, theme.style(Role::Base));
    frame(chooser, theme).render(card, buffer);
    let cursor = draw_field(&chooser.field, &chooser.placeholder, field, theme, buffer);
    draw_rule(Rect { y: field.bottom(), ..field }.intersection(card), theme, buffer);
    if chooser.shown().is_empty() {
        let words = if chooser.is_searching() { "Searching …" } else { &chooser.nothing };
        draw_rows(&[Row::new(vec![Piece::new(words, Role::Muted)])], theme, list, buffer);
    }
    let visible = chooser.visible(list.height.into());
    for (index, (shown, y)) in visible.iter().zip(list.top()..).enumerate() {
        let place = Rect { y, height: 1, ..list };
        let is_selected = chooser.top() + index == chooser.selected();
        draw_choice(&chooser.choices()[shown.choice], shown, is_selected, place, theme, buffer);
    }
    cursor
}

fn frame(chooser: &Chooser, theme: &Theme) -> ratatui::widgets::Block<'static> {
    let (shown, all) = (chooser.shown().len(), chooser.choices().len());
    let count = match shown == all {
        true => format!(" {} ", thousands(all)),
        false => format!(" {} of {} ", thousands(shown), thousands(all)),
    };
    rounded(theme.style(Role::BorderFocus))
        .title(Line::styled(format!(" {} ", fit(&chooser.title, 40)), theme.style(Role::Title)))
        .title_bottom(Line::styled(count, theme.style(Role::Muted)).right_aligned())
}

/// Draws what is typed, or `placeholder` where nothing is; returns where the cursor is.
pub fn draw_field(
    field: &Field,
    placeholder: &str,
    area: Rect,
    theme: &Theme,
    buffer: &mut Buffer,
) -> Position {
    let prompt = width(PROMPT);
    let (row, column) = field.row(usize::from(area.width).saturating_sub(prompt + 1));
    let text = match field.is_empty() {
        true => Span::styled(placeholder.to_owned(), theme.style(Role::Muted)),
        false => Span::raw(row.text()),
    };
    Line::from(vec![Span::styled(PROMPT, theme.style(Role::Accent)), text]).render(area, buffer);
    Position { x: area.x + (prompt + column) as u16, y: area.y }
}

/// Draws the line under a field.
pub fn draw_rule(area: Rect, theme: &Theme, buffer: &mut Buffer) {
    let line = "─".repeat(area.width.into());
    draw_rows(&[Row::new(vec![Piece::new(line, Role::Border)])], theme, area, buffer);
}

/// One choice: its text with the typed letters marked, its note, and its key at the right.
fn draw_choice(
    choice: &Choice,
    shown: &Match,
    selected: bool,
    area: Rect,
    theme: &Theme,
    buffer: &mut Buffer,
) {
    let key = fit(&choice.key, usize::from(area.width) / 2);
    let key_width = width(&key) as u16;
    let gap = if key_width > 0 { 2 } else { 0 };
    let mut pieces = marked(&choice.text, &shown.letters, Role::Base);
    if !choice.note.is_empty() {
        pieces.push(Piece::new(format!("  {}", choice.note), Role::Muted));
    }
    let row = cut(Row::new(pieces), usize::from(area.width.saturating_sub(key_width + gap)));
    line(&row, theme).render(area, buffer);
    let key_role = if selected { Role::Base } else { Role::Key };
    Line::from(Span::styled(key, theme.style(key_role))).right_aligned().render(area, buffer);
    if selected {
        // The selection's style covers the whole row and keeps the letters' own.
        let row = Rect { x: area.x.saturating_sub(1), width: area.width + 2, ..area };
        buffer.set_style(row, theme.style(Role::Selection));
    }
}

/// `text` in a role, with the letters of these numbers, which are in order, in one of their own.
pub fn marked(text: &str, letters: &[u32], role: Role) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for (number, grapheme) in (0u32..).zip(text.graphemes(true)) {
        let role = if letters.binary_search(&number).is_ok() { Role::Match } else { role };
        match pieces.last_mut() {
            Some(last) if last.role == role => last.text.push_str(grapheme),
            _ => pieces.push(Piece::new(grapheme, role)),
        }
    }
    pieces
}
