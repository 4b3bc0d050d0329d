//! A trained network inside another program: used by any number of threads at once, on any device.
//!
//! In: a [`TrainedModel`] or an [`Ensemble`], rows. Out: [`Predictions`], names of classes, arrays, figures.
//! Absent on purpose: files.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ndarray::Array2;

use super::TrainOptions;
use super::ensemble::Ensemble;
use super::metrics::{Evaluation, Metrics, ScoredRows, StreamingEvaluator};
use super::outputs::Predictions;
use super::predict::{EVAL_BATCH, TrainedModel, eval_plan, load, run_eval};
#[cfg(not(target_family = "wasm"))]
use crate::data::LoadedNumbers;
use crate::data::{Dataset, Features, LabelledRows, Numbers, TargetKind};
use crate::device::cpu::CpuDevice;
use crate::device::{Device, DeviceInfo, DeviceKind, Values, open};
use crate::error::{Error, Result};
#[cfg(not(target_family = "wasm"))]
use crate::host::helpers;
use crate::host::threads;
use crate::model::Params;
use crate::plan::EvalPlan;

/// Numbers of rows that plans on the CPU are made for: a plan computes all of its rows, however few a call has.
const ON_CPU: [usize; 7] = [1, 8, 16, 32, 64, 128, 256];
/// Most rows that are computed at once on the CPU, and most numbers of a layer of theirs: a mebibyte, which stays in a core's cache.
const MANY: (usize, usize) = (2048, 1 << 18);
/// Multiplications of a part of few rows, at least, and bytes of the weights at most, for a part to go to a helper. A part of 2^20
/// takes some 25 µs, about ten times as long as giving it away. Each thread goes through all weights, which have to fit into its
/// core's cache: of larger ones threads share the products, so that each goes through a part of the weights.
#[cfg(not(target_family = "wasm"))]
const HELPED: (usize, usize) = (1 << 20, 1 << 19);
/// Number of rows that a GPU holds at once, unless the caller gives another one.
const ON_GPU: usize = 4096;

/// A trained network, or an ensemble of several, that threads share: every method takes `&self`. On the CPU, calls do not wait for one another; on a GPU they take
/// turns.
///
/// ```
/// use ndarray::array;
/// use wgrad::prelude::*;
///
/// let data = wgrad::data::synth::xor(200, 0.2, Seed(1)).split(0.25, Seed(1))?;
/// let model = Sequential::new().dense(8).tanh().dense(2);
/// let options = TrainOptions { epochs: 40, lr: 0.02, ..TrainOptions::default() };
/// let mut trainer = Trainer::new(&model, &data, &options, &DeviceKind::Cpu)?;
/// trainer.run()?;
///
/// let predictor = Predictor::new(trainer.trained())?;
/// let corners = array![[-1.0, -1.0], [1.0, -1.0]];
/// assert_eq!(predictor.predict_classes(&corners)?, ["0", "1"]);
/// assert!(predictor.predict_array(&corners)?[[1, 1]] > 0.5);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug)]
pub struct Predictor {
    ensemble: Arc<Ensemble>,
    info: DeviceInfo,
    reason: String,
    pool: Placement,
}

/// Devices and plans that compute rows.
enum Placement {
    /// On the CPU, for each member: plans for one row up to many, or one plan for a given number of rows.
    Cpu(Vec<Vec<Arc<DevicePool>>>),
    /// On one device, which calls share: the plan of each member.
    Shared(Vec<Arc<EvalPlan>>, Mutex<LoadedDevice>),
}

/// A device that holds one member at a time.
struct LoadedDevice {
    device: Box<dyn Device>,
    /// The member whose plan and weights are there; `None` after one could not be loaded.
    member: Option<usize>,
}

/// A plan, and CPU devices with the weights that wait for rows: as many as there were calls at once.
#[derive(Debug)]
struct DevicePool {
    /// Number of rows that the plan takes at once.
    rows: usize,
    shares: Shares,
    plan: Arc<EvalPlan>,
    /// Devices of all threads, which share products, and devices of one, by [`Shares`].
    idle: [Mutex<Vec<CpuDevice<f32>>>; 2],
}

/// Work of a call that threads share.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shares {
    /// The products of its layers.
    Products,
    /// Its rows, each part of which stays in the cache of one core.
    Rows,
}

