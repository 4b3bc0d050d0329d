//! The loss scale of a run in half precision, and the range of its features.
//!
//! In: features, a plan. Out: an error for what half precision cannot hold; the scale's first values on the device.
//! Absent on purpose: how the scale changes, which the device does by itself.

use crate::data::{Dataset, Preprocessing};
use crate::device::{Device, Values};
use crate::error::{Error, Result};
use crate::plan::{HALF_MAX, LossScaler, TrainPlan};

/// Refuses features, as the network sees them, that would be infinite in half precision.
pub(super) fn check_range(preparation: &Preprocessing, data: &Dataset) -> Result<()> {
    let columns = data.columns();
    let (scaler, mut scaled) = (preparation.scaler(), Vec::with_capacity(columns));
    for block in data.x().blocks(columns) {
        for row in block.view().chunks(columns) {
            scaled.clear();
            scaler.extend(row, &mut scaled);
            let Some(at) = scaled.iter().position(|x| x.abs() > HALF_MAX) else { continue };
            let column = &data.schema().features[at];
            let problem = format!(
                "the column {column} has {}, but f16 ends at {HALF_MAX}; use ‘scale’ standard or ‘precision’ f32",
                scaled[at]
            );
            return Err(Error::setting("precision", problem));
        }
    }
    Ok(())
}

/// Sets the loss scale to where a run begins, if the plan has one, or what stands in its place where steps may be skipped.
pub(super) fn write_scaling(device: &mut dyn Device, plan: &TrainPlan) -> Result<()> {
    let start = if plan.ports.half_params.is_some() { LossScaler::START } else { LossScaler::NONE };
    match plan.ports.scaling {
        Some(scaling) => device.write(scaling, 0, Values::F32(&start.values())),
        None => Ok(()),
    }
}
