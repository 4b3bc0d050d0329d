//! Chooses the plan that a device has memory for: with the training table on the device, or with blocks of the table.
//!
//! In: model, data, options, a device if one is open. Out: a plan, and how its table streams.
//! Absent on purpose: the values; `block_reader.rs` reads them.

use crate::data::{Batches, Dataset, Split};
use crate::device::Device;
use crate::error::{DEVICE_MEMORY, Error, HOST_MEMORY, Result};
use crate::graph::{Objective, inference_under, training};
use crate::model::{Layer, Sequential};
use crate::plan::{Memory, Plan, Precision, Role, Sizes, TrainPlan};
use crate::ranks::{Ranks, Share};
use crate::train::embedding_indices::check_dataset;
use crate::train::param_io::lasting;
use crate::train::predict::eval_sizes;
use crate::train::step_factors::planned_model;
use crate::train::{Criterion, KeepWeights, OnNonFinite, TrainOptions};

/// Blocks on the device: steps use one while the next is written.
pub(in crate::train) const BLOCKS: usize = 2;
/// Blocks that may be on their way to the device at once: one for each submission in flight, and the newest.
pub(in crate::train) const ON_THEIR_WAY: usize = 3;
/// Largest number of bytes of a block. Such a block lasts for a submission on a fast GPU; a larger one takes memory and
/// gains nothing.
const BLOCK_BYTES: usize = 16 << 20;
/// Largest table that a device in the host's memory holds a copy of; a larger one streams. Tests have small tables.
const SHARED_TABLE: u64 = if cfg!(test) { 1 << 20 } else { 256 << 20 };
/// Largest block of such a table: its rows are near, and memory is dear.
const SHARED_BLOCK_BYTES: usize = 2 << 20;

/// Streaming of a training table that is not on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streaming {
    /// Rows of a block, a whole number of batches.
    pub block_rows: usize,
    /// Bytes of the whole table.
    pub table_bytes: u64,
    /// Limit that the table exceeds.
    pub limit: Limit,
}

/// A limit that a table may exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Bytes that the run may take: `--device-memory`.
    Budget(u64),
    /// Bytes that the device allows a table.
    Slot(u64),
    /// Bytes that a device in the host's memory may take beside a table that is larger than that memory: half of `--host-memory`.
    Host(u64),
    /// No limit: the device is in the host's memory, which is not to hold a large table twice.
    Shared,
    /// No limit: so many ranks share each batch, and the device of each is given its own rows alone.
    Ranks(usize),
}

impl Streaming {
    /// Returns how the table of a plan streams; `None` if the table is on the device.
    fn of(plan: &TrainPlan, train: &Dataset, limit: Limit) -> Option<Self> {
        let there = plan.slot(plan.ports.order).len();
        let table_bytes = row_bytes(train) as u64 * train.rows() as u64;
        let streams = there < train.rows() || matches!(limit, Limit::Ranks(_));
        streams.then_some(Self { block_rows: there / BLOCKS, table_bytes, limit })
    }
}

impl std::fmt::Display for Streaming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use crate::shape::{bytes_text, pluralize};
        let limit = match self.limit {
            Limit::Budget(bytes) => format!("budget {}", bytes_text(bytes)),
            Limit::Slot(bytes) => format!("the device allows a table {}", bytes_text(bytes)),
            Limit::Host(bytes) => format!("half of the host memory is {}", bytes_text(bytes)),
            Limit::Shared => "which memory holds once".to_string(),
            Limit::Ranks(count) => format!("of which each of {count} ranks takes its share"),
        };
        let table = bytes_text(self.table_bytes);
        write!(
            f,
            "streams in blocks of {} (table {table}, {limit})",
            pluralize(self.block_rows as u64, "row")
        )
    }
}

impl Plan {
    /// Returns the plan that [`crate::train::Trainer`] would run for this model, data and options on a device of any size.
    ///
    /// # Errors
    /// If they do not fit one another, or `options.device_memory` is too small.
    pub fn of_run(model: &Sequential, data: &Split, options: &TrainOptions) -> Result<TrainPlan> {
        Ok(MemoryPlanner { model, data, options, device: None }.plan()?.0)
    }
}

/// Parts of a run's plan, and the device that the plan has to fit.
#[derive(Clone, Copy)]
pub struct MemoryPlanner<'a> {
    /// The layers.
    pub model: &'a Sequential,
    /// The rows.
    pub data: &'a Split,
    /// The options.
    pub options: &'a TrainOptions,
    /// Without one, only `options.device_memory` limits anything.
    pub device: Option<&'a dyn Device>,
}