impl std::fmt::Debug for Placement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu(pools) => f.debug_tuple("Cpu").field(pools).finish(),
            Self::Shared(plans, _) => f.debug_tuple("Shared").field(plans).finish_non_exhaustive(),
        }
    }
}

/// Locks a mutex whose content no panic leaves half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Predictor {
    /// Plans and loads a trained network, or the members of an ensemble, on the CPU, once for all calls.
    ///
    /// # Errors
    /// If a network's parts do not fit one another.
    pub fn new(trained: impl Into<Ensemble>) -> Result<Self> {
        Self::on_cpu(trained.into(), None, "asked for".to_string())
    }

    fn on_cpu(ensemble: Ensemble, rows: Option<usize>, reason: String) -> Result<Self> {
        let mut pools: Vec<Vec<Arc<DevicePool>>> = Vec::new();
        for (place, trained) in ensemble.members().iter().enumerate() {
            let own = match plan_of_earlier(&ensemble, place) {
                // Members of the same layers share their plans, and have weights of their own.
                Some(earlier) => {
                    pools[earlier].iter().map(|pool| Arc::new(pool.without_devices())).collect()
                }
                None => DevicePool::of_sizes(trained, rows)?,
            };
            // Loading one device now finds errors now, and makes the first call fast.
            own[0].put(own[0].shares, own[0].take(own[0].shares, trained)?);
            pools.push(own);
        }
        let info = CpuDevice::<f32>::new().info().clone();
        Ok(Self { ensemble: Arc::new(ensemble), info, reason, pool: Placement::Cpu(pools) })
    }

    /// Moves the network to a device.
    ///
    /// # Errors
    /// If the device cannot be opened, or is too small for the network.
    pub fn on(self, kind: &DeviceKind) -> Result<Self> {
        Self::on_device(whole(self.ensemble), kind, None)
    }

    /// Moves the network to a device, and plans for about `rows` rows a call, whatever the actual number: a call for far
    /// more takes several parts, a call for fewer takes as long as its rows need.
    ///
    /// # Errors
    /// As [`Self::on`].
    pub fn on_for_rows(self, kind: &DeviceKind, rows: usize) -> Result<Self> {
        Self::on_device(whole(self.ensemble), kind, Some(rows))
    }

    /// Plans and loads a trained network or an ensemble on a device, for about `rows` rows a call, without a plan for the CPU before.
    ///
    /// # Errors
    /// As [`Self::new`] and [`Self::on`].
    pub(crate) fn on_device(
        trained: impl Into<Ensemble>,
        kind: &DeviceKind,
        rows: Option<usize>,
    ) -> Result<Self> {
        let ensemble = trained.into();
        let (mut device, reason) = open(kind)?;
        let info = device.info().clone();
        // On the CPU every call may have a device of its own, so calls need not wait.
        if info.is_cpu() {
            return Self::on_cpu(ensemble, rows, reason);
        }
        let mut plans: Vec<Arc<EvalPlan>> = Vec::new();
        for (place, trained) in ensemble.members().iter().enumerate() {
            plans.push(match plan_of_earlier(&ensemble, place) {
                Some(earlier) => Arc::clone(&plans[earlier]),
                None => Arc::new(eval_plan(trained, rows.unwrap_or(ON_GPU))?),
            });
        }
        load(device.as_mut(), &plans[0], &ensemble.first().params)?;
        let loaded = LoadedDevice { device, member: Some(0) };
        let pool = Placement::Shared(plans, Mutex::new(loaded));
        Ok(Self { ensemble: Arc::new(ensemble), info, reason, pool })
    }

    /// Returns the network, its weights, and its columns and classes; of an ensemble the first member.
    pub fn trained(&self) -> &TrainedModel {
        self.ensemble.first()
    }

    /// Returns all networks.
    pub fn ensemble(&self) -> &Ensemble {
        &self.ensemble
    }

    /// Returns the device that computes.
    pub fn device(&self) -> &DeviceInfo {
        &self.info
    }

    /// Returns why that device was chosen.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Predictions for rows as they stand in a table, `[rows, columns]`, in single or double precision: slices, vectors, arrays of
    /// ndarray.
    ///
    /// # Errors
    /// If the values are no whole number of rows, one that must name a row of an embedding's table does not, one is beyond what single
    /// precision holds after scaling, or the device failed.
    pub fn predict<'a>(&self, rows: impl Into<Features<'a>>) -> Result<Predictions> {
        let outputs = self.outputs(&rows.into())?;
        Ok(self.predictions(&outputs))
    }

    /// Predictions as [`Self::predict`] gives them, and the standard deviation of the members' predictions for each of their
    /// numbers `[rows, columns]`, in the same units: the spread of an ensemble.
    ///
    /// # Errors
    /// As [`Self::predict`], and if there is one network only.
    pub fn predict_with_spread<'a>(
        &self,
        rows: impl Into<Features<'a>>,
    ) -> Result<(Predictions, Vec<f64>)> {
        if self.ensemble.members().len() < 2 {
            let problem = "one network alone has no spread; give an ensemble of at least two";
            return Err(Error::shape("predict", problem));
        }
        let each = self.outputs_of_members(&rows.into())?;
        let predictions = self.predictions(&self.ensemble.combined(&each));
        Ok((predictions, self.ensemble.spread(&each)))
    }

    fn predictions(&self, outputs: &[f32]) -> Predictions {
        let TrainedModel { preparation, criterion, .. } = self.trained();
        Predictions::new(outputs, preparation, &criterion.loss)
    }

    /// Returns the names of the likeliest classes, one for each row.
    ///
    /// ```
    /// use wgrad::prelude::*;
    ///
    /// let table = wgrad::data::synth::xor(200, 0.1, Seed(1)).with_classes(["same", "other"])?;
    /// let model = Sequential::new().dense(8).tanh().dense(2);
    /// let options = TrainOptions { epochs: 40, lr: 0.02, ..TrainOptions::default() };
    /// let mut trainer = Trainer::new(&model, &table.split(0.2, Seed(1))?, &options, &DeviceKind::Cpu)?;
    /// trainer.run()?;
    /// let predictor = Predictor::new(trainer.trained())?;
    /// assert_eq!(predictor.predict_classes(&[1.0, 1.0, -1.0, 1.0])?, ["same", "other"]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::predict`], and if the target is no class.
    pub fn predict_classes<'a>(&self, rows: impl Into<Features<'a>>) -> Result<Vec<&str>> {
        let TargetKind::Classes(names) = &self.trained().preparation.schema.kind else {
            let problem =
                "the model predicts numbers or labels, not classes; use Predictor::predict_array";
            return Err(Error::shape("predict", problem));
        };
        match self.predict(rows)? {
            Predictions::Classes { best, .. } => {
                Ok(best.into_iter().map(|class| names[class].as_str()).collect())
            }
            Predictions::Numbers(_) | Predictions::Labels(_) => Ok(Vec::new()),
        }
    }

    /// Predictions as an array `[rows, columns]`, whose columns [`TrainedModel::columns`] names: probabilities of classes or labels,
    /// or numbers in the target's own units.
    ///
    /// # Errors
    /// As [`Self::predict`].
    pub fn predict_array<'a>(&self, rows: impl Into<Features<'a>>) -> Result<Array2<f64>> {
        let values = self.predict(rows)?.into_values();
        let columns = self.trained().columns().len().max(1);
        let shape = (values.len() / columns, columns);
        Array2::from_shape_vec(shape, values)
            .map_err(|error| Error::shape("predict", error.to_string()))
    }

    /// Returns the usual figures over a table that has the target.
    ///
    /// # Errors
    /// If the table's columns are not the model's, or the device failed.
    pub fn evaluate(&self, data: &Dataset) -> Result<Metrics> {
        let outputs = self.outputs_for(data)?;
        let TrainedModel { criterion, preparation, .. } = self.trained();
        Ok(Metrics::under(criterion, &outputs, (data.y(), data.weights()), preparation))
    }

    /// Returns the usual figures over a table that has the target, and those that options ask for.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub fn evaluate_as(&self, data: &Dataset, options: &TrainOptions) -> Result<Metrics> {
        let outputs = self.outputs_for(data)?;
        let TrainedModel { criterion, preparation, .. } = self.trained();
        let targets = (data.y(), data.weights());
        let metrics = Metrics::under(criterion, &outputs, targets, preparation);
        let others = options.others();
        Ok(metrics.with(&others, &outputs, targets, (preparation, &criterion.loss)))
    }

    /// All figures over a table that has the target: those that suit it, each class's, and how often each class was taken for each.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub fn evaluate_all(&self, data: &Dataset) -> Result<Evaluation> {
        let outputs = self.outputs_for(data)?;
        let mut evaluator = StreamingEvaluator::new(self.trained());
        evaluator.add(&outputs, (data.y(), data.weights()))?;
        evaluator.finish()
    }

    /// Adds rows as they stand in a table, and their targets, to the figures of a table that comes in chunks.
    /// Out: the rows' predictions.
    ///
    /// # Errors
    /// As [`Self::predict`], and if a temporary file cannot be written.
    pub fn evaluate_chunk(
        &self,
        chunk: &LabelledRows,
        to: &mut StreamingEvaluator,
    ) -> Result<Predictions> {
        let outputs = self.outputs(&(&chunk.x).into())?;
        to.add(&outputs, (&chunk.y, chunk.weights.as_deref()))?;
        Ok(self.predictions(&outputs))
    }

    /// Returns rows with their targets and predictions, side by side, from which curves and other figures follow.
    ///
    /// # Errors
    /// As [`Self::predict`].
    pub fn score(&self, rows: &LabelledRows) -> Result<ScoredRows> {
        let outputs = self.outputs(&(&rows.x).into())?;
        let TrainedModel { criterion, preparation, .. } = self.trained();
        let targets = (&rows.y, rows.weights.as_deref());
        Ok(ScoredRows::of(&outputs, targets, preparation, &criterion.loss))
    }

    /// Returns raw outputs for a table's rows.
    pub(super) fn outputs_for(&self, data: &Dataset) -> Result<Vec<f32>> {
        self.check_table(data)?;
        self.outputs(&data.x().into())
    }

    /// Checks that a table has the model's columns and classes.
    pub(super) fn check_table(&self, data: &Dataset) -> Result<()> {
        if data.schema().reads_like(&self.trained().preparation.schema) {
            return Ok(());
        }
        let problem = "the table's columns or classes are not the model's";
        Err(Error::table(&data.schema().target, problem))
    }

    /// Returns raw outputs, of an ensemble those that mean the mean of its members.
    pub(super) fn outputs(&self, rows: &Features<'_>) -> Result<Vec<f32>> {
        let mut each = self.outputs_of_members(rows)?;
        // Of one network they are its own, to the bit.
        if each.len() == 1 {
            return Ok(each.swap_remove(0));
        }
        Ok(self.ensemble.combined(&each))
    }

    /// Returns the raw outputs of each member.
    pub(super) fn outputs_of_members(&self, rows: &Features<'_>) -> Result<Vec<Vec<f32>>> {
        let columns = self.trained().preparation.schema.features.len();
        // An array with its own number of columns is checked, since its values alone might still be whole rows.
        if let Some(there) = rows.columns().filter(|there| *there != columns) {
            let problem = format!("rows of {there} columns, but the model has {columns}");
            return Err(Error::shape("predict", problem));
        }
        let x: Numbers<'_> = rows.numbers();
        let members = self.ensemble.members();
        let mut outputs = Vec::with_capacity(members.len());
        for (place, trained) in members.iter().enumerate() {
            let count = trained.rows(x)?;
            outputs.push(self.outputs_of(place, x, count)?);
        }
        Ok(outputs)
    }

    /// Returns the raw outputs of a member for some rows, of which there are `count`.
    fn outputs_of(&self, member: usize, x: Numbers<'_>, count: usize) -> Result<Vec<f32>> {
        let trained = &self.ensemble.members()[member];
        match &self.pool {
            Placement::Shared(plans, loaded) => {
                let rows = (x, &trained.preparation);
                let (mut loaded, plan) = (locked(loaded), &plans[member]);
                loaded.take_member(member, plans, &trained.params)?;
                run_eval(loaded.device.as_mut(), (plan, &plan.ports), rows, false)
            }
            Placement::Cpu(pools) => {
                let pools = &pools[member];
                #[cfg(not(target_family = "wasm"))]
                if let Some(outputs) = self.with_helpers(member, pools, x, count) {
                    return outputs;
                }
                // The first pool that takes the rows at once; the last one takes any number, part by part.
                let fits = |pool: &&Arc<DevicePool>| count <= pool.rows;
                let pool = pools.iter().find(fits).unwrap_or(&pools[pools.len() - 1]);
                match pool.shares {
                    Shares::Products => pool.outputs(trained, x),
                    Shares::Rows => pool.outputs_by_parts(trained, x, count),
                }
            }
        }
    }
}

