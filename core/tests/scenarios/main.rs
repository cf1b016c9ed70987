//! Runs the language-neutral scenarios in `core/scenarios`; its README describes the format.

mod compare;
mod host;
mod scenario;
mod show;
mod store;

use host::Host;
use scenario::{Scenario, directory};

const FEWEST_FILES: usize = 74;
const FEWEST_CASES: usize = 320;

#[test]
fn the_client_does_what_each_scenario_says() {
    let files = scenario::files();
    let mut cases = 0;
    let mut failures = vec![];
    for file in &files {
        for scenario in scenario::read(file) {
            cases += 1;
            if let Err(failure) = run(&scenario) {
                failures.push(format!("{}: {failure}", scenario.name));
            }
        }
    }
    println!(
        "{} files, {cases} cases, {} failed",
        files.len(),
        failures.len()
    );
    assert!(failures.is_empty(), "\n\n{}\n", failures.join("\n\n"));
    assert!(
        files.len() >= FEWEST_FILES,
        "only {} files of {FEWEST_FILES}",
        files.len()
    );
    assert!(
        cases >= FEWEST_CASES,
        "only {cases} cases of {FEWEST_CASES}"
    );
}

#[test]
fn the_example_of_the_readme_is_a_scenario_that_runs() {
    let read = |name: &str| std::fs::read_to_string(directory().join(name)).unwrap();
    assert!(read("README.md").contains(read("lease-refreshed.json").trim_end()));
}

fn run(scenario: &Scenario) -> Result<(), String> {
    let mut host = match (Host::start(scenario), &scenario.refused) {
        (Ok(host), None) => host,
        (Ok(_), Some(_)) => return Err("the client was made, and should be refused".into()),
        (Err(error), None) => return Err(format!("the client was refused: {error}")),
        (Err(error), Some(expected)) => {
            let differences = compare::whole(expected, &serde_json::to_value(error).unwrap());
            return if differences.is_empty() {
                Ok(())
            } else {
                Err(differences.join("\n    "))
            };
        }
    };
    for (number, step) in scenario.steps.iter().enumerate() {
        let (got, differences) = match host.step(step) {
            Ok(got) => {
                let differences = compare::step(step, &got);
                (got, differences)
            }
            Err(failure) => (host.seen(), vec![failure]),
        };
        if !differences.is_empty() {
            let (number, title) = (number + 1, compare::title(step));
            let differences = differences.join("\n    ");
            return Err(format!(
                "step {number} {title}\n    {differences}\n  got {got:#}"
            ));
        }
        host.name_tasks(step);
    }
    Ok(())
}
