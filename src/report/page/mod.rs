//! The report of a run: one page that needs nothing from elsewhere, neither a script nor a network.
//!
//! In: a trained network, its figures, columns, pictures, settings. Out: HTML.
//! Absent on purpose: files, and how the parts were made.

mod figures;
mod sweep;

pub use self::sweep::{SweepReport, TrialRow};

use std::fmt::Write as _;

use serde_json::{Map, Value};

use self::figures::{answer, figure_table, network_table};
use super::column_summary::ColumnSummary;
use super::columns_text::{column_texts, target_texts};
use super::text::{count, pluralize};
use crate::data::list;
use crate::picture::{self, Picture, STYLE, escape};
use crate::shape::bytes_text;
use crate::train::{Evaluation, TrainedModel};

const PAGE_STYLE: &str = include_str!("page.css");
/// Bytes that a page may have.
const MOST: usize = 1_000_000;
/// Columns and warnings that are listed.
const COLUMNS: usize = 200;
const WARNINGS: usize = 50;
/// Characters of the settings that are shown.
const SETTINGS: usize = 60_000;

/// A command to go on with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextCommand {
    /// Purpose in a few words.
    pub purpose: String,
    /// The command as it is typed.
    pub command: String,
}

/// Figures of a network of several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkFigures {
    /// Name of the network, such as `fold 2`.
    pub name: String,
    /// Content of its `metrics.json`.
    pub figures: Map<String, Value>,
}

/// Parts of the report of a run. Parts that are empty have no section.
#[derive(Clone, Debug)]
pub struct RunReport<'a> {
    /// Name of the run, such as its folder.
    pub run: String,
    /// Table that the run was trained on, where it is known.
    pub table: Option<String>,
    /// The network; of an ensemble the first one.
    pub trained: &'a TrainedModel,
    /// Number of networks whose mean is the prediction.
    pub members: usize,
    /// Content of `metrics.json`, where the run came to its end.
    pub outcome: Option<Value>,
    /// Figures on another table, with the table's name.
    pub evaluation: Option<(String, Evaluation)>,
    /// Figures of the networks of a run of several; none of a run of one network.
    pub networks: Vec<NetworkFigures>,
    /// Pictures in their order.
    pub pictures: Vec<Picture>,
    /// Remarks on the pictures: which rows they show, and why some are missing.
    pub remarks: Vec<String>,
    /// The columns, and which rows they are of.
    pub columns: Vec<ColumnSummary>,
    /// Rows that the columns' summaries are of, in words, such as `1,438 training rows`.
    pub columns_of: String,
    /// Text of the settings.
    pub settings: Option<String>,
    /// Warnings of the run.
    pub warnings: Vec<String>,
    /// Commands to go on with.
    pub commands: Vec<NextCommand>,
}

