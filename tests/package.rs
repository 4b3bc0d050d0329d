//! The package as a registry shows it: its links lead somewhere, and its workflows end.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;

const HOME: &str = "https://github.com/wgrad/wgrad";

fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn links_of_the_readme_work_on_the_registrys_page() {
    let readme = text("README.md");
    let links: Vec<&str> =
        readme.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(links.len() >= 4, "{links:?}");
    for link in links {
        assert!(link.starts_with("https://"), "{link} is relative");
        if let Some(path) = link.strip_prefix(&format!("{HOME}/blob/main/")) {
            let there = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
            assert!(there.is_file(), "{link}: there is no {path}");
        }
    }
}

#[test]
fn the_package_names_its_home() {
    for (key, value) in
        [("REPOSITORY", env!("CARGO_PKG_REPOSITORY")), ("HOMEPAGE", env!("CARGO_PKG_HOMEPAGE"))]
    {
        assert_eq!(value, HOME, "{key}");
    }
    assert!(text("Cargo.toml").contains("documentation = \"https://docs.rs/wgrad\""));
}

#[test]
fn every_job_of_a_workflow_has_a_time_limit_and_few_rights() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows");
    // The package has no workflows.
    let Ok(files) = std::fs::read_dir(folder) else { return };
    for file in files {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let (head, jobs) = text.split_once("\njobs:\n").unwrap();
        assert!(head.contains("\npermissions:\n  contents: read\n"), "{}", path.display());
        assert!(head.contains("\nconcurrency:\n"), "{}", path.display());
        let jobs_there = jobs.lines().filter(|line| {
            line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(':')
        });
        let limits = jobs.lines().filter(|line| line.starts_with("    timeout-minutes: "));
        assert_eq!(jobs_there.count(), limits.count(), "{}", path.display());
    }
}
