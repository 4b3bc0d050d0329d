//! Runs a plan's steps one after the other, with all values in one arena.

use std::ops::Range;

use super::Real;
use super::engine::CpuKernels;
use super::kernels::{ArenaViews, PreparedStep, buffer_starts, range_of, round};
use super::simd::{SimdKernels, SimdLevel};
use crate::device::{Device, DeviceInfo, Values, memory};
use crate::error::{Error, Result};
use crate::plan::{
    BufferSpec, Element, InitialValues, Phase, Plan, Slot, SlotSpec, StepParams, WINDOW,
};

/// The CPU as a device: `CpuDevice<f32>` for use, `CpuDevice<f64>` as the reference.
#[derive(Debug)]
pub struct CpuDevice<T: Real> {
    info: DeviceInfo,
    engine: T::CpuKernels,
    plan: Option<Plan>,
    /// First element of each of the plan's buffers in the arena of its kind.
    starts: Vec<usize>,
    /// Every float buffer of the plan, end to end: a step borrows disjoint ranges of it.
    floats: Vec<T>,
    /// Every buffer of row numbers and classes, in the same way.
    indices: Vec<u32>,
    train: Sequence<T>,
    eval: Sequence<T>,
    measure: Sequence<T>,
    losses: Vec<f32>,
    log: Option<Range<usize>>,
}

/// A phase's prepared steps, and the step parameters of its window.
#[derive(Debug)]
struct Sequence<T: Real> {
    steps: Vec<PreparedStep<T>>,
    rows: Vec<StepParams>,
}

impl<T: Real> Sequence<T> {
    fn empty() -> Self {
        Self { steps: vec![], rows: vec![] }
    }
}

impl<T: Real> CpuDevice<T> {
    /// Makes a device without a plan.
    pub fn new() -> Self {
        Self::with(T::CpuKernels::new())
    }

    /// Makes a device that computes on the thread that calls, for work that threads share by rows.
    pub(crate) fn of_one_thread() -> Self {
        Self::with(T::CpuKernels::of_one_thread())
    }

    fn with(engine: T::CpuKernels) -> Self {
        let threads = engine.threads();
        let plural = if threads == 1 { "" } else { "s" };
        let info = DeviceInfo {
            name: "CPU".to_string(),
            kind: crate::device::CPU.to_string(),
            backend: format!("{}, {threads} thread{plural}", engine.name()),
            driver: String::new(),
        };
        Self {
            info,
            engine,
            plan: None,
            starts: vec![],
            floats: vec![],
            indices: vec![],
            train: Sequence::empty(),
            eval: Sequence::empty(),
            measure: Sequence::empty(),
            losses: vec![],
            log: None,
        }
    }

    /// Returns a slot's floats in the device's own precision.
    ///
    /// # Errors
    /// If no plan is loaded or the slot holds no floats.
    pub fn values(&self, slot: Slot) -> Result<&[T]> {
        let (spec, range) = self.place(slot)?;
        match spec.element {
            Element::F32 | Element::F16 => Ok(&self.floats[range]),
            Element::U32 => {
                Err(self.failure(format!("{} holds whole numbers, not floats", spec.name)))
            }
        }
    }

    /// Sets all floats of a slot in the device's own precision, which [`Device::write`] would round.
    ///
    /// # Errors
    /// If no plan is loaded, the slot holds no floats, or another number of them.
    pub fn set_values(&mut self, slot: Slot, values: &[T]) -> Result<()> {
        let (spec, range) = self.place(slot)?;
        if !spec.element.is_float() || range.len() != values.len() {
            let problem = format!("{} floats are not what {} holds", values.len(), spec.name);
            return Err(self.failure(problem));
        }
        let half = spec.element == Element::F16;
        self.floats[range.clone()].copy_from_slice(values);
        self.forget(&range);
        if half {
            round(&mut self.floats[range]);
        }
        Ok(())
    }

