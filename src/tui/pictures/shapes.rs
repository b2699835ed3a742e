//! Characters that have to meet those beside them without a gap, as rectangles on whole pixels: box drawing, blocks,
//! braille. What a viewer's font makes of them does not matter then.

/// Pixels of a cell.
pub const CELL_WIDTH: i32 = 9;
pub const CELL_HEIGHT: i32 = 18;

/// A filled rectangle, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rectangle {
    pub y: i32,
    pub x: i32,
    pub width: i32,
    pub height: i32,
}

/// A character as shapes.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Filled with this part of the character's colour, the rest being the background's.
    Filled(Vec<Rectangle>, f32),
    Corner(Corner),
}

/// A rounded corner, as thick as a line, from the middle of the right or left side of a cell to the middle of its
/// lower or upper side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corner {
    /// The cell's upper left corner.
    pub x: i32,
    pub y: i32,
    pub right: bool,
    pub bottom: bool,
}

/// The left and upper edge of the lines of box drawing.
const MIDDLE: (i32, i32) = (CELL_WIDTH / 2, CELL_HEIGHT / 2);

/// Thin lines by where they go from the middle of the cell: up, right, down, left.
const LINES: [(char, [bool; 4]); 15] = [
    ('─', [false, true, false, true]),
    ('│', [true, false, true, false]),
    ('┌', [false, true, true, false]),
    ('┐', [false, false, true, true]),
    ('└', [true, true, false, false]),
    ('┘', [true, false, false, true]),
    ('├', [true, true, true, false]),
    ('┤', [true, false, true, true]),
    ('┬', [false, true, true, true]),
    ('┴', [true, true, false, true]),
    ('┼', [true, true, true, true]),
    ('╴', [false, false, false, true]),
    ('╵', [true, false, false, false]),
    ('╶', [false, true, false, false]),
    ('╷', [false, false, true, false]),
];

/// Blocks of quarters of a cell: upper left, upper right, lower left, lower right.
const QUARTERS: [(char, [bool; 4]); 10] = [
    ('▖', [false, false, true, false]),
    ('▗', [false, false, false, true]),
    ('▘', [true, false, false, false]),
    ('▙', [true, false, true, true]),
    ('▚', [true, false, false, true]),
    ('▛', [true, true, true, false]),
    ('▜', [true, true, false, true]),
    ('▝', [false, true, false, false]),
    ('▞', [false, true, true, false]),
    ('▟', [false, true, true, true]),
];

/// The shape of `symbol` in a cell whose upper left corner is at 0, 0; `None` where it is left to the font.
pub fn of(symbol: &str) -> Option<Shape> {
    let mut characters = symbol.chars();
    let (character, None) = (characters.next()?, characters.next()) else { return None };
    let corner = |right, bottom| Some(Shape::Corner(Corner { x: 0, y: 0, right, bottom }));
    let filled = |rectangles| Some(Shape::Filled(rectangles, 1.0));
    match character {
        '╭' => corner(true, true),
        '╮' => corner(false, true),
        '╰' => corner(true, false),
        '╯' => corner(false, false),
        '━' => filled(vec![rectangle(0, MIDDLE.1 - 1, CELL_WIDTH, 3)]),
        '┃' => filled(vec![rectangle(MIDDLE.0 - 1, 0, 3, CELL_HEIGHT)]),
        '▀' => filled(vec![rectangle(0, 0, CELL_WIDTH, CELL_HEIGHT / 2)]),
        '▁'..='█' => {
            let height = eighths(CELL_HEIGHT, character as i32 - '▁' as i32 + 1);
            filled(vec![rectangle(0, CELL_HEIGHT - height, CELL_WIDTH, height)])
        }
        '▉'..='▏' => {
            let width = eighths(CELL_WIDTH, '▏' as i32 - character as i32 + 1);
            filled(vec![rectangle(0, 0, width, CELL_HEIGHT)])
        }
        '▐' => filled(vec![rectangle(MIDDLE.0, 0, CELL_WIDTH - MIDDLE.0, CELL_HEIGHT)]),
        '▔' => filled(vec![rectangle(0, 0, CELL_WIDTH, eighths(CELL_HEIGHT, 1))]),
        '▕' => filled(vec![rectangle(CELL_WIDTH - 1, 0, 1, CELL_HEIGHT)]),
        '░' | '▒' | '▓' => {
            let part = (character as i32 - '░' as i32 + 1) as f32 / 4.0;
            Some(Shape::Filled(vec![rectangle(0, 0, CELL_WIDTH, CELL_HEIGHT)], part))
        }
        '\u{2800}'..='\u{28ff}' => filled(braille(character as u32 - 0x2800)),
        _ => {
            let sides = LINES.iter().find(|(line, _)| *line == character).map(|(_, arms)| lines(*arms));
            let quarters = || QUARTERS.iter().find(|(block, _)| *block == character);
            sides.or_else(|| quarters().map(|(_, corners)| quarter_blocks(*corners))).and_then(filled)
        }
    }
}

impl Corner {
    /// From the lower or upper side straight to the second point; from there to the last on a quadratic curve with
    /// the third as its control point.
    pub fn path(&self) -> [(f32, f32); 4] {
        // The middle of a line one pixel wide is at half a pixel.
        let middle = ((self.x + MIDDLE.0) as f32 + 0.5, (self.y + MIDDLE.1) as f32 + 0.5);
        let end_y = (self.y + if self.bottom { CELL_HEIGHT } else { 0 }) as f32;
        let end_x = (self.x + if self.right { CELL_WIDTH } else { 0 }) as f32;
        let turn = if self.bottom { 4.5 } else { -4.5 };
        [(middle.0, end_y), (middle.0, middle.1 + turn), middle, (end_x, middle.1)]
    }
}

