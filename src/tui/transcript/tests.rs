//! The reader's place, and how much is laid out for it.

use proptest::prelude::*;

use super::{
    super::entry::{Note, Stage, tests::answered},
    *,
};

const WIDTH: usize = 40;
const HEIGHT: usize = 10;

fn transcript(entries: usize) -> Transcript {
    let mut transcript = Transcript::default();
    for number in 0..entries {
        let text = format!("note {number} with a text that takes more than one row of forty cells");
        transcript.push(Entry::Note(Note::info(text)));
    }
    transcript.resize(WIDTH, HEIGHT);
    transcript
}

fn replace(transcript: &mut Transcript, index: usize, text: &str) {
    transcript.change(index, |entry| *entry = Entry::Note(Note::info(text)));
    transcript.resize(WIDTH, HEIGHT);
}

fn add_text(transcript: &mut Transcript, text: &str) {
    let last = transcript.entries().len() - 1;
    transcript.grow(last, |entry| {
        if let Entry::Turn(turn) = entry {
            turn.text.push_str(text);
        }
    });
    transcript.resize(WIDTH, HEIGHT);
}

fn first_row(transcript: &Transcript) -> String {
    transcript.visible().next().expect("something is visible").row.text()
}

fn all_rows(transcript: &Transcript) -> Vec<Row> {
    let mut laid = transcript.laid.clone();
    let mut rows = Vec::new();
    for (laid, entry) in laid.iter_mut().zip(&transcript.entries) {
        laid.divide(entry);
        for part in 0..laid.parts() {
            laid.lay_out(entry, part);
            rows.extend_from_slice(laid.part(part).expect("it is laid out"));
        }
    }
    rows
}

/// Counts all rows.
fn settle_all(transcript: &mut Transcript) {
    while transcript.exact.0 < transcript.entries.len() {
        transcript.resize(transcript.width, transcript.height);
    }
}

#[test]
fn follows_the_newest_text_only_at_the_bottom() {
    let mut transcript = transcript(20);
    transcript.scroll(-5);
    let before = first_row(&transcript);
    replace(&mut transcript, 19, &"x ".repeat(400));
    assert_eq!(first_row(&transcript), before);
    assert!(transcript.rows_below() > 5);
    transcript.scroll(1000);
    assert_eq!(transcript.rows_below(), 0);
    replace(&mut transcript, 19, &"y ".repeat(900));
    assert_eq!(transcript.rows_below(), 0);
}

#[test]
fn resizing_keeps_the_readers_place() {
    let mut transcript = transcript(50);
    transcript.show_oldest();
    transcript.scroll(60);
    let text = first_row(&transcript);
    let before = transcript.top.entry;
    for width in [25, 90, 12, 40] {
        transcript.resize(width, 7);
        assert_eq!(transcript.top.entry, before, "{width}");
    }
    transcript.resize(WIDTH, HEIGHT);
    assert_eq!(first_row(&transcript), text);
}

#[test]
fn a_pane_that_shows_everything_for_a_while_keeps_the_readers_place() {
    let mut transcript = transcript(20);
    transcript.show_oldest();
    transcript.scroll(3);
    let text = first_row(&transcript);
    for (width, height) in [(WIDTH, 500), (WIDTH + 50, 500), (WIDTH, 600)] {
        transcript.resize(width, height);
        assert_eq!(transcript.rows_below(), 0);
        transcript.resize(WIDTH, HEIGHT);
        assert_eq!(first_row(&transcript), text, "{width} × {height}");
    }
    // What comes while everything is to be seen is followed.
    transcript.resize(WIDTH, 500);
    replace(&mut transcript, 19, &"x ".repeat(400));
    transcript.resize(WIDTH, HEIGHT);
    assert_eq!(transcript.rows_below(), 0);
}

#[test]
fn scrolling_stops_at_both_ends() {
    let mut transcript = transcript(9);
    transcript.scroll(-10_000);
    assert_eq!(transcript.position().0, 0);
    assert!(first_row(&transcript).contains("note 0"));
    transcript.scroll_pages(1);
    assert_eq!(transcript.position().0, 9);
    transcript.show_newest();
    assert_eq!(transcript.rows_below(), 0);
    assert_eq!(Transcript::default().visible().count(), 0);
}

#[test]
fn a_long_conversation_is_laid_out_near_the_reader_only() {
    let text = "A paragraph that takes some rows of the screen, and a list:\n\n- one\n- two\n\n".repeat(20);
    let mut transcript = Transcript::default();
    for _ in 0..10_000 {
        transcript.push(answered(&text, &[]));
    }
    // What one change may lay out, whatever it is.
    let most = SPARE_BYTES + 2 * crate::tui::markdown::split::MOST_BYTES + 4 * 64 * HEIGHT;
    let mut before = transcript.work;
    let mut check = |transcript: &Transcript, what: &str| {
        assert!(transcript.work - before <= most, "{what}: {} bytes", transcript.work - before);
        before = transcript.work;
    };
    transcript.resize(WIDTH, HEIGHT);
    check(&transcript, "opening");
    for _ in 0..50 {
        transcript.scroll_pages(-1);
        check(&transcript, "a page back");
    }
    transcript.show_oldest();
    check(&transcript, "the oldest");
    assert!(first_row(&transcript).contains("How?"));
    transcript.show_row(transcript.rows() / 2);
    check(&transcript, "the middle");
    let middle = transcript.top.entry;
    assert!((4_000..6_000).contains(&middle), "{middle}");
    for width in [20, 100, 33] {
        transcript.resize(width, HEIGHT);
        check(&transcript, "another width");
        assert_eq!(transcript.top.entry, middle);
    }
    transcript.scroll(-100_000);
    check(&transcript, "far back");
    transcript.show_newest();
    check(&transcript, "the newest");
    assert_eq!(transcript.rows_below(), 0);
}

