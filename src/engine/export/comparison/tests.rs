use super::*;
use crate::{
    config::Strategy,
    engine::{
        Answer, CacheOrigin, ChunkReason, DecodeTiming, Failure, FailureKind, LoadTiming, PrefillTiming,
        StopReason, Timings,
    },
};

const HOSTILE: &str = "a\u{1b}[2J</text><script>x</script>\u{202e}\u{fffe} | `````\n# head & \"quoted\" ![i](https://example.org/i)";

fn timings(prefill: f64, load: f64, decode: f64) -> Timings {
    let first_token = 0.001 + load + prefill + 0.01;
    Timings {
        retrieve_seconds: 0.001,
        load: LoadTiming {
            seconds: load,
            bytes: 12_000_000,
            disk_hits: 3,
            files: 3,
            ..LoadTiming::default()
        },
        prefill: PrefillTiming { seconds: prefill, tokens: 31 },
        first_token_seconds: 0.01,
        decode: DecodeTiming { seconds: decode, tokens: 40, tokens_per_second: 40.0 / decode },
        time_to_first_token_seconds: first_token,
        total_seconds: first_token + decode,
        ..Timings::default()
    }
}

fn source() -> RetrievedChunk {
    RetrievedChunk {
        rank: 1,
        id: "0".repeat(64),
        label: "dome.md § Closing".to_owned(),
        path: "handbook/dome.md".into(),
        lines: Some((12, 40)),
        page: None,
        heading: vec!["Closing".to_owned()],
        score: 7.5,
        tokens: 240,
        cached: true,
        text: "The dome closes at 18 m/s.".to_owned(),
        cache_bytes: 12_000_000,
        matches: vec![(4, 8)],
        reason: ChunkReason::Found,
    }
}

fn answers(strategy: Strategy, text: &str, tokens: &[u32], all: &[Timings]) -> Vec<Answer> {
    let answer = |timings: &Timings| Answer {
        question: "When must I close the dome?".to_owned(),
        text: text.to_owned(),
        strategy,
        stop: StopReason::EndOfText,
        sources: vec![source()],
        origins: vec![CacheOrigin::Disk],
        tokens: tokens.to_vec(),
        timings: timings.clone(),
        kept: None,
    };
    all.iter().map(answer).collect()
}

fn comparison(question: &str, text: &str) -> Comparison {
    let full = answers(
        Strategy::Full,
        "Above 18 m/s [dome.md § Closing].",
        &[5, 6, 7, 8],
        &[timings(1.2, 0.0, 1.1), timings(1.1, 0.0, 1.2), timings(1.3, 0.0, 1.3)],
    );
    let ape = answers(
        Strategy::Ape,
        text,
        &[5, 6, 9],
        &[timings(0.06, 0.02, 1.2), timings(0.07, 0.02, 1.1), timings(0.08, 0.01, 1.3)],
    );
    let mut of_ape = ComparisonResult::of(&ape, Some(&full)).expect("there are runs");
    of_ape.first_token_divergence = Some(0.0213);
    let mut of_full = ComparisonResult::of(&full, Some(&full)).expect("there are runs");
    of_full.first_token_divergence = Some(0.0);
    let failure = Failure {
        kind: FailureKind::ContextTooLong,
        message: format!("the chunks do not fit {question}"),
        hint: Some("Take fewer chunks.".to_owned()),
    };
    Comparison {
        question: question.to_owned(),
        runs: 3,
        sources: vec![source()],
        rows: vec![
            ComparisonRow { strategy: Strategy::Full, result: Ok(of_full) },
            ComparisonRow { strategy: Strategy::Concat, result: Err(failure) },
            ComparisonRow { strategy: Strategy::Ape, result: Ok(of_ape) },
        ],
    }
}

fn plain() -> Comparison {
    comparison("When must I close the dome?", "Close it above 18 m/s [dome.md § Closing].\n\n- at once")
}

fn written(comparison: &Comparison, format: ComparisonFormat) -> String {
    text(comparison, "SmolLM2-135M-Instruct", format).expect("it can be written")
}

#[test]
fn markdown_to_read() {
    insta::assert_snapshot!(written(&plain(), ComparisonFormat::Markdown));
}