impl RunReport<'_> {
    /// Returns the page. It has less than a megabyte: pictures that would make it larger are left out, and named.
    pub fn html(&self) -> String {
        let page = self.with_pictures(&self.pictures, &[]);
        if page.len() < MOST {
            return page;
        }
        let mut kept = self.pictures.clone();
        let mut left_out = Vec::new();
        let mut size = page.len() + 4096;
        while size >= MOST && !kept.is_empty() {
            let sizes = kept.iter().map(|it| it.inline().len()).enumerate();
            let Some((place, bytes)) = sizes.max_by_key(|it| it.1) else { break };
            left_out.push(kept.remove(place).title().to_string());
            size -= bytes;
        }
        self.with_pictures(&kept, &left_out)
    }

    fn with_pictures(&self, pictures: &[Picture], left_out: &[String]) -> String {
        let target = self.trained.preparation.schema.targets().join(", ");
        let mut page = page_begin(&format!("{}: {target}", self.run));
        self.head(&mut page);
        self.figures(&mut page);
        self.networks(&mut page);
        self.warnings(&mut page);
        self.pictures(&mut page, pictures, left_out);
        self.columns(&mut page);
        self.preprocessing(&mut page);
        self.network(&mut page);
        self.settings(&mut page);
        self.commands(&mut page);
        page += "</main></body></html>\n";
        page
    }

    fn head(&self, page: &mut String) {
        let schema = &self.trained.preparation.schema;
        let targets = schema.targets();
        let asked = figures::question(self.trained, self.table.as_deref());
        *page += &format!("<p class=\"soft\">Report of {}</p>", escape(&self.run));
        *page += &format!("<h1>Prediction of {}</h1>", escape(&targets.join(", ")));
        *page += &format!("<p class=\"answer\"><strong>Asked:</strong> {}</p>", escape(&asked));
        let answer = answer(self.trained, self.outcome.as_ref(), self.evaluation.as_ref());
        *page += &format!("<p class=\"answer\"><strong>Answer:</strong> {}</p>", escape(&answer));
        let sections = [
            ("figures", "Figures", true),
            ("networks", "Networks", !self.networks.is_empty()),
            ("pictures", "Pictures", !self.pictures.is_empty()),
            ("columns", "Columns", !self.columns.is_empty()),
            ("preprocessing", "Preprocessing", true),
            ("network", "Network", true),
            ("settings", "Settings", self.settings.is_some()),
            ("next", "Next commands", !self.commands.is_empty()),
        ];
        *page += "<nav>";
        for (id, name, _) in sections.iter().filter(|it| it.2) {
            *page += &format!("<a href=\"#{id}\">{name}</a> ");
        }
        *page += "</nav>\n";
    }

    fn figures(&self, page: &mut String) {
        *page += "<h2 id=\"figures\">Figures</h2>\n";
        if let Some(outcome) = &self.outcome {
            *page += &figure_table(outcome);
            *page += &format!("<p class=\"soft\">{}</p>\n", escape(&figures::training(outcome)));
        } else {
            *page += "<p>The run has not come to its end, so there are no final figures.</p>\n";
        }
        if let Some((table, evaluation)) = &self.evaluation {
            *page += &format!("<p>On {}:</p>", escape(table));
            *page += &format!("<pre>{}</pre>\n", escape_lines(&evaluation.to_string()));
        }
    }

    fn networks(&self, page: &mut String) {
        if self.networks.is_empty() {
            return;
        }
        *page += "<h2 id=\"networks\">Networks</h2>\n";
        *page += "<p class=\"soft\">Each network alone, on its own validation rows.</p>\n";
        *page += &network_table(&self.networks, self.outcome.as_ref());
    }

    fn warnings(&self, page: &mut String) {
        warnings(page, &self.warnings);
    }

    fn pictures(&self, page: &mut String, pictures: &[Picture], left_out: &[String]) {
        if self.pictures.is_empty() && self.remarks.is_empty() {
            return;
        }
        *page += "<h2 id=\"pictures\">Pictures</h2>\n";
        for remark in &self.remarks {
            *page += &format!("<p class=\"soft\">{}</p>\n", escape(&sentence(remark)));
        }
        if !left_out.is_empty() {
            let names = escape(&left_out.join(", "));
            *page += &format!(
                "<p class=\"soft\">Left out, for the page's size: {names}. `wgrad plot` draws them.</p>\n"
            );
        }
        *page += "<div class=\"pictures\">\n";
        for picture in pictures {
            *page += &format!("<figure>{}</figure>\n", picture.inline());
        }
        *page += "</div>\n";
    }

    fn columns(&self, page: &mut String) {
        if self.columns.is_empty() {
            return;
        }
        *page += "<h2 id=\"columns\">Columns</h2>\n";
        *page += &format!("<p class=\"soft\">Of {}.</p>\n", escape(&self.columns_of));
        *page += "<div class=\"wide\"><table class=\"stack\"><thead><tr><th>column</th><th>kind</th><th class=\"number\">gaps</th>\
                  <th>values</th><th>rows by value</th></tr></thead><tbody>\n";
        // Targets come first: they are the last of the summaries.
        let targets = self.columns.iter().filter(|it| it.is_target);
        let features = self.columns.iter().filter(|it| !it.is_target);
        for column in targets.chain(features).take(COLUMNS) {
            let kind = if column.is_target {
                format!("{}, target", column.kind)
            } else {
                column.kind.to_string()
            };
            let bars = picture::small_histogram(
                &column.bars,
                &format!("rows by value of {}", column.name),
            );
            // Writing into a text does not fail.
            let _ = writeln!(
                page,
                "<tr><td class=\"name\">{}</td><td data-of=\"kind\">{kind}</td><td class=\"number\" data-of=\"gaps\">{}</td>\
                 <td class=\"text\" data-of=\"values\">{}</td><td>{bars}</td></tr>",
                escape(&column.name),
                count(column.gaps),
                escape(&column.values)
            );
        }
        *page += "</tbody></table></div>\n";
        if self.columns.len() > COLUMNS {
            let more = count((self.columns.len() - COLUMNS) as u64);
            *page += &format!("<p class=\"soft\">and {more} more columns.</p>\n");
        }
    }

    fn preprocessing(&self, page: &mut String) {
        *page += "<h2 id=\"preprocessing\">Preprocessing</h2>\n\
                  <p class=\"soft\">Fitted to the training rows, kept in the model, and undone in predictions.</p>\n\
                  <div class=\"wide\"><table class=\"stack\"><thead><tr><th>column</th><th>becomes</th></tr></thead><tbody>\n";
        let preparation = &self.trained.preparation;
        let targets = target_texts(preparation);
        let targets = targets.into_iter().map(|(name, told)| (name, format!("target, {told}")));
        let all: Vec<(String, String)> = targets.chain(column_texts(preparation)).collect();
        for (name, told) in all.iter().take(COLUMNS) {
            let told: String = match told.chars().count() > 400 {
                true => told.chars().take(400).chain(" …".chars()).collect(),
                false => told.clone(),
            };
            let _ = writeln!(
                page,
                "<tr><td class=\"name\">{}</td><td class=\"text\">{}</td></tr>",
                escape(name),
                escape(&told)
            );
        }
        *page += "</tbody></table></div>\n";
        if all.len() > COLUMNS {
            let more = count((all.len() - COLUMNS) as u64);
            *page += &format!("<p class=\"soft\">and {more} more columns.</p>\n");
        }
    }

    fn network(&self, page: &mut String) {
        *page += "<h2 id=\"network\">Network</h2>\n";
        let parameters = self.trained.params.layout().count();
        let each = match self.members > 1 {
            true => format!("Each of the {} networks has ", count(self.members as u64)),
            false => String::new(),
        };
        let text = format!(
            "{each}{}, {} as 32-bit numbers; loss {}.",
            pluralize(parameters as u64, "parameter"),
            bytes_text(4 * parameters as u64),
            self.trained.criterion.loss
        );
        *page += &format!("<p>{}</p>\n", escape(&text));
        // A network that was trained has layers that fit one another.
        if let Ok(picture) = super::run_pictures::network_picture(self.trained) {
            *page +=
                &format!("<div class=\"pictures\"><figure>{}</figure></div>\n", picture.inline());
        }
    }

    fn settings(&self, page: &mut String) {
        let Some(settings) = &self.settings else { return };
        *page += "<h2 id=\"settings\">Settings</h2>\n<p class=\"soft\">As the run's config.toml has them.</p>\n";
        let text: String = settings.trim_end().chars().take(SETTINGS).collect();
        let more = if text.len() < settings.trim_end().len() { "\n…" } else { "" };
        *page += &format!("<pre>{}{more}</pre>\n", escape_lines(&text));
    }

    fn commands(&self, page: &mut String) {
        if self.commands.is_empty() {
            return;
        }
        *page += "<h2 id=\"next\">Next commands</h2>\n";
        commands(page, &self.commands);
    }
}

