//! Pictures of a run: of its history, its predictions, its columns and its network.
//!
//! In: a history, a trained network, rows with targets. Out: [`Picture`]s.
//! Absent on purpose: files; how a picture is drawn.

use std::cmp::Reverse;

use super::history_table::HistoryTable;
use super::text::count;
use crate::data::{LabelledRows, TargetKind};
use crate::error::Result;
use crate::model::{Layer, LayerShape, ParamLayout, ParamView, Sequential};
use crate::picture::{
    self, CalibrationBin, ClassesOrLabels, Dependence, DependenceValues, Importance, Intervals,
    LayerBox, Line, MapPoint, NetworkLine, NumberFigures, Picture, RankCurve,
};
use crate::random::Seed;
use crate::train::explain::{
    ColumnDependence, PermutationImportance, embedding_maps, partial_dependence,
    permutation_importance,
};
use crate::train::metrics::classes::{self, ClassRows};
use crate::train::metrics::curves::{calibration_bins, ranking_curves};
use crate::train::metrics::{ScoredRows, Uncertainty};
use crate::train::{Metric, Predictor, TrainedModel};

/// Curves in one picture, and targets with pictures of their own, at most.
const CURVES: usize = 10;
const TARGETS: usize = 4;
/// Bins of confidence.
const BINS: usize = 10;
/// Figure that the picture of calibration tells.
const ECE: Metric = Metric::CalibrationError(BINS);
/// Columns whose dependence is drawn, lines in such a picture, and rows it is a mean over.
const DEPENDENCES: usize = 4;
const LINES: usize = 6;
const DEPENDENCE_ROWS: usize = 200;
/// Times that each column is shuffled, and the least number of rows that say something.
const REPEATS: usize = 5;
const LEAST_ROWS: usize = 30;

/// Draws loss, metrics and learning rate by epoch. `kept` is the epoch whose weights are kept.
pub fn history_pictures(history: &HistoryTable, kept: Option<u32>) -> Vec<Picture> {
    let line = |name: &str, column: &str| Some(Line::new(name, history.points(column)?));
    let losses: Vec<Line> = [("training", "train_loss"), ("validation", "valid_loss")]
        .into_iter()
        .filter_map(|(name, column)| line(name, column))
        .collect();
    let mut pictures = vec![picture::by_epoch(("loss", "Loss"), &losses, kept)];
    for metric in history.metrics() {
        let Some(line) = line("validation", &format!("valid_{metric}")) else { continue };
        let title = title_of(metric);
        pictures.push(picture::by_epoch((&file_name(metric), &title), &[line], kept));
    }
    pictures.extend(history.points("lr").map(|rates| picture::learning_rate(&rates)));
    pictures
}

/// History of a network of several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkHistory {
    /// Name of the network, such as `fold 2`.
    pub name: String,
    /// Figures of its epochs.
    pub history: HistoryTable,
    /// The epoch whose weights are kept.
    pub kept: Option<u32>,
}

/// Draws losses and metrics of several networks by epoch, a line for each network.
pub fn network_history_pictures(networks: &[NetworkHistory]) -> Vec<Picture> {
    let lines = |column: &str| -> Vec<NetworkLine> {
        let line = |it: &NetworkHistory| {
            let points = it.history.points(column)?;
            let line = Line::new(it.name.clone(), points);
            Some(NetworkLine { line, kept: it.kept }).filter(|it| !it.line.points.is_empty())
        };
        networks.iter().filter_map(line).collect()
    };
    let mut pictures = Vec::new();
    let losses =
        [("loss", "Training loss", "train_loss"), ("valid-loss", "Validation loss", "valid_loss")];
    for (name, title, column) in losses {
        let lines = lines(column);
        if !lines.is_empty() {
            pictures.push(picture::by_epoch_of_networks((name, title), &lines));
        }
    }
    let metrics = networks.first().map(|it| it.history.metrics()).unwrap_or_default();
    for metric in metrics {
        let title = format!("{} of validation rows", title_of(metric));
        let lines = lines(&format!("valid_{metric}"));
        pictures.push(picture::by_epoch_of_networks((&file_name(metric), &title), &lines));
    }
    let rates = networks.iter().find_map(|it| it.history.points("lr").filter(|it| !it.is_empty()));
    pictures.extend(rates.map(|rates| picture::learning_rate(&rates)));
    pictures
}

