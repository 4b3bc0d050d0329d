//! Types of columns that are not read.
//!
//! In: a type that a file declares. Out: its name in the plural, if its values are no cells.
//! Absent on purpose: values.

use arrow_schema::DataType;

/// Returns what a type holds that no table of numbers and texts can have, in the plural; `None` for types that are read.
pub(super) fn unread(data_type: &DataType) -> Option<String> {
    Some(match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => format!("lists of {}", item.data_type()),
        DataType::Struct(_) => "records".into(),
        DataType::Map(..) => "maps".into(),
        DataType::Union(..) => "unions".into(),
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => "bytes".into(),
        DataType::Interval(_) => "intervals".into(),
        DataType::RunEndEncoded(..) => "runs of values".into(),
        DataType::Dictionary(_, values) => return unread(values),
        _ => return None,
    })
}
