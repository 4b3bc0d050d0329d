//! Pictures: values at their places, curves as scikit-learn has them, texts of users escaped; the commands that draw them.

#![cfg(all(feature = "cli", feature = "pictures"))]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails the test")]

#[path = "common/place.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod place;

use std::collections::BTreeMap;

use place::Place;
use serde_json::Value;
use wgrad::picture::{self, Importance, Line, NumberFigures, Picture};
use wgrad::train::metrics::classes::{ClassRows, confusion};
use wgrad::train::metrics::curves::{calibration_bins, ranking_curves};

/// Value of an attribute of each tag of a kind.
fn attributes(svg: &str, tag: &str, name: &str) -> Vec<String> {
    svg.split(&format!("<{tag} "))
        .skip(1)
        .filter_map(|rest| {
            let rest = rest.split('>').next()?;
            Some(rest.split(&format!("{name}=\"")).nth(1)?.split('"').next()?.to_string())
        })
        .collect()
}

/// Texts with their coordinates.
fn texts(svg: &str) -> Vec<(f64, f64, String)> {
    svg.split("<text")
        .skip(1)
        .map(|rest| {
            let (head, text) = rest.split_once('>').unwrap();
            let of = |name: &str| -> f64 {
                head.split(&format!(" {name}=\""))
                    .nth(1)
                    .unwrap()
                    .split('"')
                    .next()
                    .unwrap()
                    .parse()
                    .unwrap()
            };
            (of("x"), of("y"), text.split('<').next().unwrap().to_string())
        })
        .collect()
}

/// Slope and offset of a scale by its ticks: pairs of a number and a coordinate.
fn scale(ticks: &[(f64, f64)]) -> impl Fn(f64) -> f64 + use<> {
    let ((a, at_a), (b, at_b)) = (ticks[0], *ticks.last().unwrap());
    move |value| at_a + (value - a) * (at_b - at_a) / (b - a)
}

fn number(text: &str) -> Option<f64> {
    text.replace('−', "-").replace(',', "").parse().ok()
}

/// Scales of a picture, read from the ticks' texts: those of the horizontal axis share their height.
fn scales(picture: &Picture) -> (impl Fn(f64) -> f64 + use<>, impl Fn(f64) -> f64 + use<>) {
    let all = texts(&picture.svg());
    let mut rows: BTreeMap<i64, Vec<(f64, f64)>> = BTreeMap::new();
    let mut columns: BTreeMap<i64, Vec<(f64, f64)>> = BTreeMap::new();
    for (x, y, text) in &all {
        if let Some(value) = number(text) {
            rows.entry((y * 100.0) as i64).or_default().push((value, *x));
            // Ticks of the vertical axis stand 4 below their line.
            columns.entry((x * 100.0) as i64).or_default().push((value, y - 4.0));
        }
    }
    let most = |of: BTreeMap<i64, Vec<(f64, f64)>>| of.into_values().max_by_key(Vec::len).unwrap();
    (scale(&most(rows)), scale(&most(columns)))
}

/// Points of a path.
fn points(path: &str) -> Vec<(f64, f64)> {
    path.split(['M', 'L'])
        .filter(|it| !it.is_empty())
        .map(|it| {
            let (x, y) = it.trim_end_matches("h0").split_once(' ').unwrap();
            (x.parse().unwrap(), y.parse().unwrap())
        })
        .collect()
}

fn near(got: (f64, f64), want: (f64, f64)) -> bool {
    (got.0 - want.0).abs() < 0.1 && (got.1 - want.1).abs() < 0.1
}

