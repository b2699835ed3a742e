//! What a thing on the screen is ([`Role`]) and how that looks ([`Theme`]).
//!
//! A theme is a TOML file with a table for each role. Those of `themes/` are part of the program; any other can be
//! named by its path. A role that a file leaves out looks as in `ansi`.

use std::{collections::BTreeMap, path::Path, str::FromStr};

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

/// What a piece of text on the screen is for. A theme gives each a style.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Ordinary text, and the background of the whole screen.
    Base,
    /// What is there to be looked up, not read.
    Muted,
    Border,
    /// The border of what has the keyboard.
    BorderFocus,
    /// The program's name, the prompt, the spinner.
    Accent,
    /// Headings of panes and cards.
    Title,
    Question,
    Citation,
    /// The selected line.
    Selection,
    /// A key's name.
    Key,
    /// Letters that match what was typed, and words of the question in a source.
    Match,
    Success,
    Warning,
    Error,
    // The phases of an answer.
    Retrieve,
    Load,
    Encode,
    Assemble,
    Prefill,
    FirstToken,
    Decode,
    // An answer's Markdown and its code.
    Heading,
    Strong,
    Emphasis,
    /// Code whose kind is not known, and code inside a line.
    Code,
    Keyword,
    /// Text in quotes.
    Quoted,
    Number,
    Comment,
    Function,
    Type,
}

impl Role {
    /// Every role, in the order of their declaration.
    pub const ALL: [Self; 31] = [
        Self::Base,
        Self::Muted,
        Self::Border,
        Self::BorderFocus,
        Self::Accent,
        Self::Title,
        Self::Question,
        Self::Citation,
        Self::Selection,
        Self::Key,
        Self::Match,
        Self::Success,
        Self::Warning,
        Self::Error,
        Self::Retrieve,
        Self::Load,
        Self::Encode,
        Self::Assemble,
        Self::Prefill,
        Self::FirstToken,
        Self::Decode,
        Self::Heading,
        Self::Strong,
        Self::Emphasis,
        Self::Code,
        Self::Keyword,
        Self::Quoted,
        Self::Number,
        Self::Comment,
        Self::Function,
        Self::Type,
    ];
}

/// The themes that are part of the program, by name.
const BUILT_IN: [(&str, &str); 6] = [
    ("ansi", include_str!("../../themes/ansi.toml")),
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
    ("colour-blind", include_str!("../../themes/colour-blind.toml")),
    ("mono", include_str!("../../themes/mono.toml")),
];

/// A style for every role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    /// A theme's name, or the path of its file.
    name: String,
    has_color: bool,
    styles: [Style; Role::ALL.len()],
}

/// A theme could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ThemeError {
    #[error("there is no theme called `{name}`; there are auto, {}, or give the path of a theme file", Theme::names().join(", "))]
    Unknown { name: String },
    #[error("the theme file {path} could not be read: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("the theme {name} is not understood: {reason}")]
    Malformed { name: String, reason: String },
}

/// One role's table in a theme file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Look {
    fg: Option<String>,
    bg: Option<String>,
    #[serde(default)]
    bold: bool,
    #[serde(default)]
    dim: bool,
    #[serde(default)]
    italic: bool,
    #[serde(default)]
    underlined: bool,
    #[serde(default)]
    reversed: bool,
}