/// Name of a metric for a file.
fn file_name(metric: &str) -> String {
    metric.replace('_', "-").replace(['(', ')', ',', ' '], "")
}

/// Title of a metric's picture: `Balanced accuracy`.
fn title_of(metric: &str) -> String {
    if let "mae" | "rmse" | "mape" | "r2" | "roc_auc" = metric {
        return metric.to_uppercase().replace('_', " ");
    }
    let mut letters = metric.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>());
    format!("{}{}", first.unwrap_or_default(), letters.as_str().replace('_', " "))
}

/// Draws the layers of a network, those inside of others by the outer one.
///
/// # Errors
/// If the layers do not fit one another.
pub fn network_picture(trained: &TrainedModel) -> Result<Picture> {
    let schema = &trained.preparation.schema;
    let mut layers = Vec::new();
    let (inputs, layout) = (schema.features.len(), trained.params.layout());
    boxes((&trained.model, layout), inputs, ("", ""), &mut layers)?;
    let outputs = match &schema.kind {
        TargetKind::Classes(classes) => {
            format!("{} classes of {}", count(classes.len() as u64), schema.target)
        }
        _ => {
            let columns = trained.columns();
            let named = columns.iter().map(|(target, told)| match told.as_str() {
                "predicted" => (*target).to_string(),
                told => format!("{target}: {told}"),
            });
            named.collect::<Vec<_>>().join(", ")
        }
    };
    Ok(picture::network(schema.features.len(), &layers, &outputs))
}

/// Boxes of layers; a layer with others inside is a box before theirs, without parameters of its own. `around` is in front of the
/// names of parameters.
fn boxes(
    (model, layout): (&Sequential, &ParamLayout),
    inputs: usize,
    (place, around): (&str, &str),
    to: &mut Vec<LayerBox>,
) -> Result<()> {
    let shapes = model.shapes(inputs)?.into_iter().enumerate();
    for (index, LayerShape { layer, inputs, outputs }) in shapes {
        let below = format!("{around}{index}.");
        let inner: Vec<&Sequential> = match &layer {
            Layer::Residual(inner) => vec![inner],
            Layer::BatchEnsemble(ensemble) => vec![&ensemble.layers],
            Layer::Branches(branches) => branches.iter().collect(),
            _ => vec![],
        };
        let own = layout.views().iter().filter(|it| it.trainable && it.name.starts_with(&below));
        let parameters = match inner.is_empty() {
            true => own.map(ParamView::len).sum(),
            false => 0,
        };
        let name = match inner.is_empty() {
            true => format!("{place}{layer}"),
            false => format!("{place}{}", layer.name()),
        };
        to.push(LayerBox { name, width: outputs, parameters });
        for (branch, inside) in inner.iter().enumerate() {
            let place = match inner.len() {
                1 => format!("{place}in {}: ", layer.name()),
                _ => format!("{place}branch {}: ", branch + 1),
            };
            let around = match layer {
                Layer::Branches(_) => format!("{below}{branch}."),
                _ => below.clone(),
            };
            boxes((inside, layout), inputs, (&place, &around), to)?;
        }
    }
    Ok(())
}

/// Draws how well predictions fit: for classes and labels confusion, ROC, precision and recall, calibration; for numbers predicted
/// against actual ones, residuals, and intervals where the loss predicts them. Of several targets, the first four.
///
/// # Errors
/// As [`Predictor::predict`].
pub fn prediction_pictures(predictor: &Predictor, rows: &LabelledRows) -> Result<Vec<Picture>> {
    Ok(scored_pictures(predictor.trained(), &predictor.score(rows)?))
}

/// Draws the same of rows that were predicted before; `trained` says what the target is, and what its loss predicts.
pub fn scored_pictures(trained: &TrainedModel, scored: &ScoredRows) -> Vec<Picture> {
    let schema = &trained.preparation.schema;
    let scores = trained.outputs_are_scores();
    let targets = schema.targets();
    match (scored, &schema.kind) {
        (ScoredRows::Classes { .. }, TargetKind::Classes(names)) => {
            of_classes(scored, names, scores)
        }
        (ScoredRows::Columns { parts, right: Some(_) }, _) => {
            of_labels((scored, parts), &targets, scores)
        }
        // One label is a part of its own, too.
        (ScoredRows::Classes { .. }, _) => {
            of_labels((scored, std::slice::from_ref(scored)), &targets, scores)
        }
        (ScoredRows::Columns { parts, right: None }, _) => {
            let each = parts.iter().zip(&targets).enumerate().take(TARGETS);
            each.flat_map(|(place, (part, target))| {
                let all = of_numbers(part, target);
                all.into_iter().map(move |it| {
                    let name = format!("{}-{}", it.name(), place + 1);
                    it.named(name)
                })
            })
            .collect()
        }
        (ScoredRows::Numbers { .. }, _) => of_numbers(scored, targets[0]),
    }
}

