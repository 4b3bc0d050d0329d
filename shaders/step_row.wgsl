// Step parameters: one row of the table that the host computes ahead (`StepParams` in src/plan/mod.rs).

struct Step {
    first: u32,        // first of the batch's rows, in the epoch's order
    rows: u32,         // rows that count
    log: u32,          // where in the log the loss goes
    step: u32,         // steps before this one
    seed: u32,         // the run's seed
    apply: u32,        // whether weights move
    dropout: f32,      // what dropout rates are multiplied by
    divisor: f32,      // what the sum of losses is divided by
    s0: f32,           // numbers of the update: rate, decay, the optimizer's own
    s1: f32,
    s2: f32,
    s3: f32,
    s4: f32,
    s5: f32,           // weight of the gradient among those that are accumulated (SHARE)
    s6: f32,           // share of averaged weights that are new (AVERAGE)
    s7: f32,           // and its settings
    s8: f32,
    s9: f32,
    s10: f32,
    s11: f32,
    s12: f32,
    loss0: f32,        // what the loss's settings are multiplied by
    loss1: f32,
    batch_row: u32,    // place of the first row in the whole batch, of which ranks have a share each
}
