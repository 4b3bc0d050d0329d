//! Batches of rows of a Parquet file.
//!
//! In: a file. Out: its columns that are not nested, some rows at a time, page by page, whatever the size of the row groups.
//! Absent on purpose: brotli and LZO; an index of pages, since all rows are read.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
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

use super::PARQUET;
use super::stated_sizes::{ColumnSizes, SizeError, check_columns, check_header, most_expanded};
use super::thrift::ThriftError;
use super::unread::unread;
use crate::data::byte_stream::ZstdDecoder;
use crate::data::cell::shown;

/// Largest number of bytes of a page that is compressed with zstd.
const LARGEST_PAGE: u64 = 1 << 30;
/// Bytes of a page's header that are read at once: most have fewer.
const HEADER: u64 = 1 << 10;
/// Largest number of bytes of a page's header, in which the smallest and the largest text of the page may stand.
const LARGEST_HEADER: u64 = 1 << 28;
/// Bytes at the end of a file: the length of its description, and the format's name.
const END: u64 = 8;

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
        file.check_description()?;
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
    // The first of each, found in one pass.
    let mut leaves = vec![None; fields.len()];
    for leaf in (0..types.num_columns()).rev() {
        if let Some(first) = leaves.get_mut(types.get_column_root_idx(leaf)) {
            *first = Some(leaf);
        }
    }
    let has_dictionaries = |column: usize| {
        let chunk = |group: &RowGroupMetaData| {
            let chunk = group.columns().get(leaves[column]?)?;
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
        Ok(BufReader::new(file))
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

impl CheckedFile {
    /// Checks what the file's description states of its columns, before they are made.
    fn check_description(&self) -> Result<()> {
        let Some(end) = self.bytes.checked_sub(END) else { return Ok(()) };
        let last = self.get_bytes(end, END as usize)?;
        let length = last.first_chunk().map_or(0, |it| u64::from(u32::from_le_bytes(*it)));
        // Of another form, encryption for one, and of a length that cannot be, the decoder tells.
        let Some(start) = end.checked_sub(length).filter(|_| last.ends_with(PARQUET)) else {
            return Ok(());
        };
        let description = self.get_bytes(start, length as usize)?;
        check_columns(&description)
            .map_err(|fault| ParquetError::General(format!("the description at its end: {fault}")))
    }
}

/// The pages of a column in a row group.
///
/// The decoder reads the header of each page from [`ChunkReader::get_read`], and the page's own bytes from [`ChunkReader::get_bytes`].
struct PageFile {
    file: Arc<CheckedFile>,
    /// Name of the column.
    name: String,
    /// Largest number of bytes that a compressed one may become; `None` if no memory is taken for what a page states.
    expanded: Option<u64>,
}

impl PageFile {
    fn damaged(&self, fault: &SizeError) -> ParquetError {
        ParquetError::General(format!("a page of column {}: {fault}", shown(&self.name)))
    }
}

impl Length for PageFile {
    fn len(&self) -> u64 {
        self.file.bytes
    }
}

impl ChunkReader for PageFile {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let most = self.file.bytes.saturating_sub(start).min(LARGEST_HEADER);
        let mut length = HEADER.min(most);
        loop {
            let bytes = self.file.get_bytes(start, length as usize)?;
            match check_header(&bytes, self.expanded) {
                Ok(()) => return Ok(Cursor::new(bytes)),
                Err(SizeError::Form(ThriftError::Short)) if length < most => {
                    length = (8 * length).min(most);
                }
                Err(fault) => return Err(self.damaged(&fault)),
            }
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.file.get_bytes(start, length)
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
        let about = column.column_descr();
        let pages = Arc::new(PageFile {
            file: Arc::clone(&self.file),
            name: about.name().to_string(),
            expanded: most_expanded(column.compression()),
        });
        let is_zstd = matches!(column.compression(), Compression::ZSTD(_));
        let inner = if is_zstd {
            // The pages are read as they are, and decompressed here, in Rust.
            let plain = column.clone().into_builder().set_compression(Compression::UNCOMPRESSED);
            SerializedPageReader::new(Arc::clone(&pages), &plain.build()?, rows, None)?
        } else {
            SerializedPageReader::new(Arc::clone(&pages), column, rows, None)?
        };
        let sizes =
            ColumnSizes::new(about.physical_type(), about.type_length(), about.max_def_level());
        Ok(Box::new(CheckedPages { inner, pages, sizes, is_zstd }))
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

/// Pages one after the other, with sizes that their bytes can have.
struct CheckedPages {
    inner: SerializedPageReader<PageFile>,
    pages: Arc<PageFile>,
    sizes: ColumnSizes,
    is_zstd: bool,
}

impl Iterator for CheckedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let Some(mut page) = self.inner.get_next_page()? else { return Ok(None) };
        if self.is_zstd {
            page = decompressed(page)?;
        }
        self.sizes.check(&page).map_err(|fault| self.pages.damaged(&fault))?;
        Ok(Some(page))
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        Err(one_by_one())
    }

    fn skip_next_page(&mut self) -> Result<()> {
        Err(one_by_one())
    }
}

/// The error of a decoder that looks ahead, as decoders of whole columns do not: the bytes after a header would be taken for another one.
fn one_by_one() -> ParquetError {
    ParquetError::NYI("pages are read one after the other".into())
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
        let mut decoder = ZstdDecoder::new(Cursor::new(rest.to_vec())).take(LARGEST_PAGE + 1);
        if decoder.read_to_end(&mut unpacked)? as u64 > LARGEST_PAGE {
            return Err(ParquetError::General(format!(
                "a page of more than {LARGEST_PAGE} bytes; write it with smaller pages"
            )));
        }
    }
    Ok(unpacked.into())
}
