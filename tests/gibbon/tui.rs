//! Whole-screen snapshots of every scene, at every layout and in three themes, and what holds for all of them.

mod snapshot;

use crossterm::event::KeyCode;
use gibbon::{
    engine::Event,
    tui::{
        Theme,
        pictures::PICTURES,
        scenes::{self, Scene, data::QUESTION},
    },
};
use proptest::prelude::*;
use ratatui::{
    buffer::{Buffer, Cell, CellWidth},
    layout::Size,
    style::{Color, Modifier},
};
use snapshot::{styles, text};

const WIDE: Size = Size::new(160, 48);
const MIDDLE: Size = Size::new(100, 30);
const NARROW: Size = Size::new(60, 20);
/// Below the smallest size every scene is the same card.
const TOO_SMALL: Size = Size::new(30, 8);

/// The themes whose styles are in the snapshots.
const THEMES: [&str; 3] = ["ansi", "light", "mono"];

fn theme(name: &str) -> Theme {
    Theme::load(name).expect("a built-in theme")
}

fn scene(name: &str) -> &'static Scene {
    scenes::named(name).expect(name)
}

fn screen(theme_name: &str, scene: &Scene, size: Size) -> Buffer {
    scene.stage(theme(theme_name), size).picture()
}

/// The characters of the screen, which no theme changes, and its styles in each theme.
fn in_all_themes(scene: &Scene, size: Size) -> String {
    let mut out = text(&screen("mono", scene, size));
    for name in THEMES {
        let picture = screen(name, scene, size);
        out.push_str(&format!("──── {name}\n{}", styles(&picture)));
    }
    out
}

fn assert_screen(name: &str, size: Size, picture: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("screens");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let name = format!("{name}_{}x{}", size.width, size.height);
    settings.bind(|| insta::assert_snapshot!(name, picture));
}

#[test]
fn every_scene_at_every_size_in_three_themes() {
    for scene in scenes::all() {
        for size in [WIDE, MIDDLE, NARROW] {
            assert_screen(scene.name, size, &in_all_themes(scene, size));
        }
        assert_screen("too_small", TOO_SMALL, &in_all_themes(scene, TOO_SMALL));
    }
}

#[test]
fn themes_change_colours_and_nothing_else() {
    for scene in scenes::all() {
        let mono = text(&screen("mono", scene, WIDE));
        for theme in Theme::names() {
            assert_eq!(text(&screen(theme, scene, WIDE)), mono, "{} in {theme}", scene.name);
        }
    }
}

/// The cell where `needle` begins.
fn find<'a>(buffer: &'a Buffer, needle: &str) -> &'a Cell {
    let rows = text(buffer);
    let (y, row) = rows.lines().enumerate().find(|(_, row)| row.contains(needle)).expect(needle);
    let x = row[..row.find(needle).expect("it is in this row")].cell_width();
    &buffer[(x, y as u16)]
}

#[test]
fn roles_have_their_styles_on_the_screen() {
    let picture = screen("ansi", scene("sources"), WIDE);
    assert_eq!(find(&picture, "gibbon").fg, Color::Cyan);
    assert!(find(&picture, QUESTION).modifier.contains(Modifier::BOLD));
    assert_eq!(find(&picture, "[1][2]").fg, Color::Cyan);
    assert_eq!(find(&picture, "● disk").fg, Color::Green);
    assert_eq!(find(&picture, "↻ repaired").fg, Color::Magenta);
    assert!(find(&picture, "weather.md § Limits  ").modifier.contains(Modifier::REVERSED));
    let light = screen("light", scene("empty"), WIDE);
    assert!(light.content.iter().all(|cell| cell.bg != Color::Reset), "a light theme has its own background");
}

#[test]
fn without_colours_the_selection_is_still_seen() {
    for name in Theme::names() {
        let picture = scene("sources").stage(theme(name).without_color(), WIDE).picture();
        assert!(
            picture.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset),
            "{name}"
        );
        assert!(find(&picture, "weather.md § Limits  ").modifier.contains(Modifier::REVERSED), "{name}");
    }
}

#[test]
fn wide_text_leaves_the_columns_aligned() {
    for size in [WIDE, Size::new(140, 40)] {
        let picture = screen("mono", scene("wide_text"), size);
        let dividers: Vec<_> = (0..size.width).filter(|x| picture[(*x, 3)].symbol() == "│").collect();
        assert_eq!(dividers.len(), 2, "{dividers:?}");
        // The row with the Japanese label has the dividers, and the scores end, where the other rows have them.
        for y in 3..size.height - 5 {
            assert!(dividers.iter().all(|x| picture[(*x, y)].symbol() == "│"), "row {y}");
        }
        let rows = text(&picture);
        let score = |row: &str| {
            ["12.41", "9.87", "7.02", "5.40", "3.33"]
                .iter()
                .find_map(|score| Some(row[..row.find(&format!("{score} │"))? + score.len()].cell_width()))
        };
        let ends: Vec<_> = rows.lines().filter_map(score).collect();
        assert_eq!(ends.len(), 5, "{rows}");
        assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "{ends:?}");
    }
}

