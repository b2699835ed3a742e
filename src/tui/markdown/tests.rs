//! What Markdown looks like, and what holds for any text.

use proptest::prelude::*;

use super::{super::entry::tests::answered, *};
use crate::tui::{entry::Entry, text::Piece};

/// The answer's text at this width, a line for each row, section by section.
fn shown(text: &str, width: usize) -> String {
    let rows = laid_out(text, width);
    rows.iter().map(|row| row.text().trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn laid_out(text: &str, width: usize) -> Vec<Row> {
    let Entry::Turn(turn) = answered(text, &["dome.md § Closing", "log.md § May", "__init__.py § *load*"])
    else {
        panic!("it is a turn")
    };
    let (mut start, mut inside, mut continued) = (0, None, false);
    let mut all = Vec::new();
    loop {
        let next = split::section(text, start, inside);
        let end = next.map_or(text.len(), |(end, _, _)| end);
        let section = Section { start, end, inside, continued };
        all.extend(rows(text, &section, &turn.sources, None, width));
        match next {
            Some(next) => (start, inside, continued) = next,
            None => return all,
        }
    }
}

fn pieces(text: &str) -> Vec<Piece> {
    laid_out(text, 80).into_iter().flat_map(|row| row.pieces).collect()
}

#[test]
fn blocks() {
    insta::assert_snapshot!(shown(
        "# Closing the dome\nAt **once** when *windy*:\n\n1. Park the telescope at zenith\n   - gently\n   - then \
         lock it, at the panel under the stairs\n2. Hold `CLOSE`\n\n   until green\n10. Log it\n\n- [x] done\n- [ ] \
         to do\n\n> Quoted text that is long enough to wrap\n> - a list\n\n---\nSee [the log](docs/log.md) and \
         <https://a.example>.\nA line of its own",
        38
    ), @r#"
    Closing the dome

    At once when windy:

    1. Park the telescope at zenith
       • gently
       • then lock it, at the panel under
         the stairs
    2. Hold CLOSE

       until green
    3. Log it

    • [x] done
    • [ ] to do

    ▌ Quoted text that is long enough to
    ▌ wrap
    ▌ • a list

    ──────────────────────────────────────

    See the log (docs/log.md) and
    https://a.example.
    A line of its own
    "#);
}

#[test]
fn code_is_shown_as_it_stands() {
    insta::assert_snapshot!(shown(
        "So:\n```python\nif a:\n\n    b = \"[dome.md § Closing]\" # a long comment that wraps\n```\n- in a list:\n  \
         ```\n  [log.md § May]\n  ```\n\n    indented",
        34
    ), @r#"
    So:

    │ if a:
    │
    │     b = "[dome.md § Closing]" #
    │ a long comment that wraps

    • in a list:

      │ [log.md § May]

      indented
    "#);
}

#[test]
fn tables_are_fitted() {
    let table = "| Limit | Wind m/s | 意味 |\n|:--|--:|:-:|\n| close | 18 | 閉める 🌬 |\n| *warn*, by phone, whoever is \
                 there | 15 [log.md § May] | 注意 |\n";
    insta::assert_snapshot!(format!("{}\n\n{}\n\n{}", shown(table, 60), shown(table, 36), shown(table, 16)), @r#"
    Limit                            │ Wind m/s │   意味
    ─────────────────────────────────┼──────────┼─────────
    close                            │       18 │ 閉める 🌬
    warn, by phone, whoever is there │   15 [2] │   注意

    Limit          │ Wind m/s │   意味
    ───────────────┼──────────┼─────────
    close          │       18 │ 閉める 🌬
    warn, by       │   15 [2] │   注意
    phone, whoever │          │
    is there       │          │

    Limit: close
    Wind m/s: 18
    意味: 閉める 🌬

    Limit: warn, by
      phone, whoever
      is there
    Wind m/s: 15 [2]
    意味: 注意
    "#);
}

#[test]
fn labels_become_numbers_in_text_and_not_in_code() {
    let texts = [
        "Shut it [dome.md § Closing].",
        "**Shut** it **[dome.md § Closing; log.md § May]**",
        "| a |\n|--|\n| [log.md § May] |",
        "- [log.md § May][dome.md § Closing]",
        "# On wind [log.md § May]",
        "`[log.md § May]`",
        "a [__init__.py § *load*] b",
        "[log.md § May]: shut",
        "[log.md § Ma",
        "\\[log.md § May]",
    ];
    let shown: Vec<_> = texts.iter().map(|text| shown(text, 60)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    Shut it [1].
    Shut it [1][2]
    a
    ───
    [2]
    • [2][1]
    On wind [2]
    [log.md § May]
    a [3] b
    [2]: shut
    [log.md § Ma
    \[2]
    "#);
}

#[test]
fn text_that_is_not_finished_looks_as_it_stands() {
    let texts = [
        "a **bo",
        "see [the lo",
        "see [the log](docs/l",
        "| a | b |",
        "| a | b |\n|--|",
        "```py\nx = 1",
        "`co",
        "- ",
    ];
    let shown: Vec<_> = texts.iter().map(|text| shown(text, 40)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    a **bo
    see [the lo
    see [the log](docs/l
    | a | b |
    | a | b |
    |--|
    │ x = 1
    `co
    •
    "#);
}

#[test]
fn nothing_of_an_answer_is_left_out() {
    for text in [
        "<b>x</b> & <script>y</script>",
        "[ref]: http://a.example",
        "![a picture](p.png)",
        "~~old~~ &amp; \\*",
    ] {
        let words = ["x", "script", "y", "ref", "http://a.example", "a picture", "p.png", "old", "*"];
        let out = shown(text, 60);
        for word in words.iter().filter(|word| text.contains(**word)) {
            assert!(out.contains(word), "{word}: {out}");
        }
    }
}

#[test]
fn roles() {
    let role = |text: &str, what: &str| {
        pieces(text).into_iter().find(|piece| piece.text.contains(what)).map(|p| p.role)
    };
    assert_eq!(role("a **b** c", "b"), Some(Role::Strong));
    assert_eq!(role("a *b* c", "b"), Some(Role::Emphasis));
    assert_eq!(role("a `b` c", "b"), Some(Role::Code));
    assert_eq!(role("## b", "b"), Some(Role::Heading));
    assert_eq!(role("a [b](c)", "(c)"), Some(Role::Muted));
    assert_eq!(role("x\n\n```\nb\n```", "b"), Some(Role::Code));
    let cited = pieces("**a [log.md § May]**").into_iter().find_map(|piece| piece.citation);
    assert_eq!(cited.map(|citation| (citation.at, citation.rank)), Some((4, 2)));
}

#[test]
fn nested_containers_leave_room_for_text() {
    let deep = format!("{}text that wraps", "> ".repeat(40));
    let rows = laid_out(&deep, 20);
    assert!(rows.iter().all(|row| row.width() <= 20), "{rows:#?}");
    assert!(rows.iter().any(|row| row.text().contains("text")));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(3), ..ProptestConfig::default() })]

    #[test]
    fn any_text_fits_any_width(
        text in "([-#>*_`~|\\[\\]() \n1.a]|日|👩\u{200d}🚀|\u{1b}|\u{202e}|\u{301}|ש|```|\n\n|\\| |:-:|\\[log.md § May\\]){0,80}",
        width in 1usize..50,
    ) {
        for row in laid_out(&text, width) {
            prop_assert!(row.width() <= width.max(FEWEST_CELLS.min(4)), "{width}: {row:?}");
            for piece in &row.pieces {
                prop_assert!(!piece.text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{row:?}");
            }
        }
    }
}