/// Returns true for a device that takes its memory from the host: the CPU, or a software adapter.
fn in_host(device: &dyn Device) -> bool {
    device.info().is_cpu() || device.info().is_software()
}

/// Rows of the table that are on the device, rows of the eval phase, rows of its batches.
type RowCounts = (usize, (usize, usize));

impl MemoryPlanner<'_> {
    /// Returns the best plan that fits: the whole table on the device, else blocks that are as large as is useful. If
    /// nothing fits the device's own limits, the smallest plan is returned, and the device reports the part that is too
    /// large.
    ///
    /// # Errors
    /// If model, data and options do not fit one another, or the budget is too small; the message says what would do.
    pub fn plan(&self) -> Result<(TrainPlan, Option<Streaming>)> {
        self.check()?;
        let share = self.share();
        let (rows, batch) = (self.data.train.rows(), share.most(self.batch()));
        let evals = self.evals()?;
        let slot_limit = self.device.and_then(|device| device.slot_limit());
        let shares = self.shares_memory();
        let mut limit = match (self.budget(), slot_limit) {
            _ if share.count > 1 => Limit::Ranks(share.count),
            (Some(budget), _) => budget,
            (None, _) if shares => Limit::Shared,
            (None, None) => return Ok((self.make((rows, evals[0]))?, None)),
            (None, Some(bytes)) => Limit::Slot(bytes),
        };
        // A table that should stream is on the device only if its batches are too large for blocks.
        let streams = matches!(limit, Limit::Shared | Limit::Ranks(_));
        let resident = if streams { &[][..] } else { &evals };
        for &eval in resident {
            // A table with too many elements for one slot may still stream.
            let Ok(plan) = self.make((rows, eval)) else { continue };
            if self.fits(&plan, 0) {
                return Ok((plan, None));
            }
            // The budget would suffice, so the message names the device's limit.
            if let (Ok(()), Some(bytes)) = (self.affords(&plan, 0), slot_limit) {
                limit = Limit::Slot(bytes);
            }
        }
        // Number of batches in a block; blocks that together hold the whole table would save nothing.
        let near = limit == Limit::Shared || (share.count > 1 && self.device.is_some_and(in_host));
        let block = if near { SHARED_BLOCK_BYTES } else { BLOCK_BYTES };
        let useful = block / (batch * row_bytes(&self.data.train));
        let steps = rows.div_ceil(self.batch());
        // Ranks stream in any case, since each has other rows in each epoch.
        let enough = if share.count > 1 { steps } else { (steps - 1) / BLOCKS };
        let most = useful.max(1).min(enough);
        for eval in evals {
            let (mut fit, mut beyond) = (0, most + 1);
            // Bisection: memory grows with the block, so the largest one that fits is found in few plans.
            while beyond - fit > 1 {
                let middle = fit.midpoint(beyond);
                let plan = self.make((BLOCKS * middle * batch, eval))?;
                *(if self.fits(&plan, middle * batch) { &mut fit } else { &mut beyond }) = middle;
            }
            if fit > 0 {
                let plan = self.make((BLOCKS * fit * batch, eval))?;
                let streaming = Streaming::of(&plan, &self.data.train, limit);
                return Ok((plan, streaming));
            }
        }
        // Nothing fits: the least plan shows the user how much memory is needed.
        let (least, block) = if most > 0 { (BLOCKS * batch, batch) } else { (rows, 0) };
        let plan = self.make((least, evals[1]))?;
        self.affords(&plan, block)?;
        let streaming = Streaming::of(&plan, &self.data.train, limit);
        Ok((plan, streaming))
    }

    /// Checks settings and shapes.
    pub(in crate::train) fn check(&self) -> Result<()> {
        let Self { model, data, options, .. } = self;
        options.check()?;
        let train = &data.train;
        for part in std::iter::once(train).chain(&data.valid) {
            if !part.is_encoded() {
                let problem = "its gaps, texts or dates are not inputs of a network yet; use Dataset::split, Split::with_valid or \
                               Dataset::encoded";
                return Err(Error::table(part.source(), problem));
            }
        }
        let outputs = model.outputs(train.columns())?;
        let wanted = options.loss.outputs_for(train.outputs());
        // A loss that does not fit the target at all is refused by the criterion, in clearer words.
        if options.loss.fits(&train.schema().kind) && wanted != outputs {
            let problem = format!(
                "the last one gives {outputs} outputs, but the target needs {wanted}; let it give {wanted}, as a dense layer with so \
                 many units does"
            );
            return Err(Error::setting("layers", problem));
        }
        check_dataset(model.tables(), train, " (training part)")?;
        if let Some(valid) = &data.valid {
            check_dataset(model.tables(), valid, " (validation part)")?;
        }
        Criterion::of(options, train)?;
        self.check_batches()?;
        if options.precision == Precision::F16 {
            check_half(model, "")?;
        }
        options.check_metrics(&train.schema().kind, data.valid.as_ref())
    }

    /// Refuses batches of one row for a network that compares the rows of a batch.
    fn check_batches(&self) -> Result<()> {
        let rows = self.data.train.rows();
        if !takes_batches(self.model, self.data.train.columns())? {
            return Ok(());
        }
        let visited = self.options.visited_rows(rows, self.batch());
        let batches = Batches::new(visited, self.batch(), true);
        let problem = match (rows, batches.batch()) {
            (0 | 1, _) => "it has a batch norm, which compares the rows of a batch, but there is only one training row; use a \
                 layer norm (‘norm’ layer), or more rows"
                .to_string(),
            (_, 1) => "1, but the network has a batch norm, which compares the rows of a batch: with one row nothing is left to \
                 learn from; give at least 3, or use a layer norm (‘norm’ layer)"
                .to_string(),
            _ if batches.has_single() => format!(
                "{}, so one row is left of the {} training rows for the last batch, and the network has a batch norm, which \
                 compares the rows of a batch; give at least 3, or use a layer norm (‘norm’ layer)",
                batches.batch(),
                crate::shape::count(rows as u64)
            ),
            _ => return Ok(()),
        };
        Err(Error::setting(if rows < 2 { "model" } else { "batch_size" }, problem))
    }

    /// Returns the memory that the run may take on the device, if that is limited: by the user, or because the table is too large for
    /// the memory of a host that the device shares.
    fn budget(&self) -> Option<Limit> {
        if let Some(bytes) = self.options.device_memory {
            return Some(Limit::Budget(bytes));
        }
        let train = &self.data.train;
        let host_memory = train.host_memory().filter(|_| train.is_stored())?;
        // A plan without a device may be for any, and so for one that shares the memory.
        self.device.is_none_or(in_host).then_some(Limit::Host(host_memory / 2))
    }

    /// Returns true if the table is large, and the device has the same memory as the host.
    fn shares_memory(&self) -> bool {
        let train = &self.data.train;
        let bytes = row_bytes(train) as u64 * train.rows() as u64;
        self.device.is_some_and(in_host) && bytes > SHARED_TABLE
    }

    /// Returns the rank's share of each batch.
    fn share(&self) -> Share {
        let ranks = self.device.and_then(|device| device.ranks());
        ranks.map_or(Share::WHOLE, Ranks::share)
    }

    /// Returns the number of rows of a batch, which cannot exceed the table's.
    fn batch(&self) -> usize {
        self.options.batch_size.min(self.data.train.rows())
    }

    /// Returns the rows of the eval phase and of its batches: the usual ones, and as few as training has anyway.
    fn evals(&self) -> Result<[(usize, usize); 2]> {
        let rows = self.data.valid.as_ref().map_or(0, Dataset::rows);
        let batch = self.batch();
        let max_width = self.model.max_width(self.data.train.columns())?;
        Ok([eval_sizes(rows, max_width, batch), (batch.min(rows), batch.min(rows))])
    }

    /// Makes a plan for these numbers of rows.
    fn make(&self, (train_rows, (eval_rows, eval_batch)): RowCounts) -> Result<TrainPlan> {
        let Self { model, data, options, .. } = self;
        let columns = data.train.columns();
        let batch = self.share().most(self.batch());
        let sizes = Sizes { batch, train_rows, eval_batch, eval_rows };
        let objective = options.objective(&data.train);
        let objective = Objective { loss: objective.loss.planned().0, ..objective };
        let planned = planned_model(model);
        let step = training(&planned, columns, objective, options.optimizer.clone())?;
        let step = step.with_moves(options.moves())?;
        Plan::training_in(
            options.precision,
            &step,
            &inference_under(model, columns, &options.loss)?,
            sizes,
        )
    }

    /// True if a plan with blocks of `block_rows` rows (0 for none) fits budget and limits.
    fn fits(&self, plan: &Plan, block_rows: usize) -> bool {
        let limit = self.device.and_then(|device| device.slot_limit()).unwrap_or(u64::MAX);
        // Arenas may exceed a binding, since kernels visit them in parts.
        let limited = |slot: &crate::plan::SlotSpec| {
            matches!(plan.buffer(slot.buffer).role, Role::Data | Role::Activations)
        };
        let bound = |slot: &crate::plan::SlotSpec| !limited(slot) || slot.bytes() <= limit;
        self.affords(plan, block_rows).is_ok() && plan.slots().all(|(_, slot)| bound(slot))
    }

    /// Checks that the budget allows a plan with blocks of `block_rows` rows.
    fn affords(&self, plan: &Plan, block_rows: usize) -> Result<()> {
        let Some(budget) = self.budget() else { return Ok(()) };
        let (limit, limit_name, share) = match budget {
            Limit::Budget(bytes) | Limit::Slot(bytes) => (bytes, DEVICE_MEMORY, 1),
            Limit::Host(bytes) => (bytes, HOST_MEMORY, 2),
            Limit::Shared | Limit::Ranks(_) => return Ok(()),
        };
        // A device knows its own overhead; without one only the plan's memory is counted.
        let there = self.device.map_or(Memory::of(plan).total(), |device| device.bytes_for(plan));
        let on_their_way = ON_THEIR_WAY * block_rows * row_bytes(&self.data.train);
        let need = there + on_their_way as u64;
        if need <= limit {
            return Ok(());
        }
        let mut what = match block_rows {
            0 => "the run".to_string(),
            rows => {
                format!(
                    "the run with its table in blocks of {}",
                    crate::shape::pluralize(rows as u64, "row")
                )
            }
        };
        if share > 1 {
            what += ", which may take half of the host's memory,";
        }
        Err(Error::TooLarge {
            what,
            need: need * share,
            adapter: self.device.map_or("the budget", |device| &device.info().name).to_string(),
            limit: limit * share,
            limit_name,
            remedy: "give at least what it needs, or use a smaller ‘batch_size’ or smaller layers"
                .to_string(),
        })
    }
}

