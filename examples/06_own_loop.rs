//! A training loop of one's own: a learning rate by a rule of one's own, and a look at gradients.
//!
//! ```sh
//! cargo run --release --example 06_own_loop
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use wgrad::data::synth;
use wgrad::prelude::*;

fn main() -> Result<()> {
    let data = synth::spirals(400, 3, Seed(1)).split(0.2, Seed(1))?;
    let model = Sequential::new().dense(32).tanh().dense(32).tanh().dense(3);
    let mut trainer = Trainer::new(&model, &data, &TrainOptions::default(), &DeviceKind::Cpu)?;
    for step in 0..1500 {
        // The rate falls as gradients grow: no step goes farther than 0.05 along them.
        let norm = if step == 0 { 1.0 } else { trainer.gradients()?.norm() };
        trainer.set_lr((0.05 / norm).min(0.01))?;
        let stats = trainer.step()?;
        if step % 300 == 0 {
            println!("epoch {}, step {}: loss {:.4}", stats.epoch, stats.step, stats.loss);
            for (name, norm) in trainer.gradients()?.norms() {
                println!("  gradient of {name:8} {norm:.4}");
            }
        }
    }
    println!("{}", trainer.evaluate()?);
    Ok(())
}
