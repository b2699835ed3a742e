//! Jupyter notebooks: text as it is, code between fences, and what the code printed.

use serde_json::Value;

use super::{Converted, DocumentKind, boundary_before, markdown, text::Text};

/// The most bytes of one cell's output that are kept; tables of numbers say nothing.
const OUTPUT_BYTES: usize = 4 << 10;

pub(super) fn convert(source: &str) -> Result<Converted, String> {
    let notebook: Value = serde_json::from_str(source)
        .map_err(|error| format!("skipped: not a notebook, or damaged ({error})"))?;
    let cells = notebook["cells"]
        .as_array()
        .ok_or("skipped: not a notebook of version 4; save it again in Jupyter")?;
    let language = notebook["metadata"]["language_info"]["name"]
        .as_str()
        .or(notebook["metadata"]["kernelspec"]["language"].as_str())
        .filter(|name| name.chars().all(char::is_alphanumeric))
        .unwrap_or_default();
    let mut text = Text::default();
    let mut shortened = 0;
    for cell in cells {
        let content = joined(&cell["source"]);
        match cell["cell_type"].as_str() {
            Some("code") => {
                text.block(&fenced(&content, language))?;
                let (output, is_cut) = output_of(cell);
                shortened += usize::from(is_cut);
                text.block(&fenced(&output, ""))?;
            }
            _ => text.markdown(content.trim(), markdown::headings(content.trim()))?,
        }
    }
    let incomplete = (shortened > 0)
        .then(|| format!("the output of {shortened} cells is cut after {} KiB", OUTPUT_BYTES >> 10));
    Ok(Converted { incomplete, ..text.finish(DocumentKind::Markdown, None) })
}

/// Text that is kept as one string or as a list of lines.
fn joined(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        _ => String::new(),
    }
}

/// What a cell printed and gave as text, and whether something of it is cut off.
fn output_of(cell: &Value) -> (String, bool) {
    let mut output = String::new();
    for part in cell["outputs"].as_array().into_iter().flatten() {
        output.push_str(&joined(&part["text"]));
        output.push_str(&joined(&part["data"]["text/plain"]));
        if !output.is_empty() && !output.ends_with('\n') {
            output.push('\n');
        }
    }
    let end = boundary_before(&output, OUTPUT_BYTES);
    let is_cut = end < output.len();
    output.truncate(end);
    (output, is_cut)
}

/// `content` between fences longer than any in it; nothing where it is blank.
fn fenced(content: &str, language: &str) -> String {
    if content.trim().is_empty() {
        return String::new();
    }
    let longest =
        content.lines().map(|line| line.trim_start().bytes().take_while(|byte| *byte == b'`').count()).max();
    let fence = "`".repeat(longest.unwrap_or(0).max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}", content.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_come_in_order_with_what_they_printed() {
        let source = r###"{"cells": [
            {"cell_type": "markdown", "source": ["# Wind\n", "\n", "Limits."]},
            {"cell_type": "code", "source": "limit = 15\nlimit", "outputs": [
                {"output_type": "execute_result", "data": {"text/plain": ["15"], "image/png": "AAAA"}}]},
            {"cell_type": "markdown", "source": "## Rain"}
        ], "metadata": {"language_info": {"name": "python"}}, "nbformat": 4}"###;
        let converted = convert(source).unwrap();
        assert_eq!(
            converted.text,
            "# Wind\n\nLimits.\n\n```python\nlimit = 15\nlimit\n```\n\n```\n15\n```\n\n## Rain"
        );
        let headings: Vec<_> =
            converted.headings.iter().map(|h| (h.level, h.text.as_str(), h.offset)).collect();
        assert_eq!(headings, [(1, "Wind", 0), (2, "Rain", 61)]);
    }

    #[test]
    fn fences_in_code_and_long_outputs_are_bounded() {
        assert_eq!(fenced("a\n```\nb", "r"), "````r\na\n```\nb\n````");
        let cell = serde_json::json!({"outputs": [{"text": "é".repeat(OUTPUT_BYTES)}]});
        assert!(output_of(&cell).1 && output_of(&cell).0.len() <= OUTPUT_BYTES);
        assert!(convert("{\"cells\": 1}").is_err() && convert(&"[".repeat(10_000)).is_err());
    }
}
