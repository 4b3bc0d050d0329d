//! Writes the inputs that fuzzing begins with, from the project's own writers: `cargo run --bin seeds` in this folder.

use std::fs;
use std::path::Path;

use wgrad::data::{Preprocessing, synth};
use wgrad::graph::{Average, Loss, Optimizer};
use wgrad::model::{Init, Layer, Params};
use wgrad::train::{Metric, ScheduleKind, TrainedModel};
use wgrad::{Activation, FeatureScaling, Seed, Sequential};
use wgrad_fuzz::targets::{about_of, trained_checkpoint};

const LAYERS: [&str; 4] = [
    "dense(4), batch_norm, relu, dropout(0.1), dense(1)",
    "embedding(0=7x3), dense(4, bias=false, init=xavier-normal), layer_norm(eps=0.01), geglu, dense(1)",
    "residual(dense(1), gelu), branches((dense(2), tanh), (identity)), rms_norm(affine=false), scale(bias=false), dense(1)",
    "fourier(3, sigma=2.5, learned=true), prelu(per_column=true), custom(x + sin(x1 * x) / x2, 1, 0.5), dense(2), log_softmax, dense(1)",
];

fn put(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new("corpus").join(target);
    fs::create_dir_all(&folder).expect("the folder can be made");
    fs::write(folder.join(format!("seed-{name}")), bytes).expect("the file can be written");
}

/// A seed whose first byte says what it is.
fn marked(target: &str, name: &str, mark: u8, rest: &[u8]) {
    put(target, name, &[&[mark], rest].concat());
}

fn main() {
    tables();
    arrays();
    columns();
    workbooks();
    models();
    texts();
    settings();
    for (name, fill) in [("zeros", 0), ("ones", 1), ("many", 7), ("more", 0x3f)] {
        let bytes: Vec<u8> = (0_u8..200).map(|at| at.wrapping_mul(fill)).collect();
        put("onnx", name, &bytes);
    }
}

fn tables() {
    let numbers = "a,b,y,z,w\n1,2.5,0.25,1,1\n-3,4e-3,7,0,2\n5,.5,1e3,1,0\n6,7,8.5,0,1\n";
    let classes = "y,a\nred,1\nblue,2\nred,3\nblue,4\nred,5\nblue,6\n";
    let quoted = "\"a \"\"b\"\"\",y\r\n\"1\",\"x,\ny\"\r\n2,z\r\n\r\n3,z\r\n4,\"x,\ny\"\r\n";
    for how in 0..16 {
        marked("csv", &format!("numbers-{how}"), how, numbers.as_bytes());
    }
    marked("csv", "classes", 0, classes.as_bytes());
    marked("csv", "quoted", 1, quoted.as_bytes());
    marked("csv", "whole", 0, "a,y\n1,1\n2,1.0\n3,2\n4,2\n5,1\n6,01\n".as_bytes());
}

fn arrays() {
    let npy = |descr: &str, shape: &str, data: &[u8]| {
        let mut header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        while (header.len() + 11) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
    };
    let doubles: Vec<u8> = (0..12_u8).flat_map(|it| (f64::from(it) / 3.0).to_le_bytes()).collect();
    let whole = npy("<f8", "(4, 3)", &doubles);
    let pictures = [&[0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2][..], &[1, 2, 3, 4, 5, 6]];
    marked("arrays", "doubles", 0, &whole);
    marked("arrays", "wide", 1, &npy(">i2", "(2, 2, 2)", &doubles[..16]));
    marked("arrays", "halves", 64, &npy("<f2", "(3,)", &[0, 60, 0, 61, 0, 62]));
    marked("arrays", "pictures", 1, &pictures.concat());
    marked("arrays", "semicolons", 3, b"a;b;\n1,5;2;\n2,5;3;\n-1.000,5;4;\n");
    marked("arrays", "rows", 3, b"sep=|\na|b\nu|1|2\nv|3|4\n");
    marked("arrays", "headless", 4, b"1.5\t2\n2.5\t3\n");
}

/// Files of other programs, which the tests read as well.
fn columns() {
    let marks = [0, 4, 8, 1, 5, 9, 16, 40, 72];
    let files = [
        "few-gzip.parquet",
        "few-lz4.parquet",
        "few-none.parquet",
        "few-polars.arrow",
        "few-polars.parquet",
        "few-v2.parquet",
        "few-zstd.parquet",
        "few.feather",
        "index.parquet",
        "mixed.arrow",
        "mixed.parquet",
        "nested.parquet",
        "one.parquet",
        "whole.feather",
    ];
    for (name, mark) in files.into_iter().zip(marks.into_iter().cycle()) {
        let bytes = fs::read(Path::new("../tests/data").join(name)).expect("the file is there");
        marked("columns", name, mark, &bytes);
    }
}

