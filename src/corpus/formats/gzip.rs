//! Compressed files: what is inside is read as its own name says, once; archives of several files are not.

use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::{Converted, Format, archive, convert_as};

pub(super) fn convert(name: &Path, bytes: Vec<u8>) -> Result<Converted, String> {
    let inner = inner_name(name);
    let compressed = bytes.len() as u64;
    let content = archive::inflate(MultiGzDecoder::new(bytes.as_slice()), compressed, archive::most_bytes())?;
    drop(bytes);
    match Format::of(&inner, &content) {
        Format::Gzip => Err("skipped: compressed more than once".to_owned()),
        format => convert_as(format, &inner, content),
    }
}

/// `dome.1.gz` to `dome.1`.
fn inner_name(name: &Path) -> std::path::PathBuf {
    match name.extension() {
        Some(extension) if extension.eq_ignore_ascii_case("gz") => name.with_extension(""),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn read(name: &str, bytes: Vec<u8>) -> Result<Converted, String> {
        convert(Path::new(name), bytes)
    }

    #[test]
    fn what_is_inside_is_read_by_its_own_name() {
        let markdown = read("dome.md.gz", gzip(b"# Dome\n\nText\n")).unwrap();
        assert_eq!((markdown.headings[0].text.as_str(), markdown.has_lines), ("Dome", true));
        assert_eq!(read("log.gz", gzip(b"opened\n")).unwrap().text, "opened\n");
    }

    #[test]
    fn bombs_and_layers_and_stumps_are_refused() {
        let bomb = gzip(&vec![b'a'; 300 << 20]);
        assert!(read("a.txt.gz", bomb).is_err_and(|reason| reason.contains("200 times")));
        assert!(read("a.gz.gz", gzip(&gzip(b"a"))).is_err_and(|reason| reason.contains("more than once")));
        let whole = gzip(b"some text that is long enough");
        assert!(read("a.txt.gz", whole[..whole.len() / 2].to_vec()).is_err());
        assert!(read("a.gz", gzip(b"\x7fELF\0\0")).is_err_and(|reason| reason.contains("not text")));
    }
}
