//! Files of weights, models and checkpoints, byte by byte.

use super::{allowance, with_file};
use crate::memory::within;
use wgrad::export::{read_checkpoint, read_fitting_weights};
use wgrad::model::Params;
use wgrad::{Sequential, read_model, read_weights};

/// The first byte says whether the rest is a whole file, or what follows the length of its header: then the header ends with
/// the first zero byte.
pub fn files(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else { return };
    let mut file = Vec::new();
    if how % 2 == 1 {
        let end = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
        file.extend((end as u64).to_le_bytes());
        file.extend(&rest[..end]);
        file.extend(rest.get(end + 1..).unwrap_or_default());
    } else {
        file.extend(rest);
    }
    let layouts = [
        Sequential::new().dense(2).relu().dense(1),
        Sequential::new().dense(2).batch_norm().dense(3),
    ];
    with_file("files", &file, |path| {
        let _ = within(allowance(&file), || read_model(path).map(drop));
        let _ = within(allowance(&file), || read_checkpoint(path).map(drop));
        for model in layouts {
            let params = Params::zeros(model.layout(3).expect("a possible model"));
            let mut read = params.clone();
            if within(allowance(&file), || read_weights(path, &mut read)).is_err() {
                assert_eq!(read, params, "an error leaves weights as they were");
            }
            let _ = within(allowance(&file), || read_fitting_weights(path, &mut read, &[]));
            assert!(read.arena().iter().all(|value| value.is_finite()));
        }
    });
}
