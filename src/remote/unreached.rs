//! Hosts that this process does not reach: a controller does it for a command that uses its API.

use std::time::Duration;

use super::Command;
use super::Exit;
use super::Facts;
use super::Progress;
use super::Remote;
use super::Sink;
use super::Target;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::core::model::Report;
use crate::core::model::Visit;

/// Connections to no host: each call fails at once.
#[derive(Debug)]
pub struct Unreached;

fn failure<T>(target: &Target) -> Result<T, Failure> {
    Err(Failure {
        host: target.name.clone(),
        phase: Phase::Connect,
        kind: FailureKind::Local,
        detail: "this command uses the API of a controller, and reaches no host itself".to_owned(),
        hint: Some("With `--store` instead of `--api`, it reaches hosts over SSH.".to_owned()),
    })
}

#[async_trait::async_trait]
impl Remote for Unreached {
    async fn visit(&self, target: &Target, _: &Visit, _: bool, _: &Progress) -> Result<Report, Failure> {
        failure(target)
    }

    async fn facts(&self, target: &Target) -> Result<Facts, Failure> {
        failure(target)
    }

    async fn exec(&self, target: &Target, _: &Command, _: &mut dyn Sink) -> Result<Exit, Failure> {
        failure(target)
    }

    async fn interact(&self, target: &Target, _: Option<&str>) -> Result<Exit, Failure> {
        failure(target)
    }

    async fn probe(&self, via: &Target, _: &Target, _: Duration) -> Result<bool, Failure> {
        failure(via)
    }

    async fn forget(&self, _: &Target) {}

    async fn close(&self, _: Duration) {}
}
