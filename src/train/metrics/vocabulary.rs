//! What documents say of metrics.

use super::Metric;
use crate::vocabulary::Entry;

impl Metric {
    /// What documents say of every metric; `K`, `BINS` and `QUANTILE` in names stand for numbers.
    pub const VOCABULARY: &'static [Entry] = &[
        Entry {
            tests: "train::metrics::tests::classification_figures, train::metrics::tests::regression_figures_are_in_the_targets_units",
            ..entry(
                "loss",
                "the loss of training: its mean over the rows, or with --reduction sum its sum",
                "",
                "the loss's own",
            )
        },
        entry("accuracy", "rows with argmax p = y / rows", "", "sklearn.metrics.accuracy_score"),
        entry(
            "balanced_accuracy",
            "mean recall of classes that occur",
            "",
            "sklearn.metrics.balanced_accuracy_score",
        ),
        entry(
            "top_K",
            "rows with y among the K largest p / rows",
            "K, below the number of classes",
            "sklearn.metrics.top_k_accuracy_score",
        ),
        entry(
            "precision_macro",
            "mean over classes of hits / predicted",
            "",
            "sklearn.metrics.precision_score, zero_division=0",
        ),
        entry("precision_micro", "all hits / all predicted", "", "sklearn.metrics.precision_score"),
        entry(
            "recall_macro",
            "mean over classes of hits / rows of the class",
            "",
            "sklearn.metrics.recall_score, zero_division=0",
        ),
        entry("recall_micro", "all hits / all rows", "", "sklearn.metrics.recall_score"),
        entry(
            "f1_macro",
            "mean over classes of 2 hits / (predicted + rows of the class)",
            "",
            "sklearn.metrics.f1_score, zero_division=0",
        ),
        entry(
            "f1_micro",
            "2 all hits / (all predicted + all rows)",
            "",
            "sklearn.metrics.f1_score",
        ),
        entry(
            "matthews",
            "correlation of targets and predictions; 0 where one of them is all alike",
            "",
            "sklearn.metrics.matthews_corrcoef",
        ),
        entry(
            "log_loss",
            "mean -log p(y), p kept within f64's epsilon",
            "",
            "sklearn.metrics.log_loss",
        ),
        entry(
            "brier",
            "mean (p(1) - y)^2 for two classes, else mean sum of (p(k) - [y = k])^2",
            "",
            "sklearn.metrics.brier_score_loss",
        ),
        entry(
            "roc_auc",
            "share of pairs in order, ties half; for more classes the mean of one against the rest",
            "",
            "sklearn.metrics.roc_auc_score, multi_class=ovr",
        ),
        entry(
            "average_precision",
            "sum of (R_n - R_(n-1)) P_n over thresholds; for more classes the mean",
            "",
            "sklearn.metrics.average_precision_score",
        ),
        entry(
            "ece_BINS",
            "sum over bins of rows/all |accuracy - confidence|",
            "BINS of equal width",
            "Guo et al. 2017, arXiv:1706.04599",
        ),
        entry("r2", "1 - sum (y - p)^2 / sum (y - mean y)^2", "", "sklearn.metrics.r2_score"),
        entry("mae", "mean |y - p|", "", "sklearn.metrics.mean_absolute_error"),
        entry("rmse", "sqrt mean (y - p)^2", "", "sklearn.metrics.root_mean_squared_error"),
        entry(
            "mape",
            "mean |y - p| / max(|y|, epsilon)",
            "",
            "sklearn.metrics.mean_absolute_percentage_error",
        ),
        entry(
            "median_absolute_error",
            "median |y - p|",
            "",
            "sklearn.metrics.median_absolute_error",
        ),
        entry(
            "explained_variance",
            "1 - var(y - p) / var y",
            "",
            "sklearn.metrics.explained_variance_score",
        ),
        entry(
            "pinball_QUANTILE",
            "mean of QUANTILE (y - p) where y > p, else (1 - QUANTILE) (p - y)",
            "QUANTILE, such as 0.9",
            "sklearn.metrics.mean_pinball_loss",
        ),
        Entry {
            tests: "metrics::intervals_cover_their_share, targets::intervals_cover_what_they_should",
            ..entry(
                "coverage",
                "rows with y from the lowest to the highest predicted quantile, or within mean ± 1.96 std / rows",
                "",
                "for the losses pinball and gaussian-nll",
            )
        },
    ];
}

const fn entry(
    name: &'static str,
    formula: &'static str,
    parameters: &'static str,
    source: &'static str,
) -> Entry {
    Entry { name, formula, parameters, source, tests: "metrics::figures_are_scikit_learns" }
}