#[test]
fn figures_by_epoch_stand_at_their_places() {
    let values = [(1.0, 0.9), (2.0, 0.5), (3.0, f64::NAN), (4.0, 0.3), (5.0, 0.2)];
    let lines = [
        Line::new("training", values.to_vec()),
        Line::new("validation", vec![(1.0, 1.0), (5.0, 0.4)]),
    ];
    let picture = picture::by_epoch(("loss", "Loss"), &lines, Some(4));
    let (x, y) = scales(&picture);
    let paths = attributes(&picture.svg(), "path", "d");
    assert_eq!(paths.len(), 2);
    let drawn = points(&paths[0]);
    let there: Vec<_> = values.iter().filter(|it| it.1.is_finite()).collect();
    assert_eq!(drawn.len(), there.len());
    for (got, want) in drawn.iter().zip(there) {
        assert!(near(*got, (x(want.0), y(want.1))), "{got:?} for {want:?}");
    }
    // A figure that is not there leaves a gap.
    assert_eq!(paths[0].matches('M').count(), 2);
    let marks: Vec<_> = attributes(&picture.svg(), "line", "class")
        .into_iter()
        .zip(attributes(&picture.svg(), "line", "x1"))
        .filter(|it| it.0 == "mark")
        .collect();
    // One in the legend, one at the epoch that is kept.
    assert!((marks[1].1.parse::<f64>().unwrap() - x(4.0)).abs() < 0.1, "{marks:?}");
}

#[test]
fn predictions_stand_at_their_places_and_many_become_a_density() {
    let truth: Vec<f64> = (0..50).map(|i| f64::from(i) * 10.0).collect();
    let predicted: Vec<f64> = truth.iter().map(|y| 480.0 - y).collect();
    let figures = NumberFigures { r2: Some(-3.0), rmse: Some(280.0) };
    let picture = picture::predicted_actual("y", &truth, &predicted, figures);
    let (x, y) = scales(&picture);
    let drawn = points(&attributes(&picture.svg(), "path", "d")[0]);
    assert_eq!(drawn.len(), 50);
    for (got, (actual, predicted)) in drawn.iter().zip(truth.iter().zip(&predicted)) {
        assert!(near(*got, (x(*actual), y(*predicted))), "{got:?} for {actual} {predicted}");
    }
    let many: Vec<f64> = (0..100_000).map(|i| f64::from(i % 997)).collect();
    let picture = picture::residuals("y", &many, &many, None);
    assert!(picture.svg().len() < 100_000, "{} bytes", picture.svg().len());
    assert!(attributes(&picture.svg(), "rect", "opacity").len() > 30);
    // Residuals 1 and 4, the first of which weighs twice the other.
    let told = |weights| picture::residuals("y", &[0.0, 0.0], &[1.0, 4.0], weights).svg();
    assert!(told(None).contains("predicted less actual; mean 2.5"), "{}", told(None));
    let weighted = told(Some([2.0, 1.0].as_slice()));
    assert!(weighted.contains("predicted less actual; weighted mean 2<"), "{weighted}");
}

#[test]
fn importance_is_in_order_and_texts_are_escaped() {
    let column =
        |name: &str, rises: [f64; 2]| Importance { column: name.into(), rises: rises.to_vec() };
    let columns = [column("a", [0.1, 0.3]), column("<b>&\"", [0.5, 0.7]), column("c", [-0.1, 0.0])];
    let svg = picture::importance(&columns, 0.25).svg();
    let names: Vec<String> = texts(&svg)
        .into_iter()
        .map(|it| it.2)
        .filter(|it| ["a", "c"].contains(&it.as_str()) || it.contains("b&gt;"))
        .collect();
    assert_eq!(names, ["&lt;b&gt;&amp;&quot;", "a", "c"]);
    assert!(!svg.contains("<b>"));
    let widths: Vec<f64> =
        attributes(&svg, "rect", "width").iter().skip(1).map(|it| it.parse().unwrap()).collect();
    assert!((widths[0] / widths[1] - 3.0).abs() < 0.01, "0.6 against 0.2: {widths:?}");
    // The captions have room, also for a loss with many digits.
    assert!(!picture::importance(&columns, 0.069_912_345).svg().contains('…'));
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect()
}