/// Begins a page: its head, and the first tags of its body.
fn page_begin(title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <meta name=\"generator\" content=\"wgrad {}\"><title>{}</title>\
         <style>{PAGE_STYLE}{STYLE}</style></head>\n<body><main>\n",
        env!("CARGO_PKG_VERSION"),
        escape(title)
    )
}

/// Lists warnings, if there are any.
fn warnings(page: &mut String, warnings: &[String]) {
    if warnings.is_empty() {
        return;
    }
    *page += "<h2 id=\"warnings\">Warnings</h2>\n";
    for warning in warnings.iter().take(WARNINGS) {
        *page += &format!("<p class=\"warning\">{}</p>\n", escape(warning));
    }
    if warnings.len() > WARNINGS {
        *page += &format!("<p>and {} more.</p>\n", warnings.len() - WARNINGS);
    }
}

/// Lists commands, each below its purpose.
fn commands(page: &mut String, commands: &[NextCommand]) {
    for NextCommand { purpose, command } in commands {
        *page += &format!("<p>{}:</p><pre>{}</pre>\n", escape(purpose), escape_lines(command));
    }
}

/// Escapes a text of several lines.
fn escape_lines(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}

/// Begins with a capital letter and ends with a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str().trim_end_matches('.'))
}

/// Names of columns between commas, the first few of many.
fn some_names(names: &[&str]) -> String {
    const NAMED: usize = 6;
    match names.len() > NAMED {
        true => format!("{} and {} more", list(&names[..NAMED]), names.len() - NAMED),
        false => list(names),
    }
}