/// Returns the ensemble of a predictor that no call uses any more.
fn whole(ensemble: Arc<Ensemble>) -> Ensemble {
    Arc::into_inner(ensemble).expect("a helper drops its share before its result is there")
}

/// Returns an earlier member with the same layers, whose plan is this member's too.
fn plan_of_earlier(ensemble: &Ensemble, member: usize) -> Option<usize> {
    let members = ensemble.members();
    let same = |earlier: &TrainedModel| {
        earlier.model == members[member].model
            && earlier.preparation.schema.features.len()
                == members[member].preparation.schema.features.len()
    };
    members[..member].iter().position(same)
}

impl LoadedDevice {
    /// Puts a member's plan and weights on the device, unless they are there.
    fn take_member(
        &mut self,
        member: usize,
        plans: &[Arc<EvalPlan>],
        params: &Params,
    ) -> Result<()> {
        if self.member == Some(member) {
            return Ok(());
        }
        let plan = &plans[member];
        if self.member.take().is_some_and(|there| Arc::ptr_eq(plan, &plans[there])) {
            self.device.write(plan.params, 0, Values::F32(params.arena()))?;
        } else {
            load(self.device.as_mut(), plan, params)?;
        }
        self.member = Some(member);
        Ok(())
    }
}

#[cfg(not(target_family = "wasm"))]
impl Predictor {
    /// Returns the raw outputs of few rows, parts of which go to threads that wait awake; `None` if that does not pay.
    fn with_helpers(
        &self,
        member: usize,
        pools: &[Arc<DevicePool>],
        x: Numbers<'_>,
        count: usize,
    ) -> Option<Result<Vec<f32>>> {
        let trained = &self.ensemble.members()[member];
        let (least, bytes) = HELPED;
        let weights = trained.params.arena().len();
        let parts = (weights * count / least).min(count / 2).min(threads::count());
        let few = |pool: &&Arc<DevicePool>| pool.shares == Shares::Products && count <= pool.rows;
        pools
            .iter()
            .find(few)
            .filter(|_| parts > 1 && size_of_val(trained.params.arena()) <= bytes)?;
        let columns = x.len() / count;
        let each = count.div_ceil(parts);
        let pool = pools.iter().find(|pool| each <= pool.rows)?;
        let mut pieces = Vec::with_capacity(parts);
        for first in (0..count).step_by(each) {
            let rows = x.range(first * columns..count.min(first + each) * columns);
            let rows = LoadedNumbers::from(rows);
            let (pool, ensemble) = (Arc::clone(pool), Arc::clone(&self.ensemble));
            pieces.push(move || {
                pool.outputs_on(Shares::Rows, &ensemble.members()[member], (&rows).into())
            });
        }
        let parts: Result<Vec<Vec<f32>>> = helpers::at_once(pieces).into_iter().collect();
        Some(parts.map(|parts| parts.concat()))
    }
}

