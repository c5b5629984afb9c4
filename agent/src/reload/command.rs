//! Reloads by a command: as the sink's owner, and told which files are new.

use std::io;
use std::time::Duration;

use platform::privilege::Identity;
use platform::reload_command::{CommandError, ReloadCommand, Surroundings};

use super::context::HookContext;

/// Runs a command, and waits for its end, at most `timeout`.
///
/// # Errors
/// [`CommandError`]: it cannot be started, took too long, or says by its exit code that it failed.
pub(super) async fn perform(command: &ReloadCommand, context: &HookContext, timeout: Duration) -> Result<(), CommandError> {
    let (starting, surroundings) = (command.clone(), surroundings(context));
    let started = tokio::task::spawn_blocking(move || starting.start(&surroundings)).await;
    let started = started.unwrap_or_else(|stopped| {
        Err(CommandError::Start {
            program: command.program().to_owned(),
            source: io::Error::other(stopped),
        })
    });
    started?.finish(timeout).await
}

fn surroundings(context: &HookContext) -> Surroundings {
    let owner = context.owner;
    Surroundings {
        variables: vec![
            ("TROTH_CHANGED".to_owned(), context.changed.to_string().into()),
            ("TROTH_SERIAL".to_owned(), context.serial.to_string().into()),
            ("TROTH_SINK_DIRECTORY".to_owned(), context.directory.clone().into()),
            ("TROTH_SPIFFE_ID".to_owned(), context.spiffe_id.to_string().into()),
        ],
        identity: (!owner.is_agent()).then_some(Identity {
            uid: owner.uid,
            gid: owner.gid,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::reload::testing::context;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(text: &str) -> ReloadCommand {
        ReloadCommand::parse(&[text.to_owned()], true).unwrap()
    }

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[tokio::test]
    async fn a_command_is_told_the_identity_the_files_and_what_is_new_in_them() {
        let directory = tempfile::tempdir().unwrap();
        let context = context(directory.path());
        let out = directory.path().join("out");
        perform(&shell(&format!("/usr/bin/env > {}", out.display())), &context, LONG).await.unwrap();
        let said = read(&out);
        for wanted in [
            "TROTH_CHANGED=svid,crl".to_owned(),
            format!("TROTH_SERIAL={}", context.serial),
            format!("TROTH_SINK_DIRECTORY={}", directory.path().display()),
            format!("TROTH_SPIFFE_ID={}", context.spiffe_id),
        ] {
            assert!(said.lines().any(|line| line == wanted), "{said}");
        }
    }

    #[tokio::test]
    async fn a_privileged_agent_runs_a_command_as_the_owner_and_without_its_own_groups() {
        if !nix::unistd::Uid::effective().is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let mut context = context(directory.path());
        context.owner = crate::reload::HookOwner { uid: 65_534, gid: 65_533 };
        let text = "grep -q '^Uid:\t65534\t65534\t65534\t65534$' /proc/self/status && grep -q '^Gid:\t65533\t65533\t65533\t65533$' /proc/self/status && grep -q '^Groups:[ \t]*$' /proc/self/status && grep -q '^CapEff:\t0*$' /proc/self/status && grep -q '^CapPrm:\t0*$' /proc/self/status";
        perform(&shell(text), &context, LONG).await.unwrap();
    }
}
