//! Tables whose bytes are in memory: of a page, a request, another language.
//!
//! In: a name and the bytes of a file. Out: a table that all functions read which take a path.

use std::path::Path;

use crate::error::{Error, Result};
use crate::files::MemoryFile;

/// A table whose bytes are in memory. It stands in for a path in [`Dataset::load`](super::Dataset::load), [`inspect`](fn@super::inspect) and all
/// other functions that read a table, which call it by its name.
///
/// ```
/// use wgrad::data::{TableInMemory, inspect};
/// use wgrad::{Dataset, Target};
///
/// let table = TableInMemory::new("flats.csv", "area,rent\n70,900\n55,700\n61,800\n")?;
/// assert_eq!(inspect(&table)?[0].name, "area");
/// assert_eq!(Dataset::from_csv(&table, Target::number("rent"))?.rows(), 3);
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// CSV is read, also compressed with gzip or zstd, and NumPy arrays; archives, workbooks and Parquet are files only.
#[derive(Debug)]
pub struct TableInMemory(MemoryFile);

impl TableInMemory {
    /// Gives bytes a name for as long as the table is there. A file of that name is not read meanwhile.
    ///
    /// # Errors
    /// If another table in memory has the name, or the name is empty or `-`, which stands for standard input.
    pub fn new(name: &str, bytes: impl Into<Vec<u8>>) -> Result<Self> {
        if name.is_empty() || name == "-" {
            return Err(Error::table(name, "no name for a table in memory; give it another one"));
        }
        let file = MemoryFile::new(name, bytes.into());
        file.map(Self).ok_or_else(|| {
            Error::table(name, "another table in memory has this name; give this one another")
        })
    }
}

impl AsRef<Path> for TableInMemory {
    fn as_ref(&self) -> &Path {
        self.0.path()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::data::{Dataset, Target, column_names, inspect};
    use crate::host::threads;

    fn read(table: &TableInMemory) -> Vec<f64> {
        let data = Dataset::from_csv(table, Target::number("y")).unwrap();
        (0..data.rows()).flat_map(|row| data.row(row).iter().collect::<Vec<f64>>()).collect()
    }

    fn text() -> String {
        let rows = (0..400).map(|i| format!("{i},{},{}\n", ["a", "b"][i % 2], i * i));
        "x,kind,y\n".to_string() + &rows.collect::<String>()
    }

    #[test]
    fn bytes_are_read_as_a_file_would_be() {
        let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
        std::fs::write(file.path(), text()).unwrap();
        let want = Dataset::from_csv(file.path(), Target::number("y")).unwrap();
        let table = TableInMemory::new("in memory.csv", text()).unwrap();
        let got = Dataset::from_csv(&table, Target::number("y")).unwrap();
        assert_eq!(got.schema(), want.schema());
        assert_eq!((got.rows(), got.source()), (400, "in memory.csv"));
        assert_eq!(column_names(&table).unwrap(), ["x", "kind", "y"]);
        assert_eq!(inspect(&table).unwrap(), inspect(file.path()).unwrap());
        let said = TableInMemory::new("in memory.csv", "").unwrap_err().to_string();
        assert!(said.contains("another table in memory"), "{said}");
        drop(table);
        let said = column_names("in memory.csv").unwrap_err().to_string();
        assert!(said.starts_with("cannot read in memory.csv"), "{said}");
        assert!(TableInMemory::new("-", "").is_err());
    }

    #[test]
    fn without_threads_the_rows_are_the_same() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text().as_bytes()).unwrap();
        let plain = TableInMemory::new("alone.csv", text()).unwrap();
        let packed = TableInMemory::new("alone.csv.gz", gzip.finish().unwrap()).unwrap();
        let want = read(&plain);
        assert!(want.len() >= 400);
        assert_eq!(threads::without(|| read(&plain)), want);
        assert_eq!(threads::without(|| read(&packed)), want);
        let broken = text() + "1,a,2,3\n";
        let broken = TableInMemory::new("broken.csv", broken).unwrap();
        let told = || Dataset::from_csv(&broken, Target::number("y")).unwrap_err().to_string();
        assert_eq!(threads::without(told), told());
        assert!(told().contains("402"), "{}", told());
    }

    #[test]
    fn formats_that_are_files_only_are_named() {
        for bytes in [b"PK\x03\x04 workbook".as_slice(), b"PAR1 columns"] {
            let table = TableInMemory::new("other.xlsx", bytes).unwrap();
            let said = column_names(&table).unwrap_err().to_string();
            assert!(said.contains("in memory") && said.contains("as CSV"), "{said}");
        }
    }
}
