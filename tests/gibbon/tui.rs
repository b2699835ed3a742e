//! Whole-screen snapshots of the chat, at every layout and in every state, fed through the same door as the engine's
//! events and the user's keys.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use gibbon::{
    config::Strategy,
    engine::{
        Answer, CacheOrigin, ChunkReason, DecodeTiming, EncodeTiming, Event, Failure, FailureKind, FileIssue,
        IndexPhase, IndexReport, LoadTiming, ModelSummary, Outcome, PrefillTiming, Progress, RequestId,
        RetrievedChunk, Status, StopReason, Timings, Unit,
    },
    tui::{App, Effect, Msg, Theme, What, draw},
};
use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::{Buffer, CellWidth},
    layout::Size,
    style::{Color, Modifier},
};

const SIZES: [(u16, u16); 4] = [(160, 48), (100, 30), (60, 20), (30, 8)];
const ID: RequestId = RequestId(1);
const QUESTION: &str = "When must I close the dome?";
const TEXT: &str = "Close the dome when the wind at the mast has been above 18 m/s for two minutes \
    [dome.md § Closing in wind; weather.md § Limits]. The night assistant does it without asking first:\n\n\
    1. Park the telescope at zenith.\n\
    2. Turn the key DOME to LOCAL, at the panel under the stairs, and hold CLOSE until the lamp is a steady green \
    [dome.md § Closing in wind].\n\
    3. Write it into the log.\n\n\
    ドームは閉めてください 👩\u{200d}🚀 [日本語の手引き.md § ドームを閉める].";

/// The screen, and a clock that only the test moves.
struct Stage {
    app: App,
    at: Duration,
}

impl Stage {
    fn new(theme: Theme, (width, height): (u16, u16)) -> Self {
        Self { app: App::new(theme, Strategy::Ape, Size { width, height }), at: Duration::ZERO }
    }

    fn tell(&mut self, what: What) -> Vec<Effect> {
        self.app.update(Msg { at: self.at, what })
    }

    fn engine(&mut self, event: Event) {
        self.tell(What::Engine(Box::new(event)));
    }

    fn wait(&mut self, milliseconds: u64) {
        self.at += Duration::from_millis(milliseconds);
        self.tell(What::Tick);
    }

    fn press(&mut self, code: KeyCode) -> Vec<Effect> {
        self.tell(What::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    fn send(&mut self, text: &str) {
        for character in text.chars() {
            self.press(KeyCode::Char(character));
        }
        for effect in self.press(KeyCode::Enter) {
            let Effect::Send(command) = effect else { panic!("{effect:?}") };
            self.tell(What::Sent(command.with_id(ID)));
        }
    }

    fn picture(&self, (width, height): (u16, u16)) -> Buffer {
        let mut terminal =
            Terminal::new(TestBackend::new(width, height)).expect("a test backend does not fail");
        terminal.draw(|frame| draw(&self.app, frame)).expect("a test backend does not fail");
        terminal.backend().buffer().clone()
    }
}

/// The picture's text, a line for each row, without the blanks at its end.
fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut row = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            row.push_str(symbol);
            x += symbol.cell_width().max(1);
        }
        out.push_str(row.trim_end());
        out.push('\n');
    }
    out
}

fn status() -> Status {
    Status {
        model: Some(ModelSummary { name: "SmolLM2-135M-Instruct".to_owned(), ..ModelSummary::default() }),
        files: 12,
        chunks: 63,
        cached_chunks: 61,
        cache_bytes: 702_000_000,
        cache_budget_bytes: 20_000_000_000,
        encode_tokens_per_second: Some(540.0),
    }
}

fn chunks() -> Vec<RetrievedChunk> {
    let body = "When the wind at the mast is above 18 m/s for two minutes, close the dome.\n\
        The night assistant does it; nobody asks for permission first.\n\n\
        1. Park the telescope at zenith.\n2. Turn the key DOME to LOCAL.\n\
        3. Hold CLOSE until the lamp is steady green (about 90 s).\n\n\
        If the lamp blinks, the shutter has stopped half way: call the duty engineer.\n";
    let sources = [
        ("dome.md § Closing in wind", "handbook/dome.md", 12.41, 212),
        ("weather.md § Limits", "handbook/weather.md", 9.87, 187),
        ("2031-05-12.md § Storm night", "meetings/2031-05-12.md", 7.02, 301),
        ("日本語の手引き.md § ドームを閉める", "handbook/日本語の手引き.md", 5.4, 150),
        ("dome_control.py § close_shutter", "code/dome_control.py", 3.33, 0),
    ];
    let chunk = |(index, (label, path, score, tokens)): (usize, (&str, &str, f32, usize))| RetrievedChunk {
        rank: index + 1,
        id: format!("{index:064}"),
        label: label.to_owned(),
        path: format!("/home/ada/observatory/{path}").into(),
        lines: Some((14, 21)),
        page: None,
        heading: Vec::new(),
        score,
        tokens,
        cached: index != 3,
        text: format!("[{label}]\n{body}"),
        cache_bytes: 0,
        matches: Vec::new(),
        reason: ChunkReason::Found,
    };
    sources.into_iter().enumerate().map(chunk).collect()
}

