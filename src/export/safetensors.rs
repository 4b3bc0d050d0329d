//! `model.safetensors`: weights under PyTorch's names, and in the metadata everything that is needed to predict.
//!
//! In and out: a [`TrainedModel`], or an [`Ensemble`] of several in one file. The same model always gives the same bytes.
//! Absent on purpose: optimizer state, figures, the time of day.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use safetensors::serialize;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use super::weights::{STATE, fill, fill_from, open, read_bytes};
use crate::data::{Preprocessing, TargetKind};
use crate::error::{Error, Result};
use crate::files::write_file;
use crate::graph::{Loss, Reduction};
use crate::model::{ParamView, Sequential};
use crate::train::{Criterion, Ensemble, TrainedModel};

/// The one key of the metadata: of several, the order would change from file to file.
const KEY: &str = "wgrad";
/// Version of what stands under the key.
const FORMAT: u32 = 1;
/// Version of what stands under the key of an ensemble: programs that read single networks only refuse it by this number.
const ENSEMBLE_FORMAT: u32 = 2;

/// Name of bytes that are in no file, in errors.
const IN_MEMORY: &str = "the bytes of the model";

/// Value under the key.
#[derive(Serialize)]
struct ModelHeader {
    format: u32,
    /// The version of this crate that wrote the file.
    version: String,
    #[serde(flatten)]
    network: NetworkHeader,
}

/// Value under the key, of an ensemble.
#[derive(Serialize, Deserialize)]
struct EnsembleHeader {
    format: u32,
    version: String,
    /// The members; `None` for one whose description is that of the first, which is never `None`.
    members: Vec<Option<NetworkHeader>>,
}

/// All of a network but its weights.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct NetworkHeader {
    model: Sequential,
    loss: Loss,
    #[serde(default, skip_serializing_if = "is_mean")]
    reduction: Reduction,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    class_weights: Vec<f32>,
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    final_smoothing: f64,
    preparation: Preprocessing,
}

/// Returns the factor of label smoothing without a schedule.
fn whole() -> f64 {
    1.0
}

/// Returns true for the default factor, which files leave out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_whole(factor: &f64) -> bool {
    *factor == whole()
}

/// Returns true for the default reduction, which files leave out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_mean(reduction: &Reduction) -> bool {
    *reduction == Reduction::Mean
}

/// The part of [`ModelHeader`] that no later format changes.
#[derive(Deserialize)]
struct ModelFormat {
    format: u32,
    version: String,
}

/// Writes a trained network. A crash leaves the old file or the new one.
///
/// ```
/// use wgrad::prelude::*;
///
/// # let data = wgrad::data::synth::sine(200, 0.05, Seed(1)).split(0.2, Seed(1))?;
/// # let model = Sequential::new().dense(8).tanh().dense(1);
/// # let options = TrainOptions { loss: Loss::Mse, epochs: 2, ..TrainOptions::default() };
/// # let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
/// # trainer.run()?;
/// let file = std::env::temp_dir().join(format!("wgrad-write-model-{}.safetensors", std::process::id()));
/// write_model(&trainer.trained(), &file)?;
/// let predictor = Predictor::new(read_model(&file)?)?;
/// assert_eq!(predictor.predict_array(&[1.0])?.dim(), (1, 1));
/// # std::fs::remove_file(&file).ok();
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// # Errors
/// If the file cannot be written.
pub fn write_model(trained: &TrainedModel, path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    write_file(path, &encoded(std::slice::from_ref(trained), path)?)
}

/// Writes an ensemble into one file: tensors of member 3 have names such as `member.3/0.weight`. An ensemble of one network is
/// written as [`write_model`] does. A crash leaves the old file or the new one.
///
/// # Errors
/// If the file cannot be written.
pub fn write_ensemble(ensemble: &Ensemble, path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    write_file(path, &encoded(ensemble.members(), path)?)
}

/// Returns the bytes that [`write_ensemble`] writes.
///
/// # Errors
/// If the ensemble cannot be encoded.
pub fn ensemble_to_bytes(ensemble: &Ensemble) -> Result<Vec<u8>> {
    encoded(ensemble.members(), Path::new(IN_MEMORY))
}

