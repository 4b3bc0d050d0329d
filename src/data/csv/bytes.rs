//! Checks a table's bytes before they reach the parser, which takes a misplaced quote for text, or whole rows for one text.
//!
//! In: bytes. Out: the same bytes, up to the first that no table may hold; the problem, and its line.
//! Absent on purpose: cells and rows.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter, memrchr};

/// Largest number of bytes of a row: an unclosed quotation mark must not bring a whole large file into memory.
pub(super) const MOST_ROW: usize = 1 << 26;
/// Largest number of cells of a row: the parser needs eight bytes for each, so that a file of commas would take many times
/// its size.
pub(in crate::data) const MOST_CELLS: usize = 1 << 21;

/// Mark of the order of bytes, at the beginning of a text in UTF-8.
pub(super) const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// A problem that makes the bytes no table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    /// Counted from 1.
    pub(super) line: u64,
    pub(super) problem: String,
}

/// A limit that a row exceeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Beyond {
    Bytes,
    Cells,
}

/// Position of a byte relative to quotes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum QuoteState {
    /// Outside of quotes, after this byte.
    Outside(u8),
    /// Within quotes.
    Inside,
    /// Behind a quote within quotes, which closes them unless another quote follows.
    Quote,
    /// Behind the closing quote and blanks.
    Blanks,
}

/// Passes bytes on, follows their quotes, and remembers the last ones, because the parser does not say how a record ended.
#[derive(Debug)]
pub(super) struct Watched<R> {
    inner: R,
    /// Byte between cells.
    delimiter: u8,
    /// True if the bytes begin the file.
    is_begin: bool,
    /// Offset of `bytes` in the file.
    start: u64,
    bytes: Vec<u8>,
    /// Bytes and cells that may be read until the next row.
    left: (usize, usize),
    state: QuoteState,
    /// Line of the quote that was opened last.
    opened: u64,
    /// Number of line ends before `bytes`.
    lines: u64,
    /// Byte that ends a line; the first line decides.
    newline: u8,
    /// Number of line ends in `bytes` before this place, which is asked for again and again.
    counted: (usize, u64),
    fault: Option<Fault>,
}

impl<R: Read> Watched<R> {
    /// Watches bytes that come after `lines` lines of the file.
    pub(super) fn new(inner: R, delimiter: u8, lines: u64) -> Self {
        Self {
            inner,
            delimiter,
            is_begin: true,
            start: 0,
            bytes: Vec::new(),
            left: (MOST_ROW, MOST_CELLS),
            state: QuoteState::Outside(b'\n'),
            opened: 0,
            lines,
            newline: b'\n',
            counted: (0, 0),
            fault: None,
        }
    }

    /// Watches rows that come after `lines` lines of the file, each ended by `newline`; none of them is the first.
    pub(super) fn part(inner: R, delimiter: u8, lines: u64, newline: u8) -> Self {
        Self { is_begin: false, newline, ..Self::new(inner, delimiter, lines) }
    }

