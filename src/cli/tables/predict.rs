//! `wgrad predict`: a table with the predictions as new columns, a few thousand rows at a time.
//!
//! In: a run and a table of any length. Out: the table's columns as they were, and the new ones. Three threads work at the
//! same time, each a few parts ahead of the next: one reads, this one predicts, one writes.

use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{channel, sync_channel};
use std::thread::{self, Builder};
use std::time::Instant;

use serde::Serialize;

use super::ROWS;
use super::input::{TableInput, at_row, is_pipe};
use super::odd_rows::OddRows;
use super::prediction_writer::{CellStyle, PredictedRows, PredictionColumns, PredictionWriter};
use super::prefetch::{Next, Prefetcher};
use crate::cli::Exit;
use crate::cli::args::PredictArgs;
use crate::cli::interrupt::Interrupt;
use crate::cli::open_run::open_run;
use crate::cli::output::{Output, check_out, failed};
use crate::cli::wording::with_options;
use crate::data::{FeatureReader, Preprocessing, RowChunk, list};
use crate::error::{Error, Result};
use crate::export::MODEL_FILE;
use crate::graph::Loss;
use crate::report::{Console, JsonLines, count, duration, escape_controls, pluralize};
use crate::train::{Predictions, Predictor};

/// Largest number of parts that wait to be written.
const WAITING: usize = 2;

#[derive(Serialize)]
struct Done<'a> {
    event: &'a str,
    rows: u64,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<String>,
}

#[derive(Serialize)]
struct StoppedEvent<'a> {
    event: &'a str,
    rows: u64,
}

/// How the reading of a table ended.
enum Ended {
    Whole(PredictionWriter),
    /// The user stopped it.
    Stopped(Option<PredictionWriter>),
    /// The reader of the output has closed it.
    Left,
}

/// Ends of names that promise another format than that of the predictions.
const OTHER_FORMATS: [&str; 21] = [
    "gz", "zst", "zip", "xz", "bz2", "lz4", "br", "parquet", "arrow", "feather", "xlsx", "xls",
    "ods", "npy", "npz", "pkl", "json", "jsonl", "ndjson", "tsv", "html",
];

/// Refuses a file whose name promises another format.
fn check_format(out: &Path) -> Result<()> {
    let extension = out.extension().map(|it| it.to_string_lossy().to_ascii_lowercase());
    if extension.is_none_or(|it| !OTHER_FORMATS.contains(&it.as_str())) {
        return Ok(());
    }
    let mut name = out.with_extension("");
    if name.extension().is_none() {
        name.set_extension("csv");
    }
    let problem = format!(
        "{}: predictions are written as CSV; give a name such as {}",
        out.display(),
        name.display()
    );
    Err(Error::setting("--out", problem))
}