/// Encodes the members of an ensemble; errors name the file.
fn encoded(members: &[TrainedModel], path: &Path) -> Result<Vec<u8>> {
    let version = env!("CARGO_PKG_VERSION").to_string();
    if let [trained] = members {
        let about = ModelHeader { format: FORMAT, version, network: NetworkHeader::of(trained) };
        return bytes_of(&about, &[(String::new(), trained)], path);
    }
    let first = NetworkHeader::of(&members[0]);
    let described = |(place, trained): (usize, &TrainedModel)| {
        Some(NetworkHeader::of(trained)).filter(|own| place == 0 || *own != first)
    };
    let about = EnsembleHeader {
        format: ENSEMBLE_FORMAT,
        version,
        members: members.iter().enumerate().map(described).collect(),
    };
    let networks: Vec<(String, &TrainedModel)> =
        members.iter().enumerate().map(|(place, trained)| (prefix(place), trained)).collect();
    bytes_of(&about, &networks, path)
}

/// Returns the beginning of the names of a member's tensors.
fn prefix(member: usize) -> String {
    format!("member.{member}/")
}

impl NetworkHeader {
    fn of(trained: &TrainedModel) -> Self {
        Self {
            model: trained.model.clone(),
            loss: trained.criterion.loss.clone(),
            reduction: trained.criterion.reduction,
            class_weights: trained.criterion.class_weights.clone(),
            final_smoothing: trained.criterion.final_smoothing,
            preparation: trained.preparation.clone(),
        }
    }
}

/// Encodes networks, whose tensors' names begin with the prefix of each.
fn bytes_of(
    about: &impl Serialize,
    networks: &[(String, &TrainedModel)],
    path: &Path,
) -> Result<Vec<u8>> {
    let failed = |reason: String| Error::model_file(path, format!("cannot be encoded: {reason}"));
    let about = serde_json::to_string(about).map_err(|error| failed(error.to_string()))?;
    let tensors = |(prefix, trained): &(String, &TrainedModel)| -> Vec<_> {
        let tensor = |(view, values): (&ParamView, &[f32])| {
            let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (format!("{prefix}{}", view.name), view.shape.clone(), data)
        };
        trained.params.iter().map(tensor).collect()
    };
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = networks.iter().flat_map(tensors).collect();
    let views: std::result::Result<Vec<_>, _> = bytes
        .iter()
        .map(|(name, shape, data)| {
            TensorView::new(Dtype::F32, shape.clone(), data).map(|view| (name.as_str(), view))
        })
        .collect();
    let metadata = HashMap::from([(KEY.to_string(), about)]);
    views
        .and_then(|views| serialize(views, Some(metadata)))
        .map_err(|error| failed(error.to_string()))
}

/// Reads a network that [`write_model`] wrote, and checks all of it.
///
/// # Errors
/// If the file cannot be read, is damaged, is an ensemble, or is of another kind or a later format; the message says what to do.
pub fn read_model(path: impl AsRef<Path>) -> Result<TrainedModel> {
    let path = path.as_ref();
    let mut members = read_ensemble(path)?.into_members();
    match members.len() {
        1 => Ok(members.swap_remove(0)),
        count => Err(Error::model_file(path, of_several(count))),
    }
}

/// Says what to do with an ensemble where one network is wanted.
fn of_several(count: usize) -> String {
    format!(
        "an ensemble of {count} networks, where one network is wanted; give the model.safetensors of one of them, such as that in \
         the folder members/0 of its run"
    )
}

/// Reads an ensemble that [`write_ensemble`] wrote, or one network as an ensemble of one, and checks all of it.
///
/// # Errors
/// If the file cannot be read, is damaged, or is of another kind or a later format; the message says what to do.
pub fn read_ensemble(path: impl AsRef<Path>) -> Result<Ensemble> {
    let path = path.as_ref();
    decoded(&read_bytes(path)?, path)
}

/// Reads an ensemble from the bytes that [`ensemble_to_bytes`] returns, or those of a file that [`write_ensemble`] wrote, and checks
/// all of it.
///
/// # Errors
/// As [`read_ensemble`].
pub fn ensemble_from_bytes(bytes: &[u8]) -> Result<Ensemble> {
    decoded(bytes, Path::new(IN_MEMORY))
}

