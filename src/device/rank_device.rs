//! A device of one rank among several: it runs steps on the rank's share of each batch, and adds up gradients, losses and
//! statistics of a batch over all ranks.
//!
//! In: a device, the exchange with the other ranks, step parameters of whole batches. Out: the values that one rank with
//! whole batches would have, within rounding, and the same bits on every rank.
//! Absent on purpose: rows, which the trainer uploads; epochs.
//!
//! Each rank computes means over its own rows. The mean over the batch is their sum, each times the rank's fraction of the
//! rows. So are the gradients, since the loss is a mean; a sum that a later step reads, such as a batch norm's, is replaced
//! by that of all ranks before the step.

use std::ops::Range;

use super::{Device, DeviceInfo, Usage, Values};
use crate::error::{Error, Result};
use crate::plan::{Kernel, PartialSum, Phase, Plan, Slot, StepParams};
use crate::ranks::{PendingSum, Ranks, Share};
use crate::shape::narrow;

/// Number of steps to run at once: the same on each rank, since each does the same calls in the same order.
const STEPS_AT_ONCE: u32 = 16;
/// Number of gradients from which on a sum is begun while the backward pass goes on: below, a message costs more than it
/// saves.
const WORTH_A_MESSAGE: usize = 1 << 16;

/// The device of one rank.
pub struct RankDevice {
    inner: Box<dyn Device>,
    ranks: Ranks,
    share: Share,
    /// The description of rank 0's device, and the variants of its kernels: the same on all ranks.
    info: DeviceInfo,
    variants: Vec<String>,
    /// True if each rank has a core to send messages with, beside the one that computes.
    spare_core: bool,
    exchanges: Exchanges,
    /// Step parameters of the window, of whole batches.
    window: Vec<StepParams>,
    losses: Vec<f32>,
}

/// The exchanges of a training step.
#[derive(Default)]
struct Exchanges {
    /// Places in a step, in order.
    places: Vec<ExchangePoint>,
    /// Number of the plan's steps before the update, and of all.
    backward_end: usize,
    steps: usize,
    log: Option<Slot>,
    /// True if the update depends on whether the loss is finite.
    guarded: bool,
}

/// An exchange of a training step.
struct ExchangePoint {
    /// Number of the plan's steps that come before the exchange.
    after: usize,
    /// Slots whose values are added up, with their lengths.
    slots: Vec<(Slot, usize)>,
    /// True if the next step reads the sum; else it is waited for at the end of the backward pass.
    waits: bool,
}

impl Exchanges {
    /// Returns the exchanges of a plan. With `early`, sums of gradients begin while the backward pass goes on.
    fn of(plan: &Plan, early: bool) -> Self {
        let with_len = |slot: Slot| (slot, plan.slot(slot).len());
        let backward_end = plan.backward_end();
        let within = plan.sums_within_step().into_iter();
        let mut places: Vec<ExchangePoint> = within
            .map(|PartialSum { step, slot }| ExchangePoint {
                after: step + 1,
                slots: vec![with_len(slot)],
                waits: true,
            })
            .collect();
        let writers = plan.gradient_writers();
        let numbers: usize = writers.iter().map(|it| plan.slot(it.slot).len()).sum();
        if early && numbers >= 2 * WORTH_A_MESSAGE {
            places.extend(messages(plan, &writers));
        } else {
            let slots = plan.gradients().map(with_len).into_iter().collect();
            places.push(ExchangePoint { after: backward_end, slots, waits: false });
        }
        // Where both stand at one place, a sum that the next step reads comes first.
        places.sort_by_key(|place| (place.after, !place.waits));
        let steps = plan.steps(Phase::Train);
        let checks =
            |step: &crate::plan::Step| matches!(step.kernel, Kernel::CheckFinite { loss: true });
        Self {
            places,
            backward_end,
            steps: steps.len(),
            log: plan.log(),
            guarded: steps.iter().any(checks),
        }
    }
}

/// Divides gradients, in the order in which they are written, into messages that are worth sending by themselves.
fn messages(plan: &Plan, writers: &[PartialSum]) -> Vec<ExchangePoint> {
    let mut places = Vec::new();
    let (mut slots, mut numbers) = (Vec::new(), 0);
    for (index, &PartialSum { step, slot }) in writers.iter().enumerate() {
        let len = plan.slot(slot).len();
        slots.push((slot, len));
        numbers += len;
        // A step may write two gradients, which are complete at the same time.
        let more = writers.get(index + 1);
        let ends = more.is_none_or(|next| next.step > step);
        if more.is_none() || (ends && numbers >= WORTH_A_MESSAGE) {
            let slots = std::mem::take(&mut slots);
            places.push(ExchangePoint { after: step + 1, slots, waits: false });
            numbers = 0;
        }
    }
    places
}

/// Returns a rank's part of a mean: nothing for a rank without rows, which has computed nothing.
fn weighted(value: f32, fraction: f32) -> f32 {
    if fraction > 0.0 { value * fraction } else { 0.0 }
}

