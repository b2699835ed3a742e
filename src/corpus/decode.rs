//! Bytes to text, whatever encoding they are in.
//!
//! A byte order mark decides; then UTF-16 shows in every other byte being NUL, and UTF-8 in being valid. Everything else
//! is guessed from which bytes follow which (Latin-1 and its relatives, Shift-JIS, EUC, Big5, Cyrillic and so on). A
//! file with a NUL byte in its first 8 KiB, or with too many bytes that no text has, is not text. Where a mostly readable
//! file holds some bytes that do not fit, each broken sequence becomes U+FFFD: one bad byte should not hide a
//! document. Line ends are `\n` afterwards.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GB18030, GBK, IBM866, ISO_8859_5, ISO_8859_6, ISO_8859_7, ISO_8859_8,
    KOI8_R, KOI8_U, SHIFT_JIS, WINDOWS_874, WINDOWS_1251, WINDOWS_1253, WINDOWS_1255, WINDOWS_1256,
};

/// How much of a file is searched for NUL bytes.
const PROBE_BYTES: usize = 8192;
/// A file is text while at most one byte in this many is one that no text has.
const STRANGE_BYTES_ONE_IN: usize = 10;
/// How much of a file the encoding is guessed from; what follows seldom changes it.
const GUESS_BYTES: usize = 256 << 10;
/// In a script with Latin letters, at most one character in this many is outside ASCII.
const ACCENTED_ONE_IN: usize = 3;

/// Encodings in which a text may be almost without ASCII.
const OTHER_SCRIPTS: [&Encoding; 19] = [
    BIG5,
    EUC_JP,
    EUC_KR,
    GB18030,
    GBK,
    IBM866,
    ISO_8859_5,
    ISO_8859_6,
    ISO_8859_7,
    ISO_8859_8,
    KOI8_R,
    KOI8_U,
    SHIFT_JIS,
    WINDOWS_874,
    WINDOWS_1251,
    WINDOWS_1253,
    WINDOWS_1255,
    WINDOWS_1256,
    encoding_rs::ISO_8859_8_I,
];

/// The text that the bytes stand for; `None` where they are none.
pub(super) fn text_of(bytes: Vec<u8>) -> Option<String> {
    let text = match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest.to_vec()),
        _ => match unmarked_utf16(&bytes) {
            Some(unit) => utf16(&bytes, unit),
            None => utf8(bytes),
        },
    }?;
    Some(if text.contains('\r') { text.replace("\r\n", "\n") } else { text })
}

/// How UTF-16 without a byte order mark joins its bytes: in text with some ASCII, NUL bytes stand on one side only.
fn unmarked_utf16(bytes: &[u8]) -> Option<fn([u8; 2]) -> u16> {
    let probe = &bytes[..bytes.len().min(PROBE_BYTES)];
    let nul = |side: usize| probe.iter().skip(side).step_by(2).filter(|&&byte| byte == 0).count();
    let (even, odd) = (nul(0), nul(1));
    match probe.len() / 2 {
        units if units >= 4 && even == 0 && odd * 2 > units => Some(u16::from_le_bytes),
        units if units >= 4 && odd == 0 && even * 2 > units => Some(u16::from_be_bytes),
        _ => None,
    }
}

/// UTF-8 or an older encoding.
fn utf8(bytes: Vec<u8>) -> Option<String> {
    if bytes.iter().take(PROBE_BYTES).any(|&byte| byte == 0) {
        return None;
    }
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return is_text(controls(text.as_bytes()), text.len()).then_some(text),
        Err(error) => error.into_bytes(),
    };
    let signs = Utf8Signs::of(&bytes);
    if signs.characters > signs.broken && is_text(signs.broken + controls(&bytes), bytes.len()) {
        return Some(String::from_utf8_lossy(&bytes).into_owned());
    }
    older(&bytes)
}

fn is_text(strange: usize, all: usize) -> bool {
    strange * STRANGE_BYTES_ONE_IN <= all
}

/// Control characters that text files do not hold.
fn controls(bytes: &[u8]) -> usize {
    let is_strange = |&byte: &u8| u8::from(matches!(byte, 0..=8 | 14..=26 | 28..=31 | 127));
    // Sums of bytes in bytes, of as many as cannot overflow: many at a time for the processor.
    bytes.chunks(255).map(|part| usize::from(part.iter().map(is_strange).sum::<u8>())).sum()
}

/// Whether bytes that are not all UTF-8 were meant to be.
struct Utf8Signs {
    /// Whole characters of more than one byte.
    characters: usize,
    /// Bytes that are part of none.
    broken: usize,
}

impl Utf8Signs {
    fn of(bytes: &[u8]) -> Self {
        bytes.utf8_chunks().fold(Self { characters: 0, broken: 0 }, |signs, chunk| Self {
            characters: signs.characters + chunk.valid().chars().filter(|letter| !letter.is_ascii()).count(),
            broken: signs.broken + chunk.invalid().len(),
        })
    }
}