/// Largest number of checkpoints that the host holds at once: the last one, one that waits for the disk, one that is being
/// written, and the form in which that one is written, twice.
const STATES: u64 = 5;

/// Returns the bytes of these, and of one more if a run may go back to its beginning, and if the best epoch's waits by itself.
fn checkpoint_bytes(options: &TrainOptions, plan: &TrainPlan) -> u64 {
    let floats: usize = lasting(plan).into_iter().map(|slot| plan.slot(slot).len()).sum();
    let kept = plan.slot(plan.ports.params).len();
    let back = options.on_nonfinite == OnNonFinite::Back;
    let best = options.keeps() == KeepWeights::Best;
    (STATES + u64::from(back) + u64::from(best)) * 4 * (floats + kept) as u64
}

/// Refuses a run whose checkpoints do not fit the host's memory, which would end the program later. Devices check by
/// themselves whether a plan fits. `free` is the free memory, if the system reports it.
///
/// # Errors
/// If plan and checkpoints need more memory than that.
pub(in crate::train) fn check_host(
    options: &TrainOptions,
    plan: &TrainPlan,
    device: &dyn Device,
    free: Option<u64>,
) -> Result<()> {
    let Some(limit) = free.filter(|_| options.checkpoint_every > 0) else { return Ok(()) };
    check_bytes(checkpoint_bytes(options, plan), plan, device, (limit, "free memory"))
}