fn origins() -> Vec<CacheOrigin> {
    use CacheOrigin::{Disk, Encoded, Memory, Repaired};
    vec![Disk, Memory, Disk, Encoded, Repaired]
}

fn answer(text: &str, stop: StopReason) -> Outcome {
    let timings = Timings {
        retrieve_seconds: 0.0021,
        load: LoadTiming {
            seconds: 0.018,
            bytes: 52_000_000,
            files: 3,
            memory_hits: 1,
            disk_hits: 2,
            misses: 1,
            damaged: 1,
        },
        encode: EncodeTiming { seconds: 0.41, chunks: 2, tokens: 290 },
        assemble_seconds: 0.007,
        prefill: PrefillTiming { seconds: 0.212, tokens: 31 },
        first_token_seconds: 0.021,
        decode: DecodeTiming { seconds: 4.2, tokens: 112, tokens_per_second: 26.7 },
        time_to_first_token_seconds: 0.67,
        total_seconds: 4.87,
    };
    Outcome::Answer(Answer {
        question: QUESTION.to_owned(),
        text: text.to_owned(),
        strategy: Strategy::Ape,
        stop,
        sources: chunks(),
        origins: origins(),
        tokens: Vec::new(),
        timings,
        chat: None,
    })
}

fn first_run(stage: &mut Stage) {
    stage.engine(Event::Ready(Status::default()));
}

fn empty(stage: &mut Stage) {
    stage.engine(Event::Ready(status()));
}

fn retrieved(stage: &mut Stage) {
    empty(stage);
    stage.send(QUESTION);
    stage.wait(120);
    stage.engine(Event::Retrieved { id: ID, chunks: chunks() });
}

fn streaming(stage: &mut Stage) {
    retrieved(stage);
    stage.engine(Event::Loaded { id: ID, origins: origins() });
    stage.engine(Event::Prefilled { id: ID, tokens: 31 });
    // In pieces that fall into the middle of a label and of a line.
    let end = TEXT.find("at the panel").expect("it is in there");
    for piece in TEXT[..end].split_inclusive(['e', ']']) {
        stage.engine(Event::Token { id: ID, text: piece.to_owned() });
    }
    stage.wait(1380);
}

fn answered(stage: &mut Stage) {
    streaming(stage);
    let message = "The cache of “dome_control.py § close_shutter” was damaged; it has been encoded again.";
    stage.engine(Event::Warning { id: Some(ID), message: message.to_owned() });
    stage.engine(Event::Done { id: ID, outcome: answer(TEXT, StopReason::EndOfText) });
}

fn sources(stage: &mut Stage) {
    answered(stage);
    // Past the conversation.
    stage.press(KeyCode::Tab);
    stage.press(KeyCode::Tab);
    stage.press(KeyCode::Down);
}

fn cancelled(stage: &mut Stage) {
    streaming(stage);
    assert_eq!(stage.press(KeyCode::Esc), [Effect::Cancel(ID)]);
    let end = TEXT.find("The night").expect("it is in there");
    stage.engine(Event::Done { id: ID, outcome: answer(&TEXT[..end], StopReason::Cancelled) });
}

fn failed(stage: &mut Stage) {
    first_run(stage);
    stage.send(QUESTION);
    let failure = Failure {
        kind: FailureKind::NoModel,
        message: "There is no model on this machine.".to_owned(),
        hint: Some("Run `gibbon model pull`, then start Gibbon again.".to_owned()),
    };
    stage.engine(Event::Failed { id: ID, failure });
}

fn indexing(stage: &mut Stage) {
    empty(stage);
    stage.send("/index notes");
    let progress = |done, total| Progress {
        phase: IndexPhase::Encode,
        done,
        total,
        unit: Unit::Chunks,
        cache_bytes: 0,
        hold: None,
    };
    stage.engine(Event::Progress { id: ID, progress: progress(117, 260) });
}

fn indexed(stage: &mut Stage) {
    indexing(stage);
    let report = IndexReport {
        files_added: 31,
        files_unchanged: 12,
        chunks_added: 260,
        chunks_encoded: 240,
        chunks_left: 20,
        encode_seconds: 84.2,
        issues: vec![FileIssue { path: "notes/photo.png".into(), reason: "not text".to_owned() }],
        ..IndexReport::default()
    };
    stage.engine(Event::Done { id: ID, outcome: Outcome::Indexed(report) });
}

fn help(stage: &mut Stage) {
    empty(stage);
    stage.press(KeyCode::F(1));
}

