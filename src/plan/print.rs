//! A plan as text: what golden files hold and `wgrad plan` shows.

use std::fmt;

use super::{Element, Kernel, Memory, Phase, Plan, Slot, Step};
use crate::shape::{bytes_text, pluralize};

impl Plan {
    fn named(&self, slot: Slot) -> String {
        let spec = self.slot(slot);
        let sizes: Vec<String> = spec.sizes.iter().map(usize::to_string).collect();
        let half = if spec.element == Element::F16 { ":f16" } else { "" };
        format!("{}[{}]{half}", spec.name, sizes.join(","))
    }

    fn line(&self, index: usize, step: &Step) -> String {
        let list = |slots: &[Slot]| {
            slots.iter().map(|&slot| self.named(slot)).collect::<Vec<_>>().join(" ")
        };
        let mut line = format!(
            "{index:>2} {:<28} {:<36} <- {}",
            step.kernel.to_string(),
            list(&step.writes),
            list(&step.reads)
        );
        if let Kernel::Chain(chain) = &step.kernel {
            // Each formula has inputs of its own, so their slots stand before it.
            let part = |part: Step| {
                let name = |&slot: &Slot| self.slot(slot).name.as_str();
                let inputs: Vec<_> = part.reads.iter().map(name).collect();
                let text = part.kernel.formula().map_or("", |id| &self.formula(id).text);
                format!("{}({}) = {text}", name(&part.writes[0]), inputs.join(", "))
            };
            let parts: Vec<String> = chain.parts(step).into_iter().map(part).collect();
            line = format!("{line}  | {}", parts.join("; "));
        } else if let Some(formula) = step.kernel.formula() {
            line = format!("{line}  | {}", self.formula(formula).text);
        }
        line.truncate(line.trim_end().len());
        line
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (phase, name, batch) in [
            (Phase::Train, "train", self.batch),
            (Phase::Eval, "eval", self.eval_batch),
            (Phase::Measure, "measure", self.batch),
        ] {
            let steps = self.steps(phase);
            if steps.is_empty() {
                continue;
            }
            writeln!(
                f,
                "{name}: {} dispatches a step of {}",
                steps.len(),
                pluralize(batch as u64, "row")
            )?;
            for (index, step) in steps.iter().enumerate() {
                writeln!(f, "{}", self.line(index, step))?;
            }
            writeln!(f)?;
        }
        let memory = Memory::of(self);
        let (total, bound) = (bytes_text(memory.total()), bytes_text(memory.bound()));
        writeln!(f, "memory: {total} in {} buffers, at least {bound}", self.buffers.len())?;
        writeln!(f, "  params       {:>10}", bytes_text(memory.params))?;
        writeln!(f, "  gradients    {:>10}", bytes_text(memory.gradients))?;
        writeln!(f, "  state        {:>10}", bytes_text(memory.state))?;
        let (live, unshared) = (bytes_text(memory.live), bytes_text(memory.activations_unshared));
        let shared = format!("({live} live at once, {unshared} without reuse)");
        writeln!(f, "  activations  {:>10} {shared}", bytes_text(memory.activations))?;
        write!(f, "  data         {:>10}", bytes_text(memory.data))
    }
}