/// Refuses a run whose tables of texts need more memory than the host may take by the user's order.
///
/// # Errors
/// If plan and checkpoints need more memory than `limit`.
pub(in crate::train) fn check_tables(
    options: &TrainOptions,
    plan: &TrainPlan,
    device: &dyn Device,
    limit: u64,
) -> Result<()> {
    let checkpoints = match options.checkpoint_every {
        0 => 0,
        _ => checkpoint_bytes(options, plan),
    };
    check_bytes(checkpoints, plan, device, (limit, HOST_MEMORY))
}

fn check_bytes(
    checkpoints: u64,
    plan: &TrainPlan,
    device: &dyn Device,
    (limit, limit_name): (u64, &'static str),
) -> Result<()> {
    let need = checkpoints + if in_host(device) { device.bytes_for(plan) } else { 0 };
    if need <= limit {
        return Ok(());
    }
    let bytes = crate::shape::bytes_text(checkpoints);
    Err(Error::TooLarge {
        what: format!("the run, with {bytes} for its checkpoints,"),
        need,
        adapter: "the host".to_string(),
        limit,
        limit_name,
        remedy: "use ‘checkpoint_every’ 0 to do without them, smaller layers, or an optimizer with less state".to_string(),
    })
}

/// Refuses layers that have no variant in half precision, by their names.
fn check_half(model: &Sequential, place: &str) -> Result<()> {
    for (index, layer) in model.layers().iter().enumerate() {
        match layer {
            Layer::Dense { ntk: false, .. } | Layer::Activation(_) | Layer::Dropout { .. } => {}
            Layer::Residual(inner) => check_half(inner, &format!("{place}{index}."))?,
            _ => {
                let problem = format!(
                    "f16, but layer {place}{index} ({layer}) has no form in half precision; only dense layers, activations, dropout \
                     and residual connections of them have one: use ‘precision’ f32, or leave the layer out"
                );
                return Err(Error::setting("precision", problem));
            }
        }
    }
    Ok(())
}

/// True if a network computes statistics of a batch, so that another batch gives another result.
pub(in crate::train) fn takes_batches(model: &Sequential, columns: usize) -> Result<bool> {
    let layout = model.layout(columns)?;
    Ok(layout.views().iter().any(|view| view.name.ends_with("running_mean")))
}

/// Returns the bytes of a row on the device: features, targets, its place in the order, its weight if there is one.
pub(in crate::train) fn row_bytes(train: &Dataset) -> usize {
    let targets = train.y().columns().map_or(1, |(_, columns)| columns);
    4 * (train.columns() + targets + 1 + usize::from(train.weights().is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synth;
    use crate::device::cpu::CpuDevice;
    use crate::random::Seed;

    #[test]
    fn a_large_table_is_in_memory_once_and_trains_the_same_weights() {
        let rows = 40_000;
        let x: Vec<f32> = (0..rows * 9).map(|i| (i % 1009) as f32 / 100.0).collect();
        let y: Vec<f64> =
            (0..rows).map(|i| f64::from(x[i * 9]) - 0.5 * f64::from(x[i * 9 + 4])).collect();
        let data = Dataset::from_arrays(&x, 9, y).unwrap().split(0.2, Seed(2)).unwrap();
        let model = Sequential::new().dense(5).relu().dense(1);
        let run = |device_memory: Option<u64>| {
            let options = TrainOptions {
                loss: crate::graph::Loss::Mse,
                epochs: 2,
                batch_size: 1000,
                device_memory,
                ..TrainOptions::default()
            };
            let mut trainer = crate::train::Trainer::new(
                &model,
                &data,
                &options,
                &crate::device::DeviceKind::Cpu,
            )
            .unwrap();
            trainer.run().unwrap();
            let limit = trainer.info().streaming.map(|streaming| streaming.limit);
            let bytes = trainer.info().device_bytes;
            let bits = trainer.params().unwrap().arena().iter().map(|it| it.to_bits()).collect();
            (limit, bytes, bits)
        };
        let (limit, bytes, shared): (_, _, Vec<u32>) = run(None);
        assert_eq!(limit, Some(Limit::Shared));
        // With room for all of it that the user has granted, the device has a copy.
        let (limit, with_copy, resident) = run(Some(1 << 30));
        assert_eq!(limit, None);
        assert!(shared == resident && bytes > 0 && with_copy > 0);
    }

    #[test]
    fn the_host_must_have_room_for_checkpoints() {
        let data = synth::spirals(60, 3, Seed(1)).split(0.2, Seed(1)).unwrap();
        let model = Sequential::new().dense(64).relu().dense(3);
        let options = TrainOptions { keep: Some(KeepWeights::Best), ..TrainOptions::default() };
        let plan = Plan::of_run(&model, &data, &options).unwrap();
        let arena = plan.slot(plan.ports.params).bytes();
        // Weights, both means of AdamW, and the weights that are kept.
        assert_eq!(checkpoint_bytes(&options, &plan), 6 * 4 * arena);
        let device = CpuDevice::<f32>::new();
        let need = 24 * arena + device.bytes_for(&plan);
        let check = |options: &TrainOptions, free| check_host(options, &plan, &device, free);
        assert!(check(&options, Some(need)).is_ok() && check(&options, None).is_ok());
        let said = check(&options, Some(need - 1)).unwrap_err().to_string();
        assert!(
            said.contains("for its checkpoints, needs") && said.contains("‘checkpoint_every’ 0")
        );
        let without = TrainOptions { checkpoint_every: 0, ..options.clone() };
        assert!(check(&without, Some(1)).is_ok());
    }
}