/// Decodes an ensemble; errors name the file.
fn decoded(bytes: &[u8], path: &Path) -> Result<Ensemble> {
    let tensors = open(path, bytes)?;
    let refuse = |problem: String| Error::model_file(path, problem);
    let damaged =
        |problem: String| refuse(format!("damaged: {problem}; take a copy, or train again"));
    let (_, header) = safetensors::SafeTensors::read_metadata(bytes)
        .map_err(|error| refuse(error.to_string()))?;
    let Some(about) = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY)) else {
        let problem = "a safetensors file, but not a model of wgrad: it does not say which layers and columns belong to its \
                       weights; give the model.safetensors of a run folder (weights from elsewhere go to `wgrad train --init FILE`, or with a run to \
                       `wgrad predict RUN TABLE --weights FILE`)";
        return Err(refuse(problem.to_string()));
    };
    let headers = parse(about).map_err(refuse)?;
    let alone = headers.len() == 1;
    let known: Vec<String> = (0..headers.len()).map(prefix).collect();
    let strange = |name: &&str| {
        !alone && !name.starts_with(STATE) && !known.iter().any(|prefix| name.starts_with(prefix))
    };
    if let Some(name) = tensors.names().into_iter().find(strange) {
        return Err(damaged(format!("`{name}` is of no member")));
    }
    let member = |(place, about): (usize, NetworkHeader)| {
        let of_member =
            |problem| if alone { problem } else { format!("member {place}: {problem}") };
        let damaged = |problem: String| damaged(of_member(problem));
        let NetworkHeader { model, loss, reduction, class_weights, final_smoothing, preparation } =
            about;
        let criterion = Criterion { loss, reduction, class_weights, final_smoothing };
        check_preparation(&preparation, &criterion).map_err(damaged)?;
        let layout = model.layout(preparation.schema.features.len());
        let layout = layout.map_err(|error| damaged(error.to_string()))?;
        let params = match alone {
            true => fill(&tensors, &layout),
            false => fill_from(&tensors, &known[place], &layout),
        };
        let params = params.map_err(|problem| refuse(of_member(problem)))?;
        let trained = TrainedModel { model, params, preparation, criterion };
        trained.check().map_err(|error| damaged(error.to_string()))?;
        Ok(trained)
    };
    let members: Result<Vec<_>> = headers.into_iter().enumerate().map(member).collect();
    Ensemble::new(members?).map_err(|error| damaged(error.to_string()))
}

/// Reads which columns and classes the weights of a file are for, and how these are scaled; `None` for a file that says nothing
/// of it, such as a `state_dict` from PyTorch.
///
/// # Errors
/// If the file cannot be read, is damaged, is an ensemble, or is of a later format.
pub fn read_preparation(path: impl AsRef<Path>) -> Result<Option<Preprocessing>> {
    let path = path.as_ref();
    let bytes = read_bytes(path)?;
    open(path, &bytes)?;
    let refuse = |problem: String| Error::model_file(path, problem);
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes)
        .map_err(|error| refuse(error.to_string()))?;
    let about = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
    let Some(about) = about else { return Ok(None) };
    let mut headers = parse(about).map_err(refuse)?;
    match headers.len() {
        1 => Ok(Some(headers.swap_remove(0).preparation)),
        count => Err(refuse(of_several(count))),
    }
}

/// Reads the descriptions of a file's networks, of which there is at least one.
fn parse(text: &str) -> Result<Vec<NetworkHeader>, String> {
    let damaged = |error: serde_json::Error| {
        format!(
            "damaged: the description of the model is not readable ({error}); take a copy, or train again"
        )
    };
    // A description of a model is read from bytes only: readers from texts would be made in vain.
    let text = text.as_bytes();
    let ModelFormat { format, version } = serde_json::from_slice(text).map_err(damaged)?;
    match format {
        FORMAT => {
            // Not as a whole: serde cannot read numbers as keys of maps inside a flattened part.
            let network: NetworkHeader = serde_json::from_slice(text).map_err(damaged)?;
            Ok(vec![network])
        }
        ENSEMBLE_FORMAT => {
            let header: EnsembleHeader = serde_json::from_slice(text).map_err(damaged)?;
            let members = header.members;
            let Some(Some(first)) = members.first().cloned() else {
                let problem = "the description of the first member is missing";
                return Err(format!("damaged: {problem}; take a copy, or train again"));
            };
            Ok(members.into_iter().map(|it| it.unwrap_or_else(|| first.clone())).collect())
        }
        _ => Err(format!(
            "format {format}, written by wgrad {version}, but this version reads the formats {FORMAT} and {ENSEMBLE_FORMAT}; use \
             that version"
        )),
    }
}

