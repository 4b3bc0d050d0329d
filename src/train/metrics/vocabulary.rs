//! Entries of metrics for the document of the vocabulary.

use super::Metric;
use crate::vocabulary::{Entry, entry};

impl Metric {
    /// Entries of all metrics; `K`, `BINS` and `QUANTILE` in names stand for numbers. Means, counts of rows, medians
    /// and correlations are weighted by the weights of rows, `sample_weight` there.
    pub const VOCABULARY: &'static [Entry] = &[
        entry(
            "loss",
            "the loss of training: its weighted mean over the rows, or with --reduction sum its sum",
            "",
            "the loss's own",
        ),
        entry(
            "accuracy",
            "rows with argmax p = y / rows; of labels rows with all of them right / rows",
            "",
            "sklearn.metrics.accuracy_score",
        ),
        entry(
            "balanced_accuracy",
            "mean recall of classes that occur; of labels the mean over labels, each with no and yes for classes",
            "",
            "sklearn.metrics.balanced_accuracy_score",
        ),
        entry(
            "top_K",
            "rows with y among the K largest p / rows, for more than K classes",
            "K, below the number of classes",
            "sklearn.metrics.top_k_accuracy_score",
        ),
        entry(
            "precision",
            "hits / predicted, of the positive class of two or of a single label",
            "",
            "sklearn.metrics.precision_score, average=binary, zero_division=0",
        ),
        entry(
            "precision_macro",
            "mean over classes that occur or are predicted, or over the yes of each label, of hits / predicted",
            "",
            "sklearn.metrics.precision_score, average=macro, zero_division=0",
        ),
        entry(
            "precision_micro",
            "all hits / all predicted, over all classes (then it is the accuracy), or over the yes of all labels together",
            "",
            "sklearn.metrics.precision_score, average=micro, zero_division=0",
        ),
        entry(
            "recall",
            "hits / rows of the class, of the positive class of two or of a single label",
            "",
            "sklearn.metrics.recall_score, average=binary, zero_division=0",
        ),
        entry(
            "recall_macro",
            "mean over classes that occur or are predicted, or over the yes of each label, of hits / rows of the class",
            "",
            "sklearn.metrics.recall_score, average=macro, zero_division=0",
        ),
        entry(
            "recall_micro",
            "all hits / all rows, over all classes (then it is the accuracy), or over the yes of all labels together",
            "",
            "sklearn.metrics.recall_score, average=micro, zero_division=0",
        ),
        entry(
            "f1",
            "2 hits / (predicted + rows of the class), of the positive class of two or of a single label",
            "",
            "sklearn.metrics.f1_score, average=binary, zero_division=0",
        ),
        entry(
            "f1_macro",
            "mean over classes that occur or are predicted, or over the yes of each label, of 2 hits / (predicted + rows of the class)",
            "",
            "sklearn.metrics.f1_score, average=macro, zero_division=0",
        ),
        entry(
            "f1_micro",
            "2 all hits / (all predicted + all rows), over all classes (then it is the accuracy), or over the yes of all labels together",
            "",
            "sklearn.metrics.f1_score, average=micro, zero_division=0",
        ),
        entry(
            "matthews",
            "correlation of targets and predictions; 0 where one of them is all alike; of labels the mean over labels",
            "",
            "sklearn.metrics.matthews_corrcoef",
        ),
        entry(
            "log_loss",
            "mean -log p(y), p kept within f64's epsilon; of labels the mean over labels",
            "",
            "sklearn.metrics.log_loss",
        ),
        entry(
            "brier",
            "mean (p(1) - y)^2 for two classes, else mean sum of (p(k) - [y = k])^2; of labels the mean over labels",
            "",
            "sklearn.metrics.brier_score_loss",
        ),
        entry(
            "roc_auc",
            "share of pairs in order, ties half, of the positive class of two; for more classes the mean over classes of one against the rest, of labels the mean over labels; undefined where a class has no row",
            "",
            "sklearn.metrics.roc_auc_score, multi_class=ovr, average=macro",
        ),
        entry(
            "average_precision",
            "sum of (R_n - R_(n-1)) P_n over thresholds, of the positive class of two; for more classes the mean over classes, of labels the mean over labels; undefined where such a class has no row",
            "",
            "sklearn.metrics.average_precision_score, average=macro",
        ),
        entry(
            "ece_BINS",
            "sum over bins of rows/all |accuracy - confidence|, all three weighted; of labels the mean over labels",
            "BINS of equal width",
            "Guo et al. 2017, arXiv:1706.04599",
        ),
        entry(
            "r2",
            "1 - sum (y - p)^2 / sum (y - mean y)^2; of several columns their mean; undefined where a column is constant",
            "",
            "sklearn.metrics.r2_score",
        ),
        entry(
            "mae",
            "mean |y - p|; of several columns their mean",
            "",
            "sklearn.metrics.mean_absolute_error",
        ),
        entry(
            "rmse",
            "sqrt mean (y - p)^2; of several columns the mean of theirs",
            "",
            "sklearn.metrics.root_mean_squared_error",
        ),
        entry(
            "mape",
            "mean |y - p| / max(|y|, epsilon); of several columns their mean",
            "",
            "sklearn.metrics.mean_absolute_percentage_error",
        ),
        entry(
            "median_absolute_error",
            "median |y - p|, with weights the value at which half of the weight is reached, or the mean of the two between which it is; of several columns the mean of theirs",
            "",
            "sklearn.metrics.median_absolute_error",
        ),
        entry(
            "explained_variance",
            "1 - var(y - p) / var y; of several columns their mean; undefined where a column is constant",
            "",
            "sklearn.metrics.explained_variance_score",
        ),
        entry(
            "pinball_QUANTILE",
            "mean of QUANTILE (y - p) where y > p, else (1 - QUANTILE) (p - y); of several columns their mean",
            "QUANTILE, such as 0.9",
            "sklearn.metrics.mean_pinball_loss",
        ),
        entry(
            "coverage",
            "rows with y from the lowest to the highest predicted quantile, or within mean ± 1.96 std / rows; of several columns their mean",
            "",
            "for the losses pinball and gaussian-nll",
        ),
    ];
}