fn rectangle(x: i32, y: i32, width: i32, height: i32) -> Rectangle {
    Rectangle { y, x, width, height }
}

/// So many eighths of `length`, rounded up from a half.
fn eighths(length: i32, number: i32) -> i32 {
    (length * number + 4) / 8
}

fn lines([up, right, down, left]: [bool; 4]) -> Vec<Rectangle> {
    let (x, y) = MIDDLE;
    let from = |is_there: bool, middle: i32| if is_there { 0 } else { middle };
    let to = |is_there: bool, middle: i32, end: i32| if is_there { end } else { middle + 1 };
    let mut rectangles = Vec::new();
    if left || right {
        let start = from(left, x);
        rectangles.push(rectangle(start, y, to(right, x, CELL_WIDTH) - start, 1));
    }
    if up || down {
        let start = from(up, y);
        rectangles.push(rectangle(x, start, 1, to(down, y, CELL_HEIGHT) - start));
    }
    rectangles
}

fn quarter_blocks(corners: [bool; 4]) -> Vec<Rectangle> {
    let (x, y) = MIDDLE;
    let (right, lower) = (CELL_WIDTH - x, CELL_HEIGHT - y);
    let places = [
        rectangle(0, 0, x, y),
        rectangle(x, 0, right, y),
        rectangle(0, y, x, lower),
        rectangle(x, y, right, lower),
    ];
    corners.into_iter().zip(places).filter(|(is_there, _)| *is_there).map(|(_, place)| place).collect()
}

/// The dots of a braille pattern, a bit for each.
fn braille(pattern: u32) -> Vec<Rectangle> {
    // Column and row of each bit's dot.
    const DOTS: [(i32, i32); 8] = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)];
    let dots = DOTS.iter().enumerate().filter(|(bit, _)| pattern >> bit & 1 == 1);
    dots.map(|(_, (column, row))| rectangle(2 + column * 4, 2 + row * 4, 2, 2)).collect()
}

/// The same area with fewer rectangles: those that continue each other, in a row or in a column, are one.
pub fn joined(mut rectangles: Vec<Rectangle>) -> Vec<Rectangle> {
    rectangles.sort_unstable_by_key(|each| (each.y, each.height, each.x));
    rectangles.dedup_by(|next, last| {
        let continues = next.y == last.y && next.height == last.height && next.x == last.x + last.width;
        if continues {
            last.width += next.width;
        }
        continues
    });
    rectangles.sort_unstable_by_key(|each| (each.x, each.width, each.y));
    rectangles.dedup_by(|next, last| {
        let continues = next.x == last.x && next.width == last.width && next.y == last.y + last.height;
        if continues {
            last.height += next.height;
        }
        continues
    });
    rectangles.sort_unstable();
    rectangles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(symbol: &str) -> Vec<(i32, i32)> {
        let Some(Shape::Filled(rectangles, _)) = of(symbol) else { panic!("{symbol} is not filled") };
        let inside = |each: &Rectangle, x: i32, y: i32| {
            (each.x..each.x + each.width).contains(&x) && (each.y..each.y + each.height).contains(&y)
        };
        let all = (0..CELL_HEIGHT).flat_map(|y| (0..CELL_WIDTH).map(move |x| (x, y)));
        all.filter(|(x, y)| rectangles.iter().any(|each| inside(each, *x, *y))).collect()
    }

    #[test]
    fn lines_meet_at_the_edges_of_cells() {
        let (x, y) = MIDDLE;
        for (character, [up, right, down, left]) in LINES {
            let pixels = pixels(&character.to_string());
            let has = |pixel| pixels.contains(&pixel);
            assert_eq!(has((x, 0)), up, "{character}");
            assert_eq!(has((CELL_WIDTH - 1, y)), right, "{character}");
            assert_eq!(has((x, CELL_HEIGHT - 1)), down, "{character}");
            assert_eq!(has((0, y)), left, "{character}");
        }
    }

    #[test]
    fn blocks_grow_with_their_character() {
        let sizes =
            |symbols: &str| symbols.chars().map(|each| pixels(&each.to_string()).len()).collect::<Vec<_>>();
        for row in ["▁▂▃▄▅▆▇█", "▏▎▍▌▋▊▉█", "⠁⠃⠇⡇⣇⣧⣷⣿"] {
            let sizes = sizes(row);
            assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]), "{row}: {sizes:?}");
        }
        let whole = (CELL_WIDTH * CELL_HEIGHT) as usize;
        assert_eq!(sizes("█"), [whole]);
        assert_eq!(
            sizes("▌")[0] + sizes("▐")[0],
            whole + CELL_HEIGHT as usize,
            "they overlap in the middle column"
        );
        assert_eq!(sizes("▚")[0] + sizes("▞")[0], whole);
    }

    #[test]
    fn other_characters_are_left_to_the_font() {
        for symbol in ["a", "●", "", "e\u{301}", "─\u{301}"] {
            assert_eq!(of(symbol), None, "{symbol}");
        }
    }

    #[test]
    fn rectangles_that_continue_each_other_are_one() {
        let row = (0..3).map(|column| rectangle(column * 9, 0, 9, 18));
        let below = (0..3).map(|column| rectangle(column * 9, 18, 9, 18));
        assert_eq!(joined(row.chain(below).collect()), [rectangle(0, 0, 27, 36)]);
        let apart = vec![rectangle(0, 0, 9, 1), rectangle(18, 0, 9, 1)];
        assert_eq!(joined(apart.clone()), apart);
    }
}
