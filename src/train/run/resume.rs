//! Continues a run from a checkpoint, and takes checkpoints of it.
//!
//! In: a trainer, a checkpoint. Out: the trainer in the state of the checkpoint, or a checkpoint of its present state.
//! Absent on purpose: files, which `export` writes; when a checkpoint is due, which `fit.rs` decides.

use std::sync::Arc;

use super::checkpoint::{Checkpoint, CheckpointHeader, DeviceState, RunFingerprint, RunPosition};
use super::state::{HeldCheckpoints, RunState, RunningState};
use crate::device::Values;
use crate::error::{Error, Result};
use crate::plan::Slot;
use crate::train::param_io::lasting;
use crate::train::{Trainer, Warning};

impl Trainer {
    /// Returns the run as it was at the end of the last epoch that [`TrainOptions::checkpoint_every`](crate::train::TrainOptions::checkpoint_every) selects, or as it was
    /// resumed; `None` before that. [`crate::train::Fit::checkpoint`] returns the present step's.
    pub fn checkpoint(&self) -> Option<&Arc<Checkpoint>> {
        self.checkpoints.newest.as_ref()
    }

    /// Returns the run as it was at the end of the epoch reported last, if that epoch is the best so far, and the best one
    /// is kept. Every epoch is considered, unless checkpoints are switched off. `None` after other epochs.
    pub fn best_checkpoint(&self) -> Option<&Arc<Checkpoint>> {
        self.checkpoints.best.as_ref()
    }

    /// Makes the next [`Self::fit`] continue from the checkpoint. On the same device and driver, with the same options, the
    /// results are those of a run that was never stopped, bit for bit; a warning reports differences.
    ///
    /// # Errors
    /// If the checkpoint is of another model, other tables, another optimizer or more epochs.
    pub fn resume(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let Checkpoint { about, slots, kept } = &checkpoint;
        let refuse = |problem: String| Err(Error::setting("checkpoint", problem));
        // Everything is checked before anything changes, so that a refused checkpoint leaves the trainer as it was.
        if about.model != self.model || kept.layout() != self.kept.0.layout() {
            return refuse(
                "it is of a network with other layers; give a checkpoint of this run".to_string(),
            );
        }
        self.origin.check(&about.origin)?;
        // Names and lengths of the slots: the optimizer, averages and precision show in them.
        let wanted: Vec<(&str, usize)> =
            lasting(&self.plan).into_iter().map(|slot| self.name_and_len(slot)).collect();
        let there: Vec<(&str, usize)> =
            slots.iter().map(|(name, values)| (name.as_str(), values.len())).collect();
        if wanted != there {
            return refuse(format!(
                "it holds {}, but this run needs {}: give the same ‘optimizer’, ‘average’, ‘accumulate’ and ‘precision’ as then",
                listed(&there),
                listed(&wanted)
            ));
        }
        let (epochs, done) = (self.options.epochs, about.place.epoch);
        // An epoch that has begun counts, since it will be finished.
        let unfinished = done + u32::from(about.place.step > 0);
        if unfinished > epochs {
            let problem = format!("{epochs}, but epoch {unfinished} has begun; give at least that");
            return Err(Error::setting("epochs", problem));
        }
        if !about.place.is_sound(self.info.steps_per_epoch) {
            return refuse(
                "it speaks of more steps than an epoch has, or than were done, so it is damaged; take an earlier one".to_string(),
            );
        }
        // Before the comparison, so that variants the device can still take are no difference.
        self.take_variants(&about.origin)?;
        let mut differences = self.origin.differences(&about.origin);
        let version = env!("CARGO_PKG_VERSION");
        if about.version != version {
            differences.push(format!("wgrad is {version}, and was {}", about.version));
        }
        // Other bits are no reason to refuse: the user may want a new device or another setting.
        if !differences.is_empty() {
            self.warnings.push(Warning::OtherBits { differences });
        }
        self.kept = (kept.clone(), about.kept.clone());
        let checkpoint = Arc::new(checkpoint);
        self.checkpoints =
            HeldCheckpoints { newest: Some(Arc::clone(&checkpoint)), ..HeldCheckpoints::default() };
        self.state = RunState::Resuming(checkpoint);
        Ok(())
    }

    fn name_and_len(&self, slot: Slot) -> (&str, usize) {
        let spec = self.plan.slot(slot);
        (&spec.name, spec.len())
    }

    /// Makes the device take the variants of its kernels that the earlier run took, if it would choose others now.
    fn take_variants(&mut self, old: &RunFingerprint) -> Result<()> {
        if self.origin.device != old.device || self.origin.variants == old.variants {
            return Ok(());
        }
        self.device.take_variants(&old.variants);
        self.load_again()?;
        let variants = self.device.variants();
        (self.info.variants, self.origin.variants) = (variants.clone(), variants);
        Ok(())
    }

    /// Reads the present values of all slots that outlive a step; waits for the device.
    pub(in crate::train) fn capture(&mut self) -> Result<DeviceState> {
        let mut values = Vec::new();
        for slot in lasting(&self.plan) {
            let (name, len) = self.name_and_len(slot);
            values.push((name.to_string(), self.device.read(slot, len)?));
        }
        Ok(values)
    }

    /// Makes a checkpoint of captured values and of the weights that are kept now.
    pub(in crate::train) fn checkpoint_of(
        &self,
        slots: DeviceState,
        place: RunPosition,
    ) -> Checkpoint {
        let about = CheckpointHeader {
            version: env!("CARGO_PKG_VERSION").to_string(),
            model: self.model.clone(),
            columns: self.info.features,
            origin: self.origin.clone(),
            place,
            kept: self.kept.1.clone(),
        };
        Checkpoint { about, slots, kept: self.kept.0.clone() }
    }

    /// Writes captured values to the slots that outlive a step.
    pub(in crate::train) fn bring_back(&mut self, values: &DeviceState) -> Result<()> {
        for (slot, (_, values)) in lasting(&self.plan).into_iter().zip(values) {
            self.device.write(slot, 0, Values::F32(values))?;
        }
        Ok(())
    }

    /// Writes a checkpoint's values to the device, and restores the kept weights.
    pub(in crate::train) fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        // Losses of steps that are now undone must not be mistaken for later ones.
        self.device.take_losses(true)?;
        self.bring_back(&checkpoint.slots)?;
        self.state = RunState::Running(RunningState::default());
        self.kept = (checkpoint.kept.clone(), checkpoint.about.kept.clone());
        let present = self.params()?;
        self.state.running().present = Some(present);
        Ok(())
    }
}

fn listed(slots: &[(&str, usize)]) -> String {
    let texts: Vec<String> = slots.iter().map(|(name, len)| format!("{name} [{len}]")).collect();
    texts.join(", ")
}
