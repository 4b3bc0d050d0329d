// What changes from step to step: one row of the table that the host computes ahead.

struct Step {
    first: u32,        // first of the batch's rows, in the epoch's order
    rows: u32,         // rows that count
    log: u32,          // where in the log the loss goes
    lr: f32,           // learning rate
    rate: f32,         // lr / correction1
    correction2: f32,  // sqrt(1 - beta2^t)
}