/// Of a target of classes; scores are no probabilities, so that they are not calibrated.
fn of_classes(scored: &ScoredRows, names: &[String], scores: bool) -> Vec<Picture> {
    let ScoredRows::Classes { truth, probabilities, best, weights, .. } = scored else {
        return Vec::new();
    };
    let mut pictures = vec![picture::confusion(
        names,
        &classes::confusion(truth, best, names.len()),
        weights.is_some(),
    )];
    let rows = ClassRows { truth, probabilities, weights: weights.as_deref() };
    let ranked = if names.len() == 2 { 1..2 } else { 0..names.len() };
    if ranked.len() <= CURVES {
        let of = ranked.map(|class| (names[class].clone(), rows, class));
        pictures.extend(rankings(of, ClassesOrLabels::Classes));
    }
    if !scores {
        pictures.push(calibrated(rows, scored.figure(ECE), 1));
    }
    pictures
}

/// Of labels: a curve each, and the calibration of all together with the error that is the figure.
fn of_labels(
    (scored, parts): (&ScoredRows, &[ScoredRows]),
    targets: &[&str],
    scores: bool,
) -> Vec<Picture> {
    let rows = parts.iter().zip(targets).filter_map(|(part, target)| {
        let ScoredRows::Classes { truth, probabilities, weights, .. } = part else { return None };
        Some((
            (*target).to_string(),
            ClassRows { truth, probabilities, weights: weights.as_deref() },
            1,
        ))
    });
    let rows: Vec<_> = rows.collect();
    let mut pictures = rankings(rows.iter().take(CURVES).cloned(), ClassesOrLabels::Labels);
    if !scores {
        let truth: Vec<u32> = rows.iter().flat_map(|it| it.1.truth).copied().collect();
        let probabilities: Vec<f64> =
            rows.iter().flat_map(|it| it.1.probabilities).copied().collect();
        let weights: Option<Vec<f64>> = rows
            .iter()
            .map(|it| it.1.weights.map(<[f64]>::to_vec))
            .collect::<Option<Vec<_>>>()
            .map(|it| it.concat());
        let all =
            ClassRows { truth: &truth, probabilities: &probabilities, weights: weights.as_deref() };
        pictures.push(calibrated(all, scored.figure(ECE), parts.len()));
    }
    if parts.len() > 1 {
        let figures = parts.iter().zip(targets).filter_map(|(part, target)| {
            Some(((*target).to_string(), part.figure(Metric::Accuracy)?))
        });
        pictures.push(picture::class_figures(
            "Accuracy",
            &figures.collect::<Vec<_>>(),
            ClassesOrLabels::Labels,
        ));
    }
    pictures
}

/// ROC and precision-recall curves of (name, rows, class).
fn rankings<'a>(
    named: impl Iterator<Item = (String, ClassRows<'a>, usize)>,
    of: ClassesOrLabels,
) -> Vec<Picture> {
    let (mut roc, mut precision_recall) = (Vec::new(), Vec::new());
    for (class, rows, place) in named {
        let curves = ranking_curves(rows, place);
        roc.push(RankCurve { class: class.clone(), points: curves.roc, figure: curves.roc_auc });
        let (points, figure) = (curves.precision_recall, curves.average_precision);
        precision_recall.push(RankCurve { class, points, figure });
    }
    // Without rows of a class, or of others, there is nothing to draw.
    let drawn = |curves: &[RankCurve]| curves.iter().any(|curve| curve.points.len() > 1);
    let mut pictures = Vec::new();
    if drawn(&roc) {
        pictures.push(picture::roc(&roc, of));
    }
    if drawn(&precision_recall) {
        pictures.push(picture::precision_recall(&precision_recall, of));
    }
    pictures
}