    /// Returns the source, and the bytes from an offset on that were read already.
    pub(super) fn into_rest(self, offset: u64) -> (R, Vec<u8>) {
        let begin = usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX);
        (self.inner, self.bytes[begin.min(self.bytes.len())..].to_vec())
    }

    /// Begins a row, with limits of its own.
    pub(super) fn begin_row(&mut self) {
        self.left = (MOST_ROW, MOST_CELLS);
    }

    /// Returns the byte at an offset in the file, if it is among the last ones.
    pub(super) fn at(&self, offset: u64) -> Option<u8> {
        let i = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(i).copied()
    }

    /// Returns the number of line ends before an offset in the file, which must be among the last bytes or at their end.
    pub(super) fn lines_before(&mut self, offset: u64) -> u64 {
        let end = usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let end = end.min(self.bytes.len());
        // Continues from the last answer, since offsets usually grow.
        let (place, lines) = if self.counted.0 <= end { self.counted } else { (0, 0) };
        self.counted = (end, lines + count(&self.bytes[place..end], self.newline));
        self.lines + self.counted.1
    }

    /// Returns the byte that ends a line.
    pub(super) fn newline(&self) -> u8 {
        self.newline
    }

    /// Returns why reading ended before the table did, if it did.
    pub(super) fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Returns the limit that the row exceeds, if it does.
    pub(super) fn beyond(&self) -> Option<Beyond> {
        match self.left {
            (0, _) => Some(Beyond::Bytes),
            (_, 0) => Some(Beyond::Cells),
            _ => None,
        }
    }

    /// Returns the line of the open quote, if there is one.
    pub(super) fn open_quote(&self) -> Option<u64> {
        (self.state == QuoteState::Inside).then_some(self.opened)
    }

    /// Checks the bytes that were read last. Returns how many of them are good.
    fn watch(&mut self, first: bool) -> usize {
        // A format other than UTF-8 text shows in the first bytes, before any other check makes sense.
        if first && let Some(problem) = other_encoding(&self.bytes) {
            self.fault = Some(Fault { line: 1, problem });
            return 0;
        }
        if first && ends_in_returns(&self.bytes) {
            self.newline = b'\r';
        }
        let good = memchr(0, &self.bytes).unwrap_or(self.bytes.len());
        let behind = self.quotes(good, first);
        // The earlier of the two problems is the one to report.
        if let Some(at) = behind {
            let (line, opened) = (self.line_of(at), self.opened);
            let place = if line == opened { "here".into() } else { format!("in line {opened}") };
            let problem = format!(
                "text stands behind a closing quote; the quotes were opened {place}: is one missing, or one too many? Within \
                 quotes, write a quote twice"
            );
            self.fault = Some(Fault { line, problem });
            return at;
        }
        if good < self.bytes.len() {
            let problem = "a NUL byte, which no text has: the file is damaged, or it is UTF-16 text or no table; save it as UTF-8";
            self.fault = Some(Fault { line: self.line_of(good), problem: problem.into() });
        }
        good
    }

    /// Follows quotes through the first `good` bytes. Returns the place of text behind a closing quote, if there is some.
    fn quotes(&mut self, good: usize, first: bool) -> Option<usize> {
        let mut at = 0;
        while at < good {
            match self.state {
                QuoteState::Outside(before) => {
                    // Outside of quotes only the next quote matters, so everything before it is skipped at once.
                    let quote = memchr(b'"', &self.bytes[at..good]);
                    let Some(quote) = quote.map(|place| at + place) else {
                        self.state = QuoteState::Outside(self.bytes[good - 1]);
                        break;
                    };
                    // The byte before the quote may belong to an earlier read, so it is remembered.
                    let before = if quote > at { self.bytes[quote - 1] } else { before };
                    let begins = before == self.delimiter
                        || matches!(before, b'\n' | b'\r')
                        || first && quote == BOM.len() && self.bytes.starts_with(&BOM);
                    // Elsewhere a quote is a letter like others, such as inches.
                    self.state =
                        if begins { QuoteState::Inside } else { QuoteState::Outside(b'"') };
                    if begins {
                        self.opened = self.line_of(quote);
                    }
                    at = quote + 1;
                }
                QuoteState::Inside => {
                    let Some(quote) = memchr(b'"', &self.bytes[at..good]) else { break };
                    self.state = QuoteState::Quote;
                    at += quote + 1;
                }
                // A second quote is a quote in the text; a delimiter or a line end closes the cell; other text is a mistake.
                QuoteState::Quote | QuoteState::Blanks => {
                    self.state = match (self.bytes[at], self.state) {
                        (b'"', QuoteState::Quote) => QuoteState::Inside,
                        (byte, _) if byte == self.delimiter => QuoteState::Outside(byte),
                        (b' ' | b'\t', _) => QuoteState::Blanks,
                        (byte @ (b'\n' | b'\r'), _) => QuoteState::Outside(byte),
                        _ => return Some(at),
                    };
                    at += 1;
                }
            }
        }
        None
    }

    /// Returns the line of a place among the last bytes, counted from 1.
    fn line_of(&mut self, place: usize) -> u64 {
        self.lines_before(self.start + place as u64) + 1
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // The bytes before the fault were delivered; the next read reports it.
        if self.fault.is_some() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if self.beyond().is_some() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let first = self.is_begin && self.start == 0 && self.bytes.is_empty();
        let mut n = self.inner.read(buffer)?;
        // A byte order mark is recognised only as a whole, and the parser takes a mark alone for an empty file.
        while first && n > 0 && n <= BOM.len() && n < buffer.len() {
            match self.inner.read(&mut buffer[n..])? {
                0 => break,
                more => n += more,
            }
        }
        // At the end of the file an open quote has swallowed all rows after it.
        if n == 0 {
            if let Some(line) = self.open_quote() {
                let problem =
                    "a quote opens a cell here and is never closed; close it, or take it away";
                self.fault = Some(Fault { line, problem: problem.into() });
                return Err(io::ErrorKind::InvalidData.into());
            }
            return Ok(0);
        }
        // The lines of the bytes that are dropped are added before they go.
        self.lines = self.lines_before(self.start + self.bytes.len() as u64);
        self.start += self.bytes.len() as u64;
        self.counted = (0, 0);
        self.bytes.clear();
        self.bytes.extend_from_slice(&buffer[..n]);
        let good = self.watch(first);
        self.left.0 = self.left.0.saturating_sub(good);
        let cells =
            usize::try_from(count(&self.bytes[..good], self.delimiter)).unwrap_or(usize::MAX);
        self.left.1 = self.left.1.saturating_sub(cells);
        // The good bytes before a fault are delivered first, so that earlier rows are parsed.
        if good == 0 { Err(io::ErrorKind::InvalidData.into()) } else { Ok(good) }
    }
}

