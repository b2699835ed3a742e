//! The chooser of themes: beside each name a sample in that theme's own colours.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect, Size},
    widgets::{Clear, Widget},
};

use super::{
    super::{
        phase_bar::LOOKS,
        text::{Piece, Row, cut},
        theme::{Role, Theme},
        themes::{SAMPLE_WIDTH, ThemeChooser},
    },
    chooser, line,
};

/// Draws the card over the screen; returns where the cursor is.
pub fn draw(themes: &ThemeChooser, screen: Size, theme: &Theme, buffer: &mut Buffer) -> Position {
    let cursor = chooser::draw(&themes.chooser, screen, theme, buffer);
    let list = themes.chooser.places(screen).list;
    let visible = themes.chooser.shown().iter().skip(themes.chooser.top());
    for (shown, y) in visible.zip(list.top()..list.bottom()) {
        let width = (SAMPLE_WIDTH as u16).min(list.width / 2);
        // With the column beside the list, over which the selection reaches, too.
        let sample = Rect { x: list.right() - width, y, width: width + 1, height: 1 };
        draw_sample(&themes.themes[*shown], sample, buffer);
    }
    cursor
}

fn draw_sample(theme: &Theme, area: Rect, buffer: &mut Buffer) {
    Clear.render(area, buffer);
    buffer.set_style(area, theme.style(Role::Base));
    let mut pieces = vec![
        Piece::new(" ", Role::Base),
        Piece::new("Aa", Role::Question),
        Piece::new(" ", Role::Base),
        Piece::new("[1]", Role::Citation),
        Piece::new(" ", Role::Base),
    ];
    pieces.extend(LOOKS.map(|(role, glyph)| Piece::new(glyph, role)));
    pieces.extend([Piece::new(" ", Role::Base), Piece::new("✗", Role::Error)]);
    let row = cut(Row::new(pieces), area.width.into());
    line(&row, theme).render(area, buffer);
}
