//! All options that decide a run, each declared once.
//!
//! In: nothing. Out: [`OPTIONS`], from which the command line, files of settings and `config.toml` follow.
//! Absent on purpose: what several options mean together, which `config.rs` knows.
//!
//! A new option is a row here and a field that it fills.

use std::str::FromStr;
use std::time::Duration;

use super::config::{INIT_SCALE, InitFrom, RunConfig, TableCache, TensorBoardFolder, ValidSource};
use super::network::{activation, activation_text, dropout, hidden, layers};
use super::option::Heading::{Data, Device, Network, Output};
use super::option::{OptionRow, Shown, Takes};
use super::paths::{path_of, path_text};
use super::raw_settings::{RawSetting, TABLE};
use super::values::{
    add_groups, class_weights, column_list, column_rules, decimal, delimiter, delimiter_text,
    device_memory, duplicates, groups, header, host_memory, is_none, keep_checkpoints, minutes,
    seconds_of, set_optimizer, start, table_cache, target_scale, valid,
};
use crate::data::{ColumnRule, DecimalMark, FeatureScaling, GapRule};
use crate::error::{Error, Result};
use crate::graph::{Group, Optimizer, Reduction, RequiredTarget};
use crate::random::Seed;
use crate::train::{ClassWeights, KeepWeights, Metric, Recipe, ScheduleKind};

const USUAL: OptionRow = OptionRow::USUAL;