/// True if a polyline passes a point.
fn passes(line: &[(f64, f64)], (x, y): (f64, f64)) -> bool {
    line.windows(2).any(|ends| {
        let ((ax, ay), (bx, by)) = (ends[0], ends[1]);
        let (dx, dy) = (bx - ax, by - ay);
        let along = if dx == 0.0 && dy == 0.0 {
            0.0
        } else {
            ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)
        };
        let along = along.clamp(0.0, 1.0);
        (ax + along * dx - x).hypot(ay + along * dy - y) < 1e-9
    })
}

#[test]
fn curves_and_confusion_are_scikit_learns() {
    let stored: Value = serde_json::from_str(include_str!("oracle/curves.json")).unwrap();
    let mut compared = 0;
    for case in stored["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let truth: Vec<u32> = floats(&case["truth"]).iter().map(|&it| it as u32).collect();
        let rows: Vec<Vec<f64>> =
            case["probabilities"].as_array().unwrap().iter().map(floats).collect();
        let (classes, probabilities) = (rows[0].len(), rows.concat());
        let weights = case["weights"].as_array().map(|_| floats(&case["weights"]));
        let of =
            ClassRows { truth: &truth, probabilities: &probabilities, weights: weights.as_deref() };
        for want in case["curves"].as_array().unwrap() {
            let got = ranking_curves(of, want["class"].as_u64().unwrap() as usize);
            for (figure, key) in
                [(got.roc_auc, "roc_auc"), (got.average_precision, "average_precision")]
            {
                assert!(
                    (figure.unwrap() - want[key].as_f64().unwrap()).abs() < 1e-9,
                    "{name}: {key}"
                );
            }
            for (curve, key) in [(&got.roc, "roc"), (&got.precision_recall, "precision_recall")] {
                for point in want[key].as_array().unwrap() {
                    let point = floats(point);
                    // Points within straight pieces are left out.
                    assert!(
                        passes(curve, (point[0], point[1])),
                        "{name}: {key} {point:?} not on {curve:?}"
                    );
                    compared += 1;
                }
            }
        }
        let best: Vec<u32> = rows
            .iter()
            .map(|row| {
                (0..classes).fold(0, |best, at| if row[at] > row[best] { at } else { best }) as u32
            })
            .collect();
        let counts = confusion(&truth, &best, classes);
        let want: Vec<Vec<u64>> = case["confusion"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| floats(row).iter().map(|&it| it as u64).collect())
            .collect();
        assert_eq!(counts, want, "{name}");
        let names: Vec<String> = (0..classes).map(|it| format!("class {it}")).collect();
        let svg = picture::confusion(&names, &counts, false).svg();
        let shown: Vec<u64> = texts(&svg).iter().filter_map(|it| it.2.parse().ok()).collect();
        assert_eq!(shown, counts.concat(), "{name}: cells in the order of rows");
        if let Some(want) = case["calibration"].as_array() {
            let (bins, error) = calibration_bins(of, 10);
            let filled: Vec<_> = bins.iter().filter(|bin| bin.weight > 0.0).collect();
            assert_eq!(filled.len(), want.len(), "{name}");
            let mut sum = 0.0;
            for (bin, want) in filled.iter().zip(want) {
                let want = floats(want);
                assert!(
                    (bin.confidence - want[0]).abs() < 1e-9
                        && (bin.accuracy - want[1]).abs() < 1e-9,
                    "{name}: {bin:?} {want:?}"
                );
                sum += bin.weight * (want[0] - want[1]).abs();
            }
            assert!((error.unwrap() - sum / truth.len() as f64).abs() < 1e-9, "{name}");
        }
    }
    assert!(compared > 500, "{compared} points");
}