/// Checks that scaling, columns and loss belong together: a damaged or edited file is refused here, not by wrong predictions.
fn check_preparation(preparation: &Preprocessing, criterion: &Criterion) -> Result<(), String> {
    let features = &preparation.schema.features;
    let (means, stds) = (preparation.mean.len(), preparation.std.len());
    if (means, stds) != (features.len(), features.len()) {
        return Err(format!(
            "{means} means and {stds} deviations for {} feature columns",
            features.len()
        ));
    }
    let schema = &preparation.schema;
    // Means and deviations are those of the target's columns, weights those of its classes.
    let (targets, outputs) = (schema.targets().len(), schema.outputs());
    let (means, stds) = (preparation.target_mean.len(), preparation.target_std.len());
    if (means, stds) != (targets, targets) {
        return Err(format!("{means} means and {stds} deviations for {targets} target columns"));
    }
    let mut numbers = preparation.mean.iter().chain(&preparation.target_mean);
    if let Some(bad) = numbers.find(|value| !value.is_finite()) {
        return Err(format!("a mean of {bad}"));
    }
    // Predictions divide by the deviations.
    let mut deviations = preparation.std.iter().chain(&preparation.target_std);
    if let Some(bad) = deviations.find(|value| !(value.is_finite() && **value > 0.0)) {
        return Err(format!("a deviation of {bad}, but each must be above 0"));
    }
    preparation.curves.check(features.len(), targets)?;
    // Columns are looked up by name, so names must be unambiguous.
    let distinct = |names: &[String]| names.iter().collect::<HashSet<_>>().len() == names.len();
    if !distinct(features) {
        return Err("two feature columns have one name".to_string());
    }
    match &schema.kind {
        TargetKind::Classes(labels) if !distinct(labels) => {
            return Err("two classes have one name".to_string());
        }
        TargetKind::Numbers(columns) if columns.is_empty() => {
            return Err("no target column".to_string());
        }
        TargetKind::Labels(labels) if labels.is_empty() => {
            return Err("no target column".to_string());
        }
        _ => {}
    }
    let Criterion { loss, class_weights, final_smoothing, .. } = criterion;
    if !(0.0..=1.0).contains(final_smoothing) {
        return Err(format!(
            "a factor of label smoothing of {final_smoothing}, which must be 0 to 1"
        ));
    }
    if !loss.fits(&schema.kind) {
        return Err(format!("the loss {loss} does not fit the target `{}`", schema.target));
    }
    let positive = |weight: &f32| weight.is_finite() && *weight >= 0.0;
    let fits = class_weights.is_empty() || class_weights.len() == outputs;
    if !fits || !class_weights.iter().all(positive) {
        let count = class_weights.len();
        return Err(format!(
            "{count} weights for {outputs} classes, each of which must be 0 or more"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, FeatureScaling, Targets};
    use crate::model::Params;
    use crate::random::Seed;

    fn trained() -> TrainedModel {
        let x: Vec<f32> = (0..12).map(|i| (i as f32).sqrt()).collect();
        let data = Dataset::from_arrays(&x, 3, Targets::Classes(vec![0, 1, 0, 1])).unwrap();
        let model = Sequential::new().dense(4).tanh().dense_without_bias(2);
        let params = Params::init(&model, 3, Seed(1)).unwrap();
        TrainedModel {
            model,
            params,
            preparation: Preprocessing::fit(&data, FeatureScaling::Standard),
            criterion: Loss::CROSS_ENTROPY.into(),
        }
    }

    #[test]
    fn models_come_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        write_model(&trained(), &a).unwrap();
        let back = read_model(&a).unwrap();
        assert_eq!(back, trained());
        write_model(&back, &b).unwrap();
        assert_eq!(std::fs::read(a).unwrap(), std::fs::read(b).unwrap());
    }

    /// Members of one scaling, but for the last.
    fn ensemble() -> Ensemble {
        let member = |seed| {
            let mut trained = trained();
            trained.params = Params::init(&trained.model, 3, Seed(seed)).unwrap();
            trained.preparation.mean[0] += if seed == 3 { 1.0 } else { 0.0 };
            trained
        };
        Ensemble::new((1..=3).map(member).collect()).unwrap()
    }

    #[test]
    fn ensembles_come_back_bit_for_bit_and_are_no_single_network() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        write_ensemble(&ensemble(), &a).unwrap();
        let back = read_ensemble(&a).unwrap();
        assert_eq!(back, ensemble());
        write_ensemble(&back, &b).unwrap();
        assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
        for said in
            [read_model(&a).unwrap_err().to_string(), read_preparation(&a).unwrap_err().to_string()]
        {
            assert!(
                said.contains("an ensemble of 3 networks") && said.contains("members/0"),
                "{said}"
            );
        }
        // One network is written as by itself.
        let one = Ensemble::new(vec![trained()]).unwrap();
        write_ensemble(&one, &a).unwrap();
        write_model(&trained(), &b).unwrap();
        assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
        assert_eq!(read_ensemble(&a).unwrap(), one);
    }

    #[test]
    fn bytes_are_those_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        for ensemble in [ensemble(), Ensemble::from(ensemble().first().clone())] {
            write_ensemble(&ensemble, &path).unwrap();
            let bytes = ensemble_to_bytes(&ensemble).unwrap();
            assert_eq!(bytes, std::fs::read(&path).unwrap());
            assert_eq!(ensemble_from_bytes(&bytes).unwrap(), ensemble);
            let said = ensemble_from_bytes(&bytes[..bytes.len() - 1]).unwrap_err().to_string();
            assert!(said.contains("the bytes of the model"), "{said}");
        }
    }

    #[test]
    fn a_cut_or_changed_ensemble_never_panics() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        write_ensemble(&ensemble(), &path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for end in (0..bytes.len()).step_by(17) {
            std::fs::write(&path, &bytes[..end]).unwrap();
            assert!(read_ensemble(&path).is_err(), "{end}");
        }
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 0x55;
            std::fs::write(&path, &changed).unwrap();
            let _ = read_ensemble(&path);
        }
    }

    fn refused(change: impl FnOnce(&mut TrainedModel)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let mut model = trained();
        change(&mut model);
        write_model(&model, &path).unwrap();
        read_model(&path).unwrap_err().to_string()
    }

    #[test]
    fn parts_that_do_not_fit_are_named() {
        assert!(refused(|m| m.preparation.std[1] = 0.0).contains("a deviation of 0"));
        assert!(
            refused(|m| m.preparation.mean.truncate(2)).contains("2 means and 3 deviations for 3")
        );
        assert!(refused(|m| m.preparation.mean[0] = f64::NAN).contains("damaged"));
        assert!(refused(|m| m.criterion.loss = Loss::Mse).contains("mse does not fit"));
        assert!(
            refused(|m| m.preparation.schema.kind = TargetKind::Classes(vec!["a".into()]))
                .contains("2 outputs")
        );
        assert!(
            refused(|m| m.preparation.schema.kind = TargetKind::Classes(vec![]))
                .contains("2 outputs")
        );
        assert!(refused(|m| m.preparation.schema.features[1] = "x0".into()).contains("one name"));
        // Sizes that no file of this length can hold are refused before memory is asked for.
        let said = refused(|m| m.model = Sequential::new().dense(50_000_000).dense(2));
        assert!(
            said.contains("`0.weight` has the shape [4, 3], but the model needs [50000000, 3]"),
            "{said}"
        );
        assert!(refused(|m| m.model = Sequential::new()).contains("no layers"));
        let said = refused(|m| {
            m.params = Params::from_arena(
                m.params.layout().clone(),
                vec![f32::NAN; m.params.layout().len()],
            )
            .unwrap()
        });
        assert!(said.contains("NaN at element 0"), "{said}");
    }

    #[test]
    fn a_cut_or_changed_file_never_panics() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        write_model(&trained(), &path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for end in (0..bytes.len()).step_by(7) {
            std::fs::write(&path, &bytes[..end]).unwrap();
            assert!(read_model(&path).is_err(), "{end}");
        }
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 0x55;
            std::fs::write(&path, &changed).unwrap();
            let _ = read_model(&path);
        }
    }

    #[test]
    fn later_formats_name_their_version() {
        let said = parse("{\"format\":3,\"version\":\"9.1.0\",\"new\":true}").err().unwrap();
        assert!(said.contains("format 3") && said.contains("9.1.0"), "{said}");
    }
}
