//! Where results go: files that must not be lost, standard output, and what to do when nobody reads it any more.

use std::fs;
use std::io::{self, BufWriter, Stdout, Write};
use std::path::Path;

use crate::error::{Error, Result};
use crate::report::escape_controls;

/// Standard output. After its reader has ended (`| head`), writes are dropped, which is no error.
#[derive(Debug)]
pub(super) struct Output {
    out: BufWriter<Stdout>,
    closed: bool,
}

impl Output {
    pub(super) fn new() -> Self {
        Self { out: BufWriter::new(io::stdout()), closed: false }
    }

    /// Returns true if the reader has gone.
    pub(super) fn closed(&self) -> bool {
        self.closed
    }

    /// Writes a line, or several, for people: what comes from files is shown and not obeyed.
    pub(super) fn line(&mut self, text: &str) -> Result<()> {
        writeln!(self, "{}", escape_controls(text)).and_then(|()| self.flush()).map_err(failed)
    }

    /// Writes the rest.
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

/// Checks that a result may go to this file, the value of an option, while `inputs` are read. Nothing is made or changed.
pub(super) fn check_out(option: &str, out: &Path, inputs: &[&Path], force: bool) -> Result<()> {
    // Missing files, pipes and devices hold nothing that could be lost.
    if !fs::metadata(out).is_ok_and(|known| known.is_file()) {
        return Ok(());
    }
    let refuse =
        |problem: &str| Err(Error::setting(option, format!("{} {problem}", out.display())));
    let place = fs::canonicalize(out).ok();
    if place.is_some() && inputs.iter().any(|input| fs::canonicalize(input).ok() == place) {
        return refuse("is what this command reads; choose another file");
    }
    if !force {
        return refuse("is there already; choose another file, or replace it with --force");
    }
    Ok(())
}
