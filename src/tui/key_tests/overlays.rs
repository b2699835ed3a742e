//! The keys of help and palette.

use crossterm::event::KeyCode;
use ratatui::layout::Size;

use super::{
    super::{
        app::{App, View, What},
        keys::{Chord, OverlayAction},
        overlay::Overlay,
    },
    press, press_code, tell, type_text,
};

pub fn check_help(app: &mut App, chord: Chord, action: OverlayAction) {
    tell(app, What::Resized(Size { width: 60, height: 12 }));
    app.overlay = Some(Overlay::Help { top: 3 });
    press(app, chord);
    let expected = match action {
        OverlayAction::Close => None,
        OverlayAction::Up => Some(Overlay::Help { top: 2 }),
        OverlayAction::Down => Some(Overlay::Help { top: 4 }),
        OverlayAction::PageUp => Some(Overlay::Help { top: 0 }),
        OverlayAction::PageDown => Some(Overlay::Help { top: 11 }),
        OverlayAction::Choose => return,
    };
    assert_eq!(app.overlay, expected, "{}", chord.name());
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
    }
}