    /// Drops what steps keep of floats that the host has written.
    fn forget(&self, written: &Range<usize>) {
        let sequences = [&self.train, &self.eval, &self.measure];
        let steps = sequences.into_iter().flat_map(|sequence| &sequence.steps);
        steps.for_each(|step| step.forget(written));
    }

    fn failure(&self, problem: String) -> Error {
        Error::Device { adapter: self.info.name.clone(), problem }
    }

    fn place(&self, slot: Slot) -> Result<(&SlotSpec, Range<usize>)> {
        let plan =
            self.plan.as_ref().ok_or_else(|| self.failure("no plan is loaded".to_string()))?;
        let spec = plan.slot(slot);
        Ok((spec, range_of(spec, &self.starts)))
    }

    fn sequence(&mut self, phase: Phase) -> &mut Sequence<T> {
        match phase {
            Phase::Train => &mut self.train,
            Phase::Eval => &mut self.eval,
            Phase::Measure => &mut self.measure,
        }
    }
}

impl CpuDevice<f32> {
    /// Makes a device with this instruction set, so that sets other than the widest can be checked.
    pub fn using(instructions: SimdLevel) -> Self {
        Self::with(SimdKernels::using(instructions))
    }
}

impl<T: Real> Default for CpuDevice<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Real> Device for CpuDevice<T> {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn load(&mut self, plan: &Plan) -> Result<()> {
        let total = |floats: bool| -> usize {
            plan.buffers()
                .iter()
                .filter(|buffer| buffer.element.is_float() == floats)
                .map(|buffer| buffer.elements)
                .sum()
        };
        // Checked before allocating: the system may promise memory that it does not have.
        memory::check(plan, self.bytes_for(plan), &self.info)?;
        let refused = |_| {
            self.failure("the system gives no more memory; use smaller layers or fewer rows".into())
        };
        let (mut floats, mut indices) = (Vec::new(), Vec::new());
        // Allocation that can fail, so that a lack of memory is an error and not the end of the program.
        floats.try_reserve_exact(total(true)).map_err(refused)?;
        floats.resize(total(true), T::zero());
        indices.try_reserve_exact(total(false)).map_err(refused)?;
        indices.resize(total(false), 0);
        (self.floats, self.indices) = (floats, indices);
        self.starts = buffer_starts(plan);
        let starts = &self.starts;
        // Slots are looked up once here instead of in every step.
        let sequence = |phase| {
            let steps = plan.steps(phase).iter().map(|step| PreparedStep::of(plan, step, starts));
            Ok(Sequence { steps: steps.collect::<Result<_>>()?, rows: vec![] })
        };
        self.train = sequence(Phase::Train)?;
        self.eval = sequence(Phase::Eval)?;
        self.measure = sequence(Phase::Measure)?;
        let sequences = [&self.train, &self.eval, &self.measure];
        let sizes = sequences.into_iter().flat_map(|sequence| &sequence.steps);
        self.engine.prepare(&sizes.map(PreparedStep::sizes).collect::<Vec<_>>());
        // `run` then appends without growing the vector, as long as losses are taken after each window.
        self.losses = Vec::with_capacity(WINDOW);
        self.plan = Some(plan.clone());
        self.log = match plan.log() {
            Some(log) => Some(self.place(log)?.1),
            None => None,
        };
        for (slot, start) in plan.starts() {
            match start {
                InitialValues::Floats(values) => {
                    let values: Vec<T> = values.iter().map(|&value| T::of(value)).collect();
                    self.set_values(*slot, &values)?;
                }
                InitialValues::Indices(values) => self.write(*slot, 0, Values::U32(values))?,
            }
        }
        Ok(())
    }

