//! Pictures of the screen for the documentation: scenes, as SVG and as PNG.
//!
//! | module | holds |
//! |---|---|
//! | `color` | the colours of cells, with sixteen fixed ones for themes that use the terminal's own |
//! | `shapes` | box drawing, blocks and braille as rectangles |
//! | `layers` | cells to what is drawn |
//! | `svg`, `png` | what is drawn to files |

mod color;
mod layers;
mod png;
mod shapes;
mod svg;

use ratatui::layout::Size;

pub use color::{Palette, Rgb};
use layers::Layers;
pub use png::PngError;

use super::{
    scenes,
    theme::{Role, Theme, ThemeError},
};

/// A picture of a scene.
#[derive(Debug, Clone, Copy)]
pub struct Picture {
    /// The file's name without its extension.
    pub name: &'static str,
    /// The scene's name.
    pub scene: &'static str,
    pub theme: &'static str,
    pub size: Size,
}

const WIDE: Size = Size::new(160, 44);
const MIDDLE: Size = Size::new(110, 32);
const NARROW: Size = Size::new(60, 24);

/// The pictures that are kept: every view, the layouts for narrower terminals, and the chat in every theme.
#[rustfmt::skip]
pub const PICTURES: &[Picture] = &[
    Picture { name: "chat", scene: "answered", theme: "dark", size: WIDE },
    Picture { name: "streaming", scene: "streaming", theme: "dark", size: MIDDLE },
    Picture { name: "markdown", scene: "markdown", theme: "dark", size: WIDE },
    Picture { name: "sources", scene: "sources", theme: "dark", size: MIDDLE },
    Picture { name: "timings", scene: "timings_several", theme: "dark", size: MIDDLE },
    Picture { name: "comparison", scene: "comparison_finished", theme: "dark", size: WIDE },
    Picture { name: "indexing", scene: "indexing_view", theme: "dark", size: MIDDLE },
    Picture { name: "chats", scene: "chats", theme: "dark", size: MIDDLE },
    Picture { name: "log", scene: "log", theme: "dark", size: MIDDLE },
    Picture { name: "palette", scene: "palette_typed", theme: "dark", size: MIDDLE },
    Picture { name: "themes", scene: "themes", theme: "ansi", size: MIDDLE },
    Picture { name: "files", scene: "files_matching", theme: "dark", size: MIDDLE },
    Picture { name: "document", scene: "document", theme: "dark", size: MIDDLE },
    Picture { name: "help", scene: "help", theme: "dark", size: MIDDLE },
    Picture { name: "first-run", scene: "first_run", theme: "dark", size: MIDDLE },
    Picture { name: "narrow", scene: "answered", theme: "dark", size: NARROW },
    Picture { name: "narrow-sources", scene: "sources", theme: "dark", size: NARROW },
    Picture { name: "theme-ansi", scene: "sources", theme: "ansi", size: MIDDLE },
    Picture { name: "theme-high-contrast", scene: "sources", theme: "high-contrast", size: MIDDLE },
    Picture { name: "theme-colour-blind", scene: "sources", theme: "colour-blind", size: MIDDLE },
    Picture { name: "theme-light", scene: "sources", theme: "light", size: MIDDLE },
    Picture { name: "theme-mono", scene: "sources", theme: "mono", size: MIDDLE },
];

/// A picture, drawn.
pub struct Drawing {
    layers: Layers,
    description: &'static str,
}

/// A picture could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    #[error("there is no scene called {0}")]
    NoScene(&'static str),
    #[error(transparent)]
    Theme(#[from] ThemeError),
}

impl Picture {
    /// Draws the scene. The same cells give the same drawing.
    pub fn draw(&self) -> Result<Drawing, PictureError> {
        let scene = scenes::named(self.scene).ok_or(PictureError::NoScene(self.scene))?;
        let theme = Theme::load(self.theme)?;
        let base = theme.style(Role::Base);
        let cells = scene.stage(theme, self.size).picture();
        Ok(Drawing { layers: Layers::of(&cells, base), description: scene.description })
    }
}

impl Drawing {
    /// The drawing as an SVG file, in text that any viewer's font can show.
    pub fn svg(&self) -> String {
        svg::svg(&self.layers, self.description)
    }

    /// The drawing as a PNG file.
    pub fn png(&self) -> Result<Vec<u8>, PngError> {
        png::png(&self.layers)
    }

    /// `file` is a PNG of this drawing, whichever machine made it.
    pub fn is_png(&self, file: &[u8]) -> bool {
        png::is_png_of(file, &self.layers)
    }

    /// Characters that the font of the PNG lacks.
    pub fn missing_characters(&self) -> Result<Vec<char>, PngError> {
        png::missing_characters(&self.layers)
    }
}
