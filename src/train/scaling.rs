//! What the host writes and reads for plans in half precision, and with averaged weights, beside what all plans need.

use crate::data::{Dataset, Preparation};
use crate::device::{Device, Values};
use crate::error::{Error, Result};
use crate::model::{ParamLayout, Params};
use crate::plan::{HALF_MAX, Precision, Scaling, TrainPlan};

/// Refuses features, as the network sees them, that would be infinite in half precision.
pub(super) fn check_range(preparation: &Preparation, data: &Dataset) -> Result<()> {
    let mut scaled = Vec::with_capacity(data.columns());
    for row in data.x().chunks(data.columns()) {
        scaled.clear();
        preparation.extend_features(row, &mut scaled);
        let Some(at) = scaled.iter().position(|x| x.abs() > HALF_MAX) else { continue };
        let column = &data.schema().features[at];
        let problem = format!(
            "the column {column} has {}, but f16 ends at {HALF_MAX}; use --scale standard or --precision f32",
            scaled[at]
        );
        return Err(Error::setting("--precision", problem));
    }
    Ok(())
}

/// Writes the parameters, and what the plan has of them besides: a copy in half precision, averaged ones.
pub(super) fn write_params(
    device: &mut dyn Device,
    plan: &TrainPlan,
    params: &Params,
) -> Result<()> {
    let spread = match plan.ports.half_params {
        Some(_) => Some(params.laid_out(Precision::F16.layout(params.layout())?)),
        None => None,
    };
    let arena = spread.as_ref().unwrap_or(params).arena();
    let others = plan.ports.half_params.iter().chain(&plan.ports.averaged);
    for slot in std::iter::once(&plan.ports.params).chain(others) {
        device.write(*slot, 0, Values::F32(arena))?;
    }
    Ok(())
}

/// The present parameters in their model's layout, waited for; averaged ones if there are.
pub(super) fn read_params(
    device: &mut dyn Device,
    plan: &TrainPlan,
    model: &ParamLayout,
) -> Result<Params> {
    let slot = plan.ports.evaluated();
    let values = device.read(slot, plan.slot(slot).len())?;
    params_of(plan, model, values)
}

/// The values of such a slot as parameters in their model's layout.
pub(super) fn params_of(plan: &TrainPlan, model: &ParamLayout, values: Vec<f32>) -> Result<Params> {
    if plan.ports.half_params.is_none() {
        return Params::from_arena(model.clone(), values);
    }
    let layout = Precision::F16.layout(model)?;
    Ok(Params::from_arena(layout, values)?.laid_out(model.clone()))
}

/// Sets the loss scale to where a run begins, if the plan has one, or what stands in its place where steps may be skipped.
pub(super) fn write_scaling(device: &mut dyn Device, plan: &TrainPlan) -> Result<()> {
    let start = if plan.ports.half_params.is_some() { Scaling::START } else { Scaling::NONE };
    match plan.ports.scaling {
        Some(scaling) => device.write(scaling, 0, Values::F32(&start.values())),
        None => Ok(()),
    }
}