pub(crate) fn predict(args: &PredictArgs) -> Result<Exit> {
    let kind = args.device.parse()?;
    let (input, format) = (TableInput::of(&args.table), args.format.read()?);
    let out = args.out.as_deref().filter(|out| !is_pipe(out));
    // Checked before anything is opened: the output must not be one of the inputs.
    if let Some(out) = out {
        let (model, weights) = (args.run.join(MODEL_FILE), args.weights.as_ref());
        let inputs = [&args.table, &args.run, &model, weights.unwrap_or(&model)];
        check_out("--out", out, &inputs.map(PathBuf::as_path), args.force)?;
        check_format(out)?;
    }
    let mut console = if args.quiet { Console::quiet() } else { Console::stderr() };
    let ensemble = open_run(&args.run, args.weights.as_deref(), &mut console)?;
    if args.spread && ensemble.members().len() < 2 {
        let problem = "one network alone has no spread; give the run of an ensemble, which `wgrad train --members 5` trains";
        return Err(Error::setting("--spread", problem));
    }
    let trained = ensemble.first();
    // The columns are checked before a device is opened, which may take seconds.
    let reader = input.features(&trained.preparation.schema, &format)?;
    let columns = |trained| PredictionColumns::of(trained).with_spread(args.spread);
    let (header, renamed) = columns(trained).header(reader.headers());
    let style = CellStyle::of(&reader);
    if !reader.notes().is_empty() {
        let new = &header[reader.headers().len()..];
        let result = if args.json { String::new() } else { style.text(new) };
        let notes = with_options(&reader.notes().join("; "));
        console.say("table", &format!("{}: {notes}{result}", input.name()));
    }
    if out.is_some() || !args.json {
        // JSON on stdout names the columns itself.
        for (wanted, taken) in &renamed {
            let source = input.name();
            console
                .line(&format!("{source} has a column {wanted} already; the new one is {taken}"));
        }
    }
    let predictor = Predictor::on_device(ensemble, &kind, Some(ROWS))?;
    let told = PredictionColumns::of(predictor.trained()).with_spread(args.spread);
    let (device, reason) = (predictor.device(), predictor.reason());
    console.say("device", &format!("{device}: {reason}"));
    let interrupt = Interrupt::listen(args.quiet)?;
    interrupt.arm();
    let begun = Instant::now();
    // Rows on a terminal show the progress themselves.
    if out.is_some() || !std::io::stdout().is_terminal() {
        console.begin_table(input.bytes());
    }
    // Opened only when the first rows are predicted, so that an error leaves no file.
    let open = || PredictionWriter::open(out, args.json, &header, style);
    let (mut odd, mut crossed) = (OddRows::default(), 0);
    let predict = |chunk: &mut RowChunk| {
        let found = predictions((&predictor, &mut odd), chunk, &input.name(), args.spread)?;
        let loss = &predictor.trained().criterion.loss;
        crossed += crossed_rows(found.predictions.values(), chunk.lines.len(), loss);
        Ok(found)
    };
    let (ended, rows) = run(reader, predict, (open, &told), &interrupt, &mut console)?;
    console.close();
    odd.tell(predictor.trained(), "their predictions are left empty", &mut console);
    if crossed > 0 {
        console.warn(&format!(
            "in {} of {} a quantile is above a higher one, since each is learned by itself; sort the quantiles of each row",
            count(crossed),
            pluralize(rows, "row")
        ));
    }
    let seconds = begun.elapsed().as_secs_f64();
    // A file is finished, and so takes its name, only if the table was read to its end.
    match ended {
        Ended::Left => return Ok(Exit::Done),
        Ended::Stopped(sink) => {
            stopped((out, args.json), sink, rows)?;
            return Ok(Exit::Interrupted);
        }
        Ended::Whole(sink) => sink.finish()?,
    }
    if args.json {
        let out = out.map(|path| path.display().to_string());
        let mut stdout = Output::new();
        JsonLines::new(&mut stdout)
            .line(&Done { event: "finished", rows, seconds, out })
            .map_err(failed)?;
    }
    console.line(&format!("{} in {}", pluralize(rows, "row"), duration(seconds)));
    Ok(Exit::Done)
}