/// Workbooks of another program, and sheets by hand.
fn workbooks() {
    for (name, mark) in [("few.xlsx", 1), ("since-1904.xlsx", 11)] {
        let bytes = fs::read(Path::new("../tests/data").join(name)).expect("the file is there");
        marked("xlsx", name, mark, &bytes);
    }
    let head =
        r#"<row r="1"><c r="A1" t="s"><v>0</v></c><c t="inlineStr"><is><t>y</t></is></c></row>"#;
    let row = |cells: &str| format!("<row>{cells}</row>");
    let cells = [
        r#"<c><v>1.5</v></c><c><v>-2E3</v></c>"#,
        r#"<c s="1"><v>45000.25</v></c><c t="b"><v>1</v></c>"#,
        r#"<c t="s"><v>1</v></c><c t="str"><v>x &amp; y</v></c>"#,
        r#"<c t="e"><v>#N/A</v></c><c><f>A1</f><v>7</v></c>"#,
        r#"<c t="d"><v>2024-02-29T10:00:00</v></c><c s="2"><v>0.5</v></c>"#,
    ];
    let texts = "<si><t>a</t></si><si><r><t>b</t></r><rPh><t>c</t></rPh></si>";
    let styles = r#"<styleSheet><numFmts><numFmt numFmtId="170" formatCode="[h]:mm"/></numFmts><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="170"/></cellXfs></styleSheet>"#;
    for (at, one) in cells.iter().enumerate() {
        let rows: String = head.to_string() + &row(one).repeat(3);
        let all = [rows.as_str(), texts, styles].join("\0");
        marked("xlsx", &format!("sheet-{at}"), 8, all.as_bytes());
    }
    let mixed: String = cells.iter().map(|cells| row(cells)).collect();
    let list = r#"<workbook><workbookPr date1904="1"/><sheets><sheet name="t" state="hidden" r:id="a"/></sheets></workbook>"#;
    let all = [&(head.to_string() + &mixed), texts, styles, list].join("\0");
    marked("xlsx", "mixed", 8 | 16, all.as_bytes());
}

fn models() {
    let data = synth::sine(20, 0.1, Seed(1));
    let checkpoint = trained_checkpoint();
    put("checkpoint", "epoch", about_of(&checkpoint).as_bytes());
    marked("files", "checkpoint", 0, &checkpoint);
    for (at, text) in LAYERS.iter().enumerate() {
        let model: Sequential = text.parse().expect("layers");
        let params = Params::init(&model, 1, Seed(1)).expect("a network");
        let preparation = Preprocessing::fit(&data, FeatureScaling::Standard);
        let trained = TrainedModel { model, params, preparation, criterion: Loss::Mse.into() };
        let path = std::env::temp_dir().join("wgrad-seed.safetensors");
        wgrad::write_model(&trained, &path).expect("writable");
        let file = fs::read(&path).expect("readable");
        let length = u64::from_le_bytes(file[..8].try_into().expect("eight bytes")) as usize;
        let header: serde_json::Value = serde_json::from_slice(&file[8..8 + length]).expect("JSON");
        let about = header["__metadata__"]["wgrad"].as_str().expect("a text");
        marked("model", &at.to_string(), 0, about.as_bytes());
        if at == 0 {
            marked("files", "model", 0, &file);
            marked(
                "files",
                "header",
                1,
                &[&file[8..8 + length], &[0], &file[8 + length..]].concat(),
            );
        }
    }
    // Fits one of the networks that weights are read into, but for a number that is none.
    let sizes = [
        ("0.bias", "[2]", 0, 8),
        ("0.weight", "[2,3]", 8, 32),
        ("2.bias", "[1]", 32, 36),
        ("2.weight", "[1,2]", 36, 44),
    ];
    let entries = sizes.map(|(name, shape, from, to)| {
        format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[{from},{to}]}}")
    });
    let header = format!("{{{}}}", entries.join(","));
    let values = [f32::NAN.to_le_bytes().to_vec(), vec![0; 40]].concat();
    marked("files", "not-finite", 1, &[header.as_bytes(), &[0], &values].concat());
    let kinds = [
        ("{\"classes\":[\"a\",\"b\"]}", "cross-entropy", 2, "0.0", "1.0"),
        ("{\"numbers\":[\"u\",\"v\"]}", "gaussian-nll", 4, "[0.0,1.0]", "[1.0,2.0]"),
        (
            "{\"labels\":[{\"column\":\"u\",\"values\":[\"no\",\"yes\"]}]}",
            "binary-cross-entropy",
            1,
            "0.0",
            "1.0",
        ),
    ];
    for (at, (kind, loss, units, mean, std)) in kinds.iter().enumerate() {
        let about = format!(
            "{{\"format\":1,\"version\":\"0.1.0\",\"model\":[{{\"dense\":{{\"units\":{units},\"bias\":true,\"init\":\"pytorch\"}}}}],\
             \"loss\":\"{loss}\",\"preparation\":{{\"schema\":{{\"features\":[\"x\"],\"target\":\"u\",\"kind\":{kind}}},\
             \"scale\":\"standard\",\"mean\":[0.5],\"std\":[2.0],\"target_mean\":{mean},\"target_std\":{std}}}}}"
        );
        marked("model", &format!("kind-{at}"), 1, about.as_bytes());
    }
}