impl RankDevice {
    /// Makes the device of one rank. Each rank has to call this at the same time.
    ///
    /// # Errors
    /// If the ranks' devices are of different kinds, or a rank has failed.
    pub fn new(inner: Box<dyn Device>, ranks: Ranks) -> Result<Self> {
        let kinds = ranks.gather_texts(&inner.info().kind)?;
        let names = ranks.gather_texts(&inner.info().to_string())?;
        if let Some(other) = kinds.iter().position(|kind| *kind != kinds[0]) {
            let problem = format!(
                "rank 0 has {}, but rank {other} has {}; give a ‘device’ that all have, such as cpu",
                names[0], names[other]
            );
            return Err(Error::setting("device", problem));
        }
        let kind = kinds[0].clone();
        let of_first = |text: &str| ranks.gather_texts(text).map(|mut all| all.swap_remove(0));
        let DeviceInfo { name, backend, driver, .. } = inner.info();
        let (name, backend, driver) = (of_first(name)?, of_first(backend)?, of_first(driver)?);
        // Whoever waits for a message keeps a core busy, so with a single one the backward pass would stand still meanwhile.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let spare_core = ranks.gather_texts(&cores.to_string())?.iter().all(|cores| cores != "1");
        Ok(Self {
            spare_core,
            info: DeviceInfo { name, kind, backend, driver },
            share: ranks.share(),
            inner,
            ranks,
            variants: Vec::new(),
            exchanges: Exchanges::default(),
            window: Vec::new(),
            losses: Vec::new(),
        })
    }

    /// Runs a training step. `index` is the place of its parameters on the device, `rows` the number of rows of the batch.
    fn step(&mut self, index: u32, row: &StepParams) -> Result<()> {
        let fraction = self.fraction(row);
        let mut done = 0;
        let mut pending = Vec::new();
        for place in 0..self.exchanges.places.len() {
            let ExchangePoint { after, waits, .. } = self.exchanges.places[place];
            self.compute(index, done..after, row)?;
            done = after;
            let sum = self.begin(place, fraction)?;
            if waits {
                self.take(place, sum)?;
            } else {
                pending.push((place, sum));
            }
        }
        let Exchanges { backward_end, steps, guarded, log, .. } = self.exchanges;
        self.compute(index, done..backward_end, row)?;
        for (place, sum) in pending {
            self.take(place, sum)?;
        }
        // The update is skipped on all ranks or on none, so each has to know the whole batch's loss.
        if let Some(log) = log.filter(|_| guarded) {
            let at = row.log as usize;
            let mine = self.inner.read(log, at + 1)?[at];
            let whole = self.ranks.begin_sum(vec![weighted(mine, fraction)]).wait()?;
            self.inner.write(log, at, Values::F32(&whole))?;
        }
        // The parameters of the update are those of the whole batch.
        self.inner.run_part(Phase::Train, index + 1, backward_end..steps)
    }

    /// Runs some of a step's kernels on the rank's own rows; without rows there is nothing to run.
    fn compute(&mut self, index: u32, part: Range<usize>, row: &StepParams) -> Result<()> {
        if part.is_empty() || self.share.of(row.rows as usize) == 0 {
            return Ok(());
        }
        self.inner.run_part(Phase::Train, index, part)
    }

    /// Returns the rank's fraction of a batch's rows.
    fn fraction(&self, row: &StepParams) -> f32 {
        let rows = row.rows as usize;
        (self.share.of(rows) as f64 / rows.max(1) as f64) as f32
    }

    /// Begins to add the values of a place over all ranks.
    fn begin(&mut self, place: usize, fraction: f32) -> Result<PendingSum> {
        let mut values = Vec::new();
        for &(slot, len) in &self.exchanges.places[place].slots {
            let read = self.inner.read(slot, len)?;
            // Usually there is one slot, whose values need no second copy.
            if values.is_empty() {
                values = read;
            } else {
                values.extend(read);
            }
        }
        values.iter_mut().for_each(|value| *value = weighted(*value, fraction));
        Ok(self.ranks.begin_sum(values))
    }

    /// Waits for the sum of a place, and writes it to the device.
    fn take(&mut self, place: usize, sum: PendingSum) -> Result<()> {
        let sum = sum.wait()?;
        let mut rest = &sum[..];
        for &(slot, len) in &self.exchanges.places[place].slots {
            let (values, left) = rest.split_at(len);
            self.inner.write(slot, 0, Values::F32(values))?;
            rest = left;
        }
        Ok(())
    }
}

