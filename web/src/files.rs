//! Files of a trained network, as the program writes them.

use std::fmt::Write as _;

use wgrad::data::{FeatureReader, Oddities, TableInMemory, TargetKind};
use wgrad::export::{ensemble_to_bytes, needs_double, onnx_bytes};
use wgrad::report::{
    NextCommand, RunReport, column_pictures, column_summaries, history_pictures,
    prediction_pictures,
};
use wgrad::train::Predictions;
use wgrad::{Error, Predictor, Result};

use crate::session::{Session, TrainedRun};

/// Work for pictures of columns, in products of numbers: a few seconds.
const WORK: u64 = 300_000_000;

/// Returns a file by its name.
pub(crate) fn file(session: &Session, name: &str) -> Result<Vec<u8>> {
    let run = session.trained()?;
    match name {
        "model.safetensors" => ensemble_to_bytes(&run.ensemble),
        "model.onnx" => onnx_bytes(run.ensemble.clone(), needs_double(run.ensemble.clone())),
        "report.html" => report(run).map(String::into_bytes),
        "history.csv" if run.epochs.is_empty() => {
            let problem = "the network was not trained in this page, or not for a whole epoch, so that there is none";
            Err(Error::setting("history", problem))
        }
        "history.csv" => Ok(history(run).into_bytes()),
        _ => Err(Error::setting("file", format!("‘{name}’ is none that a run has"))),
    }
}

/// Returns the lines of `history.csv`.
fn history(run: &TrainedRun) -> String {
    let mut text = run.history.columns.join(",") + ",seconds,samples_per_second\n";
    for (line, stats) in run.history.epochs.iter().zip(&run.epochs) {
        for cell in line {
            let _ = match cell {
                Some(value) => write!(text, "{value},"),
                None => write!(text, ","),
            };
        }
        let _ = writeln!(text, "{:.6},{:.1}", stats.seconds, stats.samples_per_second);
    }
    text
}

/// Returns the report as a page.
fn report(run: &TrainedRun) -> Result<String> {
    let predictor = Predictor::new(run.ensemble.clone())?;
    let kept = run.outcome.as_ref().and_then(|it| it.get("epoch")).and_then(|it| it.as_u64());
    let kept = kept.and_then(|epoch| u32::try_from(epoch).ok());
    let mut pictures = history_pictures(&run.history, kept);
    let mut remarks = vec!["the run was trained in a browser".to_string()];
    if let Some((rows, told)) = &run.valid {
        pictures.extend(prediction_pictures(&predictor, rows)?);
        let columns = column_pictures(&predictor, rows, WORK)?;
        pictures.extend(columns.pictures);
        remarks.extend(columns.remarks);
        remarks.push(format!("pictures of predictions and columns show {told}"));
    }
    let trained = predictor.trained();
    let columns = run.train.as_ref().or(run.valid.as_ref());
    let command = |purpose: &str, command: &str| NextCommand {
        purpose: purpose.to_string(),
        command: command.to_string(),
    };
    let report = RunReport {
        run: format!("{} in a browser", run.table),
        table: Some(run.table.clone()),
        trained,
        members: run.ensemble.members().len(),
        outcome: run.outcome.clone(),
        evaluation: None,
        networks: Vec::new(),
        pictures,
        remarks,
        columns: columns
            .map(|(rows, _)| column_summaries(&trained.preparation, rows))
            .unwrap_or_default(),
        columns_of: columns.map(|it| it.1.clone()).unwrap_or_default(),
        settings: run.settings.clone(),
        warnings: run.warnings.clone(),
        commands: vec![
            command(
                "Predict the rows of another table",
                "wgrad predict model.safetensors TABLE --out predicted.csv",
            ),
            command(
                "Figures on other rows that have the target",
                "wgrad evaluate model.safetensors TABLE",
            ),
        ],
    };
    Ok(report.html())
}

/// Rows that are predicted at once.
const AT_ONCE: usize = 4096;

/// Returns the predictions for the rows of a table, with the names of columns that the program gives them.
pub(crate) fn predictions(session: &Session, name: &str, bytes: Vec<u8>) -> Result<String> {
    let predictor = Predictor::new(session.trained()?.ensemble.clone())?;
    let schema = &predictor.trained().preparation.schema;
    // Its own name may be that of the table on which the network was trained.
    let table = TableInMemory::new(&format!("{name} to predict"), bytes)?;
    let mut reader = FeatureReader::open(&table, schema)?;
    let targets = schema.targets();
    let columns = match &schema.kind {
        TargetKind::Classes(classes) => {
            let probabilities = classes.iter().map(|class| format!("p_{class}"));
            std::iter::once(format!("{}_predicted", targets[0])).chain(probabilities).collect()
        }
        _ => targets.iter().map(|target| format!("{target}_predicted")).collect::<Vec<_>>(),
    };
    let mut text = columns.iter().map(|name| cell(name)).collect::<Vec<_>>().join(",") + "\n";
    while let Some(chunk) = reader.next_chunk(AT_ONCE)? {
        if !chunk.odd.is_empty() {
            let mut oddities = Oddities::default();
            oddities.add(&chunk.odd, &chunk.lines);
            let told = oddities.told(schema).join("; ");
            return Err(Error::table(name, format!("{told}; `wgrad predict` says what it can do")));
        }
        lines(&predictor.predict(&chunk.x)?, &schema.kind, &mut text);
    }
    Ok(text)
}

fn lines(predictions: &Predictions, kind: &TargetKind, text: &mut String) {
    if let (Predictions::Classes { best, probabilities }, TargetKind::Classes(classes)) =
        (predictions, kind)
    {
        for (&best, row) in best.iter().zip(probabilities.chunks_exact(classes.len())) {
            text.push_str(&cell(&classes[best]));
            row.iter().for_each(|p| _ = write!(text, ",{}", *p as f32));
            text.push('\n');
        }
        return;
    }
    let width = match kind {
        TargetKind::Number | TargetKind::Classes(_) => 1,
        TargetKind::Numbers(columns) => columns.len(),
        TargetKind::Labels(labels) => labels.len(),
    };
    for row in predictions.values().chunks_exact(width) {
        let cells: Vec<String> = row.iter().map(|value| (*value as f32).to_string()).collect();
        let _ = writeln!(text, "{}", cells.join(","));
    }
}

/// Returns a text as a cell of CSV.
fn cell(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_string(),
    }
}
