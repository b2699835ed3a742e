//! The colours of cells. A theme may name one of the terminal's own sixteen: a picture has fixed ones for them.

use ratatui::{
    buffer::Cell,
    style::{Color, Modifier, Style},
};

/// Red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rgb(pub u8, pub u8, pub u8);

/// What a terminal shows where a theme leaves the colour to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Palette {
    pub foreground: Rgb,
    pub background: Rgb,
    /// Black, red, green, yellow, blue, magenta, cyan, white; then the light ones.
    pub sixteen: [Rgb; 16],
}

/// The part of a dim text's colour that is kept.
const DIM: f32 = 0.62;

impl Rgb {
    /// `self` where `part` is 1, `other` where it is 0.
    pub fn mix(self, other: Self, part: f32) -> Self {
        let mix = |one: u8, two: u8| (f32::from(one) * part + f32::from(two) * (1.0 - part)).round() as u8;
        Self(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }

    /// `#15191e`.
    pub fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

impl Default for Palette {
    /// A dark terminal.
    fn default() -> Self {
        Self {
            foreground: Rgb(0xd4, 0xd7, 0xdc),
            background: Rgb(0x17, 0x19, 0x1d),
            sixteen: [
                Rgb(0x26, 0x29, 0x2e),
                Rgb(0xe0, 0x6c, 0x65),
                Rgb(0x8c, 0xbf, 0x72),
                Rgb(0xd9, 0xb0, 0x5f),
                Rgb(0x6a, 0x9f, 0xe6),
                Rgb(0xc3, 0x87, 0xd6),
                Rgb(0x56, 0xb5, 0xc2),
                Rgb(0xc0, 0xc4, 0xcb),
                Rgb(0x6b, 0x72, 0x7d),
                Rgb(0xf2, 0x8b, 0x82),
                Rgb(0xb0, 0xd9, 0x8c),
                Rgb(0xf0, 0xcb, 0x7d),
                Rgb(0x93, 0xbe, 0xf5),
                Rgb(0xda, 0xa6, 0xea),
                Rgb(0x84, 0xd3, 0xde),
                Rgb(0xf2, 0xf4, 0xf7),
            ],
        }
    }
}

impl Palette {
    /// The same palette with the colours of the style that a whole screen has.
    #[must_use]
    pub fn with_base(mut self, base: Style) -> Self {
        self.foreground = self.rgb(base.fg.unwrap_or(Color::Reset), self.foreground);
        self.background = self.rgb(base.bg.unwrap_or(Color::Reset), self.background);
        self
    }

    /// The colours of a cell's character and of what is behind it.
    pub fn of_cell(&self, cell: &Cell) -> (Rgb, Rgb) {
        let mut foreground = self.rgb(cell.fg, self.foreground);
        let mut background = self.rgb(cell.bg, self.background);
        if cell.modifier.contains(Modifier::REVERSED) {
            std::mem::swap(&mut foreground, &mut background);
        }
        if cell.modifier.contains(Modifier::DIM) {
            foreground = foreground.mix(background, DIM);
        }
        (foreground, background)
    }

    /// `color`, or `own` where it is left to the terminal.
    pub fn rgb(&self, color: Color, own: Rgb) -> Rgb {
        let sixteen = |number: usize| self.sixteen[number];
        match color {
            Color::Reset => own,
            Color::Black => sixteen(0),
            Color::Red => sixteen(1),
            Color::Green => sixteen(2),
            Color::Yellow => sixteen(3),
            Color::Blue => sixteen(4),
            Color::Magenta => sixteen(5),
            Color::Cyan => sixteen(6),
            Color::Gray => sixteen(7),
            Color::DarkGray => sixteen(8),
            Color::LightRed => sixteen(9),
            Color::LightGreen => sixteen(10),
            Color::LightYellow => sixteen(11),
            Color::LightBlue => sixteen(12),
            Color::LightMagenta => sixteen(13),
            Color::LightCyan => sixteen(14),
            Color::White => sixteen(15),
            Color::Rgb(red, green, blue) => Rgb(red, green, blue),
            Color::Indexed(number @ 0..=15) => sixteen(number.into()),
            Color::Indexed(number @ 16..=231) => cube(number - 16),
            Color::Indexed(number) => {
                let level = 8 + (number - 232) * 10;
                Rgb(level, level, level)
            }
        }
    }
}

/// A colour of xterm's cube of six levels of red, green and blue.
fn cube(number: u8) -> Rgb {
    const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let level = |place: u8| LEVELS[usize::from(number / place % 6)];
    Rgb(level(36), level(6), level(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_colours_are_those_of_xterm() {
        let palette = Palette::default();
        let numbered = |number| palette.rgb(Color::Indexed(number), palette.foreground);
        assert_eq!(numbered(3), palette.sixteen[3]);
        assert_eq!(numbered(16), Rgb(0, 0, 0));
        assert_eq!(numbered(208), Rgb(255, 135, 0));
        assert_eq!(numbered(255), Rgb(238, 238, 238));
    }

    #[test]
    fn reversed_and_dim_change_the_colours() {
        let palette = Palette::default();
        let mut cell = Cell::default();
        cell.modifier = Modifier::REVERSED;
        assert_eq!(palette.of_cell(&cell), (palette.background, palette.foreground));
        cell.modifier = Modifier::DIM;
        assert_eq!(palette.of_cell(&cell).0, palette.foreground.mix(palette.background, DIM));
    }
}
