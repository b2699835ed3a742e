//! `bench gpu`: what the GPU reaches with a model's shape, as a table or JSON.

use std::{fs, io, path::PathBuf};

use serde_json::json;

use super::{
    Console, Error, Exit, Stream, Style, json,
    text::{bytes, seconds, table},
};
use crate::{
    config::Config,
    engine::export::json::document,
    engine::gpu_bench::{self, Ceilings, GpuBenchOptions, GpuBenchReport, Row},
};

/// What `bench gpu` was asked for.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// All but the baseline's text.
    pub measure: GpuBenchOptions,
    /// The output of PyTorch's baseline on this machine.
    pub baseline: Option<PathBuf>,
    /// Where the JSON is written beside what is printed.
    pub output: Option<PathBuf>,
    pub json: bool,
}

pub fn gpu(config: &Config, options: &BenchOptions, console: &mut Console) -> Result<Exit, Error> {
    let mut measure = options.measure.clone();
    if let Some(path) = &options.baseline {
        let text = fs::read_to_string(path).map_err(|error| {
            Error::usage(
                format!("the baseline {} cannot be read: {error}", console.path(path)),
                "Give the file into which the baseline's JSON lines were written.",
            )
        })?;
        measure.baseline = Some(text);
    }
    let report = gpu_bench::run(config, &measure, &mut |step| console.note(step))?;
    let body = json!({ "report": report });
    if let Some(path) = &options.output {
        let text = document("gpu_benchmark", body.clone()).map_err(io::Error::other)?;
        fs::write(path, format!("{text}\n"))?;
    }
    if options.json {
        json::print(console, "gpu_benchmark", body)?;
    } else {
        let text = listing(&report, console.style(Stream::Output));
        console.output(&text)?;
    }
    Ok(Exit::Done)
}

fn listing(report: &GpuBenchReport, style: Style) -> String {
    let Ceilings { device_copy, host_to_device, device_to_host, product } = report.ceilings;
    let mut text = format!(
        "{}, driver {}\n{} with random weights in {}: {:.2} billion parameters, {} of weights, {} of cache per token\n\
         measured here: copy on the device {}, from pinned memory {}, into it {}, products {:.0} TFLOP/s\n\n",
        report.device,
        report.driver,
        report.shape,
        report.number_format,
        report.parameters as f64 / 1e9,
        bytes(report.weight_bytes),
        bytes(report.cache_bytes_per_token),
        rate(device_copy),
        rate(host_to_device),
        rate(device_to_host),
        product / 1e12,
    );
    let header = [
        "figure",
        "context",
        "chunk",
        "from",
        "median",
        "least",
        "most",
        "floor",
        "× floor",
        "other",
        "× better",
    ];
    let rows: Vec<Vec<String>> = report.rows.iter().map(cells).collect();
    text += &table(&header, "<>><>>>>>>>", &rows, style);
    for row in report.rows.iter().filter(|row| !row.parts.is_empty()) {
        let parts: Vec<String> =
            row.parts.iter().map(|part| format!("{} {}", part.name, seconds(part.seconds))).collect();
        let [figure, context, chunk, from] = name(row);
        text += &format!("\n{figure} {context} {chunk} {from}: {}", parts.join(", "));
    }
    if report.rows.iter().any(|row| !row.parts.is_empty()) {
        text.push('\n');
    }
    for note in &report.notes {
        text += &format!("{note}\n");
    }
    text
}

fn name(row: &Row) -> [String; 4] {
    let number = |value: Option<usize>| value.map_or(String::new(), |value| value.to_string());
    [
        row.figure.name().to_owned(),
        number(row.context),
        number(row.chunk),
        row.from.map_or("", |tier| tier.name()).to_owned(),
    ]
}

fn cells(row: &Row) -> Vec<String> {
    let figure = |value: f64| match (row.figure.is_rate(), row.figure.counts_tokens()) {
        (true, true) => format!("{value:.0} tok/s"),
        (true, false) => rate(value),
        (false, _) => seconds(value),
    };
    let ratio = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.2}"));
    let mut cells = name(row).to_vec();
    cells.extend([row.measured.median, row.measured.min, row.measured.max].map(figure));
    cells.push(row.floor.map_or(String::new(), figure));
    cells.push(ratio(row.over_floor()));
    cells.push(row.other.map_or(String::new(), figure));
    cells.push(ratio(row.over_other()));
    cells
}

/// Bytes per second.
fn rate(value: f64) -> String {
    match value {
        v if v >= 1e12 => format!("{:.2} TB/s", v / 1e12),
        v if v >= 1e10 => format!("{:.1} GB/s", v / 1e9),
        v if v >= 1e9 => format!("{:.2} GB/s", v / 1e9),
        v => format!("{:.0} MB/s", v / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{
        Spread,
        gpu_bench::{BenchTier, Figure, Part},
    };

    #[test]
    fn figures_stand_in_columns_with_their_ratios() {
        let spread = |median: f64| Spread { median, min: 0.9 * median, max: 1.1 * median };
        let first = Row {
            context: Some(131_072),
            chunk: Some(512),
            from: Some(BenchTier::Host),
            floor: Some(0.31),
            other: Some(11.89),
            parts: vec![Part { name: "load", seconds: 0.3 }, Part { name: "prefill", seconds: 0.04 }],
            ..Row::new(Figure::FirstToken, spread(0.34))
        };
        let encode =
            Row { chunk: Some(512), other: Some(35_000.0), ..Row::new(Figure::Encode, spread(34_000.0)) };
        let read = Row { other: Some(2.5e10), ..Row::new(Figure::Read, spread(2.4e10)) };
        let report = GpuBenchReport {
            device: "NVIDIA H200".into(),
            driver: "13.0".into(),
            shape: "llama-3.1-8b".into(),
            number_format: "bf16",
            parameters: 8_030_261_248,
            weight_bytes: 16_060_522_496,
            cache_bytes_per_token: 131_072,
            ceilings: Ceilings {
                device_copy: 4.3e12,
                host_to_device: 5.5e10,
                device_to_host: 5.2e10,
                product: 7.9e14,
            },
            rows: vec![encode, read, first],
            notes: vec!["128k from cold-disk was left out: the disk has 8 GiB free".into()],
        };
        insta::assert_snapshot!(listing(&report, Style::PLAIN));
    }
}
