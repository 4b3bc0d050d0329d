//! `wgrad plan`: the model and the plan that train would run.

use super::Exit;
use super::args::PlanArgs;
use super::config::RunConfig;
use super::given::Given;
use super::output::Output;
use crate::device::open;
use crate::error::Result;
use crate::plan::Plan;

pub(super) fn plan(args: &PlanArgs) -> Result<Exit> {
    let config = RunConfig::resolve(Given::merge(&args.settings, None)?)?;
    if args.settings.device.is_some() {
        // The plan is the same for all devices, but one that is asked for must be there.
        open(&config.device)?;
    }
    let data = config.data()?;
    let (model, options) = (config.model(&data), config.options(&data));
    let plan = Plan::of_run(&model, &data, &options).map_err(|error| config.locate(error))?;
    let mut out = Output::new();
    out.line(&format!("{}\n\n{plan}", model.summary(data.train.columns())?))?;
    out.end()?;
    Ok(Exit::Done)
}
