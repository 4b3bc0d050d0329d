//! Entries of initialisations for the document of the vocabulary.

use super::Init;
use crate::vocabulary::{Entry, entry};

impl Init {
    /// Entries of all schemes, in the order of help texts. Uniform ones are given by their
    /// bound, normal ones by their standard deviation.
    pub const VOCABULARY: &'static [Entry] = &[
        entry("pytorch", "uniform, 1/sqrt(in); biases too", "", "torch.nn.Linear"),
        entry(
            "kaiming-uniform",
            "uniform, gain sqrt(3/fan)",
            "gain sqrt(2), fan in (or out)",
            "torch.nn.init.kaiming_uniform_",
        ),
        entry(
            "kaiming-normal",
            "normal, gain/sqrt(fan)",
            "gain sqrt(2), fan in (or out)",
            "torch.nn.init.kaiming_normal_",
        ),
        entry(
            "xavier-uniform",
            "uniform, gain sqrt(6/(in + out))",
            "gain 1",
            "torch.nn.init.xavier_uniform_",
        ),
        entry(
            "xavier-normal",
            "normal, gain sqrt(2/(in + out))",
            "gain 1",
            "torch.nn.init.xavier_normal_",
        ),
        entry(
            "lecun-uniform",
            "uniform, gain sqrt(3/in)",
            "gain 1",
            "LeCun et al. 1998, Efficient BackProp",
        ),
        entry(
            "lecun-normal",
            "normal, gain/sqrt(in)",
            "gain 1",
            "LeCun et al. 1998, Efficient BackProp",
        ),
        entry(
            "orthogonal",
            "gain Q of a normal matrix's QR, where R has a positive diagonal",
            "gain 1",
            "torch.nn.init.orthogonal_",
        ),
        entry(
            "trunc-normal",
            "normal, drawn anew outside of [a, b]",
            "mean 0, std 1, a -2, b 2",
            "torch.nn.init.trunc_normal_",
        ),
        entry("constant", "value", "value", "torch.nn.init.constant_"),
        entry(
            "siren",
            "uniform, 1/in in the first layer, sqrt(6/in)/omega in others; biases uniform, 1/sqrt(in)",
            "omega 30",
            "Sitzmann et al. 2020, arXiv:2006.09661",
        ),
        entry("ntk", "normal, 1", "", "Jacot et al. 2018, arXiv:1806.07572"),
        entry(
            "unit-variance",
            "as ntk, then each output over the deviation of its sums in training rows; biases -sum s y over 5 random rows' sums y, \
             s exponential of sum 1",
            "",
            "std and he+5 of Holzmueller et al. 2024, arXiv:2407.04491",
        ),
    ];
}