/// Returns the number of rows that the CPU computes at once if there are many: the fewer, the wider the network.
fn many_rows(trained: &TrainedModel) -> usize {
    let outputs = trained.params.layout().views().iter().filter_map(|view| view.shape.first());
    let features = trained.preparation.schema.features.len();
    let widest = outputs.copied().fold(features.max(1), usize::max);
    let fit = (MANY.1 / widest).clamp(ON_CPU[ON_CPU.len() - 1], MANY.0);
    1 << fit.ilog2()
}

impl DevicePool {
    fn new(trained: &TrainedModel, rows: usize, shares: Shares) -> Result<Self> {
        let plan = Arc::new(eval_plan(trained, rows)?);
        Ok(Self { rows, shares, plan, idle: Default::default() })
    }

    /// Returns pools for one row up to many, or one for a given number of rows.
    fn of_sizes(trained: &TrainedModel, rows: Option<usize>) -> Result<Vec<Arc<Self>>> {
        let few = |rows| Self::new(trained, rows, Shares::Products).map(Arc::new);
        let many = || Self::new(trained, many_rows(trained), Shares::Rows).map(Arc::new);
        match rows {
            None => ON_CPU.into_iter().map(few).chain([many()]).collect(),
            Some(rows) if rows > ON_CPU[ON_CPU.len() - 1] => Ok(vec![many()?]),
            Some(rows) => Ok(vec![few(rows)?]),
        }
    }

