//! Names, texts and settings of optimizers.

use super::*;

#[test]
fn names_lead_to_checked_defaults() {
    for name in Optimizer::NAMES {
        let optimizer = Optimizer::by_name(name).unwrap();
        assert_eq!(optimizer.name(), name);
        optimizer.check().unwrap();
    }
    assert!(Optimizer::by_name("sdg").unwrap_err().to_string().contains("sgd, adam, adamw"));
    assert_eq!(Optimizer::default(), Optimizer::by_name("adamw").unwrap());
}

#[test]
fn the_vocabulary_lists_the_known_names() {
    let names: Vec<_> = Optimizer::VOCABULARY.iter().map(|entry| entry.name).collect();
    assert_eq!(names, Optimizer::NAMES);
    assert_eq!(METHODS.iter().map(|row| row.name).collect::<Vec<_>>(), Optimizer::NAMES);
    for (row, entry) in METHODS.iter().zip(Optimizer::VOCABULARY) {
        let wanted: Vec<_> = row.settings.iter().map(|setting| setting.name).collect();
        let said: Vec<_> = entry.parameters.split(", ").collect();
        assert_eq!(said.len(), wanted.len(), "{}", row.name);
        for (said, setting) in said.iter().zip(row.settings) {
            let mut words = said.split(' ');
            assert_eq!(words.next(), Some(setting.name), "{}", row.name);
            let default = words.next().unwrap();
            let value = match default {
                "true" => 1.0,
                "false" => 0.0,
                number => number.parse().unwrap(),
            };
            assert_eq!(value, setting.default, "{} {}", row.name, setting.name);
        }
    }
}

#[test]
fn texts_are_read_as_they_are_written() {
    for text in [
        "sgd(momentum=0.9, dampening=0.5)",
        "adam(beta1=0.8, amsgrad=true)",
        "rmsprop(centered=true)",
        "schedule-free(r=1)",
        "lion",
    ] {
        let optimizer = Optimizer::by_name(text).unwrap();
        assert_eq!(optimizer.to_string(), text);
        assert_eq!(Optimizer::by_name(&optimizer.to_string()).unwrap(), optimizer);
    }
    assert_eq!(
        Optimizer::by_name("Adam(AMSgrad=false, beta_1=0.9)").unwrap_err().to_string(),
        "optimizer: adam has no setting \"beta-1\"; it has beta1, beta2, eps, weight-decay, amsgrad"
    );
    assert_eq!(
        Optimizer::by_name("Adam(AMSgrad=false)").unwrap(),
        Optimizer::by_name("adam").unwrap()
    );
    let said = Optimizer::by_name("adam(amsgrad=2)").unwrap_err().to_string();
    assert_eq!(said, "optimizer: amsgrad: \"2\" is not true or false");
    let said = Optimizer::by_name("rmsprop(alpha=1)").unwrap().check().unwrap_err();
    assert_eq!(said.to_string(), "optimizer: alpha: 1, but it must be at least 0 and below 1");
}

#[test]
fn settings_of_others_say_whose_they_are() {
    let mut lion = Optimizer::by_name("lion").unwrap();
    let said = lion.set("momentum", 0.9).unwrap_err().to_string();
    assert_eq!(
        said,
        "momentum: the optimizer lion has no such setting; it belongs to sgd, rmsprop and muon"
    );
    lion.set("beta1", 0.5).unwrap();
    assert_eq!(lion.setting("beta1"), Some(0.5));
}

#[test]
fn impossible_settings_name_themselves() {
    let bad = Optimizer::sgd().with("momentum", 1.0).unwrap();
    assert_eq!(
        bad.check().unwrap_err().to_string(),
        "momentum: 1, but it must be at least 0 and below 1"
    );
    let bad = Optimizer::adam().with("beta2", f64::NAN).unwrap();
    assert!(bad.check().unwrap_err().to_string().contains("beta2"));
    let bad = Optimizer::sgd().with("nesterov", 1.0).unwrap();
    assert!(bad.check().unwrap_err().to_string().contains("nesterov"));
}

#[test]
fn corrections_start_at_the_decay() {
    let (first, second) = Optimizer::default().corrections(1);
    assert!((first - 0.1).abs() < 1e-12 && (second - 0.001_f64.sqrt()).abs() < 1e-12);
    assert_eq!(Optimizer::default().corrections(u64::MAX), (1.0, 1.0));
}
