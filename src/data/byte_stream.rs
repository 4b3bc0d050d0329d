//! Bytes as they come: counted, decompressed, read ahead by a thread.
//!
//! In: a reader of bytes. Out: another one.
//! Absent on purpose: what the bytes are, which `open.rs` finds out.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Builder;

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::host::threads;

/// Bytes that are decompressed at once, and the largest number of such pieces that wait to be parsed.
const PIECE: usize = 1 << 16;
const PIECES: usize = 4;
/// Largest window of zstd data, which is the memory that its decoder may take; that of `zstd --long`.
const LARGEST_WINDOW: u64 = 1 << 27;

/// Any source of bytes.
pub(super) type ByteStream = Box<dyn Read + Send>;

/// Counts the bytes that are read.
pub(super) struct CountedBytes<R> {
    pub(super) inner: R,
    pub(super) taken: Arc<AtomicU64>,
}

impl<R: Read> Read for CountedBytes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.taken.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Reads ahead in a thread of its own, so that bytes are decompressed while those before are parsed. Dropping it leaves the
/// thread to itself, since the thread may be waiting for a pipe.
pub(super) enum ReadAhead {
    /// The pieces that the thread sends, and the one that is being read.
    Thread { pieces: Receiver<io::Result<Vec<u8>>>, piece: io::Cursor<Vec<u8>> },
    /// The source itself, on a host without threads.
    Alone(ByteStream),
}

impl ReadAhead {
    pub(super) fn start(mut source: impl Read + Send + 'static) -> io::Result<Self> {
        if !threads::are_there() {
            return Ok(Self::Alone(Box::new(source)));
        }
        // A bounded channel, so that a fast decoder does not fill the memory.
        let (to, pieces) = sync_channel(PIECES);
        let work = move || {
            loop {
                let mut piece = Vec::with_capacity(PIECE);
                let read = source.by_ref().take(PIECE as u64).read_to_end(&mut piece);
                let end = read.is_err() || piece.is_empty();
                // Bytes before an error are good.
                if !piece.is_empty() && to.send(Ok(piece)).is_err() {
                    return;
                }
                if let Err(error) = read {
                    let _ = to.send(Err(error));
                }
                if end {
                    return;
                }
            }
        };
        Builder::new().name("wgrad decompressing".to_string()).spawn(work)?;
        Ok(Self::Thread { pieces, piece: io::Cursor::default() })
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (pieces, piece) = match self {
            Self::Thread { pieces, piece } => (pieces, piece),
            Self::Alone(source) => return source.read(buffer),
        };
        let count = piece.read(buffer)?;
        if count > 0 || buffer.is_empty() {
            return Ok(count);
        }
        match pieces.recv() {
            Ok(next) => {
                *piece = io::Cursor::new(next?);
                piece.read(buffer)
            }
            // The thread has come to the end.
            Err(_) => Ok(0),
        }
    }
}

/// Decompresses all members of a gzip file.
pub(super) struct GzipDecoder<R>(pub(super) MultiGzDecoder<R>);

impl<R: Read> Read for GzipDecoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            // The source's own errors have a number of the system.
            _ if error.raw_os_error().is_some() => error,
            io::ErrorKind::Interrupted => error,
            io::ErrorKind::UnexpectedEof => truncated("gzip"),
            _ => damaged("gzip", &error.to_string()),
        })
    }
}

/// Decompresses all frames of a zstd file.
pub(super) struct ZstdDecoder<R> {
    source: BufReader<R>,
    decoder: FrameDecoder,
    /// True within a frame.
    open: bool,
}

impl<R: Read> ZstdDecoder<R> {
    pub(super) fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(LARGEST_WINDOW);
        Self { source: BufReader::new(source), decoder, open: false }
    }

    /// Begins the next frame. Returns false at the end.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.source) {
                Ok(()) => {
                    self.open = true;
                    return Ok(true);
                }
                // A frame without data, as programs leave notes in.
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    if io::copy(&mut self.source.by_ref().take(length), &mut io::sink())? < length {
                        return Err(truncated("zstd"));
                    }
                }
                Err(error) => return Err(self.problem(&error)),
            }
        }
        Ok(false)
    }

    /// Ends a frame, whose checksum has to be right.
    fn end(&mut self) -> io::Result<()> {
        self.open = false;
        match (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum()) {
            (Some(stored), Some(found)) if stored != found => {
                Err(damaged("zstd", "its checksum differs"))
            }
            _ => Ok(()),
        }
    }

    fn problem(&mut self, error: &FrameDecoderError) -> io::Error {
        // At the end of the source, something is missing.
        match self.source.fill_buf() {
            Ok([]) => truncated("zstd"),
            Ok(_) => damaged("zstd", &error.to_string()),
            Err(error) => error,
        }
    }
}

impl<R: Read> Read for ZstdDecoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.open && !self.begin()? {
                return Ok(0);
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                if let Err(error) = self.decoder.decode_blocks(&mut self.source, one) {
                    return Err(self.problem(&error));
                }
            }
            let n = self.decoder.read(buffer)?;
            if n > 0 {
                return Ok(n);
            }
            self.end()?;
        }
    }
}

pub(super) fn truncated(format: &str) -> io::Error {
    io::Error::other(format!(
        "the {format} data ends in the middle: the file is truncated; copy it again"
    ))
}

pub(super) fn damaged(format: &str, problem: &str) -> io::Error {
    io::Error::other(format!("the {format} data is damaged ({problem}); copy the file again"))
}
