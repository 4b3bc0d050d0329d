//! Cells of columns as text, and as numbers.
//!
//! In: columns of a batch of rows. Out: each cell as a table between commas has it, numbers without loss, dates in ISO 8601; nothing for null;
//! numbers themselves, and which cells of a column are equal.
//! Absent on purpose: nested values.

use std::fmt::Display;
use std::io::Write as _;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, DecimalType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayAccessor};
use arrow_schema::{DataType, TimeUnit};

use super::unread::unread;
use crate::data::date;
use crate::data::kinds::DeclaredType;
use crate::data::text_cells::write_text;

const DAY_SECONDS: i64 = 86_400;

/// Returns the type of a column, where it says more than the cells.
pub(super) fn declared_type(name: &str, data_type: &DataType) -> Option<DeclaredType> {
    if let Some(what) = unread(data_type) {
        return Some(DeclaredType::Refused(what));
    }
    // As pandas calls an index without a name.
    if name.starts_with("__index_level_") {
        return Some(DeclaredType::Index);
    }
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(DeclaredType::Text),
        DataType::Dictionary(_, values) => declared_type(name, values),
        _ => None,
    }
}

/// Appends the text of a cell.
type WriteCell<'a> = Box<dyn Fn(&mut Vec<u8>, usize) -> Result<(), String> + 'a>;

/// Writes the cells of a column.
pub(super) struct CellWriter<'a> {
    column: &'a dyn Array,
    write: WriteCell<'a>,
}

/// The form of texts: as a table between commas has them, or as they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TextForm {
    Quoted,
    Plain,
}

/// Cells of a column of a batch, as values where its type has some.
pub(in crate::data) struct ColumnValues<'a> {
    cells: CellWriter<'a>,
    /// Numbers of the rows; NaN for a cell that only its text tells. None of a type that is no number.
    numbers: Vec<f64>,
    keys: CellKeys<'a>,
}

/// Numbers by which equal cells of a batch are known without their texts.
enum CellKeys<'a> {
    None,
    Entries(Vec<usize>),
    Days(&'a [i32]),
    Times(&'a [i64]),
}

/// Whole numbers below this one are exact in f64; it stands for larger ones, too.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl<'a> ColumnValues<'a> {
    pub(super) fn of(column: &'a dyn Array) -> Self {
        let keys = match column.data_type() {
            DataType::Dictionary(..) if !column.as_any_dictionary().values().is_empty() => {
                CellKeys::Entries(column.as_any_dictionary().normalized_keys())
            }
            DataType::Date32 => CellKeys::Days(column.as_primitive::<Date32Type>().values()),
            DataType::Date64 => CellKeys::Times(column.as_primitive::<Date64Type>().values()),
            _ => CellKeys::None,
        };
        let mut numbers = numbers(column);
        if column.null_count() > 0 {
            let rows = numbers.iter_mut().enumerate().filter(|(row, _)| column.is_null(*row));
            rows.for_each(|(_, number)| *number = f64::NAN);
        }
        let cells = CellWriter { column, write: writer(column, TextForm::Plain) };
        Self { cells, numbers, keys }
    }

    /// Number of a row, if its text is that of this very number.
    pub(in crate::data) fn number(&self, row: usize) -> Option<f64> {
        self.numbers.get(row).copied().filter(|number| !number.is_nan())
    }

    /// Returns a key that only rows with the same text have; `None` for a row without one.
    pub(in crate::data) fn key(&self, row: usize) -> Option<u64> {
        if let Some(number) = self.number(row) {
            return Some(number.to_bits());
        }
        if self.cells.column.is_null(row) {
            return None;
        }
        match &self.keys {
            CellKeys::None => None,
            CellKeys::Entries(keys) => Some(keys[row] as u64),
            CellKeys::Days(days) => Some(i64::from(days[row]).cast_unsigned()),
            CellKeys::Times(times) => Some(times[row].cast_unsigned()),
        }
    }

    /// Appends the text of a row; nothing for null.
    ///
    /// # Errors
    ///
    /// As [`CellWriter::write`].
    pub(in crate::data) fn write(&self, text: &mut Vec<u8>, row: usize) -> Result<(), String> {
        self.cells.write(text, row)
    }
}

