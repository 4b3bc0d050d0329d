//! `wgrad plan`: the model and the plan that train would run.

use crate::cli::Exit;
use crate::cli::args::PlanArgs;
use crate::cli::output::Output;
use crate::cli::settings::run_config;
use crate::cli::tables::with_bar;
use crate::cli::wording::with_options;
use crate::device::open;
use crate::error::Result;
use crate::report::Console;
use crate::train::MemoryPlanner;

pub(crate) fn plan(args: &PlanArgs) -> Result<Exit> {
    let config = run_config(&args.settings.0)?;
    // Devices differ in what fits them only; one that is asked for must be there.
    let opened = args.settings.0.text("device").map(|_| open(&config.device)).transpose()?;
    let device = opened.as_ref().map(|(device, _)| device.as_ref());
    let origin = config.origin(true)?;
    let table = with_bar(false, &config.table, |progress| config.data(origin.as_ref(), progress))?;
    let data = &table.data;
    let (model, options) = (config.model(data)?, config.options(&data.train, origin.as_ref()));
    let room = MemoryPlanner { model: &model, data, options: &options, device };
    let overlapping = config.check_groups(&model, data)?;
    let mut console = Console::stderr();
    table.format.iter().for_each(|text| console.say("table", text));
    table
        .notes
        .iter()
        .chain(&overlapping)
        .for_each(|note| console.warn(&with_options(&note.to_string())));
    data.train.notes().iter().for_each(|note| console.warn(&with_options(note)));
    let (plan, streaming) = room.plan().map_err(|error| config.locate(error))?;
    let mut out = Output::new();
    out.line(&format!("{}\n\n{plan}", model.summary(data.train.columns())?))?;
    if let Some(streaming) = streaming {
        out.line(&format!("data {streaming}"))?;
    }
    out.end()?;
    Ok(Exit::Done)
}