fn texts() {
    let mark = |mark: u8, text: &str| {
        marked("text", &format!("{mark}-{:08x}", hash(text)), mark, text.as_bytes())
    };
    for layers in LAYERS {
        mark(0, layers);
    }
    for layer in Layer::VOCABULARY {
        mark(0, layer.name);
    }
    for act in Activation::ALL {
        mark(2, &act.expr().to_string());
        mark(2, &format!("{}(x)", act.name()));
        mark(13, act.name());
    }
    mark(2, "if(x <= 0.5, erf(x) ^ -3, min(x, 1e-3) / log(2 + pi))");
    Loss::all().iter().for_each(|it| mark(4, &it.to_string()));
    for (at, names) in [
        (5, ScheduleKind::VOCABULARY),
        (7, Optimizer::VOCABULARY),
        (8, Init::VOCABULARY),
        (10, Average::VOCABULARY),
    ] {
        names.iter().for_each(|entry| mark(at, entry.name));
    }
    for (at, text) in [
        (5, "multi-step([1, 2.5, 9], gamma=0.5)"),
        (5, "cosine-restarts(every=1, mult=2, end=0.1)"),
        (5, "one-cycle(0.2, div_factor=2, final_div_factor=10)"),
        (5, "step(every=2, gamma=0.5)"),
        (7, "adam(amsgrad=true, beta1=0.8, eps=1e-6)"),
        (7, "sgd(momentum=0.9, nesterov=true)"),
        (8, "trunc-normal(mean=0, std=1, a=-2, b=2)"),
        (8, "kaiming-normal(gain=leaky_relu, fan=out)"),
        (8, "constant(0.5)"),
        (9, "0.*: lr=0.1, decay=0"),
        (9, "*b*s: frozen=true"),
        (10, "swa(start=20, each=step)"),
        (11, "accuracy, f1_macro,loss"),
        (12, "balanced"),
        (12, "a=2, b=0.5"),
        (14, "gpu"),
        (14, "f16"),
        (15, "best"),
    ] {
        mark(at, text);
    }
    let metrics: Vec<String> =
        [Metric::Loss, Metric::Mape].iter().map(ToString::to_string).collect();
    mark(11, &metrics.join(","));
}

/// A short name that follows from the text.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn settings() {
    for (name, text) in [
        ("empty", ""),
        (
            "plain",
            "hidden = [8, 4]\nactivation = \"x * sigmoid(x)\"\nnorm = \"batch\"\ndropout = 0.1\nlr = 1e-2\n",
        ),
        (
            "hidden",
            "hidden = \"8,4\"\nepochs = 3\nbatch-size = 16\nseed = \"18446744073709551615\"\nvalid = 0.1\n",
        ),
        (
            "optimizer",
            "optimizer = \"sgd\"\nmomentum = 0.9\nnesterov = true\nweight-decay = 1e-4\nclip-norm = 1\n",
        ),
        (
            "rule",
            "optimizer = \"lion(beta2=0.9)\"\nschedule = \"cosine\"\nwarmup = 2\nepochs = 9\naccumulate = 3\n",
        ),
        (
            "stop",
            "stop-patience = 3\nstop-metric = \"rmse\"\nstop-delta = 0.1\nkeep = \"best\"\nmetrics = [\"mape\", \"r2\"]\n",
        ),
        (
            "groups",
            "no-decay = \"bias\"\nfreeze = \"2.*\"\n[[groups]]\nmatch = \"0.*\"\nlr = 0.5\ndecay = 0\n",
        ),
        (
            "average",
            "average = \"ema(decay=0.99)\"\nprecision = \"f16\"\ndevice = \"cpu\"\ndevice-memory = \"512MiB\"\n",
        ),
        (
            "checkpoints",
            "checkpoint-every = 2\ncheckpoint-minutes = 1.5\nkeep-checkpoints = 3\non-nonfinite = \"back\"\n",
        ),
        (
            "losses",
            "task = \"regress\"\nloss = \"huber(delta=1.5)\"\nreduction = \"sum\"\nscale = \"none\"\nshuffle = false\n",
        ),
        (
            "init",
            "init = \"w.safetensors\"\ninit-strict = false\ntune = \"full\"\ntune-ms = 10\nout = \"runs/a\"\n",
        ),
        (
            "layers",
            "[[layers]]\ntype = \"residual\"\nlayers = [{ type = \"dense\", units = 1 }, \"relu\"]\n[[layers]]\ntype = \"branches\"\n\
             branches = [[{ type = \"dense\", units = 3 }], [\"identity\"]]\n[[layers]]\ntype = \"dense\"\n[record]\ndevice = \"x\"\n",
        ),
        ("text", "layers = \"dense(3), custom(x * x1, 1), dense\"\n"),
    ] {
        put("config", name, text.as_bytes());
    }
}
