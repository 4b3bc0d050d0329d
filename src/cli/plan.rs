//! `wgrad plan`: the model and the plan that train would run.

use super::Exit;
use super::args::PlanArgs;
use super::config::RunConfig;
use super::given::Given;
use super::output::Output;
use super::wording::with_options;
use crate::device::open;
use crate::error::Result;
use crate::report::Console;
use crate::train::Room;

pub(super) fn plan(args: &PlanArgs) -> Result<Exit> {
    let config = RunConfig::resolve(Given::merge(&args.settings, None)?)?;
    // Devices differ in what fits them only; one that is asked for must be there.
    let opened = args.settings.device.as_ref().map(|_| open(&config.device)).transpose()?;
    let device = opened.as_ref().map(|(device, _)| device.as_ref());
    let origin = config.origin(true)?;
    let table = config.data(origin.as_ref())?;
    let data = &table.data;
    let (model, options) = (config.model(data)?, config.options(&data.train, origin.as_ref()));
    let room = Room { model: &model, data, options: &options, device };
    let overlapping = config.check_groups(&model, data)?;
    let mut console = Console::stderr();
    table
        .notes
        .iter()
        .chain(&overlapping)
        .for_each(|note| console.warn(&with_options(&note.to_string())));
    let (plan, streaming) = room.plan().map_err(|error| config.locate(error))?;
    let mut out = Output::new();
    out.line(&format!("{}\n\n{plan}", model.summary(data.train.columns())?))?;
    if let Some(streaming) = streaming {
        out.line(&format!("data {streaming}"))?;
    }
    out.end()?;
    Ok(Exit::Done)
}
