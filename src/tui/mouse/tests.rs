//! What clicks and the wheel do.

use crossterm::event::KeyModifiers;
use proptest::prelude::*;
use ratatui::{buffer::Buffer, layout::Size};

use super::{
    super::{
        app::What,
        scenes::{self, Stage},
        theme::Theme,
    },
    *,
};
use crate::engine::Command;

const SIZES: [(u16, u16); 5] = [(160, 48), (100, 30), (60, 20), (40, 10), (30, 8)];

fn stage(scene: &str, (width, height): (u16, u16)) -> Stage {
    let theme = Theme::load("mono").expect("built in");
    scenes::named(scene).expect(scene).stage(theme, Size { width, height })
}

fn mouse(stage: &mut Stage, kind: MouseEventKind, column: u16, row: u16) -> Vec<Effect> {
    stage.tell(What::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
}

fn click(stage: &mut Stage, (column, row): (u16, u16)) -> Vec<Effect> {
    mouse(stage, MouseEventKind::Down(MouseButton::Left), column, row)
}

/// The cell where `needle` begins.
fn find(picture: &Buffer, needle: &str) -> (u16, u16) {
    for y in 0..picture.area.height {
        let row: String = (0..picture.area.width).map(|x| picture[(x, y)].symbol()).collect();
        if let Some(index) = row.find(needle) {
            return (row[..index].chars().count() as u16, y);
        }
    }
    panic!("`{needle}` is not on the screen");
}

fn click_on(stage: &mut Stage, needle: &str) -> Vec<Effect> {
    let place = find(&stage.picture(), needle);
    click(stage, place)
}

#[test]
fn tabs_open_views_and_panes() {
    let mut wide = stage("answered", (160, 48));
    click_on(&mut wide, "F6 Log");
    assert_eq!(wide.app().view, View::Log);
    click_on(&mut wide, "F2 Chat");
    assert_eq!(wide.app().view, View::Chat);
    let mut narrow = stage("answered", (60, 20));
    click_on(&mut narrow, "Sources 5");
    assert_eq!(narrow.app().focus, Focus::Sources);
    click_on(&mut narrow, "Timings");
    assert_eq!(narrow.app().focus, Focus::Timings);
}

#[test]
fn a_citation_leads_to_its_source() {
    let mut stage = stage("answered", (160, 48));
    let (x, y) = find(&stage.picture(), "[1][2]");
    click(&mut stage, (x + 4, y));
    assert_eq!((stage.app().focus, stage.app().shelf.selected), (Focus::Sources, 1));
    click(&mut stage, (x + 1, y));
    assert_eq!(stage.app().shelf.selected, 0);
}

#[test]
fn clicks_choose_sources_and_rows_of_lists() {
    let mut sources = stage("answered", (160, 48));
    let place = find(&sources.picture(), "weather.md § Limits  ");
    click(&mut sources, place);
    assert_eq!((sources.app().focus, sources.app().shelf.selected), (Focus::Sources, 1));
    let mut palette = stage("palette", (160, 48));
    palette.type_text("comparison");
    click_on(&mut palette, "The comparison of strategies");
    assert_eq!((palette.app().view, palette.app().overlay.is_none()), (View::Comparison, true));
    let mut help = stage("help", (160, 48));
    click(&mut help, (0, 5));
    assert!(help.app().overlay.is_none(), "a click beside it closes it");
    let mut typing = stage("slash_completion", (100, 30));
    click_on(&mut typing, "/strategy");
    assert_eq!(typing.app().input.text(), "/strategy ");
}

#[test]
fn a_click_on_what_is_selected_does_what_enter_does() {
    let mut sources = stage("answered", (160, 48));
    let place = find(&sources.picture(), "weather.md § Limits  ");
    click(&mut sources, place);
    let asked = click(&mut sources, place);
    assert!(matches!(asked.as_slice(), [Effect::Send(Command::Catalogue(_))]), "{asked:?}");
    let mut first = stage("answered", (160, 48));
    let place = find(&first.picture(), "dome.md § Closing in wind   ");
    assert_eq!(click(&mut first, place), [], "it is given the keyboard first");
    assert_eq!(click(&mut first, place).len(), 1);

    let mut chats = stage("chats", (100, 30));
    click_on(&mut chats, "Where is the key of");
    assert_eq!((chats.app().view, chats.app().chats.selected), (View::Chats, 2));
    click_on(&mut chats, "▸ Where is the key of");
    let asked = chats.sent().last();
    assert!(matches!(asked, Some(Command::Catalogue(_))), "{asked:?}");
    let mut chats = stage("chats", (60, 20));
    click_on(&mut chats, "2 hours ago");
    assert_eq!(chats.app().view, View::Chat, "it goes on");
}

#[test]
fn clicks_choose_folders_and_what_is_compared() {
    for size in [(160, 48), (100, 30), (60, 20)] {
        let mut indexing = stage("indexing_view", size);
        let app = indexing.app();
        assert_eq!(app.indexing_view.selected, 0);
        mouse(&mut indexing, MouseEventKind::ScrollDown, 10, 8);
        click_on(&mut indexing, "observatory");
        assert_eq!(indexing.app().indexing_view.selected, 0, "{size:?}");
        click_on(&mut indexing, "dome-manual.pdf");
        assert_eq!(indexing.app().indexing_view.selected, 1, "{size:?}");
    }
    let mut comparison = stage("comparison_finished", (100, 30));
    click_on(&mut comparison, "● concat");
    assert_eq!(comparison.app().comparison.chosen, [true, false, true, true]);
    let runs = comparison.app().comparison.runs;
    let (x, y) = find(&comparison.picture(), "- + ");
    click(&mut comparison, (x + 2, y));
    assert_eq!(comparison.app().comparison.runs, runs + 1);
    click(&mut comparison, (x + 5, y));
    assert_eq!(comparison.app().comparison.runs, runs + 1, "of two keys neither is meant");
    click_on(&mut comparison, "what the numbers mean");
    assert!(comparison.app().comparison.explained);
    let mut answers = stage("comparison_finished", (60, 20));
    for _ in 0..30 {
        mouse(&mut answers, MouseEventKind::ScrollDown, 10, 8);
    }
    while !answers.picture().content.iter().any(|cell| cell.symbol() == "→") {
        mouse(&mut answers, MouseEventKind::ScrollUp, 10, 8);
    }
    click_on(&mut answers, "→");
    assert_eq!(answers.app().comparison.first_answer, 1);
}

#[test]
fn clicks_choose_the_answer_that_is_timed() {
    for size in [(160, 48), (100, 48)] {
        let mut timings = stage("timings_several", size);
        click_on(&mut timings, "What is the dew point");
        let (index, turn) = timings.app().timed_answer().expect("several were asked");
        assert!(turn.question.starts_with("What is the dew"), "{size:?}: {}", turn.question);
        assert_eq!(timings.app().timings.selected, Some(index));
    }
}

#[test]
fn nothing_is_chosen_while_something_is_asked() {
    let mut forget = stage("indexing_forget", (100, 30));
    let selected = forget.app().indexing_view.selected;
    click_on(&mut forget, "observatory");
    assert_eq!(forget.app().indexing_view.selected, selected);
    let mut rename = stage("chats_rename", (100, 30));
    click_on(&mut rename, "Who calls the duty");
    assert_eq!(rename.app().chats.selected, 0);
}

#[test]
fn the_wheel_scrolls_the_log() {
    let mut log = stage("log", (100, 30));
    let below = |stage: &Stage| stage.app().log.visible(20).1;
    mouse(&mut log, MouseEventKind::ScrollUp, 10, 8);
    assert_eq!(below(&log), WHEEL_ROWS as usize);
    mouse(&mut log, MouseEventKind::ScrollDown, 10, 8);
    assert_eq!(below(&log), 0);
}

#[test]
fn the_wheel_scrolls_what_is_under_it_and_leaves_the_keyboard() {
    let mut stage = stage("answered", (60, 20));
    let end = stage.app().transcript.position().0;
    mouse(&mut stage, MouseEventKind::ScrollUp, 10, 8);
    assert_eq!(stage.app().transcript.position().0, end - WHEEL_ROWS as usize);
    assert_eq!(stage.app().focus, Focus::Input);
    click_on(&mut stage, "more ·");
    assert_eq!(stage.app().transcript.rows_below(), 0);
}

#[test]
fn clicking_everywhere_in_every_state_never_fails() {
    for scene in scenes::all() {
        for (width, height) in SIZES {
            let mut stage = stage(scene.name, (width, height));
            for row in (0..height).step_by(2) {
                for column in (row % 7..width).step_by(13) {
                    click(&mut stage, (column, row));
                    mouse(&mut stage, MouseEventKind::ScrollUp, column, row);
                    mouse(&mut stage, MouseEventKind::ScrollDown, column, row);
                }
            }
            stage.picture();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(5), ..ProptestConfig::default() })]

    #[test]
    fn no_event_fails_at_any_size(
        width in 0u16..200, height in 0u16..60,
        events in prop::collection::vec((0u16..220, 0u16..70, 0usize..3), 1..20),
    ) {
        let mut stage = stage("answered", (100, 30));
        stage.resize(Size { width, height });
        for (column, row, kind) in events {
            let kinds = [
                MouseEventKind::Down(MouseButton::Left),
                MouseEventKind::ScrollUp,
                MouseEventKind::ScrollDown,
            ];
            mouse(&mut stage, kinds[kind], column, row);
            stage.picture();
        }
    }
}
