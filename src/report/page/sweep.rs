//! The report of a sweep: which settings were tried, and which are the best.
//!
//! In: settings and figures of trials, pictures. Out: HTML.
//! Absent on purpose: files.

use super::{NextCommand, commands, escape_lines, page_begin, warnings};
use crate::data::list;
use crate::picture::{Picture, escape};
use crate::report::text::{count, duration, pluralize};
use crate::shape::number;

/// Trials that are listed.
const SHOWN: usize = 10;

/// A trial of a sweep.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrialRow {
    /// Number of the trial.
    pub trial: usize,
    /// Values of the settings that were tried, as they would be typed.
    pub settings: Vec<String>,
    /// The metric on the validation rows; `None` where it has no value.
    pub value: Option<f64>,
    /// Standard deviation of the metric over folds.
    pub std: Option<f64>,
    /// Epoch that is kept, with folds the mean over them.
    pub epoch: Option<f64>,
    /// Seconds of training.
    pub seconds: f64,
    /// Reason why the trial could not be trained.
    pub problem: Option<String>,
}

/// Parts of the report of a sweep.
#[derive(Clone, Debug, Default)]
pub struct SweepReport {
    /// Name of the part, such as `shard 2 of 3`, if the sweep has only some of the trials.
    pub shard: Option<String>,
    /// Name of the sweep, such as its folder.
    pub sweep: String,
    /// Table that the trials were trained on.
    pub table: String,
    /// Columns that they predict.
    pub targets: String,
    /// Metric by which they are judged.
    pub metric: String,
    /// True if the best trial has the greatest value of the metric.
    pub higher_is_better: bool,
    /// Names of the settings that were tried.
    pub keys: Vec<String>,
    /// The trials, the best one first.
    pub trials: Vec<TrialRow>,
    /// Pictures in their order.
    pub pictures: Vec<Picture>,
    /// Warnings of the sweep.
    pub warnings: Vec<String>,
    /// Text of the settings that all trials share, with the ranges.
    pub settings: String,
    /// Commands to go on with.
    pub commands: Vec<NextCommand>,
}

impl SweepReport {
    /// Returns the page.
    pub fn html(&self) -> String {
        let mut page = page_begin(&format!("{}: search of settings", self.sweep));
        self.head(&mut page);
        self.best(&mut page);
        warnings(&mut page, &self.warnings);
        page += "<h2 id=\"pictures\">Pictures</h2>\n<div class=\"pictures\">\n";
        for picture in &self.pictures {
            page += &format!("<figure>{}</figure>\n", picture.inline());
        }
        page += "</div>\n";
        self.failed(&mut page);
        page += "<h2 id=\"settings\">Settings</h2>\n<p class=\"soft\">Of all trials, and the ranges that were tried, as sweep.toml has \
                 them.</p>\n";
        page += &format!("<pre>{}</pre>\n", escape_lines(self.settings.trim_end()));
        page += "<h2 id=\"next\">Next commands</h2>\n";
        commands(&mut page, &self.commands);
        page + "</main></body></html>\n"
    }

    fn head(&self, page: &mut String) {
        *page += &format!("<p class=\"soft\">Report of {}</p>", escape(&self.sweep));
        *page += &format!("<h1>Settings for the prediction of {}</h1>", escape(&self.targets));
        let asked = format!(
            "which {} predict {} of {} best, by {} of rows that were not trained on.",
            list(&self.keys),
            self.targets,
            self.table,
            self.metric
        );
        *page += &format!("<p class=\"answer\"><strong>Asked:</strong> {}</p>", escape(&asked));
        let answer = match self.trials.first().and_then(|it| Some((it, it.value?))) {
            Some((best, value)) => {
                let settings = self.keys.iter().zip(&best.settings);
                let settings: Vec<String> =
                    settings.map(|(key, text)| format!("{key} {text}")).collect();
                format!(
                    "{}, with the {} {} of {}{}: {}; trial {}.",
                    settings.join(", "),
                    if self.higher_is_better { "greatest" } else { "least" },
                    self.metric,
                    pluralize(self.trials.len() as u64, "trial"),
                    self.shard.as_ref().map_or(String::new(), |shard| format!(" in {shard}")),
                    number(value),
                    best.trial
                )
            }
            None => "no trial came to its end with a value.".to_string(),
        };
        *page += &format!("<p class=\"answer\"><strong>Answer:</strong> {}</p>\n", escape(&answer));
    }

    fn best(&self, page: &mut String) {
        let several = self.trials.iter().any(|it| it.std.is_some());
        *page += "<h2 id=\"best\">Best trials</h2>\n<div class=\"wide\"><table><thead><tr><th class=\"number\">trial</th>";
        *page += &format!("<th class=\"number\">{}</th>", escape(&self.metric));
        if several {
            *page += "<th class=\"number\">deviation over folds</th>";
        }
        *page += "<th class=\"number\">kept epoch</th>";
        for key in &self.keys {
            *page += &format!("<th>{}</th>", escape(key));
        }
        *page += "</tr></thead><tbody>\n";
        let told = |value: Option<f64>| value.map_or("–".to_string(), number);
        for trial in self.trials.iter().filter(|it| it.value.is_some()).take(SHOWN) {
            *page += &format!(
                "<tr><td class=\"number\">{}</td><td class=\"number\">{}</td>",
                trial.trial,
                told(trial.value)
            );
            if several {
                *page += &format!("<td class=\"number\">{}</td>", told(trial.std));
            }
            let epoch = trial.epoch.map_or("–".to_string(), |it| it.to_string());
            *page += &format!("<td class=\"number\">{epoch}</td>");
            for text in &trial.settings {
                *page += &format!("<td>{}</td>", escape(text));
            }
            *page += "</tr>\n";
        }
        *page += "</tbody></table></div>\n";
        let seconds: f64 = self.trials.iter().map(|it| it.seconds).sum();
        let text = format!(
            "{} in all, {} of training together.",
            pluralize(self.trials.len() as u64, "trial"),
            duration(seconds)
        );
        *page += &format!("<p class=\"soft\">{}</p>\n", escape(&text));
    }

    fn failed(&self, page: &mut String) {
        let failed: Vec<&TrialRow> = self.trials.iter().filter(|it| it.value.is_none()).collect();
        if failed.is_empty() {
            return;
        }
        let text = format!("{} without a value:", pluralize(failed.len() as u64, "trial"));
        *page += &format!(
            "<h2 id=\"failed\">Trials without a value</h2>\n<p>{}</p>\n<ul>",
            escape(&text)
        );
        for trial in failed.iter().take(SHOWN) {
            let problem = trial
                .problem
                .as_deref()
                .unwrap_or("the metric has no value on its validation rows");
            *page += &format!("<li>{}: {}</li>", trial.trial, escape(problem));
        }
        *page += "</ul>\n";
        if failed.len() > SHOWN {
            *page += &format!(
                "<p>and {} more: see sweep.csv.</p>\n",
                count((failed.len() - SHOWN) as u64)
            );
        }
    }
}
