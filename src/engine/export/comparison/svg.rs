//! A comparison as a chart: one file that needs nothing else, readable on light and on dark.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::{agreement, divergence, full, rates, speedup, times};
use crate::engine::{Comparison, ComparisonResult, ComparisonRow, Phase, Spread, Timings, duration, visible};

/// Width of the picture and distance of everything from its edge, in pixels.
const WIDTH: f64 = 960.0;
const MARGIN: f64 = 32.0;
/// Where bars begin, and the most that one takes.
const BARS: f64 = 128.0;
const LONGEST_BAR: f64 = 580.0;
const BAR_HEIGHT: f64 = 22.0;
const ROW: f64 = 36.0;
/// Cells of a line of the question; a cell is about as wide as a digit.
const LINE_CELLS: usize = 92;
/// The same for the question, whose letters are larger.
const QUESTION_CELLS: usize = 64;
const MOST_LINES: usize = 4;

/// The phases in their order; told apart with any kind of colour vision.
const COLORS: [&str; 7] = ["#56b4e9", "#0072b2", "#e69f00", "#8c8c8c", "#cc79a7", "#f0e442", "#009e73"];

const STYLE: &str = "\
text { font: 14px system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif; fill: #1b1f24; }
.page { fill: #ffffff; }
.title { font-size: 20px; font-weight: 600; }
.panel { font-weight: 600; }
.small, .tick { font-size: 12px; fill: #57606a; }
.tick { text-anchor: middle; }
.grid { stroke: #d0d7de; }
.whisker { stroke: #1b1f24; stroke-width: 1.5; fill: none; }
.halo { stroke: #ffffff; stroke-width: 4; fill: none; }
.failed { fill: #b42318; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.page { fill: #0d1117; }
.small, .tick { fill: #9aa4b0; }
.grid { stroke: #30363d; }
.whisker { stroke: #e6edf3; }
.halo { stroke: #0d1117; }
.failed { fill: #ff8a80; }
}
";

/// What has been drawn, and how far down.
struct Picture {
    body: String,
    y: f64,
}

/// A time that bars show: its spread, the run that stands for all, and the phases that are part of it.
struct Measure {
    title: &'static str,
    spread: fn(&ComparisonResult) -> &Spread,
    typical: fn(&ComparisonResult) -> &Timings,
    phases: usize,
}

const MEASURES: [Measure; 2] = [
    Measure {
        title: "Time to the first token",
        spread: |result| &result.time_to_first_token_seconds,
        typical: ComparisonResult::typical_first_token,
        phases: 6,
    },
    Measure {
        title: "Time to the end of the answer",
        spread: |result| &result.total_seconds,
        typical: ComparisonResult::typical_total,
        phases: 7,
    },
];

pub fn text(comparison: &Comparison, model: &str) -> String {
    let mut picture = Picture { body: String::new(), y: MARGIN };
    picture.heading(comparison, model);
    for measure in &MEASURES {
        picture.panel(comparison, measure);
    }
    picture.legend();
    picture.table(comparison);
    let height = (picture.y + MARGIN).ceil();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>\n{}</svg>\n",
        escape(&format!("Comparison of strategies: {}", comparison.question)),
        picture.body
    )
}

impl Picture {
    fn heading(&mut self, comparison: &Comparison, model: &str) {
        for line in lines(&comparison.question) {
            self.y += 26.0;
            self.text(MARGIN, self.y, "title", &line);
        }
        self.y += 24.0;
        let runs =
            if comparison.runs == 1 { "1 run".to_owned() } else { format!("{} runs", comparison.runs) };
        let about = format!(
            "{model} · {runs} of each strategy · bars: the run at the median; lines: smallest to largest"
        );
        self.text(MARGIN, self.y, "small", &cut(&about, 2 * LINE_CELLS));
        self.y += 16.0;
    }

    fn panel(&mut self, comparison: &Comparison, measure: &Measure) {
        self.y += 30.0;
        self.text(MARGIN, self.y, "panel", measure.title);
        let results = comparison.rows.iter().filter_map(|row| row.result.as_ref().ok());
        let longest = results.map(|result| (measure.spread)(result).max).fold(0.0, f64::max);
        let scale = if longest > 0.0 { LONGEST_BAR / longest } else { 0.0 };
        let top = self.y + 12.0;
        self.axis(longest, scale, top, top + ROW * comparison.rows.len() as f64);
        for (number, row) in comparison.rows.iter().enumerate() {
            self.bar(row, measure, scale, top + ROW * number as f64 + (ROW - BAR_HEIGHT) / 2.0);
        }
        self.y = top + ROW * comparison.rows.len() as f64 + 18.0;
    }

    /// Lines at round numbers, with the numbers under them.
    fn axis(&mut self, longest: f64, scale: f64, top: f64, bottom: f64) {
        let step = round_step(longest);
        let mut at = 0.0;
        while step > 0.0 && at <= longest {
            let x = BARS + at * scale;
            self.body += &format!(
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{top:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>\n"
            );
            let label = if at == 0.0 { "0".to_owned() } else { duration(at) };
            self.text(x, bottom + 14.0, "tick", &label);
            at += step;
        }
    }

    fn bar(&mut self, row: &ComparisonRow, measure: &Measure, scale: f64, top: f64) {
        let middle = top + BAR_HEIGHT / 2.0;
        self.text(MARGIN, middle + 5.0, "name", row.strategy.name());
        let result = match &row.result {
            Ok(result) => result,
            Err(failure) => {
                let reason = cut(&format!("failed: {}", failure.message), LINE_CELLS);
                return self.text(BARS + 8.0, middle + 5.0, "failed", &reason);
            }
        };
        let phases = (measure.typical)(result).phases();
        let mut x = BARS;
        for (Phase { name, seconds }, color) in phases.iter().zip(COLORS).take(measure.phases) {
            let width = seconds.max(0.0) * scale;
            self.body += &format!(
                "<rect x=\"{x:.2}\" y=\"{top:.1}\" width=\"{width:.2}\" height=\"{BAR_HEIGHT}\" fill=\"{color}\">\
                 <title>{name} {}</title></rect>\n",
                duration(*seconds)
            );
            x += width;
        }
        let spread = (measure.spread)(result);
        self.whisker(BARS + spread.min * scale, BARS + spread.max * scale, middle);
        let right = BARS + LONGEST_BAR.min((x - BARS).max(spread.max * scale)) + 12.0;
        self.text(right, middle + 5.0, "figure", &times(spread));
    }

    /// A line from the smallest to the largest, on a halo so that it is seen on any bar.
    fn whisker(&mut self, min: f64, max: f64, y: f64) {
        let (above, below) = (y - 6.0, y + 6.0);
        let path = format!(
            "M{min:.1} {above:.1}V{below:.1}M{min:.1} {y:.1}H{max:.1}M{max:.1} {above:.1}V{below:.1}"
        );
        for class in ["halo", "whisker"] {
            self.body += &format!("<path class=\"{class}\" d=\"{path}\"/>\n");
        }
    }

    fn legend(&mut self) {
        self.y += 24.0;
        let mut x = MARGIN;
        for (phase, color) in Timings::default().phases().iter().zip(COLORS) {
            self.body += &format!(
                "<rect x=\"{x:.0}\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{color}\"/>\n",
                self.y - 11.0
            );
            self.text(x + 18.0, self.y, "small", phase.name);
            x += 124.0;
        }
    }

    fn table(&mut self, comparison: &Comparison) {
        const COLUMNS: [(f64, &str); 6] = [
            (MARGIN, "strategy"),
            (150.0, "first token"),
            (270.0, "whole answer"),
            (410.0, "tokens/s"),
            (600.0, "KL of first token, nats"),
            (790.0, "same tokens as full"),
        ];
        self.y += 36.0;
        for (x, head) in COLUMNS {
            self.text(x, self.y, "small", head);
        }
        for row in &comparison.rows {
            let Ok(result) = &row.result else { continue };
            self.y += 24.0;
            let sooner = |times: Option<f64>| match speedup(times) {
                text if text.is_empty() => text,
                text => format!("{text} sooner"),
            };
            let cells = [
                row.strategy.name().to_owned(),
                sooner(result.first_token_speedup),
                sooner(full(comparison).and_then(|full| result.total_speedup(full))),
                rates(&result.tokens_per_second),
                divergence(result.first_token_divergence),
                agreement(result.agreement),
            ];
            for ((x, _), cell) in COLUMNS.iter().zip(cells) {
                self.text(*x, self.y, "cell", &cell);
            }
        }
    }

    fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        if !text.is_empty() {
            let text = escape(text);
            self.body += &format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>\n");
        }
    }
}

/// A step of 1, 2 or 5 times a power of ten that gives an axis up to `longest` two to five of them.
fn round_step(longest: f64) -> f64 {
    if !longest.is_finite() || longest <= 0.0 {
        return 0.0;
    }
    let power = 10f64.powf((longest / 2.0).log10().floor());
    let steps = [5.0, 2.0, 1.0].map(|step| step * power);
    steps.into_iter().find(|step| longest / step >= 2.0).unwrap_or(power)
}

/// The question on a few lines, broken at words where there are any.
fn lines(question: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let question = visible(question);
    for word in question.split_whitespace() {
        for piece in pieces(word) {
            match lines.last_mut() {
                Some(line) if line.is_empty() => *line = piece,
                Some(line) if line.width() + 1 + piece.width() <= QUESTION_CELLS => {
                    line.push(' ');
                    line.push_str(&piece);
                }
                _ => lines.push(piece),
            }
        }
    }
    if lines.len() > MOST_LINES {
        lines.truncate(MOST_LINES);
        lines[MOST_LINES - 1].push('…');
    }
    lines
}

/// A word in pieces none of which is longer than a line.
fn pieces(word: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for grapheme in word.graphemes(true) {
        match pieces.last_mut() {
            Some(piece) if piece.width() + grapheme.width() <= QUESTION_CELLS => piece.push_str(grapheme),
            _ => pieces.push(grapheme.to_owned()),
        }
    }
    pieces
}

/// `text` on one line of at most about `cells` cells.
fn cut(text: &str, cells: usize) -> String {
    let line = visible(text).split_whitespace().collect::<Vec<_>>().join(" ");
    if line.width() <= cells {
        return line;
    }
    let mut out = String::new();
    for grapheme in line.graphemes(true) {
        if out.width() + grapheme.width() + 1 > cells {
            break;
        }
        out += grapheme;
    }
    out + "…"
}

/// Safe between tags. XML has no way to write most control characters, nor U+FFFE and U+FFFF.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in visible(text).chars() {
        match character {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            '\u{fffe}' | '\u{ffff}' => out.push(char::REPLACEMENT_CHARACTER),
            character => out.push(character),
        }
    }
    out
}
