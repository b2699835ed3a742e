//! Whether themes can be read: the contrast of every text with what is behind it, and how far apart the colours of an
//! answer's phases are, to eyes with and without red and green cones.

use ratatui::style::{Color, Modifier};

use super::{Role, Theme};

/// The least contrast of text, as WCAG 2.2 asks for at level AA; and for what is there to be seen, not read.
const TEXT: f64 = 4.5;
const LINES: f64 = 3.0;
/// At level AAA.
const HIGH: f64 = 7.0;
/// How far apart two colours of phases are at least, in OKLab, where black and white are 1 apart.
const APART: f64 = 0.08;

const PHASES: [Role; 7] =
    [Role::Retrieve, Role::Load, Role::Encode, Role::Assemble, Role::Prefill, Role::FirstToken, Role::Decode];

/// Red, green and blue in parts of the brightest, linear in light.
type Light = [f64; 3];
type Matrix = [[f64; 3]; 3];

const NORMAL: Matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
/// What colours look like without red or without green cones: Machado, Oliveira and Fernandes (2009), severity 1.
const PROTANOPIA: Matrix =
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]];
const DEUTERANOPIA: Matrix =
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]];

fn light(color: Option<Color>) -> Light {
    let Some(Color::Rgb(red, green, blue)) = color else {
        panic!("{color:?} is not given in red, green and blue")
    };
    [red, green, blue].map(|channel| {
        let part = f64::from(channel) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    })
}

fn luminance([red, green, blue]: Light) -> f64 {
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn contrast(one: Light, other: Light) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

fn times(matrix: &Matrix, vector: Light) -> Light {
    matrix.map(|row| row.iter().zip(vector).map(|(factor, part)| factor * part).sum())
}

/// How a colour looks to an eye, in OKLab.
fn oklab(light: Light, eye: &Matrix) -> [f64; 3] {
    const CONES: Matrix = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ];
    const LAB: Matrix = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ];
    let seen = times(eye, light).map(|part| part.clamp(0.0, 1.0));
    times(&LAB, times(&CONES, seen).map(f64::cbrt))
}

fn distance(one: Light, other: Light, eye: &Matrix) -> f64 {
    let pairs = oklab(one, eye).into_iter().zip(oklab(other, eye));
    pairs.map(|(one, other)| (one - other).powi(2)).sum::<f64>().sqrt()
}

/// The themes with colours of their own.
fn colored() -> Vec<Theme> {
    let is_colored = |theme: &Theme| theme.style(Role::Base).bg.is_some();
    let themes: Vec<_> = Theme::built_in().into_iter().filter(is_colored).collect();
    assert_eq!(themes.len(), 4);
    themes
}

#[test]
fn every_role_can_be_read() {
    for theme in colored() {
        let base = theme.style(Role::Base);
        for role in Role::ALL {
            let style = theme.style(role);
            let contrast = contrast(light(style.fg.or(base.fg)), light(style.bg.or(base.bg)));
            let least = match (theme.name(), role) {
                ("high-contrast", _) => HIGH,
                (_, Role::Border) => LINES,
                _ => TEXT,
            };
            assert!(contrast >= least, "{} {role:?}: {contrast:.2}", theme.name());
        }
    }
}

#[test]
fn the_selection_differs_from_what_is_around_it() {
    for theme in Theme::built_in() {
        let (selection, base) = (theme.style(Role::Selection), theme.style(Role::Base));
        let is_reversed = selection.add_modifier.contains(Modifier::REVERSED);
        let is_seen = || distance(light(selection.bg), light(base.bg), &NORMAL) > APART;
        assert!(is_reversed || is_seen(), "{}", theme.name());
    }
}

#[test]
fn phases_are_told_apart() {
    for theme in colored() {
        let eyes: &[&Matrix] = match theme.name() {
            "colour-blind" => &[&NORMAL, &PROTANOPIA, &DEUTERANOPIA],
            _ => &[&NORMAL],
        };
        for (number, one) in PHASES.iter().enumerate() {
            for other in &PHASES[number + 1..] {
                let [first, second] = [one, other].map(|role| light(theme.style(*role).fg));
                let nearest = eyes.iter().map(|eye| distance(first, second, eye)).fold(1.0, f64::min);
                assert!(nearest >= APART, "{} {one:?} {other:?}: {nearest:.3}", theme.name());
            }
        }
    }
}

#[test]
fn the_terminals_own_colours_differ_between_phases() {
    let theme = Theme::load("ansi").unwrap();
    let mut colors: Vec<_> =
        PHASES.iter().map(|role| theme.style(*role).fg.map(|color| color.to_string())).collect();
    colors.sort();
    colors.dedup();
    assert_eq!(colors.len(), PHASES.len());
}

/// What says that something went wrong says so without its colour, too.
#[test]
fn errors_are_not_told_by_colour_alone() {
    for theme in Theme::built_in() {
        let plain = theme.style(Role::Base).add_modifier;
        assert_ne!(theme.style(Role::Error).add_modifier, plain, "{}", theme.name());
        assert_ne!(theme.style(Role::Match).add_modifier, plain, "{}", theme.name());
    }
}

#[test]
fn the_formulas_give_what_is_known() {
    let (black, white) = (light(Some(Color::Rgb(0, 0, 0))), light(Some(Color::Rgb(255, 255, 255))));
    assert!((contrast(black, white) - 21.0).abs() < 1e-9);
    assert!((distance(black, white, &NORMAL) - 1.0).abs() < 1e-3);
    let (red, green) = (light(Some(Color::Rgb(160, 100, 0))), light(Some(Color::Rgb(110, 120, 0))));
    assert!(distance(red, green, &DEUTERANOPIA) < distance(red, green, &NORMAL) / 2.0);
}
