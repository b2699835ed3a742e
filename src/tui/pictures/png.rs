//! What is drawn as PNG, with a font that is part of the program.

use std::{collections::BTreeMap, io::Cursor};

use ::png::{BitDepth, ColorType, Compression, Decoder, Encoder};
use ab_glyph::{Font, FontRef, Glyph, PxScale, point};

use super::{
    color::Rgb,
    layers::{FONT_SIZE, Layers, Look, Run},
    shapes::{CELL_HEIGHT, CELL_WIDTH, Corner},
};

/// How far a colour may be from what is expected, of 255. How the edge of a letter is rounded depends on the
/// machine's arithmetic; nothing that can be seen is as small.
const TOLERANCE: u8 = 2;
/// Points on the curve of a corner.
const CURVE_POINTS: usize = 16;

/// A picture could not be written as PNG.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    #[error("the font cannot be used: {0}")]
    Font(#[from] ab_glyph::InvalidFont),
    #[error("the PNG cannot be written: {0}")]
    Write(#[from] ::png::EncodingError),
}

/// Colours of pixels, in rows from the top.
struct Canvas {
    width: i32,
    height: i32,
    pixels: Vec<Rgb>,
}

/// The font in its styles, and the letters drawn so far: how much of each pixel they cover.
struct Pen {
    fonts: [FontRef<'static>; 4],
    letters: BTreeMap<(usize, char), Letter>,
}

/// Pixels covered, from where the pen stands.
type Letter = Vec<(i32, i32, f32)>;

/// `layers` as a file.
pub fn png(layers: &Layers) -> Result<Vec<u8>, PngError> {
    let canvas = Canvas::of(layers)?;
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, canvas.width as u32, canvas.height as u32);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::High);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&canvas.bytes())?;
    writer.finish()?;
    Ok(file)
}

/// `file` is a PNG that shows `layers`.
pub fn is_png_of(file: &[u8], layers: &Layers) -> bool {
    let Ok(mut reader) = Decoder::new(Cursor::new(file)).read_info() else { return false };
    let (info, size) = (reader.info(), reader.output_buffer_size());
    let is_rgb = info.color_type == ColorType::Rgb && info.bit_depth == BitDepth::Eight;
    let has_size = info.size() == (layers.width as u32, layers.height as u32);
    let (true, true, Some(size), Ok(canvas)) = (is_rgb, has_size, size, Canvas::of(layers)) else {
        return false;
    };
    let mut bytes = vec![0; size];
    let close = |(one, other): (&u8, &u8)| one.abs_diff(*other) <= TOLERANCE;
    reader.next_frame(&mut bytes).is_ok() && bytes.iter().zip(&canvas.bytes()).all(close)
}

/// Characters of `layers` that the font lacks.
pub fn missing_characters(layers: &Layers) -> Result<Vec<char>, PngError> {
    let pen = Pen::new()?;
    let runs = layers.runs.iter().flat_map(|(look, runs)| runs.iter().map(|run| (*look, run)));
    let characters = runs.flat_map(|(look, run)| run.text.chars().map(move |character| (look, character)));
    let is_missing = |(look, character): &(Look, char)| pen.fonts[look.style()].glyph_id(*character).0 == 0;
    Ok(characters.filter(is_missing).map(|(_, character)| character).collect())
}

impl Canvas {
    fn of(layers: &Layers) -> Result<Self, PngError> {
        let (width, height) = (layers.width, layers.height);
        let mut canvas = Self { width, height, pixels: vec![layers.background; (width * height) as usize] };
        for (color, rectangles) in layers.rectangles.iter().flatten() {
            for each in rectangles {
                for y in each.y..each.y + each.height {
                    for x in each.x..each.x + each.width {
                        canvas.cover(x, y, *color, 1.0);
                    }
                }
            }
        }
        for (color, corners) in &layers.corners {
            for corner in corners {
                canvas.draw_corner(corner, *color);
            }
        }
        let mut pen = Pen::new()?;
        for (look, runs) in &layers.runs {
            for run in runs {
                canvas.write(run, *look, &mut pen);
            }
        }
        Ok(canvas)
    }

    fn cover(&mut self, x: i32, y: i32, color: Rgb, part: f32) {
        if (0..self.width).contains(&x) && (0..self.height).contains(&y) {
            let pixel = &mut self.pixels[(y * self.width + x) as usize];
            *pixel = color.mix(*pixel, part);
        }
    }

    fn draw_corner(&mut self, corner: &Corner, color: Rgb) {
        let points = points(corner);
        for y in corner.y..corner.y + CELL_HEIGHT {
            for x in corner.x..corner.x + CELL_WIDTH {
                let middle = (x as f32 + 0.5, y as f32 + 0.5);
                let distances = points.windows(2).map(|ends| distance(middle, ends[0], ends[1]));
                let nearest = distances.fold(f32::INFINITY, f32::min);
                self.cover(x, y, color, (1.0 - nearest).clamp(0.0, 1.0));
            }
        }
    }