type Scene = (&'static str, fn(&mut Stage));

const SCENES: [Scene; 10] = [
    ("first_run", first_run),
    ("empty", empty),
    ("retrieved", retrieved),
    ("streaming", streaming),
    ("answered", answered),
    ("sources", sources),
    ("cancelled", cancelled),
    ("failed", failed),
    ("indexing", indexing),
    ("help", help),
];

fn theme(name: &str) -> Theme {
    Theme::load(name).expect("a built-in theme")
}

fn screen(name: &str, scene: fn(&mut Stage), size: (u16, u16)) -> Buffer {
    let mut stage = Stage::new(theme(name), size);
    scene(&mut stage);
    stage.picture(size)
}

fn assert_screen(name: &str, picture: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("screens");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, picture));
}

#[test]
fn every_state_at_every_size() {
    for (name, scene) in SCENES {
        for size in SIZES {
            let picture = text(&screen("mono", scene, size));
            // Below the smallest size every state is the same card.
            let name = if size == (30, 8) { "too_small" } else { name };
            assert_screen(&format!("{name}_{}x{}", size.0, size.1), &picture);
        }
    }
    assert_screen("indexed_100x30", &text(&screen("mono", indexed, (100, 30))));
}

#[test]
fn themes_change_colours_and_nothing_else() {
    for (name, scene) in SCENES {
        let mono = text(&screen("mono", scene, (160, 48)));
        for theme in Theme::names() {
            assert_eq!(text(&screen(theme, scene, (160, 48))), mono, "{name} in {theme}");
        }
    }
}

/// The cell where `needle` begins.
fn find<'a>(buffer: &'a Buffer, needle: &str) -> &'a ratatui::buffer::Cell {
    let rows = text(buffer);
    let (y, row) = rows.lines().enumerate().find(|(_, row)| row.contains(needle)).expect(needle);
    let x = row[..row.find(needle).expect("it is in this row")].cell_width();
    &buffer[(x, y as u16)]
}

#[test]
fn roles_have_their_styles_on_the_screen() {
    let picture = screen("ansi", sources, (160, 48));
    assert_eq!(find(&picture, "gibbon").fg, Color::Cyan);
    assert!(find(&picture, QUESTION).modifier.contains(Modifier::BOLD));
    assert_eq!(find(&picture, "[1][2]").fg, Color::Cyan);
    assert_eq!(find(&picture, "● disk").fg, Color::Green);
    assert_eq!(find(&picture, "↻ repaired").fg, Color::Magenta);
    assert!(find(&picture, "weather.md § Limits  ").modifier.contains(Modifier::REVERSED));
    let light = screen("light", empty, (160, 48));
    assert!(light.content.iter().all(|cell| cell.bg != Color::Reset), "a light theme has its own background");
}

#[test]
fn without_colours_the_selection_is_still_seen() {
    for name in Theme::names() {
        let size = (160, 48);
        let mut stage = Stage::new(theme(name).without_color(), size);
        sources(&mut stage);
        let picture = stage.picture(size);
        assert!(
            picture.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset),
            "{name}"
        );
        assert!(find(&picture, "weather.md § Limits  ").modifier.contains(Modifier::REVERSED), "{name}");
    }
}

#[test]
fn wide_text_leaves_the_columns_aligned() {
    for size in [(160, 48), (140, 40)] {
        let picture = screen("mono", sources, size);
        let dividers: Vec<_> = (0..size.0).filter(|x| picture[(*x, 3)].symbol() == "│").collect();
        assert_eq!(dividers.len(), 2, "{dividers:?}");
        // The row with the Japanese label has the dividers, and the scores end, where the other rows have them.
        for y in 3..size.1 - 5 {
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
    let mut stage = Stage::new(theme("mono"), (100, 30));
    retrieved(&mut stage);
    let hostile = "a\u{1b}[31mb\u{9b}2J\u{7}\u{202e}c\u{200b}\u{2066}d\t|e\u{301}";
    stage.engine(Event::Token { id: ID, text: format!("{hostile} {}", "e\u{301}\u{302}".repeat(5)) });
    let flood = format!("x{}", "\u{301}".repeat(5000));
    stage.engine(Event::Token { id: ID, text: flood });
    let picture = stage.picture((100, 30));
    for cell in &picture.content {
        assert!(!cell.symbol().chars().any(|each| each.is_control()), "{:?}", cell.symbol());
        assert!(!cell.symbol().contains(['\u{202e}', '\u{2066}', '\u{200b}']), "{:?}", cell.symbol());
        assert!(cell.symbol().len() < 100, "a flood of combining marks");
    }
}

#[test]
fn resizing_while_reading_back_and_forth_never_fails() {
    let mut stage = Stage::new(theme("mono"), (100, 30));
    answered(&mut stage);
    stage.press(KeyCode::PageUp);
    for size in [(40, 10), (200, 60), (1, 1), (89, 11), (90, 10), (139, 17), (140, 10), (30, 8), (100, 30)] {
        stage.tell(What::Resized(Size { width: size.0, height: size.1 }));
        stage.picture(size);
        stage.press(KeyCode::Tab);
        stage.picture(size);
        stage.press(KeyCode::F(1));
        stage.picture(size);
        stage.press(KeyCode::Esc);
        // A frame may be drawn before the message about the new size has come.
        stage.picture((20, 3));
    }
}
