//! An HTTP server that predicts with a trained model.
//!
//! ```sh
//! cargo run --release -- ../../runs/flats/model.safetensors 127.0.0.1:8000
//! curl --data-binary @new.csv http://127.0.0.1:8000/predict
//! ```
//!
//! `POST /predict` takes a table as text, as `wgrad predict` reads it, and answers with a JSON object for each row. `GET /` says which
//! columns the model needs.

use std::io::{Cursor, Read as _};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tiny_http::{Header, Method, Request, Response, Server};
use wgrad::data::FeatureReader;
use wgrad::prelude::*;

/// Threads that answer, each a request at a time; they share the model.
const THREADS: usize = 4;
/// Largest table that is taken, in bytes.
const LARGEST: u64 = 16 << 20;
/// Rows that are read and predicted at once.
const ROWS: usize = 1024;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("give a model: wgrad-server model.safetensors [ADDRESS]")?;
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8000".into());
    // One network, or an ensemble.
    let predictor = Arc::new(Predictor::new(read_ensemble(&file)?)?);
    let server = Arc::new(Server::http(&address).map_err(|error| format!("{address}: {error}"))?);
    println!("listening on http://{}", server.server_addr());

    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (predictor, server) = (Arc::clone(&predictor), Arc::clone(&server));
            std::thread::spawn(move || {
                for request in server.incoming_requests() {
                    answer(&predictor, request);
                }
            })
        })
        .collect();
    for thread in threads {
        // A thread ends only if the server does.
        let _ = thread.join();
    }
    Ok(())
}

/// Answers a request; a client that has gone away changes nothing.
fn answer(predictor: &Predictor, mut request: Request) {
    let (status, body) = match (request.method(), request.url()) {
        (Method::Get, "/") => (200, about(predictor)),
        (Method::Post, "/predict") => match table(&mut request) {
            Err(problem) => (413, json!({ "error": problem })),
            Ok(bytes) => match predict(predictor, bytes) {
                Ok(rows) => (200, Value::Array(rows)),
                Err(problem) => (422, json!({ "error": problem })),
            },
        },
        _ => (404, json!({ "error": "there are GET / and POST /predict" })),
    };
    let response = Response::from_string(body.to_string()).with_status_code(status);
    let response = match Header::from_bytes("content-type", "application/json") {
        Ok(header) => response.with_header(header),
        Err(()) => response,
    };
    let _ = request.respond(response);
}

/// Says what the model needs and predicts.
fn about(predictor: &Predictor) -> Value {
    let trained = predictor.trained();
    json!({ "columns": trained.preparation.schema.read_columns(), "predictions": names(trained) })
}

/// Names the numbers of a prediction as `wgrad predict` does: `rent_predicted`, `digit_probability_7`.
fn names(trained: &TrainedModel) -> Vec<String> {
    trained.columns().into_iter().map(|(target, what)| format!("{target}_{what}")).collect()
}

/// Reads the table that a request carries.
fn table(request: &mut Request) -> std::result::Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut body = request.as_reader().take(LARGEST + 1);
    body.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    match bytes.len() as u64 > LARGEST {
        true => Err(format!("at most {LARGEST} bytes are taken at once")),
        false => Ok(bytes),
    }
}

/// Predicts each row of a table. Errors name line and column.
fn predict(predictor: &Predictor, table: Vec<u8>) -> std::result::Result<Vec<Value>, String> {
    let trained = predictor.trained();
    let schema = &trained.preparation.schema;
    let mut reader = FeatureReader::from_reader(Cursor::new(table), "the table", schema)
        .map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    while let Some(mut chunk) = reader.next_chunk(ROWS).map_err(|error| error.to_string())? {
        // As `wgrad predict` does with a gap in a date, or where training had none.
        trained.fill_gaps(&mut chunk.x).map_err(|error| error.to_string())?;
        let predictions = predictor.predict(&chunk.x).map_err(|error| error.to_string())?;
        let values = predictions.values();
        let names = names(trained);
        let classes = match &schema.kind {
            TargetKind::Classes(_) => {
                Some(predictor.predict_classes(&chunk.x).map_err(|error| error.to_string())?)
            }
            _ => None,
        };
        for (row, values) in values.chunks_exact(names.len()).enumerate() {
            let mut object = Map::new();
            if let Some(classes) = &classes {
                object.insert(schema.target.clone(), classes[row].into());
            }
            object.extend(names.iter().cloned().zip(values.iter().map(|&value| value.into())));
            rows.push(Value::Object(object));
        }
    }
    Ok(rows)
}
