//! Elements of the XML files in a workbook, in bounded memory.
//!
//! In: the bytes of a file. Out: its events one at a time, attributes by name, texts with their entities resolved.
//! Absent on purpose: namespaces, since all programs write these files without prefixes for their main elements; encodings other than UTF-8.

use std::io::{self, BufRead, BufReader, Read};

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::data::byte_stream::ByteStream;

/// Largest number of bytes of one tag or text: a cell has at most 32,767 letters.
const LONGEST_EVENT: usize = 1 << 20;
/// Most bytes of a file behind the last element that is read, such as the rules of a sheet's formats.
const MOST_REST: u64 = 1 << 30;
/// Most elements within one another, whose names are in memory.
const DEEPEST: usize = 64;

/// Bytes of which the parser may take a limited number for one event, since it keeps these in memory.
struct LimitedBytes {
    inner: BufReader<ByteStream>,
    left: usize,
}

impl Read for LimitedBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for LimitedBytes {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let available = self.inner.fill_buf()?;
        if self.left == 0 && !available.is_empty() {
            let problem = format!("a text of more than {LONGEST_EVENT} bytes in the workbook");
            return Err(io::Error::new(io::ErrorKind::Unsupported, problem));
        }
        Ok(&available[..available.len().min(self.left)])
    }

    fn consume(&mut self, count: usize) {
        self.left -= count;
        self.inner.consume(count);
    }
}

/// A file of a workbook, event by event.
pub(super) struct XmlReader {
    reader: Reader<LimitedBytes>,
    buffer: Vec<u8>,
    /// Number of open elements.
    depth: usize,
    /// Name of the file, for messages.
    name: String,
}

impl XmlReader {
    pub(super) fn new(bytes: ByteStream, name: &str) -> Self {
        let limited = LimitedBytes { inner: BufReader::new(bytes), left: LONGEST_EVENT };
        let mut reader = Reader::from_reader(limited);
        // An empty element gives a start and an end, so that both have one rule.
        reader.config_mut().expand_empty_elements = true;
        Self { reader, buffer: Vec::new(), depth: 0, name: name.to_owned() }
    }

    /// Returns the next event.
    pub(super) fn next(&mut self) -> io::Result<Event<'_>> {
        self.buffer.clear();
        self.reader.get_mut().left = LONGEST_EVENT;
        let event = self.reader.read_event_into(&mut self.buffer).map_err(|error| match error {
            quick_xml::Error::Io(error) => io::Error::new(error.kind(), error.to_string()),
            other => damaged(&self.name, &other.to_string()),
        })?;
        match event {
            Event::Start(_) => self.depth += 1,
            Event::End(_) => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        if self.depth > DEEPEST {
            return Err(damaged(&self.name, "too many elements within one another"));
        }
        Ok(event)
    }

    /// Reads the file to its end, where the archive compares its checksum.
    ///
    /// # Errors
    ///
    /// When the archive is damaged, or the rest of the file is longer than any that is needed.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let mut rest = (&mut self.reader.get_mut().inner).take(MOST_REST + 1);
        if io::copy(&mut rest, &mut io::sink())? > MOST_REST {
            let problem = format!("more than {} MiB behind its rows", MOST_REST >> 20);
            return Err(damaged(&self.name, &problem));
        }
        Ok(())
    }

    /// Returns the error of an archive whose checksum shows that the file is not as it was written.
    pub(super) fn damage(&mut self) -> Option<io::Error> {
        io::copy(&mut (&mut self.reader.get_mut().inner).take(MOST_REST), &mut io::sink()).err()
    }

    /// Returns the error that says what is wrong with the file.
    pub(super) fn damaged(&self, problem: &str) -> io::Error {
        damaged(&self.name, problem)
    }
}

fn damaged(name: &str, problem: &str) -> io::Error {
    io::Error::other(format!(
        "the workbook is damaged ({name}: {problem}); copy the file again, or save it again in a spreadsheet program"
    ))
}

/// Returns the value of an attribute, whatever prefix its name has.
pub(super) fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    element.attributes().flatten().find(|it| it.key.local_name().as_ref() == name).map(|it| {
        match it.normalized_value(XmlVersion::Implicit1_0) {
            Ok(value) => value.into_owned(),
            // An entity that is none stands for itself.
            Err(_) => it.value.into_owned(),
        }
    })
}

/// Returns the text that an entity stands for.
pub(super) fn resolved(entity: &BytesRef<'_>) -> Option<String> {
    match entity.resolve_char_ref() {
        Ok(Some(letter)) => Some(letter.into()),
        Ok(None) => resolve_predefined_entity(entity).map(String::from),
        Err(_) => None,
    }
}