#[test]
fn a_long_answer_is_laid_out_in_portions() {
    for text in [
        "word ".repeat(400_000),
        "x".repeat(1_000_000),
        format!("```rust\n{}", "let a = 1;\n".repeat(150_000)),
    ] {
        let mut transcript = Transcript::default();
        transcript.push(answered(&text, &[]));
        transcript.resize(WIDTH, HEIGHT);
        assert!(transcript.work < 100_000, "{}", transcript.work);
        let rows = transcript.rows();
        transcript.show_row(rows / 2);
        transcript.scroll_pages(3);
        assert!(transcript.work < 200_000, "{}", transcript.work);
        let (first, _) = transcript.position();
        assert!(first > rows / 3 && first < rows, "{first} of {rows}");
    }
}

#[test]
fn streaming_lays_out_the_open_section_only() {
    let mut transcript = Transcript::default();
    transcript.push(answered("", &[]));
    transcript.change(0, |entry| {
        if let Entry::Turn(turn) = entry {
            turn.stage = Stage::Streaming;
        }
    });
    transcript.resize(WIDTH, HEIGHT);
    add_text(&mut transcript, &"A paragraph of the answer.\n\n".repeat(3000));
    settle_all(&mut transcript);
    for word in "one more paragraph comes in words".split_inclusive(' ') {
        let before = transcript.work;
        add_text(&mut transcript, word);
        assert!(transcript.work - before < 400, "{}", transcript.work - before);
        assert_eq!(transcript.rows_below(), 0);
    }
}

#[test]
fn the_readers_row_stays_while_the_rest_is_laid_out() {
    let text = "# A heading\nand\nmany\nshort\nlines\n\n".repeat(100);
    let mut transcript = Transcript::default();
    for _ in 0..20 {
        transcript.push(answered(&text, &[]));
    }
    transcript.resize(WIDTH, HEIGHT);
    transcript.show_row(transcript.rows() / 2);
    let rows =
        |transcript: &Transcript| transcript.visible().map(|visible| visible.row.clone()).collect::<Vec<_>>();
    let before = rows(&transcript);
    settle_all(&mut transcript);
    assert_eq!(rows(&transcript), before);
    assert_eq!(transcript.rows(), all_rows(&transcript).len());
    assert_eq!(all_rows(&transcript)[transcript.position().0], before[0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(4), ..ProptestConfig::default() })]

    #[test]
    fn a_growing_answer_is_laid_out_as_if_it_had_come_at_once(
        text in "([-#>*`| \n1.ab]|日|```|\n\n|\\| |--\\||\\[a.md § A\\]|paragraph){0,60}",
        width in 6usize..40,
        pieces in proptest::collection::vec(1usize..12, 1..80),
    ) {
        let start = |text: &str| {
            let mut transcript = Transcript::default();
            transcript.push(answered(text, &["a.md § A"]));
            transcript.resize(width, HEIGHT);
            transcript
        };
        let mut grown = start("");
        let mut end = 0;
        for piece in pieces {
            let mut next = (end + piece).min(text.len());
            while !text.is_char_boundary(next) {
                next += 1;
            }
            grown.grow(0, |entry| {
                if let Entry::Turn(turn) = entry {
                    turn.text.push_str(&text[end..next]);
                }
            });
            grown.resize(width, HEIGHT);
            end = next;
        }
        let mut whole = start(&text[..end]);
        settle_all(&mut grown);
        settle_all(&mut whole);
        prop_assert_eq!(all_rows(&grown), all_rows(&whole));
    }

    #[test]
    fn scrolling_is_the_same_lazily_and_exactly(moves in proptest::collection::vec(-30isize..30, 0..30)) {
        let mut lazy = Transcript::default();
        for number in 0..10 {
            lazy.push(answered(&format!("{number}\n\n- a\n- b\n\n").repeat(number * 4), &[]));
        }
        let mut exact = lazy.clone();
        lazy.resize(WIDTH, HEIGHT);
        exact.resize(WIDTH, HEIGHT);
        settle_all(&mut exact);
        for rows in moves {
            lazy.scroll(rows);
            exact.scroll(rows);
            prop_assert_eq!(lazy.top, exact.top);
            let all = all_rows(&exact);
            let first = exact.position().0;
            for (offset, visible) in lazy.visible().enumerate() {
                prop_assert_eq!(visible.row, &all[first + offset]);
            }
        }
    }
}

#[test]
fn rows_that_the_reader_has_left_are_forgotten_and_come_back() {
    let mut transcript = transcript(3 * KEPT_PARTS);
    settle_all(&mut transcript);
    let rows = transcript.rows();
    transcript.show_oldest();
    transcript.resize(WIDTH, HEIGHT);
    let oldest: Vec<_> = transcript.visible().map(|visible| visible.row.clone()).collect();
    for _ in 0..rows / HEIGHT + 1 {
        transcript.scroll(HEIGHT as isize);
        transcript.resize(WIDTH, HEIGHT);
        assert_eq!(transcript.visible().count(), HEIGHT);
    }
    let kept = transcript.laid.iter().flat_map(|laid| (0..laid.parts()).filter_map(|part| laid.part(part)));
    assert!(kept.count() <= KEPT_PARTS + HEIGHT);
    assert_eq!((transcript.rows(), transcript.rows_below()), (rows, 0));
    transcript.show_oldest();
    transcript.resize(WIDTH, HEIGHT);
    assert!(transcript.visible().map(|visible| visible.row).eq(&oldest));
}