/// Returns the numbers of a column of numbers: NaN for those whose texts say more, or something else. Nothing for any other column.
fn numbers(column: &dyn Array) -> Vec<f64> {
    fn small<T: ArrowPrimitiveType<Native: Into<f64>>>(column: &dyn Array) -> Vec<f64> {
        column.as_primitive::<T>().values().iter().map(|&value| value.into()).collect()
    }
    fn finite<T: ArrowPrimitiveType<Native: Into<f64>>>(column: &dyn Array) -> Vec<f64> {
        let values = column.as_primitive::<T>().values().iter();
        let finite = |value: f64| if value.is_finite() { value } else { f64::NAN };
        values.map(|&value| finite(value.into())).collect()
    }
    let exact = |value: f64| if value.abs() < EXACT { value } else { f64::NAN };
    match column.data_type() {
        DataType::Int8 => small::<Int8Type>(column),
        DataType::Int16 => small::<Int16Type>(column),
        DataType::Int32 => small::<Int32Type>(column),
        DataType::UInt8 => small::<UInt8Type>(column),
        DataType::UInt16 => small::<UInt16Type>(column),
        DataType::UInt32 => small::<UInt32Type>(column),
        DataType::Int64 => {
            let values = column.as_primitive::<Int64Type>().values().iter();
            values.map(|&value| exact(value as f64)).collect()
        }
        DataType::UInt64 => {
            let values = column.as_primitive::<UInt64Type>().values().iter();
            values.map(|&value| exact(value as f64)).collect()
        }
        DataType::Float32 => finite::<Float32Type>(column),
        DataType::Float64 => finite::<Float64Type>(column),
        _ => Vec::new(),
    }
}

impl<'a> CellWriter<'a> {
    pub(super) fn of(column: &'a dyn Array) -> Self {
        Self { column, write: writer(column, TextForm::Quoted) }
    }

    /// Appends the cell of a row; nothing for null.
    ///
    /// # Errors
    ///
    /// For a text that no table of texts may hold.
    pub(super) fn write(&self, text: &mut Vec<u8>, row: usize) -> Result<(), String> {
        if self.column.is_null(row) { Ok(()) } else { (self.write)(text, row) }
    }
}

/// Returns the writer of values of one type. Appending to memory cannot fail.
fn each<'a, T: ArrowPrimitiveType>(
    column: &'a dyn Array,
    write: impl Fn(&mut Vec<u8>, T::Native) + 'a,
) -> WriteCell<'a> {
    let cells = column.as_primitive::<T>();
    Box::new(move |text, row| {
        write(text, cells.value(row));
        Ok(())
    })
}

/// Returns the writer of whole numbers.
fn whole<T: ArrowPrimitiveType<Native: Display>>(column: &dyn Array) -> WriteCell<'_> {
    each::<T>(column, |text, value| _ = write!(text, "{value}"))
}

/// Returns the writer of decimal numbers.
fn decimal<T: DecimalType>(column: &dyn Array) -> WriteCell<'_> {
    let cells = column.as_primitive::<T>();
    Box::new(move |text, row| {
        text.extend(cells.value_as_string(row).into_bytes());
        Ok(())
    })
}

/// Returns the writer of texts.
fn texts<'a>(cells: impl ArrayAccessor<Item = &'a str> + 'a, form: TextForm) -> WriteCell<'a> {
    Box::new(move |text, row| {
        let cell = cells.value(row);
        if cell.as_bytes().contains(&0) {
            return Err("a text with a NUL byte; remove it".into());
        }
        match form {
            TextForm::Quoted => write_text(text, cell, false),
            TextForm::Plain => text.extend_from_slice(cell.as_bytes()),
        }
        Ok(())
    })
}