impl Theme {
    /// The names of the themes that are part of the program.
    pub fn names() -> Vec<&'static str> {
        BUILT_IN.iter().map(|(name, _)| *name).collect()
    }

    /// The themes that are part of the program.
    pub fn built_in() -> Vec<Self> {
        // They are tested to be well-formed.
        BUILT_IN.iter().filter_map(|(name, text)| Self::parse(name, text).ok()).collect()
    }

    /// What a theme of the program is for: the first line of its file. Empty for any other.
    pub fn description(name: &str) -> &'static str {
        let text = BUILT_IN.iter().find(|(built_in, _)| *built_in == name).map_or("", |(_, text)| *text);
        text.lines().next().unwrap_or_default().trim_start_matches("# ")
    }

    /// As the configuration calls it: a name, or the path of a file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// False after [`Self::without_color`].
    pub fn has_color(&self) -> bool {
        self.has_color
    }

    /// The theme of this name, or the one in the file of this path.
    pub fn load(name: &str) -> Result<Self, ThemeError> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            return Self::parse(name, text);
        }
        let path = Path::new(name);
        if path.components().count() < 2 && path.extension().is_none() {
            return Err(ThemeError::Unknown { name: name.to_owned() });
        }
        let text = std::fs::read_to_string(path)
            .map_err(|source| ThemeError::Read { path: path.display().to_string(), source })?;
        Self::parse(name, &text)
    }

    /// Reads a theme file's text; `name` is for the error.
    pub fn parse(name: &str, text: &str) -> Result<Self, ThemeError> {
        let malformed = |reason: String| ThemeError::Malformed { name: name.to_owned(), reason };
        let looks: BTreeMap<Role, Look> =
            toml::from_str(text).map_err(|error| malformed(error.to_string()))?;
        let mut theme = match name {
            "ansi" => Self { name: String::new(), has_color: true, styles: [Style::new(); Role::ALL.len()] },
            _ => Self::parse("ansi", BUILT_IN[0].1)?,
        };
        theme.name = name.to_owned();
        for (role, look) in looks {
            theme.styles[role as usize] = look.style().map_err(malformed)?;
        }
        Ok(theme)
    }

    /// The same theme with no colours: what is bold, dim or reversed stays so, the selection is reversed
    /// and what matches is underlined.
    pub fn without_color(mut self) -> Self {
        self.has_color = false;
        for style in &mut self.styles {
            style.fg = None;
            style.bg = None;
        }
        for (role, modifier) in [(Role::Selection, Modifier::REVERSED), (Role::Match, Modifier::UNDERLINED)] {
            let style = &mut self.styles[role as usize];
            *style = style.add_modifier(modifier);
        }
        self
    }

    pub fn style(&self, role: Role) -> Style {
        self.styles[role as usize]
    }
}

impl Look {
    fn style(&self) -> Result<Style, String> {
        let color = |name: &String| Color::from_str(name).map_err(|_| format!("`{name}` is not a colour"));
        let modifiers = [
            (self.bold, Modifier::BOLD),
            (self.dim, Modifier::DIM),
            (self.italic, Modifier::ITALIC),
            (self.underlined, Modifier::UNDERLINED),
            (self.reversed, Modifier::REVERSED),
        ];
        let mut style = Style::new();
        style.fg = self.fg.as_ref().map(color).transpose()?;
        style.bg = self.bg.as_ref().map(color).transpose()?;
        for (_, modifier) in modifiers.iter().filter(|(wanted, _)| *wanted) {
            style = style.add_modifier(*modifier);
        }
        Ok(style)
    }
}

#[cfg(test)]
mod contrast;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_themes_give_every_role_a_look() {
        for (name, text) in BUILT_IN {
            let looks: BTreeMap<Role, Look> = toml::from_str(text).expect(name);
            let missing: Vec<_> = Role::ALL.iter().filter(|role| !looks.contains_key(role)).collect();
            assert!(missing.is_empty(), "{name} lacks {missing:?}");
            Theme::load(name).expect(name);
        }
    }

    #[test]
    fn roles_are_numbered_as_listed() {
        assert!(Role::ALL.iter().enumerate().all(|(number, role)| *role as usize == number));
    }

    #[test]
    fn without_color_keeps_the_selection_visible() {
        for (name, _) in BUILT_IN {
            let theme = Theme::load(name).expect(name).without_color();
            assert!(theme.styles.iter().all(|style| style.fg.is_none() && style.bg.is_none()), "{name}");
            assert!(theme.style(Role::Selection).add_modifier.contains(Modifier::REVERSED), "{name}");
            assert!(theme.style(Role::Match).add_modifier.contains(Modifier::UNDERLINED), "{name}");
        }
    }

    #[test]
    fn a_theme_file_may_change_a_few_roles_only() {
        let theme = Theme::parse("mine", "accent = { fg = \"#ff8800\", bold = true }").unwrap();
        assert_eq!(theme.style(Role::Accent).fg, Some(Color::Rgb(255, 136, 0)));
        assert_eq!(theme.style(Role::Error), Theme::load("ansi").unwrap().style(Role::Error));
    }

    #[test]
    fn errors_name_the_theme_and_the_mistake() {
        let error = |text| Theme::parse("mine", text).unwrap_err().to_string();
        assert!(error("accent = { fg = \"reddish\" }").contains("`reddish` is not a colour"));
        assert!(error("acent = {}").contains("acent"));
        assert!(error("accent = { foreground = \"red\" }").contains("foreground"));
        let unknown = Theme::load("nothing").unwrap_err().to_string();
        assert!(unknown.contains("nothing") && unknown.contains("mono"), "{unknown}");
        let missing = Theme::load("no/such.toml").unwrap_err().to_string();
        assert!(missing.contains("no/such.toml"), "{missing}");
    }
}