/// Draws the bins of all rows, and tells this error, of several labels the mean over them.
fn calibrated(rows: ClassRows<'_>, error: Option<f64>, labels: usize) -> Picture {
    let (bins, _) = calibration_bins(rows, BINS);
    let bins: Vec<CalibrationBin> = bins
        .into_iter()
        .map(|it| CalibrationBin {
            confidence: it.confidence,
            accuracy: it.accuracy,
            weight: it.weight,
        })
        .collect();
    picture::calibration(&bins, error, labels)
}

fn of_numbers(scored: &ScoredRows, target: &str) -> Vec<Picture> {
    let ScoredRows::Numbers { truth, predicted, spread, weights } = scored else {
        return Vec::new();
    };
    let figures =
        NumberFigures { r2: scored.figure(Metric::R2), rmse: scored.figure(Metric::Rmse) };
    // Quantiles without the median are no prediction of the number itself.
    let is_point = predicted.len() == truth.len();
    let mut pictures = Vec::new();
    if is_point {
        pictures.push(picture::predicted_actual(target, truth, predicted, figures));
        pictures.push(picture::residuals(target, truth, predicted, weights.as_deref()));
    }
    if let Some((low, high)) = spread.interval() {
        let nominal = match spread {
            Uncertainty::Quantiles(all) => match &all[..] {
                [(low, _), .., (high, _)] => high - low,
                _ => 0.0,
            },
            _ => 0.95,
        };
        let coverage = scored.figure(Metric::Coverage);
        let middle = is_point.then_some(predicted.as_slice());
        let rows = Intervals { truth, low: &low, middle, high: &high, nominal, coverage };
        pictures.push(picture::intervals(target, rows));
    }
    if let Uncertainty::Quantiles(all) = spread {
        let below = |values: &[f64]| {
            let count = truth.iter().zip(values).filter(|(y, q)| y <= q).count();
            count as f64 / truth.len().max(1) as f64
        };
        let points: Vec<(f64, f64)> =
            all.iter().map(|(share, values)| (*share, below(values))).collect();
        pictures.push(picture::quantile_coverage(target, &points));
    }
    pictures
}

/// Pictures of a network's columns, and remarks on those that were not drawn.
#[derive(Clone, Debug, Default)]
pub struct ColumnPictures {
    /// Importance, dependence on the most important columns, maps of embeddings.
    pub pictures: Vec<Picture>,
    /// Reasons why there are fewer.
    pub remarks: Vec<String>,
}

/// Draws the importance of columns by permutation, the mean prediction by each of the four most important ones, and a map of each
/// embedding's categories. `most` limits the work, in products of numbers: with many columns or a large network fewer rows are
/// used, or none.
///
/// # Errors
/// As [`Predictor::predict`].
pub fn column_pictures(
    predictor: &Predictor,
    rows: &LabelledRows,
    most: u64,
) -> Result<ColumnPictures> {
    let trained = predictor.trained();
    let mut told = ColumnPictures::default();
    let columns = trained.preparation.schema.read_columns().len();
    let network = trained.params.layout().count() + trained.preparation.schema.features.len();
    let row_work = (network * predictor.ensemble().members().len()) as u64;
    let affordable = most / (row_work.max(1) * (columns * REPEATS + 1) as u64);
    let wanted = usize::try_from(affordable).unwrap_or(usize::MAX).min(rows.y.len());
    if wanted < LEAST_ROWS.min(rows.y.len()) {
        told.remarks.push(format!(
            "the importance of {} columns would take long for this network, so it is left out; `wgrad plot RUN --what importance` \
             draws it",
            count(columns as u64)
        ));
    } else if rows.y.len() > 1 {
        let part = some_rows(rows, wanted);
        let found = permutation_importance(predictor, &part, REPEATS, Seed(0))?;
        if part.y.len() < rows.y.len() {
            told.remarks.push(format!(
                "the importance of columns is computed on {} of {} rows",
                count(part.y.len() as u64),
                count(rows.y.len() as u64)
            ));
        }
        told.pictures.push(importance_picture(&found));
        told.pictures.extend(dependences(predictor, rows, &found)?);
    }
    for map in embedding_maps(trained) {
        let places: Vec<MapPoint> =
            map.places.into_iter().map(|it| MapPoint { text: it.text, x: it.x, y: it.y }).collect();
        told.pictures.push(picture::embedding_map(&map.column, &places, map.explained));
    }
    number_alike(&mut told.pictures);
    Ok(told)
}