/// Returns the writer of a column's cells that are not null.
fn writer(column: &dyn Array, form: TextForm) -> WriteCell<'_> {
    match column.data_type() {
        DataType::Boolean => {
            let cells = column.as_boolean();
            Box::new(move |text, row| Ok(_ = write!(text, "{}", cells.value(row))))
        }
        DataType::Int8 => whole::<Int8Type>(column),
        DataType::Int16 => whole::<Int16Type>(column),
        DataType::Int32 => whole::<Int32Type>(column),
        DataType::Int64 => whole::<Int64Type>(column),
        DataType::UInt8 => whole::<UInt8Type>(column),
        DataType::UInt16 => whole::<UInt16Type>(column),
        DataType::UInt32 => whole::<UInt32Type>(column),
        DataType::UInt64 => whole::<UInt64Type>(column),
        DataType::Float16 => {
            each::<Float16Type>(column, |text, value| write_float(text, value.to_f64()))
        }
        DataType::Float32 => {
            each::<Float32Type>(column, |text, value| write_float(text, value.into()))
        }
        DataType::Float64 => each::<Float64Type>(column, write_float),
        DataType::Decimal32(..) => decimal::<Decimal32Type>(column),
        DataType::Decimal64(..) => decimal::<Decimal64Type>(column),
        DataType::Decimal128(..) => decimal::<Decimal128Type>(column),
        DataType::Decimal256(..) => decimal::<Decimal256Type>(column),
        DataType::Utf8 => texts(column.as_string::<i32>(), form),
        DataType::LargeUtf8 => texts(column.as_string::<i64>(), form),
        DataType::Utf8View => texts(column.as_string_view(), form),
        DataType::Date32 => each::<Date32Type>(column, |text, days| write_date(text, days.into())),
        DataType::Date64 => {
            let day = DAY_SECONDS * 1000;
            each::<Date64Type>(column, move |text, at| write_date(text, at.div_euclid(day)))
        }
        DataType::Dictionary(..) => entries(column, form),
        DataType::Timestamp(..)
        | DataType::Duration(_)
        | DataType::Time32(_)
        | DataType::Time64(_) => instants(column),
        // Nothing but nulls, which this type does not mark as such.
        _ => Box::new(|_, _| Ok(())),
    }
}

/// Returns the writer of entries of a dictionary.
fn entries(column: &dyn Array, form: TextForm) -> WriteCell<'_> {
    let dictionary = column.as_any_dictionary();
    let values = dictionary.values();
    if values.is_empty() {
        return Box::new(|_, _| Ok(()));
    }
    let column = values.as_ref();
    let value = CellWriter { column, write: writer(column, form) };
    let keys = dictionary.normalized_keys();
    Box::new(move |text, row| value.write(text, keys[row]))
}

/// Returns the writer of times: points in time as dates, others in seconds.
fn instants(column: &dyn Array) -> WriteCell<'_> {
    let (unit, zone, is_date) = match column.data_type() {
        DataType::Timestamp(unit, zone) => (*unit, zone.is_some(), true),
        DataType::Duration(unit) | DataType::Time32(unit) | DataType::Time64(unit) => {
            (*unit, false, false)
        }
        _ => return Box::new(|_, _| Ok(())),
    };
    let digits = match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    };
    // All of these are whole numbers of 32 or 64 bits, whatever they are called.
    let data = column.to_data();
    let short = matches!(column.data_type(), DataType::Time32(_));
    let (begin, values) = (data.offset(), data.buffers()[0].clone());
    Box::new(move |text, row| {
        let at = begin + row;
        let value = if short {
            values.typed_data::<i32>()[at].into()
        } else {
            values.typed_data::<i64>()[at]
        };
        let parts = 10_i64.pow(digits);
        let rest = if is_date {
            let seconds = value.div_euclid(parts);
            write_date(text, seconds.div_euclid(DAY_SECONDS));
            let second = seconds.rem_euclid(DAY_SECONDS);
            let (hour, minute) = (second / 3600, second / 60 % 60);
            let _ = write!(text, "T{hour:02}:{minute:02}:{:02}", second % 60);
            value.rem_euclid(parts).unsigned_abs()
        } else {
            let sign = if value < 0 { "-" } else { "" };
            let _ = write!(text, "{sign}{}", value.unsigned_abs() / parts.unsigned_abs());
            value.unsigned_abs() % parts.unsigned_abs()
        };
        if rest > 0 {
            let _ = write!(text, ".{rest:0width$}", width = digits as usize);
        }
        if zone {
            text.push(b'Z');
        }
        Ok(())
    })
}

/// Appends a number, without loss.
fn write_float(text: &mut Vec<u8>, value: f64) {
    // Faster than the standard library, but without a text for these. Appending to memory cannot fail.
    let _ = match value.is_finite() {
        true => serde_json::to_writer(&mut *text, &value).map_err(Into::into),
        false => write!(text, "{value:?}"),
    };
}

/// Appends the date of a number of days since 1970-01-01.
fn write_date(text: &mut Vec<u8>, days: i64) {
    let (year, month, day) = date::civil(days);
    let _ = write!(text, "{year:04}-{month:02}-{day:02}");
}
