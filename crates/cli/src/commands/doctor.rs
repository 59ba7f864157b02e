//! `tidings doctor`.

use tidings::config::{ApiAddress, Settings};
use tidings_api::client::{Client, ClientError};
use tidings_api::server::examine;
use tidings_api::types::{Check, Exit, Report, Verdict};

use super::run::configuration;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, Style, harmless_line};

pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    let report = context.block_on(async {
        output::remark("examining …");
        match Client::connect(context.directory()).await {
            Ok(client) => Ok(client.doctor().await?),
            Err(ClientError::NoNode { .. }) => Ok(without_node(context)),
            Err(error) => Err(error.into()),
        }
    })?;
    context.print(&report, |out| human(out, context.style(), &report))?;
    match report.verdict() {
        Verdict::Good | Verdict::Warning => Ok(Exit::Done),
        Verdict::Bad => Err(Failure::new(
            Exit::Other,
            "the node cannot work like this; do what is said at each check that is bad, then run `tidings doctor` again",
        )),
    }
}

/// Checks the configuration, too, which a running node has proven to be usable.
fn without_node(context: &Context) -> Report {
    let (config, api) = match configuration(context.directory(), Settings::default()) {
        Ok(config) => {
            let api = match config.api {
                ApiAddress::Off => None,
                ApiAddress::At(address) => Some(address),
            };
            (check(Verdict::Good, "the configuration can be used".to_owned()), api)
        }
        Err(failure) => {
            let found = failure.sentence().to_owned();
            (check(Verdict::Bad, found), None)
        }
    };
    let mut report = examine(context.directory(), api);
    report.checks.insert(0, config);
    report
}

fn check(verdict: Verdict, found: String) -> Check {
    Check {
        name: "config".to_owned(),
        verdict,
        found,
        remedy: (verdict != Verdict::Good).then(|| "correct config.toml or the variables TIDINGS_*".to_owned()),
    }
}

fn human(out: &mut String, style: Style, report: &Report) {
    for check in &report.checks {
        let verdict = match check.verdict {
            Verdict::Good => style.good("good   "),
            Verdict::Warning => style.warning("warning"),
            Verdict::Bad => style.bad("bad    "),
        };
        let found = harmless_line(&check.found);
        out.push_str(&format!("{verdict}  {:<10} {found}\n", check.name));
        if let Some(remedy) = &check.remedy {
            out.push_str(&format!("{:21}{}\n", "", style.dim(&format!("→ {remedy}"))));
        }
    }
}