    fn write(&mut self, run: &Run, look: Look, pen: &mut Pen) {
        // A run of several characters has a cell for each; a wide or combined one stands alone.
        let step = if run.columns as usize == run.text.chars().count() { CELL_WIDTH } else { 0 };
        for (number, character) in run.text.chars().enumerate() {
            let left = run.x + number as i32 * step;
            for (x, y, part) in pen.letter(look, character) {
                self.cover(left + x, run.y + y, look.color, *part);
            }
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.pixels.iter().flat_map(|Rgb(red, green, blue)| [*red, *green, *blue]).collect()
    }
}

impl Look {
    /// The number of its font.
    fn style(self) -> usize {
        usize::from(self.is_bold) + 2 * usize::from(self.is_italic)
    }
}

impl Pen {
    fn new() -> Result<Self, PngError> {
        use dejavu::sans_mono::{bold, bold_oblique, oblique, regular};
        let font = FontRef::try_from_slice;
        let fonts = [font(regular())?, font(bold())?, font(oblique())?, font(bold_oblique())?];
        Ok(Self { fonts, letters: BTreeMap::new() })
    }

    fn letter(&mut self, look: Look, character: char) -> &Letter {
        let style = look.style();
        let font = &self.fonts[style];
        self.letters.entry((style, character)).or_insert_with(|| letter(font, character))
    }
}

fn letter(font: &FontRef<'_>, character: char) -> Letter {
    // The crate's scale is that of a line's height, not of the font's size.
    let em = font.units_per_em().unwrap_or(1.0);
    let scale = PxScale::from(FONT_SIZE as f32 * font.height_unscaled() / em);
    let glyph = Glyph { id: font.glyph_id(character), scale, position: point(0.0, 0.0) };
    let mut covered = Vec::new();
    if let Some(outline) = font.outline_glyph(glyph) {
        let corner = outline.px_bounds().min;
        outline.draw(|x, y, part| {
            covered.push((corner.x as i32 + x as i32, corner.y as i32 + y as i32, part.min(1.0)));
        });
    }
    covered
}

/// Points on the line of a corner.
fn points(corner: &Corner) -> Vec<(f32, f32)> {
    let [start, turn, control, end] = corner.path();
    let curve = (0..=CURVE_POINTS).map(|number| {
        let along = number as f32 / CURVE_POINTS as f32;
        let at = |from: f32, control: f32, to: f32| {
            let (one, two) = (from + (control - from) * along, control + (to - control) * along);
            one + (two - one) * along
        };
        (at(turn.0, control.0, end.0), at(turn.1, control.1, end.1))
    });
    std::iter::once(start).chain(curve).collect()
}

/// From a point to the nearest one between two others.
fn distance(point: (f32, f32), from: (f32, f32), to: (f32, f32)) -> f32 {
    let (along_x, along_y) = (to.0 - from.0, to.1 - from.1);
    let length = along_x * along_x + along_y * along_y;
    let part = ((point.0 - from.0) * along_x + (point.1 - from.1) * along_y) / length.max(f32::EPSILON);
    let part = part.clamp(0.0, 1.0);
    (point.0 - from.0 - part * along_x).hypot(point.1 - from.1 - part * along_y)
}

#[cfg(test)]
mod tests {
    use ratatui::{
        buffer::Buffer,
        layout::Rect,
        style::{Color, Style},
    };

    use super::*;
    use crate::tui::pictures::layers::MARGIN;

    fn layers(text: &str) -> Layers {
        let mut cells = Buffer::empty(Rect::new(0, 0, 8, 1));
        cells.set_string(0, 0, text, Style::new().fg(Color::Rgb(255, 255, 255)));
        Layers::of(&cells, Style::new().bg(Color::Rgb(0, 0, 0)))
    }

    /// How bright the pixels of a column of cells are, together.
    fn brightness(canvas: &Canvas, column: i32) -> i32 {
        let left = MARGIN + column * CELL_WIDTH;
        let all = (MARGIN..MARGIN + CELL_HEIGHT).flat_map(|y| (left..left + CELL_WIDTH).map(move |x| (x, y)));
        all.map(|(x, y)| i32::from(canvas.pixels[(y * canvas.width + x) as usize].0)).sum()
    }

    #[test]
    fn letters_blocks_and_corners_are_where_their_cells_are() {
        let canvas = Canvas::of(&layers("A █ ╭ M")).unwrap();
        let brightness: Vec<_> = (0..8).map(|column| brightness(&canvas, column)).collect();
        assert_eq!(brightness[2], 255 * CELL_WIDTH * CELL_HEIGHT);
        assert!([1, 3, 5, 7].iter().all(|column| brightness[*column] == 0), "{brightness:?}");
        assert!([0, 4, 6].iter().all(|column| brightness[*column] > 2000), "{brightness:?}");
    }

    #[test]
    fn a_file_is_known_again_and_another_is_not() {
        let file = png(&layers("one")).unwrap();
        assert!(is_png_of(&file, &layers("one")));
        assert!(!is_png_of(&file, &layers("two")));
        assert!(!is_png_of(&file[..file.len() / 2], &layers("one")));
        assert!(!is_png_of(b"", &layers("one")));
    }
}
