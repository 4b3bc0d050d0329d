//! Batches of rows of a Parquet file.
//!
//! In: a file. Out: its columns that are not nested, some rows at a time, page by page, whatever the size of the row groups.
//! Absent on purpose: brotli and LZO; an index of pages, since all rows are read.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType, FieldRef, Fields};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, RowGroups,
};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use parquet::basic::Compression;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

use super::unread::unread;
use crate::data::byte_stream::ZstdDecoder;

/// Largest number of bytes of a page that is compressed with zstd.
const LARGEST_PAGE: u64 = 1 << 30;

/// Rows of a file.
pub(super) struct ParquetRows {
    reader: ParquetRecordBatchReader,
    /// All columns of the file, those that are not read as well.
    pub(super) fields: Fields,
    pub(super) rows: u64,
}

impl ParquetRows {
    /// Opens a file, whose batches have about so many cells.
    pub(super) fn open(file: File, cells: usize) -> std::result::Result<Self, ArrowError> {
        let file = Arc::new(CheckedFile { bytes: file.metadata()?.len(), file });
        let about = ArrowReaderMetadata::load(file.as_ref(), ArrowReaderOptions::new())?;
        let fields = about.schema().fields().clone();
        let metadata = Arc::clone(about.metadata());
        let roots: Vec<usize> = (0..fields.len())
            .filter(|&column| unread(fields[column].data_type()).is_none())
            .collect();
        let types = metadata.file_metadata().schema_descr();
        let mask = ProjectionMask::roots(types, roots.iter().copied());
        let hints = with_dictionaries(&fields, &metadata);
        let levels = parquet_to_arrow_field_levels(types, mask, Some(&hints))?;
        let rows =
            metadata.row_groups().iter().map(|group| group.num_rows().max(0).cast_unsigned());
        let rows = rows.sum();
        let batch = (cells / roots.len().max(1)).max(1);
        let groups = FileRowGroups { file, metadata };
        let reader =
            ParquetRecordBatchReader::try_new_with_row_groups(&levels, &groups, batch, None)?;
        Ok(Self { reader, fields, rows })
    }
}

/// Returns the columns with dictionaries for the types of texts that the file has in dictionaries: then each different text of a page is
/// made once.
fn with_dictionaries(fields: &Fields, metadata: &ParquetMetaData) -> Fields {
    let is_text =
        |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let types = metadata.file_metadata().schema_descr();
    let has_dictionaries = |column: usize| {
        let leaf = (0..types.num_columns()).find(|&leaf| types.get_column_root_idx(leaf) == column);
        let chunk = |group: &RowGroupMetaData| {
            let chunk = group.columns().get(leaf?)?;
            chunk.dictionary_page_offset()
        };
        !metadata.row_groups().is_empty()
            && metadata.row_groups().iter().all(|group| chunk(group).is_some())
    };
    let field = |(column, field): (usize, &FieldRef)| {
        if !is_text(field.data_type()) || !has_dictionaries(column) {
            return Arc::clone(field);
        }
        let entries = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        Arc::new(field.as_ref().clone().with_data_type(entries))
    };
    fields.iter().enumerate().map(field).collect()
}

impl Iterator for ParquetRows {
    type Item = std::result::Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.reader.next()
    }
}

/// A file whose damaged parts ask for no more memory than the file has bytes.
struct CheckedFile {
    file: File,
    bytes: u64,
}

impl Length for CheckedFile {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for CheckedFile {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(start))?;
        // A page's header is read through this, and the page by itself.
        Ok(BufReader::with_capacity(1 << 10, file))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.bytes) {
            return Err(ParquetError::EOF("the file ends within a page".into()));
        }
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// The row groups of a file.
struct FileRowGroups {
    file: Arc<CheckedFile>,
    metadata: Arc<ParquetMetaData>,
}

impl RowGroups for FileRowGroups {
    fn num_rows(&self) -> usize {
        usize::try_from(self.metadata.file_metadata().num_rows()).unwrap_or(0)
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>> {
        let (file, metadata) = (Arc::clone(&self.file), Arc::clone(&self.metadata));
        Ok(Box::new(ColumnChunks { file, metadata, column, group: 0 }))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(self.metadata.row_groups().iter())
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

/// Readers of a column's pages, one for each row group.
struct ColumnChunks {
    file: Arc<CheckedFile>,
    metadata: Arc<ParquetMetaData>,
    column: usize,
    group: usize,
}

impl ColumnChunks {
    fn open(&self, group: &RowGroupMetaData) -> Result<Box<dyn PageReader>> {
        let Some(column) = group.columns().get(self.column) else {
            return Err(ParquetError::General("a row group lacks a column".into()));
        };
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        let file = Arc::clone(&self.file);
        if !matches!(column.compression(), Compression::ZSTD(_)) {
            return Ok(Box::new(SerializedPageReader::new(file, column, rows, None)?));
        }
        // The pages are read as they are, and decompressed here, in Rust.
        let plain = column.clone().into_builder().set_compression(Compression::UNCOMPRESSED);
        let inner = SerializedPageReader::new(file, &plain.build()?, rows, None)?;
        Ok(Box::new(ZstdPages { inner }))
    }
}

impl Iterator for ColumnChunks {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        let group = self.metadata.row_groups().get(self.group)?;
        self.group += 1;
        Some(self.open(group))
    }
}

impl PageIterator for ColumnChunks {}

/// Pages that are compressed with zstd.
struct ZstdPages {
    inner: SerializedPageReader<CheckedFile>,
}

impl Iterator for ZstdPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for ZstdPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        self.inner.get_next_page()?.map(decompressed).transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.inner.skip_next_page()
    }
}

/// Decompresses a page.
fn decompressed(mut page: Page) -> Result<Page> {
    match &mut page {
        Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => *buf = unpacked(buf, 0)?,
        Page::DataPageV2 {
            buf, def_levels_byte_len, rep_levels_byte_len, is_compressed, ..
        } => {
            // Levels stand before the values, and are never compressed.
            let levels = *def_levels_byte_len as usize + *rep_levels_byte_len as usize;
            if *is_compressed {
                *buf = unpacked(buf, levels)?;
            }
        }
    }
    Ok(page)
}

/// Decompresses all bytes but the first ones.
fn unpacked(bytes: &Bytes, plain: usize) -> Result<Bytes> {
    let Some((first, rest)) = bytes.split_at_checked(plain) else {
        return Err(ParquetError::EOF("a page ends within its levels".into()));
    };
    let mut unpacked = first.to_vec();
    // A page of nothing but nulls has no values.
    if !rest.is_empty() {
        let mut decoder = ZstdDecoder::new(io::Cursor::new(rest.to_vec())).take(LARGEST_PAGE);
        decoder.read_to_end(&mut unpacked)?;
    }
    Ok(unpacked.into())
}
