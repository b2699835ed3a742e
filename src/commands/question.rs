//! The question, from the command line and from standard input.

use std::io::{IsTerminal, Read, Stdin};

#[cfg(unix)]
use rustix::fs::FileType;

use super::{Console, Error};

/// More than any model's context.
const MOST_BYTES: u64 = 1 << 20;

/// The question that `words` and `input` give: `-` or no words read it from `input`; what is piped in beside words
/// comes after them.
pub fn question(words: &[String], console: &mut Console) -> Result<String, Error> {
    let input = std::io::stdin();
    let piped = !input.is_terminal();
    if may_wait(&input) && !words.is_empty() && !is_dash(words) {
        console.note("reading the rest of the question from standard input");
    }
    read(words, input.lock(), piped)
}

/// Reading may wait for another program, which the user should know if nothing comes.
#[cfg(unix)]
fn may_wait(input: &Stdin) -> bool {
    let kind = rustix::fs::fstat(input).map(|found| FileType::from_raw_mode(found.st_mode));
    matches!(kind, Ok(FileType::Fifo | FileType::Socket))
}

#[cfg(not(unix))]
fn may_wait(input: &Stdin) -> bool {
    !input.is_terminal()
}

fn read(words: &[String], input: impl Read, piped: bool) -> Result<String, Error> {
    let asked = if is_dash(words) { String::new() } else { words.join(" ").trim().to_owned() };
    let wanted = is_dash(words) || piped;
    let added = if wanted { read_text(input)? } else { String::new() };
    match (asked.is_empty(), added.is_empty()) {
        (true, true) => Err(Error::usage("there is no question", "Give it in quotes, or pipe it in.")),
        (false, true) => Ok(asked),
        (true, false) => Ok(added),
        (false, false) => Ok(format!("{asked}\n\n{added}")),
    }
}

fn is_dash(words: &[String]) -> bool {
    matches!(words, [word] if word == "-")
}

fn read_text(input: impl Read) -> Result<String, Error> {
    let mut bytes = Vec::new();
    if let Err(error) = input.take(MOST_BYTES + 1).read_to_end(&mut bytes) {
        return Err(Error::usage(
            format!("standard input cannot be read: {error}"),
            "Give the question as an argument.",
        ));
    }
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Error::usage(
            "standard input is larger than 1 MiB, which no model's context holds",
            "Index large files with `gibbon index` and ask about them.",
        ));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(_) => Err(Error::usage(
            "standard input is not UTF-8 text",
            "Convert it to UTF-8, for instance with iconv.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(words: &[&str], input: &[u8], piped: bool) -> Result<String, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        read(&words, input, piped).map_err(|error| error.to_string())
    }

    #[test]
    fn words_and_input_make_the_question() {
        assert_eq!(ask(&["when", "now?"], b"", true).unwrap(), "when now?");
        assert_eq!(ask(&["when?"], b"never read", false).unwrap(), "when?");
        assert_eq!(ask(&["-"], b"when?\n", true).unwrap(), "when?");
        assert_eq!(ask(&["-"], b"typed\n", false).unwrap(), "typed");
        assert_eq!(ask(&[], b"when?\n", true).unwrap(), "when?");
        assert_eq!(ask(&["explain"], b"the diff\n", true).unwrap(), "explain\n\nthe diff");
    }

    #[test]
    fn no_question_is_an_error_of_usage() {
        for (words, piped) in [(&[][..], false), (&[" "], false), (&["-"], true), (&[], true)] {
            assert!(ask(words, b" \n", piped).unwrap_err().contains("no question"));
        }
    }

    #[test]
    fn input_that_cannot_be_a_question_is_refused() {
        assert!(ask(&[], b"\xff\xfe", true).unwrap_err().contains("UTF-8"));
        let large = vec![b'a'; (MOST_BYTES + 1) as usize];
        assert!(ask(&[], &large, true).unwrap_err().contains("1 MiB"));
        assert!(ask(&[], &large[1..], true).is_ok());
    }
}
