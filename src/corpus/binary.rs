//! Files that are known by their names to hold no text: a folder of photos is told in one line, not in a thousand.

use std::{collections::BTreeMap, path::Path};

/// What kind of file it is, in the words of the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Image,
    Audio,
    Video,
    Archive,
    Program,
    Font,
    Database,
    Model,
}

impl Kind {
    /// The kind that a file's extension says; `None` where it may be text or a document.
    pub fn of(name: &Path) -> Option<Self> {
        let extension = name.extension()?.to_str()?.to_ascii_lowercase();
        let stem = name.file_stem().map(Path::new).and_then(Path::extension);
        Some(match extension.as_str() {
            "png" | "jpg" | "jpeg" | "gif" | "bmp" | "tif" | "tiff" | "webp" | "ico" | "icns" | "heic"
            | "heif" | "avif" | "psd" | "xcf" | "cr2" | "cr3" | "nef" | "arw" | "dng" | "jxl" => Self::Image,
            "mp3" | "wav" | "flac" | "ogg" | "oga" | "opus" | "m4a" | "aac" | "wma" | "aiff" | "aif"
            | "mid" => Self::Audio,
            "mp4" | "mkv" | "avi" | "mov" | "webm" | "m4v" | "wmv" | "flv" | "mpg" | "mpeg" | "3gp" => {
                Self::Video
            }
            "zip" | "tar" | "tgz" | "tbz" | "tbz2" | "txz" | "bz2" | "xz" | "zst" | "lz4" | "lzma" | "7z"
            | "rar" | "jar" | "war" | "whl" | "apk" | "iso" | "dmg" | "deb" | "rpm" | "cab" | "crate" => {
                Self::Archive
            }
            "gz" if stem.is_some_and(|inner| inner.eq_ignore_ascii_case("tar")) => Self::Archive,
            "o" | "a" | "so" | "dylib" | "dll" | "exe" | "msi" | "class" | "pyc" | "pyo" | "wasm"
            | "rlib" | "rmeta" | "ko" | "elc" | "beam" => Self::Program,
            "ttf" | "otf" | "ttc" | "woff" | "woff2" | "eot" => Self::Font,
            "sqlite" | "sqlite3" | "db3" | "mdb" | "accdb" | "parquet" | "arrow" | "feather" => {
                Self::Database
            }
            "gguf" | "ggml" | "safetensors" | "onnx" | "pt" | "pth" | "ckpt" | "npy" | "npz" | "h5"
            | "hdf5" | "pkl" => Self::Model,
            _ => return None,
        })
    }

    fn counted(self, count: usize) -> String {
        let (one, many) = match self {
            Self::Image => ("image", "images"),
            Self::Audio => ("audio file", "audio files"),
            Self::Video => ("video", "videos"),
            Self::Archive => ("archive", "archives"),
            Self::Program => ("program or library", "programs and libraries"),
            Self::Font => ("font", "fonts"),
            Self::Database => ("database", "databases"),
            Self::Model => ("file of weights or arrays", "files of weights and arrays"),
        };
        format!("{count} {}", if count == 1 { one } else { many })
    }
}

/// How many files of each kind were left out of a folder.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    counts: BTreeMap<Kind, usize>,
}

impl LeftOut {
    pub fn add(&mut self, kind: Kind) {
        *self.counts.entry(kind).or_default() += 1;
    }

    /// `skipped: 312 images, 1 font: they hold no text`; `None` where there are none.
    pub fn reason(&self) -> Option<String> {
        let counts: Vec<String> = self.counts.iter().map(|(kind, count)| kind.counted(*count)).collect();
        (!counts.is_empty())
            .then(|| format!("skipped: {} (by their names, files without text)", counts.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_is_no_text() {
        let kind = |name: &str| Kind::of(Path::new(name));
        assert_eq!(kind("a/IMG_1.JPG"), Some(Kind::Image));
        assert_eq!(kind("a.tar.gz"), Some(Kind::Archive));
        for read in ["a.md.gz", "a.ts", "a.svg", "a.docx", "a.bin", "png", "a.dat", "notes.1"] {
            assert_eq!(kind(read), None, "{read}");
        }
    }

    #[test]
    fn kinds_are_counted() {
        let mut left_out = LeftOut::default();
        assert_eq!(left_out.reason(), None);
        for kind in [Kind::Font, Kind::Image, Kind::Image] {
            left_out.add(kind);
        }
        assert_eq!(
            left_out.reason().as_deref(),
            Some("skipped: 2 images, 1 font (by their names, files without text)")
        );
    }
}
