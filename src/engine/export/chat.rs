//! A chat as Markdown for people and as JSON for programs.

use serde_json::{Value, json};

use super::json as fields;
use crate::engine::{Chat, ChatTurn, RetrievedChunk, StopReason, Timings, visible};

/// The longest question, in characters, that is a heading; a longer one, or one of several lines, is quoted.
const HEADING_CHARACTERS: usize = 120;

/// The chat as a Markdown document: its title, then each question as a heading with its answer, its numbered sources
/// and what it took.
pub fn chat_markdown(chat: &Chat) -> String {
    let mut parts = vec![
        format!("# {}", escaped(&chat.title)),
        format!("Chat {} of {}, from Gibbon.", chat.id.0, utc(chat.started)),
    ];
    for (number, turn) in (1..).zip(&chat.turns) {
        parts.push(question(number, &turn.question));
        parts.extend(answer(turn));
    }
    parts.join("\n\n") + "\n"
}

/// The chat as one line of JSON, `kind` `chat`.
///
/// # Errors
/// None that a chat can cause.
pub fn chat_json(chat: &Chat) -> serde_json::Result<String> {
    let turns: Vec<Value> = chat
        .turns
        .iter()
        .map(|turn| {
            json!({
                "question": turn.question,
                "answer": turn.answer,
                "strategy": turn.strategy,
                "stop": turn.stop,
                "sources": fields::chunks(&turn.sources, &turn.origins),
                "timings": turn.timings,
            })
        })
        .collect();
    let body = json!({ "id": chat.id, "started": chat.started, "title": chat.title, "turns": turns });
    fields::document("chat", body)
}

fn question(number: usize, text: &str) -> String {
    let text = text.trim();
    if text.contains('\n') || text.chars().count() > HEADING_CHARACTERS {
        let quoted: Vec<String> =
            text.lines().map(|line| format!("> {line}").trim_end().to_owned()).collect();
        return format!("## Question {number}\n\n{}", quoted.join("\n"));
    }
    format!("## {}", escaped(text))
}

fn answer(turn: &ChatTurn) -> Vec<String> {
    let mut parts = Vec::new();
    match turn.answer.trim() {
        "" => parts.push("*(no answer)*".to_owned()),
        answer => parts.push(answer.to_owned()),
    }
    if let Some(note) = turn.stop.and_then(ending) {
        parts.push(format!("*({note})*"));
    }
    if !turn.sources.is_empty() {
        let listed: Vec<String> = turn.sources.iter().map(source).collect();
        parts.push(format!("Sources:\n\n{}", listed.join("\n")));
    }
    if let Some(timings) = &turn.timings {
        let strategy = turn.strategy.map_or(String::new(), |strategy| format!("`{}`: ", strategy.name()));
        parts.push(format!("{strategy}{}", what_it_took(timings)));
    }
    parts
}

/// How an answer ended, where it is not whole.
pub fn ending(stop: StopReason) -> Option<&'static str> {
    match stop {
        StopReason::EndOfText => None,
        StopReason::MaxTokens => Some("cut off at the most tokens asked for"),
        StopReason::ContextFull => Some("cut off: the model's context is full"),
        StopReason::Cancelled => Some("cancelled"),
    }
}

/// `1. dome.md § Closing (/srv/dome.md:12)`
fn source(chunk: &RetrievedChunk) -> String {
    let mut place = visible(&chunk.path.to_string_lossy()).replace(['\n', '\t'], " ");
    match (chunk.lines, chunk.page) {
        (Some((first, last)), _) if first == last => place += &format!(":{first}"),
        (Some((first, last)), _) => place += &format!(":{first}-{last}"),
        (None, Some(page)) => place += &format!(", page {page}"),
        (None, None) => {}
    }
    format!("{}. {} ({})", chunk.rank, escaped(&chunk.label), code(&place))
}

fn what_it_took(timings: &Timings) -> String {
    let phases: Vec<String> = timings
        .phases()
        .iter()
        .filter(|phase| phase.seconds > 0.0)
        .map(|phase| format!("{} {}", phase.name, seconds(phase.seconds)))
        .collect();
    format!(
        "first token after {}, all after {} ({}); {:.1} tokens/s",
        seconds(timings.time_to_first_token_seconds),
        seconds(timings.total_seconds),
        phases.join(", "),
        timings.decode.tokens_per_second
    )
}

fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.1} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}

