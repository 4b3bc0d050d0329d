//! Arrays as tables, and compressed files: read, and read again by what was learnt of them.

use super::{allowance, check_again, with_file};
use crate::memory::within;
use wgrad::data::{TableOptions, column_names};
use wgrad::{Dataset, Target};

/// The first byte says which column is the target, and whether a file of its own is.
pub fn arrays(data: &[u8]) {
    let Some((&how, array)) = data.split_first() else { return };
    let column = ["x0", "x1", "y", "b", "c1"][usize::from(how % 5)];
    let mut options = TableOptions::default();
    with_file("array", array, |path| {
        within(allowance(array), || {
            let _ = column_names(path);
        });
        // The array itself may be its own target.
        if how & 64 != 0 {
            options.format.target_file = Some(path.to_path_buf());
        }
        let target = Target::Number(column.to_string());
        let read = within(2 * allowance(array), || Dataset::load(path, &target, &options));
        let Ok(read) = read.and_then(|read| read.data.encoded()) else { return };
        check_again(path, &read, &options);
    });
}