    /// Returns a pool of the same plan for other weights.
    fn without_devices(&self) -> Self {
        Self { plan: Arc::clone(&self.plan), idle: Default::default(), ..*self }
    }

    /// Returns the raw outputs of rows, on the threads that a device of this pool has.
    fn outputs(&self, trained: &TrainedModel, x: Numbers<'_>) -> Result<Vec<f32>> {
        self.outputs_on(self.shares, trained, x)
    }

    fn outputs_on(
        &self,
        shares: Shares,
        trained: &TrainedModel,
        x: Numbers<'_>,
    ) -> Result<Vec<f32>> {
        let mut device = self.take(shares, trained)?;
        let rows = (x, &trained.preparation);
        let outputs = run_eval(&mut device, (&self.plan, &self.plan.ports), rows, false)?;
        self.put(shares, device);
        Ok(outputs)
    }

    /// Returns the raw outputs of `count` rows, parts of which go to all threads.
    fn outputs_by_parts(
        &self,
        trained: &TrainedModel,
        x: Numbers<'_>,
        count: usize,
    ) -> Result<Vec<f32>> {
        let columns = trained.preparation.schema.features.len();
        let (_, width) = self.plan.slot(self.plan.ports.predictions).matrix();
        let mut outputs = vec![0.0; count * width];
        // No thread is idle while there are rows for it, unless they are fewer than a batch, all of which is computed.
        let most = count.div_ceil(threads::count()).next_multiple_of(EVAL_BATCH).min(self.rows);
        let part = |rows: Range<usize>, to: &mut [f32]| {
            let x = x.range(rows.start * columns..rows.end * columns);
            to.copy_from_slice(&self.outputs(trained, x)?);
            Ok(())
        };
        threads::in_parts(0..count, (&mut outputs, width), most, &part)?;
        Ok(outputs)
    }