/// Follows quotes through rows, to find where these end.
#[derive(Clone, Copy, Debug)]
pub(super) struct QuoteScan {
    delimiter: u8,
    newline: u8,
    state: QuoteState,
}

impl QuoteScan {
    /// Begins at the beginning of a row.
    pub(super) fn new(delimiter: u8, newline: u8) -> Self {
        Self { delimiter, newline, state: QuoteState::Outside(newline) }
    }

    /// Follows more bytes. Returns the place behind the last line end among them that ends a row, if there is one.
    ///
    /// # Errors
    ///
    /// When text stands behind a closing quote.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<Option<usize>, ()> {
        let (mut at, mut end) = (0, None);
        while at < bytes.len() {
            match self.state {
                QuoteState::Outside(before) => {
                    let length = memchr(b'"', &bytes[at..]).unwrap_or(bytes.len() - at);
                    let run = &bytes[at..at + length];
                    end = memrchr(self.newline, run).map(|place| at + place + 1).or(end);
                    let before = run.last().copied().unwrap_or(before);
                    at += length + 1;
                    self.state = match at <= bytes.len() {
                        true if before == self.delimiter || matches!(before, b'\n' | b'\r') => {
                            QuoteState::Inside
                        }
                        true => QuoteState::Outside(b'"'),
                        false => QuoteState::Outside(before),
                    };
                }
                QuoteState::Inside => match memchr(b'"', &bytes[at..]) {
                    Some(place) => (at, self.state) = (at + place + 1, QuoteState::Quote),
                    None => break,
                },
                QuoteState::Quote | QuoteState::Blanks => {
                    let byte = bytes[at];
                    self.state = match (byte, self.state) {
                        (b'"', QuoteState::Quote) => QuoteState::Inside,
                        (byte, _) if byte == self.delimiter => QuoteState::Outside(byte),
                        (b' ' | b'\t', _) => QuoteState::Blanks,
                        (b'\n' | b'\r', _) => QuoteState::Outside(byte),
                        _ => return Err(()),
                    };
                    at += 1;
                    if byte == self.newline {
                        end = Some(at);
                    }
                }
            }
        }
        Ok(end)
    }
}

/// Returns how often a byte occurs.
pub(super) fn count(bytes: &[u8], wanted: u8) -> u64 {
    memchr_iter(wanted, bytes).count() as u64
}

/// True if lines end in a carriage return alone, as on old Macintoshes: the first line does.
fn ends_in_returns(bytes: &[u8]) -> bool {
    let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    end.is_some_and(|end| matches!(bytes[end..], [b'\r', next, ..] if next != b'\n'))
}

/// Returns the problem with a file's format by its first bytes, if it is not UTF-8 text.
fn other_encoding(bytes: &[u8]) -> Option<String> {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            Some("the file is UTF-16 text; save it as CSV in UTF-8".into())
        }
        _ => None,
    }
}