#[test]
fn a_chart_to_show() {
    insta::assert_snapshot!(written(&plain(), ComparisonFormat::Svg));
}

#[test]
fn json_reads_back_as_the_same_comparison() {
    for comparison in [plain(), comparison(HOSTILE, HOSTILE)] {
        let text = written(&comparison, ComparisonFormat::Json);
        let read = |text: &str| serde_json::from_str::<Comparison>(text).expect("it is a comparison");
        // The reader may be off in the last bit of a number, the same way each time.
        assert_eq!(read(&text), read(&serde_json::to_string(&comparison).expect("it can be written")));
        assert_eq!(read(&text).rows.len(), 3);
        let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!((&value["schema"], &value["model"]), (&1.into(), &"SmolLM2-135M-Instruct".into()));
    }
}

#[cfg(unix)]
#[test]
fn a_path_that_is_not_utf8_does_not_fail() {
    use std::os::unix::ffi::OsStrExt;
    let mut comparison = plain();
    comparison.sources[0].path = std::ffi::OsStr::from_bytes(b"/srv/caf\xe9.md").into();
    for format in ComparisonFormat::ALL {
        written(&comparison, format);
    }
}

#[test]
fn hostile_text_is_text_in_the_chart() {
    let chart = written(&comparison(HOSTILE, HOSTILE), ComparisonFormat::Svg);
    let document = roxmltree::Document::parse(&chart).expect("it is XML");
    let elements: std::collections::BTreeSet<_> =
        document.descendants().filter(|node| node.is_element()).map(|node| node.tag_name().name()).collect();
    assert_eq!(
        elements.into_iter().collect::<Vec<_>>(),
        ["line", "path", "rect", "style", "svg", "text", "title"]
    );
    let long = written(&comparison(&"日本語".repeat(500), ""), ComparisonFormat::Svg);
    roxmltree::Document::parse(&long).expect("it is XML");
}

#[test]
fn bars_of_the_chart_have_one_scale() {
    let chart = written(&plain(), ComparisonFormat::Svg);
    let document = roxmltree::Document::parse(&chart).expect("it is XML");
    // Every phase's rectangle has a title with its length.
    let widths: Vec<f64> = document
        .descendants()
        .filter(|node| node.has_tag_name("rect") && node.children().any(|child| child.has_tag_name("title")))
        .map(|node| node.attribute("width").and_then(|width| width.parse().ok()).expect("a width"))
        .collect();
    assert_eq!(widths.len(), 2 * (6 + 7));
    let bar = |from: usize, phases: usize| widths[from..from + phases].iter().sum::<f64>();
    let comparison = plain();
    let typical = |row: usize| comparison.rows[row].result.as_ref().expect("it worked");
    let first_token = |row| typical(row).typical_first_token().time_to_first_token_seconds;
    let total = |row| typical(row).typical_total().total_seconds;
    assert!((bar(0, 6) / bar(6, 6) - first_token(0) / first_token(2)).abs() < 0.01);
    assert!((bar(12, 7) / bar(19, 7) - total(0) / total(2)).abs() < 0.01);
}

#[test]
fn hostile_text_stays_inside_its_place_in_markdown() {
    let text = written(&comparison(HOSTILE, HOSTILE), ComparisonFormat::Markdown);
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    let headings: Vec<_> = pulldown_cmark::Parser::new_ext(&text, pulldown_cmark::Options::all())
        .filter(|event| {
            use pulldown_cmark::{Event, Tag};
            assert!(!matches!(event, Event::Html(_) | Event::InlineHtml(_)), "{event:?}");
            assert!(!matches!(event, Event::Start(Tag::Image { .. } | Tag::Link { .. })), "{event:?}");
            matches!(event, Event::Start(Tag::Heading { .. }))
        })
        .collect();
    // Title, times, phases, answers and sources, and an answer for each strategy that worked.
    assert_eq!(headings.len(), 5 + 2, "{text}");
}

#[test]
fn formats_are_known_by_their_extension() {
    for format in ComparisonFormat::ALL {
        assert_eq!(ComparisonFormat::with_extension(&format.extension().to_uppercase()), Some(format));
    }
    assert_eq!(ComparisonFormat::with_extension("png"), None);
}