/// The options, in the order of `config.toml`.
///
/// The order counts in two places: options are read in it, so that an optimizer comes before its settings; and of the options
/// under one heading, those with a line for `-h` come first in help texts.
pub(crate) static OPTIONS: &[OptionRow] = &[
    OptionRow {
        key: TABLE,
        value: "TABLE",
        heading: Data,
        brief: "CSV file with a header",
        help: "CSV file with a header, or another form of table that is found by its content: compressed, with other delimiters, or \
               an array of NPY, NPZ or IDX, or Parquet or Arrow if the program was built with these; - stands for standard input; all \
               columns but the target are features",
        takes: Takes::Path,
        resume: Some([
            "The training table, if it was moved",
            "The training table, if it was moved [default: as the run was told]",
        ]),
        read: |run, it| put(&mut run.table, it.text().map(|text| path_of(&text))),
        show: |run| some(path_text(&run.table)),
        ..USUAL
    },
    OptionRow {
        key: "target",
        value: "COLUMN",
        heading: Data,
        brief: "The column to predict",
        help: "The column to predict, or several between commas; of an array also a file with the target of each row",
        read: |run, it| put(&mut run.target, it.text().map(|text| text.trim().to_string())),
        show: |run| some(run.target.clone()),
        ..USUAL
    },
    OptionRow {
        key: "weight",
        value: "COLUMN",
        heading: Data,
        help: "Column that says how much each row counts, 0 or more; it is no feature [default: all rows count the same]",
        read: |run, it| put(&mut run.reading.weight, column(it)),
        show: |run| run.reading.weight.clone().and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "delimiter",
        value: "SIGN",
        heading: Data,
        help: "Sign between the cells of TABLE and of --valid FILE: comma, semicolon, tab, bar, space, or the sign itself \
               [default: auto, by the first rows]",
        takes: Takes::AnyText,
        read: |run, it| put(&mut run.reading.format.delimiter, it.read(delimiter)),
        show: |run| run.reading.format.delimiter.map(delimiter_text).and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "decimal",
        value: "MARK",
        heading: Data,
        help: "point (1.5, and 1,234.5) or comma (1,5, and 1.234,5): mark before the decimals of these tables' numbers \
               [default: auto, by the first rows]",
        read: |run, it| put(&mut run.reading.format.decimal, it.read(decimal)),
        show: |run| run.reading.format.decimal.map(DecimalMark::name).and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "header",
        value: "yes|no",
        heading: Data,
        help: "Whether the first line of these tables has the columns' names; without, they are c1, c2 and so on [default: auto, by \
               the first rows]",
        read: |run, it| put(&mut run.reading.format.header, it.read(header)),
        show: |run| {
            run.reading.format.header.map(|yes| if yes { "yes" } else { "no" }).and_then(some)
        },
        ..USUAL
    },
    OptionRow {
        key: "sheet",
        value: "NAME",
        heading: Data,
        help: "Sheet of these tables, if they are Excel workbooks [default: the first one that is not hidden]",
        read: |run, it| put(&mut run.reading.format.sheet, column(it)),
        show: |run| run.reading.format.sheet.clone().and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "valid-sheet",
        value: "NAME",
        heading: Data,
        help: "Sheet of --valid FILE, if it is an Excel workbook [default: as --sheet, else the first one that is not hidden]",
        read: |run, it| put(&mut run.valid_sheet, column(it)),
        show: |run| run.valid_sheet.clone().and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "group",
        value: "COLUMN",
        heading: Data,
        help: "Column that names each row's group, such as a patient; all rows of a group are for training, or all for \
               validation. It is no feature [default: none]",
        read: |run, it| put(&mut run.reading.group, column(it)),
        show: |run| run.reading.group.clone().and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "split-column",
        value: "COLUMN",
        heading: Data,
        help: "Column that says train, valid or test of each row, in place of --valid; rows for a test are left out. It is no \
               feature [default: none]",
        read: |run, it| put(&mut run.reading.split_column, column(it)),
        show: |run| run.reading.split_column.clone().and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "ignore",
        value: "COLUMNS",
        heading: Data,
        brief: "Columns that are no features, between commas",
        help: "Columns that are no features, between commas; `wgrad predict` passes them on [default: none]",
        read: |run, it| put(&mut run.reading.ignore, column_list(it)),
        show: |run| texts(&run.reading.ignore),
        ..USUAL
    },
    OptionRow {
        key: "features",
        value: "COLUMNS",
        heading: Data,
        help: "The only columns that are features, between commas [default: all but the target, the weight and those that --ignore \
               names]",
        read: |run, it| put(&mut run.reading.features, column_list(it).map(Some)),
        show: |run| texts(run.reading.features.as_ref()?),
        ..USUAL
    },
    OptionRow {
        key: "columns",
        value: "KINDS",
        heading: Data,
        help: "What columns are taken for, such as \"zip:category, when:date, id:ignore\": number, category, one-hot, embedding, \
               embedding(WIDTH), date, date(FORMAT) such as date(%d.%m.%Y), date(PARTS) such as date(month, weekday, elapsed), or ignore; or how a column of numbers is scaled, such \
               as \"income:log, age:robust\" [default: by what the column holds, and as --scale says]",
        read: |run, it| {
            let rules = column_rules(it)?;
            run.options.column_scales = rules.scales;
            put(&mut run.reading.columns, Ok(rules.kinds))
        },
        show: |run| shown_rules(&run.reading.columns, &run.options.column_scales),
        ..USUAL
    },
    OptionRow {
        key: "duplicates",
        value: "drop|keep",
        heading: Data,
        help: "Whether a column that has the values of another one in all training rows is left out [default: drop]",
        read: |run, it| put(&mut run.drop_duplicates, duplicates(it)),
        show: |run| some(if run.drop_duplicates { "drop" } else { "keep" }),
        ..USUAL
    },
    OptionRow {
        key: "min-count",
        value: "ROWS",
        heading: Data,
        help: "Training rows that a text of a category needs for an input or an embedding of its own; rarer texts share one with all \
               that training did not have [default: 1]",
        read: |run, it| put(&mut run.reading.min_count, it.plain("a whole number of 0 or more")),
        show: |run| {
            let least = run.reading.min_count;
            (least > 1).then(|| i64::try_from(least).ok()).flatten().and_then(some)
        },
        ..USUAL
    },
    OptionRow {
        key: "one-hot",
        value: "TEXTS",
        heading: Data,
        help: "Number of different texts up to which each has an input of its own; a column of more has an embedding's table, with 0 \
               every column of texts [default: 16]",
        read: |run, it| {
            put(&mut run.reading.one_hot, it.plain("a whole number of 0 or more").map(Some))
        },
        show: |run| run.reading.one_hot.and_then(|most| i64::try_from(most).ok()).and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "embedding-width",
        value: "COLUMNS",
        heading: Data,
        help: "Columns of an embedding's table, unless --columns says them [default: by the number of texts]",
        read: |run, it| {
            let width = it.plain::<usize>("a whole number above 0")?;
            match width {
                0 => Err(it.wrong("0, but it must be above 0")),
                _ => put(&mut run.reading.embedding_width, Ok(Some(width))),
            }
        },
        show: |run| {
            run.reading.embedding_width.and_then(|it| i64::try_from(it).ok()).and_then(some)
        },
        ..USUAL
    },
    OptionRow {
        key: "missing",
        value: "MARKS",
        heading: Data,
        help: "Texts that mark a missing value besides the empty one, between commas, such as \"NA, -999\" [default: those of pandas, \
               such as NA, NaN, null and None; and ? or - in a column of numbers]",
        takes: Takes::AnyText,
        read: |run, it| put(&mut run.reading.missing, column_list(it).map(Some)),
        // An empty list is not the default one.
        show: |run| {
            let marks = run.reading.missing.as_ref()?.iter().map(|mark| mark.clone().into());
            Some(Shown::Value(toml::Value::Array(marks.collect())))
        },
        ..USUAL
    },
    OptionRow {
        key: "gaps",
        value: "RULE",
        heading: Data,
        help: "What stands in for gaps in numbers: median, mean or zero; or error to refuse gaps, or drop to leave out training rows \
               that have some [default: median]",
        read: |run, it| put(&mut run.reading.gaps, it.parse()),
        show: |run| {
            let gaps = run.reading.gaps;
            (gaps != GapRule::default()).then(|| gaps.to_string()).and_then(some)
        },
        ..USUAL
    },
    OptionRow {
        key: "task",
        value: "TASK",
        heading: Data,
        help: "auto, classify, regress, or labels for yes or no in each target column [default: auto, by the loss or by what \
               the target column holds]",
        read: |run, it| put(&mut run.task, it.parse()),
        show: |run| {
            some(match run.options.loss.wants() {
                RequiredTarget::Classes => "classify",
                RequiredTarget::Labels => "labels",
                RequiredTarget::Numbers | RequiredTarget::Counts | RequiredTarget::Shares => {
                    "regress"
                }
            })
        },
        ..USUAL
    },
    OptionRow {
        key: "positive",
        value: "CLASS",
        heading: Data,
        help: "Which of two classes, or which value of every label, is the positive one, of which the probability of a label, \
               precision, recall, f1 and rankings are [default: the later in the order of classes]",
        takes: Takes::AnyText,
        read: |run, it| put(&mut run.positive, it.text().map(Some)),
        show: |run| run.positive.clone().and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "recipe",
        heading: Network,
        brief: "Settings that go together [default: auto]",
        help: "Settings that go together: plain, a small network that trains quickly; realmlp, a wider one that trains longer; tabm, 32 \
               networks that share weights; or auto, plain or realmlp by the number of training rows. Each of them stays an option: \
               what is given here or in a file wins. `wgrad vocabulary` lists them [default: auto, or plain if you give any setting of \
               the network or of its training]",
        read: |_, it| it.parse::<Recipe>().map(drop),
        // The settings themselves are shown.
        ..USUAL
    },
    OptionRow {
        key: "hidden",
        value: "SIZES",
        heading: Network,
        brief: "Sizes of the hidden layers, or none [default: 128,64]",
        help: "Sizes of the hidden layers, or none [default: 128,64]",
        takes: Takes::AnyText,
        read: |run, it| put(&mut run.network.hidden, it.read(hidden)),
        show: |run| {
            let plain = run.network.plain()?;
            let sizes = plain.hidden.iter().map(|&size| i64::try_from(size).ok().map(Into::into));
            Some(Shown::Value(toml::Value::Array(sizes.collect::<Option<_>>()?)))
        },
        ..USUAL
    },
    OptionRow {
        key: "activation",
        heading: Network,
        brief: "Such as relu, gelu or silu [default: relu]",
        help: "A name such as relu, gelu or silu (a wrong one lists all), or an expression of x such as \"x * sigmoid(x)\" \
               [default: relu]",
        read: |run, it| put(&mut run.network.activation, it.read(activation)),
        show: |run| some(activation_text(&run.network.plain()?.activation)),
        ..USUAL
    },
    OptionRow {
        key: "norm",
        heading: Network,
        help: "none, batch, layer or rms: normalisation after each hidden layer, before its activation [default: none]",
        read: |run, it| put(&mut run.network.norm, it.parse()),
        show: |run| some(run.network.plain()?.norm.name()),
        ..USUAL
    },
    OptionRow {
        key: "dropout",
        value: "SHARE",
        heading: Network,
        help: "Share of each hidden layer's outputs that is dropped while training [default: 0]",
        read: |run, it| put(&mut run.network.dropout, dropout(it)),
        show: |run| some(run.network.plain()?.dropout),
        ..USUAL
    },
    OptionRow {
        key: "layers",
        value: "LAYERS",
        heading: Network,
        help: "All layers instead of hidden ones of these sizes, such as \"dense(64), batch_norm, relu, dropout(0.1), \
               residual(dense(64), relu), dense\"; a last dense without units gets what the task needs",
        read: |run, it| put(&mut run.network.layers, layers(it).map(Some)),
        show: |run| some(run.network.layers.as_ref()?.text.clone()),
        ..USUAL
    },
    OptionRow {
        key: "loss",
        help: "For classes cross-entropy, focal or hinge; for numbers mse, mae, huber, smooth-l1, log-cosh, pinball(0.1,0.5,0.9), \
               gaussian-nll, poisson-nll or kl-divergence; for labels binary-cross-entropy, binary-focal or binary-hinge; with \
               arguments such as huber(delta=1.5) or cross-entropy(label-smoothing=0.1) [default: by the task]",
        read: |run, it| put(&mut run.loss, it.parse().map(Some)),
        show: |run| some(run.options.loss.to_string()),
        ..USUAL
    },
    OptionRow {
        key: "reduction",
        help: "mean or sum of the losses of a batch's rows [default: mean]",
        read: |run, it| put(&mut run.options.reduction, it.parse()),
        // Only what is not as usual: older versions would refuse this key, and those below.
        show: |run| {
            let reduction = run.options.reduction;
            (reduction != Reduction::Mean).then(|| reduction.name()).and_then(some)
        },
        ..USUAL
    },
    OptionRow {
        key: "class-weights",
        value: "WEIGHTS",
        help: "balanced, or how much each class counts, such as a=2,b=1, with quotes around a name that has a comma in it: \
               '\"a, b\"=2'; of labels, how much yes counts [default: none]",
        read: |run, it| put(&mut run.options.class_weights, class_weights(it)),
        show: |run| {
            let weights = &run.options.class_weights;
            (*weights != ClassWeights::None).then(|| weights.to_string()).and_then(some)
        },
        ..USUAL
    },
    OptionRow {
        key: "optimizer",
        brief: "Such as sgd, adam, adamw or lion [default: adamw]",
        help: "sgd, adam, adamw, rmsprop, adagrad, adadelta, adamax, nadam, radam, lion, lamb, muon or schedule-free, or one with \
               settings, such as \"adam(amsgrad=true)\" [default: adamw]",
        read: |run, it| put(&mut run.options.optimizer, it.read(Optimizer::by_name)),
        show: |run| {
            let optimizer = &run.options.optimizer;
            some(if optimizer.is_said_by_options() {
                optimizer.name().to_string()
            } else {
                optimizer.to_string()
            })
        },
        ..USUAL
    },
    OptionRow {
        key: "lr",
        value: "RATE",
        brief: "Peak learning rate [default: 0.001 for most]",
        help: "Peak learning rate, or auto for the one that `wgrad find-lr` finds [default: 0.001] (of sgd, adam, adamw, radam, lamb \
               and muon; others have PyTorch's, or that of their paper)",
        read: |run, it| {
            run.lr_is_auto = it.text()?.trim() == "auto";
            match run.lr_is_auto {
                true => put(&mut run.options.lr, Ok(run.options.optimizer.default_lr())),
                false => put(&mut run.options.lr, it.plain("a number, or auto")),
            }
        },
        show: |run| some(run.options.lr),
        ..USUAL
    },
    OptionRow {
        key: "weight-decay",
        value: "RATE",
        help: "Weight decay [default: 0.01 for adamw and lamb, 0.1 for muon, 0 for the others]",
        read: set_optimizer,
        show: |run| of_optimizer(run, "weight-decay"),
        ..USUAL
    },
    OptionRow {
        key: "momentum",
        value: "SHARE",
        help: "Momentum, for sgd and rmsprop [default: 0], and for muon [default: 0.95]",
        read: set_optimizer,
        show: |run| of_optimizer(run, "momentum"),
        ..USUAL
    },
    OptionRow {
        key: "nesterov",
        value: "true|false",
        help: "Nesterov's momentum, for sgd [default: false] and for muon [default: true]",
        takes: Takes::Switch,
        read: set_optimizer,
        show: |run| {
            run.options
                .optimizer
                .setting("nesterov")
                .filter(|_| run.options.optimizer.is_said_by_options())
                .and_then(|on| some(on != 0.0))
        },
        ..USUAL
    },
    OptionRow {
        key: "beta1",
        value: "SHARE",
        help: "Decay of the gradients' mean, for adam, adamw and their kin [default: 0.9]",
        read: set_optimizer,
        show: |run| of_optimizer(run, "beta1"),
        ..USUAL
    },
    OptionRow {
        key: "beta2",
        value: "SHARE",
        help: "Decay of the squares' mean, for adam, adamw and their kin [default: 0.999]",
        read: set_optimizer,
        show: |run| of_optimizer(run, "beta2"),
        ..USUAL
    },
    OptionRow {
        key: "eps",
        value: "NUMBER",
        help: "Keeps the divisor from 0, for all but sgd and lion [default: 1e-8 for most]",
        read: set_optimizer,
        show: |run| of_optimizer(run, "eps"),
        ..USUAL
    },
    OptionRow {
        key: "clip-norm",
        value: "NORM",
        help: "Largest norm of all gradients together; larger ones are scaled down [default: none]",
        read: |run, it| put(&mut run.options.clip_norm, it.plain("a number").map(Some)),
        show: |run| run.options.clip_norm.and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "clip-value",
        value: "SIZE",
        help: "Largest size of an element of the gradients [default: none]",
        read: |run, it| put(&mut run.options.clip_value, it.plain("a number").map(Some)),
        show: |run| run.options.clip_value.and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "accumulate",
        value: "COUNT",
        help: "Batches whose gradients are added up before weights move, as one batch of all their rows [default: 1]",
        read: |run, it| put(&mut run.options.accumulate, it.plain("a whole number above 0")),
        show: |run| {
            let batches = run.options.accumulate;
            (batches > 1).then_some(batches).and_then(some)
        },
        ..USUAL
    },
    OptionRow {
        key: "average",
        help: "ema or swa: averaged weights for validation and the saved model, or one with settings, such as \"ema(decay=0.99)\" \
               or \"swa(start=20)\" [default: none]",
        read: |run, it| put(&mut run.options.average, it.read(|text| unless(is_none(text), text))),
        show: |run| some(run.options.average?.to_string()),
        ..USUAL
    },
    OptionRow {
        key: "no-decay",
        value: "PARAMETERS",
        help: "Parameters without weight decay: bias, norm, matrix, scale, activation, numbers, embedding, or names such as \"0.*\", between commas [default: none]",
        read: |run, it| {
            add_groups(
                run,
                "no-decay",
                it.names()?.iter().map(|name| Group::without_decay(name)).collect(),
            )
        },
        ..USUAL
    },
    OptionRow {
        key: "freeze",
        value: "PARAMETERS",
        help: "Parameters that stay as they are, named likewise [default: none]",
        read: |run, it| {
            add_groups(run, "freeze", it.names()?.iter().map(|name| Group::frozen(name)).collect())
        },
        ..USUAL
    },
    OptionRow {
        key: "schedule",
        help: "How the learning rate goes over the run: constant, step, multi-step, exponential, polynomial, cosine, \
               cosine-restarts, one-cycle, flat-cosine, cos-log-4, inverse-sqrt or plateau, with arguments such as \
               \"step(every=10, gamma=0.5)\", where times are epochs [default: constant]",
        read: |run, it| put(&mut run.options.schedule, schedule(it)),
        show: |run| some(run.options.schedule.to_string()),
        ..USUAL
    },
    OptionRow {
        key: "warmup",
        value: "EPOCHS",
        help: "Epochs over which the learning rate rises at first, such as 0.5 [default: 0]",
        read: |run, it| put(&mut run.options.warmup, it.plain("a number of epochs")),
        show: |run| some(run.options.warmup),
        ..USUAL
    },
    OptionRow {
        key: "decay-schedule",
        help: "How the weight decay goes over the run, as --schedule, without the warm-up [default: constant]",
        read: |run, it| put(&mut run.options.decay_schedule, schedule(it)),
        show: |run| some(run.options.decay_schedule.to_string()),
        ..USUAL
    },
    OptionRow {
        key: "dropout-schedule",
        help: "How the dropout rates go over the run, as --schedule, without the warm-up [default: constant]",
        read: |run, it| put(&mut run.options.dropout_schedule, schedule(it)),
        show: |run| some(run.options.dropout_schedule.to_string()),
        ..USUAL
    },
    OptionRow {
        key: "smoothing-schedule",
        help: "How the label smoothing of cross-entropy goes over the run, as --schedule, without the warm-up; the loss of the \
               validation rows has the smoothing of the schedule's end, in all epochs [default: constant]",
        read: |run, it| put(&mut run.options.smoothing_schedule, schedule(it)),
        show: |run| some(run.options.smoothing_schedule.to_string()),
        ..USUAL
    },
    OptionRow {
        key: "schedule-epochs",
        value: "COUNT",
        help: "Epochs over which schedules that depend on the run's length go; after them they stay where they are, so that a run \
               can go on for longer, or be cut in parts [default: --epochs]",
        resume: Some([
            "Epochs over which schedules go",
            "Epochs over which schedules that depend on the run's length go, such as those of the run so far [default: as the run \
             was told, or --epochs]",
        ]),
        read: |run, it| {
            put(&mut run.options.schedule_epochs, it.plain("a whole number above 0").map(Some))
        },
        show: |run| run.options.schedule_epochs.and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "epochs",
        value: "COUNT",
        brief: "Passes over the training rows [default: 30]",
        help: "Passes over the training rows [default: 30]",
        resume: Some([
            "Epochs in all, with those done",
            "Epochs in all, with those that the run has done [default: as the run was told]",
        ]),
        read: |run, it| put(&mut run.options.epochs, it.plain("a whole number above 0")),
        show: |run| some(run.options.epochs),
        ..USUAL
    },
    OptionRow {
        key: "time-budget",
        value: "TIME",
        help: "Time for training, such as 90s, 10m or 2h: an epoch is timed before, and --epochs lowered to as many as the time is \
               enough for [default: none]",
        commands: &["train"],
        read: |run, it| put(&mut run.time_budget, it.read(seconds_of).map(Some)),
        ..USUAL
    },
    OptionRow {
        key: "stop-patience",
        value: "EPOCHS",
        help: "Stop after so many epochs in which --stop-metric got no better, or none for never [default: none]",
        resume: Some([
            "Epochs of patience from here on, or none",
            "Epochs of patience from here on, or none: for a run that early stopping has ended [default: as the run was told]",
        ]),
        read: |run, it| {
            let none = is_none(&it.text()?);
            let patience = || it.plain("a whole number of epochs above 0, or none").map(Some);
            put(&mut run.options.stop_patience, if none { Ok(None) } else { patience() })
        },
        show: |run| run.options.stop_patience.and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "stop-metric",
        help: "Metric of the validation rows that early stopping and --keep best watch [default: loss]",
        read: |run, it| {
            let metric = it.read(|name| Metric::named("--stop-metric", name));
            put(&mut run.options.stop_metric, metric)
        },
        show: |run| {
            let options = &run.options;
            let watches = options.stop_patience.is_some()
                || options.keeps() == KeepWeights::Best
                || options.stop_metric != Metric::Loss;
            watches.then(|| options.stop_metric.to_string()).and_then(some)
        },
        ..USUAL
    },
    OptionRow {
        key: "stop-delta",
        value: "NUMBER",
        help: "How much better it has to get to count [default: 0]",
        resume: Some([
            "Least improvement of --stop-metric that counts",
            "How much better --stop-metric has to get to count [default: as the run was told]",
        ]),
        read: |run, it| put(&mut run.options.stop_delta, it.plain("a number")),
        show: |run| run.options.stop_patience.and_then(|_| some(run.options.stop_delta)),
        ..USUAL
    },
    OptionRow {
        key: "keep",
        help: "best or last: which epoch's weights are kept [default: best where there are validation rows]",
        read: |run, it| put(&mut run.options.keep, it.parse().map(Some)),
        // Settings that follow from the patience are left out, so that they follow from a new patience too.
        show: |run| run.options.keep.map(KeepWeights::name).and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "keep-later",
        value: "true|false",
        help: "Whether of epochs with the same value of --stop-metric the last is the best, and not the first [default: false]",
        takes: Takes::Switch,
        read: |run, it| put(&mut run.options.keep_later, it.plain("true or false")),
        show: |run| run.options.keep_later.then_some(true).and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "metrics",
        value: "NAMES",
        help: "More metrics of the validation rows for each epoch, such as f1_macro,roc_auc,top_3 or mape [default: none]",
        read: |run, it| {
            put(&mut run.options.metrics, it.read(|names| Metric::list("--metrics", names)))
        },
        show: |run| {
            let names: Vec<_> =
                run.options.metrics.iter().map(|it| toml::Value::String(it.to_string())).collect();
            (!names.is_empty()).then_some(Shown::Value(toml::Value::Array(names)))
        },
        ..USUAL
    },
    OptionRow {
        key: "batch-size",
        value: "ROWS",
        brief: "Rows of a batch, or auto for 32 to 512 [default: 32]",
        help: "Rows of a batch, or auto: 32, and 64, 128, 256 or 512 from 2,800, 4,500, 6,400 or 32,000 training rows on [default: 32]",
        read: |run, it| {
            run.batch_is_auto = it.text()?.trim() == "auto";
            match run.batch_is_auto {
                true => Ok(()),
                false => {
                    put(&mut run.options.batch_size, it.plain("a whole number above 0, or auto"))
                }
            }
        },
        show: |run| some(i64::try_from(run.options.batch_size).ok()?),
        ..USUAL
    },
    OptionRow {
        key: "valid",
        value: "SHARE|FILE",
        heading: Data,
        brief: "Validation rows: a share, or a table [default: 0.2]",
        help: "Share of the rows to validate on (0 for none); last or last:0.2 for the last rows, as in the order of time; or a \
               table of such rows [default: 0.2]",
        takes: Takes::Path,
        read: |run, it| put(&mut run.valid, it.read(valid)),
        // Without the share, where a column or folds say which rows these are.
        show: |run| match &run.valid {
            _ if run.reading.split_column.is_some() || run.folds > 0 => None,
            ValidSource::Share(share) => some(*share),
            ValidSource::Last(share) => some(format!("last:{share}")),
            ValidSource::File(path) => some(path_text(path)),
        },
        ..USUAL
    },
    OptionRow {
        key: "shuffle",
        value: "true|false",
        help: "Whether rows come in a new order each epoch [default: true]",
        read: |run, it| put(&mut run.options.shuffle, it.plain("true or false")),
        show: |run| some(run.options.shuffle),
        ..USUAL
    },
    OptionRow {
        key: "drop-last",
        value: "true|false",
        help: "Whether an epoch leaves out the rows that make no whole batch; with --shuffle these are others each time [default: false]",
        takes: Takes::Switch,
        read: |run, it| put(&mut run.options.drop_last, it.plain("true or false")),
        show: |run| run.options.drop_last.then_some(true).and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "scale",
        heading: Data,
        help: "Scaling of features: standard (mean 0, deviation 1), robust (median and quartiles, and no value beyond 3), minmax (0 to \
               1), quantile (to a normal distribution by rank), log (of the size, with its sign, then standard), or none, also for a \
               numeric target; init for that of the model whose weights --init gives [default: standard], or init where there is one",
        read: |run, it| {
            // The scaling of a model is read with its weights.
            let scale = it.read(|text| unless(text.trim() == INIT_SCALE, text))?;
            run.options.scale = scale.unwrap_or(run.options.scale);
            Ok(())
        },
        show: |run| match run.options.preparation {
            Some(_) => some(INIT_SCALE),
            None => some(run.options.scale.to_string()),
        },
        ..USUAL
    },
    OptionRow {
        key: "scale-texts",
        value: "true|false",
        heading: Data,
        help: "Whether inputs of 0 and 1, which stand for texts and gaps, are scaled as --scale says, too [default: false]",
        takes: Takes::Switch,
        read: |run, it| put(&mut run.options.scale_texts, it.plain("true or false")),
        show: |run| run.options.scale_texts.then_some(true).and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "clamp",
        value: "true|false",
        help: "Whether predictions of numbers are kept within the least and the largest target of the training rows [default: false]",
        takes: Takes::Switch,
        read: |run, it| put(&mut run.options.clamp, it.plain("true or false")),
        show: |run| run.options.clamp.then_some(true).and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "target-scale",
        heading: Data,
        value: "METHOD",
        help: "Scaling of a numeric target, undone in predictions: standard, log, quantile or none [default: standard], or none with \
               --scale none",
        read: |run, it| put(&mut run.options.target_scale, target_scale(it).map(Some)),
        show: |run| run.options.target_scale.map(|it| it.to_string()).and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "seed",
        value: "NUMBER",
        brief: "Number behind all random choices [default: 0]",
        help: "Number from which all random choices follow [default: 0]",
        read: |run, it| {
            let seed = it.plain("a whole number from 0 to 18446744073709551615");
            put(&mut run.options.seed, seed.map(Seed))
        },
        show: |run| shown_seed(run.options.seed),
        ..USUAL
    },
    OptionRow {
        key: "split-seed",
        value: "NUMBER",
        heading: Data,
        help: "Number from which the drawing of validation rows and of folds follows, in place of --seed, so that runs with other \
               seeds have the same rows [default: --seed]",
        read: |run, it| {
            let seed = it.plain("a whole number from 0 to 18446744073709551615");
            put(&mut run.split_seed, seed.map(|seed| Some(Seed(seed))))
        },
        show: |run| run.split_seed.and_then(shown_seed),
        ..USUAL
    },
    OptionRow {
        key: "members",
        value: "COUNT",
        help: "Train an ensemble of so many networks on the same rows, whose mean is the prediction. Member 0 has --seed, the \
               others have seeds that follow from it; each has a folder of its own in members/ of the run folder [default: 1]",
        commands: &["train"],
        read: |run, it| put(&mut run.members, it.plain("a whole number above 0")),
        show: |run| (run.members > 1).then_some(run.members).and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "folds",
        value: "COUNT",
        help: "Cross-validation: train so many networks, each on all rows but those of its fold, which are its validation rows; of \
               classes each fold has the same share, and with --group whole groups. The model is the ensemble of the folds' networks, \
               unless --refit is given [default: none]",
        commands: &["train"],
        read: |run, it| put(&mut run.folds, it.plain("a whole number above 1")),
        show: |run| (run.folds > 0).then_some(run.folds).and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "folds-repeats",
        value: "COUNT",
        help: "Times that folds are drawn anew and trained, with other seeds [default: 1]",
        commands: &["train"],
        read: |run, it| put(&mut run.folds_repeats, it.plain("a whole number above 0")),
        show: |run| (run.folds_repeats > 1).then_some(run.folds_repeats).and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "fold",
        value: "NUMBER",
        help: "Train the network of one fold alone, from 0; folds of a second drawing follow those of the first [default: all]",
        commands: &["train"],
        read: |run, it| put(&mut run.fold, it.plain("a whole number of 0 or more").map(Some)),
        show: |run| run.fold.and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "refit",
        value: "true|false",
        help: "Whether, after the folds, one network is trained on all rows and kept in place of their ensemble, for the mean of the \
               epochs that the folds keep [default: false]",
        takes: Takes::Switch,
        commands: &["train"],
        read: |run, it| put(&mut run.refit, it.plain("true or false")),
        show: |run| run.refit.then_some(true).and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "init",
        value: "SCHEME|FILE.safetensors",
        heading: Network,
        help: "How weights start: pytorch, kaiming-uniform, kaiming-normal, xavier-uniform, xavier-normal, lecun-uniform, \
               lecun-normal, orthogonal, trunc-normal, constant, siren, ntk or unit-variance, with arguments such as \
               \"kaiming-normal(gain=tanh, fan=out)\"; or weights from a file [default: pytorch, and siren for the activation siren]",
        takes: Takes::Path,
        read: |run, it| put(&mut run.start, it.read(start)),
        show: |run| match &run.start {
            InitFrom::Scheme(init) => some(init.to_string()),
            InitFrom::File(path) => some(path_text(path)),
        },
        ..USUAL
    },
    OptionRow {
        key: "init-strict",
        value: "true|false",
        heading: Network,
        help: "Whether all weights of a file given with --init have to fit; with false those that fit are taken, and the others \
               begin anew: for a new head [default: true]",
        takes: Takes::Switch,
        read: |run, it| put(&mut run.init_strict, it.plain("true or false")),
        show: |run| (!run.init_strict).then_some(false).and_then(some),
        ..USUAL
    },
    OptionRow {
        key: "precision",
        heading: Device,
        help: "f32, or f16 on a GPU: half precision for what lies between a step's kernels [default: f32]",
        read: |run, it| put(&mut run.options.precision, it.parse()),
        show: |run| some(run.options.precision.name()),
        ..USUAL
    },
    OptionRow {
        key: "device",
        value: "DEVICE",
        heading: Device,
        brief: "auto, gpu, cpu or an adapter's name [default: auto]",
        help: "auto, gpu, software, cpu, or part of an adapter's name [default: auto]",
        resume: Some([
            "auto, gpu, cpu or an adapter's name",
            "auto, gpu, software, cpu, or part of an adapter's name; on another one bits may differ [default: as the run was told]",
        ]),
        read: |run, it| put(&mut run.device, it.parse()),
        show: |run| some(run.device.to_string()),
        ..USUAL
    },
    OptionRow {
        key: "tune",
        heading: Device,
        help: "off, quick or full: how much time goes into choosing the GPU's kernels; quick times them on hardware GPUs, once \
               for each network [default: quick]",
        read: |run, it| put(&mut run.options.tuning.tune, it.parse()),
        show: |run| some(run.options.tuning.tune.name()),
        ..USUAL
    },
    OptionRow {
        key: "tune-ms",
        value: "COUNT",
        heading: Device,
        help: "Milliseconds that quick may take [default: 250]",
        read: |run, it| {
            let ms = it.plain::<u32>("a whole number of milliseconds from 0 to 4294967295");
            put(&mut run.options.tuning.budget, ms.map(|ms| Duration::from_millis(ms.into())))
        },
        show: |run| some(u32::try_from(run.options.tuning.budget.as_millis()).unwrap_or(u32::MAX)),
        ..USUAL
    },
    OptionRow {
        key: "checkpoint-every",
        value: "EPOCHS",
        heading: Output,
        help: "Epochs after which a checkpoint is written, to go on from with `wgrad resume`; 0 for none [default: 1]",
        read: |run, it| {
            let every = it.plain("a whole number of epochs")?;
            (run.options.checkpoint_every, run.checkpoints.every) = (every, every);
            Ok(())
        },
        show: |run| some(run.options.checkpoint_every),
        ..USUAL
    },
    OptionRow {
        key: "checkpoint-minutes",
        value: "MINUTES",
        heading: Output,
        help: "Minutes after which one is written besides, also within an epoch; 0 for none [default: 0]",
        read: |run, it| put(&mut run.checkpoints.minutes, minutes(it)),
        show: |run| some(run.checkpoints.minutes),
        ..USUAL
    },
    OptionRow {
        key: "keep-checkpoints",
        value: "COUNT",
        heading: Output,
        help: "How many of the last checkpoints stay on disk; where the best epoch is kept, its own stays besides, as \
               checkpoint.best.safetensors [default: 2]",
        read: |run, it| put(&mut run.checkpoints.keep, keep_checkpoints(it)),
        show: |run| some(run.checkpoints.keep),
        ..USUAL
    },
    OptionRow {
        key: "on-nonfinite",
        value: "stop|back|skip",
        help: "What to do when a loss, a gradient or a weight is no finite number: stop, go back to the last checkpoint and halve \
               the learning rate, or skip the step, which then changes nothing [default: stop]",
        read: |run, it| put(&mut run.options.on_nonfinite, it.parse()),
        show: |run| some(run.options.on_nonfinite.name()),
        ..USUAL
    },
    OptionRow {
        key: "device-memory",
        value: "SIZE",
        heading: Device,
        help: "Memory that the run may take on the device, such as 512MiB; a table beyond it streams [default: all]",
        read: |run, it| put(&mut run.options.device_memory, it.read(device_memory)),
        // As a text: whole numbers of TOML end at 2^63.
        show: |run| some(run.options.device_memory?.to_string()),
        ..USUAL
    },
    OptionRow {
        key: "host-memory",
        value: "SIZE",
        heading: Device,
        help: "Memory that the run may take on the host, such as 2GiB; a table larger than a fifth of it is kept in a temporary file, \
               in the folder TMPDIR or /var/tmp, with the same results [default: all that is free]",
        read: |run, it| put(&mut run.reading.host_memory, it.read(host_memory)),
        show: |run| some(run.reading.host_memory?.to_string()),
        ..USUAL
    },
    OptionRow {
        key: "table-cache",
        value: "FOLDER|none",
        heading: Device,
        help: "Folder in which a table that --host-memory has no place for is kept as numbers, so that later runs on the same table \
               start at once; `wgrad cache` shows and deletes such tables [default: wgrad/tables among the user's caches]",
        takes: Takes::Path,
        read: |run, it| put(&mut run.table_cache, it.text().and_then(|text| table_cache(&text))),
        show: |run| match &run.table_cache {
            TableCache::Usual => None,
            TableCache::Off => some("none"),
            TableCache::Folder(folder) => some(path_text(folder)),
        },
        ..USUAL
    },
    OptionRow {
        key: "out",
        value: "FOLDER",
        heading: Output,
        brief: "Run folder [default: runs/ and the table's name]",
        help: "Run folder [default: runs/ and the table's name]",
        takes: Takes::Path,
        commands: &["train"],
        read: |run, it| put(&mut run.out, it.text().map(|text| path_of(&text))),
        show: |run| some(path_text(&run.out)),
        ..USUAL
    },
    OptionRow {
        key: "tensorboard",
        value: "FOLDER",
        heading: Output,
        help: "Event files for TensorBoard: losses, metrics and learning rate of each epoch, in the run folder's folder tensorboard, \
               or with =FOLDER in a folder for several runs, which has a folder for each; `tensorboard --logdir` shows them",
        takes: Takes::OptionalPath,
        commands: &["train"],
        resume: Some([
            "",
            "Event files for TensorBoard, as of `wgrad train`; a run that has them goes on with them",
        ]),
        read: |run, it| put(&mut run.tensorboard, it.read(tensorboard)),
        show: |run| match &run.tensorboard {
            TensorBoardFolder::None => None,
            TensorBoardFolder::InRun => some(true),
            TensorBoardFolder::Other(folder) => some(path_text(folder)),
        },
        ..USUAL
    },
    // Last, since tables of TOML follow all other values.
    OptionRow {
        key: "groups",
        value: "GROUPS",
        help: "Parameters with factors of learning rate and decay, such as \"0.*: lr=0.1, decay=0; 2.*: frozen=true\"",
        read: |run, it| add_groups(run, "groups", groups(it)?),
        show: |run| {
            let table = |group: &Group| {
                let Group { matches, lr, decay, frozen } = group.clone();
                vec![
                    ("match", matches.into()),
                    ("lr", lr.into()),
                    ("decay", decay.into()),
                    ("frozen", frozen.into()),
                ]
            };
            let groups = &run.options.groups;
            (!groups.is_empty()).then(|| Shown::Tables(groups.iter().map(table).collect()))
        },
        ..USUAL
    },
];

