//! What is drawn as SVG. Text says how wide it is, so that columns stay aligned in whatever font a viewer has.

use std::fmt::Write;

use super::{
    layers::{FONT_SIZE, Layers},
    shapes::{CELL_WIDTH, Corner, Rectangle},
};

/// How much of the text's colour the edge of the picture has.
const EDGE: f32 = 0.25;

/// `layers` as a file; `description` is for those who cannot see it.
pub fn svg(layers: &Layers, description: &str) -> String {
    let Layers { width, height, background, foreground, .. } = layers;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>{}</title>\n\
         <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"9.5\" fill=\"{}\" stroke=\"{}\"/>\n",
        escaped(description),
        width - 1,
        height - 1,
        background.hex(),
        foreground.mix(*background, EDGE).hex(),
    );
    write_shapes(layers, &mut svg);
    let fonts = "DejaVu Sans Mono, Menlo, Consolas, monospace";
    let _ = writeln!(svg, "<g font-family=\"{fonts}\" font-size=\"{FONT_SIZE}\">");
    write_text(layers, &mut svg);
    svg.push_str("</g>\n</svg>\n");
    svg
}

fn write_shapes(layers: &Layers, svg: &mut String) {
    for (color, rectangles) in layers.rectangles.iter().flatten() {
        let _ = write!(svg, "<path fill=\"{}\" d=\"", color.hex());
        for Rectangle { y, x, width, height } in rectangles {
            let _ = write!(svg, "M{x} {y}h{width}v{height}h-{width}z");
        }
        svg.push_str("\"/>\n");
    }
    for (color, corners) in &layers.corners {
        let _ = write!(svg, "<path fill=\"none\" stroke=\"{}\" d=\"", color.hex());
        for [(x, y), (_, turn), (control_x, control_y), (end_x, end_y)] in corners.iter().map(Corner::path) {
            let _ = write!(svg, "M{x} {y}V{turn}Q{control_x} {control_y} {end_x} {end_y}");
        }
        svg.push_str("\"/>\n");
    }
}

fn write_text(layers: &Layers, svg: &mut String) {
    for (look, runs) in &layers.runs {
        let weight = if look.is_bold { " font-weight=\"bold\"" } else { "" };
        let style = if look.is_italic { " font-style=\"italic\"" } else { "" };
        let _ = writeln!(svg, "<g fill=\"{}\"{weight}{style}>", look.color.hex());
        for run in runs {
            let (x, y, width, text) = (run.x, run.y, run.columns * CELL_WIDTH, escaped(&run.text));
            let _ = writeln!(
                svg,
                "<text x=\"{x}\" y=\"{y}\" textLength=\"{width}\" lengthAdjust=\"spacingAndGlyphs\">{text}</text>"
            );
        }
        svg.push_str("</g>\n");
    }
}

/// `text` as the content of an element. What XML cannot hold is replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => out.push(char::REPLACEMENT_CHARACTER),
            control if control.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use ratatui::{buffer::Buffer, layout::Rect, style::Style};

    use super::*;

    #[test]
    fn text_of_the_screen_cannot_become_markup() {
        let mut cells = Buffer::empty(Rect::new(0, 0, 30, 1));
        cells.set_string(0, 0, "</text><script>&amp;\"", Style::new());
        let svg = svg(&Layers::of(&cells, Style::new()), "a & b");
        assert!(svg.contains(">&lt;/text&gt;&lt;script&gt;&amp;amp;&quot;</text>"), "{svg}");
        assert!(svg.contains("<title>a &amp; b</title>"));
    }

    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        assert_eq!(escaped("a\u{1b}b\u{0}\u{ffff}"), "a\u{fffd}b\u{fffd}\u{fffd}");
    }

    #[test]
    fn lines_are_shapes_and_letters_are_text() {
        let mut cells = Buffer::empty(Rect::new(0, 0, 5, 1));
        cells.set_string(0, 0, "╭──ab", Style::new());
        let svg = svg(&Layers::of(&cells, Style::new()), "");
        assert!(svg.contains("M23 23h18v1h-18z"), "{svg}");
        assert!(svg.contains("M18.5 32V28Q18.5 23.5 23 23.5"), "{svg}");
        assert_eq!(svg.matches("<text ").count(), 1);
        assert!(svg.contains("textLength=\"18\" lengthAdjust=\"spacingAndGlyphs\">ab<"), "{svg}");
    }
}
