//! Inputs made from other inputs.

use std::io::{Cursor, Read, Write};

use crate::support::Chance;
use zip::{ZipArchive, ZipWriter, write::SimpleFileOptions};

/// Pieces that mean something to one format or another.
const PIECES: &[&[u8]] = &[
    b"\0",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"-1",
    b"0",
    b"4294967295",
    b"18446744073709551615",
    b"1e999",
    b"NaN",
    b"<",
    b">",
    b"&amp;",
    b"&#0;",
    b"&#x110000;",
    b"<![CDATA[",
    b"<!DOCTYPE a [<!ENTITY b \"c\">]>",
    b"<table>",
    b"</div>",
    b"<w:p>",
    b"</w:p>",
    b"[",
    b"]",
    b"{",
    b"}",
    b"((((((((",
    b"\"",
    b"\\",
    b"\\u0000",
    b"# ",
    b"## ",
    b"===\n",
    b"* ",
    b"```",
    b"\n\n",
    b"\r\n",
    b",",
    b";",
    b"\t",
    b".SH ",
    b".de x\n",
    b"From a@b Mon\n",
    b"Content-Type: multipart/mixed; boundary=b\n",
    b"--b\n",
    b"obj",
    b"endobj",
    b"stream\n",
    b"/Kids [1 0 R]",
    b"/Length 999999999",
    b"/FlateDecode",
    b"PK\x03\x04",
    b"\x1f\x8b\x08",
    b"GGUF",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xe3\x81\x82",
    b"\xed\xa0\x80",
    b"ctrl-",
    b"\x1b[2J",
];

/// Makes inputs; the same for the same seed and the same inputs to begin with.
pub struct Mutator<'s> {
    seeds: &'s [Vec<u8>],
    chance: Chance,
}

impl<'s> Mutator<'s> {
    pub fn new(seed: u64, seeds: &'s [Vec<u8>]) -> Self {
        Self { seeds, chance: Chance(seed) }
    }

    fn below(&mut self, end: usize) -> usize {
        self.chance.below(end)
    }

    pub fn next(&mut self, most: usize) -> Vec<u8> {
        let seeds = self.seeds;
        let seed = &seeds[self.below(seeds.len())];
        let mut input = match seed.starts_with(b"PK\x03\x04") && self.below(10) < 9 {
            true => self.inside_archive(seed, most).unwrap_or_else(|| self.mutated(seed, most)),
            false => self.mutated(seed, most),
        };
        input.truncate(most);
        input
    }

    fn mutated(&mut self, seed: &[u8], most: usize) -> Vec<u8> {
        let mut input = seed.to_vec();
        input.truncate(most);
        for _ in 0..1 + self.below(8) {
            self.mutate(&mut input);
        }
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        let to = (at + 1 + self.below(64)).min(input.len());
        match self.below(11) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = self.below(256) as u8,
            2 => drop(input.drain(at.min(to)..to)),
            3 => input.truncate(at),
            4 => {
                let piece = PIECES[self.below(PIECES.len())];
                input.splice(at..at, piece.iter().copied());
            }
            5 if at < to => {
                let piece = PIECES[self.below(PIECES.len())];
                input.splice(at..to, piece.iter().copied());
            }
            // The same again and again: what nests, nests deep.
            6 if at < to => {
                let (part, times) = (input[at..to].to_vec(), 1 << self.below(12));
                let copies: Vec<u8> = part.iter().copied().cycle().take(part.len() * times).collect();
                input.splice(at..at, copies);
            }
            7 => {
                let (piece, times) = (PIECES[self.below(PIECES.len())], 1 << self.below(14));
                let copies: Vec<u8> = piece.iter().copied().cycle().take(piece.len() * times).collect();
                input.splice(at..at, copies);
            }
            8 => {
                let other = &self.seeds[self.below(self.seeds.len())];
                let from = self.below(other.len() + 1);
                let end = (from + self.below(2048)).min(other.len());
                let part = other[from..end].to_vec();
                input.splice(at..to.max(at), part);
            }
            9 if at + 8 <= input.len() => {
                let number =
                    [0, 1, 0x7f, 0xff, 0xffff, u64::from(u32::MAX), u64::MAX, 1 << 40][self.below(8)];
                let width = [1, 2, 4, 8][self.below(4)];
                input[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
            }
            _ => {
                for byte in &mut input[at..to] {
                    *byte = self.below(256) as u8;
                }
            }
        }
    }

    /// The same archive with one of its members mutated.
    fn inside_archive(&mut self, seed: &[u8], most: usize) -> Option<Vec<u8>> {
        let mut archive = ZipArchive::new(Cursor::new(seed)).ok()?;
        let chosen = self.below(archive.len());
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for index in 0..archive.len() {
            let mut member = archive.by_index(index).ok()?;
            let (name, mut content) = (member.name().ok()?.into_owned(), Vec::new());
            member.by_ref().take(most as u64).read_to_end(&mut content).ok()?;
            if index == chosen {
                content = self.mutated(&content, most);
            }
            writer.start_file(name, SimpleFileOptions::default()).ok()?;
            writer.write_all(&content).ok()?;
        }
        Some(writer.finish().ok()?.into_inner())
    }
}
