//! Parameters on their way to a device and back, in the layout that the plan has: with a copy in half precision, with averaged ones.
//!
//! In: a plan, parameters in their model's layout. Out: the same, from the device.
//! Absent on purpose: the values of optimizer state, which a checkpoint takes as they are; only the slots are listed here.

use crate::device::{Device, Values};
use crate::error::Result;
use crate::model::{ParamLayout, Params};
use crate::plan::{Precision, Slot, TrainPlan};

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

/// Returns the slots whose values outlive a step, each once.
pub(super) fn lasting(plan: &TrainPlan) -> Vec<Slot> {
    let ports = &plan.ports;
    let all = std::iter::once(&ports.params).chain(&ports.half_params).chain(&ports.states);
    // The averaged weights of some optimizers are one of the states, so duplicates are left out.
    let mut slots: Vec<Slot> = Vec::new();
    for &slot in all.chain(&ports.gathered).chain(&ports.averaged).chain(&ports.scaling) {
        if !slots.contains(&slot) {
            slots.push(slot);
        }
    }
    slots
}
