//! Standard output: results, and what to do when nobody reads them any more.

use std::io::{self, BufWriter, Stdout, Write};

use crate::error::{Error, Result};

/// Standard output. After its reader has gone (`| head`), what is written goes nowhere and is no error.
#[derive(Debug)]
pub(super) struct Output {
    out: BufWriter<Stdout>,
    closed: bool,
}

impl Output {
    pub(super) fn new() -> Self {
        Self { out: BufWriter::new(io::stdout()), closed: false }
    }

    /// Whether the reader has gone.
    pub(super) fn closed(&self) -> bool {
        self.closed
    }

    /// Writes a line.
    pub(super) fn line(&mut self, text: &str) -> Result<()> {
        writeln!(self, "{text}").and_then(|()| self.flush()).map_err(failed)
    }

    /// Writes what is left.
    pub(super) fn end(mut self) -> Result<()> {
        self.flush().map_err(failed)
    }

    fn heed<T>(&mut self, outcome: io::Result<T>, gone: T) -> io::Result<T> {
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(gone)
            }
            other => other,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Ok(bytes.len());
        }
        let outcome = self.out.write(bytes);
        self.heed(outcome, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let outcome = self.out.flush();
        self.heed(outcome, ())
    }
}

/// Results that cannot be written are an error: nobody would know that they are missing.
pub(super) fn failed(source: io::Error) -> Error {
    Error::file("write", "standard output", source)
}