#[test]
fn pictures_of_weighted_labels_tell_their_figures() {
    let place = Place::new();
    let mut text = "a,b,w,label,other,kind\n".to_string();
    for i in 0..90_u32 {
        let (a, b) = (f64::from(i * 37 % 101) / 50.0 - 1.0, f64::from(i * 53 % 89) / 44.0 - 1.0);
        let (label, other) = (u32::from(a > b), u32::from(a + b > 0.2));
        text += &format!("{a},{b},{},{label},{other},{}\n", 1 + i % 3, ["x", "y"][label as usize]);
    }
    place.write("t.csv", &text);
    let rest = "--epochs 3 --hidden 4 --seed 1 --features a,b";
    place.ok(&format!(
        "train t.csv --target label,other --task labels --metrics ece_10 {rest} --out l"
    ));
    place.ok("plot l --what calibration,roc,class-figures --out p");
    let calibration = place.read("p/calibration.svg");
    let figure = place.json("l/metrics.json")["valid_ece_10"].as_f64().unwrap();
    let want = format!("calibration error {figure:.4} (mean of 2 labels, each by itself)<");
    assert!(calibration.contains(&want), "{want}: {calibration}");
    assert!(place.read("p/roc.svg").contains("each label by itself"));
    assert!(place.read("p/class-figures.svg").contains("Accuracy of each label"));

    let remark = ">each row counts as one, whatever rows weigh<";
    for (run, weight, is_told) in [("w", " --weight w", true), ("c", "", false)] {
        place.ok(&format!("train t.csv --target kind{weight} {rest} --out {run}"));
        place.ok(&format!("plot {run} --what confusion --out p-{run}"));
        let confusion = place.read(&format!("p-{run}/confusion.svg"));
        assert_eq!(confusion.contains(remark), is_told, "{run}: {confusion}");
    }
}

/// A table of two classes whose names and columns hold markup, with gaps and texts.
fn table(rows: u32) -> String {
    let mut text = "\"<img src=x>\",town & county,kind\n".to_string();
    for i in 0..rows {
        let x = f64::from(i * 37 % 101) / 10.0;
        let cell = if i % 9 == 0 { String::new() } else { x.to_string() };
        let kind = if x > 5.0 { "<script>alert(1)</script>" } else { "b" };
        text += &format!("{cell},{},{kind}\n", ["\"Ash\"\"<\"", "Elm", "Oak"][(i % 3) as usize]);
    }
    text
}