/// `text` on one line, so that Markdown takes every character of it as it stands.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => escaped.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '&' | '!' => {
                escaped.extend(['\\', character]);
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

/// `text` as a span of code, whatever back quotes are in it.
fn code(text: &str) -> String {
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

/// Seconds since the Unix epoch as `2026-11-23 19:14 UTC`.
fn utc(seconds: i64) -> String {
    const DAY: i64 = 86_400;
    // Outside of four-digit years there is nothing that a clock has said.
    let seconds = seconds.clamp(0, 253_402_300_799);
    let (mut day, minute) = (seconds / DAY, seconds % DAY / 60);
    let mut year = 1970;
    while day >= days_of_year(year) {
        day -= days_of_year(year);
        year += 1;
    }
    let mut month = 1;
    while day >= days_of_month(year, month) {
        day -= days_of_month(year, month);
        month += 1;
    }
    format!("{year}-{month:02}-{:02} {:02}:{:02} UTC", day + 1, minute / 60, minute % 60)
}

fn days_of_year(year: i64) -> i64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Strategy,
        engine::{CacheOrigin, ChatId, ChunkReason, DecodeTiming},
    };

    fn chunk(rank: usize, path: &str) -> RetrievedChunk {
        RetrievedChunk {
            rank,
            id: format!("{rank:064x}"),
            label: "dome_*.md § Closing".into(),
            path: path.into(),
            lines: Some((12, 40)),
            page: None,
            heading: vec!["Closing".into()],
            score: 7.5,
            tokens: 240,
            cached: true,
            text: "[dome_*.md § Closing]\nThe dome closes at 45 km/h.".into(),
            cache_bytes: 5_500_000,
            matches: Vec::new(),
            reason: ChunkReason::Found,
        }
    }

    fn chat() -> Chat {
        let timings = Timings {
            retrieve_seconds: 0.0012,
            time_to_first_token_seconds: 0.079,
            total_seconds: 1.61,
            decode: DecodeTiming { seconds: 1.2, tokens: 41, tokens_per_second: 34.1667 },
            ..Timings::default()
        };
        let turn = ChatTurn {
            message: Some(0),
            question: "When does the *dome* close?\n".into(),
            answer: "At **45 km/h** of wind [dome_*.md § Closing].\n".into(),
            strategy: Some(Strategy::Ape),
            stop: Some(StopReason::Cancelled),
            sources: vec![
                chunk(1, "/srv/dome_`x`.md"),
                RetrievedChunk { lines: Some((7, 7)), ..chunk(2, "/b.md") },
            ],
            origins: vec![CacheOrigin::Disk, CacheOrigin::Encoded],
            timings: Some(timings),
        };
        let old = ChatTurn { question: "Two\n\n# lines".into(), ..ChatTurn::default() };
        Chat { id: ChatId(3), started: 1_795_461_240, title: "The <dome>".into(), turns: vec![turn, old] }
    }

    #[test]
    fn a_chat_is_a_document() {
        insta::assert_snapshot!(chat_markdown(&chat()));
    }

    #[test]
    fn a_chat_is_one_line_of_json() {
        let text = chat_json(&chat()).unwrap();
        assert_eq!(text.lines().count(), 1);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&value["kind"], &value["id"], &value["turns"][1]["stop"]),
            (&"chat".into(), &3.into(), &Value::Null)
        );
        let turn = &value["turns"][0];
        assert_eq!((&turn["strategy"], &turn["stop"]), (&"ape".into(), &"cancelled".into()));
        assert_eq!(
            (&turn["sources"][1]["origin"], &turn["sources"][1]["lines"][0]),
            (&"encoded".into(), &7.into())
        );
        assert_eq!(turn["timings"]["decode"]["tokens"], 41);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let shown = [0, 951_782_400, 1_709_251_199, 1_795_461_240, -5, i64::MAX].map(utc);
        assert_eq!(
            shown,
            [
                "1970-01-01 00:00 UTC",
                "2000-02-29 00:00 UTC",
                "2024-02-29 23:59 UTC",
                "2026-11-23 19:14 UTC",
                "1970-01-01 00:00 UTC",
                "9999-12-31 23:59 UTC"
            ]
        );
    }

    #[test]
    fn code_holds_any_text() {
        assert_eq!(code("a.md"), "`a.md`");
        assert_eq!(code("a``b"), "```a``b```");
        assert_eq!(code("`a"), "`` `a ``");
    }
}