impl Device for RankDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn ranks(&self) -> Option<&Ranks> {
        Some(&self.ranks)
    }

    fn load(&mut self, plan: &Plan) -> Result<()> {
        if !plan.steps(Phase::Measure).is_empty() {
            let problem = "averaged weights with a batch norm need statistics of their own, which are not measured over several \
                           ranks; leave ‘average’ out (or take an optimizer other than schedule-free), or use a layer norm \
                           (‘norm’ layer)";
            return Err(Error::setting("average", problem));
        }
        let parts = plan.in_parts();
        // Rank 0 chooses the variants of kernels: after the exchange each rank computes the same update by itself.
        if self.share.rank == 0 {
            self.inner.load(&parts)?;
        }
        let chosen = self.ranks.gather_texts(&self.inner.variants().join("\n"))?.swap_remove(0);
        let variants: Vec<String> = chosen.lines().map(str::to_string).collect();
        if self.share.rank != 0 {
            self.inner.take_variants(&variants);
            self.inner.load(&parts)?;
        }
        let all = self.ranks.gather_texts(&names(&self.inner.variants()))?;
        if let Some(other) = all.iter().position(|its| *its != all[0]) {
            let problem = format!(
                "rank 0 takes these variants of its kernels: {}; but rank {other} these: {}; all ranks need devices of the same \
                 kind, or the weights would drift apart",
                all[0], all[other]
            );
            return Err(Error::setting("device", problem));
        }
        self.variants = variants;
        // On a GPU, reading a gradient waits for the steps before it, so there is one reading, of all gradients.
        self.exchanges = Exchanges::of(&parts, self.info.is_cpu() && self.spare_core);
        self.losses.clear();
        Ok(())
    }

    fn write(&mut self, slot: Slot, first: usize, values: Values<'_>) -> Result<()> {
        self.inner.write(slot, first, values)
    }

    fn write_steps(&mut self, phase: Phase, rows: &[StepParams]) -> Result<()> {
        if phase != Phase::Train {
            return self.inner.write_steps(phase, rows);
        }
        self.window = rows.to_vec();
        Ok(())
    }

    fn steps_per_submission(&self, phase: Phase) -> u32 {
        match phase {
            Phase::Train => STEPS_AT_ONCE,
            Phase::Eval | Phase::Measure => self.inner.steps_per_submission(phase),
        }
    }

    fn run(&mut self, phase: Phase, steps: Range<u32>) -> Result<()> {
        if phase != Phase::Train {
            return self.inner.run(phase, steps);
        }
        let rows = self.window.get(steps.start as usize..steps.end as usize);
        let rows = rows.map(<[StepParams]>::to_vec).ok_or_else(|| Error::Device {
            adapter: self.info.name.clone(),
            problem: format!("steps {steps:?} lie outside of the window"),
        })?;
        // For each step two rows: of the rank's share, and of the whole batch for the update.
        for rows in rows.chunks(STEPS_AT_ONCE as usize) {
            let pairs: Vec<StepParams> =
                rows.iter().flat_map(|row| [of_share(row, self.share), *row]).collect();
            self.inner.write_steps(Phase::Train, &pairs)?;
            for (index, row) in (0..).step_by(2).zip(rows) {
                self.step(index, row)?;
            }
            self.take_log(rows)?;
        }
        Ok(())
    }

    fn take_losses(&mut self, _wait: bool) -> Result<Vec<f32>> {
        Ok(std::mem::take(&mut self.losses))
    }

    fn read(&mut self, slot: Slot, len: usize) -> Result<Vec<f32>> {
        self.inner.read(slot, len)
    }

    fn slot_limit(&self) -> Option<u64> {
        self.inner.slot_limit()
    }

    fn bytes_for(&self, plan: &Plan) -> u64 {
        self.inner.bytes_for(&plan.in_parts())
    }

    fn variants(&self) -> Vec<String> {
        self.variants.clone()
    }

    fn take_variants(&mut self, variants: &[String]) {
        self.inner.take_variants(variants);
    }

    fn take_warnings(&mut self) -> Vec<String> {
        self.inner.take_warnings()
    }

    fn take_usage(&mut self) -> Option<Usage> {
        self.inner.take_usage()
    }
}

impl RankDevice {
    /// Takes the losses of steps that have run, as the log has them.
    fn take_log(&mut self, rows: &[StepParams]) -> Result<()> {
        let Some(log) = self.exchanges.log else { return Ok(()) };
        let len = rows.iter().map(|row| row.log as usize + 1).max().unwrap_or(0);
        let logged = self.inner.read(log, len)?;
        let own = rows.iter().map(|row| (logged[row.log as usize], self.fraction(row)));
        let losses = if self.exchanges.guarded {
            // These are sums already, or NaN for a step that was skipped.
            own.map(|(loss, _)| loss).collect()
        } else {
            let mine = own.map(|(loss, fraction)| weighted(loss, fraction)).collect();
            self.ranks.begin_sum(mine).wait()?
        };
        self.losses.extend(losses);
        Ok(())
    }
}

/// Returns the step parameters of a rank's share of a batch.
fn of_share(row: &StepParams, share: Share) -> StepParams {
    let all = row.rows as usize;
    let (own, batch_row) = (share.of(all), narrow(share.range(all).start));
    // Losses and gradients are means over the rank's rows, of which the whole batch's are the mean.
    let divisor = row.divisor.map(|divisor| divisor * own as f64 / all.max(1) as f64);
    StepParams { rows: narrow(own), batch_row, divisor, ..*row }
}

/// Returns the names of variants, without the words for how they were chosen, which differ between ranks.
fn names(variants: &[String]) -> String {
    let name = |line: &String| line.split(" (").next().unwrap_or_default().to_string();
    variants.iter().map(name).collect::<Vec<_>>().join(", ")
}
