//! What the host does for plans in half precision beside what all plans need.

use super::predict::port;
use crate::data::Dataset;
use crate::device::{Device, Values};
use crate::error::{Error, Result};
use crate::plan::{HALF_MAX, Plan, Scaling};

/// Refuses features, as the network sees them, that would be infinite in half precision.
pub(super) fn check_range(x: &[f32], data: &Dataset) -> Result<()> {
    let Some(at) = x.iter().position(|x| x.abs() > HALF_MAX) else { return Ok(()) };
    let column = &data.schema().features[at % data.columns()];
    let problem = format!(
        "the column {column} has {}, but f16 ends at {HALF_MAX}; use --scale standard or --precision f32",
        x[at]
    );
    Err(Error::setting("--precision", problem))
}

/// Writes the parameters' arena, and its copy in half precision where the plan has one.
pub(super) fn write_params(device: &mut dyn Device, plan: &Plan, arena: &[f32]) -> Result<()> {
    device.write(port(plan.ports.params, "params")?, 0, Values::F32(arena))?;
    match plan.ports.half_params {
        Some(half) => device.write(half, 0, Values::F32(arena)),
        None => Ok(()),
    }
}

/// Sets the loss scale to where a run begins, if the plan has one.
pub(super) fn write_scaling(device: &mut dyn Device, plan: &Plan) -> Result<()> {
    match plan.ports.scaling {
        Some(scaling) => device.write(scaling, 0, Values::F32(&Scaling::START.values())),
        None => Ok(()),
    }
}
