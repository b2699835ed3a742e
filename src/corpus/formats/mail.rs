//! E-mail: who wrote to whom, when and about what, and the text. Of attachments only the names are kept.

use std::{fmt::Write, path::Path};

use mail_parser::{Address, Message, MessageParser, MimeHeaders, PartType, mailbox::mbox::MessageIterator};

use super::{Converted, DocumentKind, html, text::Text};

/// A mailbox may have so many messages.
const MAX_MESSAGES: usize = 100_000;

/// One message.
pub(super) fn message(bytes: &[u8]) -> Result<Converted, String> {
    let message = parsed(bytes).ok_or("skipped: not an e-mail, or damaged")?;
    let mut text = Text::default();
    write(&message, &mut text)?;
    let title = message.subject().map(str::to_owned);
    Ok(text.finish(DocumentKind::Markdown, title))
}

/// A mailbox: each message is a section. One that cannot be read is left out and counted.
pub(super) fn mailbox(bytes: &[u8], name: &Path) -> Result<Converted, String> {
    let mut text = Text::default();
    let (mut count, mut unreadable) = (0, 0);
    for raw in MessageIterator::new(bytes) {
        let raw = raw.map_err(|error| format!("skipped: damaged ({error})"))?;
        count += 1;
        if count > MAX_MESSAGES {
            return Err(format!("skipped: it has more than {MAX_MESSAGES} messages"));
        }
        match parsed(raw.contents()) {
            Some(message) => write(&message, &mut text)?,
            None => unreadable += 1,
        }
    }
    if text.is_empty() {
        return Err("skipped: not a mailbox, or without messages".to_owned());
    }
    let incomplete = (unreadable > 0).then(|| format!("{unreadable} of {count} messages could not be read"));
    Ok(Converted { incomplete, ..text.finish(DocumentKind::Markdown, Some(super::file_name(name))) })
}

/// `None` where there is nothing like the head of a message.
fn parsed(bytes: &[u8]) -> Option<Message<'_>> {
    MessageParser::default()
        .parse(bytes)
        .filter(|message| message.from().is_some() || message.subject().is_some() || message.date().is_some())
}

fn write(message: &Message, text: &mut Text) -> Result<(), String> {
    text.heading(1, message.subject().unwrap_or("(no subject)"))?;
    text.block(&head_of(message))?;
    for part in message.text_bodies() {
        match &part.body {
            PartType::Html(page) => {
                // A page beyond the limits of HTML takes only itself out of the message.
                let page = html::to_markdown(page.to_string()).map(|page| page.markdown);
                text.block(page.as_deref().unwrap_or("(an HTML text that could not be read)"))?;
            }
            PartType::Text(body) => text.block(&body.replace("\r\n", "\n"))?,
            _ => {}
        }
    }
    let names: Vec<&str> = message.attachments().filter_map(|part| part.attachment_name()).collect();
    match names.is_empty() {
        true => Ok(()),
        false => text.block(&format!("Attachments: {}", super::heading_text(&names.join(", ")))),
    }
}

/// The lines that say who, to whom and when.
fn head_of(message: &Message) -> String {
    let mut head = String::new();
    let addresses = [("From", message.from()), ("To", message.to()), ("Cc", message.cc())];
    for (name, address) in addresses {
        if let Some(address) = address.map(shown).filter(|address| !address.is_empty()) {
            // Writing into a String does not fail.
            let _ = writeln!(head, "{name}: {address}");
        }
    }
    if let Some(date) = message.date() {
        let _ = writeln!(head, "Date: {}", date.to_rfc3339());
    }
    head
}

fn shown(address: &Address) -> String {
    let people: Vec<String> = address
        .iter()
        .map(|person| match (person.name(), person.address()) {
            (Some(name), Some(address)) => format!("{name} <{address}>"),
            (name, address) => name.or(address).unwrap_or_default().to_owned(),
        })
        .collect();
    super::heading_text(&people.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = "From: Ada Okafor <ada@example.org>\r\nTo: night@example.org\r\nSubject: =?utf-8?q?Dome_schlie=C3=9Ft?=\r\n\
        Date: Tue, 3 Mar 2026 21:15:00 +0100\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/html\r\n\r\n<p>Wind above <b>15 m/s</b>.</p>\r\n--b\r\nContent-Type: application/pdf\r\n\
        Content-Disposition: attachment; filename=wind.pdf\r\n\r\nJVBERi0=\r\n--b--\r\n";

    #[test]
    fn a_message_has_its_head_its_text_and_the_names_of_attachments() {
        let converted = message(MESSAGE.as_bytes()).unwrap();
        assert_eq!(
            converted.text,
            "# Dome schließt\n\nFrom: Ada Okafor <ada@example.org>\nTo: night@example.org\n\
             Date: 2026-03-03T21:15:00+01:00\n\nWind above **15 m/s**.\n\nAttachments: wind.pdf"
        );
        assert_eq!(converted.title.as_deref(), Some("Dome schließt"));
        assert!(message(b"just some words").is_err());
    }

    #[test]
    fn each_message_of_a_mailbox_is_a_section() {
        let one = "From a@b Tue Mar  3 21:15:00 2026\nSubject: One\n\nFirst.\n>From here on.\n\n";
        let two = "From c@d Tue Mar  3 21:16:00 2026\nSubject: Two\n\nSecond.\n";
        let converted = mailbox(format!("{one}{two}").as_bytes(), Path::new("a.mbox")).unwrap();
        let headings: Vec<&str> = converted.headings.iter().map(|heading| heading.text.as_str()).collect();
        assert_eq!(headings, ["One", "Two"]);
        assert!(converted.text.contains("From here on.") && converted.text.ends_with("Second."));
        assert!(mailbox(b"no messages", Path::new("a.mbox")).is_err());
    }
}
