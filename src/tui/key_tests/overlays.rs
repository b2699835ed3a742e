//! The keys of help and palette.

use crossterm::event::KeyCode;
use ratatui::layout::Size;

use super::{
    super::{
        app::{App, View, What},
        keys::{Chord, OverlayAction},
        overlay::{Help, Overlay},
    },
    answered, press, press_code, tell, type_text,
};

pub fn check_help(app: &mut App, chord: Chord, action: OverlayAction) {
    tell(app, What::Resized(Size { width: 60, height: 12 }));
    if action == OverlayAction::Back {
        type_text(app, "mouse");
        press(app, chord);
        assert_eq!(app.overlay, Some(Overlay::Help(Help::default())), "{}", chord.name());
        press(app, chord);
        assert_eq!(app.overlay, None, "{}", chord.name());
        return;
    }
    let scrolled = |top| Some(Overlay::Help(Help { top, ..Help::default() }));
    app.overlay = scrolled(3);
    press(app, chord);
    let expected = match action {
        OverlayAction::Close => None,
        OverlayAction::Up => scrolled(2),
        OverlayAction::Down => scrolled(4),
        OverlayAction::PageUp => scrolled(0),
        OverlayAction::PageDown => scrolled(9),
        OverlayAction::Back | OverlayAction::TakeBack | OverlayAction::Choose => {
            unreachable!("no other key of the help")
        }
    };
    assert_eq!(app.overlay, expected, "{}", chord.name());
}

#[test]
fn words_typed_in_the_help_begin_at_its_top() {
    let mut app = answered();
    tell(&mut app, What::Resized(Size { width: 60, height: 12 }));
    press_code(&mut app, KeyCode::F(1));
    press_code(&mut app, KeyCode::PageDown);
    type_text(&mut app, "q?");
    let Some(Overlay::Help(help)) = &app.overlay else { panic!("{:?}", app.overlay) };
    assert_eq!((help.field.text(), help.top), ("q?", 0));
    press_code(&mut app, KeyCode::PageDown);
    tell(&mut app, What::Paste("mouse".to_owned()));
    let Some(Overlay::Help(help)) = &app.overlay else { panic!("{:?}", app.overlay) };
    assert_eq!((help.field.text(), help.top), ("q?mouse", 0));
}

pub fn check_palette(app: &mut App, chord: Chord, action: OverlayAction) {
    let selected = |app: &App| match &app.overlay {
        Some(Overlay::Palette(palette)) => Some(palette.chooser.selected()),
        _ => None,
    };
    tell(app, What::Resized(Size { width: 60, height: 12 }));
    press_code(app, KeyCode::Down);
    press_code(app, KeyCode::Down);
    if action == OverlayAction::Choose {
        type_text(app, "view.log");
    }
    press(app, chord);
    match action {
        OverlayAction::Close => assert_eq!(app.overlay, None),
        OverlayAction::Up => assert_eq!(selected(app), Some(1)),
        OverlayAction::Down => assert_eq!(selected(app), Some(3)),
        OverlayAction::PageUp => assert_eq!(selected(app), Some(0)),
        OverlayAction::PageDown => assert_eq!(selected(app), Some(8)),
        OverlayAction::Choose => assert_eq!((app.view, &app.overlay), (View::Log, &None)),
        OverlayAction::Back | OverlayAction::TakeBack => unreachable!("no key of the palette"),
    }
}
