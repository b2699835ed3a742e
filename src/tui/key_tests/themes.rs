//! The keys of the chooser of themes.

use super::{super::theme::Role, *};

pub(super) fn check(app: &mut App, chord: Chord, action: OverlayAction) {
    let before = Theme::load(Theme::names()[0]).expect("a built-in theme");
    app.theme = before.clone();
    app.open_themes();
    let name = |app: &App| app.theme.name().to_owned();
    press_code(app, KeyCode::Down);
    assert_eq!(name(app), Theme::names()[1], "the selected theme is on the screen");
    let effects = press(app, chord);
    match action {
        OverlayAction::Close => assert_eq!((&app.overlay, &app.theme), (&None, &before)),
        OverlayAction::Up => assert_eq!(name(app), Theme::names()[0]),
        OverlayAction::Down => assert_eq!(name(app), Theme::names()[2]),
        OverlayAction::PageUp => assert_eq!(name(app), Theme::names()[0]),
        OverlayAction::PageDown => assert_eq!(Some(name(app).as_str()), Theme::names().last().copied()),
        OverlayAction::Choose => {
            assert_eq!(effects, [Effect::SaveTheme(Theme::names()[1].to_owned())]);
            assert_eq!((&app.overlay, name(app).as_str()), (&None, Theme::names()[1]));
        }
        OverlayAction::Back | OverlayAction::TakeBack => unreachable!("no key of the chooser"),
    }
}

#[test]
fn nothing_is_kept_where_nothing_matches() {
    let mut app = answered();
    let before = app.theme.clone();
    press_code(&mut app, KeyCode::F(7));
    type_text(&mut app, "light");
    assert_eq!(app.theme.name(), "light");
    type_text(&mut app, "zzz");
    assert_eq!(app.theme, before);
    assert_eq!(press_code(&mut app, KeyCode::Enter), []);
    assert_eq!((app.overlay, app.theme), (None, before));
}

#[test]
fn a_theme_chosen_without_colours_has_none() {
    let mut app = answered();
    app.theme = app.theme.without_color();
    type_text(&mut app, "/theme dark");
    assert_eq!(press_code(&mut app, KeyCode::Enter), [Effect::SaveTheme("dark".to_owned())]);
    assert_eq!((app.theme.name(), app.theme.style(Role::Error).fg), ("dark", None));
}

#[test]
fn a_configuration_that_cannot_be_written_is_a_note() {
    let mut app = answered();
    let entries = app.transcript.entries().len();
    tell(&mut app, What::ThemeSaved(Err("the disk is full".to_owned())));
    assert_eq!(app.transcript.entries().len(), entries + 1);
}