#[test]
fn hostile_text_reaches_no_cell() {
    let mut stage = scene("retrieved").stage(theme("mono"), MIDDLE);
    let id = stage.id();
    let hostile = "a\u{1b}[31mb\u{9b}2J\u{7}\u{202e}c\u{200b}\u{2066}d\t|e\u{301}";
    stage.engine(Event::Token { id, text: format!("{hostile} {}", "e\u{301}\u{302}".repeat(5)) });
    let flood = format!("x{}", "\u{301}".repeat(5000));
    stage.engine(Event::Token { id, text: flood });
    let picture = stage.picture();
    for cell in &picture.content {
        assert!(!cell.symbol().chars().any(|each| each.is_control()), "{:?}", cell.symbol());
        assert!(!cell.symbol().contains(['\u{202e}', '\u{2066}', '\u{200b}']), "{:?}", cell.symbol());
        assert!(cell.symbol().len() < 100, "a flood of combining marks");
    }
}

/// Columns in which every row of the panes has a divider.
fn dividers(picture: &Buffer) -> Vec<u16> {
    let rows = 3..picture.area.height - 6;
    (0..picture.area.width).filter(|x| rows.clone().all(|y| picture[(*x, y)].symbol() == "│")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(8), ..ProptestConfig::default() })]

    #[test]
    fn no_text_breaks_the_screen(
        pieces in proptest::collection::vec(HOSTILE, 1..40),
        width in 140u16..180,
    ) {
        let size = Size::new(width, 40);
        let mut stage = scene("retrieved").stage(theme("mono"), size);
        let expected = dividers(&stage.picture());
        prop_assert_eq!(expected.len(), 2);
        let id = stage.id();
        for text in pieces {
            stage.engine(Event::Token { id, text });
        }
        let picture = stage.picture();
        prop_assert_eq!(dividers(&picture), expected);
        for y in 0..picture.area.height {
            let mut x = 0;
            while x < picture.area.width {
                let symbol = picture[(x, y)].symbol();
                prop_assert!(!symbol.chars().any(acts_on_a_terminal), "{symbol:?}");
                x += symbol.cell_width().max(1);
            }
            prop_assert_eq!(x, picture.area.width, "row {}", y);
        }
    }
}

/// Text of every kind that has been trouble, in any order.
const HOSTILE: &str = "[ -~]{0,12}|\u{1b}\\[31m|\u{1b}\\]0;t\u{7}|\u{9b}2J|[\u{202a}-\u{202e}\u{2066}-\u{2069}]|\u{200b}{1,50}\
    |[\u{300}-\u{36f}]{1,40}|👩\u{200d}🚀|🇩🇪|1\u{fe0f}\u{20e3}|☑\u{fe0f}|日本語|שלום|مرحبا|\n{1,3}|\t|```\n|\\| a \\||\
    (\\| a \\| 日 \\|\n\\|--\\|--:\\|\n)|> |- |# |\\[dome.md § Closing in wind\\]|\u{e0041}|\u{ad}";

/// Neither a character that is seen nor a part of one.
fn acts_on_a_terminal(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[test]
fn resizing_back_and_forth_never_fails() {
    let sizes = [(40, 10), (200, 60), (1, 1), (89, 11), (90, 10), (139, 17), (140, 10), (30, 8), (100, 30)];
    for scene in scenes::all() {
        let mut stage = scene.stage(theme("mono"), MIDDLE);
        stage.press(KeyCode::PageUp);
        for (width, height) in sizes {
            stage.resize(Size { width, height });
            stage.picture();
            for key in [KeyCode::Tab, KeyCode::F(1), KeyCode::Esc] {
                stage.press(key);
                stage.picture();
            }
            // A frame may be drawn before the message about the new size has come.
            stage.picture_of_size(Size::new(20, 3));
        }
    }
}

/// A picture of a screen has no boxes in the place of characters: the font that is part of the program has them.
#[test]
fn the_font_of_the_pictures_has_every_character() {
    for picture in PICTURES {
        let missing = picture.draw().map(|drawing| drawing.missing_characters()).expect(picture.name);
        let missing = missing.expect("the font is part of the program");
        assert!(missing.is_empty(), "{}: {missing:?}", picture.name);
    }
}

#[test]
fn every_view_has_a_picture() {
    for scene in [
        "first_run",
        "answered",
        "themes",
        "streaming",
        "sources",
        "comparison_finished",
        "chats",
        "log",
        "help",
    ] {
        assert!(PICTURES.iter().any(|picture| picture.scene == scene), "{scene}");
    }
    for theme in Theme::names() {
        assert!(PICTURES.iter().any(|picture| picture.theme == theme), "{theme}");
    }
}