    /// Takes an unused device, or makes a new one.
    fn take(&self, shares: Shares, trained: &TrainedModel) -> Result<CpuDevice<f32>> {
        let idle = locked(&self.idle[shares as usize]).pop();
        match idle {
            Some(device) => Ok(device),
            None => {
                let mut device = match shares {
                    Shares::Products => CpuDevice::new(),
                    Shares::Rows => CpuDevice::of_one_thread(),
                };
                load(&mut device, &self.plan, &trained.params)?;
                Ok(device)
            }
        }
    }

    /// Returns a device to the pool.
    fn put(&self, shares: Shares, device: CpuDevice<f32>) {
        locked(&self.idle[shares as usize]).push(device);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{FeatureScaling, Preprocessing, Targets};
    use crate::graph::Loss;
    use crate::model::Sequential;
    use crate::random::Seed;
    use ndarray::{ArrayView2, s};

    const ROWS: usize = 600;

    fn trained() -> (TrainedModel, Vec<f32>) {
        let x: Vec<f32> = (0..ROWS * 3).map(|i| ((i * 37 + 11) % 101) as f32 / 7.0).collect();
        let y = Targets::Classes((0..ROWS as u32).map(|row| row % 4).collect());
        let data = Dataset::from_arrays(&x, 3, y).unwrap();
        let model = Sequential::new().dense(9).tanh().dense(4);
        let params = Params::init(&model, 3, Seed(1)).unwrap();
        let preparation = Preprocessing::fit(&data, FeatureScaling::Standard);
        (TrainedModel { model, params, preparation, criterion: Loss::CROSS_ENTROPY.into() }, x)
    }

    fn probabilities(predictions: Predictions) -> Vec<f64> {
        match predictions {
            Predictions::Classes { probabilities, .. } => probabilities,
            other => panic!("{other:?}"),
        }
    }

    fn assert_close(got: &[f64], want: &[f64], what: &str) {
        assert_eq!(got.len(), want.len(), "{what}");
        let fits = got.iter().zip(want).all(|(got, want)| (got - want).abs() <= 1e-6);
        assert!(fits, "{what}");
    }

    #[test]
    fn wide_networks_take_fewer_rows_at_once() {
        let rows = |columns: usize, units: usize| {
            let model = Sequential::new().dense(units).dense(2);
            let params = Params::init(&model, columns, Seed(1)).unwrap();
            let x = vec![0.5; 4 * columns];
            let y = Targets::Classes(vec![0, 1, 0, 1]);
            let data = Dataset::from_arrays(&x, columns, y).unwrap();
            let preparation = Preprocessing::fit(&data, FeatureScaling::None);
            let criterion = Loss::CROSS_ENTROPY.into();
            many_rows(&TrainedModel { model, params, preparation, criterion })
        };
        // A mebibyte of 4-byte numbers a layer, a power of two of rows, from 256 to 2,048.
        assert_eq!([rows(3, 9), rows(3, 512), rows(784, 16), rows(2, 4096)], [2048, 512, 256, 256]);
    }

    #[test]
    fn many_threads_get_what_one_plan_for_all_rows_gives() {
        let (trained, x) = trained();
        let whole = DevicePool::new(&trained, ROWS, Shares::Products).unwrap();
        let want = whole.outputs(&trained, (&x).into()).unwrap();
        let want = Predictions::new(&want, &trained.preparation, &trained.criterion.loss);
        let want = probabilities(want);
        let predictor = Predictor::new(trained).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (predictor, x, want) = (&predictor, &x, &want);
                scope.spawn(move || {
                    for rows in [1, 2, 16, 17, 64, 65, 256, 257, ROWS - thread] {
                        let range = thread..thread + rows;
                        let got = predictor.predict(&x[range.start * 3..range.end * 3]).unwrap();
                        let want = &want[range.start * 4..range.end * 4];
                        let what = format!("thread {thread}, {rows} rows");
                        assert_close(&probabilities(got), want, &what);
                    }
                });
            }
        });
        // Devices are kept for later calls, and no more than there were calls at once.
        let Placement::Cpu(pools) = &predictor.pool else { panic!("not on the CPU") };
        for pool in &pools[0] {
            let kept = pool.idle[pool.shares as usize].lock().unwrap().len();
            let most = if pool.shares == Shares::Rows { threads::count() } else { 8 };
            assert!((1..=most).contains(&kept), "{kept} devices");
        }
        assert!(
            predictor.predict(&x[..4]).unwrap_err().to_string().contains("4 values are no whole")
        );
        assert_eq!(probabilities(predictor.predict(&[0.0_f32; 0]).unwrap()), [0.0; 0]);
    }

    #[test]
    fn parts_give_the_bits_of_all_rows_at_once() {
        let (trained, x) = trained();
        let few = DevicePool::new(&trained, 256, Shares::Products).unwrap();
        let many = DevicePool::new(&trained, 256, Shares::Rows).unwrap();
        for rows in [1, 255, 256, 257, 512, 513, ROWS] {
            let x = Numbers::from(&x[..rows * 3]);
            let want = few.outputs(&trained, x).unwrap();
            assert_eq!(many.outputs_by_parts(&trained, x, rows).unwrap(), want, "{rows}");
            let alone = threads::without(|| many.outputs_by_parts(&trained, x, rows));
            assert_eq!(alone.unwrap(), want, "{rows} rows on one thread");
        }
        // A call for many rows takes them, and its predictor gives each row the number of its own.
        let predictor = Predictor::new(trained.clone()).unwrap();
        let long: Vec<f32> = x.iter().copied().cycle().take(9 * x.len() + 3).collect();
        let got = probabilities(predictor.predict(&long).unwrap());
        let want = probabilities(predictor.predict(&x).unwrap());
        assert!(got.chunks(want.len()).all(|it| *it == want[..it.len()]));
    }

    #[cfg(not(target_family = "wasm"))]
    #[test]
    fn helpers_give_the_bits_of_all_rows_at_once() {
        let (other, x) = trained();
        let x: Vec<f32> = x.iter().copied().cycle().take(256 * 40).collect();
        let exact: Vec<f64> = x.iter().copied().map(f64::from).collect();
        let double: Vec<f64> = x.iter().map(|&x| f64::from(x) + 1e-9).collect();
        let y = Targets::Classes((0..256).map(|row| row % 4).collect());
        let data = Dataset::from_arrays(&x, 40, y).unwrap();
        let model = Sequential::new().dense(300).tanh().dense(300).relu().dense(4);
        let params = Params::init(&model, 40, Seed(1)).unwrap();
        let preparation = Preprocessing::fit(&data, FeatureScaling::Standard);
        let trained = TrainedModel { model, params, preparation, ..other };
        let predictor = Predictor::new(trained.clone()).unwrap();
        let Placement::Cpu(pools) = &predictor.pool else { panic!("not on the CPU") };
        for rows in [1, 9, 16, 17, 64, 255, 256] {
            let all = [(&x).into(), (&exact).into(), (&double).into()];
            for x in all.map(|x: Numbers<'_>| x.range(0..rows * 40)) {
                let want = pools[0][6].outputs(&trained, x).unwrap();
                assert_eq!(predictor.outputs_of(0, x, rows).unwrap(), want, "{rows} rows");
                let helped = predictor.with_helpers(0, &pools[0], x, rows);
                // The least is 2^20 multiplications for each of two parts, of 103,504 a row.
                assert_eq!(helped.is_some(), threads::count() > 1 && rows >= 21, "{rows} rows");
                assert!(helped.is_none_or(|it| it.unwrap() == want), "{rows} rows");
            }
        }
    }

    #[test]
    fn packed_weights_give_the_bits_of_weights_as_they_are_and_follow_them() {
        let model = Sequential::new().dense(70).tanh().dense(45).relu().dense(4);
        let (other, x) = trained();
        let network = |seed: u64| {
            let params = Params::init(&model, 3, Seed(seed)).unwrap();
            TrainedModel { model: model.clone(), params, ..other.clone() }
        };
        let x = &x[..256 * 3];
        let one_by_one = |predictor: &Predictor| -> Vec<f64> {
            x.chunks(3).flat_map(|x| probabilities(predictor.predict(x).unwrap())).collect()
        };
        for seed in [1, 2] {
            // 256 rows pack the weights of the second layer in each call, one row keeps them packed.
            let predictor = Predictor::new(network(seed)).unwrap();
            let all = probabilities(predictor.predict(x).unwrap());
            assert_eq!(one_by_one(&predictor), all, "{seed}");
        }
        // A device whose weights are written anew after it has packed them.
        let (first, second) = (network(1), network(2));
        let pool = DevicePool::new(&first, 1, Shares::Products).unwrap();
        let mut device = pool.take(Shares::Products, &first).unwrap();
        let mut outputs = |params: &Params| {
            device.write(pool.plan.params, 0, Values::F32(params.arena())).unwrap();
            let rows = (Numbers::from(&x[..3]), &first.preparation);
            run_eval(&mut device, (&pool.plan, &pool.plan.ports), rows, false).unwrap()
        };
        let [before, after] = [&first.params, &second.params].map(&mut outputs);
        let fresh = Predictor::new(second).unwrap();
        assert_eq!(fresh.outputs_of(0, (&x[..3]).into(), 1).unwrap(), after);
        assert_ne!(before, after);
    }

    #[test]
    fn arrays_go_in_and_out() {
        let (trained, x) = trained();
        let predictor = Predictor::new(trained).unwrap();
        let rows = ArrayView2::from_shape((ROWS, 3), &x).unwrap();
        let all = predictor.predict_array(rows).unwrap();
        assert_eq!(all.dim(), (ROWS, 4));
        assert_close(all.as_slice().unwrap(), predictor.predict(&x).unwrap().values(), "all");
        // Every second row, which is no slice.
        let some = predictor.predict_array(rows.slice(s![..;2, ..])).unwrap();
        let want: Vec<f64> = all.slice(s![..;2, ..]).iter().copied().collect();
        assert_close(&some.into_raw_vec_and_offset().0, &want, "every second");
        let names = predictor.predict_classes(rows).unwrap();
        for (row, name) in all.rows().into_iter().zip(names) {
            let class: usize = name.parse().unwrap();
            assert!(row.iter().all(|p| *p <= row[class]));
        }
        let wide = ArrayView2::from_shape((ROWS / 2, 6), &x).unwrap();
        let said = predictor.predict(wide).unwrap_err().to_string();
        assert_eq!(said, "predict: rows of 6 columns, but the model has 3");
    }
}