/// Reads, predicts and writes at the same time. Returns how it ended, and after how many rows.
fn run(
    mut reader: FeatureReader,
    mut predict: impl FnMut(&mut RowChunk) -> Result<PredictedRows>,
    (open, told): (impl FnOnce() -> Result<PredictionWriter>, &PredictionColumns<'_>),
    interrupt: &Interrupt,
    console: &mut Console,
) -> Result<(Ended, u64)> {
    // Written parts go back to the reader, whose next rows use the same memory.
    let (empty, emptied) = channel::<RowChunk>();
    let mut ahead = Prefetcher::start(move || {
        let mut chunk = emptied.try_recv().unwrap_or_default();
        Ok(reader.refill(&mut chunk, ROWS)?.then(|| (chunk, reader.bytes())))
    })?;
    let asked = || interrupt.asked();
    // A table that cannot be read or predicted leaves no file and no header behind.
    let mut next = match ahead.next(asked)? {
        Next::Part((mut chunk, bytes)) => {
            let predictions = predict(&mut chunk)?;
            Some((chunk, bytes, predictions))
        }
        Next::End => None,
        Next::Stopped => return Ok((Ended::Stopped(None), 0)),
    };
    let mut sink = open()?;
    // A bounded channel, so that a slow disk does not fill the memory with predictions.
    let (to, from) = sync_channel::<(RowChunk, PredictedRows, u64)>(WAITING);
    let write = move || -> Result<PredictionWriter> {
        for (chunk, predicted, first) in from {
            sink.write(&chunk, &predicted, told, first)?;
            if sink.closed() {
                break;
            }
            // The reader may have ended already, so a failed send is ignored.
            let _ = empty.send(chunk);
        }
        Ok(sink)
    };
    let (mut rows, mut stop) = (0, false);
    // The writer borrows the columns' names, so it has to end inside this function.
    let sink = thread::scope(|scope| {
        let writer = Builder::new().name("wgrad writing".to_string()).spawn_scoped(scope, write);
        let writer =
            writer.map_err(|source| Error::file("start a thread for", "the rows", source))?;
        while let Some((chunk, bytes, predictions)) = next.take() {
            let count = chunk.records.len() as u64;
            // The channel closes when the writer has ended: its output was closed, or `join` returns its error.
            if to.send((chunk, predictions, rows)).is_err() {
                break;
            }
            rows += count;
            console.table(bytes, rows);
            match ahead.next(asked)? {
                Next::Stopped => stop = true,
                Next::Part(_) if interrupt.asked() => stop = true,
                Next::Part((mut chunk, bytes)) => {
                    let predictions = predict(&mut chunk)?;
                    next = Some((chunk, bytes, predictions));
                }
                Next::End => {}
            }
        }
        // Closing the channel lets the writer end.
        drop(to);
        writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let ended = match (sink.closed(), stop) {
        (true, _) => Ended::Left,
        (false, true) => Ended::Stopped(Some(sink)),
        (false, false) => Ended::Whole(sink),
    };
    Ok((ended, rows))
}

/// Returns in how many of some rows a quantile is above a higher one; 0 where the loss has no quantiles.
fn crossed_rows(values: &[f64], rows: usize, loss: &Loss) -> u64 {
    let Loss::Pinball(quantiles) = loss else { return 0 };
    let each = quantiles.as_slice().len();
    let width = (values.len() / rows.max(1)).max(1);
    // Levels rise, target by target.
    let crosses = |row: &&[f64]| row.chunks(each).any(|own| own.windows(2).any(|it| it[0] > it[1]));
    values.chunks(width).filter(crosses).count() as u64
}

/// Returns predictions for some rows, all of which must be finite.
fn predictions(
    (predictor, odd): (&Predictor, &mut OddRows),
    chunk: &mut RowChunk,
    table: &str,
    spread: bool,
) -> Result<PredictedRows> {
    let cells = (chunk.odd.as_slice(), chunk.lines.as_slice());
    let skipped = odd.mend(predictor.trained(), &mut chunk.x, cells, table)?;
    let place = |row, problem| at_row(table, &chunk.lines, row, problem);
    let trained = predictor.trained();
    let mut members = predictor.ensemble().members().iter();
    members.try_for_each(|it| it.check_rows((&chunk.x).into(), place))?;
    let (predictions, spread) = if spread {
        let (predictions, spread) = predictor.predict_with_spread(&chunk.x)?;
        (predictions, Some(spread))
    } else {
        (predictor.predict(&chunk.x)?, None)
    };
    check_finite((&chunk.x, &chunk.lines), &predictions, &trained.preparation, table)?;
    Ok(PredictedRows { predictions, spread, skipped })
}

/// Reports an end in the middle of a table, by the user's wish.
fn stopped(
    (out, json): (Option<&Path>, bool),
    sink: Option<PredictionWriter>,
    rows: u64,
) -> Result<()> {
    let mut text = format!("stopped after {}", pluralize(rows, "row"));
    match (out, sink) {
        (Some(out), _) => text += &format!("; {} was not written", out.display()),
        (None, Some(sink)) => sink.finish()?,
        (None, None) => {}
    }
    if json {
        JsonLines::new(Output::new())
            .line(&StoppedEvent { event: "interrupted", rows })
            .map_err(failed)?;
    }
    // This is the result and not progress, so --quiet does not hide it. With stderr closed there is nobody to report to.
    let _ = writeln!(std::io::stderr(), "{}", escape_controls(&text));
    Ok(())
}

/// Checks that all predictions for rows, with their features and lines, are numbers.
pub(crate) fn check_finite(
    (x, lines): (&[f64], &[u64]),
    predictions: &Predictions,
    preparation: &Preprocessing,
    table: &str,
) -> Result<()> {
    let values = predictions.values();
    let Some(wrong) = values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
    let columns = preparation.schema.features.len();
    let row = wrong / (values.len() / lines.len().max(1)).max(1);
    // The value farthest from the training data is the likeliest cause.
    let features = x.get(row * columns..(row + 1) * columns).unwrap_or_default();
    let distance = |column: usize| preparation.scaled_feature(features[column], column).abs();
    let farthest =
        (0..features.len()).max_by(|&a, &b| distance(a).total_cmp(&distance(b))).map(|column| {
            format!(
                ": {:?} in column {} is the farthest from what training saw",
                features[column],
                list(&preparation.schema.features[column..=column])
            )
        });
    let problem = format!(
        "the prediction for this row is not a finite number, as extreme values make it{}; correct or remove the row",
        farthest.unwrap_or_default()
    );
    Err(at_row(table, lines, row, problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Quantiles;

    #[test]
    fn rows_whose_quantiles_cross_are_counted_target_by_target() {
        let loss = Loss::Pinball(Quantiles::new(&[0.1, 0.5]).unwrap());
        // Two targets; from one to the next the values may fall.
        let values = [
            [1.0, 2.0, 0.0, 0.0],
            [1.0, 2.0, 4.0, 3.0],
            [5.0, 4.0, 2.0, 1.0],
            [3.0, 4.0, 1.0, 2.0],
        ];
        assert_eq!(crossed_rows(values.as_flattened(), 4, &loss), 2);
        assert_eq!(crossed_rows(values.as_flattened(), 4, &Loss::Mse), 0);
        assert_eq!(crossed_rows(&[], 0, &loss), 0);
    }
}