/// Text in the encoding that its bytes make most likely.
fn older(bytes: &[u8]) -> Option<String> {
    if !is_text(controls(bytes), bytes.len()) {
        return None;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(&bytes[..bytes.len().min(GUESS_BYTES)], true);
    let encoding = detector.guess(None, Utf8Detection::Deny);
    let (text, _) = encoding.decode_without_bom_handling(bytes);
    is_plausible(&text, encoding).then(|| text.into_owned())
}

/// Any bytes are *something* in most encodings: text is known by what it consists of.
fn is_plausible(text: &str, encoding: &'static Encoding) -> bool {
    let (mut all, mut outside, mut strange) = (0, 0, 0);
    for character in text.chars() {
        all += 1;
        outside += usize::from(!character.is_ascii());
        let is_private = matches!(character, '\u{e000}'..='\u{f8ff}');
        let is_control = matches!(character, '\u{80}'..='\u{9f}');
        strange += usize::from(character == char::REPLACEMENT_CHARACTER || is_private || is_control);
    }
    let fits_script = OTHER_SCRIPTS.contains(&encoding) || outside * ACCENTED_ONE_IN <= all;
    fits_script && strange * STRANGE_BYTES_ONE_IN <= outside.max(STRANGE_BYTES_ONE_IN)
}

/// `None` where the units are not mostly text: a file may begin with these two bytes by chance.
fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let pairs = bytes.chunks_exact(2);
    let odd = pairs.remainder().len();
    let units = pairs.map(|pair| unit([pair[0], pair[1]]));
    let (mut text, mut count, mut strange) = (String::with_capacity(bytes.len()), 0, odd);
    for character in char::decode_utf16(units) {
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        count += 1;
        strange += usize::from(character == char::REPLACEMENT_CHARACTER || character == '\0');
        text.push(character);
    }
    if odd > 0 {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    (strange * STRANGE_BYTES_ONE_IN <= count + odd * STRANGE_BYTES_ONE_IN).then_some(text)
}

#[cfg(test)]
mod tests {
    use encoding_rs::WINDOWS_1252;

    use super::*;

    const JAPANESE: &str = "# 天文台\n\nドームは日の出に閉まります。風速が毎秒十五メートルを超えるときも閉めます。\n鏡の手入れは毎年十月に行います。\n";
    const RUSSIAN: &str =
        "Купол закрывается на рассвете. Ветер сильнее пятнадцати метров в секунду тоже закрывает купол.\n";
    const CHINESE: &str = "天文台的圆顶在黎明时关闭。风速超过每秒十五米时也会关闭。镜子每年十月清洗一次。\n";
    const KOREAN: &str = "천문대의 돔은 새벽에 닫힙니다. 풍속이 초속 십오 미터를 넘을 때에도 닫습니다.\n";
    const FRENCH: &str =
        "Le café près du dôme ouvre à neuf heures; l'été, il est fermé le lundi, à cause de la chaleur.\n";

    #[test]
    fn older_encodings_are_recognised() {
        let cases = [
            (SHIFT_JIS, JAPANESE),
            (EUC_JP, JAPANESE),
            (WINDOWS_1251, RUSSIAN),
            (KOI8_R, RUSSIAN),
            (GBK, CHINESE),
            (EUC_KR, KOREAN),
            (WINDOWS_1252, FRENCH),
        ];
        for (encoding, text) in cases {
            let bytes = encoding.encode(text).0.into_owned();
            assert_eq!(text_of(bytes).as_deref(), Some(text), "{}", encoding.name());
        }
    }

    #[test]
    fn utf_16_needs_no_mark_and_a_mark_is_not_text() {
        let little: Vec<u8> = FRENCH.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = FRENCH.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(text_of(little).as_deref(), Some(FRENCH));
        assert_eq!(text_of(big).as_deref(), Some(FRENCH));
        assert_eq!(text_of(b"\xef\xbb\xbfdome\r\n".to_vec()).as_deref(), Some("dome\n"));
    }

    #[test]
    fn one_broken_byte_does_not_change_what_is_utf_8() {
        assert_eq!(
            text_of("Kuppel schließt früh, schön: ".bytes().chain([0xff, b'.']).collect()).as_deref(),
            Some("Kuppel schließt früh, schön: \u{fffd}.")
        );
    }

    #[test]
    fn what_no_person_wrote_is_not_text() {
        let noise: Vec<u8> =
            (0..40_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 | 1).collect();
        let high: Vec<u8> = noise.iter().map(|byte| byte | 0x80).collect();
        for bytes in [
            noise,
            high,
            b"\x7fELF\x02\0".to_vec(),
            b"\xfc\xfd\xfe (".repeat(50),
            vec![0x89, 0x9a, 0xff, 0xfe, 0x80],
        ] {
            assert_eq!(text_of(bytes.clone()), None, "{:?}", &bytes[..5]);
        }
    }
}
