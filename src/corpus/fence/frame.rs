//! What goes through the pipes between the two processes: lengths as u64 in little-endian order, then so many bytes.

use std::io::{self, Read, Write};

use super::Converted;

/// An answer may have so many bytes: text at its limit, where every character of it is escaped.
const MAX_ANSWER_BYTES: u64 = 512 << 20;
/// A file's name has fewer bytes.
const MAX_NAME_BYTES: u64 = 64 << 10;
/// No file is larger; see [`walk`](crate::corpus::walk).
const MAX_REQUEST_BYTES: u64 = 1 << 31;

/// A document to read.
pub(super) struct Request {
    /// The file's name, for what its extension says.
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Request {
    pub fn write(&self, pipe: &mut impl Write) -> io::Result<()> {
        write_block(pipe, self.name.as_bytes())?;
        write_block(pipe, &self.bytes)?;
        pipe.flush()
    }

    /// The next document; `None` where there will be no other.
    pub fn read(pipe: &mut impl Read) -> io::Result<Option<Self>> {
        let name = match read_block(pipe, MAX_NAME_BYTES) {
            Ok(name) => String::from_utf8_lossy(&name).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(Self { name, bytes: read_block(pipe, MAX_REQUEST_BYTES)? }))
    }
}

pub(super) fn write_answer(pipe: &mut impl Write, answer: &Result<Converted, String>) -> io::Result<()> {
    write_block(pipe, &serde_json::to_vec(answer)?)?;
    pipe.flush()
}

pub(super) fn read_answer(pipe: &mut impl Read) -> io::Result<Result<Converted, String>> {
    let answer: Result<Converted, String> = serde_json::from_slice(&read_block(pipe, MAX_ANSWER_BYTES)?)?;
    match answer {
        // A broken process is not believed in what other code relies on.
        Ok(converted) if !converted.is_consistent() => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "places outside of the text"))
        }
        answer => Ok(answer),
    }
}

fn write_block(pipe: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    pipe.write_all(&(bytes.len() as u64).to_le_bytes())?;
    pipe.write_all(bytes)
}

fn read_block(pipe: &mut impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    pipe.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a block that is too long"));
    }
    let mut bytes = Vec::new();
    // The buffer grows with what comes, not with what was announced.
    pipe.take(length).read_to_end(&mut bytes)?;
    match bytes.len() as u64 == length {
        true => Ok(bytes),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut pipe = Vec::new();
        Request { name: "dome.pdf".to_owned(), bytes: vec![1, 2, 3] }.write(&mut pipe).unwrap();
        let mut rest = pipe.as_slice();
        let request = Request::read(&mut rest).unwrap().unwrap();
        assert_eq!((request.name.as_str(), request.bytes.as_slice()), ("dome.pdf", &[1, 2, 3][..]));
        assert!(Request::read(&mut rest).unwrap().is_none());
        assert!(Request::read(&mut &pipe[..pipe.len() - 1]).is_err());
    }

    #[test]
    fn announced_lengths_and_places_are_not_believed() {
        let mut announced = u64::MAX.to_le_bytes().to_vec();
        assert!(read_answer(&mut announced.as_slice()).is_err());
        announced = (MAX_ANSWER_BYTES - 1).to_le_bytes().to_vec();
        assert!(read_answer(&mut announced.as_slice()).is_err());
        let wrong = r#"{"Ok":{"kind":"Text","text":"é","headings":[{"level":1,"text":"a","offset":1}],"title":null,
            "pages":[],"rows":[],"has_lines":false,"incomplete":null}}"#;
        let mut pipe = Vec::new();
        write_block(&mut pipe, wrong.as_bytes()).unwrap();
        assert!(read_answer(&mut pipe.as_slice()).is_err());
    }
}