#[test]
fn a_run_leaves_a_report_and_pictures_with_its_figures() {
    let place = Place::new();
    place.write("t.csv", &table(120));
    place.ok("train t.csv --target kind --epochs 3 --hidden 4 --out r --seed 1");
    let page = place.read("r/report.html");
    let metrics = place.json("r/metrics.json");
    let accuracy = metrics["valid_accuracy"].as_f64().unwrap();
    assert!(page.contains(&format!("{:.2} %", 100.0 * accuracy)), "{accuracy}");
    assert!(page.contains(&format!("{:.4}", metrics["valid_loss"].as_f64().unwrap())));
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    for bad in ["<script", "<img", "\"Ash\"\"<", "http://", "https://"] {
        assert!(!page.contains(bad), "{bad}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    for part in [
        "Confusion matrix",
        "ROC curve",
        "Calibration",
        "Importance of columns",
        "Next commands",
        "wgrad predict r TABLE",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // The report is that of the run: the rows of the confusion matrix are the validation rows.
    let rows = page.split(" rows right").next().unwrap().rsplit(" of ").next().unwrap();
    assert_eq!(rows, "24");

    place.ok("plot r --out p");
    for name in [
        "loss",
        "accuracy",
        "learning-rate",
        "confusion",
        "roc",
        "precision-recall",
        "calibration",
        "importance",
        "network",
    ] {
        let svg = place.read(&format!("p/{name}.svg"));
        assert!(svg.starts_with("<?xml") && svg.contains("prefers-color-scheme"), "{name}");
    }
    place.ok("plot r t.csv --what roc --out q");
    assert_eq!(std::fs::read_dir(place.path("q")).unwrap().count(), 1);
    place.ok("report r t.csv --out other.html");
    assert!(place.read("other.html").contains("On 120 rows of t.csv"));
    place.ok("evaluate r t.csv --report evaluated.html");
    assert!(place.read("evaluated.html").contains("On t.csv:"));
    place.ok("train t.csv --target kind --epochs 1 --hidden 4 --out without --no-report");
    assert!(!place.path("without/report.html").exists());
}

#[test]
fn pictures_that_cannot_be_right_are_refused() {
    let place = Place::new();
    place.write("t.csv", &table(60));
    place.ok("train t.csv --target kind --epochs 2 --hidden 4 --out r --seed 1");
    let refused = |command: &str, told: &str| {
        let said = place.refused(command);
        assert!(said.contains(told), "{command}: {said}");
    };
    refused("plot r --what pie", "unknown picture `pie`; known: loss");
    refused("plot r --what residuals", "this run has no picture `residuals`; it has:");
    // Files of others are not replaced.
    std::fs::create_dir(place.path("mine")).unwrap();
    place.write("mine/loss.svg", "<svg/>");
    refused("plot r --out mine", "not of wgrad's making");
    assert_eq!(place.read("mine/loss.svg"), "<svg/>");
    place.write("notes.html", "mine");
    refused("report r --out notes.html", "not of wgrad's making");
    // Validation rows that were changed are not those of the run's figures.
    let rows = place.read("r/validation.csv");
    let swapped: Vec<&str> = rows.lines().take(3).collect();
    place.write("r/validation.csv", &(swapped.join("\n") + "\n"));
    refused("plot r", "this file was changed after the run had written ");
    std::fs::remove_file(place.path("r/validation.csv")).unwrap();
    refused("plot r --what roc", "the run has no validation rows; give a TABLE");
}

#[test]
fn runs_of_several_networks_leave_a_report_with_each_networks_figures() {
    let place = Place::new();
    place.write("t.csv", &table(90));
    place.ok("train t.csv --target kind --epochs 3 --hidden 4 --out m --members 3 --seed 1 --batch-size 200");
    // Gaps become other inputs in each fold, whose networks are then no ensemble.
    place.write("g.csv", &table(90).replace("\n,", "\n0.5,"));
    place.ok(
        "train g.csv --target kind --epochs 3 --hidden 4 --out f --folds 3 --seed 1 --metrics f1",
    );
    for (run, word) in [("m", "member"), ("f", "fold")] {
        let (page, metrics) =
            (place.read(&format!("{run}/report.html")), place.json(&format!("{run}/metrics.json")));
        for network in 0..3 {
            let own = place.json(&format!("{run}/{word}s/{network}/metrics.json"));
            let row = page.split(&format!(">{word} {network}</td>")).nth(1).unwrap();
            let row = row.split("</tr>").next().unwrap();
            assert!(row.contains(&format!("{:.4}", own["valid_loss"].as_f64().unwrap())), "{row}");
            assert!(row.contains(&format!(">{}<", own["epoch"])), "{row}");
        }
        let row = page.split(">standard deviation</td>").nth(1).unwrap();
        let std = metrics[format!("{word}_std")]["valid_loss"].as_f64().unwrap();
        assert!(row.split("</tr>").next().unwrap().contains(&format!("{std:.4}")), "{row}");
        let accuracy = metrics["valid_accuracy"].as_f64().unwrap();
        assert!(page.contains(&format!("{:.2} %", 100.0 * accuracy)), "{accuracy}");
        for part in ["Validation loss", "Training loss", "Confusion matrix", "Next commands"] {
            assert!(page.contains(part), "{run}: {part}");
        }
        // Later, the same pictures are drawn from the files.
        let pictures = |page: &str| {
            page.split("id=\"preprocessing\"").next().unwrap().matches("<figure>").count()
        };
        place.ok(&format!("report {run} --out again.html"));
        assert_eq!(pictures(&place.read("again.html")), pictures(&page), "{run}");
        place.ok(&format!("plot {run} --out p-{run} --what loss,confusion"));
        assert_eq!(std::fs::read_dir(place.path(&format!("p-{run}"))).unwrap().count(), 3);
    }
    // Warnings name options, as those on the terminal do.
    let page = place.read("m/report.html");
    assert!(page.contains("--batch-size 200 is more than the 72 training rows"), "{page}");
    // All rows are in the matrix of the folds, and a changed file is refused.
    let page = place.read("f/report.html");
    assert_eq!(page.split(" rows right").next().unwrap().rsplit(" of ").next().unwrap(), "90");
    let rows = place.read("f/out_of_fold.csv");
    place.write("f/out_of_fold.csv", &rows.replace(",b,b,", ",b,<script>alert(1)</script>,"));
    assert!(place.refused("report f").contains("the file was changed"));
    // What `info` says of an ensemble, it says to programs too.
    let told: Value = serde_json::from_str(&place.out("info m --json")).unwrap();
    let parameters = |it: &Value| it["parameters"].as_u64().unwrap();
    let layers = told["layers"].as_array().unwrap();
    assert_eq!(layers.iter().map(parameters).sum::<u64>(), parameters(&told));
    assert_eq!((&told["members"], &told["same_preparation"]), (&3.into(), &true.into()));
    assert!(told["positive"]["kind"].is_string(), "{told}");
    place.ok("train t.csv --target kind --epochs 1 --hidden 4 --out n --members 2 --no-report");
    assert!(!place.path("n/report.html").exists());
}

#[test]
fn folds_of_every_target_have_pictures_of_all_rows() {
    let place = Place::new();
    let mut text = "a,b,w,label,other,y,z\n".to_string();
    for i in 0..90_u32 {
        let (a, b) = (f64::from(i * 37 % 101) / 50.0 - 1.0, f64::from(i * 53 % 89) / 44.0 - 1.0);
        let (label, other) = (u32::from(a > b), u32::from(a + b > 0.2));
        text += &format!("{a},{b},{},{label},{other},{},{}\n", 1 + i % 3, 5.0 * a * b, a - b);
    }
    place.write("t.csv", &text);
    let rest = "--epochs 3 --hidden 4 --folds 3 --seed 1 --features a,b";
    for (run, options, pictures) in [
        (
            "q",
            "--target y --loss pinball(0.1,0.5,0.9)",
            "predicted-actual,residuals,intervals,quantiles",
        ),
        ("g", "--target y --loss gaussian-nll", "predicted-actual,intervals"),
        ("l", "--target label,other --task labels", "roc,calibration,class-figures"),
        ("s", "--target y,z --weight w", "predicted-actual,residuals"),
        ("r", "--target y --folds-repeats 2 --refit", "predicted-actual"),
    ] {
        place.ok(&format!("train t.csv {options} {rest} --out {run}"));
        // Reading checks that the predictions give the run's own accuracy or error.
        place.ok(&format!("plot {run} --what {pictures} --out p-{run}"));
        assert!(
            place.read(&format!("{run}/report.html")).contains("each predicted by the network")
        );
    }
    assert!(place.read("r/report.html").contains("of the first drawing of folds"));
    // A weight that is changed changes the figures.
    let rows = place.read("s/out_of_fold.csv");
    assert!(rows.starts_with("row,fold,y,z,w,y_predicted"), "{}", rows.lines().next().unwrap());
    let mut lines: Vec<String> = rows.lines().map(String::from).collect();
    let cells: Vec<&str> = lines[1].split(',').collect();
    let heavy = [&cells[..4], &["1000"], &cells[5..]].concat().join(",");
    lines[1] = heavy;
    place.write("s/out_of_fold.csv", &(lines.join("\n") + "\n"));
    assert!(place.refused("plot s --what residuals").contains("the file was changed"));
}

#[test]
fn a_sweep_leaves_a_report_of_its_trials() {
    let place = Place::new();
    place.write("t.csv", &table(80));
    place.write("s.toml", "epochs = 2\nlr = { log = [1e-3, 1e-1] }\nhidden = [[4], [4, 2]]\n");
    let (told, _) = place
        .ok("sweep t.csv --target kind --config s.toml --trials 12 --out w --stop-metric accuracy");
    let page = place.read("w/report.html");
    let best = told.split("w/trials/").nth(1).unwrap().split(';').next().unwrap();
    assert!(page.contains(&format!("trial {best}.")), "{best}: {page}");
    assert!(page.contains("with the greatest valid accuracy of 12 trials"));
    assert!(
        page.contains(&format!("wgrad train --config w/trials/{best}/config.toml --out OTHER"))
    );
    let table = page.split("Best trials").nth(1).unwrap().split("</table>").next().unwrap();
    assert_eq!(table.matches("<tr>").count(), 11, "a header and ten trials");
    assert!(
        table.split("<tr>").nth(2).unwrap().contains(&format!(">{best}<")),
        "the best is first"
    );
    // A line for each trial, and each axis has its name.
    let picture = page.split("<figure>").nth(1).unwrap();
    assert_eq!(picture.split("</svg>").next().unwrap().matches("<path").count(), 12);
    for part in [">lr<", ">hidden<", ">valid accuracy<"] {
        assert!(picture.contains(part), "{part}");
    }
    place.ok("report w --out again.html");
    // A report that is made later has no warnings of the training.
    let rest = |page: &str| page.split("id=\"pictures\"").nth(1).unwrap().to_string();
    assert_eq!(rest(&place.read("again.html")), rest(&page));
    // The report of a sweep that has not ended says so.
    let rows = place.read("w/sweep.csv");
    let some: Vec<&str> = rows.lines().take(8).collect();
    std::fs::create_dir(place.path("part")).unwrap();
    place.write("part/sweep.csv", &(some.join("\n") + "\n"));
    place.write("part/sweep.toml", &place.read("w/sweep.toml"));
    place.ok("report part");
    assert!(place.read("part/report.html").contains("7 of 12 trials have ended"));
    assert!(!page.contains("trials have ended"));
    place.ok("plot w --what trials");
    assert!(place.read("w/pictures/trials.svg").contains("prefers-color-scheme"));
    for (command, told) in [
        ("plot w --what loss", "a sweep has no picture `loss`"),
        ("plot w t.csv", "leave the table out"),
        ("report w t.csv", "leave the table out"),
        ("plot w/trials/0 --what trials", "this run has no picture `trials`"),
        (
            "info w",
            &format!(
                "a sweep, which has many models; give that of a trial, such as w/trials/{best}"
            ),
        ),
        ("report nope", "no such run"),
    ] {
        let said = place.refused(command);
        assert!(said.contains(told), "{command}: {said}");
    }
    // Gaps become other inputs in each fold, and no command uses a model that is not there.
    let (_, said) =
        place.ok("sweep t.csv --target kind --config s.toml --trials 2 --folds 3 --out f");
    assert!(!said.contains("wgrad predict") && !said.contains("report f/trials"), "{said}");
    // One setting that is a number is drawn against the metric.
    place.write("one.toml", "epochs = 2\nhidden = [4]\nlr = [1e-3, 1e-2, 1e-1]\n");
    place.ok("sweep t.csv --target kind --config one.toml --search grid --out o");
    let svg = place.read("o/report.html");
    assert!(svg.contains("valid loss by lr"));
    let found = place
        .out("find-lr t.csv --target kind --hidden 4 --rates 5 --steps 20 --picture rates.svg");
    let rate = found.split("--lr ").nth(1).unwrap().split(':').next().unwrap();
    let svg = place.read("rates.svg");
    assert!(svg.contains(&format!("the rate to train with, {rate}")), "{rate}");
    assert!((4..=5).contains(&svg.matches("<circle").count()), "{svg}");
    place.write("mine.svg", "<svg/>");
    let said = place.refused("find-lr t.csv --target kind --picture mine.svg");
    assert!(said.contains("not of wgrad's making"), "{said}");
    let said = place.refused("find-lr t.csv --target kind --picture rates.png");
    assert!(said.contains("--picture: rates.png, but pictures are SVG files"), "{said}");
}