/// Reads the name of a column.
fn column(it: &RawSetting) -> Result<Option<String>> {
    it.text().map(|text| Some(text.trim().to_string()))
}

/// Reads where event files go: true for the run folder, or a folder.
fn tensorboard(text: &str) -> Result<TensorBoardFolder> {
    Ok(match text {
        "true" => TensorBoardFolder::InRun,
        "false" => TensorBoardFolder::None,
        "" => return Err(Error::setting("tensorboard", "empty; name a folder, or leave it out")),
        folder => TensorBoardFolder::Other(path_of(folder)),
    })
}

/// Puts a value that could be read into its place.
fn put<T>(to: &mut T, value: Result<T>) -> Result<()> {
    *to = value?;
    Ok(())
}

/// Returns texts for `config.toml`, unless there are none.
fn texts(texts: &[String]) -> Option<Shown> {
    let array: Vec<toml::Value> = texts.iter().map(|text| text.clone().into()).collect();
    (!array.is_empty()).then(|| Shown::Value(array.into()))
}

/// Returns kinds of columns for `config.toml`, unless there are none.
fn shown_rules(
    rules: &[(String, ColumnRule)],
    scales: &[(String, FeatureScaling)],
) -> Option<Shown> {
    let shown = |(name, rule): &(String, ColumnRule)| {
        let scale = scales.iter().find(|(scaled, _)| scaled == name);
        match scale {
            Some((_, method)) => format!("{name}:{method}"),
            None => format!("{name}:{rule}"),
        }
    };
    texts(&rules.iter().map(shown).collect::<Vec<_>>())
}

