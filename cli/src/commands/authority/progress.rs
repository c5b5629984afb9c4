//! What is new in a replacement since it was looked at last, as lines for a person.

use trust_domains::node::NodeName;
use trust_domains::wire::authorities::{ReplacementStep, ReplacementView, StepState};

use super::text::named;

/// What was told of a replacement so far.
#[derive(Debug, Default)]
pub(super) struct Told {
    steps: Vec<(StepState, usize, Vec<NodeName>)>,
}

impl Told {
    /// Returns the lines that tell what changed: a step begun, fewer nodes that are waited for, a step done.
    pub(super) fn news(&mut self, view: &ReplacementView) -> Vec<String> {
        let count = view.steps.len();
        let mut lines = Vec::new();
        for (position, step) in view.steps.iter().enumerate() {
            let now = (step.state, step.waiting_for_count, step.waiting_for.clone());
            if self.steps.get(position) == Some(&now) {
                continue;
            }
            let known = self.steps.get(position).is_some();
            if known || step.state != StepState::Pending {
                lines.extend(line(step).map(|line| format!("[{}/{count}] {line}", position + 1)));
            }
            match self.steps.get_mut(position) {
                Some(told) => *told = now,
                None => self.steps.push(now),
            }
        }
        lines
    }
}

fn line(step: &ReplacementStep) -> Option<String> {
    let waiting = || named(&step.waiting_for, step.waiting_for_count);
    match (step.state, step.waiting_for_count) {
        (StepState::Pending, _) => None,
        (StepState::Done, _) => Some(format!("done: {}", step.text)),
        (StepState::Running, 0) => Some(step.text.clone()),
        (StepState::Running, _) => {
            let until = step.until.map(|until| format!(", until {until} at the latest")).unwrap_or_default();
            Some(format!("{}; waiting for {}{until}", step.text, waiting()))
        }
    }
}

#[cfg(test)]
mod tests {
    use trust_domains::plan::authority::AuthorityKind;
    use trust_domains::wire::authorities::StepKind;

    use super::*;

    fn step(what: StepKind, state: StepState, waiting_for: &[&str]) -> ReplacementStep {
        ReplacementStep {
            what,
            state,
            text: format!("{what:?}").to_lowercase(),
            waiting_for: waiting_for.iter().map(|name| name.parse().unwrap()).collect(),
            waiting_for_count: waiting_for.len(),
            until: None,
        }
    }

    fn view(steps: Vec<ReplacementStep>) -> ReplacementView {
        ReplacementView {
            id: None,
            kind: AuthorityKind::Jwt,
            compromised: true,
            replaces: Vec::new(),
            because: "a drill".to_owned(),
            ordered_at: None,
            steps,
            finished_at: None,
            outcome: None,
            partners_behind: Vec::new(),
        }
    }

    #[test]
    fn each_change_is_told_once_and_steps_to_come_not_at_all() {
        let mut told = Told::default();
        let first = view(vec![
            step(StepKind::Prepare, StepState::Running, &[]),
            step(StepKind::Reissue, StepState::Pending, &[]),
        ]);
        assert_eq!(told.news(&first), ["[1/2] prepare"]);
        assert!(told.news(&first).is_empty());
        let second = view(vec![
            step(StepKind::Prepare, StepState::Done, &[]),
            step(StepKind::Reissue, StepState::Running, &["a", "b"]),
        ]);
        assert_eq!(told.news(&second), ["[1/2] done: prepare", "[2/2] reissue; waiting for a, b"]);
        let third = view(vec![
            step(StepKind::Prepare, StepState::Done, &[]),
            step(StepKind::Reissue, StepState::Running, &["b"]),
        ]);
        assert_eq!(told.news(&third), ["[2/2] reissue; waiting for b"]);
    }
}
