//! Functions that take any input and panic, hang, or use too much memory if the library has a fault.

mod arrays;
mod checkpoint;
mod columns;
mod csv;
mod files;
mod model;
mod onnx;
mod proto_check;
mod text;
mod xlsx;

use std::path::{Path, PathBuf};

use wgrad::Dataset;
use wgrad::data::{PartReader, TableOptions};

pub use self::arrays::arrays;
pub use self::checkpoint::{about_of, checkpoint, trained_checkpoint};
pub use self::columns::columns;
pub use self::csv::csv;
pub use self::files::files;
pub use self::model::model;
pub use self::onnx::onnx;
pub use self::text::text;
pub use self::xlsx::xlsx;

/// Bytes that reading an input may take: tables and descriptions become vectors, names and numbers, each of which costs
/// more than the two or three letters it may be written with; and messages, buffers and fixed tables cost something anyhow.
pub fn allowance(data: &[u8]) -> usize {
    const FIXED: usize = 1 << 20;
    const EACH: usize = 64;
    // Compressed data may become a thousand times as long, and zstd has a window besides; pages of Parquet may be compressed.
    const PACKED: [&[u8]; 5] =
        [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd], b"PK\x03\x04", b"PAR1", b"ARROW1"];
    let body = data.get(1..).unwrap_or_default();
    let packed = PACKED.iter().any(|magic| data.starts_with(magic) || body.starts_with(magic));
    let (fixed, each) = if packed { (FIXED + (1 << 28), 1100 * EACH) } else { (FIXED, EACH) };
    fixed + each * data.len()
}

/// Hands a file with these bytes to a reader.
fn with_file<T>(name: &str, bytes: &[u8], read: impl FnOnce(&Path) -> T) -> T {
    let path = scratch(name);
    std::fs::write(&path, bytes).expect("the temporary folder can be written");
    let done = read(&path);
    let _ = std::fs::remove_file(path);
    done
}

/// A file of this process's own; `name` says whose it is, among threads.
fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("wgrad-fuzz-{}-{name}", std::process::id()))
}

/// Choices and numbers out of an input, zeros after its end.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// A number below another one.
    fn below(&mut self, end: u8) -> usize {
        usize::from(self.byte() % end.max(1))
    }

    fn float(&mut self) -> f32 {
        f32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// A short text, of any characters.
    fn text(&mut self) -> String {
        let len = self.below(12).min(self.0.len());
        let (text, rest) = self.0.split_at(len);
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }
}

/// Checks a table that was read as a whole, and reads it again in pieces, which has to give the same.
fn check_again(path: &Path, read: &Dataset, options: &TableOptions) {
    assert!(read.rows() > 0 && read.x().len() == read.rows() * read.columns());
    assert!(read.x().iter().all(f64::is_finite));
    let mut parts =
        PartReader::open_as(path, read.schema(), &options.format).expect("the columns are there");
    let mut x = Vec::new();
    while let Some(part) = parts.next_part(5).expect("the rows are good") {
        x.extend(part.x);
    }
    assert!(same_inputs(&x, &read.x().to_vec()));
}

/// Returns true if rows that were read in pieces are those of the whole table, in which numbers stand for gaps in dates.
pub fn same_inputs(pieces: &[f64], whole: &[f64]) -> bool {
    let same = |(piece, whole): (&f64, &f64)| piece == whole || piece.is_nan();
    pieces.len() == whole.len() && pieces.iter().zip(whole).all(same)
}
