//! Zip archives, within limits that hold while a member is inflated, whatever its header says.

use std::io::{Cursor, Read};

use zip::{ZipArchive, result::ZipError};

use super::{Format, decode, size_in_mib};

/// An archive may have so many members.
const MAX_MEMBERS: usize = 10_000;
/// All members that are read may together have so many bytes.
const MAX_BYTES: u64 = 256 << 20;
/// A member larger than [`FLOOR_BYTES`] may have so many times the bytes that it takes in the archive. Text that a
/// person wrote shrinks to a fifth, the most repetitive tables to a hundredth.
const MAX_RATIO: u64 = 200;
const FLOOR_BYTES: u64 = 1 << 20;

pub(super) struct Archive {
    zip: ZipArchive<Cursor<Vec<u8>>>,
    /// Bytes that may still be inflated.
    left: u64,
}

impl Archive {
    /// Opens an archive, or says why it is none that is read.
    pub fn open(bytes: Vec<u8>) -> Result<Self, String> {
        if super::is_compound_file(&bytes) {
            return Err("skipped: it is encrypted; save it without a password".to_owned());
        }
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| reason_of(&error))?;
        match zip.len() > MAX_MEMBERS {
            true => Err(format!("skipped: it has more than {MAX_MEMBERS} parts")),
            false => Ok(Self { zip, left: MAX_BYTES }),
        }
    }

    /// Whether there is a member of this name.
    pub fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(name).is_some()
    }

    /// Inflates every member once, for those who hand the archive to a library that sets no limits.
    ///
    /// # Errors
    /// As for [`member`](Self::member).
    pub fn check_all(&mut self) -> Result<(), String> {
        for index in 0..self.zip.len() {
            let member = self.zip.by_index(index).map_err(|error| reason_of(&error))?;
            let compressed = member.compressed_size();
            self.left -= inflate(member, compressed, self.left)?.len() as u64;
        }
        Ok(())
    }

    /// A member's bytes; `None` where there is none of that name.
    ///
    /// # Errors
    /// When it is damaged or encrypted or takes more than a member may.
    pub fn member(&mut self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let member = match self.zip.by_name(name) {
            Ok(member) => member,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(reason_of(&error)),
        };
        let compressed = member.compressed_size();
        let bytes = inflate(member, compressed, self.left)?;
        self.left -= bytes.len() as u64;
        Ok(Some(bytes))
    }

    /// A member's text; `None` where there is none of that name.
    ///
    /// # Errors
    /// As for [`member`](Self::member).
    pub fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        let bytes = self.member(name)?;
        Ok(bytes.map(|bytes| decode::text_of(bytes).unwrap_or_default()))
    }

    /// The text of a member that has to be there.
    ///
    /// # Errors
    /// As for [`member`](Self::member), and when it is not there.
    pub fn needed_text(&mut self, name: &str) -> Result<String, String> {
        self.text(name)?
            .ok_or_else(|| format!("skipped: damaged: its part {} is missing", super::heading_text(name)))
    }
}

/// What `source` gives, as long as that is at most `left` bytes and no bomb: what inflates from `compressed` bytes.
pub(super) fn inflate(source: impl Read, compressed: u64, left: u64) -> Result<Vec<u8>, String> {
    let ratio_bytes = compressed.saturating_mul(MAX_RATIO).max(FLOOR_BYTES);
    let mut bytes = Vec::new();
    source
        .take(left.min(ratio_bytes) + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("skipped: its compressed data is damaged ({error})"))?;
    match bytes.len() as u64 {
        length if length > left => {
            Err(format!("skipped: decompressed, it has more than the limit of {}", size_in_mib(MAX_BYTES)))
        }
        length if length > ratio_bytes => Err(format!(
            "skipped: decompressed, it is more than {MAX_RATIO} times as large, as no document is"
        )),
        _ => Ok(bytes),
    }
}

/// Bytes that one compressed file may have when it is decompressed.
pub(super) const fn most_bytes() -> u64 {
    MAX_BYTES
}

/// The format of the document that a zip archive holds, by its parts; `None` for any other archive.
pub(super) fn format_of(bytes: &[u8]) -> Option<Format> {
    let zip = ZipArchive::new(Cursor::new(bytes)).ok()?;
    let has = |name: &str| zip.index_for_name(name).is_some();
    match () {
        () if has("word/document.xml") => Some(Format::Docx),
        () if has("ppt/presentation.xml") => Some(Format::Pptx),
        () if has("xl/workbook.xml") => Some(Format::Sheet),
        () if has("META-INF/container.xml") && has("mimetype") => Some(Format::Epub),
        () => None,
    }
}

/// A path in an archive that stands in the member `from` as a relative one. Nothing of it ever names a file on disk.
pub(super) fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = match target.starts_with('/') {
        true => Vec::new(),
        false => from.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev().collect(),
    };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn reason_of(error: &ZipError) -> String {
    match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => {
            "skipped: it is encrypted; save it without a password".to_owned()
        }
        error => format!("skipped: damaged, or not what its name says ({error})"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

    /// An archive of these members.
    pub(in crate::corpus::formats) fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in members {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn members_are_read_by_name() {
        let mut archive = Archive::open(zip(&[("a/b.xml", "Größe".as_bytes())])).unwrap();
        assert!(archive.has("a/b.xml") && !archive.has("b.xml"));
        assert_eq!(archive.needed_text("a/b.xml").as_deref(), Ok("Größe"));
        assert_eq!(archive.member("c"), Ok(None));
        assert!(archive.needed_text("c").is_err_and(|reason| reason.contains("missing")));
    }

    #[test]
    fn bombs_are_refused_while_they_are_inflated() {
        let bomb = zip(&[("a", &vec![b' '; 64 << 20])]);
        assert!(bomb.len() < 1 << 20);
        let refused = Archive::open(bomb).unwrap().member("a");
        assert!(refused.is_err_and(|reason| reason.contains("200 times")));
        assert!(inflate(&[b' '; 100][..], 100, 99).is_err_and(|reason| reason.contains("256 MiB")));
        let many: Vec<(String, Vec<u8>)> =
            (0..=MAX_MEMBERS).map(|number| (number.to_string(), Vec::new())).collect();
        let many: Vec<(&str, &[u8])> =
            many.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
        assert!(Archive::open(zip(&many)).is_err_and(|reason| reason.contains("10000")));
    }

    #[test]
    fn truncated_archives_are_refused() {
        let whole = zip(&[("a", b"some text that is long enough")]);
        for length in 0..whole.len() {
            let outcome = Archive::open(whole[..length].to_vec()).and_then(|mut archive| archive.member("a"));
            assert!(outcome.is_err(), "{length} bytes");
        }
    }

    #[test]
    fn relative_paths_stay_in_the_archive() {
        assert_eq!(resolve("OEBPS/content.opf", "text/one.xhtml"), "OEBPS/text/one.xhtml");
        assert_eq!(resolve("ppt/slides/slide1.xml", "../notes/n.xml"), "ppt/notes/n.xml");
        assert_eq!(resolve("a.xml", "../../../etc/passwd"), "etc/passwd");
        assert_eq!(resolve("a/b.xml", "/c.xml"), "c.xml");
    }
}
