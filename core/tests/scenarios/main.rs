//! Runs the language-neutral scenarios in `core/scenarios`; its README describes the format.

mod answer;
mod compare;
mod host;
mod mutations;
mod scenario;
mod show;
mod store;

use host::Host;
use scenario::{Scenario, directory};
use std::io::{Write, stderr};

const FEWEST_FILES: usize = 81;
const FEWEST_CASES: usize = 359;

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
    let (files, failed) = (files.len(), failures.len());
    // Not println!, which the test harness keeps to itself where nothing fails.
    writeln!(stderr(), "{files} files, {cases} cases, {failed} failed").unwrap();
    assert!(failures.is_empty(), "\n\n{}\n", failures.join("\n\n"));
    assert!(files >= FEWEST_FILES, "{files} of {FEWEST_FILES} files");
    assert!(cases >= FEWEST_CASES, "{cases} of {FEWEST_CASES} cases");
}

#[test]
fn each_expectation_of_each_scenario_can_fail() {
    let mut tried = 0;
    let mut unnoticed = vec![];
    for scenario in scenario::files()
        .iter()
        .flat_map(|file| scenario::read(file))
    {
        for (place, steps) in mutations::of(&scenario) {
            tried += 1;
            let changed = Scenario {
                steps,
                ..scenario.clone()
            };
            if run(&changed).is_ok() {
                unnoticed.push(format!("{} {place}", scenario.name));
            }
        }
    }
    writeln!(stderr(), "{tried} expectations changed").unwrap();
    assert!(
        unnoticed.is_empty(),
        "changed and not noticed:\n{}",
        unnoticed.join("\n")
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