    fn write(&mut self, slot: Slot, first: usize, values: Values<'_>) -> Result<()> {
        let (spec, range) = self.place(slot)?;
        let (name, element) = (spec.name.clone(), spec.element);
        let range = range.start + first..range.start + first + values.len();
        if first + values.len() > self.place(slot)?.1.len() {
            return Err(
                self.failure(format!("{} values do not fit {name} from {first} on", values.len()))
            );
        }
        match (values, element) {
            (Values::F32(values), Element::F32 | Element::F16) => {
                for (to, &from) in self.floats[range.clone()].iter_mut().zip(values) {
                    *to = T::of_f32(from);
                }
                self.forget(&range);
                if element == Element::F16 {
                    round(&mut self.floats[range]);
                }
            }
            (Values::U32(values), Element::U32) => self.indices[range].copy_from_slice(values),
            _ => return Err(self.failure(format!("{name} holds another kind of numbers"))),
        }
        Ok(())
    }

    fn write_steps(&mut self, phase: Phase, rows: &[StepParams]) -> Result<()> {
        if rows.len() > WINDOW {
            return Err(self
                .failure(format!("{} steps at once, at most {WINDOW} are possible", rows.len())));
        }
        let sequence = self.sequence(phase);
        sequence.rows.clear();
        sequence.rows.extend_from_slice(rows);
        Ok(())
    }

    fn steps_per_submission(&self, _phase: Phase) -> u32 {
        // `run` returns when the steps are done, so a few steps at a time keep progress reports coming.
        16
    }

    fn run(&mut self, phase: Phase, steps: Range<u32>) -> Result<()> {
        let sequence = match phase {
            Phase::Train => &self.train,
            Phase::Eval => &self.eval,
            Phase::Measure => &self.measure,
        };
        let rows = sequence.rows.get(steps.start as usize..steps.end as usize);
        let rows =
            rows.ok_or_else(|| self.failure(format!("steps {steps:?} lie outside of the window")))?;
        let (engine, floats, indices) = (&self.engine, &mut self.floats, &mut self.indices);
        let log = self.log.as_ref().filter(|_| phase == Phase::Train);
        // The pool is entered once for all steps, not for each of them.
        engine.enter(|| {
            for row in rows {
                for step in &sequence.steps {
                    step.run(engine, ArenaViews { floats, indices }, row);
                }
                // The log's slot is reused by later windows, so the loss is copied at once.
                if let Some(log) = log {
                    self.losses.push(floats[log.start + row.log as usize].to_f32());
                }
            }
        });
        Ok(())
    }

    fn run_part(&mut self, phase: Phase, step: u32, part: Range<usize>) -> Result<()> {
        let sequence = match phase {
            Phase::Train => &self.train,
            Phase::Eval => &self.eval,
            Phase::Measure => &self.measure,
        };
        let row = sequence.rows.get(step as usize);
        let row =
            row.ok_or_else(|| self.failure(format!("step {step} lies outside of the window")))?;
        let (engine, floats, indices) = (&self.engine, &mut self.floats, &mut self.indices);
        engine.enter(|| {
            for step in &sequence.steps[part] {
                step.run(engine, ArenaViews { floats, indices }, row);
            }
        });
        Ok(())
    }

    fn take_losses(&mut self, _wait: bool) -> Result<Vec<f32>> {
        Ok(self.losses.drain(..).collect())
    }

    fn read(&mut self, slot: Slot, len: usize) -> Result<Vec<f32>> {
        let values = self.values(slot)?;
        let values = values
            .get(..len)
            .ok_or_else(|| self.failure(format!("{len} elements are more than the slot's")))?;
        Ok(values.iter().map(|value| value.to_f32()).collect())
    }

    fn slot_limit(&self) -> Option<u64> {
        None
    }

    fn bytes_for(&self, plan: &Plan) -> u64 {
        let bytes = |buffer: &BufferSpec| match buffer.element {
            Element::F32 | Element::F16 => std::mem::size_of::<T>() * buffer.elements,
            Element::U32 => 4 * buffer.elements,
        };
        plan.buffers().iter().map(|buffer| bytes(buffer) as u64).sum()
    }

    fn variants(&self) -> Vec<String> {
        vec![format!("matmul: {}", self.engine.products())]
    }
}
