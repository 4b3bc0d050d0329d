//! Loads a run's plan; with smaller steps if the device lacks the memory for steps of whole batches.
//!
//! In: the parts of a run's plan, a device. Out: a loaded plan, and the options that fit it.
//! Absent on purpose:
//! `--device-memory` and `--host-memory`, which are orders and not a lack: a plan that exceeds them is an error.

use crate::data::{Split, list, option_value};
use crate::device::{Device, free_host_memory};
use crate::error::{DEVICE_MEMORY, Error, HOST_MEMORY, Result};
use crate::plan::TrainPlan;
use crate::shape::bytes_text;
use crate::train::memory::memory_planner::{
    MemoryPlanner, Streaming, check_host, check_tables, takes_batches,
};
use crate::train::{TrainOptions, Warning};

/// A loaded plan.
pub(in crate::train) struct LoadedPlan {
    pub(in crate::train) options: TrainOptions,
    pub(in crate::train) plan: TrainPlan,
    pub(in crate::train) streaming: Option<Streaming>,
    /// Warning that steps are smaller than batches, if they are.
    pub(in crate::train) warning: Option<Warning>,
}

/// Plans and loads. If memory is short, a batch becomes several smaller steps, whose gradients are accumulated before one
/// update: the same result within rounding.
///
/// # Errors
/// If even steps of one row do not fit, or the network's layers compute statistics of whole batches: then the first error,
/// which names the part that is too large.
pub(in crate::train) fn fitted(
    device: &mut dyn Device,
    room: MemoryPlanner<'_>,
) -> Result<LoadedPlan> {
    let mut options = room.options.clone();
    let mut first = None;
    loop {
        let plan = MemoryPlanner { options: &options, device: Some(&*device), ..room }.plan();
        let loaded = plan.and_then(|(plan, streaming)| {
            // The host's memory is checked first, since a device may take it without asking.
            let tables = LargeTables::of(room.data, &plan);
            let with_remedy = |error| match &tables {
                Some(tables) => tables.with_remedy(error),
                None => error,
            };
            // The host's memory is checked first, since a device may take it without asking.
            check_host(&options, &plan, &*device, free_host_memory()).map_err(with_remedy)?;
            // The user's order limits the tables; it is not a lack of free memory.
            if let Some(limit) = room.data.train.host_memory().filter(|_| tables.is_some()) {
                check_tables(&options, &plan, &*device, limit).map_err(with_remedy)?;
            }
            device.load(&plan).map_err(with_remedy)?;
            Ok((plan, streaming))
        });
        let error = match loaded {
            Ok((plan, streaming)) => {
                let warning = first.map(|error: Error| Warning::SmallerSteps {
                    problem: error.to_string(),
                    batch: room.options.batch_size,
                    step: options.batch_size,
                });
                return Ok(LoadedPlan { options, plan, streaming, warning });
            }
            Err(error) => error,
        };
        // A batch norm's statistics depend on the batch, so its batches must stay whole.
        // Several ranks would each have to do the same, and one rank alone does not know of it.
        let helps = device.ranks().is_none()
            && lacks_memory(&error)
            && !takes_batches(room.model, room.data.train.columns())?;
        let smaller = if helps { smaller(&options, room.data.train.rows()) } else { None };
        // The first error is about the settings that the user gave, so it is the one to report.
        let Some(next) = smaller else { return Err(first.unwrap_or(error)) };
        first.get_or_insert(error);
        options = next;
        // Running out of memory may have cost the device.
        if device.lost() {
            device.reopen()?;
        }
    }
}

/// The largest of the tables for columns of texts, where these hold most of a network's weights.
struct LargeTables {
    column: String,
    rows: usize,
    width: usize,
}

impl LargeTables {
    fn of(data: &Split, plan: &TrainPlan) -> Option<Self> {
        let tables: Vec<(usize, usize, usize)> = data.train.input_tables().collect();
        let numbers: usize = tables.iter().map(|(_, rows, width)| rows * width).sum();
        if 2 * numbers < plan.slot(plan.ports.params).len() {
            return None;
        }
        let (place, rows, width) =
            tables.into_iter().max_by_key(|(_, rows, width)| rows * width)?;
        Some(Self { column: data.train.schema().features[place].clone(), rows, width })
    }

    /// Says in an error of too little memory what to do about the table.
    fn with_remedy(&self, error: Error) -> Error {
        let Self { column, rows, width } = self;
        let Error::TooLarge { what, need, adapter, limit, limit_name, remedy } = error else {
            return error;
        };
        let name = list(&[column]);
        let remedy = format!(
            "most of it is for the table of the texts of {name}, {rows} x {width} numbers ({}), with its gradients, the optimizer's \
             states and checkpoints: give ‘columns’ {} for a narrower one, a larger ‘min_count’ for fewer texts, or \
             ‘ignore’ {}; else {remedy}",
            bytes_text(4 * (rows * width) as u64),
            option_value(column, ":embedding(8)"),
            option_value(column, "")
        );
        Error::TooLarge { what, need, adapter, limit, limit_name, remedy }
    }
}

/// True if the error is a lack of memory.
fn lacks_memory(error: &Error) -> bool {
    match error {
        // Smaller steps would draw other random numbers for dropout, and a table in a file promises the same bits.
        Error::TooLarge { limit_name, .. } => ![DEVICE_MEMORY, HOST_MEMORY].contains(limit_name),
        Error::OutOfMemory { .. } => true,
        _ => false,
    }
}

/// Halves each step's rows, or takes the next smaller fraction that is a whole number; `None` for steps of one row.
fn smaller(options: &TrainOptions, rows: usize) -> Option<TrainOptions> {
    let batch = options.batch_size.min(rows);
    let parts = (2..=batch).find(|parts| batch.is_multiple_of(*parts))?;
    let accumulate = options.accumulate.checked_mul(u32::try_from(parts).ok()?)?;
    Some(TrainOptions { batch_size: batch / parts, accumulate, ..options.clone() })
}