fn importance_picture(found: &PermutationImportance) -> Picture {
    let columns: Vec<Importance> = found
        .columns
        .iter()
        .map(|it| Importance { column: it.column.clone(), rises: it.rises.clone() })
        .collect();
    picture::importance(&columns, found.loss)
}

/// Gives pictures of one name numbers, so that each has a file.
fn number_alike(pictures: &mut [Picture]) {
    let names: Vec<String> = pictures.iter().map(|it| it.name().to_string()).collect();
    for (place, picture) in pictures.iter_mut().enumerate() {
        let name = &names[place];
        if names.iter().filter(|other| *other == name).count() > 1 {
            let number = names[..=place].iter().filter(|other| *other == name).count();
            *picture = picture.clone().named(format!("{name}-{number}"));
        }
    }
}

fn dependences(
    predictor: &Predictor,
    rows: &LabelledRows,
    found: &PermutationImportance,
) -> Result<Vec<Picture>> {
    let means = found.columns.iter().map(|it| (it.mean(), it));
    let mut order: Vec<_> = means.filter(|it| it.0 > 0.0).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let part = some_rows(rows, DEPENDENCE_ROWS);
    let mut pictures = Vec::new();
    for (_, column) in order.into_iter().take(DEPENDENCES) {
        let Some(found) = partial_dependence(predictor, &part, &column.column)? else { continue };
        let (of, predicted) = lines_of(predictor.trained(), found);
        pictures.push(picture::dependence(&of, &predicted));
    }
    Ok(pictures)
}

/// Chooses the predicted columns to draw: the positive one of two classes; of many, those that change most.
fn lines_of(trained: &TrainedModel, found: ColumnDependence) -> (Dependence, String) {
    let names = trained.columns();
    let line = |place: usize| -> Vec<f64> {
        found.means.iter().skip(place).step_by(names.len()).copied().collect()
    };
    let word = if trained.outputs_are_scores() { "score" } else { "probability" };
    let schema = &trained.preparation.schema;
    let (mut chosen, predicted): (Vec<usize>, String) = match &schema.kind {
        TargetKind::Classes(classes) if classes.len() == 2 => {
            (vec![1], format!("{word} of {} {}", schema.target, classes[1]))
        }
        TargetKind::Classes(_) | TargetKind::Labels(_) => {
            ((0..names.len()).collect(), word.to_string())
        }
        TargetKind::Number => ((0..names.len()).collect(), format!("predicted {}", schema.target)),
        TargetKind::Numbers(_) => ((0..names.len()).collect(), "prediction".to_string()),
    };
    let change = |place: &usize| {
        let values = line(*place);
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        values.iter().copied().fold(f64::NEG_INFINITY, f64::max) - least
    };
    if chosen.len() > LINES {
        // Whole numbers order as their changes do, since these are not negative.
        chosen.sort_by_cached_key(|place| Reverse(change(place).to_bits()));
        chosen.truncate(LINES);
        chosen.sort_unstable();
    }
    let name = |place: usize| {
        let (target, told) = &names[place];
        match &schema.kind {
            TargetKind::Classes(classes) => classes[place].clone(),
            TargetKind::Number => told.clone(),
            _ if told == "predicted" || told == word => (*target).to_string(),
            _ => format!("{target}: {told}"),
        }
    };
    let lines = chosen.into_iter().map(|place| (name(place), line(place))).collect();
    let values = match found.numbers.clone() {
        Some(numbers) => DependenceValues::Numbers(numbers),
        None => {
            let shown =
                |cell: &String| if cell.is_empty() { "(gap)".to_string() } else { cell.clone() };
            DependenceValues::Texts(found.cells.iter().map(shown).collect())
        }
    };
    (Dependence { column: found.column, values, lines }, predicted)
}

/// Returns at most so many rows, evenly chosen.
fn some_rows(rows: &LabelledRows, most: usize) -> LabelledRows {
    let all = rows.y.len();
    if all <= most {
        return rows.clone();
    }
    let chosen: Vec<u32> =
        (0..most).map(|place| u32::try_from(place * all / most).unwrap_or(u32::MAX)).collect();
    rows.subset(&chosen)
}
