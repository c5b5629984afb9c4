//! Whether the agent can do what hooks ask of it: said at its start, not at the first rotation.

use platform::config::{ConfigMistakes, Mistakes};

use super::context::HookOwner;
use super::hook::ReloadAction;
use crate::config::SinkConfig;
use crate::workload::may_become_others;

/// Checks that every command can be run as the owner of its sink.
///
/// # Errors
/// Names each sink whose owner the agent cannot become, or does not find.
pub(crate) fn check(sinks: &[SinkConfig]) -> Result<(), ConfigMistakes> {
    let mut mistakes = Mistakes::new();
    let may_become_others = may_become_others();
    for sink in sinks {
        if !sink.hooks.iter().any(|hook| matches!(hook.action, ReloadAction::Command(_))) {
            continue;
        }
        let key = format!("sink {}", sink.directory.display());
        match HookOwner::resolve(sink.owner.as_deref(), sink.group.as_deref()) {
            Err(error) => mistakes.add(key, error),
            Ok(owner) if !owner.is_agent() && !may_become_others => mistakes.add(
                key,
                format_args!(
                    "its commands would run as uid {}, and the agent has not the right to become that user; run it as root",
                    owner.uid
                ),
            ),
            Ok(_) => {}
        }
    }
    mistakes.finish(None, Some(()))
}
