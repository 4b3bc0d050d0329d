//! `wgrad info`: a run's layers, target, and what becomes of each column.

use crate::cli::Exit;
use crate::cli::args::InfoArgs;
use crate::cli::open_run::open_run;
use crate::cli::output::{Output, failed};
use crate::data::{Preprocessing, list};
use crate::error::Result;
use crate::report::{Console, JsonLines, column_texts, target_texts};
use serde::Serialize;

#[derive(Serialize)]
struct InfoLine<'a> {
    event: &'a str,
    loss: String,
    /// Number of networks whose mean is the prediction.
    members: usize,
    /// Parameters of one network.
    parameters: usize,
    preparation: &'a Preprocessing,
}

pub(crate) fn info(args: &InfoArgs) -> Result<Exit> {
    let ensemble = open_run(&args.run, None, &mut Console::stderr())?;
    let (trained, members) = (ensemble.first(), ensemble.members().len());
    let preparation = &trained.preparation;
    let schema = &preparation.schema;
    let summary = trained.model.summary(schema.features.len())?;
    let mut out = Output::new();
    if args.json {
        let (loss, parameters) = (trained.criterion.loss.to_string(), summary.parameters());
        let line = InfoLine { event: "model", loss, members, parameters, preparation };
        JsonLines::new(&mut out).line(&line).map_err(failed)?;
    } else {
        if members > 1 {
            let each = match ensemble.members().iter().all(|it| it.preparation == *preparation) {
                true => "each with weights of its own",
                false => "each with weights and scaling of its own; these are the first one's",
            };
            out.line(&format!(
                "an ensemble of {members} networks, whose mean is the prediction, {each}\n"
            ))?;
        }
        out.line(&format!("{summary}\n"))?;
        out.line(&format!(
            "predicts {}, loss {}",
            list(&schema.targets()),
            trained.criterion.loss
        ))?;
        for (name, told) in target_texts(preparation) {
            out.line(&format!("  {}: target, {told}", list(&[&name])))?;
        }
        for (name, told) in column_texts(preparation) {
            out.line(&format!("  {}: {told}", list(&[&name])))?;
        }
    }
    out.end()?;
    Ok(Exit::Done)
}