/// Returns a value for `config.toml`.
fn some(value: impl Into<toml::Value>) -> Option<Shown> {
    Some(Shown::Value(value.into()))
}

/// Returns a seed for `config.toml`: as a text where it is beyond the whole numbers of TOML, which end at 2^63.
fn shown_seed(seed: Seed) -> Option<Shown> {
    match i64::try_from(seed.0) {
        Ok(seed) => some(seed),
        Err(_) => some(seed.0.to_string()),
    }
}

/// Reads a value, unless it stands for none.
fn unless<T: FromStr<Err = Error>>(none: bool, text: &str) -> Result<Option<T>> {
    if none { Ok(None) } else { text.parse().map(Some) }
}

fn schedule(it: &RawSetting) -> Result<ScheduleKind> {
    it.read(|text| ScheduleKind::parse(&format!("--{}", it.key()), text))
}

/// Returns a setting of an optimizer that options say; others are one text.
fn of_optimizer(run: &RunConfig, key: &str) -> Option<Shown> {
    let optimizer = &run.options.optimizer;
    optimizer.setting(key).filter(|_| optimizer.is_said_by_options()).and_then(some)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::cli::settings::raw_settings::{RawSettings, SettingSource};
    use crate::cli::settings::resolve::resolve;

    #[test]
    fn rows_are_whole() {
        let mut keys = HashSet::new();
        for row in OPTIONS {
            assert!(keys.insert(row.key), "{} stands there twice", row.key);
            let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(!row.key.is_empty() && row.key.chars().all(letters), "{}", row.key);
            assert!(!row.help.is_empty() && !row.value.is_empty(), "{}", row.key);
        }
    }

    #[test]
    fn a_value_that_is_shown_is_read_again_as_it_was() {
        let given = [
            ("table", "a.csv"),
            ("target", "y"),
            ("hidden", "8,4"),
            ("momentum", "0.9"),
            ("nesterov", "true"),
            ("optimizer", "sgd"),
            ("metrics", "f1_macro,top_2"),
            ("seed", "18446744073709551615"),
            ("groups", "0.*: lr=0.5; bias: frozen=true"),
            ("class-weights", "\"a, b\"=2,c=1"),
            ("device-memory", "512MiB"),
            ("valid", "last:0.3"),
            ("delimiter", "\t"),
            ("decimal", "comma"),
            ("header", "no"),
            ("sheet", "May, June"),
            ("stop-patience", "3"),
            ("init", "orthogonal(gain=relu)"),
        ];
        let mut raw = RawSettings::default();
        let file = SettingSource::File("run.toml".to_string());
        for (key, text) in given {
            raw.insert(key, text, file.clone());
        }
        let run = resolve(raw).unwrap();
        let mut again = RawSettings::default();
        let mut shown = 0;
        for row in OPTIONS {
            let value = match (row.show)(&run) {
                Some(Shown::Value(value)) => value,
                Some(Shown::Tables(tables)) => {
                    let table = |table: Vec<(&str, toml::Value)>| {
                        table.into_iter().map(|(key, value)| (key.to_string(), value)).collect()
                    };
                    toml::Value::Array(
                        tables.into_iter().map(table).map(toml::Value::Table).collect(),
                    )
                }
                None => continue,
            };
            again.insert(row.key, value, file.clone());
            shown += 1;
        }
        assert!(shown > 30, "{shown}");
        let again = resolve(again).unwrap();
        for row in OPTIONS {
            let texts = [&run, &again].map(|run| format!("{:?}", (row.show)(run)));
            assert_eq!(texts[0], texts[1], "{}", row.key);
        }
        assert_eq!(again.options, run.options);
    }
}
